// common/config/password_form.h - what a stored hash says, without the work of comparing
//
// Apart from password.cc so that a program that only reads the configuration does not load
// OpenSSL: rims-deliver is started once per message.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace rims::config::password {

inline constexpr std::string_view kArgon2 = "$argon2id$";

// The original's form.
struct Stretched {
  const char* digest = nullptr;  // as OpenSSL names it
  unsigned rounds = 0;
  std::string salt, hash;
};
[[nodiscard]] std::optional<Stretched> parse_stretched(std::string_view text);

// Of Argon2id, and with work within sane bounds.
[[nodiscard]] bool sane_argon2(std::string_view hash);

}  // namespace rims::config::password
