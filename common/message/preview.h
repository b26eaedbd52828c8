// common/message/preview.h - the first words of a message, for lists of messages
//
//   RFC    8970 §3.3 (plain text in UTF-8, 200 characters), §8 (bounded work)
//   made   by make_structure(), which keeps it with the header fields; of a message that was stored
//          before that, at FETCH
//   trust  the message is an attacker's. Time is linear in kPreviewReach, also for broken HTML
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "common/message/structure.h"

namespace rims::message {

// RFC 8970 §3.3: should be 200, must not be more than 256. Code points.
inline constexpr size_t kMaxPreview = 200;
// Text is looked for in so many bytes of the message.
inline constexpr size_t kPreviewReach = 1 << 20;

// The text of the first part that has any, of text/plain and text/html that is no attachment:
// without markup, quoted lines, signatures, and what nobody sees; white space is one space. Where
// all is quoted, the quoted text. Valid UTF-8; empty where there is no text. `beginning` is the
// message, or at least its first kPreviewReach bytes, and `view` its structure.
[[nodiscard]] std::string make_preview(std::string_view beginning, const StructureView& view);

}  // namespace rims::message
