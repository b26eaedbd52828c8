// tests/message/check.h - what must be true of the structure of any bytes; for tests and fuzzers
#pragma once

#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/ascii.h"
#include "common/message/header.h"
#include "common/message/imap_text.h"
#include "common/message/kept_fields.h"
#include "common/message/structure.h"
#include "common/message/text.h"

namespace rims::message {

// IMAP's parenthesized lists, of which the text is known to be well-formed.
struct ListItem {
  std::string text;
  std::vector<ListItem> items;
  bool is_list = false;
  bool is_string = false;
  [[nodiscard]] bool is_nil() const { return !is_list && !is_string && text == "NIL"; }
  [[nodiscard]] bool holds_lists() const { return !items.empty() && items.front().is_list; }
};

class ListReader {
 public:
  explicit ListReader(std::string_view text) : rest_(text) {}
  ListItem item() {
    ListItem out;
    if (take('(')) {
      out.is_list = true;
      while (!take(')')) {
        out.items.push_back(item());
        take(' ');
      }
    } else if (take('"')) {
      out.is_string = true;
      for (; !take('"'); rest_.remove_prefix(1)) {
        if (rest_.front() == '\\') rest_.remove_prefix(1);
        out.text += rest_.front();
      }
    } else if (take('{')) {
      out.is_string = true;
      const size_t size = std::stoul(std::string(rest_));
      rest_.remove_prefix(rest_.find('\n') + 1);
      out.text = rest_.substr(0, size);
      rest_.remove_prefix(size);
    } else {
      out.text = rest_.substr(0, rest_.find_first_of(" )"));
      rest_.remove_prefix(out.text.size());
    }
    return out;
  }

 private:
  bool take(char c) {
    if (!rest_.starts_with(c)) return false;
    rest_.remove_prefix(1);
    return true;
  }
  std::string_view rest_;
};

using Path = std::vector<uint32_t>;

// RFC 3501 §9 envelope and address, §7.4.2 on groups: what of it does not hold.
inline std::string envelope_fault(const ListItem& envelope) {
  if (envelope.items.size() != 10) return "an envelope of other than ten";
  for (size_t i = 0; i < 10; i++) {
    const ListItem& item = envelope.items[i];
    if (item.is_nil()) continue;
    const bool is_text = i < 2 || i > 7;
    if (is_text != item.is_string || is_text == item.is_list)
      return "envelope: neither NIL nor good";
    if (is_text) continue;
    if (item.items.empty()) return "envelope: an empty list of addresses";
    bool in_group = false;
    for (const ListItem& address : item.items) {
      const auto is_nstring = [](const ListItem& part) { return part.is_string || part.is_nil(); };
      if (address.items.size() != 4 || !std::ranges::all_of(address.items, is_nstring))
        return "envelope: an address of other than four strings";
      const bool has_mailbox = address.items[2].is_string;
      const bool has_host = address.items[3].is_string;
      if (has_host && (!has_mailbox || address.items[3].text.empty()))
        return "envelope: half an address";
      if (has_host) continue;
      if (has_mailbox == in_group || address.items[0].is_string)
        return "envelope: a group out of order";
      in_group = has_mailbox;
    }
    if (in_group) return "envelope: a group without an end";
  }
  return {};
}

// What does not agree between `body`, which BODYSTRUCTURE announces as the part at `path`, and the
// sections there.
inline std::string announced_fault(std::string_view message, const StructureView& view,
                                   const ListItem& body, const Path& path) {
  std::string name;
  for (const uint32_t number : path) name += std::to_string(number) + '.';
  const auto all = view.locate(path, Section::all);
  if (!all || !view.locate(path, Section::mime)) return "announced and not there: " + name;
  if (body.holds_lists()) {
    Path below = path;
    below.push_back(0);
    for (const ListItem& inner : body.items) {
      if (!inner.is_list) break;  // the subtype; parameters come behind it
      below.back()++;
      std::string fault = announced_fault(message, view, inner, below);
      if (!fault.empty()) return fault;
    }
    return {};
  }
  if (body.items.size() < 7) return "half a body: " + name;
  if (body.items[6].text != std::to_string(all->length)) return "announced larger: " + name;
  const std::string type = ascii::lower(body.items[0].text);
  const bool is_message = type == "message" && body.items[1].text == "rfc822";
  if (!is_message && type != "text") return {};
  const size_t lines_at = is_message ? 9 : 7;
  if (body.items.size() <= lines_at) return "half a body: " + name;
  // Bodies nest: counting deep messages level by level would be quadratic.
  if (all->length < 4096 || path.size() < 4) {
    const std::string_view bytes = all->of(message);
    const auto lines = std::count(bytes.begin(), bytes.end(), '\n');
    if (body.items[lines_at].text != std::to_string(lines)) return "announced lines: " + name;
  }
  if (!is_message) return {};
  const auto header = view.locate(path, Section::header);
  const auto text = view.locate(path, Section::text);
  if (!header || !text || header->length + text->length != all->length)
    return "header and text are not the message: " + name;
  if (const std::string fault = envelope_fault(body.items[7]); !fault.empty()) return fault;
  Path content = path;
  if (!body.items[8].holds_lists()) content.push_back(1);
  return announced_fault(message, view, body.items[8], content);
}

// Empty when all holds, else what does not.
//   1. the blob opens, and says the message's size
//   2. the three texts are balanced lists without a NUL, valid as IMAP; envelopes follow its
//   grammar
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
    // An empty text stands in for the parts of a multipart that has none.
    beyond.push_back(part.kind == Kind::multipart ? std::max(part.child_count, 1U) + 1 : 1);
    if (view->locate(beyond, Section::all)) return "a part too many in " + std::to_string(i);
  }
  return {};
}

// Empty when the texts of a blob that opens say what is there, else what does not.
//   1. ENVELOPE and those of embedded messages follow the grammar
//   2. every section that BODYSTRUCTURE announces can be located, and has the size and the lines
//      that it says
inline std::string texts_fault(std::string_view message, std::string_view blob) {
  const auto view = StructureView::open(blob);
  if (!view) return "does not open: " + view.error().detail();
  std::string fault = envelope_fault(ListReader(view->envelope()).item());
  if (!fault.empty()) return fault;
  const ListItem body = ListReader(view->bodystructure()).item();
  return announced_fault(message, *view, body, body.holds_lists() ? Path{} : Path{1});
}

// Empty when the kept fields of a message give the answers that its header gives, else what
// differs: HEADER.FIELDS of each of the `names`, of all of them, of all but one and of one and the
// next; SEARCH of each for each of the `texts`. Of a name that is not kept nothing is promised.
inline std::string kept_fields_fault(std::string_view message, std::string_view blob,
                                     const std::vector<std::string>& names,
                                     const std::vector<std::string>& texts) {
  const auto view = StructureView::open(blob);
  if (!view) return "does not open: " + view.error().detail();
  const auto kept = KeptFields::open(view->fields());
  if (!kept) return "fields do not open: " + kept.error().detail();
  if (kept->message_size() != message.size()) return "wrong size";
  if (kept->sent_day() != view->sent_day() || kept->sent_time() != view->sent_time())
    return "wrong date";
  const std::string_view header = view->header().of(message);

  std::vector<std::vector<std::string>> sets = {names};
  for (size_t i = 0; i < names.size(); i++) {
    sets.push_back({names[i]});
    sets.push_back({names[i], names[(i + 1) % names.size()]});
    sets.push_back(names);
    sets.back().erase(sets.back().begin() + static_cast<std::ptrdiff_t>(i));
  }
  for (const auto& set : sets) {
    const auto bits = KeptNames::of(std::span<const std::string>(set));
    if (!bits || !kept->has(*bits)) continue;
    if (select_fields(kept->header(), set, false) != select_fields(header, set, false))
      return "other fields than the header: " + set.front();
  }
  for (const std::string& text : texts) {
    const auto needle = Needle::make(text, "UTF-8");
    if (!needle) return "no needle";
    for (const std::string& name : names) {
      const auto bits = KeptNames::of(name);
      if (!bits || !kept->has(*bits)) continue;
      if (kept->contains(name, *needle) != header_contains(header, name, *needle))
        return "other search than in the header: " + name + " " + text;
    }
  }
  const std::string alone = without_fields(blob, *view);
  const auto rest = StructureView::open(alone);
  if (!rest || !rest->fields().empty() || rest->bodystructure() != view->bodystructure() ||
      rest->part_count() != view->part_count())
    return "another structure without the fields";
  return {};
}

}  // namespace rims::message
