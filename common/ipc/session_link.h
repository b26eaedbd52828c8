// common/ipc/session_link.h - how a logged-in client is handed from rims-login to its worker
//
//   Trust   rims-imapd treats every byte as written by an attacker: without a ticket that
//           rims-auth gave, nothing happens but a closed socket.
//   Fd      the client's TCP socket, or for TLS one end of a SOCK_STREAM pair whose other end
//           rims-login keeps encrypting for.
//   Replies none. The worker answers the client's LOGIN or AUTHENTICATE itself (tagged `tag`),
//           so "OK" means that the account is open.
//   Back    a client that unauthenticates (RFC 8437) comes back by the same descriptor; rims-login
//           answers it. What a worker gives back is a client before its login, with all the limits
//           of one: its address is asked of the kernel, and a worker can make no socket. With TLS
//           its end of the pair is of no use any more. Without, a worker that was taken over could
//           keep the socket, and read there, as anybody on the way, what the client says later.
#pragma once

#include <tuple>

#include "common/ipc/admin_link.h"
#include "common/ipc/auth_link.h"
#include "common/ipc/link.h"

namespace rims::ipc {

inline constexpr size_t kMaxTag = 255;
inline constexpr size_t kMaxUnread = size_t{32} * 1024;

enum class SessionMsg : uint16_t { handover = 1, returned = 2 };

struct Handover {
  static constexpr SessionMsg kType = SessionMsg::handover;
  static constexpr const char* kAbout = "a client that has logged in";
  static constexpr std::array kFds{"the client's socket, or one end of a socket pair for TLS"};
  Sealed<kTicketSize> ticket;
  Text<1, kMaxTag> tag;        // of the command that logged in
  Text<0, kMaxUnread> unread;  // bytes the client sent after that command
  Text<0, kMaxClientAddress> client_address;
  bool over_tls = false;
  Text<0, kMaxSessionId> session;  // id for the log, given by rims-login
  Text<0, kMaxClientName>
      client;  // what it called itself by ID (RFC 2971); shown to the administrator
  static constexpr auto kFields =
      std::tuple(&Handover::ticket, &Handover::tag, &Handover::unread, &Handover::client_address,
                 &Handover::over_tls, &Handover::session, &Handover::client);
};

struct Returned {
  static constexpr SessionMsg kType = SessionMsg::returned;
  static constexpr const char* kAbout = "a client that is to log in again (RFC 8437)";
  static constexpr std::array kFds{"the descriptor that was handed over"};
  Text<1, kMaxTag> tag;            // of UNAUTHENTICATE, which is not answered yet
  Text<0, kMaxUnread> unread;      // bytes the client sent after that command
  Text<0, kMaxSessionId> session;  // as handed over; for the log alone
  static constexpr auto kFields = std::tuple(&Returned::tag, &Returned::unread, &Returned::session);
};

struct LoginToImapd : Says<Handover> {
  static constexpr const char *kFrom = "rims-login", *kTo = "rims-imapd";
  static constexpr const char* kTrust =
      "no; without a ticket that rims-auth gave, the client is turned away";
};
struct ImapdToLogin : Says<Returned> {
  static constexpr const char *kFrom = "rims-imapd", *kTo = "rims-login";
  static constexpr const char* kTrust =
      "no; a client that is given back is one that nobody knows, and only one that is there";
};

inline constexpr std::span<const Accepts> kImapdAcceptsFromLogin = LoginToImapd::kAccepts;
inline constexpr std::span<const Accepts> kLoginAcceptsFromImapd = ImapdToLogin::kAccepts;

}  // namespace rims::ipc
