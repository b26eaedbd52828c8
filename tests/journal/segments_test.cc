// tests/journal/segments_test.cc - one seam: the journal's writer and its readers over segments in
// memory do what they do over files

#include "common/journal/segments.h"

#include <fmt/format.h>

#include "common/journal/file_journal.h"
#include "common/journal/file_segments.h"
#include "common/journal/reader.h"
#include "tests/account/file_fixture.h"
#include "tests/support/memory_segments.h"

namespace rims::store {
namespace {

TEST(SegmentNames, AreEightDigits) {
  EXPECT_EQ(segment_name(7), "00000007");
  EXPECT_EQ(segment_number("00000007"), 7U);
  for (const char* none : {"0000007", "000000007", "0000000x", "00000007.new", "", "00000000"})
    EXPECT_EQ(segment_number(none), 0U) << none;
  EXPECT_TRUE(is_replacement(replacement_name(7)));
  for (const char* none : {"00000007", "0000000x.new", "x.new", ".new"})
    EXPECT_FALSE(is_replacement(none)) << none;
}

// Reads what another object's segments are.
class Borrowed final : public Segments {
 public:
  explicit Borrowed(Segments& segments) : segments_(segments) {}
  [[nodiscard]] const std::string& path() const override { return segments_.path(); }
  Result<std::vector<std::string>> names() override { return segments_.names(); }
  Result<SegmentFileRef> open(uint32_t number, Access a) override {
    return segments_.open(number, a);
  }
  Result<SegmentFileRef> create(uint32_t number) override { return segments_.create(number); }
  Result<SegmentFileRef> create_replacement(uint32_t number) override {
    return segments_.create_replacement(number);
  }
  Status replace(uint32_t number, SegmentFile& made) override {
    return segments_.replace(number, made);
  }
  Status remove(const std::string& name) override { return segments_.remove(name); }
  Status rename(uint32_t from, uint32_t to) override { return segments_.rename(from, to); }
  Status exchange(uint32_t one, uint32_t other) override { return segments_.exchange(one, other); }
  Status move_aside(const std::string& name, const std::string& to) override {
    return segments_.move_aside(name, to);
  }
  Status keep_copy(const std::string& name, std::string_view bytes) override {
    return segments_.keep_copy(name, bytes);
  }
  Status prepare() override { return segments_.prepare(); }
  Status sync() override { return segments_.sync(); }

 private:
  Segments& segments_;
};

class JournalsInMemory final : public JournalFactory {
 public:
  JournalsInMemory(Loop& loop, IoPool& pool) : loop_(loop), pool_(pool) {}
  Task<Result<std::unique_ptr<Journal>>> open(std::string user,
                                              std::shared_ptr<AccountDir>) override {
    co_return co_await open_journal(loop_, pool_, segments, std::move(user), false, 8192);
  }
  std::shared_ptr<MemorySegments> segments = std::make_shared<MemorySegments>();

 private:
  Loop& loop_;
  IoPool& pool_;
};

class SegmentsTest : public StoreTest {
 protected:
  Options options() override {
    Options o = StoreTest::options();
    o.journals = &journal_;
    o.expunge_retention = 0;
    o.compact_small = 0;
    return o;
  }
  MemorySegments& segments() { return *journal_.segments; }
  JournalReader reader() { return JournalReader(std::make_unique<Borrowed>(segments())); }
  // Without rule: all damages that a whole look finds.
  std::string damages() {
    std::string all;
    const JournalVisitor visitor{
        .segment = {},
        .record = {},
        .damage = [&](const JournalDamage& d) { all += to_string(d) + "\n"; },
        .foreign = {}};
    EXPECT_TRUE(reader().visit(visitor, {.thorough = true}));
    return all;
  }
  JournalsInMemory journal_{loop_, pool_};
};

TEST_F(SegmentsTest, AnAccountLivesInMemory) {
  auto account = open();
  for (int i = 0; i < 12; i++)
    must(
        account->append(inbox(account), messages({std::string(2000, static_cast<char>('a' + i))})));
  EXPECT_GT(segments().there.size(), 3U);
  const auto before = snapshot(account);
  EXPECT_EQ(damages(), "");
  auto reading = reader();
  const auto folded = reading.fold();
  ASSERT_TRUE(folded);
  EXPECT_EQ(folded->state.difference(before), "");
  for (const auto& [id, place] : folded->places)
    EXPECT_EQ(reading.read(place, id, Part::message), must(account->read(id)));

  // Killed in the middle of a write, and opened again.
  account.reset();
  kill();
  account = open();
  EXPECT_EQ(snapshot(account).difference(before), "");

  // A compaction puts another segment in the place of one that is open.
  const auto old = segments().there.at("00000002");
  const auto gone = before.mailbox("INBOX")->messages()[3].message;
  std::vector<Uid> most;
  for (const auto& e : before.mailbox("INBOX")->messages())
    if (e.uid.value <= 9) most.push_back(e.uid);
  must(account->expunge(inbox(account), most));
  run(loop_, account->compact({.retention = 0, .small = 0, .longest_pause = 0}, 2'000'000'000));
  EXPECT_NE(segments().there.at("00000002"), old);
  EXPECT_LT(segments().there.at("00000002")->size(), old->size());
  EXPECT_EQ(code(account->read(gone)), "EXPUNGEISSUED");
  EXPECT_EQ(must(account->read(before.mailbox("INBOX")->messages()[10].message)),
            std::string(2000, 'k'));
  EXPECT_EQ(damages(), "");
}

TEST_F(SegmentsTest, DamageIsKeptAndNamed) {
  auto account = open();
  must(account->append(inbox(account), messages({"one", "two"})));
  account.reset();
  stop();
  std::string& bytes = *segments().there.at("00000001");
  bytes[bytes.find("one", bytes.find("structure of one") + 16)] ^= 7;
  key_values_.files().clear();
  make_store();
  account = open();
  const auto list = must(account->open_mailbox(inbox(account)))->messages();
  ASSERT_EQ(list.size(), 2U);
  const auto hit = run(loop_, account->read(list[0].message));
  ASSERT_FALSE(hit);
  EXPECT_NE(hit.error().detail().find("memory/00000001 at offset"), std::string::npos)
      << hit.error().detail();
  EXPECT_EQ(must(account->read(list[1].message)), "two");
  account.reset();
  stop();
  segments().there["00000002"] = std::make_shared<std::string>(5000, 'x');
  make_store();
  account = open();
  EXPECT_EQ(segments().quarantine.size(), 1U);
  EXPECT_FALSE(segments().there.contains("00000002"));
  check_at_end_.clear();
}

}  // namespace
}  // namespace rims::store
