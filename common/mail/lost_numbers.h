// common/mail/lost_numbers.h - MODSEQs of which it is not known what a client with them has seen
//
// A MODSEQ is the number of a record. When records are lost, numbers are passed over, so that none
// is given out twice; a client may still hold one of those, or have seen what a lost record said.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace rims::store {

class LostNumbers {
 public:
  // The numbers between the two.
  struct Range {
    uint64_t after = 0, before = 0;
    bool operator==(const Range&) const = default;
  };
  // Losses are rare: more of them become one range, which only makes some answers longer.
  static constexpr size_t kMost = 16;

  // `before` grows from one call to the next.
  void add(uint64_t after, uint64_t before) {
    while (!ranges_.empty() && ranges_.back().after >= after) ranges_.pop_back();
    ranges_.push_back({after, before});
    if (ranges_.size() <= kMost) return;
    ranges_[1].after = ranges_[0].after;
    ranges_.erase(ranges_.begin());
  }
  [[nodiscard]] bool contains(uint64_t number) const {
    return std::ranges::any_of(
        ranges_, [number](const Range& r) { return r.after < number && number < r.before; });
  }
  [[nodiscard]] std::span<const Range> ranges() const { return ranges_; }
  bool operator==(const LostNumbers&) const = default;

 private:
  std::vector<Range> ranges_;
};

}  // namespace rims::store
