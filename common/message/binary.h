// common/message/binary.h - binary parts of a message in base64
//
//   RFC  3516 §4.4, §6; 2045 §6.2 (binary), §6.8 (base64)
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "common/message/structure.h"

namespace rims::message {

// The message with base64 in place of each part whose Content-Transfer-Encoding is "binary" and
// that holds NUL; the parts' fields say so. nullopt: there is no such part. All other bytes are as
// they were. Linear in the message, and holds it a second time.
[[nodiscard]] std::optional<std::string> encode_binary_parts(std::string_view message,
                                                             const Limits& limits = {});

}  // namespace rims::message
