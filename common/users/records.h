// common/users/records.h - what a record of the user directory says: encoding and decoding, pure
//
// See doc/storage-format.md, "The user directory". A record is the whole new entry of one user or
// domain, or says that one is gone; so a record that is lost costs that entry only, and of any two
// the later one is right.
//
//   bytes     kind (u16), version (u8), then the fields as common/ipc/wire.h encodes them
//   unknown   a kind with kIgnorable in its number is left out; any other unknown kind or version
//             makes that one record unusable, not the others
//
// Decoders take bytes of a damaged or foreign disk: they check everything they use.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <tuple>
#include <variant>

#include "common/base/result.h"
#include "common/ipc/users_link.h"
#include "common/ipc/wire.h"

namespace rims::users {

inline constexpr size_t kMaxAddresses = ipc::kMaxUserAddresses;  // of one user
inline constexpr uint16_t kIgnorable = 0x8000;
// Instead of a number: as the configuration says for all. 0: no limit.
inline constexpr uint64_t kAsConfigured = UINT64_MAX;

enum class Kind : uint16_t {
  user = 1,
  user_gone = 2,
  domain = 3,
  domain_gone = 4,
  snapshot = 5,
};

using Address = ipc::Text<3, ipc::kMaxAddress>;

struct User {
  static constexpr Kind kKind = Kind::user;
  static constexpr uint8_t kVersion = 1;
  uint64_t id = 0;  // from 1 on; never that of another user
  ipc::Text<1, ipc::kMaxUserName> name;
  ipc::Sealed<ipc::kMaxPassword> hash;  // as common/password/stored.h knows them; "": no login
  bool disabled = false;                // no login; mail is still taken
  uint64_t quota_bytes = kAsConfigured;
  uint64_t quota_messages = kAsConfigured;
  uint64_t created = 0;                         // seconds since 1970
  uint64_t removed = 0;                         // the same; 0: it is not
  ipc::List<Address, kMaxAddresses> addresses;  // as they were given
  static constexpr auto kFields =
      std::tuple(&User::id, &User::name, &User::hash, &User::disabled, &User::quota_bytes,
                 &User::quota_messages, &User::created, &User::removed, &User::addresses);
  [[nodiscard]] User clone() const;
  [[nodiscard]] bool may_log_in() const { return !disabled && removed == 0 && !hash.value.empty(); }
};

struct UserGone {
  static constexpr Kind kKind = Kind::user_gone;
  static constexpr uint8_t kVersion = 1;
  uint64_t id = 0;
  static constexpr auto kFields = std::tuple(&UserGone::id);
};

struct Domain {
  static constexpr Kind kKind = Kind::domain;
  static constexpr uint8_t kVersion = 1;
  ipc::Text<1, ipc::kMaxHostName> name;      // as names::domain() gives them
  ipc::Text<0, ipc::kMaxHostName> alias_of;  // "": a domain of its own
  uint64_t catch_all = 0;                    // the user who gets what is for nobody else, or 0
  static constexpr auto kFields = std::tuple(&Domain::name, &Domain::alias_of, &Domain::catch_all);
};

struct DomainGone {
  static constexpr Kind kKind = Kind::domain_gone;
  static constexpr uint8_t kVersion = 1;
  ipc::Text<1, ipc::kMaxHostName> name;
  static constexpr auto kFields = std::tuple(&DomainGone::name);
};

// The first record of a segment: the records directly after it are all that there is, the users and
// then the domains.
struct Snapshot {
  static constexpr Kind kKind = Kind::snapshot;
  static constexpr uint8_t kVersion = 1;
  uint64_t users = 0, domains = 0;
  uint64_t last_id = 0;  // that was ever given
  static constexpr auto kFields =
      std::tuple(&Snapshot::users, &Snapshot::domains, &Snapshot::last_id);
};

struct Ignored {};
using Record = std::variant<Ignored, User, UserGone, Domain, DomainGone, Snapshot>;

template <class R>
[[nodiscard]] std::string encode(const R& record) {
  ipc::Encoder out;
  out.put(static_cast<uint16_t>(R::kKind));
  out.put(R::kVersion);
  out.put(record);
  return out.take();
}
// storage: not a record that this program understands; the reply says why.
[[nodiscard]] Result<Record> decode(std::string_view bytes);

// The same for all spellings of a domain: as Domain::name. nullopt: it is none.
[[nodiscard]] std::optional<std::string> domain_name(std::string_view text);
// The same for all spellings of an address: "local@domain", folded. nullopt: it is none.
[[nodiscard]] std::optional<std::string> address_key(std::string_view address);

}  // namespace rims::users
