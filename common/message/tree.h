// common/message/tree.h - the parts of a message, found in one pass over its bytes (RFC 2046 §5.1)
//
// Inside this library only: what others may know of a message is in structure.h.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "common/message/structure.h"

namespace rims::message {

inline constexpr uint32_t kNone = 0xffffffff;

// One part. The views lead into the message and are empty when there is no such field.
struct Node {
  Kind kind = Kind::text;
  Encoding encoding = Encoding::none;
  bool opaque = false;  // not parsed further because of a limit
  bool digest = false;  // multipart/digest: its parts are messages unless they say otherwise
  uint32_t parent = kNone, first_child = kNone, last_child = kNone, next_sibling = kNone;
  uint32_t child_count = 0;
  uint32_t depth = 0;
  Range header, body;
  uint32_t lines = 0;
  uint32_t envelope = kNone;  // index into Tree::envelopes
  std::string_view content_type, transfer_encoding, id, description, md5, disposition, language,
      location;
};

struct Tree {
  std::vector<Node> nodes;             // a parent is before its children, siblings in order
  std::vector<std::string> envelopes;  // of the root (0) and of embedded messages
  std::string_view date;               // the root's Date: value
};

[[nodiscard]] Tree parse_tree(std::string_view message, const Limits& limits);

}  // namespace rims::message
