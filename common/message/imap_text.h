// common/message/imap_text.h - writing IMAP strings: the one place that decides between NIL,
// quoted and literal
//
//   RFC 3501 §4.3, §9: quoted holds TEXT-CHAR (7-bit, no CR, LF, NUL); a literal holds any CHAR8,
//   so NUL exists in neither. NUL is written as "?".
#pragma once

#include <charconv>
#include <cstdint>
#include <string>
#include <string_view>

namespace rims::message {

// `"text"` where RFC 3501 allows quoted, else `{n}CRLF text`. Never NIL.
void append_string(std::string& out, std::string_view text);

inline void append_nil(std::string& out) { out.append("NIL", 3); }

inline void append_number(std::string& out, uint64_t number) {
  char digits[20];
  const auto end = std::to_chars(digits, digits + sizeof digits, number).ptr;
  out.append(digits, end);
}

// True when `text` begins with one complete parenthesised list, properly nested, of strings,
// literals, atoms and lists, and ends there. Linear, not recursive. For tests, and for readers
// that were handed stored text they do not trust.
[[nodiscard]] bool is_balanced_list(std::string_view text);

}  // namespace rims::message
