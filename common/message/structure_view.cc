// common/message/structure_view.cc - reads a blob that came back from disk: checks, then answers

#include <array>
#include <vector>

#include "common/base/ascii.h"
#include "common/message/blob.h"
#include "common/message/header.h"
#include "common/message/structure.h"

namespace rims::message {
namespace {

// No section is deeper than this: make_structure() goes no deeper by default, and each number in a
// path costs time.
constexpr size_t kMaxPath = 1000;

bool within(uint32_t offset, uint32_t length, uint32_t size) {
  return offset <= size && length <= size - offset;
}

// `next` is the index that the first child of the row must have: children follow each other in
// the order of their parents, so there are no cycles and no part has two parents.
bool is_sound(const blob::Row& row, const blob::Head& head, uint32_t next) {
  if (!within(row.header_offset, row.header_length, head.message_size)) return false;
  if (!within(row.body_offset, row.body_length, head.message_size)) return false;
  if (row.kind > static_cast<uint8_t>(Kind::last)) return false;
  if (row.encoding > static_cast<uint8_t>(Encoding::last)) return false;
  if (row.reserved != 0 || row.lines > row.body_length) return false;
  switch (static_cast<Kind>(row.kind)) {
    case Kind::multipart:
      break;
    case Kind::message:
      if (row.child_count != 1) return false;
      break;
    case Kind::basic:
    case Kind::text:
      if (row.child_count != 0) return false;
      break;
  }
  if (row.child_count == 0) return row.first_child == 0;
  return row.first_child == next && row.child_count <= head.part_count - next;
}

std::unexpected<Error> broken(std::string_view why) {
  return fail(Fault::storage, "temporary failure", "structure blob: " + std::string(why));
}

}  // namespace

Result<StructureView> StructureView::open(std::string_view blob) {
  if (blob.size() < sizeof(blob::Head)) return broken("too short");
  const auto head = blob::read<blob::Head>(blob, 0);
  if (head.magic[0] != blob::kMagic[0] || head.magic[1] != blob::kMagic[1])
    return broken("bad magic");
  if (head.version != blob::kVersion && head.version != blob::kFirstVersion)
    return broken("unknown version");
  if ((head.flags & ~blob::kKnownFlags) != 0) return broken("unknown flags");
  if (head.version == blob::kFirstVersion && head.fields_size != 0) return broken("unknown fields");

  const std::string_view rest = blob.substr(sizeof(blob::Head));
  const uint64_t table = uint64_t{head.part_count} * sizeof(blob::Row);
  const uint64_t texts = uint64_t{head.envelope_size} + head.body_size + head.bodystructure_size;
  if (head.part_count == 0 || table + texts + head.fields_size != rest.size())
    return broken("sizes do not add up");

  StructureView view;
  view.message_size_ = head.message_size;
  view.part_count_ = head.part_count;
  view.flags_ = head.flags;
  view.sent_day_ = head.sent_day;
  view.sent_time_ = head.sent_time;
  view.table_ = rest.substr(0, table);
  view.envelope_ = rest.substr(table, head.envelope_size);
  view.body_ = rest.substr(table + head.envelope_size, head.body_size);
  view.bodystructure_ =
      rest.substr(table + head.envelope_size + head.body_size, head.bodystructure_size);
  view.fields_ = rest.substr(table + texts);

  uint32_t next = 1;
  for (uint32_t i = 0; i < head.part_count; i++) {
    const auto row = blob::read<blob::Row>(view.table_, i * sizeof(blob::Row));
    if (i >= next || !is_sound(row, head, next)) return broken("bad part");
    next += row.child_count;
  }
  if (next != head.part_count) return broken("parts without a parent");
  return view;
}

std::optional<int32_t> StructureView::sent_day() const {
  if ((flags_ & blob::kHasDate) == 0) return std::nullopt;
  return sent_day_;
}

std::optional<int64_t> StructureView::sent_time() const {
  if ((flags_ & blob::kHasDate) == 0) return std::nullopt;
  return sent_time_;
}

Part StructureView::part(uint32_t index) const {
  if (index >= part_count_) return {};
  const auto row = blob::read<blob::Row>(table_, index * sizeof(blob::Row));
  return {.kind = static_cast<Kind>(row.kind),
          .encoding = static_cast<Encoding>(row.encoding),
          .header = {row.header_offset, row.header_length},
          .body = {row.body_offset, row.body_length},
          .lines = row.lines,
          .first_child = row.first_child,
          .child_count = row.child_count};
}

std::optional<uint32_t> StructureView::find(std::span<const uint32_t> path) const {
  uint32_t at = 0;
  Part here = part(0);
  bool in_message = true;  // `here` is a message's whole content, of which numbers count the parts
  for (const uint32_t number : path) {
    if (number == 0) return std::nullopt;
    if (!in_message && here.kind == Kind::message) {
      // The numbers of an embedded message's parts follow its own (RFC 3501 §6.4.5).
      at = here.first_child;
      here = part(at);
      in_message = true;
    }
    if (here.kind == Kind::multipart) {
      if (number > here.child_count) return std::nullopt;
      at = here.first_child + number - 1;
      here = part(at);
    } else if (!in_message || number != 1) {
      return std::nullopt;
    }
    // Part 1 of a message without multipart is its body: the same part, seen as a part.
    in_message = false;
  }
  return at;
}

std::optional<Range> StructureView::locate(std::span<const uint32_t> path, Section section) const {
  if (path.empty()) {
    switch (section) {
      case Section::all:
        return Range{0, message_size_};
      case Section::text:
        return part(0).body;
      case Section::header:
      case Section::mime:
        return part(0).header;
    }
  }
  const auto index = find(path);
  if (!index) return locate_stand_in(path, section);
  const Part found = part(*index);
  switch (section) {
    case Section::all:
      return found.body;
    case Section::mime:
      return found.header;
    case Section::header:
    case Section::text:
      break;
  }
  // HEADER and TEXT are those of an embedded message.
  if (found.kind != Kind::message) return std::nullopt;
  const Part inner = part(found.first_child);
  return section == Section::header ? inner.header : inner.body;
}

std::optional<Range> StructureView::locate_stand_in(std::span<const uint32_t> path,
                                                    Section section) const {
  const bool is_leaf = section == Section::all || section == Section::mime;
  if (!is_leaf || path.back() != 1) return std::nullopt;
  const auto above = find(path.first(path.size() - 1));
  if (!above) return std::nullopt;
  Part multipart = part(*above);
  if (multipart.kind == Kind::message) multipart = part(multipart.first_child);
  if (multipart.kind != Kind::multipart || multipart.child_count > 0) return std::nullopt;
  return Range{multipart.body.offset, 0};
}

std::optional<Range> StructureView::locate(std::string_view spec) const {
  std::vector<uint32_t> path;
  while (!spec.empty() && spec.front() >= '0' && spec.front() <= '9') {
    uint64_t number = 0;
    while (!spec.empty() && spec.front() >= '0' && spec.front() <= '9') {
      number = number * 10 + static_cast<uint64_t>(spec.front() - '0');
      if (number > 0xffffffff) return std::nullopt;
      spec.remove_prefix(1);
    }
    path.push_back(static_cast<uint32_t>(number));
    if (path.size() > kMaxPath) return std::nullopt;
    if (spec.empty()) return locate(path, Section::all);
    if (spec.front() != '.') return std::nullopt;
    spec.remove_prefix(1);
    if (spec.empty()) return std::nullopt;
  }
  if (spec.empty()) return locate(path, Section::all);
  if (ascii::equal(spec, "HEADER")) return locate(path, Section::header);
  if (ascii::equal(spec, "TEXT")) return locate(path, Section::text);
  if (ascii::equal(spec, "MIME") && !path.empty()) return locate(path, Section::mime);
  return std::nullopt;
}

}  // namespace rims::message
