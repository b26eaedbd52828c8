// common/config/yaml_tree.h - a small tree from a YAML text, with the place of every node
//
// Made from libyaml's events. Allowed: maps with plain keys, lists, scalars, comments, both styles.
// Refused with line and column: anchors, aliases, tags, a second document, a key that is given
// twice, more than kMaxDepth levels, more than kMaxBytes bytes, bytes that are not UTF-8.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "common/config/config.h"

namespace rims::config::yaml {

inline constexpr size_t kMaxBytes = 32u << 20;  // 100,000 hashed users need about 20 MiB
inline constexpr unsigned kMaxDepth = 8;

struct Node {
  enum class Kind : unsigned char { scalar, list, map };
  struct Entry;

  Kind kind = Kind::scalar;
  Position at;
  std::string text;     // scalar
  bool quoted = false;  // scalar: in quotes or a block, so it is text and nothing else
  std::vector<Node> items;
  std::vector<Entry> entries;  // map, in the order of the file

  Node() = default;
  Node(Node&&) noexcept = default;
  Node& operator=(Node&&) noexcept = default;
  Node(const Node&) = delete;
  Node& operator=(const Node&) = delete;
  ~Node();  // wipes the text: it may be a password

  // A plain scalar that YAML reads as nothing ("", "~", "null").
  [[nodiscard]] bool is_null() const;
};

struct Node::Entry {
  std::string key;
  Position at;  // of the key
  Node value;
};

struct Problem {
  Position at;
  std::string what;
};

// An empty text is an empty map. False: `problem` says why.
[[nodiscard]] bool read(std::string_view text, Node& root, Problem& problem);

}  // namespace rims::config::yaml
