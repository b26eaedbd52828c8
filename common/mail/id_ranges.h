// common/mail/id_ranges.h - a set of numbers that were given out in order: a few ranges
#pragma once

#include <cstdint>
#include <iterator>
#include <map>
#include <vector>

#include "common/mail/records.h"

namespace rims::store {

class IdRanges {
 public:
  void insert(uint32_t id) { insert({.first = id, .last = id}); }
  void insert(UidRange range) {
    auto at = ranges_.upper_bound(range.first);
    if (at != ranges_.begin()) {
      const auto before = std::prev(at);
      // Touching ranges become one; 64 bits, so that the last number has a successor.
      if (uint64_t{before->second} + 1 >= range.first) at = before;
    }
    while (at != ranges_.end() && at->first <= uint64_t{range.last} + 1) {
      range.first = std::min(range.first, at->first);
      range.last = std::max(range.last, at->second);
      at = ranges_.erase(at);
    }
    ranges_[range.first] = range.last;
  }
  [[nodiscard]] bool contains(uint32_t id) const {
    const auto after = ranges_.upper_bound(id);
    return after != ranges_.begin() && std::prev(after)->second >= id;
  }
  [[nodiscard]] std::vector<UidRange> ranges() const {
    std::vector<UidRange> list;
    list.reserve(ranges_.size());
    for (const auto& [first, last] : ranges_) list.push_back({first, last});
    return list;
  }
  bool operator==(const IdRanges&) const = default;

 private:
  std::map<uint32_t, uint32_t> ranges_;  // first -> last; not touching
};

}  // namespace rims::store
