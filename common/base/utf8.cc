// common/base/utf8.cc - see utf8.h

#include "common/base/utf8.h"

#include <algorithm>

#include <unicode/utf8.h>

namespace rims::utf8 {

First first_beyond_ascii(std::string_view text) {
  const auto length = static_cast<int32_t>(std::min<size_t>(text.size(), U8_MAX_LENGTH));
  const int32_t wanted = U8_COUNT_TRAIL_BYTES(static_cast<unsigned char>(text.front())) + 1;
  int32_t used = 0;
  UChar32 point = 0;
  U8_NEXT(text.data(), used, length, point);  // NOLINT(bugprone-inc-dec-in-conditions): ICU's
  if (point < 0) return {.cut = used == length && length < wanted};
  return {.point = static_cast<uint32_t>(point), .bytes = static_cast<size_t>(used)};
}

bool is_valid(std::string_view text) {
  while (!text.empty()) {
    const size_t bytes = first(text).bytes;
    if (bytes == 0) return false;
    text.remove_prefix(bytes);
  }
  return true;
}

void append(std::string& out, uint32_t point) {
  char bytes[U8_MAX_LENGTH];
  size_t length = 0;
  bool failed = false;
  U8_APPEND(bytes, length, sizeof bytes, point, failed);
  if (failed)
    out += "\xef\xbf\xbd";
  else
    out.append(bytes, length);
}

size_t start_of(std::string_view text, size_t at) {
  while (at > 0 && U8_IS_TRAIL(text[at])) at--;
  return at;
}

bool is_invisible(uint32_t point) {
  // Unicode's categories Cf, Zl and Zp. A table of our own, because programs that only write lines
  // should not have to load ICU's data; a test compares the two.
  struct Range {
    uint32_t first, last;
  };
  static constexpr Range kRanges[] = {{0xad, 0xad},       {0x600, 0x605},     {0x61c, 0x61c},
                                      {0x6dd, 0x6dd},     {0x70f, 0x70f},     {0x890, 0x891},
                                      {0x8e2, 0x8e2},     {0x180e, 0x180e},   {0x200b, 0x200f},
                                      {0x2028, 0x202e},   {0x2060, 0x2064},   {0x2066, 0x206f},
                                      {0xfeff, 0xfeff},   {0xfff9, 0xfffb},   {0x110bd, 0x110bd},
                                      {0x110cd, 0x110cd}, {0x13430, 0x1343f}, {0x1bca0, 0x1bca3},
                                      {0x1d173, 0x1d17a}, {0xe0001, 0xe0001}, {0xe0020, 0xe007f}};
  return is_control(point) || std::ranges::any_of(kRanges, [point](const Range& range) {
           return point >= range.first && point <= range.last;
         });
}

}  // namespace rims::utf8
