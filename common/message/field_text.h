// common/message/field_text.h - the decoded text of a header field, in which SEARCH looks
//
// Inside this library only.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "common/message/header.h"
#include "common/message/text.h"

namespace rims::message {

// Of an address field with quotes or comments: its addresses without them, since
// "J. \"X\" Doe" <a@b> is searched for as J. "X" Doe. nullopt: the field has no such text.
[[nodiscard]] std::optional<std::string> address_text(const Field& field);

// Is the needle in the decoded value, or in its addresses? `prefix` is searched together with the
// value.
[[nodiscard]] bool field_contains(const Field& field, std::string_view prefix,
                                  const Needle& needle);

}  // namespace rims::message
