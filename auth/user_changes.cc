// auth/user_changes.cc - rules of the user directory

#include "auth/user_changes.h"

#include <algorithm>

#include <fmt/core.h>

#include "common/base/log.h"
#include "common/names/names.h"
#include "common/password/stored.h"

namespace rims::auth {
namespace {

using Planned = Directory::Planned;
using users::State;
using users::User;

std::unexpected<Error> refused(std::string why) { return fail(Fault::refused, std::move(why)); }

// Names, addresses and domains are kept apart in Planned::keys.
std::string of_name(std::string_view folded) { return "n" + std::string(folded); }
std::string of_address(std::string_view key) { return "a" + std::string(key); }
std::string of_domain(std::string_view name) { return "d" + std::string(name); }

Status good_hash(const Secret& hash) {
  if (hash.empty()) return {};
  const auto stored = password::read_stored(hash.reveal());
  if (!stored) return refused("the hash: " + stored.error().reply());
  if (std::holds_alternative<password::Plain>(*stored))
    return refused("the hash: it is a plain password, which is not kept here");
  return {};
}

// Nobody but `id` may have it, as an address or as a name.
Result<std::string> free_address(const std::string& address, const State& state, uint64_t id,
                                 const Configured& configured) {
  const auto key = users::address_key(address);
  if (!key) return refused(log::quoted(address) + " is no address: it needs local@domain");
  if (configured(*key))
    return refused(log::quoted(address) + " is the name of a user of the configuration");
  for (const User* other : {state.find_address(*key), state.find(*key)})
    if (other && other->id != id)
      return refused(fmt::format("{} belongs to user {}", log::quoted(address),
                                 log::quoted(other->name.value)));
  return *key;
}

Result<const User*> known_user(const State& state, std::string_view name,
                               const Configured& configured) {
  const auto folded = names::folded(name);
  const User* user = folded ? state.find(*folded) : nullptr;
  if (user) return user;
  if (folded && configured(*folded))
    return refused(log::quoted(name) + " stands in the configuration: change it there");
  return refused("there is no user " + log::quoted(name));
}

Result<std::string> known_domain(std::string_view text) {
  auto name = users::domain_name(text);
  if (!name) return refused(log::quoted(text) + " is no domain");
  return *name;
}

}  // namespace

Result<Planned> plan(const ipc::AddUser& add, const State& state, uint64_t id, uint64_t now,
                     const Configured& configured) {
  const auto name = names::account_name(add.user.value);
  const auto folded = names::folded(add.user.value);
  if (!name || !folded) return refused("no user can be called " + log::quoted(add.user.value));
  if (configured(*folded))
    return refused(log::quoted(*name) + " stands in the configuration, which would win");
  if (const User* other = state.find(*folded))
    return refused(
        other->removed != 0
            ? fmt::format(
                  "there was a user {}, who is removed and can be restored: \"rims-ctl user "
                  "restore\", or \"rims-ctl user del --now\" for good",
                  log::quoted(other->name.value))
            : fmt::format("there is a user {}", log::quoted(other->name.value)));
  TRY_STATUS(good_hash(add.hash.value));
  Planned planned;
  planned.keys.push_back(of_name(*folded));
  if (const auto key = users::address_key(*folded)) {
    if (const User* other = state.find_address(*key))
      return refused(fmt::format("{} is an address of user {}", log::quoted(*name),
                                 log::quoted(other->name.value)));
    planned.keys.push_back(of_address(*key));
  }
  User user;
  user.id = id;
  user.name = *name;
  user.hash.value = add.hash.value.clone();
  user.disabled = add.disabled;
  user.quota_bytes = add.quota_bytes;
  user.quota_messages = add.quota_messages;
  user.created = add.created != 0 ? add.created : now;
  for (const auto& address : add.addresses.value) {
    TRY(const std::string key, free_address(address.value, state, id, configured));
    if (std::ranges::find(planned.keys, of_address(key)) != planned.keys.end()) continue;
    planned.keys.push_back(of_address(key));
    planned.keys.push_back(of_name(key));  // nobody may be called so at the same time
    user.addresses.value.emplace_back(address.value);
  }
  planned.records.push_back(users::encode(user));
  return planned;
}

Result<Planned> plan(const ipc::EditUser& edit, const State& state, uint64_t now,
                     const Configured& configured) {
  TRY(const User* old, known_user(state, edit.user.value, configured));
  const std::string folded = *names::folded(old->name.value);
  Planned planned;
  planned.keys.push_back(of_name(folded));
  const std::string shown = log::quoted(old->name.value);
  const bool of_removed = edit.edit == ipc::UserEdit::restore || edit.edit == ipc::UserEdit::purge;
  if (old->removed != 0 && !of_removed)
    return refused(
        fmt::format("user {} is removed; \"rims-ctl user restore\" brings it back", shown));
  User user = old->clone();
  switch (edit.edit) {
    case ipc::UserEdit::password: {
      TRY_STATUS(good_hash(edit.hash.value));
      user.hash.value = edit.hash.value.clone();
      break;
    }
    case ipc::UserEdit::disable:
      user.disabled = true;
      break;
    case ipc::UserEdit::enable:
      user.disabled = false;
      break;
    case ipc::UserEdit::remove:
      user.removed = std::max<uint64_t>(now, 1);
      break;
    case ipc::UserEdit::purge:
      planned.records.push_back(users::encode(users::UserGone{.id = old->id}));
      return planned;
    case ipc::UserEdit::restore:
      if (old->removed == 0) return refused(fmt::format("user {} is not removed", shown));
      user.removed = 0;
      break;
    case ipc::UserEdit::add_address: {
      TRY(const std::string key, free_address(edit.text.value, state, old->id, configured));
      if (state.find_address(key))
        return refused(fmt::format("user {} has this address already", shown));
      if (user.addresses.value.size() >= users::kMaxAddresses)
        return refused(fmt::format("user {} has {} addresses, which is the most", shown,
                                   users::kMaxAddresses));
      planned.keys.push_back(of_address(key));
      if (key != folded) planned.keys.push_back(of_name(key));
      user.addresses.value.emplace_back(edit.text.value);
      break;
    }
    case ipc::UserEdit::remove_address: {
      const auto key = users::address_key(edit.text.value);
      const size_t gone = std::erase_if(user.addresses.value, [&](const users::Address& address) {
        return key && users::address_key(address.value) == key;
      });
      if (gone == 0)
        return refused(
            fmt::format("user {} has no address {}", shown, log::quoted(edit.text.value)));
      planned.keys.push_back(of_address(*key));
      break;
    }
    case ipc::UserEdit::quota:
      user.quota_bytes = edit.quota_bytes;
      user.quota_messages = edit.quota_messages;
      break;
  }
  planned.records.push_back(users::encode(user));
  return planned;
}

Result<Planned> plan(const ipc::EditDomain& edit, const State& state) {
  TRY(const std::string name, known_domain(edit.domain.value));
  Planned planned;
  planned.keys.push_back(of_domain(name));
  const users::Domain* old = state.find_domain(name);
  if (edit.edit == ipc::DomainEdit::add || edit.edit == ipc::DomainEdit::alias) {
    if (old) return refused(fmt::format("there is a domain {}", log::quoted(name)));
  } else if (!old) {
    return refused(fmt::format("there is no domain {}", log::quoted(name)));
  }
  users::Domain domain;
  if (old) domain = *old;
  domain.name = name;
  switch (edit.edit) {
    case ipc::DomainEdit::add:
      break;
    case ipc::DomainEdit::remove:
      for (const auto& [other, what] : state.domains())
        if (what.alias_of.value == name)
          return refused(fmt::format("{} is an alias of {}: remove that first", log::quoted(other),
                                     log::quoted(name)));
      // An alias of it that is made at the same time waits for this, or this for that.
      planned.records.push_back(users::encode(users::DomainGone{.name = name}));
      return planned;
    case ipc::DomainEdit::alias: {
      TRY(const std::string of, known_domain(edit.text.value));
      const users::Domain* real = state.find_domain(of);
      if (!real) return refused(fmt::format("there is no domain {}", log::quoted(of)));
      if (!real->alias_of.value.empty())
        return refused(fmt::format("{} is an alias itself, of {}", log::quoted(of),
                                   log::quoted(real->alias_of.value)));
      planned.keys.push_back(of_domain(of));
      domain.alias_of = of;
      break;
    }
    case ipc::DomainEdit::catch_all: {
      if (!domain.alias_of.value.empty())
        return refused(fmt::format("{} is an alias of {}: set it there", log::quoted(name),
                                   log::quoted(domain.alias_of.value)));
      domain.catch_all = 0;
      if (edit.text.value.empty()) break;
      TRY(const User* user,
          known_user(state, edit.text.value, [](std::string_view) { return false; }));
      if (user->removed != 0)
        return refused(fmt::format("user {} is removed", log::quoted(user->name.value)));
      planned.keys.push_back(of_name(*names::folded(user->name.value)));
      domain.catch_all = user->id;
      break;
    }
  }
  planned.records.push_back(users::encode(domain));
  return planned;
}

Planned plan_purge(const State& state, uint64_t until, size_t most) {
  Planned planned;
  for (const auto& [name, id] : state.names()) {
    const User* user = state.find_id(id);
    if (user->removed == 0 || user->removed > until) continue;
    if (planned.records.size() >= most) break;
    planned.keys.push_back(of_name(name));
    planned.records.push_back(users::encode(users::UserGone{.id = id}));
  }
  return planned;
}

}  // namespace rims::auth
