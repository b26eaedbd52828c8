// common/store/backup_files.h - reading and writing the segments of a backup; used by backup*.cc
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include <sodium.h>

#include "common/base/fd.h"
#include "common/base/result.h"
#include "common/store/backup_manifest.h"
#include "common/store/disk.h"
#include "common/store/segment.h"

namespace rims::store {

[[nodiscard]] std::string segment_file(uint32_t number);  // "journal/00000001"
// The number of a segment by its name in journal/; 0: it is none.
[[nodiscard]] uint32_t segment_number(std::string_view name);

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

// A segment file that is read. Blocks that the disk can not read are zeros, and noted.
class SegmentBytes {
 public:
  SegmentBytes(Fd fd, std::string path, Disk& disk = Disk::real())
      : fd_(std::move(fd)), path_(std::move(path)), disk_(disk) {}
  // The size now, and the header. storage, code VERSION: newer. state(): whether it is one. May be
  // called again: the file may have grown.
  Status open();
  Result<std::string> read(uint64_t offset, size_t size);
  [[nodiscard]] ReadAt reader() {
    return [this](uint64_t offset, size_t size) { return read(offset, size); };
  }
  [[nodiscard]] const SegmentHeader& header() const { return header_; }
  [[nodiscard]] HeaderState state() const { return state_; }
  [[nodiscard]] uint64_t size() const { return size_; }
  [[nodiscard]] const std::string& path() const { return path_; }
  [[nodiscard]] int fd() const { return fd_.get(); }
  [[nodiscard]] const std::vector<BackupDamage>& unreadable() const { return unreadable_; }

 private:
  Fd fd_;
  std::string path_;
  Disk& disk_;
  SegmentHeader header_;
  HeaderState state_ = HeaderState::damaged;
  uint64_t size_ = 0;
  std::vector<BackupDamage> unreadable_;
};

// What the bytes of a segment are: every record's header, meta, aux and body looked at.
struct SegmentCheck {
  std::vector<BackupDamage> damages;
  uint64_t from = 0, to = 0, records = 0;
  bool sealed = false;
  BackupEnd end;  // its last record
};
// Of the first `size` bytes.
Result<SegmentCheck> check_segment(const ReadAt& read, uint64_t size, const SegmentHeader& header);
// Are aux and body of this entry what its header says?
Result<bool> parts_are_whole(const ReadAt& read, const Entry& entry, const Id& key);

// A file that takes another's place when it is complete.
class ReplacingFile {
 public:
  static Result<ReplacingFile> create(const AccountDir& dir, const std::string& name);
  ReplacingFile(ReplacingFile&&) = default;
  ReplacingFile& operator=(ReplacingFile&&) = delete;
  ReplacingFile(const ReplacingFile&) = delete;
  // What was not put in place is removed.
  ~ReplacingFile();
  // limit: no space.
  Status write(std::string_view bytes);
  // Reads back what was written.
  [[nodiscard]] ReadAt reader() const;
  [[nodiscard]] uint64_t size() const { return size_; }
  [[nodiscard]] std::string take_sum() { return hash_.take(); }
  Status flush();
  Status put_in_place();

 private:
  ReplacingFile(const AccountDir& dir, std::string name, Fd fd)
      : dir_(&dir), name_(std::move(name)), fd_(std::move(fd)) {}
  const AccountDir* dir_;
  std::string name_;
  Fd fd_;
  Sha256 hash_;
  uint64_t size_ = 0;
};

// A new segment with the records of both, each once: an older copy, and a compaction of its
// source that has newer records. Bodies that the compaction dropped come from the copy. A record
// that is damaged in both is left out and told in `damages`.
Status merge_segments(SegmentBytes& older, uint64_t older_size, SegmentBytes& newer,
                      ReplacingFile& out, Id& id, std::vector<std::string>& damages);

}  // namespace rims::store
