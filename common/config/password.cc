// common/config/password.cc - Argon2id by libsodium, the original's stretched digests by OpenSSL

#include "common/config/password.h"

#include <memory>

#include <openssl/evp.h>
#include <sodium.h>

#include "common/base/secret.h"
#include "common/config/password_form.h"

namespace rims::config::password {
namespace {

const EVP_MD* digest_named(std::string_view name) {
  if (name == "MD5") return EVP_md5();
  if (name == "RMD160") return EVP_ripemd160();
  if (name == "SHA1") return EVP_sha1();
  if (name == "SHA256") return EVP_sha256();
  if (name == "SHA384") return EVP_sha384();
  if (name == "SHA512") return EVP_sha512();
  return nullptr;
}

// What the original computes: it adds to one digest object in each round, and each round takes the
// digest of everything that was added so far.
std::string stretch(const Stretched& s, std::string_view plain) {
  std::string salted = s.salt + std::string(plain);
  const std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> running(EVP_MD_CTX_new(),
                                                                        &EVP_MD_CTX_free),
      snapshot(EVP_MD_CTX_new(), &EVP_MD_CTX_free);
  unsigned char out[EVP_MAX_MD_SIZE];
  unsigned length = 0;
  bool good = running && snapshot &&
              EVP_DigestInit_ex(running.get(), digest_named(s.digest), nullptr) == 1 &&
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

}  // namespace

namespace {

// libsodium wants an address for the empty password, too.
const char* text_of(std::string_view plain) { return plain.empty() ? "" : plain.data(); }

}  // namespace

std::optional<std::string> make(std::string_view plain) {
  char out[crypto_pwhash_STRBYTES] = {};
  if (crypto_pwhash_str(out, text_of(plain), plain.size(), kOperations, kMemory) != 0)
    return std::nullopt;
  return std::string(out);
}

bool matches(std::string_view hash, std::string_view plain) {
  if (hash.starts_with(kArgon2)) {
    // libsodium reads a terminated text of any length below its buffer's.
    return sane_argon2(hash) &&
           crypto_pwhash_str_verify(std::string(hash).c_str(), text_of(plain), plain.size()) == 0;
  }
  const auto stored = parse_stretched(hash);
  if (!stored) return false;
  std::string computed = stretch(*stored, plain);
  const bool same = equal_constant_time(computed, stored->hash);
  wipe(computed);
  return same;
}

}  // namespace rims::config::password
