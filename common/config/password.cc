// common/config/password.cc - Argon2id by libsodium, the original's stretched digests by OpenSSL

#include "common/config/password.h"

#include <charconv>
#include <memory>

#include <openssl/evp.h>
#include <sodium.h>

#include "common/base/encoding.h"
#include "common/base/secret.h"

namespace rims::config::password {
namespace {

constexpr std::string_view kArgon2 = "$argon2id$";
constexpr unsigned kMaxRounds = 10'000'000;

struct Stretched {
  const EVP_MD* digest = nullptr;
  unsigned rounds = 0;
  std::string salt, hash;
};

const EVP_MD* digest_named(std::string_view name) {
  if (name == "MD5") return EVP_md5();
  if (name == "RMD160") return EVP_ripemd160();
  if (name == "SHA1") return EVP_sha1();
  if (name == "SHA256") return EVP_sha256();
  if (name == "SHA384") return EVP_sha384();
  if (name == "SHA512") return EVP_sha512();
  return nullptr;
}

std::optional<Stretched> parse(std::string_view text) {
  std::string_view field[4];
  for (int i = 0; i < 3; i++) {
    const size_t colon = text.find(':');
    if (colon == std::string_view::npos) return std::nullopt;
    field[i] = text.substr(0, colon);
    text.remove_prefix(colon + 1);
  }
  field[3] = text;
  Stretched out;
  out.digest = digest_named(field[0]);
  const auto [end, error] =
      std::from_chars(field[1].data(), field[1].data() + field[1].size(), out.rounds);
  auto salt = from_base64(field[2]);
  auto hash = from_hex(field[3]);
  if (!out.digest || error != std::errc() || end != field[1].data() + field[1].size() ||
      out.rounds > kMaxRounds || !salt || !hash ||
      hash->size() != static_cast<size_t>(EVP_MD_get_size(out.digest)))
    return std::nullopt;
  out.salt = *std::move(salt);
  out.hash = *std::move(hash);
  return out;
}

// What the original computes: its digest object is fed on and on, and each round takes the digest
// of all that was fed so far.
std::string stretch(const Stretched& s, std::string_view plain) {
  std::string salted = s.salt + std::string(plain);
  const std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> running(EVP_MD_CTX_new(),
                                                                        &EVP_MD_CTX_free),
      snapshot(EVP_MD_CTX_new(), &EVP_MD_CTX_free);
  unsigned char out[EVP_MAX_MD_SIZE];
  unsigned length = 0;
  bool good = running && snapshot && EVP_DigestInit_ex(running.get(), s.digest, nullptr) == 1 &&
              EVP_DigestUpdate(running.get(), salted.data(), salted.size()) == 1;
  const auto take = [&] {
    good = good && EVP_MD_CTX_copy_ex(snapshot.get(), running.get()) == 1 &&
           EVP_DigestFinal_ex(snapshot.get(), out, &length) == 1;
  };
  for (unsigned i = 0; i < s.rounds && good; i++) {
    take();
    good = good && EVP_DigestUpdate(running.get(), out, length) == 1 &&
           EVP_DigestUpdate(running.get(), salted.data(), salted.size()) == 1;
  }
  take();
  wipe(salted);
  std::string result = good ? std::string(reinterpret_cast<char*>(out), length) : std::string();
  sodium_memzero(out, sizeof out);
  return result;
}

// m=19456,t=2,p=1 as a number; a hash that asks for a gigabyte would stop the logins of all.
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

}  // namespace

bool known_hash(std::string_view hash) {
  if (hash.starts_with(kArgon2)) return sane_argon2(hash);
  return parse(hash).has_value();
}

std::optional<std::string> make(std::string_view plain) {
  char out[crypto_pwhash_STRBYTES] = {};
  if (crypto_pwhash_str(out, plain.data(), plain.size(), kOperations, kMemory) != 0)
    return std::nullopt;
  return std::string(out);
}

bool matches(std::string_view hash, std::string_view plain) {
  if (hash.starts_with(kArgon2)) {
    // libsodium reads a terminated text of any length below its buffer's.
    return sane_argon2(hash) &&
           crypto_pwhash_str_verify(std::string(hash).c_str(), plain.data(), plain.size()) == 0;
  }
  const auto stored = parse(hash);
  if (!stored) return false;
  std::string computed = stretch(*stored, plain);
  const bool same = equal_constant_time(computed, stored->hash);
  wipe(computed);
  return same;
}

}  // namespace rims::config::password
