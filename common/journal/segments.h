// common/journal/segments.h - where the segments of a journal are stored, for its writer and
// every reader
//
//   FileSegments segments(dir);                              // of an account, which is locked
//   TRY(const auto known, open_segment(segments, 3));        // opened, its header looked at
//   TRY(const Scan found, scan_segment(known.reader(), ...));
//
// check, backup, restore, undelete, dump and compaction, too, read journals only through this.
// Segments are files (file_segments.h), or memory in tests. All calls block; those of one Segments
// may come from several threads, as long as each changes another segment.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <sys/uio.h>
#include <vector>

#include "common/base/result.h"
#include "common/journal/segment.h"

namespace rims::store {

// One open segment. It stays the same segment when its file is replaced: reads then give the old
// bytes, or fail.
class SegmentFile {
 public:
  explicit SegmentFile(std::string path) : path_(std::move(path)) {}
  SegmentFile(const SegmentFile&) = delete;
  SegmentFile& operator=(const SegmentFile&) = delete;
  virtual ~SegmentFile() = default;

  // For messages: "mailbox.3/2c/26b4.../journal/00000001".
  [[nodiscard]] const std::string& path() const { return path_; }
  void be_called(std::string path) { path_ = std::move(path); }  // before it is shared
  virtual Result<uint64_t> size() = 0;
  // Fewer than `size` bytes only at the end.
  virtual Result<std::string> read(uint64_t offset, size_t size) = 0;
  // The same, or nullopt when it would have to wait: the only call that an event loop may make.
  virtual std::optional<std::string> read_now(uint64_t offset, size_t size) = 0;
  virtual Status write(std::vector<iovec> pieces, uint64_t offset) = 0;
  // `data`: as fdatasync(). `all`: as fsync().
  enum class Flush : uint8_t { data, all };
  virtual Status flush(Flush what) = 0;
  virtual Status cut(uint64_t size) = 0;
  // While this lives the descriptor stays open, so that flush() reports errors of the writes before
  // it.
  virtual Result<std::shared_ptr<void>> hold() { return nullptr; }

 private:
  std::string path_;
};
using SegmentFileRef = std::shared_ptr<SegmentFile>;  // shared with jobs on the pool that read it

enum class Access : uint8_t {
  read,
  write,
};

class Segments {
 public:
  Segments() = default;
  Segments(const Segments&) = delete;
  Segments& operator=(const Segments&) = delete;
  virtual ~Segments() = default;

  // For messages: "mailbox.3/2c/26b4.../journal".
  [[nodiscard]] virtual const std::string& path() const = 0;
  // All names that are there, sorted; also those that are not of segments.
  virtual Result<std::vector<std::string>> names() = 0;
  virtual Result<SegmentFileRef> open(uint32_t number, Access access) = 0;
  // A new one; its name is durable after sync().
  virtual Result<SegmentFileRef> create(uint32_t number) = 0;
  // A new one that is to take the place of another; what an earlier attempt has left is removed.
  virtual Result<SegmentFileRef> create_replacement(uint32_t number) = 0;
  // Puts `made` in its place, durably. After an error either of the two is there.
  virtual Status replace(uint32_t number, SegmentFile& made) = 0;
  virtual Status remove(const std::string& name) = 0;
  // Another name for a segment; EEXIST: the name is in use. Durable after sync().
  virtual Status rename(uint32_t from, uint32_t to) = 0;
  // Two segments get each other's name, at once. Durable after sync().
  virtual Status exchange(uint32_t one, uint32_t other) = 0;
  // Moves it to quarantine/<to>, durably.
  virtual Status move_aside(const std::string& name, const std::string& to) = 0;
  // Keeps a copy of bytes that were found damaged: quarantine/<name>. An existing one stays.
  virtual Status keep_copy(const std::string& name, std::string_view bytes) = 0;
  // Makes the directory of the segments if there is none, durably.
  virtual Status prepare() = 0;
  // What was created and removed is durable.
  virtual Status sync() = 0;
};

[[nodiscard]] std::string segment_name(uint32_t number);  // "00000001"
// 0: it is not the name of a segment.
[[nodiscard]] uint32_t segment_number(std::string_view name);
// What a compaction makes, and a crash may leave: "00000001.new".
[[nodiscard]] std::string replacement_name(uint32_t number);
[[nodiscard]] bool is_replacement(std::string_view name);

// A segment whose header was looked at.
struct KnownSegment {
  SegmentFileRef file;
  SegmentHeader header;
  HeaderState state = HeaderState::damaged;  // or good: then `header` is what it says
  [[nodiscard]] const std::string& path() const { return file->path(); }
  [[nodiscard]] ReadAt reader() const {
    return [segment = file](uint64_t offset, size_t size) { return segment->read(offset, size); };
  }
};
// storage: it can not be opened (Error::system() says why), or is of a newer format.
Result<KnownSegment> open_segment(Segments& segments, uint32_t number,
                                  Access access = Access::read);

// --- which segments make the journal ---

// Why a segment that exists is not used, and what to do. Nothing in it is lost.
struct Misfit {
  std::string what, remedy;
  // Its records belong here, and are missing as long as it is not used.
  bool missed = true;
};
// Of a segment that begins before the one before it ends.
inline const Misfit kOutOfOrder{"begins before the segment before it ends",
                                "move it out of the account", false};
// The Misfit of a segment that can not be opened. nullopt: the process has no descriptors or memory
// left, or the format is newer. A disk that can not read the segment is a Misfit only when that is
// `tolerated`.
[[nodiscard]] std::optional<Misfit> misfit(const Error& error, const std::string& path,
                                           bool tolerant);

// What the headers of a journal say together.
class Census {
 public:
  // Is this the user whose account it should be? Empty: that is not known.
  using Owner = std::function<bool(const std::string& user)>;
  // Of those that can be used. With `tolerant`, a disk that can not read one is no error.
  static Result<Census> take(Segments& segments, const std::vector<uint32_t>& numbers,
                             bool tolerant, const Owner& owner);
  // Of several accounts, the one that names the owner; else, the one that most segments belong to,
  // before one that names another user. All zeros when there are no segments.
  [[nodiscard]] const Id& account() const { return account_; }
  // The right number of a segment that has the wrong name, which it can have: no other segment of
  // this account has it by right, and no file that can not be read. Retake the census after a
  // change.
  struct Misnamed {
    uint32_t name = 0, right = 0;
    bool taken = false;  // another segment has the right name, but by mistake: exchange the two
  };
  [[nodiscard]] std::optional<Misnamed> misnamed() const;
  // nullopt: the segment with this name, and this header, takes part.
  [[nodiscard]] std::optional<Misfit> misfit(uint32_t name, const SegmentHeader& header) const;
  // The names of the segments that take part, or will when they have their right names; the newest
  // first.
  [[nodiscard]] std::vector<uint32_t> newest_first() const;
  // It takes part, or would if it had a header: it may be a segment that is being made.
  [[nodiscard]] bool counts(uint32_t name) const;

 private:
  // The segment with this name takes part, or another that says it is this one does.
  [[nodiscard]] bool by_right(uint32_t name) const;

  std::map<uint32_t, SegmentHeader> headers_;  // by the name
  std::set<uint32_t> headless_, unreadable_;
  Id account_{};
};

// Journal::made_of() of the segments with these numbers, by the first record of each.
[[nodiscard]] std::string made_of(const std::map<uint32_t, uint64_t>& first_seqs, uint64_t seq);

// The user whom the last record of this segment that names one names; nullopt: none does.
Result<std::optional<std::string>> user_named_in(const ReadAt& read, uint64_t size,
                                                 const SegmentHeader& header);

// The user whom the newest record that names one names; empty: none does, as an early version wrote
// none, or that record is lost. Where the journal was closed in order and the segment that was
// written last begins with the record of `expected`, nothing else is read.
Result<std::string> owner_of(Segments& segments, const Census& census,
                             const std::string& expected = {});

// The number of the last record of a segment that is not the last one.
Result<uint64_t> last_record(const KnownSegment& segment);

// --- one message out of a segment ---

// What was seen of its record.
struct Seen {
  bool verified = false;         // its checksums are right
  std::optional<Damage> mended;  // it has a wrong bit, which is known
};
// At most `length` bytes of one part of the append record of `message`, from `offset` on. When
// `seen` does not say that the record was verified, it is: all of it, or up to its body when only a
// piece of a large one is wanted (more than `large` bytes). not_found: its bytes were given back
// by compaction. storage: damaged; the detail names segment and offset.
Result<std::string> read_part(const ReadAt& read, const Id& key, const std::string& path,
                              const Location& at, MessageId message, Part part, uint64_t offset,
                              uint64_t length, uint64_t large, Seen& seen);

}  // namespace rims::store
