// tests/message/check.h - what must be true of the structure of any bytes; for tests and fuzzers
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "common/message/imap_text.h"
#include "common/message/structure.h"

namespace rims::message {

// Empty when all holds, else what does not.
//   1. the blob opens, and says the message's size
//   2. the three texts are balanced lists without a NUL, valid as IMAP
//   3. header and body of the message are the message
//   4. every part lies within its parent's body; siblings do not overlap, and stand in order
//   5. line counts are right
//   6. every part can be located by its number, and no number beyond
inline std::string structure_fault(std::string_view message, std::string_view blob) {
  const auto view = StructureView::open(blob);
  if (!view) return "does not open: " + view.error().detail();
  if (view->message_size() != message.size()) return "wrong size";
  if (!is_balanced_list(view->envelope())) return "bad envelope " + std::string(view->envelope());
  if (!is_balanced_list(view->body())) return "bad body " + std::string(view->body());
  if (!is_balanced_list(view->bodystructure()))
    return "bad bodystructure " + std::string(view->bodystructure());

  const Part root = view->part(0);
  if (root.header.offset != 0 || root.body.offset != root.header.length ||
      root.header.length + root.body.length != message.size())
    return "header and body are not the message";

  // A message's content is its part 1, unless it is a multipart: then its parts are numbered.
  std::vector<std::vector<uint32_t>> paths(view->part_count());
  if (root.kind != Kind::multipart) paths[0] = {1};
  for (uint32_t i = 0; i < view->part_count(); i++) {
    const Part part = view->part(i);
    uint32_t lines = 0;
    // Bodies nest: counting deep messages level by level would be quadratic.
    if (part.body.length < 4096 || paths[i].size() < 4) {
      for (const char c : part.body.of(message)) lines += c == '\n' ? 1 : 0;
      if (lines != part.lines) return "wrong lines of part " + std::to_string(i);
    }
    uint32_t from = part.body.offset;
    const uint32_t end = part.body.offset + part.body.length;
    for (uint32_t c = 0; c < part.child_count; c++) {
      const uint32_t index = part.first_child + c;
      const Part child = view->part(index);
      if (child.header.offset < from || child.body.offset < child.header.offset)
        return "part " + std::to_string(index) + " out of order";
      if (child.body.offset < child.header.offset + child.header.length)
        return "header and body of part " + std::to_string(index) + " overlap";
      from = child.body.offset + child.body.length;
      if (from > end) return "part " + std::to_string(index) + " out of its parent";
      paths[index] = paths[i];
      if (part.kind == Kind::multipart) paths[index].push_back(c + 1);
      if (part.kind == Kind::message && child.kind != Kind::multipart) paths[index].push_back(1);
    }
    if (paths[i].size() > 50) continue;
    const auto located = view->locate(paths[i], Section::all);
    if (!located) return "no way to part " + std::to_string(i);
    // The path of a multipart that is a message's content is the message's.
    if (part.kind != Kind::multipart && *located != part.body)
      return "wrong way to part " + std::to_string(i);
    if (part.kind == Kind::message) continue;
    std::vector<uint32_t> beyond = paths[i];
    beyond.push_back(part.kind == Kind::multipart ? part.child_count + 1 : 1);
    if (view->locate(beyond, Section::all)) return "a part too many in " + std::to_string(i);
  }
  return {};
}

}  // namespace rims::message
