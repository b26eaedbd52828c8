// tests/crash/flip_test.cc - bits of the journal flipped, one at a time: each is detected, none is
// served as good, and nothing else suffers
//
//   RIMS_FLIPS    how many (100,000; RIMS_LONG=1: every bit there is)
//   RIMS_OPENED   of how many the account is opened as the server does (400; RIMS_LONG=1: 20,000)
//
// A small account in several segments: sealed ones, one that was compacted, and one that is being
// written. Its bits are visited in an order that spreads over all of it and repeats none.

#include <cstdio>
#include <fcntl.h>
#include <map>
#include <numeric>

#include <fmt/format.h>
#include <sodium.h>

#include "common/journal/reader.h"
#include "common/mail/bytes.h"
#include "common/maintenance/inspect.h"
#include "tests/account/file_fixture.h"
#include "tests/crash/harness.h"

namespace rims::store {
namespace {

// Which check is left out. A checksum: it is the same for all bytes, when writing and when reading.
enum class Without : uint8_t {
  nothing,
  segment_header,
  record_header,
  meta,
  structure,
  message,
  footer,
  padding
};
Without left_out = Without::nothing;

Without kind_of(std::string_view bytes) {
  if (bytes.size() == kSegmentHeader - 8 && bytes.starts_with(kSegmentMagic))
    return Without::segment_header;
  if (bytes.size() == kRecordHeader - 8 && bytes.starts_with("RIMR")) return Without::record_header;
  if (bytes.size() == kTrailer - 8 && bytes.starts_with(kSealMagic)) return Without::nothing;
  if (bytes.starts_with("Subject: ")) return Without::message;
  if (bytes.starts_with("structure of ")) return Without::structure;
  if (bytes.size() >= 12 && get_int<uint64_t>(bytes.data() + 4) == kFirstRecord)
    return Without::footer;
  return Without::meta;
}

}  // namespace
}  // namespace rims::store

// Stands before that of libsodium.
extern "C" int crypto_shorthash(unsigned char* out, const unsigned char* in,
                                unsigned long long size, const unsigned char* key) {
  using rims::store::kind_of;
  using rims::store::left_out;
  const std::string_view bytes(reinterpret_cast<const char*>(in), static_cast<size_t>(size));
  if (left_out == rims::store::Without::nothing || kind_of(bytes) != left_out)
    return crypto_shorthash_siphash24(out, in, size, key);
  std::fill_n(out, crypto_shorthash_BYTES, static_cast<unsigned char>(0));
  return 0;
}

namespace rims::store {
namespace {

// Reads zeros where zeros belong between the records, so that nobody looks at what is there.
class Blind final : public Disk {
 public:
  struct Range {
    uint64_t from = 0, to = 0;
  };
  std::map<std::string, std::vector<Range>> padding;  // by the file's name

  int open(int dir, const char* path, int flags, unsigned mode) override {
    const int fd = Disk::open(dir, path, flags, mode);
    names_[fd] = path;
    return fd;
  }
  ssize_t read(int fd, void* to, size_t size, off_t offset) override {
    const ssize_t n = Disk::read(fd, to, size, offset);
    const auto start = static_cast<uint64_t>(offset);
    const uint64_t end = start + static_cast<uint64_t>(std::max<ssize_t>(n, 0));
    for (const auto& range : padding[names_[fd]])
      for (uint64_t at = std::max(range.from, start); at < std::min(range.to, end); at++)
        static_cast<char*>(to)[at - start] = 0;
    return n;
  }

 private:
  std::map<int, std::string> names_;
};

class FlipTest : public FileTest {
 protected:
  FlipTest() {
    quick_ = true;
    segment_bytes_ = 6400;
  }
  void SetUp() override {
    log::set_sink(&heard_);
    FileTest::SetUp();
  }
  void TearDown() override {
    left_out = Without::nothing;
    check_at_end_.clear();
    FileTest::TearDown();
    log::set_sink(nullptr);
  }

  struct Segment {
    fs::path path;
    std::string bytes;
    uint64_t end = 0;
    bool sealed = false;
  };
  struct Known {
    uint64_t offset = 0;
    RecordHeader header;
    MessageId message;  // of an append record
  };
  // Where a bit is.
  struct Spot {
    uint32_t segment = 0;
    uint64_t byte = 0;
    const Known* record = nullptr;
    bool part = false;  // aux, body or the zeros after them: it changes no state
  };

  // A message in a mailbox.
  struct Listed {
    MessageId message;
    Uid uid;
    std::string mailbox;
    UidValidity uidvalidity;
    auto operator<=>(const Listed&) const = default;
  };

  static std::string text(uint32_t n) {
    return fmt::format("Subject: message {}\r\n\r\n", n) + std::string(900 + n * 37 % 300, 'm') +
           "\r\n";
  }
  NewMessage mail(uint32_t n) {
    auto m = message(text(n));
    m.structure = fmt::format("structure of message {}, ", n) + std::string(n % 20, 's');
    m.delivery_key[3] = static_cast<uint8_t>(n);
    return m;
  }
  void add(const std::shared_ptr<Account>& account, std::vector<uint32_t> list) {
    std::vector<NewMessage> all;
    for (const uint32_t n : list) all.push_back(mail(n));
    must(account->append(inbox(account), std::move(all)));
  }

  void build(Without without) {
    stop();
    left_out = without;
    fs::remove_all(fs::path(base_) / "mailbox.3");
    make_store();
    auto account = open();
    for (uint32_t n = 1; n <= 12; n++) add(account, {n});
    must(account->create("Work"));
    must(account->copy(inbox(account), uids({1, 2, 9}), account->find("Work")->id));
    must(account->expunge(inbox(account), uids({2, 3, 4, 5, 6, 7, 8, 9})));
    // Mail in a mailbox that is not the last one that was made.
    must(account->create("Other"));
    must(account->rename("Archive", "Old"));
    must(account->subscribe("not/there"));
    run(loop_, account->compact({.retention = 0, .small = 1}, now_));
    add(account, {13, 14});
    must(account->change_flags(
        inbox(account),
        {.uids = uids({1, 10, 13}), .op = FlagOp::add, .flags = kFlagged, .keywords = {"$Work"}}));
    add(account, {15, 16});
    std::vector<NewMessage> old;
    old.push_back(mail(17));
    must(account->append(account->find("Old")->id, std::move(old)));
    uidnext_ = account->find("INBOX")->uidnext;
    account.reset();
    crash();
    learn();
  }
  // What there is when no bit is wrong.
  void learn() {
    segments_.clear();
    records_.clear();
    messages_.clear();
    places_.clear();
    blind_.padding.clear();
    JournalReader reader = *JournalReader::at((dir() / "journal").string());
    int dropped = 0;
    const JournalVisitor visitor{
        .segment =
            [&](const JournalSegment& s) {
              segments_[s.number] = {
                  dir() / fmt::format("journal/{:08}", s.number), {}, s.end, s.sealed};
            },
        .record =
            [&](const JournalRecord& r) {
              Known known{r.place.location.offset, r.header, {}};
              if (const auto append =
                      r.header.type == RecordType::append ? Append::decode(r.meta) : std::nullopt)
                known.message = append->entry.message;
              records_[r.place.location.segment].push_back(known);
              const auto& h = r.header;
              const uint64_t end = known.offset + kRecordHeader + h.meta + h.aux + h.body;
              blind_.padding[fmt::format("{:08}", r.place.location.segment)].push_back(
                  {end, known.offset + h.total()});
              if ((r.header.flags & kDropped) != 0) dropped++;
              return true;
            },
        .damage = [&](const JournalDamage& d) { ADD_FAILURE() << to_string(d); },
        .foreign = {}};
    ASSERT_TRUE(reader.visit(visitor, {.thorough = true}));
    for (auto& [number, s] : segments_) {
      // Some of the room for more.
      if (!s.sealed) fs::resize_file(s.path, s.end + 512);
      s.bytes = slurp(s.path);
      total_ += s.bytes.size() * 8;
    }
    const Folded folded = *reader.fold();
    for (const auto& [id, mailbox] : folded.state.mailboxes()) {
      for (const auto& e : mailbox->messages()) {
        messages_[e.message] = text(static_cast<uint32_t>(e.message.value));
        places_.insert({e.message, e.uid, mailbox->info().name, mailbox->info().uidvalidity});
        EXPECT_EQ(reader.read(folded.places.at(e.message), e.message, Part::message).value_or(""),
                  messages_[e.message]);
      }
    }
    EXPECT_GT(dropped, 0) << "a segment is compacted";
    EXPECT_EQ(messages_.size(), 11U);
    EXPECT_GT(segments_.size(), 2U);
  }

  [[nodiscard]] Spot spot(uint64_t bit) const {
    uint64_t byte = bit / 8;
    Spot at;
    for (const auto& [number, s] : segments_) {
      at.segment = number;
      if (byte < s.bytes.size()) break;
      byte -= s.bytes.size();
    }
    at.byte = byte;
    for (const auto& known : records_.at(at.segment)) {
      if (byte < known.offset || byte >= known.offset + known.header.total()) continue;
      at.record = &known;
      at.part = byte >= known.offset + kRecordHeader + known.header.meta;
    }
    return at;
  }
  void flip(const Spot& at, unsigned bit) {
    const Fd fd(::open(segments_.at(at.segment).path.c_str(), O_RDWR | O_CLOEXEC));
    char byte = segments_.at(at.segment).bytes[at.byte];
    byte = static_cast<char>(byte ^ (bit < 8 ? 1 << bit : 0));
    if (pwrite(fd.get(), &byte, 1, static_cast<off_t>(at.byte)) != 1) std::abort();
  }
  std::string describe(const Spot& at, uint64_t bit) const {
    return fmt::format("bit {}: segment {} at {}{}", bit, at.segment, at.byte,
                       at.record
                           ? fmt::format(" in record {} ({}) + {}", at.record->header.seq,
                                         name(at.record->header.type), at.byte - at.record->offset)
                           : "");
  }

  // The last byte of a header or trailer, all zero now: so does a write that ended before it, which
  // is no damage and is written again.
  bool looks_unended(const Spot& at) const {
    const auto& segment = segments_.at(at.segment);
    if (at.record || slurp(segment.path)[at.byte] != '\0') return false;
    const size_t copy = kFirstRecord / 2;
    const size_t end = at.byte < kFirstRecord ? (at.byte / copy + 1) * copy : segment.bytes.size();
    return segment.bytes[at.byte] != '\0' &&
           segment.bytes.substr(at.byte + 1, end - at.byte - 1).find_first_not_of('\0') ==
               std::string::npos;
  }
  // Every message that is listed has its bytes or is refused; all are listed and have them, but
  // that of a record of which the meta, aux or body was hit. Empty: so it is.
  std::string judge(const Spot& at, const AccountState& state,
                    const std::function<Result<std::string>(MessageId, Part)>& read, Count& count,
                    bool& refused) const {
    const bool in_header = at.record && at.byte < at.record->offset + kRecordHeader;
    const MessageId hit = at.record && !in_header ? at.record->message : MessageId();
    std::set<MessageId> listed;
    for (const auto& [id, mailbox] : state.mailboxes()) {
      for (const auto& e : mailbox->messages()) {
        if (!listed.insert(e.message).second) continue;
        const auto n = static_cast<uint32_t>(e.message.value);
        const auto bytes = read(e.message, Part::message);
        const auto structure = read(e.message, Part::structure);
        if ((bytes && *bytes != text(n)) || (structure && *structure != mail_structure(n))) {
          count.corrupt++;
          return fmt::format("message {} is served with other bytes", n);
        }
        if (bytes && structure) continue;
        refused = true;
        // One that was expunged and is listed again, because the record of that is damaged.
        if (e.message == hit || !messages_.contains(e.message)) continue;
        count.lost++;
        return fmt::format("message {} is not served: {}", n,
                           (bytes ? structure : bytes).error().detail());
      }
    }
    // Each where it was, as what it was to a client.
    for (const auto& place : places_) {
      if (place.message == hit) continue;
      const auto mailbox = state.mailbox(place.mailbox);
      const auto* e = mailbox ? mailbox->find(place.uid) : nullptr;
      if (e && e->message == place.message && mailbox->info().uidvalidity == place.uidvalidity)
        continue;
      // A copy record holds mail as well: what it says is all that is lost with it.
      if (at.record && !in_header && at.record->header.type == RecordType::copy &&
          place.mailbox == "Work")
        continue;
      count.lost++;
      return fmt::format("message {} is not in {} as uid {}", place.message.value, place.mailbox,
                         place.uid.value);
    }
    return {};
  }
  static std::string mail_structure(uint32_t n) {
    return fmt::format("structure of message {}, ", n) + std::string(n % 20, 's');
  }

  // As a tool reads: the whole account, and then its check.
  std::string look(const Spot& at, Count& count) {
    Disk& disk = left_out == Without::padding ? blind_ : Disk::real();
    JournalReader reader = *JournalReader::at((dir() / "journal").string(), disk);
    bool detected = false;
    const auto folded = reader.fold({}, [&](const JournalDamage&) { detected = true; });
    if (!folded) {
      count.lost++;
      return "it can not be folded: " + folded.error().detail();
    }
    const auto read = [&](MessageId message, Part part) -> Result<std::string> {
      const auto place = folded->places.find(message);
      if (place == folded->places.end()) return fail(Fault::not_found, "no place");
      return reader.read(place->second, message, part);
    };
    if (auto wrong = judge(at, folded->state, read, count, detected); !wrong.empty()) return wrong;
    bool found = false;
    const JournalVisitor thorough{
        .segment = [&](const JournalSegment& s) { found = found || s.unfinished.has_value(); },
        .record =
            [&](const JournalRecord& r) {
              if (found) return false;
              if (r.place.location.segment != at.segment) return true;
              const auto bad = reader.verify(r);
              found = !bad || bad->has_value();
              return !found;
            },
        .damage = [&](const JournalDamage&) { found = true; },
        .foreign = {}};
    if (!reader.visit(thorough, {.thorough = true}) || found) return {};
    if (!detected && looks_unended(at)) return {};
    count.corrupt++;
    return detected ? "reading tells of it, checking does not" : "nobody tells of it";
  }

  // As the server does; then mail goes on.
  std::string open_it(const Spot& at, Count& count) {
    heard_.text.clear();
    make_store();
    auto opened = run(loop_, store_->open("foo"));
    if (!opened) {
      count.lost++;
      return "it does not open: " + opened.error().detail();
    }
    const auto account = *opened;
    const auto read = [&](MessageId message, Part part) {
      return part == Part::message ? run(loop_, account->read(message))
                                   : run(loop_, account->read_structure(message));
    };
    bool refused = false;
    const auto state = run(loop_, account->whole_state());
    if (auto wrong = judge(at, **state, read, count, refused); !wrong.empty()) return wrong;
    const std::string& was = segments_.at(at.segment).bytes;
    const bool quiet = heard_.text.find("at offset") == std::string::npos;
    // A message is looked at when it is read; what fills the gaps never is.
    const bool idle = !at.record || at.byte >= at.record->offset + kRecordHeader +
                                                   at.record->header.meta + at.record->header.aux +
                                                   at.record->header.body;
    const bool by_footer = segments_.at(at.segment).sealed;
    if (quiet && !refused && !idle && !by_footer) {
      count.corrupt++;
      return "it is not in the log";
    }
    const auto added = run(loop_, account->append(inbox(account), one_more()));
    if (!added) {
      count.lost++;
      return "no mail is taken any more: " + added.error().detail();
    }
    if (added->uids[0] < uidnext_) {
      count.duplicated++;
      return fmt::format("uid {} is given out once more", added->uids[0].value);
    }
    // The record is where it was, as it was but for a bit; or it was kept aside.
    if (at.record) {
      const std::string hurt = was.substr(at.record->offset, at.record->header.total());
      const std::string now =
          slurp(segments_.at(at.segment).path).substr(at.record->offset, hurt.size());
      size_t different = std::max(hurt.size(), now.size()) - std::min(hurt.size(), now.size());
      for (size_t i = 0; i < std::min(hurt.size(), now.size()); i++) different += now[i] != hurt[i];
      const size_t half = hurt.size() / 2;
      if (different > 1 && !kept_aside(hurt.substr(0, half)) && !kept_aside(hurt.substr(half))) {
        count.lost++;
        return "its bytes are gone";
      }
    }
    return {};
  }
  std::vector<NewMessage> one_more() {
    std::vector<NewMessage> list;
    list.push_back(message("one more"));
    return list;
  }
  [[nodiscard]] bool kept_aside(const std::string& bytes) const {
    std::error_code none;
    for (const auto& entry : fs::directory_iterator(dir() / "quarantine", none))
      if (slurp(entry.path()).find(bytes) != std::string::npos) return true;
    return false;
  }
  void restore() {
    crash();
    for (const auto& entry : fs::directory_iterator(dir())) fs::remove_all(entry.path());
    fs::create_directory(dir() / "journal");
    for (const auto& [number, s] : segments_) {
      spew(s.path, s.bytes);
      fs::permissions(s.path, fs::perms::owner_read | fs::perms::owner_write);
    }
  }

  // Flips `times` bits, or all; what was wrong first.
  std::string flip_often(uint64_t times, bool opened, bool go_on, Count& count) {
    count.runs++;
    uint64_t step = total_ * 618 / 1000;
    while (std::gcd(step, total_) != 1) step++;
    std::string wrong;
    uint64_t bit = 0;
    for (uint64_t i = 0; i < std::min(times, total_); i++, bit = (bit + step) % total_) {
      const Spot at = spot(bit);
      flip(at, static_cast<unsigned>(bit % 8));
      count.faults++;
      count.states++;
      std::string now = opened ? open_it(at, count) : look(at, count);
      if (opened)
        restore();
      else
        flip(at, 8);
      if (now.empty()) continue;
      wrong = describe(at, bit) + ": " + now;
      if (!go_on) break;
      ADD_FAILURE() << wrong;
      if (count.wrong() > 10) break;
    }
    return wrong;
  }

  Heard heard_;
  Blind blind_;
  std::map<uint32_t, Segment> segments_;
  std::map<uint32_t, std::vector<Known>> records_;
  std::set<Listed> places_;                    // of those, and of their copies
  std::map<MessageId, std::string> messages_;  // that some mailbox has
  Uid uidnext_;
  uint64_t total_ = 0;  // bits
};

TEST_F(FlipTest, EveryFlippedBitIsDetectedAndNoneIsServed) {
  build(Without::nothing);
  Count count;
  flip_often(harness_size("RIMS_FLIPS", 100'000, UINT64_MAX), false, true, count);
  count.tell("flip");
}

TEST_F(FlipTest, TheServerServesAroundEveryFlippedBit) {
  build(Without::nothing);
  Count count;
  flip_often(harness_size("RIMS_OPENED", 400, 20'000), true, true, count);
  count.tell("flip opened");
}

// But for that of a trailer: whoever looks for damage knows every byte of it. Nor can a bit undo
// that a batch is whole: its records are known, whatever is wrong with one. Cuts and torn writes
// do, in segment_test.cc and in the simulation.
TEST_F(FlipTest, EveryCheckThatIsLeftOutIsNoticed) {
  Count all;
  for (const auto& [without, what] :
       {std::pair{Without::segment_header, "a checksum of a segment's header"},
        std::pair{Without::record_header, "a checksum of a record's header"},
        std::pair{Without::meta, "a checksum of a record's meta"},
        std::pair{Without::structure, "a checksum of a message's structure"},
        std::pair{Without::message, "a checksum of a message's bytes"},
        std::pair{Without::footer, "a checksum of a footer"},
        std::pair{Without::padding, "a look at the zeros between records"}}) {
    total_ = 0;
    build(without);
    Count count;
    const std::string wrong = flip_often(20'000, false, false, count);
    fmt::print("  mutant: without {}: {} after {} flips: {}\n", what,
               wrong.empty() ? "NOT noticed" : "noticed", count.faults, wrong);
    EXPECT_NE(wrong, "") << what;
    all.mutants++;
    all.noticed += !wrong.empty();
    make_store();
  }
  all.tell("flip");
}

}  // namespace
}  // namespace rims::store
