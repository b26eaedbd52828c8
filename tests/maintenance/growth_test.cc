// tests/maintenance/growth_test.cc - an account across versions of rims: records of a future
// program, segments that begin with what is not mail, and whose mail it is

#include <cstring>

#include "common/journal/account_dir.h"
#include "common/journal/reader.h"
#include "common/journal/segment.h"
#include "common/maintenance/backup.h"
#include "common/maintenance/check.h"
#include "common/maintenance/inspect.h"
#include "tests/account/file_fixture.h"

namespace rims::store {
namespace {

class GrowthTest : public FileTest {
 protected:
  GrowthTest() { segment_bytes_ = 8000; }
  fs::path segment(uint32_t number) { return dir() / fmt::format("journal/{:08}", number); }
  uint32_t last_segment() {
    uint32_t number = 1;
    while (fs::exists(segment(number + 1))) number++;
    return number;
  }
  // Puts a record behind the last one, as another program would have written it.
  void put(RecordType type, uint8_t version, const std::string& meta) {
    const fs::path path = segment(last_segment());
    std::string bytes = slurp(path);
    SegmentHeader header;
    ASSERT_EQ(decode(bytes, header), HeaderState::good);
    const ReadAt read = [&](uint64_t offset, size_t size) -> Result<std::string> {
      return offset < bytes.size() ? bytes.substr(offset, size) : std::string();
    };
    const auto scan = scan_segment(read, bytes.size(), header, true);
    ASSERT_TRUE(scan && !scan->sealed);
    RecordHeader h;
    h.type = type;
    h.version = version;
    h.meta = static_cast<uint32_t>(meta.size());
    h.seq = h.batch_first = scan->last_seq + 1;
    h.batch_count = 1;
    h.time = static_cast<uint32_t>(now_);
    h.meta_sum = checksum(header.segment, meta);
    h.aux_sum = h.body_sum = checksum(header.segment, {});
    std::string record(kRecordHeader, '\0');
    encode(h, header.segment, record.data());
    record += meta;
    record.resize(h.total() + kRecordAlign);
    if (bytes.size() < scan->end + record.size()) bytes.resize(scan->end + record.size());
    bytes.replace(scan->end, record.size(), record);
    spew(path, bytes);
  }
  std::vector<JournalRecord> records(std::vector<std::string>& metas, const std::string& journal) {
    std::vector<JournalRecord> all;
    auto reader = JournalReader::at(journal);
    EXPECT_TRUE(reader);
    EXPECT_TRUE(reader->visit({.segment = {},
                               .record =
                                   [&](const JournalRecord& record) {
                                     all.push_back(record);
                                     metas.emplace_back(record.meta);
                                     return true;
                                   },
                               .damage = [](const JournalDamage& d) { ADD_FAILURE() << d.what; },
                               .foreign = {}}));
    return all;
  }
  size_t from_the_future(const std::string& journal) {
    std::vector<std::string> metas;
    size_t found = 0;
    const auto all = records(metas, journal);
    for (size_t i = 0; i < all.size(); i++)
      if (all[i].header.type == kFuture && metas[i] == "of another time") found++;
    return found;
  }
  std::string findings() {
    const auto base = open_base(base_);
    const auto report = check_account(*base, account_path("foo"), "FOO");
    EXPECT_TRUE(report);
    std::string all;
    for (const auto& f : report->findings) all += to_string(f) + "\n";
    return all;
  }
  static constexpr auto kFuture = static_cast<RecordType>(kIgnorable | 5);
};

TEST_F(GrowthTest, ARecordThatMayBeLeftOutIsSkippedAndKeptByCompactionAndBackup) {
  auto account = open();
  must(account->append(inbox(account), messages({std::string(2500, 'a'), std::string(2500, 'b')})));
  account.reset();
  crash();
  put(kFuture, 3, "of another time");
  make_store();
  account = open();
  for (int i = 0; i < 6; i++)
    must(account->append(inbox(account), messages({std::string(1500, 'c')})));
  must(account->expunge(inbox(account), uids({1, 2})));
  run(loop_, account->compact({.retention = 0, .small = 1}, now_));
  EXPECT_EQ(code(account->read(MessageId(1))), "EXPUNGEISSUED") << "it was compacted";
  EXPECT_EQ(must(account->open_mailbox(inbox(account)))->messages().size(), 6U);
  account.reset();
  stop();
  EXPECT_EQ(from_the_future((dir() / "journal").string()), 1U);
  EXPECT_EQ(findings(), "");
  const auto base = open_base(base_);
  const auto done = back_up(*base, {.directory = base_ + "/backup",
                                    .account = unique_user_id("foo"),
                                    .user = "foo",
                                    .progress = {},
                                    .clock = [this] { return now_; }});
  ASSERT_TRUE(done) << done.error().detail();
  EXPECT_EQ(from_the_future(base_ + "/backup/" + unique_user_id("foo") + "/journal"), 1U);
  make_store();
}

TEST_F(GrowthTest, ARequiredRecordThatIsNotKnownKeepsTheProgramAway) {
  auto account = open();
  must(account->append(inbox(account), messages({"one"})));
  account.reset();
  crash();
  put(static_cast<RecordType>(77), 1, "needed");
  make_store();
  const auto refused = run(loop_, store_->open("foo"));
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().detail().find("which this program does not know"), std::string::npos)
      << refused.error().detail();
  EXPECT_NE(findings().find("use the version of rims that wrote it"), std::string::npos);
  check_at_end_.clear();
}

// Segments of a program of a later format are looked at before anything is touched.
TEST_F(GrowthTest, AnAccountOfALaterFormatIsNotTouchedAndTheVersionIsNamed) {
  auto account = open();
  for (int i = 0; i < 6; i++)
    must(account->append(inbox(account), messages({std::string(1500, 'c')})));
  account.reset();
  crash();
  ASSERT_GT(last_segment(), 1U);
  const fs::path path = segment(last_segment());
  std::string bytes = slurp(path);
  SegmentHeader header;
  ASSERT_EQ(decode(bytes, header), HeaderState::good);
  header.version = kJournalVersion + 1;
  header.program = "7.5.1";
  bytes.replace(0, kFirstRecord, encode(header));
  spew(path, bytes);
  // One of the headers of an earlier segment would be mended.
  std::string first = slurp(segment(1));
  first[kSegmentHeaderCopy + 20] ^= 1;
  spew(segment(1), first);
  make_store();
  const auto refused = run(loop_, store_->open("foo"));
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().detail().find("7.5.1"), std::string::npos) << refused.error().detail();
  EXPECT_EQ(slurp(path), bytes);
  EXPECT_EQ(slurp(segment(1)), first);
  EXPECT_FALSE(fs::exists(dir() / "quarantine"));
  check_at_end_.clear();
}

TEST_F(GrowthTest, EachSegmentBeginsWithASnapshotAndABatchSaysAgainWhatItSaysOfMailboxes) {
  auto account = open();
  for (int i = 0; i < 9; i++)
    must(account->append(inbox(account), messages({std::string(1500, 'c')})));
  must(account->create("Work"));
  account.reset();
  stop();
  std::vector<std::string> metas;
  const auto all = records(metas, (dir() / "journal").string());
  uint32_t segments = 0;
  for (const auto& record : all) {
    if (record.place.location.segment == segments) continue;
    segments = record.place.location.segment;
    EXPECT_EQ(record.header.type, RecordType::snapshot) << "segment " << segments;
  }
  EXPECT_GT(segments, 2U);
  for (size_t i = 0; i < all.size(); i++) {
    if (all[i].header.type != RecordType::mailbox_created) continue;
    const auto made = MailboxCreated::decode(metas[i]);
    bool again = false;
    for (size_t k = i + 1; k < all.size() && !again; k++) {
      if (all[k].header.type != RecordType::snapshot) continue;
      for (const auto& m : Snapshot::decode(metas[k])->mailboxes)
        again = again || (m.id == made->id && m.name == made->name);
    }
    EXPECT_TRUE(again) << made->name;
  }
  make_store();
}

// An account of the format before is written on in a segment of this one, from the next change on.
TEST_F(GrowthTest, AnOldAccountGoesOnInASegmentOfTheNewFormat) {
  fs::create_directories(dir("golden"));
  fs::copy(fs::path(RIMS_SOURCE_ROOT "/tests/data/store/v1-gap"), dir("golden") / "journal");
  own(dir("golden"));
  const std::string old = slurp(dir("golden") / "journal/00000002");
  auto account = open("golden");
  must(account->append(inbox(account), messages({"new"})));
  account.reset();
  crash();
  const std::string now = slurp(dir("golden") / "journal/00000002");
  EXPECT_EQ(now.substr(0, kFirstRecord), old.substr(0, kFirstRecord));
  SegmentHeader header;
  ASSERT_EQ(decode(slurp(dir("golden") / "journal/00000003"), header), HeaderState::good);
  EXPECT_EQ(header.version, kJournalVersion);
  EXPECT_FALSE(header.program.empty());
  make_store();
  account = open("golden");
  const auto mailbox = must(account->open_mailbox(inbox(account)));
  EXPECT_EQ(must(account->read(mailbox->messages().back().message)), "new");
}

TEST_F(GrowthTest, AnAccountInAnotherUsersPlaceIsRefusedAndNamed) {
  for (const char* user : {"foo", "bar"}) {
    auto account = open(user);
    must(account->append(inbox(account), messages({std::string("mail of ") + user})));
    account.reset();
  }
  stop();
  fs::rename(dir("foo"), base_ + "/aside");
  fs::rename(dir("bar"), dir("foo"));
  fs::rename(base_ + "/aside", dir("bar"));
  make_store();
  const auto refused = run(loop_, store_->open("foo"));
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().detail().find("\"bar\""), std::string::npos)
      << refused.error().detail();
  const std::string told = findings();
  EXPECT_NE(told.find("holds the mail of \"bar\""), std::string::npos) << told;
  check_at_end_.clear();
}

}  // namespace
}  // namespace rims::store
