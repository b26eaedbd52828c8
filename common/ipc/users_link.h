// common/ipc/users_link.h - what rims-ctl asks rims-auth of the user directory: who there is, and
// changes
//
//   Door    as for the other links of rims-ctl: see admin_link.h. The controller reads none of it
//   Trust   rims-auth does what rims-ctl asks, as only the administrator gets such a link; it
//   checks
//           names, addresses and hashes all the same. rims-ctl shows what it is told
//   Secrets a password never comes here, only its hash; rims-auth tells a hash only when it is
//   asked
//           for (export)
//   Promise a change that is answered with `done` is durable and in force: each login and each
//           recipient after it is answered by it
//   Order   questions may be sent ahead of their answers; an answer has the number of its question
//
//     rims-ctl                                   rims-auth
//       | AddUser, EditUser, EditDomain ------------->|  written and flushed
//       |<------------------------------- ChangeDone |
//       | ListUsers, ListDomains -------------------->|
//       |<-------------- UserTold, DomainTold, each |
//       |<------------------------------- ChangeDone |  these were all
#pragma once

#include <tuple>

#include "common/ipc/auth_link.h"
#include "common/ipc/link.h"

namespace rims::ipc {

inline constexpr size_t kMaxUserAddresses = 64;

enum class UsersMsg : uint16_t {
  add_user = 32,
  edit_user = 33,
  edit_domain = 34,
  list_users = 35,
  list_domains = 36,
  user_told = 37,
  domain_told = 38,
  change_done = 39,
};

struct AddUser {
  static constexpr UsersMsg kType = UsersMsg::add_user;
  static constexpr const char* kAbout = "a new user";
  uint64_t request = 0;
  Text<1, kMaxUserName> user;
  Sealed<kMaxPassword> hash;  // "": no login until there is one
  bool disabled = false;
  uint64_t quota_bytes = UINT64_MAX;  // UINT64_MAX: as the configuration says; 0: no limit
  uint64_t quota_messages = UINT64_MAX;
  uint64_t created = 0;  // seconds since 1970; 0: now
  List<Text<3, kMaxAddress>, kMaxUserAddresses> addresses;
  static constexpr auto kFields = std::tuple(
      &AddUser::request, &AddUser::user, &AddUser::hash, &AddUser::disabled, &AddUser::quota_bytes,
      &AddUser::quota_messages, &AddUser::created, &AddUser::addresses);
};

enum class UserEdit : uint8_t {
  password,  // to `hash`
  disable,   // no login; mail is still taken
  enable,
  remove,          // no login, no mail; can be restored for some time
  purge,           // now and for good
  restore,         // not removed any more
  add_address,     // `text`
  remove_address,  // `text`
  quota,
  last = quota,
};

struct EditUser {
  static constexpr UsersMsg kType = UsersMsg::edit_user;
  static constexpr const char* kAbout = "a change of one user";
  uint64_t request = 0;
  Text<1, kMaxUserName> user;
  UserEdit edit = UserEdit::password;
  Sealed<kMaxPassword> hash;
  Text<0, kMaxAddress> text;
  uint64_t quota_bytes = UINT64_MAX;
  uint64_t quota_messages = UINT64_MAX;
  static constexpr auto kFields =
      std::tuple(&EditUser::request, &EditUser::user, &EditUser::edit, &EditUser::hash,
                 &EditUser::text, &EditUser::quota_bytes, &EditUser::quota_messages);
};

enum class DomainEdit : uint8_t {
  add,
  remove,
  alias,      // of the domain `text`
  catch_all,  // the user `text`; "": nobody
  last = catch_all,
};

struct EditDomain {
  static constexpr UsersMsg kType = UsersMsg::edit_domain;
  static constexpr const char* kAbout = "a change of one domain";
  uint64_t request = 0;
  Text<1, kMaxHostName> domain;
  DomainEdit edit = DomainEdit::add;
  Text<0, kMaxUserName> text;
  static constexpr auto kFields =
      std::tuple(&EditDomain::request, &EditDomain::domain, &EditDomain::edit, &EditDomain::text);
};

struct ListUsers {
  static constexpr UsersMsg kType = UsersMsg::list_users;
  static constexpr const char* kAbout = "asks for one user, or for all";
  uint64_t request = 0;
  Text<0, kMaxUserName> user;  // "": all
  bool with_hashes = false;
  static constexpr auto kFields =
      std::tuple(&ListUsers::request, &ListUsers::user, &ListUsers::with_hashes);
};

struct ListDomains {
  static constexpr UsersMsg kType = UsersMsg::list_domains;
  static constexpr const char* kAbout = "asks for all domains";
  uint64_t request = 0;
  static constexpr auto kFields = std::tuple(&ListDomains::request);
};

struct UserTold {
  static constexpr UsersMsg kType = UsersMsg::user_told;
  static constexpr const char* kAbout = "a user";
  uint64_t request = 0;
  Text<1, kMaxUserName> user;
  bool configured = false;  // of the configuration: of such a one only the name is told
  bool shadowed = false;    // a user of the configuration has this name, and wins
  bool has_password = false;
  Sealed<kMaxPassword> hash;  // only when it was asked for
  bool disabled = false;
  uint64_t quota_bytes = UINT64_MAX;
  uint64_t quota_messages = UINT64_MAX;
  uint64_t created = 0;
  uint64_t removed = 0;  // 0: it is not
  List<Text<3, kMaxAddress>, kMaxUserAddresses> addresses;
  static constexpr auto kFields = std::tuple(
      &UserTold::request, &UserTold::user, &UserTold::configured, &UserTold::shadowed,
      &UserTold::has_password, &UserTold::hash, &UserTold::disabled, &UserTold::quota_bytes,
      &UserTold::quota_messages, &UserTold::created, &UserTold::removed, &UserTold::addresses);
};

struct DomainTold {
  static constexpr UsersMsg kType = UsersMsg::domain_told;
  static constexpr const char* kAbout = "a domain";
  uint64_t request = 0;
  Text<1, kMaxHostName> domain;
  Text<0, kMaxHostName> alias_of;
  Text<0, kMaxUserName> catch_all;
  static constexpr auto kFields = std::tuple(&DomainTold::request, &DomainTold::domain,
                                             &DomainTold::alias_of, &DomainTold::catch_all);
};

enum class ChangeOutcome : uint8_t {
  done,
  refused,      // `text` says why
  unavailable,  // now; perhaps later
  last = unavailable,
};

struct ChangeDone {
  static constexpr UsersMsg kType = UsersMsg::change_done;
  static constexpr const char* kAbout = "what has become of it";
  uint64_t request = 0;
  ChangeOutcome outcome = ChangeOutcome::done;
  Text<0, 1024> text;
  static constexpr auto kFields =
      std::tuple(&ChangeDone::request, &ChangeDone::outcome, &ChangeDone::text);
};

struct CtlToAuth : Says<AddUser, EditUser, EditDomain, ListUsers, ListDomains> {
  static constexpr const char *kFrom = "rims-ctl", *kTo = "rims-auth";
  static constexpr const char* kTrust = "yes, to change any user of the directory; checked as well";
};
struct AuthToCtl : Says<UserTold, DomainTold, ChangeDone> {
  static constexpr const char *kFrom = "rims-auth", *kTo = "rims-ctl";
  static constexpr const char* kTrust = "no; it is only shown";
};

inline constexpr std::span<const Accepts> kAuthAcceptsFromCtl = CtlToAuth::kAccepts;
inline constexpr std::span<const Accepts> kCtlAcceptsFromAuth = AuthToCtl::kAccepts;

}  // namespace rims::ipc
