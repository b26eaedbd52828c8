// tests/account/full_disk_test.cc - the floor below which no mail is taken, and what faults look
// like

#include <array>
#include <cerrno>

#include "common/account/free_space.h"
#include "common/maintenance/inspect.h"
#include "tests/account/file_fixture.h"

namespace rims::store {
namespace {

class Statvfs final : public Disk {
 public:
  int file_system(int /*fd*/, FileSystem& found) override {
    asked++;
    if (error != 0) {
      errno = error;
      return -1;
    }
    found = now;
    return 0;
  }
  FileSystem now{.bytes = 1000, .free_bytes = 1000, .inodes = 0, .free_inodes = 0};
  int asked = 0, error = 0;
};

class FloorTest : public testing::Test {
 protected:
  // "": taken; else the code of the refusal.
  std::string ask(uint64_t bytes) {
    const Status status = run(loop_, space_.room_for(bytes, floor_));
    if (!status) {
      EXPECT_EQ(status.error().fault(), Fault::storage);
      detail_ = status.error().detail();
    }
    return status ? "" : status.error().code();
  }
  void seconds_later(int seconds) { now_ += std::chrono::seconds(seconds); }

  Loop loop_;
  IoPool pool_{loop_, 1};
  Statvfs disk_;
  std::chrono::steady_clock::time_point now_{std::chrono::hours(1)};
  FreeSpace space_{loop_, pool_, disk_, -1, [this] { return now_; }};
  Floor floor_{.percent = 10, .most = 1 << 20};
  std::string detail_;
};

TEST_F(FloorTest, AMessageMustLeaveTheFloor) {
  disk_.now.free_bytes = 150;
  EXPECT_EQ(ask(51), "UNAVAILABLE");
  EXPECT_NE(detail_.find("150 bytes free of 1000, and the floor is 100 bytes"), std::string::npos)
      << detail_;
  EXPECT_NE(detail_.find("storage.free_space_floor"), std::string::npos);
  EXPECT_EQ(ask(50), "");
}

TEST_F(FloorTest, ItIsLookedAtOnceASecondAndWhatWasTakenSinceCounts) {
  disk_.now.free_bytes = 150;
  EXPECT_EQ(ask(30), "");
  EXPECT_EQ(ask(20), "");
  EXPECT_EQ(ask(1), "UNAVAILABLE");
  disk_.now.free_bytes = 1000;
  EXPECT_EQ(ask(1), "UNAVAILABLE");
  EXPECT_EQ(disk_.asked, 1);
  seconds_later(1);
  EXPECT_EQ(ask(1), "") << "it recovers by itself";
  EXPECT_EQ(disk_.asked, 2);
}

TEST_F(FloorTest, TheFloorHasACeiling) {
  disk_.now = {.bytes = 1000, .free_bytes = 60, .inodes = 0, .free_inodes = 0};
  floor_.most = 50;
  EXPECT_EQ(ask(10), "");
  EXPECT_EQ(ask(1), "UNAVAILABLE");
}

TEST_F(FloorTest, InodesAreCountedToo) {
  disk_.now.inodes = 1000;
  disk_.now.free_inodes = 99;
  EXPECT_EQ(ask(1), "UNAVAILABLE");
  EXPECT_NE(detail_.find("99 inodes free of 1000, and the floor is 100"), std::string::npos);
  seconds_later(1);
  disk_.now.free_inodes = 100;
  EXPECT_EQ(ask(1), "");
  seconds_later(1);
  disk_.now.inodes = 10'000'000;
  disk_.now.free_inodes = FreeSpace::kMostInodes;
  EXPECT_EQ(ask(1), "") << "and their floor has a ceiling";
}

TEST_F(FloorTest, NoFloorAsksNobody) {
  floor_.percent = 0;
  disk_.now.free_bytes = 0;
  EXPECT_EQ(ask(1), "");
  EXPECT_EQ(disk_.asked, 0);
}

TEST_F(FloorTest, WhatCanNotBeKnownRefusesNothing) {
  disk_.error = EIO;
  EXPECT_EQ(ask(1), "");
  EXPECT_EQ(ask(1), "");
  EXPECT_EQ(disk_.asked, 1);
}

// ---------------------------------------------------------------- the shapes of faults

using Call = SimDisk::Call;

struct Shape {
  Call call;
  int error;
  const char* code;    // RFC 5530
  const char* remedy;  // in the log
};

constexpr Shape kShapes[] = {
    {Call::write, ENOSPC, "UNAVAILABLE", "make room"},
    {Call::write, EDQUOT, "OVERQUOTA", "quota"},
    {Call::write, EIO, "UNAVAILABLE", "errors of the disk"},
    {Call::write, EROFS, "UNAVAILABLE", "read-only"},
    {Call::fdatasync, EIO, "UNAVAILABLE", "errors of the disk"},
    {Call::fdatasync, ENOSPC, "UNAVAILABLE", "make room"},
    {Call::fdatasync, EDQUOT, "OVERQUOTA", "quota"},
};

class ShapeTest : public FileTest, public testing::WithParamInterface<Shape> {};

TEST_P(ShapeTest, TheErrorNamesFileOffsetAndRemedyAndOthersAreServed) {
  const Shape& shape = GetParam();
  const auto foo = open("foo"), bar = open("bar");
  must(foo->append(inbox(foo), messages({"before"})));
  disk_.fault = [&](Call call) { return call == shape.call ? shape.error : 0; };
  const auto failed = run(loop_, foo->append(inbox(foo), messages({"x"})));
  ASSERT_FALSE(failed);
  EXPECT_EQ(failed.error().fault(), Fault::storage) << "which is exit status 75 for an MTA";
  EXPECT_EQ(failed.error().code(), shape.code);
  const std::string& detail = failed.error().detail();
  EXPECT_NE(detail.find("journal/00000001 at offset "), std::string::npos) << detail;
  EXPECT_NE(detail.find(shape.remedy), std::string::npos) << detail;
  EXPECT_EQ(failed.error().reply(), "temporary failure") << "the client reads no path";
  // Another account is read while the disk is bad, and written when it is good again.
  EXPECT_TRUE(run(loop_, bar->open_mailbox(inbox(bar))));
  disk_.fault = nullptr;
  must(bar->append(inbox(bar), messages({"y"})));
  must(open("foo")->append(inbox(open("foo")), messages({"after"})));
}

INSTANTIATE_TEST_SUITE_P(All, ShapeTest, testing::ValuesIn(kShapes));

// What an opening has to write first, because records were lost, may find no room. Then the mail is
// read, and it is written when there is room.
TEST_F(FileTest, AFullDiskKeepsNobodyFromReadingADamagedAccount) {
  quick_ = true;
  segment_bytes_ = 8192;
  make_store();
  auto account = open();
  for (int i = 0; i < 20; i++)
    must(account->append(inbox(account), messages({std::string(1000, 'x')})));
  const auto before = account->find("INBOX")->uidnext;
  account.reset();
  stop();
  fs::remove(dir() / "journal/00000002");
  ASSERT_TRUE(set_dirty_flag(dir().string(), true));
  const auto read = [&] {
    size_t found = 0;
    for (const auto& e : must(account->open_mailbox(inbox(account)))->messages())
      found += must(account->read(e.message)).size() == 1000;
    return found;
  };
  const auto full = [](Call call) { return call == Call::write ? ENOSPC : 0; };
  Heard heard;
  log::set_sink(&heard);
  for (int round = 0; round < 2; round++) {
    make_store();
    disk_.fault = full;
    account = open();
    ASSERT_TRUE(account);
    EXPECT_NE(heard.text.find("it can only be read until there is room"), std::string::npos)
        << heard.text;
    EXPECT_GT(read(), 10U);
    for (int i = 0; i < 2; i++) {
      EXPECT_EQ(code(account->append(inbox(account), messages({"no"}))), "UNAVAILABLE");
      EXPECT_GT(read(), 10U);
    }
    if (round == 1) break;
    account.reset();
    stop();  // in order, and it still owes
    disk_.fault = nullptr;
  }
  disk_.fault = nullptr;
  const auto uid =
      must(account->append(inbox(account), messages({std::string(1000, 'y')}))).uids[0];
  EXPECT_GT(uid, before) << "the numbers of what is lost are skipped";
  account.reset();
  log::set_sink(nullptr);
  kill();
  account = open();
  EXPECT_GT(account->find("INBOX")->uidnext, uid);
  account.reset();
  sound_at_end_ = false;
}

TEST_F(FileTest, AnAccountThatCanNotBeOpenedSaysWhy) {
  make_account();
  make_store();
  const std::pair<int, const char*> rows[] = {
      {EMFILE, "LIMIT"}, {ENFILE, "LIMIT"}, {EIO, "UNAVAILABLE"}, {EACCES, "UNAVAILABLE"}};
  for (const auto& [error, code] : rows) {
    disk_.fault = [wanted = error](Call call) { return call == Call::open ? wanted : 0; };
    const auto failed = run(loop_, store_->open("foo"));
    ASSERT_FALSE(failed);
    EXPECT_EQ(failed.error().fault(), Fault::storage);
    EXPECT_EQ(failed.error().code(), code);
    EXPECT_NE(failed.error().detail().find("open mailbox.3"), std::string::npos);
    EXPECT_NE(failed.error().detail().find("("), std::string::npos) << "the remedy";
  }
  disk_.fault = nullptr;
  EXPECT_EQ(open("foo")->find("INBOX")->messages, 19U);
}

}  // namespace
}  // namespace rims::store
