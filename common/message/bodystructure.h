// common/message/bodystructure.h - BODY and BODYSTRUCTURE of a parsed message (RFC 3501 §7.4.2)
//
// Inside this library only.
#pragma once

#include <string>

#include "common/message/structure.h"
#include "common/message/tree.h"

namespace rims::message {

struct BodyTexts {
  std::string body, bodystructure;
};

[[nodiscard]] BodyTexts write_bodies(const Tree& tree, const Limits& limits);

}  // namespace rims::message
