// auth/proven.cc - digests of proven passwords

#include "auth/proven.h"

#include <sodium.h>

namespace rims::auth {

Proven::Proven() { randombytes_buf(key_.data(), key_.size()); }

Proven::~Proven() {
  for (auto& [user, entry] : entries_) sodium_memzero(entry.digest.data(), entry.digest.size());
  sodium_memzero(key_.data(), key_.size());
}

Proven::Digest Proven::digest(uint64_t user, std::string_view hash,
                              std::string_view password) const {
  const auto add = [](crypto_generichash_state& state, std::string_view bytes) {
    crypto_generichash_update(&state, reinterpret_cast<const unsigned char*>(bytes.data()),
                              bytes.size());
  };
  Digest out{};
  const uint64_t head[] = {user, hash.size()};  // so that no two pairs are the same bytes
  crypto_generichash_state state;
  crypto_generichash_init(&state, key_.data(), key_.size(), out.size());
  crypto_generichash_update(&state, reinterpret_cast<const unsigned char*>(head), sizeof head);
  add(state, hash);
  add(state, password);
  crypto_generichash_final(&state, out.data(), out.size());
  sodium_memzero(&state, sizeof state);
  return out;
}

bool Proven::has(uint64_t user, std::string_view hash, std::string_view password, Time now) const {
  const auto found = entries_.find(user);
  const Digest given = digest(user, hash, password);
  return found != entries_.end() && now < found->second.until &&
         sodium_memcmp(given.data(), found->second.digest.data(), given.size()) == 0;
}

void Proven::remember(uint64_t user, std::string_view hash, std::string_view password, Time until) {
  entries_[user] = {.digest = digest(user, hash, password), .until = until};
}

}  // namespace rims::auth
