// common/ipc/session_link.h - how a logged-in client is handed from rims-login to its worker
//
//   Trust   rims-imapd treats every byte as written by an attacker: without a ticket that
//           rims-auth gave, nothing happens but a closed socket.
//   Fd      the client's TCP socket, or for TLS one end of a SOCK_STREAM pair whose other end
//           rims-login keeps encrypting for.
//   Replies none. The worker answers the client's LOGIN or AUTHENTICATE itself (tagged `tag`),
//           so "OK" means that the account is open.
#pragma once

#include <tuple>

#include "common/ipc/admin_link.h"
#include "common/ipc/auth_link.h"
#include "common/ipc/link.h"

namespace rims::ipc {

inline constexpr size_t kMaxTag = 255;
inline constexpr size_t kMaxUnread = size_t{32} * 1024;

enum class SessionMsg : uint16_t { handover = 1 };

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

struct LoginToImapd : Says<Handover> {
  static constexpr const char *kFrom = "rims-login", *kTo = "rims-imapd";
  static constexpr const char* kTrust =
      "no; without a ticket that rims-auth gave, the client is turned away";
};
struct ImapdToLogin : Says<> {
  static constexpr const char *kFrom = "rims-imapd", *kTo = "rims-login";
  static constexpr const char* kTrust =
      "no; there is nothing to say, so whatever comes is a breach";
};

inline constexpr std::span<const Accepts> kImapdAcceptsFromLogin = LoginToImapd::kAccepts;
inline constexpr std::span<const Accepts> kLoginAcceptsFromImapd = ImapdToLogin::kAccepts;

}  // namespace rims::ipc
