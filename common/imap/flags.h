// common/imap/flags.h - message flags as the protocol names them
//
//   RFC  3501 §2.3.2 (flags), §9 flag
//
// System flags are bits, keywords are atoms in the client's own spelling. Two keywords are the
// same when they differ in ASCII case only; whoever keeps a keyword table compares that way.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace rims::imap {

enum class SystemFlag : uint8_t {
  seen = 1 << 0,
  answered = 1 << 1,
  flagged = 1 << 2,
  deleted = 1 << 3,
  draft = 1 << 4,
  recent = 1 << 5,  // never set by a client
};

struct FlagList {
  uint8_t system = 0;  // SystemFlag bits
  std::vector<std::string> keywords;

  [[nodiscard]] bool has(SystemFlag flag) const {
    return (system & static_cast<uint8_t>(flag)) != 0;
  }
  void add(SystemFlag flag) { system |= static_cast<uint8_t>(flag); }
  [[nodiscard]] bool empty() const { return system == 0 && keywords.empty(); }
  bool operator==(const FlagList&) const = default;
};

}  // namespace rims::imap
