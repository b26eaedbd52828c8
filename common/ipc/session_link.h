// common/ipc/session_link.h - a logged-in client's way from rims-login to its worker
//
//   Trust   rims-imapd treats every byte as written by an attacker: without a ticket that
//           rims-auth gave, nothing happens but a closed socket.
//   Fd      the client's TCP socket, or for TLS one end of a SOCK_STREAM pair whose other end
//           rims-login keeps encrypting for.
//   Replies none. The worker answers the client's LOGIN or AUTHENTICATE itself (tagged `tag`),
//           so "OK" means that the account is open.
#pragma once

#include <tuple>

#include "common/ipc/auth_link.h"
#include "common/ipc/link.h"

namespace rims::ipc {

enum class SessionMsg : uint16_t { handover = 1 };

struct Handover {  // one descriptor
  static constexpr SessionMsg kType = SessionMsg::handover;
  Sealed<kTicketSize> ticket;
  Text<1, 255> tag;           // of the command that logged in
  Text<0, 32 * 1024> unread;  // bytes the client sent after that command
  Text<0, 45> client_address;
  bool over_tls = false;
  Text<0, 32> session;  // id for the log, given by rims-login
  static constexpr auto kFields =
      std::tuple(&Handover::ticket, &Handover::tag, &Handover::unread, &Handover::client_address,
                 &Handover::over_tls, &Handover::session);
};

inline constexpr Accepts kImapdAcceptsFromLogin[] = {
    {static_cast<uint16_t>(SessionMsg::handover), 34 * 1024, 1},
};
// rims-imapd says nothing to rims-login.
inline constexpr std::span<const Accepts> kLoginAcceptsFromImapd{};

}  // namespace rims::ipc
