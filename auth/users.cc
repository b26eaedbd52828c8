// auth/users.cc - the user table

#include "auth/users.h"

#include <algorithm>

#include <fmt/core.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <unicode/unorm2.h>
#include <unicode/ustring.h>

#include "common/base/ascii.h"
#include "common/base/encoding.h"
#include "common/base/log.h"

namespace rims::auth {
namespace {

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

std::optional<std::string> normalise_name(std::string_view name) {
  if (name.empty() || name.size() > ipc::kMaxUserName) return std::nullopt;
  if (std::ranges::all_of(name, [](char c) { return c >= 0x20 && c < 0x7f; }))
    return std::string(name);
  UErrorCode error = U_ZERO_ERROR;
  std::array<UChar, ipc::kMaxUserName> wide{};
  int32_t length = 0;
  u_strFromUTF8(wide.data(), static_cast<int32_t>(wide.size()), &length, name.data(),
                static_cast<int32_t>(name.size()), &error);
  if (U_FAILURE(error)) return std::nullopt;
  for (int32_t i = 0; i < length; i++)
    if (wide[static_cast<size_t>(i)] < 0x20 ||
        (wide[static_cast<size_t>(i)] >= 0x7f && wide[static_cast<size_t>(i)] < 0xa0))
      return std::nullopt;
  const UNormalizer2* nfc = unorm2_getNFCInstance(&error);
  std::array<UChar, ipc::kMaxUserName * 3> normal{};
  const int32_t normal_length = unorm2_normalize(nfc, wide.data(), length, normal.data(),
                                                 static_cast<int32_t>(normal.size()), &error);
  std::string out(ipc::kMaxUserName, '\0');
  int32_t bytes = 0;
  u_strToUTF8(out.data(), static_cast<int32_t>(out.size()), &bytes, normal.data(), normal_length,
              &error);
  if (U_FAILURE(error) || bytes > static_cast<int32_t>(out.size())) return std::nullopt;
  out.resize(static_cast<size_t>(bytes));
  return out;
}

Users::Users(config::AuthPart part)
    : delimiter_(part.recipient_delimiter.value),
      delay_first_ms_(part.delay_first_ms),
      delay_max_ms_(part.delay_max_ms),
      cache_lifetime_(part.cache_lifetime_s) {
  randombytes_buf(key_.data(), key_.size());
  randombytes_buf(name_key_.data(), name_key_.size());
  delivery_user_ = normalise_name(part.delivery_user.value).value_or(part.delivery_user.value);
  for (const config::Domain& domain : part.domains.value)
    domains_.emplace(ascii::lower(domain.value), true);
  entries_.reserve(part.users.value.size() + 1);
  for (config::User& user : part.users.value) {
    const auto name = normalise_name(user.name.value);
    if (!name || !by_name_.emplace(*name, entries_.size()).second) {
      log::error({}, "the user {} of the configuration is ignored: {}", user.name.value,
                 name ? "another one has the same name in Unicode's normal form"
                      : "not a name (UTF-8 without control characters)");
      continue;
    }
    Entry entry;
    entry.name = *name;
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

Users::Candidate Users::find(std::string_view normalised) const {
  const auto found = by_name_.find(std::string(normalised));
  if (found != by_name_.end()) return {found->second, true};
  uint64_t hash = 0;
  static_assert(sizeof hash == crypto_shorthash_BYTES);
  crypto_shorthash(reinterpret_cast<unsigned char*>(&hash), raw(normalised), normalised.size(),
                   name_key_.data());
  const size_t users = entries_.size() - 1;
  return {users == 0 ? 0 : hash % users, false};
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

// The delivery user has no mailbox of its own.
bool Users::is_mail_user(const std::string& name) const {
  return name != delivery_user_ && by_name_.contains(name);
}

std::string Users::recipient(std::string_view text) const {
  const auto known = [&](std::string_view name) -> std::string {
    const auto normal = normalise_name(name);
    if (!normal) return {};
    if (is_mail_user(*normal)) return *normal;
    // MTAs pass on upper and lower case as the sender typed it.
    std::string folded = ascii::lower(*normal);
    return is_mail_user(folded) ? folded : std::string();
  };
  if (std::string user = known(text); !user.empty()) return user;
  std::string_view local = text;
  if (const size_t at = text.rfind('@'); at != std::string_view::npos) {
    if (!domains_.empty() && !domains_.contains(ascii::lower(text.substr(at + 1)))) return {};
    local = text.substr(0, at);
    if (std::string user = known(local); !user.empty()) return user;
  }
  const size_t cut = delimiter_.empty() ? std::string_view::npos : local.find(delimiter_);
  if (cut == std::string_view::npos || cut == 0) return {};
  return known(local.substr(0, cut));
}

}  // namespace rims::auth
