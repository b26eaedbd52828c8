// common/ipc/auth_link.h - who may log in, and as whom: rims-login and rims-deliverd ask rims-auth,
// rims-auth tells rims-imapd
//
//   Trust   rims-auth treats every byte of rims-login and rims-deliverd as written by an
//           attacker. rims-login and rims-imapd trust rims-auth.
//   Promise a ticket is sent to the worker before the reply that carries it goes to rims-login,
//           so a worker that gets an unknown ticket reads its auth link once more, and then the
//           ticket is there or was never given.
//   Secrets verified on a pool; a bounded queue; unknown users cost the same work and bytes.
//
//   Change  whose user was removed or disabled, or has another password, by a reload or in the user
//           directory, is named to the home worker by Revoke; nothing that was sent before it lets
//           that user in after it
//
//     rims-login N            rims-auth              rims-imapd W
//       | LoginRequest ---------->|                        |
//       | (LoginCancel, if the client leaves before the answer)
//       |                         | Ticket --------------->|   W = home worker of the account
//       |<-------------LoginReply |                        |
//       | (session_link.h: Handover with the ticket and the client's socket) -->|
//
//   CRAM-MD5 (RFC 2195): rims-login makes the challenge and sends it with the client's digest.
#pragma once

#include <string_view>
#include <tuple>

#include "common/ipc/link.h"

namespace rims::ipc {

inline constexpr size_t kTicketSize = 16;  // random bytes
inline constexpr uint32_t kTicketLifeMs = 30'000;
inline constexpr size_t kMaxUserName = 255;      // bytes of UTF-8
inline constexpr size_t kMaxHostName = 255;      // bytes; RFC 1035 §2.3.4
inline constexpr size_t kMaxAddress = 320;       // bytes, of an envelope
inline constexpr size_t kMaxPassword = 1024;     // bytes, plain or as `rims pass-hash` prints it
inline constexpr size_t kMaxClientAddress = 45;  // numeric, as inet_ntop(3) writes it
// "<hex digits.seconds@host name>" (RFC 2195 §2)
inline constexpr size_t kChallengeRandom = 16;  // bytes
inline constexpr size_t kMaxChallenge = 1 + 2 * kChallengeRandom + 1 +
                                        std::string_view("-9223372036854775808").size() + 1 +
                                        kMaxHostName + 1;
inline constexpr size_t kDigestSize = 32;  // hex digits of an MD5

enum class AuthMsg : uint16_t {
  login_request = 1,
  login_reply = 2,
  ticket = 3,
  user_query = 4,
  user_reply = 5,
  login_cancel = 6,
  revoke = 7,
  user_quota = 8,
};

enum class Mechanism : uint8_t { login, plain, cram_md5, last = cram_md5 };
enum class Verdict : uint8_t { granted, denied, try_later, last = try_later };

// One attempt (RFC 3501 §6.2.2, §6.2.3). `authzid` is SASL PLAIN's authorisation identity or "".
struct LoginRequest {
  static constexpr AuthMsg kType = AuthMsg::login_request;
  static constexpr const char* kAbout = "one attempt to log in";
  uint64_t request = 0;  // chosen by rims-login, returned in the reply
  Mechanism mechanism = Mechanism::login;
  Text<0, kMaxUserName> user;
  Text<0, kMaxUserName> authzid;
  Sealed<kMaxPassword> password;              // login, plain
  Text<0, kMaxChallenge> challenge;           // cram_md5: what the client was sent, decoded
  Text<0, kDigestSize> digest;                // cram_md5: 32 hex digits
  Text<0, kMaxClientAddress> client_address;  // numeric; for penalties and the log
  bool over_tls = false;
  // The name was cut, or the password left out, because no user has one that long: to be refused,
  // delayed and logged like any other.
  bool impossible = false;
  static constexpr auto kFields = std::tuple(
      &LoginRequest::request, &LoginRequest::mechanism, &LoginRequest::user, &LoginRequest::authzid,
      &LoginRequest::password, &LoginRequest::challenge, &LoginRequest::digest,
      &LoginRequest::client_address, &LoginRequest::over_tls, &LoginRequest::impossible);
};

struct LoginReply {
  static constexpr AuthMsg kType = AuthMsg::login_reply;
  static constexpr const char* kAbout = "the answer; it does not say whether there is such a user";
  uint64_t request = 0;
  Verdict verdict = Verdict::denied;
  uint32_t delay_ms = 0;  // how long rims-login holds a refusal back
  uint32_t worker = 0;    // granted: the home worker
  Sealed<kTicketSize> ticket;
  static constexpr auto kFields =
      std::tuple(&LoginReply::request, &LoginReply::verdict, &LoginReply::delay_ms,
                 &LoginReply::worker, &LoginReply::ticket);
};

struct LoginCancel {
  static constexpr AuthMsg kType = AuthMsg::login_cancel;
  static constexpr const char* kAbout =
      "the client has left: if its attempt still waits, nothing is computed for it";
  uint64_t request = 0;
  static constexpr auto kFields = std::tuple(&LoginCancel::request);
};

// To the home worker. Valid once, for kTicketLifeMs.
struct Ticket {
  static constexpr AuthMsg kType = AuthMsg::ticket;
  static constexpr const char* kAbout = "who the client is that will come with this ticket";
  Sealed<kTicketSize> ticket;
  Text<1, kMaxUserName> user;  // normalised: the account's name
  bool post_only = false;      // `#postman`: may deliver to any user and nothing else
  static constexpr auto kFields = std::tuple(&Ticket::ticket, &Ticket::user, &Ticket::post_only);
};

// Why a user may not go on as before.
enum class Revoked : uint8_t { removed, renamed, password, role, disabled, last = disabled };

// To the home worker, which ends the user's sessions and forgets the tickets. No password or hash
// is told, old or new.
struct Revoke {
  static constexpr AuthMsg kType = AuthMsg::revoke;
  static constexpr const char* kAbout = "this user was changed: what was granted before is over";
  Text<1, kMaxUserName> user;
  Revoked why = Revoked::removed;
  static constexpr auto kFields = std::tuple(&Revoke::user, &Revoke::why);
};

// To the home worker: when its link begins, of each user who has a quota of his own, and when that
// changes.
struct UserQuota {
  static constexpr AuthMsg kType = AuthMsg::user_quota;
  static constexpr const char* kAbout = "what this user may have instead of quota.*";
  Text<1, kMaxUserName> user;
  uint64_t bytes = UINT64_MAX;  // UINT64_MAX: as the configuration says; 0: no limit
  uint64_t messages = UINT64_MAX;
  static constexpr auto kFields =
      std::tuple(&UserQuota::user, &UserQuota::bytes, &UserQuota::messages);
};

struct UserQuery {
  static constexpr AuthMsg kType = AuthMsg::user_query;
  static constexpr const char* kAbout = "asks whether there is such a recipient";
  uint64_t request = 0;
  Text<0, kMaxAddress> recipient;  // a user name or an address
  static constexpr auto kFields = std::tuple(&UserQuery::request, &UserQuery::recipient);
};

struct UserReply {
  static constexpr AuthMsg kType = AuthMsg::user_reply;
  static constexpr const char* kAbout =
      "the answer, with the name of the account and its home worker";
  uint64_t request = 0;
  bool exists = false;
  Text<0, kMaxUserName> user;  // the account's name
  uint32_t worker = 0;
  static constexpr auto kFields =
      std::tuple(&UserReply::request, &UserReply::exists, &UserReply::user, &UserReply::worker);
};

// The privilege boundary of rims-auth.
struct LoginToAuth : Says<LoginRequest, LoginCancel> {
  static constexpr const char *kFrom = "rims-login", *kTo = "rims-auth";
  static constexpr const char* kTrust = "no; every byte is treated as written by an attacker";
};
struct AuthToLogin : Says<LoginReply> {
  static constexpr const char *kFrom = "rims-auth", *kTo = "rims-login";
  static constexpr const char* kTrust = "yes";
};
struct AuthToImapd : Says<Ticket, Revoke, UserQuota> {
  static constexpr const char *kFrom = "rims-auth", *kTo = "rims-imapd";
  static constexpr const char* kTrust = "yes; nobody else can let a client in";
};
struct ImapdToAuth : Says<> {
  static constexpr const char *kFrom = "rims-imapd", *kTo = "rims-auth";
  static constexpr const char* kTrust =
      "no; there is nothing to say, so whatever comes is a breach";
};
struct DeliverdToAuth : Says<UserQuery> {
  static constexpr const char *kFrom = "rims-deliverd", *kTo = "rims-auth";
  static constexpr const char* kTrust = "no; every byte is treated as written by an attacker";
};
struct AuthToDeliverd : Says<UserReply> {
  static constexpr const char *kFrom = "rims-auth", *kTo = "rims-deliverd";
  static constexpr const char* kTrust = "yes";
};

inline constexpr std::span<const Accepts> kAuthAcceptsFromLogin = LoginToAuth::kAccepts;
inline constexpr std::span<const Accepts> kAuthAcceptsFromDeliverd = DeliverdToAuth::kAccepts;
inline constexpr std::span<const Accepts> kAuthAcceptsFromImapd = ImapdToAuth::kAccepts;
inline constexpr std::span<const Accepts> kLoginAcceptsFromAuth = AuthToLogin::kAccepts;
inline constexpr std::span<const Accepts> kImapdAcceptsFromAuth = AuthToImapd::kAccepts;
inline constexpr std::span<const Accepts> kDeliverdAcceptsFromAuth = AuthToDeliverd::kAccepts;

// Which worker is the home of an account: the same in every process of one start.
[[nodiscard]] uint32_t home_worker(std::string_view user, uint32_t workers);

}  // namespace rims::ipc
