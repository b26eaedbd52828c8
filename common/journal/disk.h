// common/journal/disk.h - the system calls that the store makes on files, in one place
//
// Every path is opened beneath a directory descriptor, and no symbolic link is followed.
// Called from the threads of the I/O pool. Tests use a Disk with faults instead.
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
  virtual int exchange(int dir, const char* one, const char* other);  // their names
  virtual int unlink(int dir, const char* path);

  // statvfs of the file system that `fd` is in.
  virtual int file_system(int fd, FileSystem& found);

  static Disk& real();
};

// These handle EINTR and short transfers. `what` names the file in errors.
Status write_all(Disk& disk, int fd, std::vector<iovec> pieces, uint64_t offset,
                 const std::string& what);
// Fewer than `size` bytes only at the end of the file.
Result<std::string> read_up_to(Disk& disk, int fd, size_t size, uint64_t offset,
                               const std::string& what);
Result<uint64_t> file_size(int fd, const std::string& what);
// Names in the directory `name` beneath `dir`, sorted.
Result<std::vector<std::string>> list_directory(Disk& disk, int dir, const std::string& name,
                                                const std::string& what);

// Unlinks the directory `path` beneath `dir` with all that is in it. Links are not followed.
Status remove_directory(Disk& disk, int dir, const std::string& path);

}  // namespace rims::store
