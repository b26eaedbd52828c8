// common/imap/numbers.h - sequence sets as the client writes them, number sets as we use them
//
//   RFC         3501 §9 sequence-set, seq-range; RFC 4315 §3 uid-set; RFC 5182 §3 `$`;
//               RFC 9394 §4 partial-range
//   Invariants  nothing here takes time or memory by the numbers in a range, only by the count of
//               ranges: `1:4294967295` and `1:*,1:*,...` are as cheap as they are long
//
// SequenceSet keeps the client's text (order, `*`); resolve() makes a sorted NumberSet of it.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/result.h"
#include "common/base/strong.h"

namespace rims::imap {

inline constexpr uint32_t kStar = 0;  // `*`; 0 is no valid number

struct SeqRange {
  uint32_t first = kStar, last = kStar;  // either may be kStar; 4:2 stays 4:2
  bool operator==(const SeqRange&) const = default;
};

struct SequenceSet {
  std::vector<SeqRange> ranges;  // empty only for `$`
  bool saved = false;            // `$`: the messages of the last result that was saved
  bool operator==(const SequenceSet&) const = default;
};

// The whole text must be one set, and not `$`. Errors tell the column within `text`.
[[nodiscard]] Result<SequenceSet> parse_sequence_set(std::string_view text, size_t max_ranges);
void append_sequence_set(std::string& out, const SequenceSet& set);

// partial-range (RFC 9394 §4): places in a list of messages, as the client wrote them. 5:3 is 3:5.
struct Page {
  uint32_t first = 1, last = 1;
  bool from_end = false;  // -1:-100: 1 is the last message of the list, 2 the one before it
  // How many messages come before the page, from its side of the list, and how many it has.
  [[nodiscard]] uint32_t skips() const { return std::min(first, last) - 1; }
  [[nodiscard]] uint32_t size() const { return std::max(first, last) - skips(); }
  bool operator==(const Page&) const = default;
};
void append_page(std::string& out, const Page& page);

// Ranges without `*`. Built in any order, printed in that order; "sorted" means ascending,
// disjoint and with neighbours merged, which resolve() and ascending add() give.
template <class Number>
class NumberSet {
 public:
  struct Range {
    Number first, last;  // first <= last
    bool operator==(const Range&) const = default;
  };

  void add(Number n) { add_range(n, n); }
  // Joins the last range when it follows it directly or lies in it.
  void add_range(Number first, Number last) {
    if (!ranges_.empty() && first >= ranges_.back().first &&
        uint64_t{first.value} <= uint64_t{ranges_.back().last.value} + 1) {
      if (last > ranges_.back().last) ranges_.back().last = last;
    } else {
      ranges_.push_back({first, last});
    }
  }
  [[nodiscard]] bool empty() const { return ranges_.empty(); }
  [[nodiscard]] const std::vector<Range>& ranges() const { return ranges_; }
  // How many numbers (up to 2^32 - 1, if sorted).
  [[nodiscard]] uint64_t count() const {
    uint64_t sum = 0;
    for (const Range& r : ranges_) sum += uint64_t{r.last.value} - r.first.value + 1;
    return sum;
  }
  // Only for a sorted set.
  [[nodiscard]] bool contains(Number n) const {
    auto after = std::upper_bound(ranges_.begin(), ranges_.end(), n,
                                  [](Number v, const Range& r) { return v < r.first; });
    return after != ranges_.begin() && n <= std::prev(after)->last;
  }
  // Only for a sorted set: calls fn(index) for each element of `present` (a random-access
  // sequence, ascending by `number_of`) that is in the set; costs ranges x log(present) and the
  // hits.
  template <class Ascending, class Fn, class NumberOf = std::identity>
  void for_each_present(const Ascending& present, Fn&& fn, NumberOf number_of = {}) const {
    auto at = present.begin();
    for (const Range& r : ranges_) {
      at = std::partition_point(at, present.end(), [&](const auto& element) {
        return std::invoke(number_of, element) < r.first;
      });
      for (; at != present.end() && std::invoke(number_of, *at) <= r.last; ++at)
        fn(static_cast<size_t>(at - present.begin()));
    }
  }
  void sort_and_merge() {
    std::sort(ranges_.begin(), ranges_.end(),
              [](const Range& a, const Range& b) { return a.first < b.first; });
    std::vector<Range> old;
    old.swap(ranges_);
    for (const Range& r : old) add_range(r.first, r.last);
  }
  bool operator==(const NumberSet&) const = default;

 private:
  std::vector<Range> ranges_;
};

// `largest` is what `*` means: the number of messages, or the highest UID of the mailbox, 0 when it
// is empty (a range with `*` is empty then). The answer is sorted; `n:*` always holds the
// largest, even when n is above it (RFC 3501 §6.4.8). What `$` means is the session's: here it is
// empty.
template <class Number>
[[nodiscard]] NumberSet<Number> resolve(const SequenceSet& set, Number largest) {
  NumberSet<Number> out;
  for (SeqRange r : set.ranges) {
    if (largest.value == 0 && (r.first == kStar || r.last == kStar)) continue;
    if (r.first == kStar) r.first = largest.value;
    if (r.last == kStar) r.last = largest.value;
    if (r.first > r.last) std::swap(r.first, r.last);
    out.add_range(Number(r.first), Number(r.last));
  }
  out.sort_and_merge();
  return out;
}

// True when no number in the set, nor `*`, lies beyond `exists`: what a command with message
// sequence numbers must hold (RFC 3501 §9 seq-number), or be answered BAD.
[[nodiscard]] bool within(const SequenceSet& set, SeqNum exists);

void append_range(std::string& out, uint32_t first, uint32_t last, bool comma);

template <class Number>
void append_number_set(std::string& out, const NumberSet<Number>& set) {
  bool comma = false;
  for (const auto& r : set.ranges()) {
    append_range(out, r.first.value, r.last.value, comma);
    comma = true;
  }
}

}  // namespace rims::imap
