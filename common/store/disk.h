// common/store/disk.h - the system calls that the store makes on files: one seam
//
// Every path is opened beneath a directory descriptor, and no symbolic link is followed (openat2).
// Called from the threads of the I/O pool. Tests put a Disk with faults here.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <sys/types.h>
#include <sys/uio.h>
#include <vector>

#include "common/base/fd.h"
#include "common/base/result.h"

namespace rims::store {

struct FileSystem {
  uint64_t bytes = 0, free_bytes = 0;    // free for a process that is not root
  uint64_t inodes = 0, free_inodes = 0;  // 0 inodes: it does not count them
};

// Each returns what the system call returns, and errno.
class Disk {
 public:
  virtual ~Disk() = default;
  virtual int open(int dir, const char* path, int flags, unsigned mode);
  virtual ssize_t write(int fd, const iovec* pieces, int count, off_t offset);
  virtual ssize_t read(int fd, void* to, size_t size, off_t offset);
  virtual int fdatasync(int fd);
  virtual int fsync(int fd);
  virtual int truncate(int fd, off_t size);
  virtual int mkdir(int dir, const char* path, unsigned mode);
  virtual int rename(int dir, const char* from, const char* to);  // never over something
  virtual int replace(int dir, const char* from, const char* to);
  virtual int unlink(int dir, const char* path);

  // statvfs of the file system that `fd` is in.
  virtual int file_system(int fd, FileSystem& found);

  static Disk& real();
};

// Whole results: EINTR and short transfers are taken care of. `what` names the file in errors.
Status write_all(Disk& disk, int fd, std::vector<iovec> pieces, uint64_t offset,
                 const std::string& what);
// Fewer than `size` bytes only at the end of the file.
Result<std::string> read_up_to(Disk& disk, int fd, size_t size, uint64_t offset,
                               const std::string& what);
Result<uint64_t> file_size(int fd, const std::string& what);
// Names in the directory `name` beneath `dir`, sorted.
Result<std::vector<std::string>> list_directory(Disk& disk, int dir, const std::string& name,
                                                const std::string& what);

// The directory of one account: mailbox.3/<2 hex>/<62 hex> beneath the base directory, made when
// missing, locked (flock) as long as this object lives.
class AccountDir {
 public:
  // storage "locked": another process has it.
  static Result<AccountDir> open(Disk& disk, int base, const std::string& user, bool create = true);
  // Makes the account's own name durable, and those of the directories above it.
  static Status sync_above(Disk& disk, int base, const std::string& user);
  // An existing one by its path, beneath `base` or of the system; for offline tools.
  static Result<AccountDir> beneath(Disk& disk, int base, const std::string& path);
  static Result<AccountDir> at(Disk& disk, const std::string& path);

  [[nodiscard]] int fd() const { return dir_.get(); }
  [[nodiscard]] Disk& disk() const { return *disk_; }
  // For messages: "mailbox.3/2c/26b4...".
  [[nodiscard]] const std::string& path() const { return path_; }
  // Opens a file or directory in it.
  [[nodiscard]] Result<Fd> open_file(const std::string& name, int flags) const;
  Status make_directory(const std::string& name) const;
  // Names in the directory `name`, sorted.
  [[nodiscard]] Result<std::vector<std::string>> list(const std::string& name) const;
  // Makes what was created, renamed or removed in the directory `name` durable.
  Status sync_directory(const std::string& name) const;
  // Saves bytes that were found damaged: quarantine/<name>; an existing file stays.
  Status quarantine(const std::string& name, std::string_view bytes) const;

 private:
  static Result<AccountDir> lock(Disk& disk, Fd dir, std::string path);
  AccountDir(Disk& disk, Fd dir, std::string path)
      : disk_(&disk), dir_(std::move(dir)), path_(std::move(path)) {}
  Disk* disk_;
  Fd dir_;
  std::string path_;
};

}  // namespace rims::store
