// common/message/structure.cc - puts the parsed message into a blob

#include "common/message/structure.h"

#include <algorithm>
#include <cstring>
#include <utility>
#include <vector>

#include "common/message/blob.h"
#include "common/message/bodystructure.h"
#include "common/message/date.h"
#include "common/message/kept_fields.h"
#include "common/message/preview.h"
#include "common/message/tree.h"

namespace rims::message {
namespace {

constexpr size_t kMaxMessage = 0xffffffff;  // offsets have 32 bits

// Breadth first, so that the children of each part stand side by side.
void append_rows(std::string& out, const std::vector<Node>& nodes) {
  std::vector<uint32_t> order = {0};
  order.reserve(nodes.size());
  for (size_t i = 0; i < order.size(); i++) {
    const Node& node = nodes[order[i]];
    blob::append(out, blob::Row{.header_offset = node.header.offset,
                                .header_length = node.header.length,
                                .body_offset = node.body.offset,
                                .body_length = node.body.length,
                                .lines = node.lines,
                                .first_child =
                                    node.child_count == 0 ? 0 : static_cast<uint32_t>(order.size()),
                                .child_count = node.child_count,
                                .kind = static_cast<uint8_t>(node.kind),
                                .encoding = static_cast<uint8_t>(node.encoding),
                                .reserved = 0});
    for (uint32_t child = node.first_child; child != kNone; child = nodes[child].next_sibling)
      order.push_back(child);
  }
}

// The blob with other kept fields in place of its last `size` bytes.
std::string with_fields(std::string blob, std::string_view fields, size_t size) {
  auto head = blob::read<blob::Head>(blob, 0);
  head.fields_size = static_cast<uint32_t>(fields.size());
  std::memcpy(blob.data(), &head, sizeof head);
  blob.resize(blob.size() - size);
  return blob += fields;
}

}  // namespace

std::string make_structure(std::string_view message, const Limits& limits) {
  message = message.substr(0, kMaxMessage);
  const Tree tree = parse_tree(message, limits);
  const BodyTexts bodies = write_bodies(tree, limits);
  const std::string& envelope = tree.envelopes.front();
  const auto date = parse_date(tree.date);
  const std::string fields =
      keep_fields(tree.nodes.front().header.of(message), static_cast<uint32_t>(message.size()),
                  date, limits.header_bytes);

  std::string out;
  out.reserve(sizeof(blob::Head) + tree.nodes.size() * sizeof(blob::Row) + envelope.size() +
              bodies.body.size() + bodies.bodystructure.size() + fields.size());
  blob::append(out,
               blob::Head{.magic = {blob::kMagic[0], blob::kMagic[1]},
                          .version = blob::kVersion,
                          .flags = date ? blob::kHasDate : uint8_t{0},
                          .message_size = static_cast<uint32_t>(message.size()),
                          .part_count = static_cast<uint32_t>(tree.nodes.size()),
                          .envelope_size = static_cast<uint32_t>(envelope.size()),
                          .body_size = static_cast<uint32_t>(bodies.body.size()),
                          .bodystructure_size = static_cast<uint32_t>(bodies.bodystructure.size()),
                          .sent_time = date ? date->utc_seconds() : 0,
                          .sent_day = date ? date->day_number() : 0,
                          .fields_size = static_cast<uint32_t>(fields.size())});
  append_rows(out, tree.nodes);
  out += envelope;
  out += bodies.body;
  out += bodies.bodystructure;
  out += fields;
  // The preview reads the parts as everybody does, by the view; it is the end of the blob.
  const auto view = StructureView::open(out);
  const std::string preview = view ? make_preview(message, *view) : std::string();
  return with_fields(std::move(out), with_preview(fields, preview), fields.size());
}

std::string without_fields(std::string_view blob, const StructureView& view) {
  return with_fields(std::string(blob), {}, view.fields().size());
}

}  // namespace rims::message
