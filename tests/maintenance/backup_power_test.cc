// tests/maintenance/backup_power_test.cc - the power goes off while an account is backed up or
// restored, or right after: what was finished is there, and what was not can be begun again

#include <fmt/format.h>

#include "common/journal/account_dir.h"
#include "common/journal/reader.h"
#include "common/journal/takeover.h"
#include "common/maintenance/backup.h"
#include "common/maintenance/restore_account.h"
#include "tests/account/file_fixture.h"

namespace rims::store {
namespace {

class BackupPowerTest : public FileTest {
 protected:
  void SetUp() override {
    quick_ = true;
    segment_bytes_ = 2000;
    FileTest::SetUp();
  }
  static std::string id() { return unique_user_id("foo"); }
  std::string backups() const { return base_ + "/backup"; }
  Result<BackupReport> backup() {
    const auto base = open_base(base_);
    return back_up(*base, {.directory = backups(),
                           .account = id(),
                           .user = "foo",
                           .progress = {},
                           .clock = [this] { return now_; },
                           .disk = &disk_});
  }
  // "": it verifies. Of a backup that was not finished.
  std::string problems() {
    const auto checked = verify_backup(backups() + "/" + id(), {});
    if (!checked) return checked.error().detail();
    return checked->problems.empty() ? "" : checked->problems.front();
  }
  Result<RestoredAccount> restore() {
    const auto base = open_base(base_);
    const auto dir = AccountDir::at(Disk::real(), backups() + "/" + id());
    const auto manifest = read_manifest(*dir);
    return restore_account(*base, *dir, *manifest,
                           {.account = id(), .upto = UINT64_MAX, .disk = &disk_});
  }
  // The last record; 0 when there is no account, 1 when a part of it is lost.
  uint64_t last_record() {
    const auto base = open_base(base_);
    auto reader = JournalReader::open(*base, "foo");
    if (!reader) return 0;
    bool damaged = false;
    const auto folded = reader->fold({}, [&](const JournalDamage&) { damaged = true; });
    return folded && !damaged ? folded->state.seq() : 1;
  }
  // What goes wrong in `work`, which says whether it was done, when the power goes off at its n-th
  // call, or after it.
  void cut_everywhere(const std::function<bool()>& work,
                      const std::function<std::string(bool done)>& wrong) {
    bool done = false;
    for (uint64_t step = 0; !done; step++) {
      SCOPED_TRACE(step);
      // Lost at that call, or the process alone is killed and the next one comes to the end.
      for (const bool killed : {false, true}) {
        disk_.power_off_after(step);
        done = work();
        disk_.power_on();
        const bool again = killed && !done && work();
        disk_.lose_power();
        ASSERT_EQ(wrong(done || again), "") << (killed ? "killed" : "cut");
      }
      ASSERT_LT(step, 300U);
    }
  }
};

TEST_F(BackupPowerTest, ABackupThatWasMadeIsThereAndOneThatWasNotCanBeMade) {
  const auto end = make_account().seq();
  disk_.lose_power();
  const auto wrong = [&](bool done) -> std::string {
    const bool there = fs::exists(backups() + "/" + id() + "/manifest.json");
    std::string what = there ? problems() : done ? "there is none" : "";
    const auto again = backup();
    if (what.empty() && !again) what = again.error().detail();
    if (what.empty() && !again->notes.empty()) what = again->notes.front();
    if (what.empty() && done && again->copied != 0) what = "a part of it is lost";
    if (what.empty()) what = problems();
    if (what.empty() && again->manifest.end.seq != end) what = "it ends early";
    disk_.lose_power();
    fs::remove_all(backups());
    return what;
  };
  cut_everywhere([&] { return backup().has_value(); }, wrong);
  EXPECT_GT(disk_.fsyncs, 0);
  // It is seen when flushes are left out.
  ASSERT_TRUE(backup());
  fs::remove_all(backups());
  disk_.directory_syncs_lie = true;
  ASSERT_TRUE(backup());
  disk_.lose_power();
  disk_.directory_syncs_lie = false;
  EXPECT_NE(wrong(true), "");
  make_store();
}

TEST_F(BackupPowerTest, WhatABackupHoldsIsNotLostByItsSource) {
  auto account = open();
  must(account->append(inbox(account), messages({"one"})));
  disk_.ignored = "fdatasync of a commit";  // as if it had not returned yet
  must(account->append(inbox(account), messages({"two"})));
  disk_.ignored.clear();
  const auto done = backup();
  ASSERT_TRUE(done) << done.error().detail();
  EXPECT_EQ(done->manifest.end.seq, account->modseq().value);
  account.reset();
  crash();
  disk_.lose_power();
  EXPECT_EQ(last_record(), done->manifest.end.seq);
  make_store();
}

TEST_F(BackupPowerTest, ARestoredAccountIsThereWholeOrNotAtAll) {
  const auto end = make_account().seq();
  ASSERT_TRUE(backup());
  disk_.lose_power();
  const auto forget = [&] {
    fs::remove_all(fs::path(base_) / "mailbox.3");
    disk_.lose_power();
  };
  forget();
  const uint64_t gap = end + 1 + Unseen().records;
  const auto restored = [&] {
    if (restore()) return true;
    // Killed after it was renamed: the account is there, and is taken to be compared with the
    // backup.
    const auto base = open_base(base_);
    return last_record() == gap && take_account(*base, "foo", {}, false, disk_).has_value();
  };
  cut_everywhere(restored, [&](bool done) -> std::string {
    const uint64_t last = last_record();
    std::string what;
    if (last != 0 && last != gap) what = fmt::format("it ends with {}, not {}", last, gap);
    if (last == 0 && done) what = "it is not there";
    if (last == 0 && what.empty() && !restore()) what = "it can not be made";
    forget();
    return what;
  });
  make_store();
}

}  // namespace
}  // namespace rims::store
