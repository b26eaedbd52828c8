// tests/account/unused_segments_test.cc - segments that are there and can not be used, have wrong
// names, or are of another account

#include "tests/account/damage_fixture.h"

namespace rims::store {
namespace {

// --- a segment is there, and can not be used ---

TEST_F(DamageTest, ASegmentThatCanNotBeReadIsNotTheEnd) {
  const auto before = fill();
  const int last = last_segment();
  for (const int number : {1, 2, last}) {
    SCOPED_TRACE(number);
    const std::string bytes = slurp(segment(number));
    fs::permissions(segment(number), fs::perms::none);
    frozen_.unreadable = segment(number).filename();
    ASSERT_TRUE(set_dirty_flag(dir().string(), true));
    heard_.text.clear();
    make_store();
    auto account = open();
    ASSERT_TRUE(account);
    expect_heard("chmod 0600");
    account.reset();
    stop();
    EXPECT_NE(found().find("chmod 0600"), std::string::npos) << found();
    EXPECT_EQ(found().find("expunge it"), std::string::npos) << found();
    fs::permissions(segment(number), fs::perms::owner_read | fs::perms::owner_write);
    frozen_.unreadable.clear();
    EXPECT_EQ(slurp(segment(number)), bytes);
    make_store();
    account = open();
    EXPECT_EQ(read_all(account), 20U);
    account.reset();
    stop();
  }
  check_at_end_.clear();  // it tells of the index that was kept
  make_store();
}

TEST_F(DamageTest, ASegmentThatIsALinkComesBackWhenItIsAFile) {
  auto before = fill();
  size_t more = 0;
  for (const int number : {1, 2, last_segment()}) {
    SCOPED_TRACE(number);
    const std::string bytes = slurp(segment(number));
    fs::rename(segment(number), fs::path(base_) / "elsewhere");
    fs::create_symlink(fs::path(base_) / "elsewhere", segment(number));
    ASSERT_TRUE(set_dirty_flag(dir().string(), true));
    heard_.text.clear();
    make_store();
    auto account = open();
    ASSERT_TRUE(account);
    expect_heard(fmt::format("{:08} is a symbolic link", number));
    EXPECT_LT(read_all(account), 20 + more);
    expect_fresh_numbers(account, before);  // the numbers in it are not used again
    more += before.mailboxes().size();
    account.reset();
    stop();
    EXPECT_NE(found().find("symbolic link"), std::string::npos) << found();
    EXPECT_EQ(found().find("expunge it"), std::string::npos) << found();
    // It was not touched, and all is served again.
    fs::remove(segment(number));
    fs::rename(fs::path(base_) / "elsewhere", segment(number));
    EXPECT_EQ(slurp(segment(number)), bytes);
    make_store();
    account = open();
    EXPECT_EQ(read_all(account), 20 + more);
    before = snapshot(account);
    EXPECT_EQ(before.broken_invariants(), std::vector<std::string>());
    account.reset();
    stop();
    for (const auto& name : quarantine()) fs::remove_all(dir() / "quarantine" / name);
    EXPECT_EQ(found(), "");
  }
  make_store();
}

// Without an index nobody knows which numbers are in it: many are skipped each time.
TEST_F(DamageTest, MailThatCameMeanwhileStaysWhenASegmentIsBack) {
  fill();
  const int last = last_segment();
  frozen_.unreadable = segment(last).filename();
  for (int i = 0; i < 4; i++) {
    remove_index();
    make_store();
    auto account = open();
    must(account->append(inbox(account), messages({fmt::format("meanwhile {}", i)})));
    account.reset();
    i % 2 == 0 ? stop() : crash();
  }
  frozen_.unreadable.clear();
  make_store();
  auto account = open();
  EXPECT_EQ(read_all(account), 24U);
  std::set<uint32_t> seen;
  for (const auto& e : must(account->open_mailbox(inbox(account)))->messages())
    EXPECT_TRUE(seen.insert(e.uid.value).second) << e.uid.value;
  EXPECT_EQ(snapshot(account).broken_invariants(), std::vector<std::string>());
  account.reset();
  stop();
  for (const auto& name : quarantine()) fs::remove_all(dir() / "quarantine" / name);
  EXPECT_EQ(found(), "");
  make_store();
}

TEST_F(DamageTest, AnAccountOfWhichNothingCanBeReadIsNotBegunAgain) {
  segment_bytes_ = 64 << 20;
  make_store();
  fill(4);
  ASSERT_EQ(last_segment(), 1);
  frozen_.unreadable = segment(1).filename();
  for (const bool indexed : {true, false}) {
    if (!indexed) remove_index();
    heard_.text.clear();
    make_store();
    const auto opened = run(loop_, store_->open("foo"));
    ASSERT_FALSE(opened);
    EXPECT_EQ(opened.error().code(), "UNAVAILABLE");
    EXPECT_TRUE(opened.error().detail().contains("none of its segments can be used now"))
        << opened.error().detail();
    expect_heard("chmod 0600");
    EXPECT_EQ(last_segment(), 1);
    stop();
  }
  frozen_.unreadable.clear();
  make_store();
  EXPECT_EQ(read_all(open()), 4U);
}

TEST_F(DamageTest, ASegmentThatHasTheWrongNameGetsItsRightOne) {
  const auto before = fill();
  const int last = last_segment();
  const auto swap = [&](int one, int other) {
    fs::rename(segment(one), segment(98));
    fs::rename(segment(other), segment(one));
    fs::rename(segment(98), segment(other));
  };
  const std::vector<std::function<void()>> ways{
      [&] { fs::rename(segment(2), segment(50)); },
      [&] { swap(2, 3); },
      [&] { swap(last - 1, last); },
      [&] { swap(1, last), swap(2, 1); },
      [&] { fs::rename(segment(1), segment(last + 1)), fs::rename(segment(2), segment(1)); },
  };
  for (size_t i = 0; i < ways.size(); i++) {
    for (const bool indexed : {true, false}) {
      SCOPED_TRACE(i);
      ways[i]();
      if (!indexed) remove_index();
      EXPECT_NE(found().find("the next opening of the account names it"), std::string::npos);
      heard_.text.clear();
      make_store();
      auto account = open();
      expect_heard("says that it is segment");
      expect_same(account, before);
      EXPECT_EQ(read_all(account), 20U);
      account.reset();
      stop();
      EXPECT_EQ(found(), "");
      EXPECT_EQ(last_segment(), last);
    }
  }
  // Where that can not be done, the rest is served.
  swap(2, 3);
  frozen_.frozen = true;
  make_store();
  auto account = run(loop_, store_->open("foo")).value_or(nullptr);
  ASSERT_TRUE(account) << heard_.text;
  account.reset();
  stop();
  frozen_.frozen = false;
  make_store();
  EXPECT_EQ(read_all(open()), 20U);
}

// A name that can not be given back yet, because something else has it, keeps no other from its
// own.
TEST_F(DamageTest, OneNameThatIsTakenKeepsNoOtherSegmentFromItsName) {
  fill();
  fs::rename(segment(2), segment(50));
  fs::create_symlink(fs::path(base_) / "elsewhere", segment(2));
  fs::rename(segment(3), segment(51));
  EXPECT_NE(found().find("the file with the name 00000002 can not be read"), std::string::npos)
      << found();
  make_store();
  auto account = open();
  expect_heard("the file with the name 00000002 can not be read");
  EXPECT_TRUE(fs::exists(segment(3)));
  EXPECT_TRUE(fs::exists(segment(50)));
  EXPECT_LT(read_all(account), 20U);
  account.reset();
  stop();
  fs::remove(segment(2));
  make_store();
  account = open();
  EXPECT_EQ(read_all(account), 20U);
  EXPECT_FALSE(fs::exists(segment(50)));
}

// What is left of a compaction is removed; when the segment itself is gone, it may be all there is.
TEST_F(DamageTest, ASegmentUnderAnotherNameIsNoRubbish) {
  fill();
  const std::string bytes = slurp(segment(2));
  for (const char* name : {"00000002.new", "00000002.bak", "2"}) {
    SCOPED_TRACE(name);
    const fs::path strange = dir() / "journal" / name;
    fs::rename(segment(2), strange);
    EXPECT_NE(found().find("says that it is segment 2, which is missing; name it journal/00000002"),
              std::string::npos)
        << found();
    remove_index();
    make_store();
    auto account = open();
    EXPECT_LT(read_all(account), 20U);
    account.reset();
    stop();
    if (!fs::exists(strange)) {
      for (const auto& kept : quarantine())
        if (kept.starts_with(name)) fs::rename(dir() / "quarantine" / kept, strange);
    }
    ASSERT_EQ(slurp(strange), bytes);
    fs::rename(strange, segment(2));
    remove_index();
    make_store();
    EXPECT_EQ(read_all(open()), 20U);
    stop();
    for (const auto& kept : quarantine()) fs::remove_all(dir() / "quarantine" / kept);
  }
  make_store();
}

// The rest is served when something else has the place of the quarantine.
TEST_F(DamageTest, AQuarantineThatIsNoDirectoryKeepsNoMailAway) {
  sound_at_end_ = false;
  fill();
  std::string bytes = slurp(segment(2));
  bytes.replace(0, 1024, 1024, 'x');
  spew(segment(2), bytes);
  spew(dir() / "quarantine", "a file");
  make_store();
  auto account = open();
  EXPECT_GT(read_all(account), 0U);
  account.reset();
  stop();
  EXPECT_EQ(slurp(segment(2)), bytes);
  fs::remove(dir() / "quarantine");
  make_store();
}

TEST_F(DamageTest, ASegmentThatWasMissingIsServedWhenItIsBack) {
  fill();
  const int last = last_segment();
  for (const int number : {2, last}) {
    SCOPED_TRACE(number);
    fs::rename(segment(number), fs::path(base_) / "elsewhere");
    if (number == 2) remove_index();
    make_store();
    auto account = open();
    EXPECT_LT(read_all(account), 20U);
    account.reset();
    stop();  // in order: the index is that of the rest
    if (number == last) fs::remove(segment(last));
    fs::rename(fs::path(base_) / "elsewhere", segment(number));
    make_store();
    account = open();
    EXPECT_EQ(read_all(account), 20U);
    account.reset();
    stop();
    for (const auto& name : quarantine()) fs::remove_all(dir() / "quarantine" / name);
  }
  make_store();
}

// The account went on without them, from an older end.
TEST_F(DamageTest, SegmentsOfAnotherPastAreLeftOut) {
  fill(8);
  const auto copy = [&] {
    std::map<int, std::string> all;
    for (int n = 1; n <= last_segment(); n++) all[n] = slurp(segment(n));
    return all;
  };
  const auto older = copy();
  make_store();
  auto account = open();
  for (int i = 0; i < 20; i++)
    must(account->append(inbox(account), messages({"then " + std::string(1000, 'x')})));
  account.reset();
  stop();
  const auto newer = copy();
  ASSERT_GT(newer.size(), older.size() + 2);
  const auto put = [&](int number, const std::string& bytes) {
    spew(segment(number), bytes);
    own(dir() / "journal");
  };
  remove_index();
  for (const auto& [number, bytes] : newer) fs::remove(segment(number));
  for (const auto& [number, bytes] : older) put(number, bytes);
  make_store();
  account = open();
  // More records than the first of the newer segments begins after.
  for (int i = 0; i < 6; i++) must(account->append(inbox(account), messages({"other"})));
  const size_t messages_now = read_all(account);
  account.reset();
  stop();
  std::vector<int> back;
  for (const auto& [number, bytes] : newer) {
    if (fs::exists(segment(number))) continue;
    put(number, bytes);
    back.push_back(number);
    break;
  }
  ASSERT_EQ(back.size(), 1U);
  EXPECT_NE(found().find("begins before the segment before it ends; move it out of the account"),
            std::string::npos)
      << found();
  for (int round = 0; round < 2; round++) {
    heard_.text.clear();
    make_store();
    account = open();
    if (round == 0) expect_heard("begins before the segment before it ends: it is not used now");
    EXPECT_EQ(read_all(account), messages_now + static_cast<size_t>(round));
    must(account->append(inbox(account), messages({"new"})));
    account.reset();
    round == 0 ? crash() : stop();
  }
  for (const int number : back) fs::remove(segment(number));
  make_store();
  EXPECT_EQ(read_all(open()), messages_now + 2);
  stop();
  for (const auto& name : quarantine()) fs::remove_all(dir() / "quarantine" / name);
  EXPECT_EQ(found(), "");
  make_store();
}

// The index that was made with it lists mail that nobody can read.
TEST_F(DamageTest, AnIndexIsNotBelievedThatWasMadeOfMoreSegments) {
  fill();
  fs::remove(segment(3));
  make_store();
  auto account = open();
  const size_t listed = account->find("INBOX")->messages + account->find("Work/x")->messages;
  EXPECT_LT(listed, 20U);
  EXPECT_EQ(read_all(account), listed);
  sound_at_end_ = false;
}

TEST_F(DamageTest, ForeignSegmentsDoNotTakeTheAccountOver) {
  segment_bytes_ = 64 << 20;
  make_store();
  const auto before = fill(5);
  ASSERT_EQ(last_segment(), 1);
  segment_bytes_ = 8192;
  make_store();
  {
    auto other = must(store_->open("other"));
    for (int i = 0; i < 30; i++)
      must(other->append(inbox(other), messages({std::string(1000, 'o')})));
  }
  stop();
  for (int number = 2; number < 5; number++)
    fs::copy_file(dir("other") / fmt::format("journal/{:08}", number), segment(number));
  for (const bool indexed : {true, false}) {
    if (!indexed) remove_index();
    heard_.text.clear();
    make_store();
    auto account = open();
    expect_same(account, before);
    EXPECT_EQ(read_all(account), 5U);
    expect_heard("00000003 belongs to another account");
    account.reset();
    stop();
    EXPECT_NE(found().find("00000002: belongs to another account"), std::string::npos) << found();
    EXPECT_EQ(found().find("00000001"), std::string::npos) << found();
  }
  for (int number = 2; number < 5; number++) fs::remove(segment(number));
  EXPECT_EQ(found(), "");
  check_at_end_.erase("other");
  make_store();
}

// Each segment says whose it is.
TEST_F(DamageTest, ASwappedAccountIsNoticedWithoutItsFirstSegment) {
  fill();
  fs::remove(segment(1));
  remove_index();
  make_store();
  make_account("other");
  fs::remove_all(dir("other"));
  fs::rename(dir(), dir("other"));
  make_store();
  const auto opened = run(loop_, store_->open("other"));
  ASSERT_FALSE(opened);
  EXPECT_TRUE(opened.error().detail().contains("holds the mail of \"foo\", whose place is "))
      << opened.error().detail();
  check_at_end_.clear();
}

// As the files are before and after; locks and times do not count.
std::map<std::string, std::string> all_files(const fs::path& account) {
  std::map<std::string, std::string> all;
  for (const auto& e : fs::recursive_directory_iterator(account))
    all[e.path().string()] = e.is_regular_file() ? slurp(e.path()) : "";
  return all;
}

// Of another user's mail nothing is mended, cut, removed or moved.
TEST_F(DamageTest, ARefusedOpeningChangesNothing) {
  fill();
  make_store();
  make_account("other");
  check_at_end_.clear();
  fs::remove_all(dir("other"));
  fs::rename(dir(), dir("other"));
  const auto there = dir("other");
  const fs::path last = there / fmt::format("journal/{:08}", [&] {
                          int number = 0;
                          for (const auto& e : fs::directory_iterator(there / "journal"))
                            number = std::max(number, std::stoi(e.path().filename().string()));
                          return number;
                        }());
  for (const char* what : {"sound", "index lost", "torn", "a header", "a name", "a compaction"}) {
    SCOPED_TRACE(what);
    const std::string_view is = what;
    if (is == "index lost") fs::remove(there / "meta.gdbm");
    if (is == "torn") {
      std::string bytes = slurp(last);
      bytes.resize(bytes.size() - 20);
      spew(last, bytes + std::string(1000, '\0'));
    }
    if (is == "a header") {
      std::string bytes = slurp(there / "journal/00000001");
      bytes[3] ^= 1;
      spew(there / "journal/00000001", bytes);
    }
    if (is == "a name") fs::rename(there / "journal/00000002", there / "journal/00000077");
    if (is == "a compaction") spew(there / "journal/00000001.new", "x");
    const auto before = all_files(there);
    make_store();
    const auto opened = run(loop_, store_->open("other"));
    ASSERT_FALSE(opened);
    EXPECT_NE(opened.error().detail().find("rims-ctl account rename foo other"), std::string::npos)
        << opened.error().detail();
    stop();
    EXPECT_TRUE(all_files(there) == before);
  }
  // It is all there in its place.
  fs::rename(there, dir());
  make_store();
  auto account = open();
  EXPECT_EQ(read_all(account), 20U);
  sound_at_end_ = false;
}

TEST_F(DamageTest, WhatIsNoneOfItsSegmentsIsLeftAlone) {
  fill();
  make_store();
  make_account("other");
  const int last = last_segment();
  for (const bool foreign : {false, true}) {
    SCOPED_TRACE(foreign);
    const auto stray = segment(last_segment() + 1);
    const auto from = foreign ? dir("other") / "journal/00000001" : segment(last_segment());
    fs::copy_file(from, stray);
    const std::string bytes = slurp(stray);
    heard_.text.clear();
    make_store();
    auto account = open();
    ASSERT_TRUE(account);
    expect_heard(foreign ? "belongs to another account" : "is a second copy of");
    const auto there = read_all(account);
    for (int i = 0; i < 30; i++)  // new segments pass its name over
      must(account->append(inbox(account), messages({std::string(1000, 'n')})));
    EXPECT_GT(last_segment(), last + 2);
    EXPECT_EQ(slurp(stray), bytes);
    account.reset();
    stop();
    EXPECT_NE(found().find("move it"), std::string::npos) << found();
    fs::remove(stray);
    EXPECT_EQ(found(), "") << "nothing is missing between the others";
    make_store();
    account = open();
    EXPECT_EQ(read_all(account), there + 30);
    account.reset();
    stop();
  }
  check_at_end_.erase("other");
  make_store();
}

}  // namespace
}  // namespace rims::store
