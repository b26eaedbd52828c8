// deliver/submit.cc - Submit out, SubmitReply in

#include "deliver/submit.h"

#include <cerrno>
#include <cstring>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sysexits.h>
#include <utility>

#include "common/base/errno_text.h"
#include "common/base/fd.h"

namespace rims::deliver {
namespace {

using Clock = std::chrono::steady_clock;

Ending doubtful(std::string reason) { return {EX_TEMPFAIL, std::move(reason)}; }
Ending doubtful(const std::string& what, int error) {
  return doubtful(what + ": " + errno_text(error));
}

// A time limit for connect(2) and send(2), which both wait while the daemon is busy.
bool limit_sending(int fd, std::chrono::milliseconds limit) {
  const timeval tv{.tv_sec = limit.count() / 1000, .tv_usec = limit.count() % 1000 * 1000};
  return setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof tv) == 0;
}

ssize_t send_with_descriptor(int socket, std::string_view bytes, int passed) {
  iovec io{.iov_base = const_cast<char*>(bytes.data()), .iov_len = bytes.size()};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
  msghdr header{};
  header.msg_iov = &io;
  header.msg_iovlen = 1;
  header.msg_control = control;
  header.msg_controllen = sizeof control;
  cmsghdr* c = CMSG_FIRSTHDR(&header);
  c->cmsg_level = SOL_SOCKET;
  c->cmsg_type = SCM_RIGHTS;
  c->cmsg_len = CMSG_LEN(sizeof(int));
  std::memcpy(CMSG_DATA(c), &passed, sizeof passed);
  return sendmsg(socket, &header, MSG_NOSIGNAL);
}

// Waits until there is something to read, or until `until`.
bool wait_readable(int fd, Clock::time_point until) {
  while (true) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(until - Clock::now());
    if (left.count() <= 0) return false;
    pollfd p{.fd = fd, .events = POLLIN, .revents = 0};
    const int n = poll(&p, 1, static_cast<int>(left.count()));
    if (n > 0) return true;
    if (n < 0 && errno != EINTR) return true;  // recv gives the error
  }
}

Ending read_answer(int socket, uint64_t request) {
  char buffer[sizeof(uint16_t) + ipc::kMaxSize<ipc::SubmitReply> + 1];
  const ssize_t got = recv(socket, buffer, sizeof buffer, 0);
  if (got < 0) return doubtful("reading the answer of rims-deliverd", errno);
  if (got == 0) return doubtful("rims-deliverd ended the connection without an answer");
  const std::string_view bytes(buffer, static_cast<size_t>(got));
  const bool right_type = bytes.size() >= 2 && (static_cast<unsigned char>(bytes[0]) << 8 |
                                                static_cast<unsigned char>(bytes[1])) ==
                                                   static_cast<int>(ipc::DeliverMsg::submit_reply);
  const auto reply = right_type ? ipc::decode<ipc::SubmitReply>(bytes.substr(2)) : std::nullopt;
  if (!reply || reply->request != request)
    return doubtful("rims-deliverd gave an answer that can not be read");
  std::string reason = reply->reason.value;
  if (reply->status == ipc::Delivery::over_quota) reason.insert(0, kMailboxFull);
  return {exit_status(reply->status), std::move(reason)};
}

}  // namespace

int exit_status(ipc::Delivery status) {
  switch (status) {
    case ipc::Delivery::delivered:
      return EX_OK;
    case ipc::Delivery::no_user:
      return EX_NOUSER;
    case ipc::Delivery::rejected:
      return EX_DATAERR;
    case ipc::Delivery::not_permitted:
      return EX_NOPERM;
    case ipc::Delivery::temporary:
    case ipc::Delivery::full:
      return EX_TEMPFAIL;
    case ipc::Delivery::over_quota:
      return EX_NOPERM;
  }
  return EX_TEMPFAIL;
}

ipc::Submit submission(const Arguments& args, const std::string& recipient, uint64_t request) {
  ipc::Submit what;
  what.request = request;
  what.recipient = recipient;
  what.sender = args.sender;
  what.mailbox = args.mailbox;
  what.delivery_id = args.delivery_id;
  return what;
}

Ending submit(const std::string& socket_path, const ipc::Submit& what, int message,
              std::chrono::milliseconds limit) {
  const Clock::time_point until = Clock::now() + limit;
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (socket_path.empty() || socket_path.size() >= sizeof address.sun_path)
    return {EX_CONFIG, "the socket's path is empty or too long"};
  std::memcpy(address.sun_path, socket_path.data(), socket_path.size());

  const Fd link(socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
  if (!link || !limit_sending(link.get(), limit)) return doubtful("socket", errno);
  const auto* where = reinterpret_cast<const sockaddr*>(&address);
  if (connect(link.get(), where, sizeof address) < 0)
    return doubtful("rims-deliverd can not be reached at " + socket_path, errno);

  const auto type = static_cast<uint16_t>(ipc::DeliverMsg::submit);
  std::string bytes{static_cast<char>(type >> 8), static_cast<char>(type & 0xff)};
  bytes += ipc::encode(what);
  ssize_t sent = -1;
  do sent = send_with_descriptor(link.get(), bytes, message);
  while (sent < 0 && errno == EINTR && Clock::now() < until);
  if (sent != static_cast<ssize_t>(bytes.size()))
    return doubtful("sending to rims-deliverd", sent < 0 ? errno : EIO);
  if (!wait_readable(link.get(), until)) return doubtful("no answer of rims-deliverd in time");
  return read_answer(link.get(), what.request);
}

Ending combine(const std::vector<std::string>& recipients, const std::vector<Ending>& endings) {
  Ending result;
  std::string reasons;
  for (size_t i = 0; i < endings.size(); i++) {
    const Ending& one = endings[i];
    if (one.status == EX_OK) continue;
    if (result.status == EX_OK || one.status == EX_TEMPFAIL) result.status = one.status;
    if (!reasons.empty()) reasons += "; ";
    if (recipients.size() > 1) reasons += recipients[i] + ": ";
    reasons += one.reason;
  }
  result.reason = reasons.empty() && !endings.empty() ? endings.front().reason : reasons;
  return result;
}

}  // namespace rims::deliver
