// common/config/password.h - stored passwords: what a hash looks like, making one, comparing
//
//   $argon2id$…            what `rims pass-hash` prints (RFC 9106, by libsodium)
//   TYPE:n:salt:hex        the original's: TYPE is MD5, RMD160, SHA1, SHA256, SHA384 or SHA512, n
//                          the number of rounds, salt in base64
//
// make() and matches() take tens of milliseconds by design: call them on a pool.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace rims::config::password {

// The work of a new hash: 19 MiB, two passes.
inline constexpr unsigned long long kOperations = 2;
inline constexpr size_t kMemory = size_t{19'456} * 1024;

// Whether `hash` is of a form that matches() can compare, with work within sane bounds.
[[nodiscard]] bool known_hash(std::string_view hash);

// A new $argon2id$ hash with a random salt; nullopt when there is no memory for it.
[[nodiscard]] std::optional<std::string> make(std::string_view plain);

// Thread-safe. Its duration does not depend on where the two differ.
[[nodiscard]] bool matches(std::string_view hash, std::string_view plain);

}  // namespace rims::config::password
