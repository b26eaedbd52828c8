// tests/maintenance/backup_test.cc - backups of accounts in files: what is copied, kept, refused,
// found

#include "common/maintenance/backup.h"

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <random>
#include <set>
#include <unistd.h>

#include <fmt/format.h>

#include "common/journal/reader.h"
#include "common/maintenance/backup_files.h"
#include "tests/account/fixture.h"

namespace rims::store {
namespace {

namespace fs = std::filesystem;

std::string slurp(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}
void spew(const fs::path& path, const std::string& bytes) {
  std::ofstream(path, std::ios::binary | std::ios::trunc) << bytes;
}

class BackupTest : public StoreTest {
 protected:
  void SetUp() override {
    // In memory where there is room: very many flushes, and none is tested.
    std::string name = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";
    name += "/rims-backup-XXXXXX";
    top_ = mkdtemp(name.data());
    fs::create_directory(top_ / "mail");
    StoreTest::SetUp();
  }
  void TearDown() override {
    StoreTest::TearDown();
    fs::remove_all(top_);
  }
  Options options() override {
    Options o;
    o.base = *open_base(base_or((top_ / "mail").string()));
    o.idle_close = Milliseconds(600'000);
    o.segment_bytes = segment_bytes_;
    o.clock = [this] { return now_; };
    return o;
  }
  std::string base_or(const std::string& path) const { return base_.empty() ? path : base_; }
  static std::string account_id() { return unique_user_id("foo"); }
  static fs::path account_in(const fs::path& base) {
    const std::string id = account_id();
    return base / "mailbox.3" / id.substr(0, 2) / id.substr(2);
  }
  fs::path source() const { return account_in(top_ / "mail"); }
  fs::path target() const { return top_ / "backup" / account_id(); }
  Result<BackupReport> try_backup() {
    const auto base = open_base((top_ / "mail").string());
    return back_up(*base, {.directory = (top_ / "backup").string(),
                           .account = account_id(),
                           .user = "foo",
                           .progress = {},
                           .clock = [this] { return now_; }});
  }
  BackupReport backup() {
    auto done = try_backup();
    EXPECT_TRUE(done) << done.error().detail();
    return done ? *std::move(done) : BackupReport();
  }
  std::vector<std::string> problems() {
    auto checked = verify_backup(target().string(), {});
    EXPECT_TRUE(checked) << checked.error().detail();
    return checked ? checked->problems : std::vector<std::string>{"can not be read"};
  }
  void add(const std::shared_ptr<Account>& account, int from, int count, size_t size = 300) {
    for (int i = from; i < from + count; i++)
      must(account->append(inbox(account),
                           messages({"message " + std::to_string(i) + std::string(size, 'x')})));
  }
  // What the backup is as an account, in a base directory of its own.
  AccountState state_of_backup() {
    const fs::path copy = account_in(top_ / "copy");
    fs::remove_all(top_ / "copy");
    fs::create_directories(copy);
    fs::copy(target() / "journal", copy / "journal");
    Options o = options();
    o.base = *open_base((top_ / "copy").string());
    Store store(loop_, pool_, std::move(o));
    auto account = must(store.open("foo"));
    EXPECT_EQ(must(account->check()), std::vector<std::string>());
    AccountState state = *must(account->whole_state());
    account.reset();
    run(loop_, store.close_all());
    return state;
  }
  // Rewrites a sealed segment as a compaction does: another key, bodies of some uids dropped. With
  // `others` its records are not what they were.
  void compact(uint32_t number, const std::set<uint32_t>& drop, bool others = false) {
    const fs::path path = source() / ("journal/" + segment_name(number));
    const std::string bytes = slurp(path);
    const ReadAt read = [&](uint64_t offset, size_t size) -> Result<std::string> {
      return offset < bytes.size() ? bytes.substr(offset, size) : std::string();
    };
    SegmentHeader header;
    ASSERT_EQ(decode(bytes, header), HeaderState::good);
    const auto scan = scan_segment(read, bytes.size(), header, false);
    ASSERT_TRUE(scan && scan->sealed);
    header.segment[0] ^= 0xff;
    std::string out = encode(header);
    std::vector<Entry> entries;
    for (Entry e : scan->entries) {
      const auto append =
          e.header.type == RecordType::append ? Append::decode(e.meta) : std::nullopt;
      std::string parts =
          bytes.substr(e.offset + kRecordHeader + e.header.meta, e.header.aux + e.header.body);
      if (append && drop.contains(append->entry.uid.value)) {
        e.header.aux = 0;
        e.header.body = 0;
        e.header.flags = 1;
        parts.clear();
      }
      const std::string_view all = parts;
      if (others) e.header.id[0] ^= 1;
      e.header.meta_sum = checksum(header.segment, e.meta);
      e.header.aux_sum = checksum(header.segment, all.substr(0, e.header.aux));
      e.header.body_sum = checksum(header.segment, all.substr(e.header.aux));
      e.offset = out.size();
      out.resize(out.size() + kRecordHeader);
      encode(e.header, header.segment, out.data() + e.offset);
      out += e.meta;
      out += parts;
      out.resize(e.offset + e.header.total());
      entries.push_back(e);
    }
    const Id unique{};
    out += encode_footer(entries, out.size(), entries.back().header.seq, header, unique);
    spew(path, out);
  }

  fs::path top_;
  std::string base_;
  uint64_t segment_bytes_ = 64 << 20;
  int64_t now_ = 1'700'000'000;
};

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

TEST_F(BackupTest, EveryFlippedBitIsFound) {
  segment_bytes_ = 4096;
  make_store();
  auto account = open();
  add(account, 0, 8, 700);
  backup();
  size_t flips = 0;
  for (const std::string name : {"manifest.json", "journal/00000001", "journal/00000002"}) {
    const std::string good = slurp(target() / name);
    for (size_t at = 0; at < good.size(); at += 1 + at % 61) {
      std::string bad = good;
      bad[at] = static_cast<char>(bad[at] ^ 1 << at % 8);
      spew(target() / name, bad);
      auto checked = verify_backup(target().string(), {});
      EXPECT_TRUE(!checked || !checked->problems.empty()) << name << " at " << at;
      flips++;
    }
    spew(target() / name, good);
  }
  EXPECT_GT(flips, 200U);
  EXPECT_EQ(problems(), std::vector<std::string>());
  fs::remove(target() / "journal/00000001");
  EXPECT_EQ(problems().size(), 1U);
  // A file that was taken away because it is damaged is copied again.
  EXPECT_EQ(backup().notes.size(), 1U);
  EXPECT_EQ(problems(), std::vector<std::string>());
}

TEST_F(BackupTest, DamageInTheSourceIsToldAndTheRestIsCopied) {
  segment_bytes_ = 8192;
  make_store();
  auto account = open();
  add(account, 0, 30);
  std::string bytes = slurp(source() / "journal/00000001");
  bytes[bytes.find("message 2") + 20] ^= 1;
  spew(source() / "journal/00000001", bytes);
  const auto report = backup();
  ASSERT_EQ(report.damages.size(), 1U);
  EXPECT_NE(report.damages[0].find("journal/00000001 at offset"), std::string::npos);
  EXPECT_EQ(report.manifest.end.seq, account->modseq().value);
  auto checked = verify_backup(target().string(), {});
  ASSERT_TRUE(checked);
  EXPECT_EQ(checked->problems, std::vector<std::string>()) << "it is as it was copied";
  EXPECT_EQ(checked->damages.size(), 1U);
  account.reset();
  check_at_end_.clear();
}

TEST_F(BackupTest, ASourceThatWentBackGetsANewCopy) {
  auto account = open();
  add(account, 0, 5);
  account.reset();
  reopen();
  stop();
  fs::copy(source(), top_ / "old", fs::copy_options::recursive);
  make_store();
  account = open();
  add(account, 5, 5);
  backup();
  const std::string before = slurp(target() / "journal/00000001");
  account.reset();
  stop();
  fs::remove_all(source());
  fs::copy(top_ / "old", source(), fs::copy_options::recursive);
  make_store();
  account = open();
  add(account, 100, 12);
  const auto report = backup();
  ASSERT_EQ(report.notes.size(), 2U);
  EXPECT_NE(report.notes[0].find("it was set back"), std::string::npos) << report.notes[0];
  EXPECT_NE(report.notes[1].find(".aside-20231114T221320Z"), std::string::npos);
  EXPECT_EQ(slurp(target().string() + ".aside-20231114T221320Z/journal/00000001"), before);
  EXPECT_EQ(list_backups((top_ / "backup").string())->size(), 2U);
  EXPECT_EQ(problems(), std::vector<std::string>());
  EXPECT_EQ(state_of_backup().difference(snapshot(account)), "");
}

// "": there is none.
std::string first(const std::vector<std::string>& list) { return list.empty() ? "" : list.front(); }

TEST_F(BackupTest, WhatIsNotTheAccountThatWasBackedUpIsPutAside) {
  segment_bytes_ = 4096;
  make_store();
  auto account = open();
  add(account, 0, 30);
  backup();
  account.reset();
  stop();
  compact(1, {}, true);
  make_store();
  auto report = backup();
  EXPECT_EQ(report.notes.size(), 2U);
  EXPECT_TRUE(first(report.notes).contains("00000001 has other records than its earlier backup"))
      << first(report.notes);
  stop();
  fs::remove_all(source());
  make_store();
  account = open();
  report = backup();
  EXPECT_EQ(report.notes.size(), 2U);
  EXPECT_TRUE(first(report.notes).contains("is another account than the one that was backed up on"))
      << first(report.notes);
  EXPECT_EQ(list_backups((top_ / "backup").string())->size(), 3U);
  EXPECT_EQ(problems(), std::vector<std::string>());
}

TEST_F(BackupTest, ACopyThatIsDamagedIsNotContinued) {
  auto account = open();
  add(account, 0, 5);
  backup();
  std::string bytes = slurp(target() / "journal/00000001");
  bytes[bytes.find("message 2") + 20] ^= 1;
  spew(target() / "journal/00000001", bytes);
  add(account, 5, 1);
  const auto report = backup();
  EXPECT_TRUE(first(report.notes).contains("00000001 was damaged; copied again"));
  EXPECT_EQ(problems(), std::vector<std::string>());
  fs::resize_file(target() / "journal/00000001", 1500);
  EXPECT_TRUE(first(backup().notes).contains("00000001 is missing or too short; copied again"));
  EXPECT_EQ(problems(), std::vector<std::string>());
  EXPECT_EQ(state_of_backup().difference(snapshot(account)), "");
}

TEST_F(BackupTest, LostSegmentsOfTheAccountAreTold) {
  segment_bytes_ = 4096;
  make_store();
  auto account = open();
  add(account, 0, 30);
  const auto expected = snapshot(account);
  backup();
  account.reset();
  kill();
  check_at_end_.clear();
  fs::remove(source() / "journal/00000002");
  EXPECT_TRUE(first(backup().damages)
                  .contains("journal/00000002 is missing; the backup keeps its copy of it"));
  EXPECT_EQ(problems(), std::vector<std::string>());
  EXPECT_EQ(state_of_backup().difference(expected), "");
  fs::remove_all(top_ / "backup");
  std::string bytes = slurp(source() / "journal/00000003");
  bytes.replace(0, kFirstRecord, kFirstRecord, 'x');
  spew(source() / "journal/00000003", bytes);
  EXPECT_TRUE(first(backup().damages).contains("00000003: both headers are damaged; its records"));
}

// A segment is copied by what it says it is, as the next opening of the account would name it.
TEST_F(BackupTest, SegmentsOfAnotherAccountAndWithWrongNamesAreNoneOfTheirs) {
  segment_bytes_ = 4096;
  make_store();
  auto account = open();
  add(account, 0, 40);
  const auto expected = snapshot(account);
  auto other = open("bar");
  must(other->append(inbox(other), messages({"not foo's"})));
  account.reset();
  other.reset();
  kill();
  store_.reset();
  backup();
  const std::string bar = unique_user_id("bar");
  const fs::path strange = top_ / "mail/mailbox.3" / bar.substr(0, 2) / bar.substr(2) / "journal";
  const fs::path journal = source() / "journal";
  fs::rename(journal / "00000001", journal / "00000050");
  fs::copy(strange / "00000001", journal / "00000001");
  fs::rename(journal / "00000002", journal / "00000060");
  fs::rename(journal / "00000003", journal / "00000002");
  fs::rename(journal / "00000060", journal / "00000003");
  for (const bool again : {true, false}) {
    SCOPED_TRACE(again);
    if (!again) fs::remove_all(top_ / "backup");
    const auto report = backup();
    EXPECT_EQ(report.damages.size(), 1U);
    EXPECT_TRUE(first(report.damages).contains("journal/00000001 belongs to another account: not "))
        << first(report.damages);
    EXPECT_EQ(report.notes, std::vector<std::string>());
    EXPECT_EQ(problems(), std::vector<std::string>());
    EXPECT_EQ(state_of_backup().difference(expected), "");
  }
  fs::remove(journal / "00000001");
  make_store();
}

TEST_F(BackupTest, AJournalThatHasNoSegmentAnyMoreIsNotAnEmptyOne) {
  auto account = open();
  EXPECT_EQ(backup().damages, std::vector<std::string>());
  add(account, 0, 1);
  account.reset();
  stop();
  check_at_end_.clear();
  fs::remove_all(top_ / "backup");
  fs::remove(source() / "journal/00000001");
  EXPECT_TRUE(first(backup().damages).contains("journal has no segment, and there is an index"));
  make_store();
}

// Without an earlier backup, too: what is not there can not be restored.
TEST_F(BackupTest, ABackupThatLacksSegmentsSaysSo) {
  segment_bytes_ = 4096;
  make_store();
  auto account = open();
  add(account, 0, 40);
  account.reset();
  kill();
  check_at_end_.clear();
  fs::copy(top_ / "mail", top_ / "kept", fs::copy_options::recursive);
  uint64_t first_of[5] = {};
  for (uint32_t n = 1; n <= 4; n++) {
    SegmentHeader header;
    ASSERT_EQ(decode(slurp(source() / ("journal/" + segment_name(n))), header), HeaderState::good);
    first_of[n] = header.first_seq;
  }
  const struct {
    std::vector<uint32_t> lost;
    std::string text;
  } cases[] = {
      {{1}, fmt::format("records before {} are missing: segments before 00000002", first_of[2])},
      {{1, 2}, fmt::format("records before {} are missing: segments before 00000003", first_of[3])},
      {{3},
       fmt::format("records {} to {} are missing: segment 00000003", first_of[3], first_of[4] - 1)},
      {{2, 3},
       fmt::format("records {} to {} are missing: segments 00000002 to 00000003", first_of[2],
                   first_of[4] - 1)},
  };
  for (const auto& [lost, text] : cases) {
    for (const bool emptied : {false, true}) {
      SCOPED_TRACE(text);
      fs::remove_all(top_ / "mail");
      fs::remove_all(top_ / "backup");
      fs::copy(top_ / "kept", top_ / "mail", fs::copy_options::recursive);
      for (const uint32_t n : lost) {
        const auto path = source() / ("journal/" + segment_name(n));
        emptied ? fs::resize_file(path, 0) : static_cast<void>(fs::remove(path));
      }
      // Each run says so, not only the one that copies.
      for (int run = 0; run < 2; run++) {
        const auto damages = backup().damages;
        EXPECT_EQ(damages.size(), 1 + (emptied ? lost.size() : 0));
        EXPECT_NE(damages.back().find(text + ", and the backup has no copy of them; restore them "
                                             "from an earlier backup"),
                  std::string::npos)
            << damages.back();
      }
      const auto told = problems();
      ASSERT_EQ(told.size(), 1U);
      EXPECT_NE(told[0].find(text + ", as in the account when it was copied"), std::string::npos)
          << told[0];
    }
  }
  // A number that was skipped is no loss.
  fs::remove_all(top_ / "mail");
  fs::remove_all(top_ / "backup");
  fs::rename(top_ / "kept", top_ / "mail");
  uint32_t next = 1;
  while (fs::exists(source() / ("journal/" + segment_name(next)))) next++;
  fs::create_directory(source() / ("journal/" + segment_name(next)));
  make_store();
  account = open();
  add(account, 40, 40);
  account.reset();
  kill();
  fs::remove(source() / ("journal/" + segment_name(next)));
  ASSERT_TRUE(fs::exists(source() / ("journal/" + segment_name(next + 1))));
  EXPECT_EQ(backup().damages, std::vector<std::string>());
  EXPECT_EQ(problems(), std::vector<std::string>());
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

// --- while the account goes on ---

// Between any two system calls with which an account is read, something may happen to it.
class RestlessDisk final : public Disk {
 public:
  // Before the file of this name is opened; "": before something is read.
  std::function<void(std::string_view opened)> between;
  int open(int dir, const char* path, int flags, unsigned mode) override {
    happen(path);
    return Disk::open(dir, path, flags, mode);
  }
  ssize_t read(int fd, void* to, size_t size, off_t offset) override {
    happen("");
    return Disk::read(fd, to, size, offset);
  }

 private:
  void happen(std::string_view opened) {
    if (!between || std::exchange(inside_, true)) return;
    between(opened);
    inside_ = false;
  }
  bool inside_ = false;
};

class LiveBackupTest : public BackupTest {
 protected:
  void SetUp() override {
    segment_bytes_ = 4096;  // several rolls in each backup
    BackupTest::SetUp();
    account_ = open();
  }
  void TearDown() override {
    disk_.between = nullptr;
    account_.reset();
    BackupTest::TearDown();
  }
  // With what disk_.between does in the middle of it.
  auto back_up_live() {
    const auto base = open_base((top_ / "mail").string());
    return back_up(*base, {.directory = (top_ / "backup").string(),
                           .account = account_id(),
                           .user = "foo",
                           .progress = {},
                           .clock = [this] { return now_; },
                           .disk = &disk_});
  }
  size_t pick(size_t n) { return static_cast<size_t>(random_() % n); }
  // Appends, flags, expunges, compactions. Bytes of expunged messages are given back at once.
  void change() {
    switch (pick(8)) {
      default: {
        const std::string number = std::to_string(random_());
        append("message " + number + std::string(pick(900), 'x'));
        break;
      }
      case 0: {
        std::vector<Uid> some;
        for (const auto& e : must(account_->open_mailbox(inbox(account_)))->messages())
          if (pick(2) == 0) some.push_back(e.uid);
        must(account_->change_flags(inbox(account_), {.uids = some, .flags = kSeen}));
        break;
      }
      case 1: {
        std::vector<Uid> some;
        for (const auto& e : must(account_->open_mailbox(inbox(account_)))->messages())
          if (pick(4) != 0) some.push_back(e.uid);
        must(account_->expunge(inbox(account_), some));
        // Those that tell of it begin a segment of their own, and then the bytes go.
        if (pick(2) == 0) break;
        append(std::string(4096, 'y'));
        [[fallthrough]];
      }
      case 2:
        compact_now();
    }
  }
  void append(const std::string& bytes) {
    must(account_->append(inbox(account_), messages({bytes})));
    bytes_[must(account_->open_mailbox(inbox(account_)))->messages().back().message] = bytes;
  }
  void compact_now() {
    run(loop_, account_->compact({0, 0}, now_));
    compactions_++;
  }
  // The worst for a copy: all there was goes, its bytes too, and only a segment that begins now
  // tells of it.
  void strike() {
    append(std::string(4096, 'y'));
    std::vector<Uid> all;
    for (const auto& e : must(account_->open_mailbox(inbox(account_)))->messages())
      all.push_back(e.uid);
    must(account_->expunge(inbox(account_), all));
    append("the last of " + std::to_string(all.size()));
    compact_now();
  }
  // What is wrong with a journal that shall be one that the account had; "" when nothing is.
  std::string wrong(const fs::path& journal_above) {
    auto copy = JournalReader::at((journal_above / "journal").string());
    if (!copy) return copy.error().detail();
    std::string damages;
    const auto told = [&](const JournalDamage& d) { damages += to_string(d) + "; "; };
    const auto is = copy->fold({}, told);
    if (!is) return is.error().detail();
    if (!damages.empty()) return damages;
    const auto base = open_base((top_ / "mail").string());
    const auto was = JournalReader::open(*base, "foo")->fold({.seq = is->state.seq()});
    if (const auto differs = is->state.difference(was->state); !differs.empty()) return differs;
    for (const auto& [id, mailbox] : is->state.mailboxes()) {
      for (const auto& e : mailbox->messages()) {
        const auto place = is->places.find(e.message);
        if (place == is->places.end()) return "a message without its bytes";
        const auto bytes = copy->read(place->second, e.message, Part::message);
        if (!bytes) return bytes.error().detail();
        if (*bytes != bytes_[e.message]) return "a message with other bytes";
      }
    }
    return {};
  }

  RestlessDisk disk_;
  std::shared_ptr<Account> account_;
  std::mt19937 random_;
  std::map<MessageId, std::string> bytes_;
  size_t compactions_ = 0;
};

class SeededLiveBackupTest : public LiveBackupTest, public testing::WithParamInterface<unsigned> {};

TEST_P(SeededLiveBackupTest, IsAStateThatTheAccountHadWithEveryByte) {
  random_.seed(GetParam());
  // Some that nothing has expunged yet when the first copy is struck.
  for (int i = 0; i < 15; i++) change();
  for (int i = 0; i < 6; i++) append("unharmed " + std::to_string(i) + std::string(900, 'x'));
  size_t changes = 0;
  // The first copies all, the next ones what is new, also of segments that were compacted.
  for (int round = 0; round < 3; round++) {
    size_t left = 12, opened = 0;
    disk_.between = [&](std::string_view name) {
      // Once in the middle, always: after the directory was read and one segment was opened.
      if (segment_number(name) != 0 && ++opened == 2) strike();
      if (left == 0 || pick(6) != 0) return;
      left--;
      change();
      changes++;
    };
    const auto done = back_up_live();
    disk_.between = nullptr;
    ASSERT_TRUE(done) << done.error().detail();
    EXPECT_GT(opened, 2U);
    EXPECT_EQ(done->damages, std::vector<std::string>());
    EXPECT_EQ(done->notes, std::vector<std::string>());
    EXPECT_EQ(problems(), std::vector<std::string>());
    ASSERT_EQ(wrong(target()), "");
  }
  ASSERT_EQ(wrong(source()), "");
  std::printf("seed %u: 3 backups, %zu changes under them, %zu compactions\n", GetParam(), changes,
              compactions_);
}

// A copy that looks at the newest segment first, as no backup may: the above finds it out.
TEST_P(SeededLiveBackupTest, ACopyInTheWrongOrderIsNoticed) {
  random_.seed(GetParam());
  for (int i = 0; i < 15; i++) change();
  for (int i = 0; i < 6; i++) append("unharmed " + std::to_string(i) + std::string(900, 'x'));
  const fs::path copy = top_ / "naive";
  fs::create_directories(copy / "journal");
  std::set<fs::path, std::greater<>> segments;
  for (const auto& file : fs::directory_iterator(source() / "journal"))
    segments.insert(file.path());
  for (size_t copied = 0; const auto& segment : segments) {
    const std::string bytes = slurp(segment);
    spew(copy / "journal" / segment.filename(), bytes);
    if (++copied == 1) strike();
    for (int i = 0; i < 6; i++) change();
  }
  EXPECT_NE(wrong(copy), "");
}

INSTANTIATE_TEST_SUITE_P(Seeds, SeededLiveBackupTest, testing::Values(1U, 2U, 3U, 4U, 7U));

// Bytes go that a segment still has when the directory is listed, and one that was not there tells
// why.
TEST_F(LiveBackupTest, ASegmentThatBeginsAfterTheListingIsCopiedToo) {
  add(account_, 0, 8);
  bool struck = false;
  disk_.between = [&](std::string_view opened) {
    if (opened == "00000001" && !std::exchange(struck, true)) strike();
  };
  const auto done = back_up_live();
  ASSERT_TRUE(done) << done.error().detail();
  EXPECT_TRUE(struck);
  EXPECT_EQ(problems(), std::vector<std::string>());
  EXPECT_EQ(wrong(target()), "");
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
