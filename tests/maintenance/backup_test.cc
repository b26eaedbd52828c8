// tests/maintenance/backup_test.cc - backups of accounts in files: what is copied, kept, refused,
// found

#include "tests/maintenance/backup_fixture.h"

namespace rims::store {
namespace {

TEST_F(BackupTest, IsTheAccountWhileItIsOpen) {
  auto account = open();
  add(account, 0, 20);
  must(account->change_flags(inbox(account), {.uids = uids({3, 5}), .flags = kSeen}));
  const auto report = backup();
  EXPECT_EQ(report.damages, std::vector<std::string>());
  EXPECT_EQ(report.notes, std::vector<std::string>());
  EXPECT_EQ(report.manifest.end.seq, account->modseq().value);
  EXPECT_EQ(report.manifest.end.time, 1'700'000'000U);
  EXPECT_EQ(problems(), std::vector<std::string>());
  EXPECT_EQ(state_of_backup().difference(snapshot(account)), "");
  // Only whole batches: the room ahead is not copied.
  EXPECT_LT(fs::file_size(target() / "journal/00000001"),
            fs::file_size(source() / "journal/00000001"));
  EXPECT_EQ(fs::status(target()).permissions(), fs::perms(0700));
  EXPECT_EQ(fs::status(target() / kManifestName).permissions(), fs::perms(0600));
  EXPECT_EQ(fs::status(target() / "journal/00000001").permissions(), fs::perms(0600));
}

TEST_F(BackupTest, TheSecondRunCopiesOnlyWhatIsNew) {
  segment_bytes_ = 4096;
  make_store();
  auto account = open();
  add(account, 0, 40);
  const auto first = backup();
  EXPECT_GT(first.manifest.segments.size(), 3U);
  EXPECT_EQ(first.segments_copied, first.manifest.segments.size());
  const auto second = backup();
  EXPECT_EQ(second.copied, 0U);
  EXPECT_EQ(second.segments_kept, second.manifest.segments.size());
  std::map<std::string, fs::file_time_type> times;
  for (const auto& f : fs::directory_iterator(target() / "journal"))
    times[f.path().filename()] = f.last_write_time();
  add(account, 40, 1);
  const auto third = backup();
  EXPECT_GT(third.copied, 300U);
  EXPECT_LT(third.copied, 2000U);
  for (const auto& s : first.manifest.segments)
    if (s.sealed) {
      const std::string name = segment_name(s.number);
      EXPECT_EQ(fs::last_write_time(target() / "journal" / name), times[name]) << name;
    }
  EXPECT_EQ(problems(), std::vector<std::string>());
  EXPECT_EQ(state_of_backup().difference(snapshot(account)), "");
}

// DIR may belong to the mail user, and root make the backup.
TEST_F(BackupTest, FollowsNoLinkBeneathItsDirectory) {
  make_store();
  auto account = open();
  add(account, 0, 1);
  fs::create_directories(top_ / "elsewhere");
  fs::create_directories(top_ / "backup");
  fs::create_directory_symlink(top_ / "elsewhere", target());
  const auto refused = try_backup();
  ASSERT_FALSE(refused);
  EXPECT_NE(
      refused.error().detail().find(target().string() + " is, or is beneath, a symbolic link"),
      std::string::npos)
      << refused.error().detail();
  EXPECT_TRUE(fs::is_empty(top_ / "elsewhere"));
  fs::remove(target());
  // The administrator's own link to DIR is another matter.
  fs::rename(top_ / "backup", top_ / "disk");
  fs::create_directory_symlink(top_ / "disk", top_ / "backup");
  backup();
  EXPECT_TRUE(fs::exists(top_ / "disk" / account_id() / "journal"));
}

TEST_F(BackupTest, ABatchThatIsNotWholeIsNotThereYet) {
  auto account = open();
  add(account, 0, 3);
  const auto good = backup();
  add(account, 3, 1);
  account.reset();
  kill();
  // The next append has arrived in part.
  const fs::path file = source() / "journal/00000001";
  const std::string bytes = slurp(file);
  const uint64_t whole = good.manifest.segments[0].size;
  for (const size_t count : {1, 50, 96, 120, 300}) {
    spew(file, bytes.substr(0, whole + count));
    const auto report = backup();
    EXPECT_EQ(report.manifest.end.seq, good.manifest.end.seq) << count;
    EXPECT_EQ(report.copied, 0U);
    EXPECT_EQ(report.damages, std::vector<std::string>());
  }
  spew(file, bytes);
  EXPECT_GT(backup().manifest.end.seq, good.manifest.end.seq);
  EXPECT_EQ(problems(), std::vector<std::string>());
}

TEST_F(BackupTest, AnInterruptedBackupGoesOn) {
  segment_bytes_ = 4096;
  make_store();
  auto account = open();
  add(account, 0, 30);
  backup();
  add(account, 30, 10);
  // As if killed after the copy of the tail and before the manifest, and while writing both.
  const std::string manifest = slurp(target() / kManifestName);
  backup();
  spew(target() / kManifestName, manifest);
  spew(target() / "manifest.json.new", "{\"rims_ba");
  spew(target() / "journal/00000009.new", "RIMS");
  EXPECT_EQ(problems(), std::vector<std::string>()) << "the earlier state holds";
  const auto report = backup();
  EXPECT_EQ(report.notes, std::vector<std::string>());
  EXPECT_EQ(problems(), std::vector<std::string>());
  EXPECT_EQ(state_of_backup().difference(snapshot(account)), "");
}

// As every version so far has written it.
constexpr const char* kGolden = R"({
  "rims_backup": 1,
  "user": "f\"o\\o é",
  "account": "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
  "account_id": "0102030405060708090a0b0c0d0e0f10",
  "made": 1700000000,
  "made_utc": "2023-11-14T22:13:20Z",
  "last": {
    "seq": 12,
    "id": "202122232425262728292a2b2c2d2e2f",
    "time": 1699999999,
    "time_utc": "2023-11-14T22:13:19Z",
    "segment": 2,
    "offset": 4096
  },
  "segments": [
    {"number": 1, "id": "404142434445464748494a4b4c4d4e4f", "source_id": "606162636465666768696a6b6c6d6e6f", "size": 8192, "sha256": "5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a", "from": 1, "to": 9, "records": 9, "sealed": true, "damaged": [{"offset": 128, "length": 64, "what": "record 3 (append): aux or body"}, {"offset": 512, "length": 8, "what": "the footer"}]},
    {"number": 2, "id": "808182838485868788898a8b8c8d8e8f", "source_id": "808182838485868788898a8b8c8d8e8f", "size": 4352, "sha256": "0101010101010101010101010101010101010101010101010101010101010101", "from": 10, "to": 12, "records": 3, "sealed": false, "damaged": []}
  ],
  "replacing": {
    "number": 2,
    "id": "808182838485868788898a8b8c8d8e8f",
    "source_id": "808182838485868788898a8b8c8d8e8f",
    "size": 4352,
    "sha256": "0101010101010101010101010101010101010101010101010101010101010101",
    "from": 10,
    "to": 12,
    "records": 3,
    "sealed": false,
    "damaged": []
  },
  "sha256": "c1627c246f30a43986b5e37db68f819b1e703a7da1063f910de417f868ae4bb8"
}
)";

TEST(BackupManifest, IsReadAndWrittenByteForByte) {
  const auto id = [](uint8_t from) {
    Id made{};
    for (uint8_t& byte : made) byte = from++;
    return made;
  };
  BackupManifest m;
  m.user = "f\"o\\o \xc3\xa9";
  m.account = std::string(64, 'a');
  m.account_id = id(1);
  m.made = 1'700'000'000;
  m.end = {.seq = 12, .id = id(32), .time = 1'699'999'999, .segment = 2, .offset = 4096};
  BackupSegment first{.number = 1, .id = id(64), .source_id = id(96), .size = 8192};
  first.sha256 = std::string(32, '\x5a');
  first.from = 1;
  first.to = first.records = 9;
  first.sealed = true;
  first.damages = {{128, 64, "record 3 (append): aux or body"}, {512, 8, "the footer"}};
  BackupSegment second{.number = 2, .id = id(128), .source_id = id(128), .size = 4352};
  second.sha256 = std::string(32, '\x01');
  second.from = 10;
  second.to = 12;
  second.records = 3;
  m.segments = {first, second};
  m.replacing = second;
  EXPECT_EQ(encode(m), kGolden);
  const auto read = decode_manifest(kGolden, "manifest.json");
  ASSERT_TRUE(read) << read.error().detail();
  EXPECT_EQ(*read, m);
}

TEST_F(BackupTest, ACompactionOfTheSourceDoesNotTakeAnythingFromTheBackup) {
  segment_bytes_ = 4096;
  make_store();
  auto account = open();
  add(account, 0, 30);
  backup();
  const std::string before = slurp(target() / "journal/00000001");
  must(account->expunge(inbox(account), uids({1, 2, 3})));
  account.reset();
  stop();
  compact(1, {1, 2, 3});
  make_store();
  const auto expected = snapshot(open());
  const auto report = backup();
  EXPECT_EQ(report.notes, std::vector<std::string>());
  EXPECT_EQ(report.damages, std::vector<std::string>());
  EXPECT_EQ(slurp(target() / "journal/00000001"), before);
  EXPECT_EQ(backup().copied, 0U);
  EXPECT_EQ(problems(), std::vector<std::string>());
  // Nor does the loss of a part of the copy: what is left of it stays.
  fs::resize_file(target() / "journal/00000001", before.find("message 1xxx") + 10);
  EXPECT_TRUE(first(backup().notes).contains("00000001 is missing or too short; copied again"));
  const std::string merged = slurp(target() / "journal/00000001");
  EXPECT_NE(merged.find("message 0xxx"), std::string::npos);
  EXPECT_EQ(merged.find("message 1xxx"), std::string::npos);
  EXPECT_EQ(problems(), std::vector<std::string>());
  EXPECT_EQ(backup().copied, 0U);
  EXPECT_EQ(state_of_backup().difference(expected), "");
}

TEST_F(BackupTest, ACompactionThatHasNewerRecordsIsMergedWithTheOlderCopy) {
  segment_bytes_ = 20'000;
  make_store();
  auto account = open();
  add(account, 0, 10);
  backup();
  must(account->expunge(inbox(account), uids({1, 2, 3})));
  add(account, 10, 60);
  const auto expected = snapshot(account);
  account.reset();
  kill();
  check_at_end_.clear();
  compact(1, {1, 2, 3});
  const auto report = backup();
  EXPECT_EQ(report.notes, std::vector<std::string>());
  EXPECT_EQ(report.damages, std::vector<std::string>());
  EXPECT_EQ(problems(), std::vector<std::string>());
  EXPECT_EQ(state_of_backup().difference(expected), "");
  const std::string merged = slurp(target() / "journal/00000001");
  for (const char* text : {"message 0xxx", "message 2xxx", "message 12xxx"})
    EXPECT_NE(merged.find(text), std::string::npos) << text;
  EXPECT_EQ(backup().copied, 0U);
}

// Killed between writing "it will be replaced" and replacing it, or right after.
TEST_F(BackupTest, AReplacementHalfDoneIsUnderstood) {
  segment_bytes_ = 20'000;
  make_store();
  auto account = open();
  add(account, 0, 10);
  auto manifest = backup().manifest;
  const std::string older = slurp(target() / "journal/00000001");
  add(account, 10, 60);
  account.reset();
  kill();
  check_at_end_.clear();
  compact(1, {});
  const auto after = backup().manifest;
  const std::string merged = slurp(target() / "journal/00000001");
  manifest.replacing = after.segments[0];
  spew(target() / kManifestName, encode(manifest));
  EXPECT_EQ(problems(), std::vector<std::string>());
  spew(target() / "journal/00000001", older);
  EXPECT_EQ(problems(), std::vector<std::string>());
  backup();
  EXPECT_EQ(problems(), std::vector<std::string>());
}
TEST_F(BackupTest, RefusesWhatItDoesNotKnow) {
  auto done = try_backup();
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().fault(), Fault::not_found);
  EXPECT_FALSE(fs::exists(target()));
  auto account = open();
  auto manifest = backup().manifest;
  std::string text = encode(manifest);
  text.replace(text.find("\"rims_backup\": 1"), 16, "\"rims_backup\": 2");
  spew(target() / kManifestName, text);
  done = try_backup();
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().code(), "VERSION");
  EXPECT_EQ(slurp(target() / kManifestName), text);
  // A manifest that can not be trusted: all of it is kept aside.
  spew(target() / kManifestName, "{}");
  EXPECT_EQ(backup().notes.size(), 2U);
  EXPECT_EQ(problems(), std::vector<std::string>());
}

TEST(BackupManifestTest, IsReadAsWritten) {
  crypto_init();
  BackupManifest m;
  m.user = "foo@example.org";
  m.account = unique_user_id("foo@example.org");
  m.account_id[3] = 7;
  m.made = 1'700'000'000;
  m.end = {.seq = 9, .id = {1, 2}, .time = 1'699'999'999, .segment = 2, .offset = 1024};
  m.segments = {{.number = 1,
                 .id = {4},
                 .source_id = {5},
                 .size = 123,
                 .sha256 = std::string(32, 'a'),
                 .from = 1,
                 .to = 8,
                 .records = 8,
                 .sealed = true,
                 .damages = {{1024, 96, "no record header"}}},
                {.number = 2, .sha256 = std::string(32, 'b')}};
  m.replacing = m.segments[0];
  const auto read = decode_manifest(encode(m), "x");
  ASSERT_TRUE(read) << read.error().detail();
  EXPECT_EQ(*read, m);
}

}  // namespace
}  // namespace rims::store