// common/journal/file_segments.h - segments as files of a directory
#pragma once

#include <memory>
#include <string>
#include <sys/types.h>
#include <vector>

#include "common/base/fd.h"
#include "common/journal/account_dir.h"
#include "common/journal/disk.h"
#include "common/journal/open_files.h"
#include "common/journal/segments.h"

namespace rims::store {

class FileSegments final : public Segments {
 public:
  // Of an account, or of one in a backup: journal/NNNNNNNN in `dir`. With `files`, segments that
  // are open and not used may be closed for a while; they are opened again when they are used.
  // `dir` holds the lock.
  explicit FileSegments(std::shared_ptr<const AccountDir> dir, OpenFiles* files = nullptr);
  // The same; `dir` stays with the caller and must outlive it.
  explicit FileSegments(const AccountDir& dir);
  // Any directory with segments in it, for reading.
  FileSegments(Fd directory, std::string path, Disk& disk);

  [[nodiscard]] const std::string& path() const override { return path_; }
  Result<std::vector<std::string>> names() override;
  Result<SegmentFileRef> open(uint32_t number, Access access) override;
  Result<SegmentFileRef> create(uint32_t number) override;
  Result<SegmentFileRef> create_replacement(uint32_t number) override;
  Status replace(uint32_t number, SegmentFile& made) override;
  Status remove(const std::string& name) override;
  Status rename(uint32_t from, uint32_t to) override;
  Status exchange(uint32_t one, uint32_t other) override;
  Status move_aside(const std::string& name, const std::string& to) override;
  Status keep_copy(const std::string& name, std::string_view bytes) override;
  Status prepare() override;
  Status sync() override;

 private:
  Result<SegmentFileRef> open_file(const std::string& name, int flags);

  std::shared_ptr<const AccountDir> dir_;  // shared with the index; empty: for reading only
  Fd own_;
  OpenFiles* files_ = nullptr;
  Disk* disk_;
  int fd_;              // what the names are beneath
  std::string prefix_;  // "journal/"
  std::string path_;
};

}  // namespace rims::store
