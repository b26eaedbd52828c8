// imapd/imap/threads.cc - links between messages, and what is written of them

#include "imapd/imap/threads.h"

#include <algorithm>
#include <cstring>
#include <limits>
#include <numeric>
#include <ranges>
#include <span>
#include <tuple>
#include <utility>

#include "common/imap/response.h"
#include "common/message/base_subject.h"
#include "common/message/header.h"
#include "common/message/text.h"

namespace rims::imapd {
namespace {

// More than this of a subject decides nothing.
constexpr size_t kLongSubject = 4096;

// id-left "@" id-right (RFC 5322 §3.6.4), the same for each way of writing it: without white space,
// quotes and backslashes. "": it is not valid.
std::string normalized_id(std::string_view written) {
  std::string id;
  bool quoted = false;
  for (size_t i = 0; i < written.size(); i++) {
    const char c = written[i];
    if (c == '"') {
      quoted = !quoted;
    } else if (c == '\\' && quoted && i + 1 < written.size()) {
      id += written[++i];
    } else if (quoted || (c != ' ' && c != '\t')) {
      id += c;
    }
  }
  const size_t at = id.rfind('@');
  const bool valid = !quoted && at != id.npos && at != 0 && at + 1 != id.size();
  return valid ? id : std::string();
}

// Calls take(id) with each valid message id, as long as it says true.
template <class Take>
void for_each_id(std::string_view value, Take take) {
  size_t begin = value.find('<');
  while (begin != value.npos) {
    const size_t end = value.find_first_of("<>", begin + 1);
    if (end == value.npos) return;
    if (value[end] == '>') {
      const std::string id = normalized_id(value.substr(begin + 1, end - begin - 1));
      if (!id.empty() && !take(id)) return;
    }
    begin = value[end] == '<' ? end : value.find('<', end);
  }
}

}  // namespace

Threads::Threads(Algorithm algorithm) : algorithm_(algorithm) {
  crypto_shorthash_keygen(key_.data());
}

std::vector<std::string> Threads::fields(Algorithm algorithm) {
  switch (algorithm) {
    case Algorithm::ordered_subject:
      return {"subject"};
    case Algorithm::references:
      return {"subject", "message-id", "references", "in-reply-to"};
    case Algorithm::refs:
      return {"message-id", "references", "in-reply-to"};
  }
  return {};
}

Threads::Hash Threads::hash_of(std::string_view text) const {
  std::array<unsigned char, crypto_shorthash_BYTES> out{};
  crypto_shorthash(out.data(), reinterpret_cast<const unsigned char*>(text.data()), text.size(),
                   key_.data());
  Hash hash = 0;
  std::memcpy(&hash, out.data(), sizeof hash);
  return hash;
}

void Threads::note_subject(Node& node, std::string_view header) const {
  const auto base = message::base_subject(
      message::decode_header(message::first_value(header, "subject"), kLongSubject));
  node.is_reply = base.is_reply;
  if (!base.text.empty()) node.subject = hash_of(message::fold(base.text));
}

void Threads::note_references(std::string_view header) {
  const auto index = static_cast<uint32_t>(nodes_.size() - 1);
  for_each_id(message::first_value(header, "message-id"), [&](const std::string& id) {
    // A second message with the same id is one without.
    ids_.try_emplace(hash_of(id), index);
    return false;
  });
  const size_t begin = references_.size();
  for_each_id(message::first_value(header, "references"), [&](const std::string& id) {
    references_.push_back(hash_of(id));
    return true;
  });
  if (references_.size() == begin)
    for_each_id(message::first_value(header, "in-reply-to"), [&](const std::string& id) {
      references_.push_back(hash_of(id));
      return false;
    });
  const size_t count = references_.size() - begin;
  const auto first = references_.begin() + static_cast<ptrdiff_t>(begin);
  if (begin >= kMostLinks && count > 1)
    references_.erase(first, references_.end() - 1);
  else if (count > kMostReferences)
    references_.erase(first + 1, references_.end() - (kMostReferences - 1));
  ends_.push_back(references_.size());
}

void Threads::add(SeqNum number, int64_t date, std::string_view header) {
  Node& node = nodes_.emplace_back();
  node.number = node.order = number.value;
  node.date = date;
  messages_++;
  if (algorithm_ != Algorithm::refs) note_subject(node, header);
  if (algorithm_ != Algorithm::ordered_subject) note_references(header);
}

uint32_t Threads::add_dummy() {
  nodes_.emplace_back();
  towards_root_.push_back(static_cast<uint32_t>(nodes_.size() - 1));
  return towards_root_.back();
}

// The first message of a subject is the parent of all others.
void Threads::put_under_first_of_subject() {
  const auto before = [&](uint32_t a, uint32_t b) {
    return std::tie(nodes_[a].date, nodes_[a].order) < std::tie(nodes_[b].date, nodes_[b].order);
  };
  std::unordered_map<Hash, uint32_t> first;
  for (uint32_t i = 0; i < messages_; i++) {
    const auto [place, fresh] = first.try_emplace(nodes_[i].subject, i);
    if (!fresh && before(i, place->second)) place->second = i;
  }
  for (uint32_t i = 0; i < messages_; i++)
    if (const uint32_t parent = first.at(nodes_[i].subject); parent != i) nodes_[i].parent = parent;
}

uint32_t Threads::node_of(Hash id) {
  const auto [place, fresh] = ids_.try_emplace(id, kNone);
  if (fresh) place->second = add_dummy();
  return place->second;
}

uint32_t Threads::root_of(uint32_t node) {
  while (towards_root_[node] != node) {
    towards_root_[node] = towards_root_[towards_root_[node]];
    node = towards_root_[node];
  }
  return node;
}

void Threads::link(uint32_t parent, uint32_t child) {
  if (nodes_[child].parent != kNone || root_of(parent) == child) return;
  nodes_[child].parent = towards_root_[child] = parent;
}

// Step 1. By its own last reference a message takes back what messages before it said of it; so
// what others say counts only of those that come before, or are not there.
void Threads::link_references() {
  towards_root_.resize(messages_);
  std::iota(towards_root_.begin(), towards_root_.end(), 0U);
  const auto of = [&](size_t message) {
    const size_t begin = message == 0 ? 0 : ends_[message - 1];
    return std::span(references_).subspan(begin, ends_[message] - begin);
  };
  for (uint32_t i = 0; i < messages_; i++)
    if (!of(i).empty()) link(node_of(of(i).back()), i);
  for (uint32_t i = 0; i < messages_; i++) {
    uint32_t parent = kNone;
    for (const Hash id : of(i)) {
      const uint32_t child = node_of(id);
      if (parent != kNone && (child < i || child >= messages_)) link(parent, child);
      parent = child;
    }
  }
  references_ = {};
  ids_ = {};
}

// Step 3: what is not there stays only as a root of two or more.
void Threads::leave_out_dummies() {
  const auto goes = [&](uint32_t node) { return is_dummy(node) && nodes_[node].parent != kNone; };
  std::vector<uint32_t> children(nodes_.size());
  for (uint32_t i = 0; i < messages_; i++) {
    uint32_t above = nodes_[i].parent;
    if (above == kNone) continue;
    while (goes(above)) above = nodes_[above].parent;
    // The next one that comes by goes a shorter way.
    for (uint32_t way = nodes_[i].parent; way != above;)
      way = std::exchange(nodes_[way].parent, above);
    nodes_[i].parent = above;
    children[above]++;
  }
  for (uint32_t i = 0; i < messages_; i++) {
    const uint32_t above = nodes_[i].parent;
    if (above != kNone && is_dummy(above) && children[above] == 1) nodes_[i].parent = kNone;
  }
}

// A dummy has the date and the subject of its first child. One without children has no order.
void Threads::date_dummies() {
  for (uint32_t i = static_cast<uint32_t>(messages_); i < nodes_.size(); i++) {
    nodes_[i].date = std::numeric_limits<int64_t>::max();
    nodes_[i].order = kNone;
  }
  for (uint32_t i = 0; i < messages_; i++) {
    const Node& child = nodes_[i];
    if (child.parent == kNone || !is_dummy(child.parent)) continue;
    Node& dummy = nodes_[child.parent];
    if (std::tie(child.date, child.order) > std::tie(dummy.date, dummy.order)) continue;
    dummy.date = child.date;
    dummy.order = child.order;
    dummy.subject = child.subject;
  }
}

// Step 5: roots with the same subject become one thread.
void Threads::merge_subjects() {
  std::unordered_map<Hash, uint32_t> table;
  for (uint32_t root = first_root_; root != kNone; root = nodes_[root].next) {
    if (nodes_[root].subject == 0) continue;
    const auto [place, fresh] = table.try_emplace(nodes_[root].subject, root);
    if (fresh || is_dummy(place->second)) continue;
    if (is_dummy(root) || (nodes_[place->second].is_reply && !nodes_[root].is_reply))
      place->second = root;
  }
  for (uint32_t root = first_root_; root != kNone; root = nodes_[root].next) {
    if (nodes_[root].subject == 0) continue;
    uint32_t& chosen = table.at(nodes_[root].subject);
    if (chosen == root) continue;
    if (is_dummy(root) && is_dummy(chosen)) {
      for (uint32_t child = nodes_[root].first_child; child != kNone; child = nodes_[child].next)
        nodes_[child].parent = chosen;
    } else if (is_dummy(chosen) || (nodes_[root].is_reply && !nodes_[chosen].is_reply)) {
      nodes_[root].parent = chosen;
    } else {
      const uint32_t both = add_dummy();
      nodes_[root].parent = nodes_[chosen].parent = both;
      chosen = both;
    }
  }
}

// REFS: the thread with the latest message is the last one.
void Threads::date_roots_by_latest() {
  for (uint32_t i = 0; i < nodes_.size(); i++)
    towards_root_[i] = nodes_[i].parent == kNone ? i : nodes_[i].parent;
  std::vector<std::pair<int64_t, uint32_t>> latest(nodes_.size(), {INT64_MIN, 0});
  for (uint32_t i = 0; i < messages_; i++) {
    auto& of_root = latest[root_of(i)];
    of_root = std::max(of_root, {nodes_[i].date, nodes_[i].order});
  }
  for (uint32_t i = 0; i < nodes_.size(); i++)
    if (latest[i].first != INT64_MIN) std::tie(nodes_[i].date, nodes_[i].order) = latest[i];
}

void Threads::list_children() {
  std::vector<uint32_t> all;
  for (uint32_t i = 0; i < nodes_.size(); i++)
    if (nodes_[i].order != kNone) all.push_back(i);
  std::ranges::sort(all, [&](uint32_t a, uint32_t b) {
    const Node &left = nodes_[a], &right = nodes_[b];
    return std::tie(left.parent, left.date, left.order) <
           std::tie(right.parent, right.date, right.order);
  });
  for (Node& node : nodes_) node.first_child = kNone;
  first_root_ = kNone;
  for (const uint32_t node : std::views::reverse(all)) {
    const uint32_t parent = nodes_[node].parent;
    uint32_t& first = parent == kNone ? first_root_ : nodes_[parent].first_child;
    nodes_[node].next = std::exchange(first, node);
  }
}

void Threads::build() {
  if (algorithm_ == Algorithm::ordered_subject) {
    put_under_first_of_subject();
  } else {
    link_references();
    leave_out_dummies();
    date_dummies();
  }
  if (algorithm_ == Algorithm::references) {
    list_children();
    merge_subjects();
    date_dummies();
  }
  if (algorithm_ == Algorithm::refs) date_roots_by_latest();
  list_children();
  if (first_root_ != kNone) steps_.push_back({Step::Kind::siblings, first_root_});
}

// A step stands for what is left of it, so a chain of a million needs no room, nor do siblings.
bool Threads::write(std::string& out, const std::function<uint32_t(SeqNum)>& named) {
  if (steps_.empty()) return false;
  const Step step = steps_.back();
  steps_.pop_back();
  if (step.kind == Step::Kind::close) {
    out += ')';
    return true;
  }
  const Node& node = nodes_[step.node];
  if (step.kind == Step::Kind::siblings) {
    if (node.next != kNone) steps_.push_back({Step::Kind::siblings, node.next});
    out += '(';
  }
  if (node.number != 0) imap::append_number(out, named(SeqNum(node.number)));
  if (node.first_child == kNone) {
    out += ')';
    return true;
  }
  if (node.number != 0) out += ' ';
  if (nodes_[node.first_child].next == kNone) {
    steps_.push_back({Step::Kind::message, node.first_child});
  } else {
    steps_.push_back({Step::Kind::close, kNone});
    steps_.push_back({Step::Kind::siblings, node.first_child});
  }
  return true;
}

}  // namespace rims::imapd
