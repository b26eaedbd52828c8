// common/maintenance/backup_files.h - reading and writing the segments of a backup; used by
// backup*.cc
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include <sodium.h>

#include "common/base/result.h"
#include "common/journal/segment.h"
#include "common/journal/segments.h"
#include "common/maintenance/backup_manifest.h"

namespace rims::store {

// limit, when `error` says that there is no room.
[[nodiscard]] Error no_space(const Error& error);

class Sha256 {
 public:
  Sha256() { crypto_hash_sha256_init(&state_); }
  void add(std::string_view bytes) {
    crypto_hash_sha256_update(&state_, reinterpret_cast<const unsigned char*>(bytes.data()),
                              bytes.size());
  }
  [[nodiscard]] std::string take() {
    std::string sum(crypto_hash_sha256_BYTES, '\0');
    crypto_hash_sha256_final(&state_, reinterpret_cast<unsigned char*>(sum.data()));
    return sum;
  }

 private:
  crypto_hash_sha256_state state_{};
};

// A segment that is read. Blocks that the disk can not read are zeros, and noted.
class SegmentBytes {
 public:
  // Error::system() is set when the file can not be opened. storage: of a newer format.
  static Result<std::unique_ptr<SegmentBytes>> open(Segments& segments, uint32_t number);
  explicit SegmentBytes(SegmentFileRef file) : file_(std::move(file)) {}
  // Reads the size and the header; state() says whether the header is good. Call it again when the
  // segment may have grown.
  Status look();
  Result<std::string> read(uint64_t offset, size_t size);
  [[nodiscard]] ReadAt reader() {
    return [this](uint64_t offset, size_t size) { return read(offset, size); };
  }
  [[nodiscard]] const SegmentHeader& header() const { return header_; }
  [[nodiscard]] HeaderState state() const { return state_; }
  [[nodiscard]] uint64_t size() const { return size_; }
  [[nodiscard]] const std::string& path() const { return file_->path(); }
  Status flush() { return file_->flush(SegmentFile::Flush::data); }
  [[nodiscard]] const std::vector<BackupDamage>& unreadable() const { return unreadable_; }

 private:
  SegmentFileRef file_;
  SegmentHeader header_;
  HeaderState state_ = HeaderState::damaged;
  uint64_t size_ = 0;
  std::vector<BackupDamage> unreadable_;
};

// What a journal lacks between these segments of it (ascending, as a backup lists them): a line
// each; empty: nothing. A number that no segment has is no loss when the numbers of the records
// continue.
Result<std::vector<std::string>> missing_segments(Segments& segments,
                                                  const std::vector<BackupSegment>& list);

// What the bytes of a segment are: every record's header, meta, aux and body looked at.
struct SegmentCheck {
  std::vector<BackupDamage> damages;
  uint64_t from = 0, to = 0, records = 0;
  uint64_t broken = 0;  // of the records: aux or body is not what its header says
  bool sealed = false;
  BackupEnd end;  // its last record
};
// Of the first `size` bytes.
Result<SegmentCheck> check_segment(const ReadAt& read, uint64_t size, const SegmentHeader& header);
// Are aux and body of this entry what its header says?
Result<bool> parts_are_whole(const ReadAt& read, const Entry& entry, const Id& key);

// A segment that takes another's place when it is complete.
class NewSegment {
 public:
  static Result<NewSegment> create(Segments& segments, uint32_t number);
  NewSegment(NewSegment&&) = default;
  NewSegment& operator=(NewSegment&&) = delete;
  NewSegment(const NewSegment&) = delete;
  // Removes the file if it was not put in place.
  ~NewSegment();
  // limit: no space.
  Status write(std::string_view bytes);
  // Reads back what was written.
  [[nodiscard]] ReadAt reader() const {
    return [this](uint64_t offset, size_t size) { return file_->read(offset, size); };
  }
  [[nodiscard]] uint64_t size() const { return size_; }
  [[nodiscard]] std::string take_sum() { return hash_.take(); }
  Status flush() { return file_->flush(SegmentFile::Flush::all); }
  Status put_in_place();

 private:
  NewSegment(Segments& segments, uint32_t number, SegmentFileRef file)
      : segments_(&segments), number_(number), file_(std::move(file)) {}
  Segments* segments_;
  uint32_t number_;
  SegmentFileRef file_;
  Sha256 hash_;
  uint64_t size_ = 0;
};

// A new segment with the records of both, each once: an older copy, and a compaction of its source
// that has newer records. Bodies that the compaction dropped come from the copy. A record that is
// damaged in both is left out and reported in `damages`.
Status merge_segments(SegmentBytes& older, uint64_t older_size, SegmentBytes& newer,
                      NewSegment& out, Id& id, std::vector<std::string>& damages);

}  // namespace rims::store
