// common/message/charset.h - bytes of a named charset to UTF-8, piece by piece, by ICU
//
// Inside this library only. Not for use by several threads at once on one object; the cache of
// open converters is per thread.
#pragma once

#include <string>
#include <string_view>

struct UConverter;

namespace rims::message {

// The name to give to ICU for the charset that a mail names, in lower case. Empty for UTF-8,
// US-ASCII, an invalid name, and no name.
[[nodiscard]] std::string canonical_charset(std::string_view name);

// Appends UTF-8 for what is UTF-8; other bytes are read as windows-1252. Returns how many bytes
// were used: all, except a sequence that may continue after the end, unless `last`.
size_t append_lenient_utf8(std::string& out, std::string_view bytes, bool last);

class CharsetDecoder {
 public:
  // Any name; what ICU does not know is read as append_lenient_utf8() does.
  explicit CharsetDecoder(std::string_view charset);
  ~CharsetDecoder();
  CharsetDecoder(const CharsetDecoder&) = delete;
  CharsetDecoder& operator=(const CharsetDecoder&) = delete;

  // Appends valid UTF-8. With `last` what is incomplete becomes U+FFFD, and the decoder is as new.
  void decode(std::string_view bytes, std::string& out, bool last);
  [[nodiscard]] bool known() const { return converter_ != nullptr || name_.empty(); }

 private:
  std::string name_;
  UConverter* converter_ = nullptr;  // owned; goes back to the cache
  std::string rest_;                 // the beginning of a UTF-8 sequence
  char16_t lead_ = 0;                // a surrogate that waits for its other half
};

}  // namespace rims::message
