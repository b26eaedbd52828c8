// tests/journal/reader_test.cc - a journal read as files: beside a writer, in the past, damaged

#include "common/journal/reader.h"

#include <atomic>
#include <fcntl.h>
#include <thread>

#include <fmt/format.h>

#include "tests/account/file_fixture.h"

namespace rims::store {
namespace {

class ReaderTest : public FileTest {
 protected:
  JournalReader reader(const std::string& user = "foo") {
    auto base = open_base(base_);
    EXPECT_TRUE(base);
    auto opened = JournalReader::open(*base, user);
    EXPECT_TRUE(opened) << opened.error().detail();
    if (!opened) std::abort();
    return *std::move(opened);
  }
  // Damages in words, of a whole visit.
  std::vector<std::string> damages(Walk walk = {}) {
    std::vector<std::string> all;
    const auto done = reader().visit(
        {.damage = [&](const JournalDamage& d) { all.push_back(to_string(d)); }}, walk);
    EXPECT_TRUE(done) << done.error().detail();
    return all;
  }
  // What the account is now; stays so, other than snapshot().
  AccountState folded() {
    auto now = reader().fold();
    EXPECT_TRUE(now);
    return std::move(now->state);
  }
  std::string joined(const std::vector<std::string>& lines) {
    std::string all;
    for (const auto& line : lines) all += line + "\n";
    return all;
  }
  fs::path segment(int number) const { return dir() / fmt::format("journal/{:08}", number); }
};

TEST_F(ReaderTest, SeesWhatTheStoreSeesWithoutItsLock) {
  segment_bytes_ = 4096;
  make_store();
  auto account = open();
  for (int i = 0; i < 20; i++)
    must(account->append(inbox(account), messages({std::string(700, 'x') + std::to_string(i)})));
  must(account->expunge(inbox(account), uids({3, 4})));
  auto reading = reader();
  const auto folded = reading.fold();
  ASSERT_TRUE(folded) << folded.error().detail();
  EXPECT_EQ(folded->state.difference(snapshot(account)), "");
  EXPECT_EQ(folded->time, now_);
  for (const auto& e : folded->state.mailbox("INBOX")->messages()) {
    const auto bytes = reading.read(folded->places.at(e.message), e.message, Part::message);
    ASSERT_TRUE(bytes) << bytes.error().detail();
    EXPECT_EQ(*bytes, must(account->read(e.message)));
    EXPECT_EQ(reading.read(folded->places.at(e.message), e.message, Part::structure),
              must(account->read_structure(e.message)));
  }
  EXPECT_EQ(reading.read(folded->places.at(MessageId(3)), MessageId(3), Part::message),
            std::string(700, 'x') + "2");
  EXPECT_FALSE(reading.read(folded->places.at(MessageId(3)), MessageId(4), Part::message));
  EXPECT_EQ(joined(damages({.thorough = true})), "");
  // By the directory, as of a backup, and from a record on.
  auto by_path = JournalReader::at((dir() / "journal").string());
  ASSERT_TRUE(by_path);
  std::vector<uint64_t> seqs;
  size_t segments = 0, sealed = 0;
  ASSERT_TRUE(by_path->visit({.segment =
                                  [&](const JournalSegment& s) {
                                    segments++;
                                    sealed += s.sealed;
                                  },
                              .record =
                                  [&](const JournalRecord& record) {
                                    seqs.push_back(record.header.seq);
                                    return record.header.seq < 30;
                                  }},
                             {.from = 25}));
  EXPECT_EQ(seqs, (std::vector<uint64_t>{25, 26, 27, 28, 29, 30}));
  EXPECT_GT(sealed, 0U);
  EXPECT_LT(segments, 7U);
}

TEST_F(ReaderTest, NobodysJournalIsNotFound) {
  auto base = open_base(base_);
  const auto opened = JournalReader::open(*base, "nobody");
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().fault(), Fault::not_found);
  EXPECT_EQ(JournalReader::at(base_ + "/x").error().fault(), Fault::not_found);
}

TEST_F(ReaderTest, FoldsUpToARecordAndUpToATime) {
  auto account = open();
  std::vector<AccountState> states;
  std::vector<int64_t> times;
  for (int i = 0; i < 6; i++) {
    now_ += i == 3 ? -1000 : 10;  // the clock jumps back once
    must(account->append(inbox(account), messages({"x" + std::to_string(i)})));
    if (i == 4) must(account->expunge(inbox(account), uids({1})));
    states.push_back(folded());
    times.push_back(now_);
  }
  auto reading = reader();
  for (size_t i = 0; i < states.size(); i++) {
    const auto by_seq = reading.fold({.seq = states[i].seq()});
    ASSERT_TRUE(by_seq);
    EXPECT_EQ(by_seq->state.difference(states[i]), "");
    EXPECT_EQ(by_seq->time, times[i]);
    // Up to a time: the last record that is not later, which may lie behind a jump.
    const auto by_time = reading.fold({.time = static_cast<uint32_t>(times[i])});
    ASSERT_TRUE(by_time);
    EXPECT_EQ(by_time->state.difference(states[i < 3 ? 5 : i]), "") << i;
  }
  const auto none = reading.fold({.time = 1});
  ASSERT_TRUE(none);
  EXPECT_EQ(none->state.seq(), 0U);
  // What was before each record can be looked at.
  std::vector<uint32_t> expunged;
  ASSERT_TRUE(reading.fold({}, {}, [&](const JournalEvent& event, const AccountState& before) {
    EXPECT_EQ(before.seq() + 1, event.seq);
    const auto* r = std::get_if<Expunge>(&event.record);
    if (!r) return;
    expunged.push_back(before.mailbox(r->mailbox)->find(Uid(r->ranges[0].first))->size);
  }));
  EXPECT_EQ(expunged, (std::vector<uint32_t>{2}));
}

// Whatever a reader sees beside a writer that rolls all the time: a beginning, never damage.
// A new segment as it is seen while it is made: nothing in it at the first look, or not yet its
// header.
class EarlyDisk final : public Disk {
 public:
  explicit EarlyDisk(std::string name) : name_(std::move(name)) {}
  int open(int dir, const char* path, int flags, unsigned mode) override {
    const int fd = Disk::open(dir, path, flags, mode);
    if (name_ == path)
      fd_ = fd;
    else if (fd_ == fd)
      fd_ = -1;  // it was closed, and its number is another's now
    return fd;
  }
  ssize_t read(int fd, void* to, size_t size, off_t offset) override {
    const ssize_t n = Disk::read(fd, to, size, offset);
    if (n > 0 && fd == fd_ && (offset == 0 ? headers++ == 0 : empty))
      std::fill_n(static_cast<char*>(to), n, '\0');
    return n;
  }
  bool empty = false;
  int headers = 0;  // how often they were looked at

 private:
  std::string name_;
  int fd_ = -1;
};

TEST_F(ReaderTest, ASegmentThatIsBeingMadeIsNoDamage) {
  segment_bytes_ = 5120;
  make_store();
  auto account = open();
  must(account->append(inbox(account), messages({std::string(1500, 'a')})));
  must(account->append(inbox(account), messages({std::string(1500, 'b')})));
  ASSERT_TRUE(fs::exists(segment(2)));
  ASSERT_FALSE(fs::exists(segment(3)));
  const auto base = open_base(base_);
  for (const bool empty : {false, true}) {
    SCOPED_TRACE(empty);
    EarlyDisk disk("00000002");
    disk.empty = empty;
    auto r = JournalReader::open(*base, "foo", disk);
    ASSERT_TRUE(r);
    std::string said;
    const auto folded = r->fold({}, [&](const JournalDamage& d) { said += to_string(d); });
    ASSERT_TRUE(folded);
    EXPECT_EQ(said, "");
    EXPECT_GT(disk.headers, 0);
    EXPECT_EQ(folded->state.mailbox("INBOX")->messages().size(), empty ? 1U : 2U);
  }
}

TEST_F(ReaderTest, ReadsBesideAWriter) {
  segment_bytes_ = 60'000;
  make_store();
  auto account = open();
  std::atomic<bool> done = false;
  uint64_t walks = 0, last = 0, trouble = 0, bodies = 0;
  std::string what;
  std::thread reading([&] {
    auto base = open_base(base_);
    auto r = JournalReader::open(*base, "foo");
    while (!done) {
      uint64_t seq = 0;
      const auto complain = [&](const std::string& text) {
        trouble++;
        what = text;
      };
      const auto folded = r->fold(
          {}, [&](const JournalDamage& d) { complain(to_string(d)); },
          [&](const JournalEvent& event, const AccountState&) {
            if (event.seq != ++seq) complain("a record is missing");
          });
      if (!folded) {
        complain(folded.error().detail());
        continue;
      }
      if (seq < last) complain("less than before");
      last = seq;
      // Batches are seen whole: three messages each.
      if (const auto inbox = folded->state.mailbox("INBOX"); inbox) {
        if (inbox->messages().size() % 3 != 0) complain("half a batch");
        if (!inbox->messages().empty()) {
          const auto id = inbox->messages().back().message;
          const auto bytes = r->read(folded->places.at(id), id, Part::message);
          if (!bytes) complain(bytes.error().detail());
          bodies++;
        }
      }
      walks++;
    }
  });
  for (int i = 0; i < 300; i++)
    must(account->append(inbox(account),
                         messages({std::string(static_cast<size_t>(i * 37 % 5000), 'a'), "b",
                                   std::string(2000, 'c')})));
  done = true;
  reading.join();
  EXPECT_EQ(trouble, 0U) << what;
  EXPECT_GT(walks, 3U);
  EXPECT_GT(bodies, 1U);
  EXPECT_EQ(reader().fold()->state.difference(snapshot(account)), "");
}

TEST_F(ReaderTest, ABatchThatIsNotWholeIsNotThereYet) {
  auto account = open();
  must(account->append(inbox(account), messages({"one"})));
  const auto before = folded();
  const uint64_t end = [&] {
    uint64_t at = 0;
    EXPECT_TRUE(reader().visit({.segment = [&](const JournalSegment& s) { at = s.end; }}));
    return at;
  }();
  must(account->append(inbox(account), messages({"two", std::string(9000, 'y')})));
  account.reset();
  crash();
  std::string bytes = slurp(segment(1));
  // A sector within the second body that did not arrive.
  bytes.replace((static_cast<size_t>(end) + 5000) / 512 * 512, 512, 512, '\0');
  spew(segment(1), bytes);
  std::optional<Damage> unfinished;
  ASSERT_TRUE(
      reader().visit({.segment = [&](const JournalSegment& s) { unfinished = s.unfinished; },
                      .damage = [](const JournalDamage& d) { ADD_FAILURE() << to_string(d); }}));
  ASSERT_TRUE(unfinished);
  EXPECT_EQ(unfinished->offset, end);
  EXPECT_EQ(reader().fold()->state.difference(before), "");
  make_store();
}

TEST_F(ReaderTest, DamageIsToldAndTheRestIsRead) {
  segment_bytes_ = 4096;
  make_store();
  make_account();
  const std::string sound = slurp(segment(1));
  const auto seqs = [&] {
    std::set<uint64_t> all;
    EXPECT_TRUE(reader().visit({.record =
                                    [&](const JournalRecord& r) {
                                      all.insert(r.header.seq);
                                      return true;
                                    }},
                               {.thorough = true}));
    return all;
  };
  const auto all = seqs();
  // Each place of the first record's header and meta: one damage more, and no record less.
  for (const size_t at : {size_t{0}, size_t{30}, size_t{90}, kRecordHeader + 3}) {
    std::string bytes = sound;
    bytes[kFirstRecord + at] ^= 0x10;
    spew(segment(1), bytes);
    const auto found = damages({.thorough = true});
    ASSERT_EQ(found.size(), 1U) << joined(found);
    const size_t part = kFirstRecord + (at < kRecordHeader ? 0 : kRecordHeader);
    EXPECT_NE(found[0].find(fmt::format("journal/00000001 at offset {}", part)), std::string::npos)
        << found[0];
    EXPECT_EQ(seqs(), all);
    // The footer has it still.
    EXPECT_EQ(joined(damages()), "");
  }
  // More than one bit of what it says: the footer has the record still, as the server reads it.
  std::string bytes = sound;
  bytes[kFirstRecord + kRecordHeader + 3] ^= 0x11;
  spew(segment(1), bytes);
  EXPECT_EQ(damages({.thorough = true}).size(), 1U);
  EXPECT_EQ(seqs(), all);
  bytes = sound;
  bytes[bytes.size() - 100] ^= 1;
  spew(segment(1), bytes);
  EXPECT_NE(joined(damages()).find("the footer is missing or damaged"), std::string::npos);
  EXPECT_EQ(seqs(), all);

  bytes = sound;
  bytes[3] ^= 1;
  spew(segment(1), bytes);
  EXPECT_EQ(joined(damages()), "") << "the second copy of the header suffices";
  bytes[kSegmentHeaderCopy + 3] ^= 1;
  spew(segment(1), bytes);
  EXPECT_NE(joined(damages()).find("00000001 at offset 0, "), std::string::npos);

  fs::remove(segment(1));
  EXPECT_NE(joined(damages()).find("are missing"), std::string::npos);
  fs::create_directory(segment(1));
  EXPECT_NE(joined(damages()).find("00000001: "), std::string::npos);
  fs::remove(segment(1));
  spew(segment(1), sound);

  fs::rename(segment(2), dir() / "aside");
  EXPECT_NE(joined(damages()).find("the segments from 00000002 to here are missing"),
            std::string::npos);
  fs::rename(dir() / "aside", segment(2));
  std::string foreign;
  spew(dir() / "journal/notes.txt", "hello");
  ASSERT_TRUE(reader().visit({.foreign = [&](const std::string& path) { foreign += path; }}));
  EXPECT_TRUE(foreign.ends_with("journal/notes.txt")) << foreign;
  fs::remove(dir() / "journal/notes.txt");

  make_store();
  make_account("other");
  fs::copy_file(dir("other") / "journal/00000001", dir() / "journal/00000050");
  EXPECT_NE(joined(damages()).find("00000050: belongs to another account"), std::string::npos);
  fs::remove(dir() / "journal/00000050");
  fs::copy_file(dir("other") / "journal/00000002", segment(2),
                fs::copy_options::overwrite_existing);
  EXPECT_NE(joined(damages()).find("00000002: belongs to another account"), std::string::npos);
  check_at_end_.clear();
  make_store();
}

TEST_F(ReaderTest, ANewerFormatIsRefused) {
  make_account();
  std::string bytes = slurp(segment(1));
  SegmentHeader header;
  ASSERT_EQ(decode(bytes, header), HeaderState::good);
  for (const size_t at : {size_t{0}, kSegmentHeaderCopy}) {
    bytes[at + 8] = 9;
    const uint64_t sum = checksum(header.segment, std::string_view(bytes).substr(at, 120));
    memcpy(bytes.data() + at + 120, &sum, 8);
  }
  spew(segment(1), bytes);
  const auto done = JournalReader::open(*open_base(base_), "foo");
  ASSERT_FALSE(done);
  EXPECT_NE(done.error().detail().find("format version 9"), std::string::npos);
  check_at_end_.clear();
  make_store();
}

// A segment that was replaced by one with the same records at other places.
TEST_F(ReaderTest, PlacesStayGoodWhenASegmentIsReplaced) {
  segment_bytes_ = 8192;
  make_store();
  auto account = open();
  for (int i = 0; i < 10; i++)
    must(
        account->append(inbox(account), messages({std::string(3000, static_cast<char>('a' + i))})));
  account.reset();
  stop();
  auto reading = reader();
  const auto folded = reading.fold();
  ASSERT_TRUE(folded);
  // Rewritten by hand: the first message of the segment has lost its bytes, what follows moves.
  std::string bytes = slurp(segment(2));
  SegmentHeader header;
  ASSERT_EQ(decode(bytes, header), HeaderState::good);
  const SegmentHeader old = header;
  header.segment[0] ^= 0xff;
  const ReadAt from = [&](uint64_t offset, size_t size) -> Result<std::string> {
    return offset < bytes.size() ? bytes.substr(static_cast<size_t>(offset), size) : std::string();
  };
  auto scan = scan_segment(from, bytes.size(), old, false);
  ASSERT_TRUE(scan);
  std::string fresh = encode(header);
  std::vector<uint64_t> freed;
  for (auto& e : scan->entries) {
    const std::string record =
        bytes.substr(static_cast<size_t>(e.offset), static_cast<size_t>(e.header.total()));
    std::string aux = record.substr(kRecordHeader + e.header.meta, e.header.aux);
    std::string body = record.substr(kRecordHeader + e.header.meta + e.header.aux,
                                     static_cast<size_t>(e.header.body));
    if (freed.empty() && e.header.type == RecordType::append) {
      freed.push_back(Append::decode(e.meta)->entry.message.value);
      aux.clear();
      body.clear();
    }
    RecordHeader h = e.header;
    if (body.empty() && h.body > 0) h.flags |= kDropped;
    h.aux = static_cast<uint32_t>(aux.size());
    h.body = body.size();
    h.meta_sum = checksum(header.segment, e.meta);
    h.aux_sum = checksum(header.segment, aux);
    h.body_sum = checksum(header.segment, body);
    e.offset = fresh.size();
    std::string head(kRecordHeader, '\0');
    encode(h, header.segment, head.data());
    fresh += head + std::string(e.meta) + aux + body;
    fresh.resize((fresh.size() + 7) / 8 * 8);
    e.header = h;
  }
  ASSERT_EQ(freed.size(), 1U);
  fresh += encode_footer(scan->entries, fresh.size(), scan->entries.back().header.seq, header, {});
  spew(dir() / "fresh", fresh);
  fs::rename(dir() / "fresh", segment(2));
  EXPECT_EQ(joined(damages({.thorough = true})), "");
  auto later = reader();  // has nothing open yet
  size_t read = 0;
  for (const auto& [id, place] : folded->places) {
    if (place.location.segment != 2) continue;
    const auto bytes_now = later.read(place, id, Part::message);
    if (id.value == freed[0]) {
      ASSERT_FALSE(bytes_now);
      EXPECT_EQ(bytes_now.error().fault(), Fault::not_found);
    } else {
      ASSERT_TRUE(bytes_now) << bytes_now.error().detail();
      EXPECT_EQ(*bytes_now, std::string(3000, static_cast<char>('a' + id.value - 1)));
      read++;
    }
  }
  EXPECT_GT(read, 0U);
  EXPECT_EQ(later.fold()->state.difference(folded->state), "");
  check_at_end_.clear();
  make_store();
}

TEST_F(ReaderTest, EveryFlippedBitOfABodyIsSeenByVerify) {
  auto account = open();
  must(account->append(inbox(account), messages({"hello", "last"})));
  must(account->append(inbox(account), messages({"behind"})));
  account.reset();
  stop();
  const std::string sound = slurp(segment(1));
  const size_t at = sound.find("structure of hello");
  ASSERT_NE(at, sound.npos);
  const size_t bits = std::string("structure of hellohello").size() * 8;
  for (size_t bit = 0; bit < bits; bit++) {
    std::string bytes = sound;
    bytes[at + bit / 8] = static_cast<char>(bytes[at + bit / 8] ^ (1 << (bit % 8)));
    spew(segment(1), bytes);
    auto r = reader();
    std::vector<JournalDamage> found;
    ASSERT_TRUE(r.visit({.record =
                             [&](const JournalRecord& record) {
                               const auto bad = r.verify(record);
                               EXPECT_TRUE(bad);
                               if (bad && *bad) found.push_back(**bad);
                               return true;
                             },
                         .damage = [](const JournalDamage& d) { ADD_FAILURE() << d.what; }},
                        {.thorough = true}));
    ASSERT_EQ(found.size(), 1U) << bit;
    EXPECT_LE(found[0].offset, at + bit / 8);
    EXPECT_GT(found[0].offset + found[0].length, at + bit / 8);
  }
  spew(segment(1), sound);
  make_store();
}

}  // namespace
}  // namespace rims::store
