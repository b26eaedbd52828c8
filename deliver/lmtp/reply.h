// deliver/lmtp/reply.h - one reply of a mail server: code, enhanced code, text
//
//   RFC  5321 §4.2 (codes and lines), 2034 and 3463 (enhanced codes)
#pragma once

#include <cstdint>
#include <string>
#include <utility>

namespace rims::lmtp {

struct Reply {
  uint16_t code = 0;     // 200 to 599
  std::string enhanced;  // "5.1.1"; "" where RFC 2034 §4 wants none: greeting, LHLO, 3xx
  std::string text;      // printable, one line

  Reply() = default;
  Reply(uint16_t c, std::string e, std::string t)
      : code(c), enhanced(std::move(e)), text(std::move(t)) {}
  bool operator==(const Reply&) const = default;

  [[nodiscard]] bool good() const { return code < 400; }
  // With CRLF.
  [[nodiscard]] std::string line() const {
    return std::to_string(code) + " " + (enhanced.empty() ? "" : enhanced + " ") + text + "\r\n";
  }
};

}  // namespace rims::lmtp
