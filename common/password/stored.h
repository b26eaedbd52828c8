// common/password/stored.h - what a stored password says, without the work of comparing
//
//   $argon2id$...                   as `rims pass-hash` prints it (RFC 9106); $argon2i$, too
//   $y$ $gy$ $7$ $2b$ $6$ $5$ ...   crypt(5), all that libxcrypt computes
//   $apr1$                          htpasswd of Apache
//   $pbkdf2-sha256$ $scrypt$        the PHC string format, and passlib's older way of writing it
//   SCRAM-SHA-256$n:salt$...        RFC 5803's verifier, as PostgreSQL writes it
//   TYPE:n:salt:hex                 the original RIMS's
//   {SCHEME}text                    RFC 2307 §5.3 and its like: LDAP directories, Dovecot
//
// Apart from password.h so that a program that only reads the configuration does not load OpenSSL
// and libcrypt: rims-deliver is started once per message.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <variant>

#include "common/base/result.h"

namespace rims::password {

// What one comparison may cost, so that no stored text keeps the others from their logins: about
// three seconds and a GiB.
inline constexpr uint64_t kMostMemory = uint64_t{1} << 30;  // bytes
inline constexpr uint32_t kMostRounds = 3'000'000;          // of a digest
inline constexpr uint32_t kMostBcrypt = 15;                 // its cost, a power of two

enum class Digest : uint8_t { md5, rmd160, sha1, sha256, sha384, sha512 };
[[nodiscard]] size_t size_of(Digest digest);  // bytes

// The password itself. The view is into the text that was read.
struct Plain {
  std::string_view text;
};
struct Argon2 {
  std::string text;
};
struct Crypt {
  std::string text;
};
struct Apache {
  std::string salt, text;  // `text`: all of it
};
// digest(password + salt).
struct Salted {
  Digest digest = Digest::sha1;
  std::string salt, hash;
};
// The original's.
struct Stretched {
  Digest digest = Digest::sha256;
  uint32_t rounds = 0;
  std::string salt, hash;
};
struct Pbkdf2 {
  Digest digest = Digest::sha1;
  uint32_t rounds = 0;
  std::string salt, hash;
};
struct Scrypt {
  uint64_t n = 0;
  uint32_t r = 0, p = 0;
  std::string salt, hash;
};
// RFC 5802 §3: a client proves the password to these, and a password can be compared with them.
struct Scram {
  Digest digest = Digest::sha256;
  uint32_t rounds = 0;
  std::string salt, stored_key, server_key;
};
using Stored = std::variant<Plain, Argon2, Crypt, Apache, Salted, Stretched, Pbkdf2, Scrypt, Scram>;

// Error: syntax; its reply says what is wrong ("the scheme OTP is not supported") and shows no byte
// that could be part of a password.
[[nodiscard]] Result<Stored> read_stored(std::string_view text);

// A text that nobody would choose as a password, because it is a hash in one of the forms that
// begin with "$" or "{".
[[nodiscard]] bool is_surely_a_hash(std::string_view text);

}  // namespace rims::password
