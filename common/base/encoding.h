// common/base/encoding.h - hex, base64, SHA-256, random bytes: thin doors to libsodium
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace rims {

// Once per process, before anything else here. Ends the process when it fails.
void crypto_init();

[[nodiscard]] std::string to_hex(std::string_view bytes);  // lower case
[[nodiscard]] std::optional<std::string> from_hex(std::string_view text);
[[nodiscard]] std::string to_base64(std::string_view bytes);  // RFC 4648 §4, padded
// Strict: padding needed, no white space. nullopt when it is not base64.
[[nodiscard]] std::optional<std::string> from_base64(std::string_view text);
[[nodiscard]] std::string sha256(std::string_view bytes);  // 32 raw bytes
[[nodiscard]] std::string random_bytes(size_t count);      // from the kernel

// The directory name of a user: SHA-256 of the user name in hex, as the original.
[[nodiscard]] std::string unique_user_id(std::string_view user);

}  // namespace rims
