// common/message/text.h - foreign bytes as text: encoded words, transfer encodings, charsets,
// and the substring search of SEARCH
//
//   Charsets are ICU's, by their names on the net; names that mail uses wrongly mean what the
//   senders mean (gb2312 is GB18030, iso-8859-1 is windows-1252, ...). Text in an unknown
//   charset, and 8-bit "us-ascii", is read as UTF-8 where it is valid, else as windows-1252.
//   Two texts match when they are equal after Unicode case folding and compatibility
//   decomposition, in the spirit of RFC 5051 (i;unicode-casemap): "STRASSE" finds "Straße",
//   "cafe" finds "Café". Converters are cached per thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "common/base/result.h"
#include "common/message/structure.h"

namespace rims::message {

// Can a SEARCH come in this charset? Any case; "UTF-8" and "US-ASCII" always.
[[nodiscard]] bool charset_supported(std::string_view name);

// At most `max_out` bytes of valid UTF-8. Never fails: what can not be read becomes U+FFFD.
[[nodiscard]] std::string to_utf8(std::string_view bytes, std::string_view charset,
                                  size_t max_out = 16 << 20);

// A header value for humans and for search: encoded words decoded wherever they stand (RFC 2047,
// also where it forbids them), raw 8-bit read as UTF-8 or windows-1252; unfolded.
[[nodiscard]] std::string decode_header(std::string_view value, size_t max_out = 1 << 20);

// The value of a parameter ("charset", "name", "filename") of a Content-Type or
// Content-Disposition value, decoded by RFC 2231 (or RFC 2047, as many senders do). nullopt: none.
[[nodiscard]] std::optional<std::string> parameter(std::string_view value, std::string_view name);

// A whole text part's body as UTF-8: transfer encoding and charset removed. `header` is the
// part's header.
[[nodiscard]] std::string decode_text(std::string_view header, std::string_view body,
                                      size_t max_out = 16 << 20);

// As texts are compared. `utf8` is below 2 GiB.
[[nodiscard]] std::string fold(std::string_view utf8);

// What SEARCH looks for, folded once.
class Needle {
 public:
  // Fault::refused with code BADCHARSET when the charset is not supported. `charset` empty is
  // US-ASCII; then 8-bit bytes are read as UTF-8 (many clients send them so).
  [[nodiscard]] static Result<Needle> make(std::string_view bytes, std::string_view charset = {});
  [[nodiscard]] bool empty() const { return folded_.empty(); }  // the empty string is everywhere
  [[nodiscard]] const std::string& folded() const { return folded_; }

 private:
  std::string folded_;
};

// Is the needle in this text? Invalid UTF-8 in it is read as U+FFFD.
[[nodiscard]] bool contains(std::string_view utf8, const Needle& needle);

// Searches text that comes in pieces, in memory that does not grow with it. Feed the encoded body
// of one part in pieces of any size, then finish(); stop early when feed() says true.
class TextSearcher {
 public:
  // `charset` as the part's header has it, or empty.
  TextSearcher(const Needle& needle, Encoding encoding, std::string_view charset);
  ~TextSearcher();
  TextSearcher(const TextSearcher&) = delete;
  TextSearcher& operator=(const TextSearcher&) = delete;
  bool feed(std::string_view piece);
  bool finish();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

// SEARCH HEADER name needle, and FROM, TO, CC, BCC, SUBJECT: in any field of that name, decoded.
// An empty needle asks whether the field is there (RFC 3501 §6.4.4).
[[nodiscard]] bool header_contains(std::string_view header, std::string_view name,
                                   const Needle& needle);

// SEARCH BODY: what a person reads: text parts, reports (message/*), XML and JSON, decoded; names
// of files, descriptions of parts, and the headers of embedded messages. SEARCH TEXT: that, and all
// fields of all headers. Other parts (images, archives) are not looked into. `message` is the whole
// message, of which `view` is the structure.
[[nodiscard]] bool body_contains(std::string_view message, const StructureView& view,
                                 const Needle& needle);
[[nodiscard]] bool text_contains(std::string_view message, const StructureView& view,
                                 const Needle& needle);

}  // namespace rims::message
