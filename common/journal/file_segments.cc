// common/journal/file_segments.cc - files, their names, and what makes both durable

#include "common/journal/file_segments.h"

#include <cerrno>
#include <fcntl.h>

#include <fmt/format.h>

namespace rims::store {
namespace {

// A segment whose descriptor stays open.
class Kept final : public SegmentFile {
 public:
  Kept(Fd fd, std::string path, Disk& disk)
      : SegmentFile(std::move(path)), disk_(disk), fd_(std::move(fd)) {}
  Result<uint64_t> size() override { return file_size(fd_.get(), path()); }
  Result<std::string> read(uint64_t offset, size_t size) override {
    return read_up_to(disk_, fd_.get(), size, offset, path());
  }
  std::optional<std::string> read_now(uint64_t offset, size_t size) override {
    std::string bytes(size, '\0');
    const iovec to{bytes.data(), size};
    const ssize_t n = preadv2(fd_.get(), &to, 1, static_cast<off_t>(offset), RWF_NOWAIT);
    // Not in memory, or a file system that can not say.
    if (n != static_cast<ssize_t>(size)) return std::nullopt;
    return bytes;
  }
  Status write(std::vector<iovec> pieces, uint64_t offset) override {
    return write_all(disk_, fd_.get(), std::move(pieces), offset, path());
  }
  Status flush(Flush what) override {
    if (what == Flush::data && disk_.fdatasync(fd_.get()) != 0)
      return fail_errno("fdatasync " + path(), errno);
    if (what == Flush::all && disk_.fsync(fd_.get()) != 0)
      return fail_errno("fsync " + path(), errno);
    return {};
  }
  Status cut(uint64_t size) override {
    if (disk_.truncate(fd_.get(), static_cast<off_t>(size)) != 0)
      return fail_errno("truncate " + path(), errno);
    return {};
  }

 private:
  Disk& disk_;
  Fd fd_;
};

// A segment whose descriptor may be closed while nobody uses it.
class Shared final : public SegmentFile, private OpenFile {
 public:
  Shared(std::shared_ptr<const AccountDir> dir, OpenFiles& files, std::string path, int flags)
      : SegmentFile(std::move(path)), dir_(dir), disk_(dir->disk()), files_(files), flags_(flags) {}
  ~Shared() override { files_.forget(*this); }

  // Called once, at first; later openings must not use O_CREAT.
  Status open_now() {
    TRY([[maybe_unused]] const auto use, files_.use(*this));
    flags_ &= ~(O_CREAT | O_EXCL);
    return {};
  }
  Result<uint64_t> size() override {
    TRY([[maybe_unused]] const auto use, files_.use(*this));
    return file_->size();
  }
  Result<std::string> read(uint64_t offset, size_t size) override {
    TRY([[maybe_unused]] const auto use, files_.use(*this));
    return file_->read(offset, size);
  }
  std::optional<std::string> read_now(uint64_t offset, size_t size) override {
    const auto use = files_.try_use(*this);
    return use ? file_->read_now(offset, size) : std::nullopt;
  }
  Status write(std::vector<iovec> pieces, uint64_t offset) override {
    TRY([[maybe_unused]] const auto use, files_.use(*this));
    if (only_read_) return fail_errno("write " + path(), EROFS);
    return file_->write(std::move(pieces), offset);
  }
  Status flush(Flush what) override {
    TRY([[maybe_unused]] const auto use, files_.use(*this));
    return file_->flush(what);
  }
  Status cut(uint64_t size) override {
    TRY([[maybe_unused]] const auto use, files_.use(*this));
    if (only_read_) return fail_errno("truncate " + path(), EROFS);
    return file_->cut(size);
  }
  Result<std::shared_ptr<void>> hold() override {
    TRY(auto use, files_.use(*this));
    return std::make_shared<OpenFiles::Use>(std::move(use));
  }

 private:
  [[nodiscard]] std::string name() const { return path().substr(path().rfind('/') + 1); }
  Status open_file() override {
    const auto dir = dir_.lock();
    if (!dir) return fail(Fault::storage, "temporary failure", path() + " is closed");
    const std::string file_name = "journal/" + name();
    Fd fd(disk_.open(dir->fd(), file_name.c_str(), flags_, 0600));
    // It could be written when it was opened first.
    only_read_ = !fd && errno == EROFS && !head_.empty();
    if (only_read_) fd = Fd(disk_.open(dir->fd(), file_name.c_str(), O_RDONLY | O_NONBLOCK, 0));
    if (!fd) return fail_errno("open " + path(), errno);
    auto file = std::make_unique<Kept>(std::move(fd), path(), disk_);
    if (!head_.empty()) {
      TRY(const std::string head, file->read(0, head_.size()));
      // A compaction has replaced it: the name belongs to another segment now.
      if (head != head_)
        return fail(Fault::storage, "temporary failure", path() + " was replaced meanwhile",
                    "UNAVAILABLE");
    }
    file_ = std::move(file);
    return {};
  }
  void close_file() override {
    if (!file_) return;
    // The header has the segment's id, so it tells whether this is the same segment.
    head_ = file_->read(0, kSegmentHeader).value_or(std::string("can not be read"));
    file_.reset();
  }

  std::weak_ptr<const AccountDir> dir_;  // of the journal, whose lock must end when it is closed
  Disk& disk_;
  OpenFiles& files_;
  int flags_;
  std::unique_ptr<Kept> file_;
  std::string head_;  // what it began with when it was closed
  bool only_read_ = false;
};

}  // namespace

FileSegments::FileSegments(std::shared_ptr<const AccountDir> dir, OpenFiles* files)
    : dir_(std::move(dir)),
      files_(files),
      disk_(&dir_->disk()),
      fd_(dir_->fd()),
      prefix_("journal/"),
      path_(dir_->path() + "/journal") {}

FileSegments::FileSegments(const AccountDir& dir)
    : FileSegments(std::shared_ptr<const AccountDir>(std::shared_ptr<void>(), &dir)) {}

FileSegments::FileSegments(Fd directory, std::string path, Disk& disk)
    : own_(std::move(directory)), disk_(&disk), fd_(own_.get()), path_(std::move(path)) {}

Result<std::vector<std::string>> FileSegments::names() {
  return list_directory(*disk_, fd_, prefix_.empty() ? "." : "journal", path_);
}

Result<SegmentFileRef> FileSegments::open_file(const std::string& name, int flags) {
  const std::string path = path_ + "/" + name;
  if (files_) {
    auto shared = std::make_shared<Shared>(dir_, *files_, path, flags);
    TRY_STATUS(shared->open_now());
    return shared;
  }
  Fd fd(disk_->open(fd_, (prefix_ + name).c_str(), flags, 0600));
  if (!fd) return fail_errno("open " + path, errno);
  return std::make_shared<Kept>(std::move(fd), path, *disk_);
}

Result<SegmentFileRef> FileSegments::open(uint32_t number, Access access) {
  // O_NONBLOCK: if it is a FIFO, open() must not wait.
  return open_file(segment_name(number),
                   (access == Access::write ? O_RDWR : O_RDONLY) | O_NONBLOCK);
}

Result<SegmentFileRef> FileSegments::create(uint32_t number) {
  return open_file(segment_name(number), O_RDWR | O_CREAT | O_EXCL);
}

Result<SegmentFileRef> FileSegments::create_replacement(uint32_t number) {
  const std::string name = replacement_name(number);
  if (const auto removed = remove(name); !removed && removed.error().system() != ENOENT)
    return std::unexpected(removed.error());
  return open_file(name, O_RDWR | O_CREAT | O_EXCL);
}

Status FileSegments::replace(uint32_t number, SegmentFile& made) {
  const std::string from = prefix_ + replacement_name(number);
  if (disk_->replace(fd_, from.c_str(), (prefix_ + segment_name(number)).c_str()) != 0)
    return fail_errno("rename " + made.path(), errno);
  made.be_called(path_ + "/" + segment_name(number));
  return sync();
}

Status FileSegments::remove(const std::string& name) {
  if (disk_->unlink(fd_, (prefix_ + name).c_str()) != 0)
    return fail_errno("unlink " + path_ + "/" + name, errno);
  return {};
}

Status FileSegments::rename(uint32_t from, uint32_t to) {
  if (disk_->rename(fd_, (prefix_ + segment_name(from)).c_str(),
                    (prefix_ + segment_name(to)).c_str()) != 0)
    return fail_errno(
        fmt::format("rename {}/{} to {}", path_, segment_name(from), segment_name(to)), errno);
  return {};
}

Status FileSegments::exchange(uint32_t one, uint32_t other) {
  if (disk_->exchange(fd_, (prefix_ + segment_name(one)).c_str(),
                      (prefix_ + segment_name(other)).c_str()) != 0)
    return fail_errno(
        fmt::format("exchange {}/{} and {}", path_, segment_name(one), segment_name(other)), errno);
  return {};
}

Status FileSegments::move_aside(const std::string& name, const std::string& to) {
  if (!dir_) return fail(Fault::bug, "internal error", path_ + " is only read");
  TRY_STATUS(dir_->make_directory("quarantine"));
  TRY_STATUS(dir_->sync_directory("."));
  if (disk_->rename(fd_, (prefix_ + name).c_str(), ("quarantine/" + to).c_str()) != 0)
    return fail_errno("rename " + path_ + "/" + name, errno);
  TRY_STATUS(dir_->sync_directory("quarantine"));
  return sync();
}

Status FileSegments::keep_copy(const std::string& name, std::string_view bytes) {
  if (!dir_) return fail(Fault::bug, "internal error", path_ + " is only read");
  return dir_->quarantine(name, bytes);
}

Status FileSegments::prepare() {
  if (!dir_) return {};
  TRY_STATUS(dir_->make_directory("journal"));
  // The process that made it may have been killed before its name was durable.
  TRY(const auto there, names());
  return there.empty() ? dir_->sync_directory(".") : Status();
}

Status FileSegments::sync() {
  const Fd fd(disk_->open(fd_, prefix_.empty() ? "." : "journal", O_RDONLY | O_DIRECTORY, 0));
  if (!fd) return fail_errno("open " + path_, errno);
  if (disk_->fsync(fd.get()) != 0) return fail_errno("fsync " + path_, errno);
  return {};
}

}  // namespace rims::store
