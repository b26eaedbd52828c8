// common/ipc/link.cc - datagrams with descriptors, checked against the reader's table

#include "common/ipc/link.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <sys/socket.h>
#include <utility>

#include "common/base/log.h"
#include "common/ipc/auth_link.h"

namespace rims::ipc {
namespace {

constexpr size_t kHeader = 2;  // the type
// A peer that does not read for this long is considered dead.
constexpr Milliseconds kSendLimit{30'000};
// When the kernel is short of memory, wait and try again, as a closed link would be lost for much
// longer.
constexpr Milliseconds kMemoryPause{20};

bool short_of_memory(int error) { return error == ENOMEM || error == ENOBUFS; }

std::vector<Fd> descriptors_of(msghdr& header) {
  std::vector<Fd> fds;
  for (cmsghdr* c = CMSG_FIRSTHDR(&header); c; c = CMSG_NXTHDR(&header, c)) {
    if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS) continue;
    const size_t count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (size_t i = 0; i < count; i++) {
      int fd = -1;
      std::memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof fd);
      fds.emplace_back(fd);
    }
  }
  return fds;
}

}  // namespace

Link::Link(Loop& loop, End end, std::string peer, std::span<const Accepts> accepts)
    : loop_(loop),
      fd_(std::move(end.fd)),
      ended_(std::move(end.ended)),
      peer_(std::move(peer)),
      accepts_(accepts),
      sending_(loop) {
  const int flags = fcntl(fd_.get(), F_GETFL);
  if (flags < 0 || fcntl(fd_.get(), F_SETFL, flags | O_NONBLOCK) < 0)
    fatal("a link could not be made non-blocking");
}

void Link::close() {
  open_ = false;
  // The peer sees the end. Nobody reads here any more; the other half is not shut down, for no
  // program may do that to a socket (common/privdrop/process_table.h).
  ::shutdown(fd_.get(), SHUT_WR);
  for (FdReady* waiting : waiting_) waiting->wake();
  if (const auto tell = std::exchange(ended_, nullptr)) tell();
}

void Link::breach(std::string_view what) {
  log::error({}, "breach: {} sent {}; the link is closed", peer_, what);
  broken_ = true;
  close();
}

Result<std::optional<Packet>> Link::receive_now() {
  if (!open()) return fail(Fault::peer_gone, "closed", "link to " + peer_ + " is closed");
  // One for all links of a thread: 64 KiB that were made, filled and wiped for every message of
  // fifty bytes cost more than the message.
  static thread_local std::array<char, kMaxMessage> buffer;
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int) * kMaxFds)];
  iovec io{.iov_base = buffer.data(), .iov_len = buffer.size()};
  msghdr header{};
  header.msg_iov = &io;
  header.msg_iovlen = 1;
  header.msg_control = control;
  header.msg_controllen = sizeof control;
  const ssize_t got = recvmsg(fd_.get(), &header, MSG_CMSG_CLOEXEC);
  starved_ = got < 0 && short_of_memory(errno);
  if (got < 0 && (errno == EAGAIN || errno == EINTR || starved_)) return std::optional<Packet>();
  // Before any check: an empty message may bring descriptors, too.
  std::vector<Fd> fds = got < 0 ? std::vector<Fd>() : descriptors_of(header);
  if (got <= 0 && fds.empty()) {
    close();
    return fail(Fault::peer_gone, "closed", "link to " + peer_ + " ended");
  }
  const auto refuse = [&](std::string_view what) {
    explicit_bzero(buffer.data(), buffer.size());
    breach(what);
    return fail(Fault::peer_gone, "closed", "link to " + peer_ + " was broken");
  };
  // Fewer than were sent: there were too many, or we are at our limit.
  const bool cut = (header.msg_flags & MSG_CTRUNC) != 0;
  if ((header.msg_flags & MSG_TRUNC) != 0 || (cut && fds.size() == kMaxFds))
    return refuse("a message too large");
  if (static_cast<size_t>(got) < kHeader) return refuse("a message without a type");
  Packet packet;
  packet.type =
      static_cast<uint16_t>(static_cast<uint8_t>(buffer[0]) << 8 | static_cast<uint8_t>(buffer[1]));
  packet.body.assign(buffer.data() + kHeader, static_cast<size_t>(got) - kHeader);
  packet.fds = std::move(fds);
  explicit_bzero(buffer.data(), static_cast<size_t>(got));  // it may have held a password
  const auto row = std::ranges::find(accepts_, packet.type, &Accepts::type);
  if (row == accepts_.end()) return refuse("a message that is not accepted");
  if (packet.body.size() > row->max_bytes) return refuse("a message over its limit");
  if (cut && packet.fds.size() < row->fds) {
    log::error({},
               "a message of {} lost its descriptors: this process may not open more; it is "
               "refused (raise its limit of open files)",
               peer_);
    packet.fds.clear();
    packet.fds.resize(row->fds);
  } else if (cut || packet.fds.size() != row->fds) {
    return refuse("a wrong number of descriptors");
  }
  return std::optional(std::move(packet));
}

Task<Result<Packet>> Link::receive() {
  while (open()) {
    CO_TRY(auto packet, receive_now());
    if (packet) co_return std::move(*packet);
    if (starved_) co_await sleep_for(loop_, kMemoryPause);
    FdReady ready = readable(loop_, fd_.get());
    const Waiting waiting(*this, ready);
    co_await ready;
  }
  co_return fail(Fault::peer_gone, "closed", "link to " + peer_ + " is closed");
}

Task<Status> Link::send_packet(uint16_t type, std::string body, std::vector<Fd> fds) {
  if (fds.size() > kMaxFds || body.size() + kHeader > kMaxMessage)
    fatal("ipc: a message is out of its bounds");
  const Mutex::Lock turn = co_await sending_.lock();
  const char head[kHeader] = {static_cast<char>(type >> 8), static_cast<char>(type & 0xff)};
  iovec io[2] = {{.iov_base = const_cast<char*>(head), .iov_len = kHeader},
                 {.iov_base = body.data(), .iov_len = body.size()}};
  msghdr header{};
  header.msg_iov = io;
  header.msg_iovlen = 2;
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int) * kMaxFds)] = {};
  if (!fds.empty()) {
    header.msg_control = control;
    header.msg_controllen = CMSG_SPACE(sizeof(int) * fds.size());
    cmsghdr* c = CMSG_FIRSTHDR(&header);
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(sizeof(int) * fds.size());
    for (size_t i = 0; i < fds.size(); i++) {
      const int fd = fds[i].get();
      std::memcpy(CMSG_DATA(c) + i * sizeof(int), &fd, sizeof fd);
    }
  }
  const auto until = Loop::now() + kSendLimit;
  while (open()) {
    const ssize_t sent = sendmsg(fd_.get(), &header, MSG_NOSIGNAL);
    const int error = errno;
    if (sent >= 0) {
      wipe(body);
      co_return Status();
    }
    if (error == EINTR) continue;
    if (short_of_memory(error) && Loop::now() < until) {
      co_await sleep_for(loop_, kMemoryPause);
      continue;
    }
    if (error != EAGAIN) {
      close();
      break;
    }
    FdReady ready = writable(loop_, fd_.get(), kSendLimit);
    const Waiting waiting(*this, ready);
    if (!co_await ready)
      co_return fail(Fault::timeout, "timeout", peer_ + " does not read its link");
  }
  co_return fail(Fault::peer_gone, "closed", "link to " + peer_ + " is closed");
}

Result<std::array<Fd, 2>> make_pair() {
  int fds[2];
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds) < 0)
    return fail_errno("socketpair", errno);
  return std::array<Fd, 2>{Fd(fds[0]), Fd(fds[1])};
}

uint32_t home_worker(std::string_view user, uint32_t workers) {
  // FNV-1a: spreads names evenly; it is not used for security.
  uint64_t hash = 0xcbf29ce484222325;
  for (const char c : user) hash = (hash ^ static_cast<uint8_t>(c)) * 0x100000001b3;
  return workers == 0 ? 0 : static_cast<uint32_t>(hash % workers);
}

}  // namespace rims::ipc
