// common/password/password.h - comparing a password with a stored one, and making a new hash
//
// The forms are those of stored.h. make() and matches() take tens of milliseconds by design: call
// them on a pool. crypto_init() must have been called.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace rims::password {

// The work of a new hash: 19 MiB, two passes.
inline constexpr unsigned long long kOperations = 2;
inline constexpr size_t kMemory = size_t{19'456} * 1024;

// A new $argon2id$ hash with a random salt; nullopt when there is no memory for it.
[[nodiscard]] std::optional<std::string> make(std::string_view plain);

// False also when `stored` is of no form that is known. Thread-safe. Its duration does not depend
// on where the two differ.
[[nodiscard]] bool matches(std::string_view stored, std::string_view plain);

}  // namespace rims::password
