// tests/store/file_fixture.h - a store in files, beneath a directory that goes with the test
#pragma once

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <unistd.h>

#include "common/base/log.h"
#include "tests/crash/sim_disk.h"
#include "tests/store/fixture.h"

namespace rims::store {

namespace fs = std::filesystem;

inline std::string slurp(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
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
  uint64_t segment_bytes_ = 64 << 20;
  int64_t now_ = 1'700'000'000;
};

}  // namespace rims::store
