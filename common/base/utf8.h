// common/base/utf8.h - reading and writing UTF-8, by ICU
//
//   RFC  3629 §4: the shortest form only, no surrogates, nothing above U+10FFFF
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace rims::utf8 {

struct First {
  uint32_t point = 0;
  size_t bytes = 0;  // of its sequence; 0: no code point begins here
  bool cut = false;  // none, but it may become one if the text goes on
};

[[nodiscard]] First first_beyond_ascii(std::string_view text);
// The code point that `text`, which is not empty, begins with.
[[nodiscard]] inline First first(std::string_view text) {
  const auto byte = static_cast<unsigned char>(text.front());
  if (byte < 0x80) return {.point = byte, .bytes = 1};
  return first_beyond_ascii(text);
}

[[nodiscard]] bool is_valid(std::string_view text);

// U+FFFD for what is no code point.
void append(std::string& out, uint32_t point);

// Where the character begins to which the byte `at` belongs. `text` is valid.
[[nodiscard]] size_t start_of(std::string_view text, size_t at);

// Unicode's category Cc: U+0000 to U+001F, U+007F to U+009F.
[[nodiscard]] constexpr bool is_control(uint32_t point) {
  return point < 0x20 || (point >= 0x7f && point < 0xa0);
}

// What nobody sees in a line, but what changes how it is read: controls, line separators, and
// format characters, among them those that turn the direction of text.
[[nodiscard]] bool is_invisible(uint32_t point);

}  // namespace rims::utf8
