// common/maintenance/lost_records.cc - see lost_records.h

#include "common/maintenance/lost_records.h"

#include <algorithm>

namespace rims::store {

bool LostRecords::see(const RecordHeader& h) {
  const bool missing = h.seq > last_ + 1;
  // What a footer alone lists is in no batch; what a segment begins with stands before the rest.
  const bool begins = h.type == RecordType::snapshot || h.type == RecordType::account ||
                      h.type == RecordType::annotations || h.type == RecordType::piece_sums;
  const uint64_t batch_end = h.batch_count > 0 ? h.batch_first + h.batch_count - 1
                             : begins          ? h.seq + 1
                                               : h.seq;
  if (missing) {
    holes_.push_back({.first = last_ + 1, .last = h.seq - 1, .gap = 0});
    explained_until_ = batch_end;
  } else if (h.seq <= explained_until_) {
    explained_until_ = std::max(explained_until_, batch_end);
  }
  if (h.type == RecordType::gap && h.seq <= explained_until_ && !holes_.empty() &&
      holes_.back().gap == 0)
    holes_.back().gap = h.seq;
  last_ = std::max(last_, h.seq);
  return missing;
}

void LostRecords::see(const Restored& record) {
  restored_.insert(restored_.end(), record.lost.begin(), record.lost.end());
}

bool LostRecords::restored(uint64_t first, uint64_t last) const {
  while (first <= last) {
    const auto has = std::ranges::find_if(restored_, [first](const Restored::Range& range) {
      return range.first <= first && first <= range.last;
    });
    if (has == restored_.end()) return false;
    first = has->last + 1;
  }
  return true;
}

bool LostRecords::made_good(uint64_t seq) const {
  if (seq > last_) return false;
  return std::ranges::all_of(holes_, [&](const Hole& hole) {
    const bool known_then = hole.gap != 0 && hole.gap <= seq;
    return hole.first > seq || known_then || restored(hole.first, std::min(hole.last, seq));
  });
}

std::vector<Restored::Range> made_good_by(const LostRecords& lost, uint64_t end, bool all) {
  std::vector<Restored::Range> ranges;
  for (const auto& hole : lost.holes()) {
    const uint64_t last = std::min(hole.last, end);
    if (hole.first > last || (hole.gap != 0 && !all) || lost.restored(hole.first, last)) continue;
    ranges.push_back({hole.first, last});
  }
  return ranges;
}

}  // namespace rims::store
