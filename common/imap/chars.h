// common/imap/chars.h - the grammar's character classes, derived as RFC 3501 §9 derives them
#pragma once

#include <array>
#include <cstdint>

namespace rims::imap {

enum CharClass : uint8_t {
  kAtom = 1,     // ATOM-CHAR
  kAstring = 2,  // ASTRING-CHAR = ATOM-CHAR / resp-specials
  kTag = 4,      // any ASTRING-CHAR except "+"
  kList = 8,     // list-char = ATOM-CHAR / list-wildcards / resp-specials
  kBase64 = 16,  // base64-char and "="
  kDigit = 32,
  kQuoted = 64,  // stands in a quoted string by itself; also 8-bit (see parser.h)
};

inline constexpr std::array<uint8_t, 256> kCharClasses = [] {
  std::array<uint8_t, 256> table{};
  for (unsigned c = 1; c < 256; c++) {
    const char ch = static_cast<char>(c);
    const bool ctl = c < 0x20 || c == 0x7f;
    const bool list_wildcard = ch == '%' || ch == '*';
    const bool quoted_special = ch == '"' || ch == '\\';
    const bool resp_special = ch == ']';
    const bool atom_special = ch == '(' || ch == ')' || ch == '{' || ch == ' ' || ctl ||
                              list_wildcard || quoted_special || resp_special;
    const bool ascii = c < 0x80;
    uint8_t bits = 0;
    if (ascii && !atom_special) bits |= kAtom | kAstring | kTag | kList;
    if (resp_special) bits |= kAstring | kTag | kList;
    if (list_wildcard) bits |= kList;
    if (ch == '+') bits = static_cast<uint8_t>(bits & ~kTag);
    if ((ch >= 'A' && ch <= 'Z') || (ch >= 'a' && ch <= 'z') || (ch >= '0' && ch <= '9') ||
        ch == '+' || ch == '/' || ch == '=')
      bits |= kBase64;
    if (ch >= '0' && ch <= '9') bits |= kDigit;
    if (!quoted_special && ch != '\r' && ch != '\n') bits |= kQuoted;
    table[c] = bits;
  }
  return table;
}();

constexpr bool is(char c, uint8_t classes) {
  return (kCharClasses[static_cast<unsigned char>(c)] & classes) != 0;
}

}  // namespace rims::imap
