// common/names/names.h - when two names mean the same user or the same domain
//
//   Users    compare without case and in Unicode's form NFC, wherever a name is looked up: at a
//            login, for a recipient, in the tools. An account is called as the configuration spells
//            its user, so accounts that are there keep their directories
//   Domains  compare as IDNA (UTS #46): "xn--" and UTF-8, upper and lower case are the same
//   RFC      8265 §3.3, §3.4; 5891
#pragma once

#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "common/base/result.h"
#include "common/config/config.h"

namespace rims::names {

// A name as accounts are called: valid UTF-8 without control characters, at most ipc::kMaxUserName
// bytes, in NFC. nullopt for anything else.
[[nodiscard]] std::optional<std::string> account_name(std::string_view name);

// The same for all names of one user, whatever their case and form; nullopt as above.
[[nodiscard]] std::optional<std::string> folded(std::string_view name);

// In ASCII and lower case, without a dot at the end. nullopt for what can not be a domain.
[[nodiscard]] std::optional<std::string> domain(std::string_view name);

// Valid UTF-8 in NFC; anything else as it is.
[[nodiscard]] std::string composed(std::string_view text);

// Everything above once, for a process that may not read files later.
void load_tables();

// What the configuration says and no server could use: names that are none, two that are the same,
// domains that are none. The error has a line for each, with its place.
[[nodiscard]] Status check(const config::Config& config);

// What the account of a user of the configuration is called, by any spelling of the name.
[[nodiscard]] std::optional<std::string> account_of(const config::Config& config,
                                                    std::string_view name);

}  // namespace rims::names
