// common/users/state.cc - folding the records of the user directory

#include "common/users/state.h"

#include <utility>

#include <fmt/core.h>

#include "common/base/log.h"
#include "common/names/names.h"

namespace rims::users {
namespace {

void remark(std::vector<std::string>* remarks, std::string text) {
  if (remarks) remarks->push_back(std::move(text));
}

// "foo+lists" without what follows the delimiter; nullopt: there is none.
std::optional<std::string_view> without_label(std::string_view local, std::string_view delimiter) {
  const size_t cut = delimiter.empty() ? std::string_view::npos : local.find(delimiter);
  if (cut == std::string_view::npos || cut == 0) return std::nullopt;
  return local.substr(0, cut);
}

}  // namespace

Status State::apply(uint64_t seq, std::string_view bytes, std::vector<std::string>* remarks) {
  if (reading_ && seq > reading_->last_seq) end_snapshot();
  TRY(Record record, decode(bytes));
  if (auto* user = std::get_if<User>(&record)) {
    if (user->id == 0 || !names::folded(user->name.value))
      return fail(Fault::storage, "its user has no name");
    const uint64_t id = user->id;
    last_id_ = std::max(last_id_, id);
    put(std::move(*user), remarks);
    if (reading_) {
      reading_->found++;
      users_.at(id).round = round_;
    }
  } else if (const auto* gone = std::get_if<UserGone>(&record)) {
    last_id_ = std::max(last_id_, gone->id);
    forget(gone->id);
  } else if (auto* domain = std::get_if<Domain>(&record)) {
    const std::string name = domain->name.value;
    domains_[name] = std::move(*domain);
    if (reading_) {
      reading_->found++;
      domain_rounds_[name] = round_;
    }
  } else if (const auto* lost = std::get_if<DomainGone>(&record)) {
    domains_.erase(lost->name.value);
    domain_rounds_.erase(lost->name.value);
  } else if (const auto* all = std::get_if<Snapshot>(&record)) {
    // More than a segment can hold: the sum below must not wrap.
    constexpr uint64_t kMost = uint64_t{1} << 40;
    if (all->users > kMost || all->domains > kMost)
      return fail(Fault::storage, "it counts more than there can be");
    end_snapshot();
    last_id_ = std::max(last_id_, all->last_id);
    round_++;
    const uint64_t wanted = all->users + all->domains;
    reading_ = Reading{.last_seq = seq + wanted, .wanted = wanted, .found = 0};
  }
  return {};
}

// What a whole snapshot does not have is gone, though the record that said so was lost. One that
// has lost records itself proves nothing.
void State::end_snapshot() {
  if (!reading_) return;
  const bool whole = reading_->found == reading_->wanted;
  reading_.reset();
  if (!whole) return;
  std::vector<uint64_t> gone;
  for (const auto& [id, stored] : users_)
    if (stored.round != round_) gone.push_back(id);
  for (const uint64_t id : gone) forget(id);
  std::erase_if(domains_, [this](const auto& entry) {
    const auto found = domain_rounds_.find(entry.first);
    return found == domain_rounds_.end() || found->second != round_;
  });
}

void State::put(User user, std::vector<std::string>* remarks) {
  const std::string name = *names::folded(user.name.value);
  const uint64_t id = user.id;
  if (const auto old = users_.find(id); old != users_.end()) drop_keys(old->second.user);
  if (const auto other = by_name_.find(name); other != by_name_.end()) {
    remark(remarks, fmt::format("user {} gives way to a later one of this name",
                                log::quoted(user.name.value)));
    forget(other->second);
  }
  by_name_[name] = id;
  for (const Address& address : user.addresses.value) {
    const auto key = address_key(address.value);
    if (!key) continue;
    const auto [place, fresh] = by_address_.emplace(*key, id);
    if (fresh || place->second == id) continue;
    remark(remarks, fmt::format("address {} goes to the later one of two users",
                                log::quoted(address.value)));
    if (const auto loser = users_.find(place->second); loser != users_.end())
      std::erase_if(loser->second.user.addresses.value,
                    [&](const Address& a) { return address_key(a.value) == *key; });
    place->second = id;
  }
  const auto [stored, fresh] = users_.try_emplace(id);
  if (fresh) {
    stored->second.place = ids_.size();
    ids_.push_back(id);
  }
  stored->second.user = std::move(user);
}

void State::drop_keys(const User& user) {
  if (const auto name = names::folded(user.name.value))
    if (const auto found = by_name_.find(*name);
        found != by_name_.end() && found->second == user.id)
      by_name_.erase(found);
  for (const Address& address : user.addresses.value)
    if (const auto key = address_key(address.value))
      if (const auto found = by_address_.find(*key);
          found != by_address_.end() && found->second == user.id)
        by_address_.erase(found);
}

void State::forget(uint64_t id) {
  const auto found = users_.find(id);
  if (found == users_.end()) return;
  drop_keys(found->second.user);
  const size_t place = found->second.place;
  ids_[place] = ids_.back();
  users_.at(ids_[place]).place = place;
  ids_.pop_back();
  users_.erase(found);
}

const User* State::find(std::string_view folded) const {
  const auto found = by_name_.find(folded);
  return found == by_name_.end() ? nullptr : find_id(found->second);
}

const User* State::find_id(uint64_t id) const {
  const auto found = users_.find(id);
  return found == users_.end() ? nullptr : &found->second.user;
}

const User* State::find_address(const std::string& key) const {
  const auto found = by_address_.find(key);
  return found == by_address_.end() ? nullptr : find_id(found->second);
}

const Domain* State::find_domain(std::string_view name) const {
  const auto found = domains_.find(name);
  return found == domains_.end() ? nullptr : &found->second;
}

const User* State::recipient(std::string_view address, std::string_view delimiter,
                             bool catch_all) const {
  const size_t at = address.rfind('@');
  if (at == std::string_view::npos) return nullptr;
  auto known = names::domain(address.substr(at + 1));
  if (!known) return nullptr;
  const Domain* domain = find_domain(*known);
  if (domain && !domain->alias_of.value.empty()) {
    known = domain->alias_of.value;
    domain = find_domain(*known);
  }
  const auto look = [&](std::string_view local) -> const User* {
    const auto folded = names::folded(local);
    if (!folded) return nullptr;
    const std::string key = *folded + "@" + *known;
    const User* user = find_address(key);
    if (!user) user = find(key);
    return user && user->removed == 0 ? user : nullptr;
  };
  const std::string_view local = address.substr(0, at);
  if (const User* user = look(local)) return user;
  if (const auto cut = without_label(local, delimiter))
    if (const User* user = look(*cut)) return user;
  if (!catch_all || !domain || domain->catch_all == 0 || !names::folded(local)) return nullptr;
  const User* user = find_id(domain->catch_all);
  return user && user->removed == 0 ? user : nullptr;
}

std::vector<std::string> State::snapshot() const {
  std::vector<std::string> records;
  records.reserve(1 + users_.size() + domains_.size());
  records.push_back(
      encode(Snapshot{.users = users_.size(), .domains = domains_.size(), .last_id = last_id_}));
  for (const auto& [name, id] : by_name_) records.push_back(encode(users_.at(id).user));
  for (const auto& [name, domain] : domains_) records.push_back(encode(domain));
  return records;
}

}  // namespace rims::users
