// common/users/records.cc - from bytes to records of the user directory

#include "common/users/records.h"

#include <fmt/core.h>

#include "common/names/names.h"

namespace rims::users {
namespace {

template <size_t I = 1>
Result<Record> decode_as(Kind kind, uint8_t version, ipc::Decoder& in) {
  if constexpr (I < std::variant_size_v<Record>) {
    using Type = std::variant_alternative_t<I, Record>;
    if (kind != Type::kKind) return decode_as<I + 1>(kind, version, in);
    Type record;
    if (version == 0 || version > Type::kVersion)
      return fail(Fault::storage, fmt::format("it has version {}, of a later rims", version));
    if (!in.get(record) || !in.at_end()) return fail(Fault::storage, "it does not decode");
    return Record(std::move(record));
  } else {
    return fail(Fault::storage,
                fmt::format("it is of kind {}, of a later rims", static_cast<unsigned>(kind)));
  }
}

}  // namespace

User User::clone() const {
  User copy;
  copy.id = id;
  copy.name = name;
  copy.hash.value = hash.value.clone();
  copy.disabled = disabled;
  copy.quota_bytes = quota_bytes;
  copy.quota_messages = quota_messages;
  copy.created = created;
  copy.removed = removed;
  copy.addresses = addresses;
  return copy;
}

Result<Record> decode(std::string_view bytes) {
  ipc::Decoder in(bytes);
  uint16_t kind = 0;
  uint8_t version = 0;
  if (!in.get(kind) || !in.get(version)) return fail(Fault::storage, "it does not decode");
  if ((kind & kIgnorable) != 0) return Record(Ignored());
  return decode_as(static_cast<Kind>(kind), version, in);
}

std::optional<std::string> domain_name(std::string_view text) {
  auto domain = names::domain(text);
  if (!domain || domain->empty() || domain->size() > ipc::kMaxHostName ||
      domain->find_first_of(" @/") != std::string::npos)
    return std::nullopt;
  return domain;
}

std::optional<std::string> address_key(std::string_view address) {
  const size_t at = address.rfind('@');
  if (at == std::string_view::npos || at == 0 || address.size() > ipc::kMaxAddress)
    return std::nullopt;
  const auto local = names::folded(address.substr(0, at));
  const auto domain = domain_name(address.substr(at + 1));
  if (!local || !domain) return std::nullopt;
  return *local + "@" + *domain;
}

}  // namespace rims::users
