// tests/deliver/support.h - sockets and gates for tests of delivery
#pragma once

#include <condition_variable>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <string>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include <utility>
#include <vector>

#include "common/base/fd.h"

namespace rims::deliver::test {

// A directory that goes away with its files.
class TempDir {
 public:
  TempDir() {
    char name[] = "/tmp/rims-deliver-test-XXXXXX";
    if (!mkdtemp(name)) std::abort();
    path_ = name;
  }
  TempDir(const TempDir&) = delete;
  TempDir& operator=(const TempDir&) = delete;
  ~TempDir() {
    for (const std::string& file : files_) unlink(file.c_str());
    rmdir(path_.c_str());
  }
  std::string file(const std::string& name) {
    files_.push_back(path_ + "/" + name);
    return files_.back();
  }

 private:
  std::string path_;
  std::vector<std::string> files_;
};

// As the controller makes it for rims-deliverd.
struct ListeningSocket {
  ListeningSocket() : path(dir.file("s")), fd(socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0)) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path, path.data(), path.size());
    const auto* where = static_cast<const sockaddr*>(static_cast<const void*>(&address));
    if (bind(fd.get(), where, sizeof address) < 0 || listen(fd.get(), 64) < 0) std::abort();
  }
  [[nodiscard]] Fd connect_client() const {
    Fd client(socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path, path.data(), path.size());
    const auto* where = static_cast<const sockaddr*>(static_cast<const void*>(&address));
    if (connect(client.get(), where, sizeof address) < 0) std::abort();
    return client;
  }
  TempDir dir;
  std::string path;
  Fd fd;
};

// One datagram with its descriptors.
inline std::pair<std::string, std::vector<Fd>> receive(int socket) {
  std::string bytes(4096, '\0');
  iovec io{.iov_base = bytes.data(), .iov_len = bytes.size()};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int) * 4)];
  msghdr header{};
  header.msg_iov = &io;
  header.msg_iovlen = 1;
  header.msg_control = control;
  header.msg_controllen = sizeof control;
  const ssize_t got = recvmsg(socket, &header, MSG_CMSG_CLOEXEC);
  bytes.resize(got < 0 ? 0 : static_cast<size_t>(got));
  std::vector<Fd> fds;
  for (cmsghdr* c = CMSG_FIRSTHDR(&header); got >= 0 && c; c = CMSG_NXTHDR(&header, c)) {
    for (size_t i = 0; i < (c->cmsg_len - CMSG_LEN(0)) / sizeof(int); i++) {
      int fd = -1;
      std::memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof fd);
      fds.emplace_back(fd);
    }
  }
  return {std::move(bytes), std::move(fds)};
}

// Lets one thread wait for another.
class Gate {
 public:
  void open() {
    const std::lock_guard lock(mutex_);
    open_ = true;
    changed_.notify_all();
  }
  void wait() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return open_; });
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  bool open_ = false;
};

}  // namespace rims::deliver::test
