// tests/account/file_fixture.h - a store in files, beneath a directory that goes with the test
#pragma once

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <unistd.h>

#include "common/base/log.h"
#include "common/maintenance/check.h"
#include "tests/account/fixture.h"
#include "tests/crash/sim_disk.h"

namespace rims::store {

namespace fs = std::filesystem;

inline std::string slurp(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}
// As the server makes files and directories.
inline void own(const fs::path& directory) {
  fs::permissions(directory, fs::perms::owner_all);
  for (const auto& entry : fs::recursive_directory_iterator(directory))
    fs::permissions(entry.path(), entry.is_directory()
                                      ? fs::perms::owner_all
                                      : fs::perms::owner_read | fs::perms::owner_write);
}
inline void spew(const fs::path& path, const std::string& bytes) {
  std::ofstream(path, std::ios::binary | std::ios::trunc) << bytes;
}

// What the log was told.
struct Heard final : log::Sink {
  void write(log::Level, std::string_view line) override { (text += line) += '\n'; }
  std::string text;
};

class FileTest : public StoreTest {
 protected:
  void SetUp() override {
    // In memory where there are very many flushes to wait for and none is tested.
    std::string name = quick_ && access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";
    name += "/rims-store-XXXXXX";
    base_ = mkdtemp(name.data());
    StoreTest::SetUp();
  }
  void TearDown() override {
    disk_.fault = nullptr;
    StoreTest::TearDown();
    // What the product makes of an account, the nightly check never complains of.
    const auto base = open_base(base_);
    for (const auto& user : sound_at_end_ ? check_at_end_ : std::set<std::string>()) {
      const auto report = check_account(*base, account_path(user), user);
      ASSERT_TRUE(report) << report.error().detail();
      for (const auto& finding : report->findings) {
        if (finding.damage) ADD_FAILURE() << to_string(finding);
      }
    }
    fs::remove_all(base_);
  }
  Options options() override {
    Options o;
    auto base = open_base(base_);
    EXPECT_TRUE(base);
    o.base = *std::move(base);
    o.idle_close = Milliseconds(600'000);
    o.segment_bytes = segment_bytes_;
    o.disk = &disk_;
    o.clock = [this] { return now_; };
    return o;
  }
  fs::path dir(const std::string& user = "foo") const {
    const std::string id = unique_user_id(user);
    return fs::path(base_) / "mailbox.3" / id.substr(0, 2) / id.substr(2);
  }
  // A new account with something of everything in it; closed again.
  AccountState make_account(const std::string& user = "foo") {
    auto account = open(user);
    std::vector<NewMessage> list;
    for (int i = 0; i < 20; i++)
      list.push_back(message("message " + std::to_string(i) + std::string(100, 'x'),
                             static_cast<uint8_t>(i % 32), {"k" + std::to_string(i % 3)}));
    must(account->append(inbox(account), std::move(list)));
    must(account->create("a/b"));
    must(account->copy(inbox(account), uids({1, 2, 3}), account->find("a/b")->id));
    must(account->expunge(inbox(account), uids({2})));
    must(account->change_flags(
        inbox(account), {.uids = uids({5}), .op = FlagOp::add, .flags = kSeen, .keywords = {"z"}}));
    account.reset();
    reopen();
    account = open(user);
    auto state = snapshot(account);
    account.reset();
    stop();
    return state;
  }
  // Nothing is repaired by closing: the process is gone.
  void crash() { store_.reset(); }

  std::string base_;
  SimDisk disk_;
  bool quick_ = false;
  bool sound_at_end_ = true;  // false: damage is left in a journal
  uint64_t segment_bytes_ = 64 << 20;
  int64_t now_ = 1'700'000'000;
};

}  // namespace rims::store
