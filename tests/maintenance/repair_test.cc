// tests/maintenance/repair_test.cc - what a killed process has not flushed, flushed by the next one
// before anything is built on it: else a loss of power later takes what was shown or acknowledged

#include <set>
#include <string>

#include "common/base/log.h"
#include "tests/account/file_fixture.h"

namespace rims::store {
namespace {

class RepairTest : public FileTest, private log::Sink {
 protected:
  void SetUp() override {
    quick_ = true;
    segment_bytes_ = 3'000;  // rolls twice
    log::set_sink(this);
    FileTest::SetUp();
  }
  void TearDown() override {
    check_at_end_.clear();
    FileTest::TearDown();
    log::set_sink(nullptr);
  }

  static std::string body(int n) { return std::to_string(n) + ":" + std::string(900, 'r'); }
  // As far as it goes.
  void deliver(const std::string& user, int first, std::set<std::string>& acknowledged) {
    for (int i = first; i < first + 3; i++) {
      const auto account = run(loop_, store_->open(user));
      if (!account || !(*account)->find("INBOX")) return;
      if (run(loop_, (*account)->append(inbox(*account), messages({body(i)}))))
        acknowledged.insert(body(i));
    }
  }
  // What is missing of that which was promised; or what is wrong.
  std::string look(const std::string& user, const std::set<std::string>& promised,
                   std::set<std::string>* shown = nullptr) {
    const auto account = run(loop_, store_->open(user));
    if (!account) return account.error().detail();
    const auto mailbox = run(loop_, (*account)->open_mailbox(inbox(*account)));
    if (!mailbox) return mailbox.error().detail();
    std::set<std::string> there;
    for (const auto& e : (*mailbox)->messages()) {
      const auto bytes = run(loop_, (*account)->read(e.message));
      if (!bytes) return bytes.error().detail();
      there.insert(*bytes);
    }
    for (const auto& bytes : promised) {
      if (!there.contains(bytes)) return bytes.substr(0, bytes.find(':')) + " is lost";
    }
    if (shown) *shown = there;
    return damaged_;
  }
  // A process is killed at its n-th call, the next one flushes all but `ignored`, and the power
  // goes off. Empty: all is well.
  std::string kill_and_cut(int step, bool writes, const std::string& ignored, bool* ended) {
    const std::string user = "foo";
    std::set<std::string> promised;
    disk_.power_off_after(static_cast<uint64_t>(step));
    deliver(user, 0, promised);
    *ended = !disk_.dead();
    crash();
    disk_.power_on();
    disk_.ignored = ignored;
    make_store();
    std::string wrong = look(user, promised, &promised);
    if (writes) deliver(user, 10, promised);
    crash();
    disk_.ignored.clear();
    disk_.lose_power();
    make_store();
    if (wrong.empty()) wrong = look(user, promised);
    crash();
    disk_.lose_power();
    fs::remove_all(fs::path(base_) / "mailbox.3");
    make_store();
    return wrong;
  }
  // At every step, more than once: whether the call itself still happens is chance.
  std::string kill_anywhere(const std::string& ignored) {
    damaged_.clear();
    for (const bool writes : {false, true}) {
      bool ended = false;
      for (int step = 0; !ended && step < 200; step++) {
        for (int tries = 0; tries < 2 && !ended; tries++) {
          const std::string wrong = kill_and_cut(step, writes, ignored, &ended);
          if (!wrong.empty()) return "killed at call " + std::to_string(step) + ": " + wrong;
        }
      }
      EXPECT_TRUE(ended);
    }
    return {};
  }

 private:
  void write(log::Level, std::string_view line) override {
    if (damaged_.empty() && line.contains("damaged:")) damaged_ = line;
  }
  std::string damaged_;
};

TEST_F(RepairTest, WhatAKilledProcessHasNotFlushedIsFlushedByTheNext) {
  EXPECT_EQ(kill_anywhere(""), "");
}

// Each of them left out by that next process alone. That of a footer is not among them: one that
// did not arrive is made again from the records, which were durable before.
TEST_F(RepairTest, EachOfTheseFlushesMatters) {
  for (const char* kind : {"fdatasync of the last batch again", "fsync of journal after create",
                           "fsync of the account's directory after mkdir journal",
                           "fsync of the base directory after mkdir mailbox.3",
                           "fsync of mailbox.3 after mkdir <2 hex>",
                           "fsync of mailbox.3/<2 hex> after mkdir <62 hex>"})
    EXPECT_NE(kill_anywhere(kind), "") << kind;
}

// A first batch on the disk, and no header before it, would be taken for damage.
TEST_F(RepairTest, TheHeaderOfANewSegmentIsFlushedBeforeTheFirstBatchIsWritten) {
  const fs::path segment = dir() / "journal/00000001";
  int written = 0;
  bool opened = false;
  for (uint64_t step = 0; !opened; step++) {
    for (uint64_t tries = 0; !opened && tries < 24; tries++) {
      disk_.power_off_after(step);
      opened = run(loop_, store_->open("foo")).has_value();
      crash();
      disk_.power_on();
      make_store();
      const std::string made = slurp(segment);
      if (!opened && made.starts_with("RIMSJRNL") && made.find("RIMR") == made.npos) {
        // The next process, until the power goes off.
        disk_.power_off_after(4 + tries % 8);
        (void)run(loop_, store_->open("foo"));
        crash();
        const bool batch = disk_.dead() && slurp(segment).find("RIMR") != std::string::npos;
        disk_.lose_power();
        if (batch) {
          written++;
          EXPECT_TRUE(slurp(segment).starts_with("RIMSJRNL")) << step << " and " << 4 + tries % 8;
        }
        make_store();
      }
      crash();
      disk_.lose_power();
      fs::remove_all(fs::path(base_) / "mailbox.3");
      make_store();
      if (!made.starts_with("RIMSJRNL")) break;
    }
  }
  EXPECT_GT(written, 3);
}

}  // namespace
}  // namespace rims::store
