// common/message/tree.cc - one pass from header to header and boundary to boundary
//
//   Which line is a boundary (RFC 2046 §5.1.1): "--", then the boundary of any multipart that is
//   still open; what follows on the line does not matter, except that "--" right behind it ends
//   that multipart. Of several that fit the longest counts, of equals the innermost. The line end
//   in front belongs to the boundary, and so does an enclosing multipart's boundary that comes
//   before the inner one was closed.
//
//   Cost: each byte is looked at a fixed number of times, but a line that begins with "--" is
//   compared with all open boundaries: at most Limits::depth of kMaxBoundary bytes.

#include "common/message/tree.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "common/base/ascii.h"
#include "common/message/envelope.h"
#include "common/message/header.h"
#include "common/message/mime_field.h"

namespace rims::message {
namespace {

// RFC 2046 allows 70. Of a longer one only the beginning is compared.
constexpr size_t kMaxBoundary = 200;

struct Boundary {
  std::string text;
  uint32_t node;  // the multipart it divides
};

Encoding encoding_of(std::string_view value) {
  if (value.empty()) return Encoding::none;
  const std::string name = transfer_encoding(value);
  if (ascii::equal(name, "base64")) return Encoding::base64;
  if (ascii::equal(name, "quoted-printable")) return Encoding::quoted_printable;
  const bool none = name.empty() || ascii::equal(name, "7bit") || ascii::equal(name, "8bit") ||
                    ascii::equal(name, "binary");
  return none ? Encoding::none : Encoding::other;
}

class TreeParser {
 public:
  TreeParser(std::string_view message, const Limits& limits)
      : message_(message),
        limits_(limits),
        header_budget_(limits.all_header_bytes),
        addresses_(limits.addresses) {
    tree_.nodes.reserve(8);
  }

  Tree run() {
    uint32_t node = add_node(kNone);
    for (;;) {
      std::optional<Line> boundary = header(node);
      if (!boundary) {
        if (tree_.nodes[node].kind == Kind::message) {
          node = add_node(node);
          continue;
        }
        boundary = next_boundary();
      }
      // Behind the last boundary of a multipart comes its epilogue, up to an outer boundary.
      while (boundary && boundary->last) {
        pass(*boundary);
        boundary = next_boundary();
      }
      if (!boundary) break;
      pass(*boundary);
      node = add_node(boundary->owner);
    }
    close_until(kNone, message_.size());
    return std::move(tree_);
  }

 private:
  // A boundary line: [start, next) of the message.
  struct Line {
    size_t start, next;
    uint32_t owner;
    bool last;
  };

  uint32_t add_node(uint32_t parent) {
    const auto index = static_cast<uint32_t>(tree_.nodes.size());
    Node node;
    node.parent = parent;
    if (parent != kNone) {
      Node& above = tree_.nodes[parent];
      node.depth = above.depth + 1;
      if (above.last_child == kNone) {
        above.first_child = index;
      } else {
        tree_.nodes[above.last_child].next_sibling = index;
      }
      above.last_child = index;
      above.child_count++;
    }
    tree_.nodes.push_back(node);
    current_ = index;
    return index;
  }

  // Reads the header at at_ and begins the node's body behind it. Returns the boundary line that
  // cut the header short or stands right behind it, if one does.
  std::optional<Line> header(uint32_t index) {
    const uint32_t parent = tree_.nodes[index].parent;
    const bool below_multipart = parent != kNone && tree_.nodes[parent].kind == Kind::multipart;
    const size_t start = at_;
    const size_t budget = std::min<size_t>(limits_.header_bytes, header_budget_);
    EnvelopeBuilder envelope(addresses_);
    bool mime = below_multipart;
    std::optional<Line> boundary;

    // The first field of each name counts. Only the header of a message has an envelope.
    FieldReader reader(message_.substr(at_));
    for (;;) {
      at_ = start + reader.consumed();
      boundary = boundary_at(at_);
      if (boundary || at_ - start > budget) break;
      Field field;
      if (!reader.next(field)) {
        at_ = start + reader.consumed();
        break;
      }
      if (at_ - start + field.raw.size() > budget) continue;
      if (!below_multipart) envelope.add(field);
      mime = take_field(tree_.nodes[index], field) || mime;
    }
    if (!boundary && at_ - start > budget) boundary = skip_header();
    header_budget_ -= static_cast<uint32_t>(std::min<size_t>(at_ - start, budget));

    if (!mime) forget_mime(tree_.nodes[index]);
    classify(index);
    // A boundary right behind the empty line takes that line's end for itself: then there is no
    // empty line (RFC 2046 §5.1.1, body-part). It may be the multipart's own.
    if (!boundary) boundary = boundary_at(at_);

    Node& node = tree_.nodes[index];
    node.header = range(start, at_);
    node.body.offset = static_cast<uint32_t>(at_);
    node.lines = line_ends_up_to(node.body.offset);
    if (!below_multipart) {
      node.envelope = static_cast<uint32_t>(tree_.envelopes.size());
      tree_.envelopes.push_back(envelope.text());
      if (parent == kNone) tree_.date = envelope.date();
    }
    if (boundary && node.kind == Kind::message) empty_message_in(index);
    return boundary;
  }

  // Behind the part of a header that we look at: finds its end, or a boundary in it.
  std::optional<Line> skip_header() {
    for (;;) {
      if (at_ >= message_.size()) return std::nullopt;
      const std::string_view rest = message_.substr(at_);
      if (rest.front() == '\n' || rest.starts_with("\r\n")) {
        at_ += rest.front() == '\n' ? 1 : 2;
        return std::nullopt;
      }
      if (auto boundary = boundary_at(at_)) return boundary;
      const size_t lf = message_.find('\n', at_);
      at_ = lf == std::string_view::npos ? message_.size() : lf + 1;
    }
  }

  // True for MIME-Version and Content-Type: without one of them, the other Content fields are
  // ignored.
  static bool take_field(Node& node, const Field& field) {
    const std::string_view name = field.name;
    if (name.size() < 10) return false;
    if (ascii::equal(name, "mime-version")) return true;
    if (!ascii::equal(name.substr(0, 8), "content-")) return false;
    const std::string_view rest = name.substr(8);
    const auto keep = [&](std::string_view wanted, std::string_view& where) {
      if (!ascii::equal(rest, wanted)) return false;
      if (where.data() == nullptr) where = field.value;
      return true;
    };
    if (keep("type", node.content_type)) return true;
    static_cast<void>(keep("transfer-encoding", node.transfer_encoding) || keep("id", node.id) ||
                      keep("description", node.description) || keep("md5", node.md5) ||
                      keep("disposition", node.disposition) || keep("language", node.language) ||
                      keep("location", node.location));
    return false;
  }

  static void forget_mime(Node& node) {
    node.content_type = node.transfer_encoding = node.id = node.description = node.md5 =
        node.disposition = node.language = node.location = {};
  }

  // What the body is, from the fields. A multipart's boundary counts from here on.
  void classify(uint32_t index) {
    Node& node = tree_.nodes[index];
    node.encoding = encoding_of(node.transfer_encoding);
    const MimeField type = parse_content_type(node.content_type, limits_.params);
    if (type.type.empty()) {
      // RFC 2046 §5.1.5: below multipart/digest the default is message/rfc822.
      const bool in_digest = node.parent != kNone && tree_.nodes[node.parent].digest;
      node.kind = in_digest ? Kind::message : Kind::text;
    } else if (ascii::equal(type.type, "text")) {
      node.kind = Kind::text;
    } else if (ascii::equal(type.type, "message") && ascii::equal(type.subtype, "rfc822")) {
      node.kind = Kind::message;
    } else if (ascii::equal(type.type, "multipart") && !type.subtype.empty()) {
      node.kind = Kind::multipart;
      node.digest = ascii::equal(type.subtype, "digest");
    } else {
      node.kind = Kind::basic;
    }
    if (node.kind == Kind::multipart) {
      const std::string* boundary = type.find("boundary");
      std::string text = boundary == nullptr ? std::string() : boundary->substr(0, kMaxBoundary);
      while (text.ends_with(' ')) text.pop_back();  // RFC 2046 §5.1.1: never ends in a space
      if (text.empty()) {
        node.kind = Kind::text;  // RFC 2045 §5.2: not understood, so taken as text
      } else if (!may_go_deeper(node)) {
        node.kind = Kind::basic;
        node.opaque = true;
      } else {
        boundaries_.push_back({std::move(text), index});
      }
    } else if (node.kind == Kind::message && !may_go_deeper(node)) {
      node.kind = Kind::basic;
      node.opaque = true;
    }
  }

  [[nodiscard]] bool may_go_deeper(const Node& node) const {
    return node.depth + 1 < limits_.depth && tree_.nodes.size() < limits_.parts;
  }

  // An embedded message has a part of its own, also where its bytes end before it begins.
  void empty_message_in(uint32_t index) {
    const size_t at = tree_.nodes[index].body.offset;
    const uint32_t child = add_node(index);
    Node& node = tree_.nodes[child];
    node.header = node.body = range(at, at);
    node.lines = tree_.nodes[index].lines;
    node.envelope = static_cast<uint32_t>(tree_.envelopes.size());
    tree_.envelopes.push_back(EnvelopeBuilder(addresses_).text());
  }

  // The boundary that the line at `start` is, if it is one.
  [[nodiscard]] std::optional<Line> boundary_at(size_t start) const {
    if (boundaries_.empty() || !message_.substr(start).starts_with("--")) return std::nullopt;
    if (tree_.nodes.size() >= limits_.parts) return std::nullopt;
    const size_t lf = message_.find('\n', start);
    const size_t next = lf == std::string_view::npos ? message_.size() : lf + 1;
    const std::string_view line = message_.substr(start + 2, next - start - 2);
    const Boundary* best = nullptr;
    for (const Boundary& boundary : boundaries_) {
      const bool longer = best == nullptr || boundary.text.size() >= best->text.size();
      if (longer && line.starts_with(boundary.text)) best = &boundary;
    }
    if (best == nullptr) return std::nullopt;
    const bool last = line.substr(best->text.size()).starts_with("--");
    return Line{start, next, best->node, last};
  }

  // The next boundary line from at_ on, which is where a line begins.
  std::optional<Line> next_boundary() {
    if (boundaries_.empty()) return std::nullopt;
    for (size_t line = at_; line < message_.size();) {
      if (message_[line] == '-')
        if (auto found = boundary_at(line)) return found;
      const size_t lf = message_.find('\n', line);
      if (lf == std::string_view::npos) break;
      line = lf + 1;
    }
    return std::nullopt;
  }

  // Where the bytes from `start` on end when the line end in front of `line` is the boundary's.
  [[nodiscard]] size_t without_line_end(size_t start, size_t line) const {
    size_t end = line;
    if (end > start && message_[end - 1] == '\n') end--;
    if (end > start && end < line && message_[end - 1] == '\r') end--;
    return end;
  }

  // Everything inside the boundary's multipart ends before it, and boundaries of multiparts in
  // there have no meaning any more.
  void pass(const Line& boundary) {
    close_until(boundary.owner, boundary.start);
    while (boundaries_.back().node != boundary.owner) boundaries_.pop_back();
    if (boundary.last) boundaries_.pop_back();
    at_ = boundary.next;
  }

  // Closes what is open inside `owner` (kNone: all), in front of `line`. A part that has just begun
  // may have begun behind its end, which takes back the line end that its boundary or its header
  // had: it is empty.
  void close_until(uint32_t owner, size_t line) {
    const size_t end =
        owner == kNone ? line : without_line_end(tree_.nodes[owner].body.offset, line);
    for (; current_ != owner; current_ = tree_.nodes[current_].parent) {
      Node& node = tree_.nodes[current_];
      const size_t header_start = std::min<size_t>(node.header.offset, end);
      const size_t header_end = std::min<size_t>(node.header.offset + node.header.length, end);
      const size_t start = std::min<size_t>(node.body.offset, end);
      node.header = range(header_start, header_end);
      node.lines = start == end ? 0 : line_ends_up_to(end) - node.lines;
      node.body = range(start, end);
    }
  }

  // Line ends in the first `end` bytes. Calls mostly come in rising order; a step back is at most
  // one line end long.
  uint32_t line_ends_up_to(size_t end) {
    if (end < counted_) {
      const auto from = message_.begin() + static_cast<std::ptrdiff_t>(end);
      const auto to = message_.begin() + static_cast<std::ptrdiff_t>(counted_);
      return line_ends_ - static_cast<uint32_t>(std::count(from, to, '\n'));
    }
    const auto from = message_.begin() + static_cast<std::ptrdiff_t>(counted_);
    const auto to = message_.begin() + static_cast<std::ptrdiff_t>(end);
    line_ends_ += static_cast<uint32_t>(std::count(from, to, '\n'));
    counted_ = end;
    return line_ends_;
  }

  static Range range(size_t start, size_t end) {
    return {static_cast<uint32_t>(start), static_cast<uint32_t>(end - start)};
  }

  std::string_view message_;
  const Limits& limits_;
  uint32_t header_budget_;
  uint32_t addresses_;
  Tree tree_;
  std::vector<Boundary> boundaries_;  // of the open multiparts, outermost first
  uint32_t current_ = kNone;          // innermost open part
  size_t at_ = 0;
  size_t counted_ = 0;  // how many bytes line_ends_ covers
  uint32_t line_ends_ = 0;
};

}  // namespace

Tree parse_tree(std::string_view message, const Limits& limits) {
  return TreeParser(message, limits).run();
}

}  // namespace rims::message
