// common/mail/keywords.cc - names to numbers, lists to sets

#include "common/mail/keywords.h"

#include <algorithm>
#include <iterator>

#include <fmt/format.h>

#include "common/base/ascii.h"

namespace rims::store {
namespace {

size_t hash_of(std::span<const KeywordIndex> list) {
  return std::hash<std::string_view>()(
      {reinterpret_cast<const char*>(list.data()), list.size_bytes()});
}

}  // namespace

KeywordList merged(std::span<const KeywordIndex> a, std::span<const KeywordIndex> b) {
  KeywordList out;
  out.reserve(a.size() + b.size());
  std::ranges::set_union(a, b, std::back_inserter(out));
  return out;
}

KeywordList without(std::span<const KeywordIndex> a, std::span<const KeywordIndex> b) {
  KeywordList out;
  std::ranges::set_difference(a, b, std::back_inserter(out));
  return out;
}

Keywords::Keywords() : sets_(1) {}

std::optional<KeywordIndex> Keywords::find(std::string_view name) const {
  const auto found = by_name_.find(ascii::lower(name));
  if (found == by_name_.end()) return std::nullopt;
  return found->second;
}

void Keywords::define(KeywordIndex index, std::string name) {
  while (names_.size() < index)
    define(static_cast<KeywordIndex>(names_.size()), fmt::format("lost-{}", names_.size()));
  if (index == names_.size()) {
    names_.emplace_back();
  } else if (const auto old = by_name_.find(ascii::lower(names_[index]));
             old != by_name_.end() && old->second == index) {
    by_name_.erase(old);
  }
  by_name_.try_emplace(ascii::lower(name), index);
  names_[index] = std::move(name);
}

bool Keywords::has(KeywordSet set, KeywordIndex keyword) const {
  return std::ranges::binary_search(sets_[set.value], keyword);
}

KeywordSet Keywords::intern(std::span<const KeywordIndex> list) {
  if (list.empty()) return KeywordSet(0);
  const size_t hash = hash_of(list);
  for (auto [at, end] = by_hash_.equal_range(hash); at != end; ++at) {
    if (std::ranges::equal(sets_[at->second], list)) return KeywordSet(at->second);
  }
  if (list.back() >= names_.size()) define(list.back(), fmt::format("lost-{}", list.back()));
  const auto number = static_cast<uint32_t>(sets_.size());
  sets_.emplace_back(list.begin(), list.end());
  by_hash_.emplace(hash, number);
  return KeywordSet(number);
}

void Keywords::forget_sets() {
  sets_ = std::vector<KeywordList>(1);
  by_hash_ = {};
}

void Keywords::squeeze(std::span<KeywordSet* const> used) {
  const auto old = std::move(sets_);
  forget_sets();
  for (KeywordSet* set : used) *set = intern(old[set->value]);
}

}  // namespace rims::store
