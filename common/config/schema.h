// common/config/schema.h - every key of config.yml, in one table
//
// The parser, the man page's key list and etc/config.yml.sample follow it; tests compare them.
// A key that is not here does not exist.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "common/config/config.h"

namespace rims::config {

enum class Kind : unsigned char {
  text,       // min..max bytes
  path,       // relative to base_dir
  choice,     // one of `choices`, in any case
  number,     // min..max
  bytes,      // a number with K, M or G
  seconds,    // a number with s, m, h or d
  boolean,    // true, false, yes, no, on, off
  port,       // a number or a service name
  mode,       // octal permission bits
  account,    // a user or group by name or number
  shift_age,  // a number of files, or daily, weekly, monthly
  text_list,
  place_list,  // local sockets and ports
  entry_map,   // entries of RFC 5464 and their values
  certificate_list,
  password,  // never printed
  user_list,
};

// Which member of Config a key sets; monostate: handled by hand (users).
using Member =
    std::variant<std::monostate, std::string Config::*, bool Config::*, uint64_t Config::*,
                 uint32_t Config::*, std::optional<uint64_t> Config::*,
                 std::optional<uint16_t> Config::*, std::vector<std::string> Config::*,
                 std::vector<std::pair<std::string, std::string>> Config::*>;

struct Setting {
  std::string_view key;  // full name: "limits.message_size"
  Kind kind;
  // The default as in the file; "" when there is none, or when `shown` describes it.
  std::string_view fallback;
  std::string_view shown;     // the default in words, where it is computed
  uint64_t min = 0, max = 0;  // of numbers, and of the length of texts
  std::span<const std::string_view> choices;
  Member member;
  std::string_view doc;  // one sentence
};

// In the order of the man page: the original's keys first, then section by section.
[[nodiscard]] std::span<const Setting> settings();
[[nodiscard]] const Setting* find_setting(std::string_view key);

// "a number from 1 to 64"
[[nodiscard]] std::string expectation(const Setting& setting);
// The default as the man page shows it.
[[nodiscard]] std::string shown_default(const Setting& setting);
// The known key that is nearest to `key` by edit distance, or "" when none is near.
[[nodiscard]] std::string nearest_key(std::string_view key);

}  // namespace rims::config
