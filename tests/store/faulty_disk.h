// tests/store/faulty_disk.h - a real disk that fails, counts, and loses its power
//
// Power loss: every write and truncate remembers what was there before, until a flush of the
// same file; lose_power() puts it back.
#pragma once

#include <cerrno>
#include <fcntl.h>
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <sys/stat.h>
#include <unistd.h>
#include <vector>

#include "common/store/disk.h"

namespace rims::store {

class FaultyDisk final : public Disk {
 public:
  enum class Call : uint8_t {
    open,
    write,
    fdatasync,
    fsync,
    truncate,
    mkdir,
    rename,
    replace,
    unlink
  };
  // Asked before each call; an errno makes it fail. A negative number is a short write.
  std::function<int(Call)> fault;
  int fdatasyncs = 0, fsyncs = 0;
  bool syncs_lie = false;            // the mutant: a flush does nothing
  bool directory_syncs_lie = false;  // only that of a directory

  int open(int dir, const char* path, int flags, unsigned mode) override {
    if (fails(Call::open)) return -1;
    return Disk::open(dir, path, flags, mode);
  }
  ssize_t write(int fd, const iovec* pieces, int count, off_t offset) override {
    const std::lock_guard lock(mutex_);
    size_t size = 0;
    for (int i = 0; i < count; i++) size += pieces[i].iov_len;
    remember(fd, offset, size);
    const int error = fault ? fault(Call::write) : 0;
    if (error > 0) {
      // Half of it arrives, as disks do.
      const iovec half{pieces[0].iov_base, pieces[0].iov_len / 2};
      Disk::write(fd, &half, 1, offset);
      errno = error;
      return -1;
    }
    if (error < 0) {
      const iovec half{pieces[0].iov_base, (pieces[0].iov_len + 1) / 2};
      return Disk::write(fd, &half, 1, offset);
    }
    return Disk::write(fd, pieces, count, offset);
  }
  int fdatasync(int fd) override {
    fdatasyncs++;
    if (fails(Call::fdatasync)) return -1;
    return flush(fd);
  }
  int fsync(int fd) override {
    fsyncs++;
    if (fails(Call::fsync)) return -1;
    return flush(fd);
  }
  int truncate(int fd, off_t size) override {
    if (fails(Call::truncate)) return -1;
    const std::lock_guard lock(mutex_);
    struct stat st{};
    fstat(fd, &st);
    if (st.st_size > size) remember(fd, size, static_cast<size_t>(st.st_size - size));
    return Disk::truncate(fd, size);
  }
  int mkdir(int dir, const char* path, unsigned mode) override {
    if (fails(Call::mkdir)) return -1;
    return Disk::mkdir(dir, path, mode);
  }
  int rename(int dir, const char* from, const char* to) override {
    if (fails(Call::rename)) return -1;
    return Disk::rename(dir, from, to);
  }
  int replace(int dir, const char* from, const char* to) override {
    if (fails(Call::replace)) return -1;
    const std::lock_guard lock(mutex_);
    Replaced undo{.dir = Fd(Disk::open(dir, ".", O_RDONLY | O_DIRECTORY, 0)),
                  .from = from,
                  .to = to,
                  .saved = {},
                  .inode = 0};
    undo.saved = "replaced-" + std::to_string(replacements_++);
    struct stat st{};
    fstatat(dir, undo.to.substr(0, undo.to.find('/')).c_str(), &st, 0);
    undo.inode = st.st_ino;
    linkat(dir, to, dir, undo.saved.c_str(), 0);
    const int result = Disk::replace(dir, from, to);
    replaced_.push_back(std::move(undo));
    return result;
  }
  int unlink(int dir, const char* path) override {
    if (fails(Call::unlink)) return -1;
    return Disk::unlink(dir, path);
  }

  // Everything since the last flush of each file is as it was before it.
  void lose_power() {
    const std::lock_guard lock(mutex_);
    for (auto& [inode, file] : files_) {
      for (auto it = file.undo.rbegin(); it != file.undo.rend(); ++it) {
        const iovec piece{it->bytes.data(), it->bytes.size()};
        if (!it->bytes.empty()) Disk::write(file.fd.get(), &piece, 1, it->offset);
        Disk::truncate(file.fd.get(), it->size);
      }
    }
    files_.clear();
    for (auto it = replaced_.rbegin(); it != replaced_.rend(); ++it) {
      Disk::replace(it->dir.get(), it->to.c_str(), it->from.c_str());
      Disk::replace(it->dir.get(), it->saved.c_str(), it->to.c_str());
    }
    replaced_.clear();
  }

 private:
  struct Undo {
    off_t offset = 0;
    std::string bytes;
    off_t size = 0;
  };
  // A file that took another one's name; the other one stays under `saved` till the directory
  // is flushed.
  struct Replaced {
    Fd dir;
    std::string from, to, saved;
    ino_t inode = 0;
  };
  struct File {
    Fd fd;
    std::vector<Undo> undo;
  };
  bool fails(Call call) {
    const std::lock_guard lock(mutex_);
    const int error = fault ? fault(call) : 0;
    if (error > 0) errno = error;
    return error > 0;
  }
  void remember(int fd, off_t offset, size_t size) {
    struct stat st{};
    fstat(fd, &st);
    auto& file = files_[st.st_ino];
    if (!file.fd) file.fd = Fd(dup(fd));
    Undo undo{.offset = offset, .bytes = std::string(size, '\0'), .size = st.st_size};
    const ssize_t n = Disk::read(fd, undo.bytes.data(), size, offset);
    undo.bytes.resize(static_cast<size_t>(std::max<ssize_t>(n, 0)));
    file.undo.push_back(std::move(undo));
  }
  int flush(int fd) {
    const std::lock_guard lock(mutex_);
    struct stat st{};
    fstat(fd, &st);
    if (syncs_lie) return 0;
    files_.erase(st.st_ino);
    if (directory_syncs_lie) return 0;
    std::erase_if(replaced_, [&](const Replaced& undo) {
      if (undo.inode != st.st_ino) return false;
      Disk::unlink(undo.dir.get(), undo.saved.c_str());
      return true;
    });
    return 0;  // the page cache is durable enough for a test
  }
  std::mutex mutex_;
  std::map<ino_t, File> files_;
  std::vector<Replaced> replaced_;
  int replacements_ = 0;
};

}  // namespace rims::store
