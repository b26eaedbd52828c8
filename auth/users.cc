// auth/users.cc - the user table

#include "auth/users.h"

#include <algorithm>

#include <fmt/core.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "common/base/ascii.h"
#include "common/base/encoding.h"
#include "common/base/log.h"
#include "common/names/names.h"

namespace rims::auth {
namespace {

bool is_of(const users::State* directory, std::string_view domain) {
  const auto name = directory ? names::domain(domain) : std::nullopt;
  return name && directory->find_domain(*name);
}

const unsigned char* raw(std::string_view text) {
  return reinterpret_cast<const unsigned char*>(text.data());
}

// CRAM-MD5 needs MD5; nothing else here uses it.
std::string hmac_md5(std::string_view key, std::string_view data) {
  unsigned char out[EVP_MAX_MD_SIZE];
  unsigned length = 0;
  if (!HMAC(EVP_md5(), key.data(), static_cast<int>(key.size()), raw(data), data.size(), out,
            &length))
    return {};
  return {reinterpret_cast<char*>(out), length};
}

}  // namespace

Users::Users(config::AuthPart part)
    : delimiter_(part.recipient_delimiter.value),
      delay_first_ms_(part.delay_first_ms),
      delay_max_ms_(part.delay_max_ms),
      cache_lifetime_(part.cache_lifetime_s),
      end_sessions_on_change_(part.end_sessions_on_change) {
  randombytes_buf(key_.data(), key_.size());
  randombytes_buf(name_key_.data(), name_key_.size());
  delivery_user_ = names::folded(part.delivery_user.value).value_or(part.delivery_user.value);
  any_domain_ = part.domains.value.empty();
  for (const config::Domain& domain : part.domains.value)
    if (auto known = names::domain(domain.value)) domains_.insert(*std::move(known));
  entries_.reserve(part.users.value.size() + 1);
  for (config::User& user : part.users.value) {
    // The controller sends neither what is no name nor two that are the same (names::check).
    auto name = names::account_name(user.name.value);
    const auto key = names::folded(user.name.value);
    if (!name || !key || !by_name_.emplace(*key, entries_.size()).second) continue;
    Entry entry;
    entry.name = *std::move(name);
    entry.password = std::move(user.password.value);
    entry.hashed = user.hashed;
    entries_.push_back(std::move(entry));
    Entry& kept = entries_.back();
    if (!kept.hashed) kept.digest = digest_of(entries_.size() - 1, kept.password.reveal());
  }
  Entry nobody;
  nobody.password = Secret(random_bytes(32));
  entries_.push_back(std::move(nobody));
  entries_.back().digest = digest_of(entries_.size() - 1, entries_.back().password.reveal());
}

Users::~Users() {
  for (Entry& entry : entries_) sodium_memzero(entry.digest.data(), entry.digest.size());
  sodium_memzero(key_.data(), key_.size());
}

// The entry's number is part of the hash, so a digest of one user is not valid for another.
Users::Digest Users::digest_of(size_t entry, std::string_view password) const {
  Digest out{};
  const uint64_t number = entry;
  crypto_generichash_state state;
  crypto_generichash_init(&state, key_.data(), key_.size(), out.size());
  crypto_generichash_update(&state, reinterpret_cast<const unsigned char*>(&number), sizeof number);
  crypto_generichash_update(&state, raw(password), password.size());
  crypto_generichash_final(&state, out.data(), out.size());
  sodium_memzero(&state, sizeof state);
  return out;
}

Users::Candidate Users::find(std::string_view folded) const {
  const auto found = by_name_.find(std::string(folded));
  if (found != by_name_.end()) return {found->second, true};
  const size_t users = entries_.size() - 1;
  return {users == 0 ? 0 : number_of(folded) % users, false};
}

uint64_t Users::number_of(std::string_view folded) const {
  uint64_t hash = 0;
  static_assert(sizeof hash == crypto_shorthash_BYTES);
  crypto_shorthash(reinterpret_cast<unsigned char*>(&hash), raw(folded), folded.size(),
                   name_key_.data());
  return hash;
}

std::vector<std::string> Users::account_names() const {
  std::vector<std::string> all;
  for (size_t entry = 0; entry < size(); entry++) all.push_back(entries_[entry].name);
  return all;
}

Users::Proof Users::prove_fast(Candidate candidate, std::string_view password, Time now) const {
  const Entry& entry = entries_[candidate.entry];
  const Digest given = digest_of(candidate.entry, password);
  const bool same = sodium_memcmp(given.data(), entry.digest.data(), given.size()) == 0;
  if (!entry.hashed) return same && candidate.exists ? Proof::right : Proof::wrong;
  if (same && candidate.exists && now < entry.digest_until) return Proof::right;
  return Proof::needs_hash;
}

std::string Users::stored_hash(Candidate candidate) const {
  return std::string(entries_[candidate.entry].password.reveal());
}

void Users::remember(Candidate candidate, std::string_view password, Time now) {
  if (!candidate.exists || cache_lifetime_.count() == 0) return;
  Entry& entry = entries_[candidate.entry];
  if (!entry.hashed) return;
  entry.digest = digest_of(candidate.entry, password);
  entry.digest_until = now + cache_lifetime_;
}

bool Users::prove_cram_md5(Candidate candidate, std::string_view challenge,
                           std::string_view digest) const {
  const Entry& entry = entries_[candidate.entry];
  // A hashed password can not be the key; the same work is done with it, so that the time is the
  // same.
  const std::string right = to_hex(hmac_md5(entry.password.reveal(), challenge));
  const bool same = equal_constant_time(right, ascii::lower(digest));
  return same && !right.empty() && candidate.exists && !entry.hashed;
}

std::optional<ipc::Revoked> Users::revoked(Candidate candidate, const Users& fresh) const {
  using ipc::Revoked;
  const Entry& old = entries_[candidate.entry];
  const Candidate now = fresh.find(names::folded(old.name).value_or(old.name));
  if (!now.exists) return Revoked::removed;
  const Entry& entry = fresh.entries_[now.entry];
  if (entry.name != old.name) return Revoked::renamed;
  if (entry.hashed != old.hashed || entry.password.reveal() != old.password.reveal())
    return Revoked::password;
  if (fresh.is_delivery_user(now) != is_delivery_user(candidate)) return Revoked::role;
  return std::nullopt;
}

std::vector<std::pair<std::string, ipc::Revoked>> Users::revoked_by(const Users& fresh) const {
  std::vector<std::pair<std::string, ipc::Revoked>> all;
  for (size_t entry = 0; entry < size(); entry++)
    if (const auto why = revoked({.entry = entry, .exists = true}, fresh))
      all.emplace_back(entries_[entry].name, *why);
  return all;
}

bool Users::is_delivery_user(Candidate candidate) const {
  const auto found = by_name_.find(delivery_user_);
  return candidate.exists && found != by_name_.end() && found->second == candidate.entry;
}

bool Users::is_ours(std::string_view domain) const {
  if (any_domain_) return true;
  const auto known = names::domain(domain);
  return known && domains_.contains(*known);
}

std::string Users::recipient(std::string_view text, const users::State* directory) const {
  const auto known = [&](std::string_view name) -> std::string {
    const auto key = names::folded(name);
    // The delivery user has no mailbox of its own.
    if (!key || *key == delivery_user_) return {};
    const auto found = by_name_.find(*key);
    if (found != by_name_.end()) return entries_[found->second].name;
    const users::User* user = directory ? directory->find(*key) : nullptr;
    return user && user->removed == 0 ? user->name.value : std::string();
  };
  // An address of the directory, or of a domain there.
  const auto listed = [&](bool catch_all) -> std::string {
    const users::User* user =
        directory ? directory->recipient(text, delimiter_, catch_all) : nullptr;
    return user ? known(user->name.value) : std::string();
  };
  if (std::string user = known(text); !user.empty()) return user;
  if (std::string user = listed(false); !user.empty()) return user;
  std::string_view local = text;
  if (const size_t at = text.rfind('@'); at != std::string_view::npos) {
    const std::string_view domain = text.substr(at + 1);
    if (!is_ours(domain) && !is_of(directory, domain)) return {};
    local = text.substr(0, at);
    if (std::string user = known(local); !user.empty()) return user;
  }
  const size_t cut = delimiter_.empty() ? std::string_view::npos : local.find(delimiter_);
  if (cut != std::string_view::npos && cut != 0)
    if (std::string user = known(local.substr(0, cut)); !user.empty()) return user;
  return listed(true);
}

}  // namespace rims::auth
