// tests/imap/support.h - command lines as a client would send them, to the parser's form
#pragma once

#include <charconv>
#include <string>
#include <string_view>
#include <vector>

#include "common/imap/parser.h"

namespace rims::imap {

using namespace std::string_literals;
using namespace std::string_view_literals;

// Takes literals out of `bytes` (no final CRLF) as the reader would, and parses.
inline Result<Command> parse_line(std::string_view bytes, const ParserLimits& limits = {}) {
  std::string text;
  std::vector<std::string> literals;
  for (;;) {
    const size_t end = bytes.find("}\r\n");
    const size_t open = bytes.substr(0, end).rfind('{');
    size_t size = 0;
    if (end == bytes.npos || open == bytes.npos ||
        std::from_chars(bytes.data() + open + 1, bytes.data() + end, size).ec != std::errc())
      break;
    text += bytes.substr(0, end + 3);
    bytes.remove_prefix(end + 3);
    literals.emplace_back(bytes.substr(0, size));
    bytes.remove_prefix(std::min(size, bytes.size()));
  }
  text += bytes;
  return parse_command(text, literals, limits);
}

}  // namespace rims::imap
