// tests/maintenance/restore_segments_test.cc - a journal made whole again from its backup

#include "common/maintenance/restore_segments.h"

#include <fmt/format.h>

#include "common/journal/account_dir.h"
#include "common/journal/file_segments.h"
#include "common/journal/reader.h"
#include "common/maintenance/backup.h"
#include "common/maintenance/inspect.h"
#include "tests/account/file_fixture.h"

namespace rims::store {
namespace {

class MendSegmentsTest : public FileTest {
 protected:
  void SetUp() override {
    quick_ = true;
    segment_bytes_ = 8192;
    FileTest::SetUp();
    log::set_sink(&heard_);
  }
  void TearDown() override {
    FileTest::TearDown();
    log::set_sink(nullptr);
  }
  fs::path segment(int number) const { return dir() / fmt::format("journal/{:08}", number); }
  fs::path copy_of(int number) const {
    return fs::path(base_) / "backup" / unique_user_id("foo") /
           fmt::format("journal/{:08}", number);
  }
  int last_segment() const {
    int last = 0;
    for (const auto& e : fs::directory_iterator(dir() / "journal"))
      last = std::max(last, std::stoi(e.path().filename().string()));
    return last;
  }
  void add(int count, const char* what) {
    auto account = open();
    for (int i = 0; i < count; i++) {
      const auto uids =
          must(account->append(inbox(account),
                               messages({fmt::format("{} {} ", what, i) + std::string(1000, 'x')})))
              .uids;
      must(account->change_flags(
          inbox(account), {.uids = uids, .op = FlagOp::add, .flags = kFlagged, .keywords = {}}));
    }
    account.reset();
    stop();
    make_store();
  }
  BackupManifest back_up_now() {
    auto done = back_up(*open_base(base_), {.directory = base_ + "/backup",
                                            .account = unique_user_id("foo"),
                                            .user = "foo",
                                            .progress = {},
                                            .clock = [this] { return now_; }});
    EXPECT_TRUE(done) << done.error().detail();
    return done ? done->manifest : BackupManifest();
  }
  // 20 messages, their backup, and 6 more.
  AccountState fill() {
    add(20, "mail");
    manifest_ = back_up_now();
    add(6, "later");
    auto account = open();
    auto state = snapshot(account);
    account.reset();
    stop();
    return state;
  }
  std::map<std::string, std::string> files() const {
    std::map<std::string, std::string> all;
    for (const auto& e : fs::recursive_directory_iterator(dir()))
      if (e.is_regular_file()) all[e.path().string()] = slurp(e.path());
    return all;
  }
  MendedSegments mend(bool dry_run = false) {
    const auto base = open_base(base_);
    const auto live = AccountDir::open(Disk::real(), base->get(), "foo", false);
    const auto backup = AccountDir::at(Disk::real(), base_ + "/backup/" + unique_user_id("foo"));
    EXPECT_TRUE(live && backup);
    FileSegments segments(*live), copies(*backup);
    bool changed = false;
    std::function<Status()> first;
    if (!dry_run)
      first = [&]() -> Status {
        EXPECT_FALSE(std::exchange(changed, true)) << "once";
        return set_dirty_flag(*live, true);
      };
    auto done = mend_segments(segments, copies, manifest_, std::move(first));
    EXPECT_TRUE(done) << done.error().detail();
    if (done && !dry_run) EXPECT_EQ(changed, !done->lines.empty());
    return done ? *std::move(done) : MendedSegments();
  }
  std::string damages() {
    const auto report = check_account(*open_base(base_), account_path("foo"), "FOO");
    EXPECT_TRUE(report);
    std::string all;
    for (const auto& f : report->findings)
      if (f.damage) all += to_string(f) + "\n";
    return all;
  }
  // All is as it was, and nothing more is said of damage.
  void expect_whole(const AccountState& before) {
    make_store();
    auto account = open();
    const auto now = snapshot(account);
    auto expected = before;
    expected.advance(now.seq());
    EXPECT_EQ(now.difference(expected), "");
    size_t read = 0;
    for (const auto& e : must(account->open_mailbox(inbox(account)))->messages())
      read += must(account->read(e.message)).ends_with("xxx");
    EXPECT_EQ(read, 26U);
    account.reset();
    stop();
    EXPECT_EQ(damages(), "");
  }
  // Where the first record of this type is in a segment, and how long it is.
  JournalRecord find(int number, RecordType type) {
    std::optional<JournalRecord> found;
    auto reader = JournalReader::open(*open_base(base_), "foo");
    EXPECT_TRUE(reader && reader->visit({.record = [&](const JournalRecord& r) {
      if (static_cast<int>(r.place.location.segment) == number && r.header.type == type && !found)
        found = r;
      return true;
    }}));
    EXPECT_TRUE(found);
    return found.value_or(JournalRecord());
  }
  static void overwrite(const fs::path& path, uint64_t at, const std::string& bytes) {
    std::fstream file(path, std::ios::binary | std::ios::in | std::ios::out);
    file.seekp(static_cast<std::streamoff>(at));
    file << bytes;
  }

  Heard heard_;
  BackupManifest manifest_;
};

TEST_F(MendSegmentsTest, WhatTheBackupHasComesBackAsItWas) {
  const auto before = fill();
  ASSERT_GT(last_segment(), 4);
  const auto append = find(2, RecordType::append);
  const auto flags = find(3, RecordType::flags);
  const auto last = manifest_.segments.back();
  const std::pair<const char*, std::function<void()>> damages_of[] = {
      {"missing", [&] { fs::remove(segment(2)); }},
      {"the first one", [&] { fs::remove(segment(1)); }},
      {"two", [&] { fs::remove(segment(2)), fs::remove(segment(3)); }},
      {"headless", [&] { overwrite(segment(2), 0, std::string(kFirstRecord, 'x')); }},
      {"empty", [&] { fs::resize_file(segment(2), 0); }},
      {"cut", [&] { fs::resize_file(segment(2), fs::file_size(segment(2)) / 2); }},
      {"cut to its header", [&] { fs::resize_file(segment(2), kFirstRecord); }},
      {"cut between two records",
       [&] { fs::resize_file(segment(3), flags.place.location.offset); }},
      {"a message",
       [&] { overwrite(segment(2), append.place.location.offset + kRecordHeader + 300, "?????"); }},
      {"a header",
       [&] { overwrite(segment(3), flags.place.location.offset, std::string(64, 'h')); }},
      {"its footer",
       [&] { overwrite(segment(2), fs::file_size(segment(2)) - 300, std::string(16, 'h')); }},
      {"its trailer", [&] { overwrite(segment(2), fs::file_size(segment(2)) - 20, "h"); }},
      {"cut off", [&] { fs::resize_file(segment(2), fs::file_size(segment(2)) - 36); }},
      {"many",
       [&] {
         overwrite(segment(2), append.place.location.offset, std::string(3000, 'h'));
         fs::remove(segment(1));
       }},
      {"where the backup ends",
       [&] {
         overwrite(segment(static_cast<int>(last.number)), kFirstRecord + 200,
                   std::string(100, 'h'));
       }},
  };
  const auto sound = files();
  for (const auto& [what, damage] : damages_of) {
    SCOPED_TRACE(what);
    damage();
    EXPECT_NE(damages(), "");
    const auto hurt = files();
    const auto would = mend(true);
    EXPECT_TRUE(files() == hurt) << "a dry run changes nothing";
    const auto done = mend();
    EXPECT_EQ(done.lines.size(), would.lines.size());
    EXPECT_GT(done.lines.size(), 0U);
    EXPECT_EQ(done.problems, std::vector<std::string>());
    fs::remove_all(dir() / "quarantine");  // what was moved aside
    expect_whole(before);
    EXPECT_EQ(mend().lines, std::vector<std::string>());
    for (const auto& e : fs::directory_iterator(dir())) fs::remove_all(e.path());
    fs::create_directory(dir() / "journal");
    for (const auto& [path, bytes] : sound) spew(path, bytes);
    own(dir());
  }
  make_store();
}

TEST_F(MendSegmentsTest, WhatIsDamagedInTheBackupToo) {
  fill();
  const auto append = find(2, RecordType::append);
  const uint64_t body = append.place.location.offset + kRecordHeader + 300;
  overwrite(segment(2), body, "?????");
  const auto hurt = files();
  // The copy is not what it was when it was made.
  overwrite(copy_of(2), body, "!");
  EXPECT_EQ(mend().lines, std::vector<std::string>());
  EXPECT_TRUE(files() == hurt);
  // It was damaged when it was copied.
  fs::remove_all(base_ + "/backup");
  manifest_ = back_up_now();
  EXPECT_EQ(mend().lines, std::vector<std::string>());
  EXPECT_TRUE(files() == hurt);
  // A second damage is mended; the bytes of the first are kept.
  fs::remove_all(base_ + "/backup");
  manifest_ = back_up_now();
  const auto flags = find(2, RecordType::flags);
  overwrite(segment(2), flags.place.location.offset, std::string(64, 'h'));
  const auto done = mend();
  ASSERT_EQ(done.lines.size(), 1U);
  EXPECT_NE(done.lines[0].find("00000002 was mended from the backup"), std::string::npos);
  ASSERT_EQ(done.problems.size(), 1U);
  EXPECT_NE(done.problems[0].find("left out"), std::string::npos) << done.problems[0];
  bool kept = false;
  for (const auto& e : fs::directory_iterator(dir() / "quarantine"))
    kept = kept || slurp(e.path()).find("?????") != std::string::npos;
  EXPECT_TRUE(kept);
  sound_at_end_ = false;
  make_store();
}

// The backup has its beginning. With that in its place nobody would know of the rest; without, the
// next opening writes a gap, and messages are restored as new ones.
TEST_F(MendSegmentsTest, WhatGotMoreRecordsAfterTheBackupIsNotPutBack) {
  [[maybe_unused]] const auto before = fill();
  const auto& last = manifest_.segments.back();
  ASSERT_FALSE(last.sealed);
  make_store();
  add(6, "latest");
  stop();
  ASSERT_GT(last_segment(), static_cast<int>(last.number));
  fs::remove(segment(static_cast<int>(last.number)));
  EXPECT_EQ(mend().lines, std::vector<std::string>());
  EXPECT_FALSE(fs::exists(segment(static_cast<int>(last.number))));
  make_store();
  auto account = open();
  EXPECT_FALSE(account->can_tell_since(ModSeq(last.to + 1)));
  sound_at_end_ = false;
}

// An older copy of the last segment, whole in itself: nobody knows how many numbers were given out
// after the backup, so its messages come as those of a missing one.
TEST_F(MendSegmentsTest, AnOlderLastSegmentIsNotCompleted) {
  add(1, "mail");
  const int last = last_segment();
  const std::string older = slurp(segment(last));
  add(8, "later");
  stop();
  ASSERT_GT(last_segment(), last);
  manifest_ = back_up_now();
  for (int i = last_segment(); i > last; i--) fs::remove(segment(i));
  for (const bool damaged : {false, true}) {
    spew(segment(last), older);
    if (damaged) overwrite(segment(last), kFirstRecord + 200, std::string(100, 'h'));
    EXPECT_EQ(mend().lines, std::vector<std::string>()) << damaged;
  }
  sound_at_end_ = false;
  make_store();
}

TEST_F(MendSegmentsTest, NothingIsPutWhereItDoesNotBelong) {
  fill();
  // The last one: nobody knows what was given out after the backup.
  const int last = last_segment();
  const auto full = files();
  manifest_ = back_up_now();
  fs::remove(segment(last));
  EXPECT_EQ(mend().lines, std::vector<std::string>());
  for (const auto& [path, bytes] : full) spew(path, bytes);
  own(dir());
  // Of another account.
  fs::remove(segment(2));
  auto right = manifest_;
  manifest_.account_id[0] ^= 1;
  EXPECT_EQ(mend().lines, std::vector<std::string>());
  manifest_ = right;
  // What the server can not open needs another remedy.
  fs::create_symlink("nowhere", segment(2));
  EXPECT_EQ(mend().lines, std::vector<std::string>());
  fs::remove(segment(2));
  // A copy that is gone, or cut.
  const std::string bytes = slurp(copy_of(2));
  fs::resize_file(copy_of(2), bytes.size() - 8);
  EXPECT_EQ(mend().lines, std::vector<std::string>());
  fs::remove(copy_of(2));
  EXPECT_EQ(mend().lines, std::vector<std::string>());
  spew(copy_of(2), bytes);
  EXPECT_EQ(mend().lines.size(), 1U);
  make_store();
}

}  // namespace
}  // namespace rims::store
