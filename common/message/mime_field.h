// common/message/mime_field.h - values of Content-Type, Content-Disposition and their like
//
//   RFC 2045 §5.1 (grammar), RFC 2183 (disposition), RFC 2231 §3-4 (continuations, charsets).
//   Lenient where senders are careless: a missing ";", unquoted values with special characters,
//   encoded words as values.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace rims::message {

// Continuations are joined: "name*0=a; name*1=b" is {name, ab}. Where a piece is charset-encoded
// the joined parameter keeps its "*" and stays encoded: {name*, utf-8''a%20b}.
struct Param {
  std::string name, value;
};

struct MimeField {
  std::string type, subtype;  // as written; empty when missing
  std::vector<Param> params;

  // The value of the parameter of exactly that name (any case), or nullptr.
  [[nodiscard]] const std::string* find(std::string_view name) const;
};

// `max_params` counts pieces, before continuations are joined; what follows is ignored.
[[nodiscard]] MimeField parse_content_type(std::string_view value, size_t max_params = 200);
[[nodiscard]] MimeField parse_disposition(std::string_view value, size_t max_params = 200);

// Content-Transfer-Encoding: the token. Empty when there is none, and when what is there is
// neither one token nor begins with an encoding of RFC 2045 §6.1.
[[nodiscard]] std::string transfer_encoding(std::string_view value);
// Content-Language: tokens between commas (RFC 3282).
[[nodiscard]] std::vector<std::string> token_list(std::string_view value, size_t max = 100);

}  // namespace rims::message
