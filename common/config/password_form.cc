// common/config/password_form.cc - reading stored hashes

#include "common/config/password_form.h"

#include <algorithm>
#include <charconv>

#include <sodium.h>

#include "common/base/encoding.h"
#include "common/config/password.h"

namespace rims::config::password {
namespace {

constexpr unsigned kMaxRounds = 10'000'000;

struct Digest {
  const char* name;
  size_t bytes;
};
constexpr Digest kDigests[] = {{"MD5", 16},    {"RMD160", 20}, {"SHA1", 20},
                               {"SHA256", 32}, {"SHA384", 48}, {"SHA512", 64}};

const Digest* digest_named(std::string_view name) {
  const auto* found =
      std::ranges::find_if(kDigests, [&](const Digest& d) { return name == d.name; });
  return found == std::end(kDigests) ? nullptr : found;
}

}  // namespace

std::optional<Stretched> parse_stretched(std::string_view text) {
  std::string_view field[4];
  for (int i = 0; i < 3; i++) {
    const size_t colon = text.find(':');
    if (colon == std::string_view::npos) return std::nullopt;
    field[i] = text.substr(0, colon);
    text.remove_prefix(colon + 1);
  }
  field[3] = text;
  Stretched out;
  const Digest* digest = digest_named(field[0]);
  const auto [end, error] =
      std::from_chars(field[1].data(), field[1].data() + field[1].size(), out.rounds);
  auto salt = from_base64(field[2]);
  auto hash = from_hex(field[3]);
  if (!digest || error != std::errc() || end != field[1].data() + field[1].size() ||
      out.rounds > kMaxRounds || !salt || !hash || hash->size() != digest->bytes)
    return std::nullopt;
  out.digest = digest->name;
  out.salt = *std::move(salt);
  out.hash = *std::move(hash);
  return out;
}

// m=19456,t=2,p=1 as numbers; a hash that needs a gigabyte would block the logins of all users.
bool sane_argon2(std::string_view hash) {
  const std::string text(hash);
  if (text.size() >= crypto_pwhash_STRBYTES ||
      crypto_pwhash_str_needs_rehash(text.c_str(), kOperations, kMemory) < 0)
    return false;
  const auto number_after = [&](std::string_view name) {
    unsigned long value = 0;
    const size_t at = text.find(name);
    if (at == std::string::npos) return 0ul;
    std::from_chars(text.data() + at + name.size(), text.data() + text.size(), value);
    return value;
  };
  const unsigned long memory = number_after("m="), passes = number_after("t=");
  return memory > 0 && memory <= 1u << 20 && passes > 0 && passes <= 100;
}

bool known_hash(std::string_view hash) {
  if (hash.starts_with(kArgon2)) return sane_argon2(hash);
  return parse_stretched(hash).has_value();
}

}  // namespace rims::config::password
