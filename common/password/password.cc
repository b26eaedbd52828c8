// common/password/password.cc - the work, each scheme by the library that knows it: Argon2 by
// libsodium, crypt(5) by libxcrypt, digests, PBKDF2, scrypt and SCRAM by OpenSSL

#include "common/password/password.h"

#include <array>
#include <crypt.h>
#include <initializer_list>
#include <memory>
#include <utility>
#include <variant>

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <sodium.h>

#include "common/base/secret.h"
#include "common/password/stored.h"

namespace rims::password {
namespace {

const EVP_MD* openssl(Digest digest) {
  switch (digest) {
    case Digest::md5:
      return EVP_md5();
    case Digest::rmd160:
      return EVP_ripemd160();
    case Digest::sha1:
      return EVP_sha1();
    case Digest::sha256:
      return EVP_sha256();
    case Digest::sha384:
      return EVP_sha384();
    case Digest::sha512:
      break;
  }
  return EVP_sha512();
}

const unsigned char* raw(std::string_view text) {
  return reinterpret_cast<const unsigned char*>(text.data());
}

// libsodium wants an address for the empty password, too.
const char* text_of(std::string_view plain) { return plain.empty() ? "" : plain.data(); }

// Wiped when it dies.
struct Wiped {
  std::string bytes;
  explicit Wiped(std::string b = {}) : bytes(std::move(b)) {}
  Wiped(const Wiped&) = delete;
  Wiped& operator=(const Wiped&) = delete;
  ~Wiped() { wipe(bytes); }
};

using Context = std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)>;
Context new_context() { return {EVP_MD_CTX_new(), &EVP_MD_CTX_free}; }

// "" when OpenSSL fails.
std::string digest_of(Digest digest, std::initializer_list<std::string_view> parts) {
  const Context context = new_context();
  std::string out(size_of(digest), '\0');
  bool good = context && EVP_DigestInit_ex(context.get(), openssl(digest), nullptr) == 1;
  for (const std::string_view part : parts)
    good = good && EVP_DigestUpdate(context.get(), part.data(), part.size()) == 1;
  good = good && EVP_DigestFinal_ex(context.get(), reinterpret_cast<unsigned char*>(out.data()),
                                    nullptr) == 1;
  return good ? out : std::string();
}

std::string hmac(Digest digest, std::string_view key, std::string_view data) {
  std::string out(size_of(digest), '\0');
  unsigned length = 0;
  if (!HMAC(openssl(digest), text_of(key), static_cast<int>(key.size()), raw(data), data.size(),
            reinterpret_cast<unsigned char*>(out.data()), &length))
    return {};
  return out;
}

std::string pbkdf2(Digest digest, std::string_view plain, std::string_view salt, uint32_t rounds,
                   size_t size) {
  std::string out(size, '\0');
  const int done =
      PKCS5_PBKDF2_HMAC(text_of(plain), static_cast<int>(plain.size()), raw(salt),
                        static_cast<int>(salt.size()), static_cast<int>(rounds), openssl(digest),
                        static_cast<int>(size), reinterpret_cast<unsigned char*>(out.data()));
  return done == 1 ? out : std::string();
}

// "" never matches: no stored hash is empty.
bool same(std::string computed, std::string_view stored) {
  const Wiped kept(std::move(computed));
  return !kept.bytes.empty() && equal_constant_time(kept.bytes, stored);
}

// What the original computes: it adds to one digest object in each round, and each round takes the
// digest of everything that was added so far.
std::string stretch(const Stretched& s, std::string_view plain) {
  const Wiped salted(s.salt + std::string(plain));
  const Context running = new_context(), snapshot = new_context();
  Wiped out(std::string(size_of(s.digest), '\0'));
  auto* bytes = reinterpret_cast<unsigned char*>(out.bytes.data());
  bool good = running && snapshot &&
              EVP_DigestInit_ex(running.get(), openssl(s.digest), nullptr) == 1 &&
              EVP_DigestUpdate(running.get(), salted.bytes.data(), salted.bytes.size()) == 1;
  const auto take = [&] {
    good = good && EVP_MD_CTX_copy_ex(snapshot.get(), running.get()) == 1 &&
           EVP_DigestFinal_ex(snapshot.get(), bytes, nullptr) == 1;
  };
  for (uint32_t i = 0; i < s.rounds && good; i++) {
    take();
    good = good && EVP_DigestUpdate(running.get(), bytes, out.bytes.size()) == 1 &&
           EVP_DigestUpdate(running.get(), salted.bytes.data(), salted.bytes.size()) == 1;
  }
  take();
  return good ? std::string(out.bytes) : std::string();
}

// md5crypt with another beginning, which libxcrypt does not know: the thousand rounds of MD5 that
// Apache's htpasswd computes, and the order in which it writes the bytes.
std::string apache(const Apache& stored, std::string_view plain) {
  constexpr std::string_view kMagic = "$apr1$";
  const std::string_view salt = stored.salt;
  Wiped final(digest_of(Digest::md5, {plain, salt, plain}));
  Wiped mixed{std::string(plain)};
  mixed.bytes.append(kMagic).append(salt);
  for (size_t left = plain.size(); left > 0; left -= std::min<size_t>(left, 16))
    mixed.bytes.append(final.bytes, 0, std::min<size_t>(left, 16));
  for (size_t bits = plain.size(); bits != 0; bits >>= 1)
    mixed.bytes += (bits & 1) != 0 ? '\0' : plain.front();
  final.bytes = digest_of(Digest::md5, {mixed.bytes});
  for (int round = 0; round < 1000; round++) {
    const bool odd = round % 2 != 0;
    const std::string_view before = final.bytes;
    final.bytes = digest_of(Digest::md5, {odd ? plain : before, round % 3 != 0 ? salt : "",
                                          round % 7 != 0 ? plain : "", odd ? before : plain});
    if (final.bytes.empty()) return {};
  }
  constexpr std::string_view kLetters =
      "./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
  std::string out = std::string(kMagic) + stored.salt + '$';
  const auto byte = [&](size_t i) { return uint32_t{static_cast<unsigned char>(final.bytes[i])}; };
  const auto letters = [&](uint32_t value, int count) {
    for (; count > 0; count--, value >>= 6) out += kLetters[value & 63];
  };
  constexpr std::array<std::array<size_t, 3>, 5> kOrder{
      {{0, 6, 12}, {1, 7, 13}, {2, 8, 14}, {3, 9, 15}, {4, 10, 5}}};
  for (const auto& [high, middle, low] : kOrder)
    letters(byte(high) << 16 | byte(middle) << 8 | byte(low), 4);
  letters(byte(11), 2);
  return out;
}

struct Comparison {
  std::string_view plain;

  bool operator()(const Plain& s) const {
    // Of fixed length, so that the time does not tell the length.
    return same(digest_of(Digest::sha256, {plain}), digest_of(Digest::sha256, {s.text}));
  }
  bool operator()(const Argon2& s) const {
    return crypto_pwhash_str_verify(s.text.c_str(), text_of(plain), plain.size()) == 0;
  }
  // It ends a password at its first NUL, so one with a NUL would be taken for a shorter one.
  bool operator()(const Crypt& s) const {
    if (plain.contains('\0')) return false;
    const Wiped phrase{std::string(plain)};
    const auto data = std::make_unique<crypt_data>();
    const char* computed = crypt_r(phrase.bytes.c_str(), s.text.c_str(), data.get());
    const bool right = computed && same(computed, s.text);
    sodium_memzero(data.get(), sizeof *data);
    return right;
  }
  bool operator()(const Apache& s) const { return same(apache(s, plain), s.text); }
  bool operator()(const Salted& s) const {
    return same(digest_of(s.digest, {plain, s.salt}), s.hash);
  }
  bool operator()(const Stretched& s) const { return same(stretch(s, plain), s.hash); }
  bool operator()(const Pbkdf2& s) const {
    return same(pbkdf2(s.digest, plain, s.salt, s.rounds, s.hash.size()), s.hash);
  }
  bool operator()(const Scrypt& s) const {
    std::string out(s.hash.size(), '\0');
    const int done = EVP_PBE_scrypt(text_of(plain), plain.size(), raw(s.salt), s.salt.size(), s.n,
                                    s.r, s.p, kMostMemory + (kMostMemory >> 2),
                                    reinterpret_cast<unsigned char*>(out.data()), out.size());
    return done == 1 && same(std::move(out), s.hash);
  }
  // RFC 5802 §3: StoredKey = H(HMAC(SaltedPassword, "Client Key")).
  bool operator()(const Scram& s) const {
    const Wiped salted(pbkdf2(s.digest, plain, s.salt, s.rounds, size_of(s.digest)));
    if (salted.bytes.empty()) return false;
    const Wiped client_key(hmac(s.digest, salted.bytes, "Client Key"));
    return same(digest_of(s.digest, {client_key.bytes}), s.stored_key);
  }
};

}  // namespace

std::optional<std::string> make(std::string_view plain) {
  char out[crypto_pwhash_STRBYTES] = {};
  if (crypto_pwhash_str(out, text_of(plain), plain.size(), kOperations, kMemory) != 0)
    return std::nullopt;
  return std::string(out);
}

bool matches(std::string_view stored, std::string_view plain) {
  const auto read = read_stored(stored);
  return read && std::visit(Comparison{plain}, *read);
}

}  // namespace rims::password
