// common/journal/reader.h - the journal of an account, read: no lock, no server, no loop
//
//   TRY(auto reader, JournalReader::open(base, "foo"));
//   TRY(const Folded now, reader.fold());
//   TRY(const std::string mail, reader.read(now.places.at(id), id, Part::message));
//
// Blocking, for tools; also while a server runs. A journal only grows, and a segment is replaced
// (compaction) by a whole new file under the same name, so a reader that has a segment open reads
// one state of it. A reader sees the first part of the journal, up to the end of a batch; a batch
// that is not complete yet is left out. The last batch may be one whose flush has not returned,
// which a power loss can still undo.
//
// Damage is reported to the visitor, and reading goes on after it, as in the server.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "common/base/fd.h"
#include "common/base/result.h"
#include "common/journal/disk.h"
#include "common/journal/segment.h"
#include "common/journal/segments.h"
#include "common/mail/state.h"

namespace rims::store {

struct JournalSegment {
  uint32_t number = 0;
  std::string path;  // for messages
  SegmentHeader header;
  uint64_t size = 0;  // of the file
  uint64_t end = 0;   // of the last record that counts (sealed: where the footer begins)
  bool sealed = false;
  // Bytes behind `end` of the last segment: a batch being written, or one that was never
  // acknowledged and will be cut by the next opening.
  std::optional<Damage> unfinished;
};

// Where a record is. Stays good when its segment is compacted meanwhile.
struct Place {
  Location location;
  Id segment{};
  uint64_t seq = 0;
};

struct JournalRecord {
  RecordHeader header;    // from a footer: without id, batch and sums (Walk::thorough has them)
  std::string_view meta;  // valid until the callback returns
  Place place;
  std::string_view program;  // the version of rims that made its segment; empty: an early one
  // In a thorough walk: it is damaged where it is, which the visitor was told. Its footer says what
  // it was, and the server goes by that; its message can not be read.
  [[nodiscard]] bool only_listed() const { return header.batch_count == 0; }
};

struct JournalDamage {
  std::string path;
  uint64_t offset = 0, length = 0;  // length 0: the whole file, or something is missing
  uint32_t lost = 0;                // how many uids or message ids at most
  std::string what;
  std::string right;   // what these bytes were, where that is known: nothing is lost
  std::string remedy;  // for a segment that is not used: what to do; nothing in it is lost
  bool spare = false;  // only what is made again from the rest: the structure of a message
};
// "journal/00000001 at offset 1024, 96 bytes: no record header"
[[nodiscard]] std::string to_string(const JournalDamage& damage);

// Each of them may be empty.
struct JournalVisitor {
  std::function<void(const JournalSegment&)> segment;  // before its records
  std::function<bool(const JournalRecord&)> record;    // false: enough
  std::function<void(const JournalDamage&)> damage;
  std::function<void(const std::string& path)> foreign;  // a name that is no segment's
};

struct Walk {
  uint64_t from = 1;  // the first record number that is wanted
  // Read sealed segments too record by record, and compare the footer. What a good footer lists
  // counts, as without this.
  bool thorough = false;
};

// Up to a record and up to a time: the last record that was written not later than `time`, and
// all before it. Records without a time count as old.
struct FoldUntil {
  uint64_t seq = UINT64_MAX;
  uint32_t time = UINT32_MAX;
};

struct Folded {
  AccountState state;
  uint32_t time = 0;  // when its last record was written; 0: not known
  std::unordered_map<MessageId, Place>
      places;  // expunged messages as well, while their bytes are there
};

// Whose mail a directory may hold: of the user whose place it is, or of anybody, for tools that
// look for what is wrong.
enum class Owner : uint8_t { user, anybody };

class JournalReader {
 public:
  // not_found: no such account, or it has no journal. refused: it is another user's (owner()).
  static Result<JournalReader> open(const Fd& base, const std::string& user,
                                    Disk& disk = Disk::real(), Owner wanted = Owner::user);
  // Any directory with segments in it, such as one of a backup. `path` is for messages.
  JournalReader(Fd directory, std::string path, Disk& disk = Disk::real());
  explicit JournalReader(std::unique_ptr<Segments> segments) : segments_(std::move(segments)) {}
  static Result<JournalReader> at(const std::string& directory, Disk& disk = Disk::real());

  // The account in this directory beneath the base directory, whosever it is.
  static Result<JournalReader> beneath(const Fd& base, const std::string& account,
                                       Disk& disk = Disk::real());
  // Whose account it should be: see Census. open() knows.
  void expect(Census::Owner owner) { owner_ = std::move(owner); }
  // The user that the journal names; empty: none, as an early version made it, or that record is
  // lost.
  Result<std::string> owner();

  // All records in order. storage: a newer format, or no more descriptors or memory. A segment
  // that can not be opened or read is a damage.
  Status visit(const JournalVisitor& visitor, Walk walk = {});

  // The state of the account then. `before` sees each record, and the state that it is applied to.
  // storage: also a record that this version does not understand, as the server refuses it.
  using Before = std::function<void(const JournalEvent&, const AccountState&)>;
  Result<Folded> fold(FoldUntil until = {},
                      const std::function<void(const JournalDamage&)>& damage = {},
                      const Before& before = {});

  // One part of the append record of `message`, its checksum verified. not_found: its bytes were
  // given back by compaction. storage: damaged; the detail names file and offset.
  Result<std::string> read(const Place& place, MessageId message, Part part);

  // All checksums of a record that a thorough visit is at. Takes as much memory as the largest part
  // of the record, which is a message: limits.message_size at most when it came in. libsodium's
  // SipHash takes its input in one piece; a mapping would end the process (SIGBUS) where a sector
  // can not be read.
  Result<std::optional<JournalDamage>> verify(const JournalRecord& record);

 private:
  using SegmentRef = std::shared_ptr<KnownSegment>;  // shared by the cache and its readers
  Result<SegmentRef> segment(uint32_t number);
  Result<std::vector<uint32_t>> list(const JournalVisitor& visitor) const;
  Result<Scan> scan(const KnownSegment& known, JournalSegment& segment, bool tail, bool thorough);
  // Where record `seq` is in a segment that was replaced.
  Result<Location> find_again(const KnownSegment& known, const Place& place);

  std::unique_ptr<Segments> segments_;
  Census::Owner owner_;
  std::map<uint32_t, SegmentRef> open_;
  // The last segment that find_again() looked into.
  Id found_segment_{};
  std::map<uint64_t, Location> found_;
};

}  // namespace rims::store
