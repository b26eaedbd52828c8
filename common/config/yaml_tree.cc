// common/config/yaml_tree.cc - builds a bounded tree from libyaml's events

#include "common/config/yaml_tree.h"

#include <unordered_set>

#include <yaml.h>

#include "common/base/secret.h"

namespace rims::config::yaml {
namespace {

struct Parser {
  yaml_parser_t raw{};
  bool made = yaml_parser_initialize(&raw) != 0;
  Parser() = default;
  Parser(const Parser&) = delete;
  Parser& operator=(const Parser&) = delete;
  ~Parser() {
    if (made) yaml_parser_delete(&raw);
  }
};

struct Event {
  yaml_event_t raw{};
  Event() = default;
  Event(const Event&) = delete;
  Event& operator=(const Event&) = delete;
  ~Event() { yaml_event_delete(&raw); }
};

Position place(const yaml_mark_t& mark) {
  return {static_cast<unsigned>(mark.line + 1), static_cast<unsigned>(mark.column + 1)};
}

class Reader {
 public:
  Reader(Parser& parser, Problem& problem) : parser_(parser.raw), problem_(problem) {}

  bool document(Node& root) {
    root.kind = Node::Kind::map;
    while (true) {
      Event event;
      if (!next(event)) return false;
      switch (event.raw.type) {
        case YAML_STREAM_START_EVENT:
        case YAML_DOCUMENT_END_EVENT:
          break;
        case YAML_DOCUMENT_START_EVENT:
          if (seen_++ > 0) return refuse(event, "a second document is not allowed here");
          if (event.raw.data.document_start.tag_directives.start !=
              event.raw.data.document_start.tag_directives.end)
            return refuse(event, "tags are not allowed here");
          break;
        case YAML_STREAM_END_EVENT:
          return true;
        default:
          if (!node(event, root, 0)) return false;
          if (root.is_null()) {
            root = Node();
            root.kind = Node::Kind::map;
          }
      }
    }
  }

 private:
  bool next(Event& event) {
    if (yaml_parser_parse(&parser_, &event.raw)) return true;
    const bool decoding = parser_.error == YAML_READER_ERROR;
    problem_.at = decoding ? Position{} : place(parser_.problem_mark);
    problem_.what = std::string("not YAML: ") + (parser_.problem ? parser_.problem : "unreadable");
    return false;
  }
  bool refuse(const Event& event, std::string what) {
    problem_ = {place(event.raw.start_mark), std::move(what)};
    return false;
  }
  bool plain(const Event& event, const yaml_char_t* anchor, const yaml_char_t* tag) {
    if (anchor) return refuse(event, "anchors (&name) are not allowed here");
    if (tag) return refuse(event, "tags (!name) are not allowed here");
    return true;
  }

  bool node(const Event& event, Node& out, unsigned depth) {
    out.at = place(event.raw.start_mark);
    if (depth > kMaxDepth) return refuse(event, "nested too deeply");
    switch (event.raw.type) {
      case YAML_SCALAR_EVENT: {
        const auto& scalar = event.raw.data.scalar;
        if (!plain(event, scalar.anchor, scalar.tag)) return false;
        out.kind = Node::Kind::scalar;
        out.quoted = scalar.style != YAML_PLAIN_SCALAR_STYLE;
        out.text.assign(reinterpret_cast<const char*>(scalar.value), scalar.length);
        return true;
      }
      case YAML_SEQUENCE_START_EVENT:
        if (!plain(event, event.raw.data.sequence_start.anchor, event.raw.data.sequence_start.tag))
          return false;
        out.kind = Node::Kind::list;
        return list(out, depth);
      case YAML_MAPPING_START_EVENT:
        if (!plain(event, event.raw.data.mapping_start.anchor, event.raw.data.mapping_start.tag))
          return false;
        out.kind = Node::Kind::map;
        return map(out, depth);
      case YAML_ALIAS_EVENT:
        return refuse(event, "aliases (*name) are not allowed here");
      default:
        return refuse(event, "unexpected");
    }
  }

  bool list(Node& out, unsigned depth) {
    while (true) {
      Event event;
      if (!next(event)) return false;
      if (event.raw.type == YAML_SEQUENCE_END_EVENT) return true;
      if (!node(event, out.items.emplace_back(), depth + 1)) return false;
    }
  }

  bool map(Node& out, unsigned depth) {
    std::unordered_set<std::string> seen;
    while (true) {
      Event event;
      if (!next(event)) return false;
      if (event.raw.type == YAML_MAPPING_END_EVENT) return true;
      Node key;
      if (!node(event, key, depth + 1)) return false;
      if (key.kind != Node::Kind::scalar)
        return refuse(event, "expected a key, found a list or a map");
      if (!seen.insert(key.text).second)
        return refuse(event, "the key \"" + key.text.substr(0, 100) + "\" is given twice");
      Node::Entry& entry = out.entries.emplace_back();
      entry.key = key.text;
      entry.at = key.at;
      Event value;
      if (!next(value)) return false;
      if (!node(value, entry.value, depth + 1)) return false;
    }
  }

  yaml_parser_t& parser_;
  Problem& problem_;
  unsigned seen_ = 0;
};

}  // namespace

Node::~Node() { wipe(text); }

bool Node::is_null() const {
  return kind == Kind::scalar && !quoted &&
         (text.empty() || text == "~" || text == "null" || text == "Null" || text == "NULL");
}

bool read(std::string_view text, Node& root, Problem& problem) {
  if (text.size() > kMaxBytes) {
    problem = {{}, "the file is larger than 32 MiB"};
    return false;
  }
  Parser parser;
  if (!parser.made) {
    problem = {{}, "out of memory"};
    return false;
  }
  yaml_parser_set_encoding(&parser.raw, YAML_UTF8_ENCODING);
  yaml_parser_set_input_string(&parser.raw, reinterpret_cast<const unsigned char*>(text.data()),
                               text.size());
  return Reader(parser, problem).document(root);
}

}  // namespace rims::config::yaml
