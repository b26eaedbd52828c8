// common/journal/disk.cc - system calls with their whole results

#include "common/journal/disk.h"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <dirent.h>  // getdents64
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>
#include <utility>

#include "common/base/beneath.h"

namespace rims::store {

int Disk::open(int dir, const char* path, int flags, unsigned mode) {
  return open_beneath(dir, path, flags, mode).release();
}
ssize_t Disk::write(int fd, const iovec* pieces, int count, off_t offset) {
  return ::pwritev(fd, pieces, count, offset);
}
ssize_t Disk::read(int fd, void* to, size_t size, off_t offset) {
  return ::pread(fd, to, size, offset);
}
int Disk::fdatasync(int fd) { return ::fdatasync(fd); }
int Disk::fsync(int fd) { return ::fsync(fd); }
int Disk::truncate(int fd, off_t size) { return ::ftruncate(fd, size); }
int Disk::mkdir(int dir, const char* path, unsigned mode) { return ::mkdirat(dir, path, mode); }
int Disk::rename(int dir, const char* from, const char* to) {
  return ::renameat2(dir, from, dir, to, RENAME_NOREPLACE);
}
int Disk::replace(int dir, const char* from, const char* to) {
  return ::renameat(dir, from, dir, to);
}
int Disk::exchange(int dir, const char* one, const char* other) {
  return ::renameat2(dir, one, dir, other, RENAME_EXCHANGE);
}
int Disk::unlink(int dir, const char* path) { return ::unlinkat(dir, path, 0); }

int Disk::file_system(int fd, FileSystem& found) {
  struct statvfs s{};
  if (::fstatvfs(fd, &s) != 0) return -1;
  found = {.bytes = s.f_blocks * s.f_frsize,
           .free_bytes = s.f_bavail * s.f_frsize,
           .inodes = s.f_files,
           .free_inodes = s.f_favail};
  return 0;
}

Disk& Disk::real() {
  static Disk disk;
  return disk;
}

Status write_all(Disk& disk, int fd, std::vector<iovec> pieces, uint64_t offset,
                 const std::string& what) {
  size_t first = 0;
  while (first < pieces.size()) {
    if (pieces[first].iov_len == 0) {
      first++;
      continue;
    }
    const int count = static_cast<int>(std::min<size_t>(pieces.size() - first, 1024));  // IOV_MAX
    const ssize_t n = disk.write(fd, &pieces[first], count, static_cast<off_t>(offset));
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) {
      const int error = n < 0 ? errno : ENOSPC;
      return fail_errno("write " + what + " at offset " + std::to_string(offset), error);
    }
    offset += static_cast<uint64_t>(n);
    for (auto left = static_cast<size_t>(n); left > 0;) {
      auto& piece = pieces[first];
      const size_t done = std::min(left, piece.iov_len);
      piece.iov_base = static_cast<char*>(piece.iov_base) + done;
      piece.iov_len -= done;
      left -= done;
      if (piece.iov_len == 0) first++;
    }
  }
  return {};
}

Result<uint64_t> file_size(int fd, const std::string& what) {
  struct stat st{};
  if (fstat(fd, &st) != 0) return fail_errno("fstat " + what, errno);
  return static_cast<uint64_t>(st.st_size);
}

Result<std::string> read_up_to(Disk& disk, int fd, size_t size, uint64_t offset,
                               const std::string& what) {
  std::string bytes(size, '\0');
  size_t got = 0;
  bool ended = false;
  while (got < size) {
    const ssize_t n =
        disk.read(fd, bytes.data() + got, size - got, static_cast<off_t>(offset + got));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) {
      const int error = errno;
      return fail_errno("read " + what + " at offset " + std::to_string(offset + got), error);
    }
    if (n == 0) {
      // A caller cuts off what it takes for bytes after the end. So compare with the file's size,
      // which may have grown just now.
      TRY(const uint64_t end, file_size(fd, what));
      if (end <= offset + got) break;
      if (std::exchange(ended, true))
        return fail_errno("read " + what + " at offset " + std::to_string(offset + got), EIO);
      continue;
    }
    ended = false;
    got += static_cast<size_t>(n);
  }
  bytes.resize(got);
  return bytes;
}

Result<std::vector<std::string>> list_directory(Disk& disk, int dir, const std::string& name,
                                                const std::string& what) {
  Fd fd(disk.open(dir, name.c_str(), O_RDONLY | O_DIRECTORY, 0));
  if (!fd) return fail_errno("open " + what, errno);
  // fdopendir() asks for more than rims-imapd may.
  std::vector<std::string> names;
  alignas(dirent64) char buffer[16 * 1024];
  for (;;) {
    const ssize_t got = getdents64(fd.get(), buffer, sizeof buffer);
    if (got < 0) return fail_errno("read the directory " + what, errno);
    if (got == 0) break;
    for (ssize_t at = 0; at < got;) {
      const auto* entry = reinterpret_cast<const dirent64*>(buffer + at);
      at += entry->d_reclen;
      const std::string_view found = entry->d_name;
      if (found != "." && found != "..") names.emplace_back(found);
    }
  }
  std::ranges::sort(names);
  return names;
}

Status remove_directory(Disk& disk, int dir, const std::string& path) {
  TRY(const auto names, list_directory(disk, dir, path, path));
  for (const auto& name : names) {
    const std::string inside = path + "/" + name;
    if (disk.unlink(dir, inside.c_str()) == 0) continue;
    const int error = errno;
    if (error != EISDIR && error != EPERM) return fail_errno("unlink " + inside, error);
    TRY_STATUS(remove_directory(disk, dir, inside));
  }
  if (unlinkat(dir, path.c_str(), AT_REMOVEDIR) != 0) return fail_errno("rmdir " + path, errno);
  return {};
}

}  // namespace rims::store
