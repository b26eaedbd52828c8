// common/store/reader.h - the journal of an account, read as files: no lock, no server, no loop
//
//   TRY(auto reader, JournalReader::open(base, "foo"));
//   TRY(const Folded now, reader.fold());
//   TRY(const std::string mail, reader.read(now.places.at(id), id, Part::message));
//
// Blocking, for tools; beside a running server as well. A journal only grows, and a segment is
// replaced (compaction) by a whole new file under the same name, so whoever has a segment open
// reads one state of it. What is seen is a beginning of the journal that ends between two
// batches: one that is not whole yet at the very end is not there yet. It may hold a batch whose
// flush has not returned, which a power loss can still take away.
//
// Damage is told to the visitor and reading goes on after it, as the server does.
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
#include "common/store/disk.h"
#include "common/store/segment.h"
#include "common/store/state.h"

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
};

struct JournalDamage {
  std::string path;
  uint64_t offset = 0, length = 0;  // length 0: of the whole file, or of what is not there
  uint32_t lost = 0;                // how many uids or message ids at most
  std::string what;
  std::string right;  // what these bytes were, where that is known: nothing is lost
};
// "journal/00000001 at offset 1024, 96 bytes: no record header"
[[nodiscard]] std::string to_string(const JournalDamage& damage);

// All may be empty.
struct JournalVisitor {
  std::function<void(const JournalSegment&)> segment;  // before its records
  std::function<bool(const JournalRecord&)> record;    // false: enough
  std::function<void(const JournalDamage&)> damage;
  std::function<void(const std::string& path)> foreign;  // a name that is no segment's
};

struct Walk {
  uint64_t from = 1;      // the first record number that is wanted
  bool thorough = false;  // read sealed segments too record by record, and compare the footer
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

class JournalReader {
 public:
  // not_found: no such account, or it has no journal.
  static Result<JournalReader> open(const Fd& base, const std::string& user,
                                    Disk& disk = Disk::real());
  // Any directory with segments in it, such as one of a backup. `path` is for messages.
  JournalReader(Fd directory, std::string path, Disk& disk = Disk::real())
      : disk_(&disk), directory_(std::move(directory)), path_(std::move(path)) {}
  static Result<JournalReader> at(const std::string& directory, Disk& disk = Disk::real());

  // All records in order. storage: a newer format, or no more descriptors or memory. A segment
  // that can not be opened or read is a damage.
  Status visit(const JournalVisitor& visitor, Walk walk = {});

  // What the account was then. `before` sees each record and the state it is applied to. storage:
  // also a record that this version does not understand, as the server refuses it.
  using Before = std::function<void(const JournalRecord&, const AccountState&)>;
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
  struct File {
    Fd fd;
    SegmentHeader header;
    HeaderState state = HeaderState::good;
    std::string path;
  };
  using FileRef = std::shared_ptr<File>;  // in the cache, and held by whoever reads it
  Result<FileRef> file(uint32_t number);
  ReadAt read_at(const FileRef& file);
  Result<std::vector<uint32_t>> list(const JournalVisitor& visitor) const;
  Result<Scan> scan(const FileRef& file, JournalSegment& segment, bool tail, bool thorough);
  // Where record `seq` is in a segment that was replaced.
  Result<Location> find_again(const FileRef& file, const Place& place);

  Disk* disk_;
  Fd directory_;
  std::string path_;
  std::map<uint32_t, FileRef> files_;
  // The last segment that find_again() looked into.
  Id found_segment_{};
  std::map<uint64_t, Location> found_;
};

}  // namespace rims::store
