// common/ipc/link.h - one end of a link between two processes
//
// AF_UNIX SOCK_SEQPACKET: one datagram is one message: u16 type, then the fields (wire.h), with
// at most kMaxFds descriptors by SCM_RIGHTS. A link is only ever made by the controller, which
// gives each end to its process (control_link.h).
//
// A breach (a type without a row in the reader's table, bytes that do not decode, too many or
// missing descriptors) closes the link and is logged; the process lives on. Descriptors for which
// this process has no room are no breach (Packet::fds). Every `<a>_link.h`
// lists its messages and, for each direction, what may be said and who trusts it; links.h lists
// the directions, and doc/ipc.md is printed from them (tools/print_ipc.cc).
#pragma once

#include <array>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <tuple>
#include <vector>

#include "common/async/event.h"
#include "common/async/loop.h"
#include "common/base/fd.h"
#include "common/base/result.h"
#include "common/ipc/wire.h"

namespace rims::ipc {

inline constexpr size_t kMaxMessage = 64 * 1024;  // bytes of one datagram
inline constexpr size_t kMaxFds = 4;

struct Packet {
  uint16_t type = 0;
  std::string body;
  // As many as its row says. Where this process has no room for more, each is empty: the kernel
  // has dropped them, which is not the peer's doing, and has been logged.
  std::vector<Fd> fds;
};

// A row of an accept table: what a side takes from its peer.
struct Accepts {
  uint16_t type;
  size_t max_bytes;  // of the body, checked before decoding
  size_t fds;        // exactly this many descriptors
};

// A message struct has kType (its number), kAbout (what it is for), kFields (wire.h) and, when it
// brings descriptors, kFds (what each of them is).
template <class Message>
consteval size_t descriptors() {
  if constexpr (requires { Message::kFds; })
    return Message::kFds.size();
  else
    return 0;
}

// One direction of a link: all that its sender may say. A struct that derives from it adds kFrom
// and kTo (the two ends) and kTrust (what the receiver believes of it).
template <class... Message>
struct Says {
  using Messages = std::tuple<Message...>;
  static_assert(((kMaxSize<Message> <= kMaxMessage - sizeof(uint16_t)) && ...));
  static_assert(((descriptors<Message>() <= kMaxFds) && ...));
  static constexpr std::array<Accepts, sizeof...(Message)> kAccepts{
      Accepts{static_cast<uint16_t>(Message::kType), kMaxSize<Message>, descriptors<Message>()}...};
};

// One end of a link as the controller gave it, and whom to tell when it is over.
struct End {
  End() = default;
  End(Fd f) : fd(std::move(f)) {}  // NOLINT(google-explicit-constructor): an end nobody asks about
  End(Fd f, std::function<void()> e) : fd(std::move(f)), ended(std::move(e)) {}
  Fd fd;
  std::function<void()> ended;  // called once, when the link is closed for whatever reason
};

class Link {
 public:
  // `peer` names the other side in the log ("rims-auth"). `accepts` must outlive the link.
  Link(Loop& loop, End end, std::string peer, std::span<const Accepts> accepts);

  // The next acceptable packet. Error: peer_gone at end of file or on a breach (already logged).
  Task<Result<Packet>> receive();
  // Takes what is readable now without waiting; nullopt when nothing is.
  [[nodiscard]] Result<std::optional<Packet>> receive_now();

  // Sends in order; waits while the peer's buffer is full. Several coroutines may send.
  template <class Message>
  Task<Status> send(Message message, std::vector<Fd> fds = {}) {
    co_return co_await send_packet(static_cast<uint16_t>(Message::kType), encode(message),
                                   std::move(fds));
  }
  Task<Status> send_packet(uint16_t type, std::string body, std::vector<Fd> fds);

  [[nodiscard]] const std::string& peer() const { return peer_; }
  [[nodiscard]] bool open() const { return open_; }
  // Ends both directions now; the descriptor lives as long as the link, so that a coroutine
  // that waits on it wakes up and sees the end.
  void close();
  // Logs what the peer did, and closes.
  void breach(std::string_view what);
  // There was a breach.
  [[nodiscard]] bool broken() const { return broken_; }

 private:
  // close() wakes it.
  class Waiting {
   public:
    Waiting(Link& link, FdReady& ready) : link_(link), ready_(&ready) {
      link_.waiting_.push_back(ready_);
    }
    Waiting(const Waiting&) = delete;
    Waiting& operator=(const Waiting&) = delete;
    ~Waiting() { std::erase(link_.waiting_, ready_); }

   private:
    Link& link_;
    FdReady* ready_;
  };

  Loop& loop_;
  Fd fd_;
  std::function<void()> ended_;
  std::string peer_;
  std::span<const Accepts> accepts_;
  bool open_ = true, broken_ = false;
  bool starved_ = false;  // the last receive_now() found no memory in the kernel
  Mutex sending_;
  std::vector<FdReady*> waiting_;
};

// Decodes a packet's body, or closes the link as a breach.
template <class Message>
std::optional<Message> open_packet(Link& link, const Packet& packet) {
  auto message = decode<Message>(packet.body);
  if (!message) link.breach("a message that does not decode");
  return message;
}

// A connected pair of SOCK_SEQPACKET sockets, close-on-exec.
[[nodiscard]] Result<std::array<Fd, 2>> make_pair();

}  // namespace rims::ipc
