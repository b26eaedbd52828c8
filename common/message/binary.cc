// common/message/binary.cc - finds the binary parts, and writes the message anew around them

#include "common/message/binary.h"

#include <algorithm>
#include <vector>

#include "common/base/ascii.h"
#include "common/base/encoding.h"
#include "common/message/header.h"
#include "common/message/mime_field.h"

namespace rims::message {
namespace {

constexpr size_t kLineBytes = 57;  // 76 characters, the most that RFC 2045 §6.8 allows
constexpr size_t kLineText = 76;
constexpr size_t kLinesAtOnce = 1024;

struct Edit {
  size_t offset, length;
  std::string text;  // in place of those bytes
};

std::string_view line_end_of(std::string_view line) {
  return line.ends_with("\r\n") ? "\r\n" : "\n";
}

void append_base64(std::string& out, std::string_view bytes, std::string_view line_end) {
  for (bool first = true; !bytes.empty();) {
    const std::string text = to_base64(bytes.substr(0, kLineBytes * kLinesAtOnce));
    bytes.remove_prefix(std::min(bytes.size(), kLineBytes * kLinesAtOnce));
    for (size_t at = 0; at < text.size(); at += kLineText) {
      if (!first) out += line_end;
      first = false;
      out.append(text, at, kLineText);
    }
  }
}

// The field that says "binary", if the first of its name does; and whether anything says that the
// message has MIME fields, without which this one would not count.
struct Said {
  std::string_view binary;
  bool mime = false;
};

Said said_by(std::string_view header) {
  Said said;
  bool seen = false;
  FieldReader reader(header);
  for (Field field; reader.next(field);) {
    if (ascii::equal(field.name, "Content-Type") || ascii::equal(field.name, "MIME-Version"))
      said.mime = true;
    if (seen || !ascii::equal(field.name, "Content-Transfer-Encoding")) continue;
    seen = true;
    if (ascii::equal(transfer_encoding(unfold(field.value)), "binary")) said.binary = field.raw;
  }
  return said;
}

}  // namespace

std::optional<std::string> encode_binary_parts(std::string_view message, const Limits& limits) {
  const std::string structure = make_structure(message, limits);
  const auto view = StructureView::open(structure);
  if (!view) return std::nullopt;
  std::vector<Edit> edits;
  for (uint32_t i = 0; i < view->part_count(); i++) {
    const Part part = view->part(i);
    const std::string_view body = part.body.of(message);
    if (part.kind == Kind::multipart || part.kind == Kind::message || !body.contains('\0'))
      continue;
    const Said said = said_by(part.header.of(message));
    if (said.binary.empty()) continue;
    const std::string_view line_end = line_end_of(said.binary);
    Edit field{.offset = static_cast<size_t>(said.binary.data() - message.data()),
               .length = said.binary.size(),
               .text = {}};
    if (!said.mime) field.text = "MIME-Version: 1.0" + std::string(line_end);
    field.text += "Content-Transfer-Encoding: base64" + std::string(line_end);
    edits.push_back(std::move(field));
    Edit bytes{.offset = part.body.offset, .length = part.body.length, .text = {}};
    append_base64(bytes.text, body, line_end);
    // In a multipart, the line end in front of the boundary follows.
    if (bytes.offset + bytes.length == message.size()) bytes.text += line_end;
    edits.push_back(std::move(bytes));
  }
  if (edits.empty()) return std::nullopt;
  std::ranges::sort(edits, {}, &Edit::offset);
  std::string out;
  size_t at = 0;
  for (const Edit& edit : edits) {
    out += message.substr(at, edit.offset - at);
    out += edit.text;
    at = edit.offset + edit.length;
  }
  return out += message.substr(at);
}

}  // namespace rims::message
