// common/maintenance/lost_records.h - which numbers of a journal have no record, and why; pure
//
// Numbers are missing where records are lost, and where numbers were passed over: then a gap record
// is in the batch that follows. Of lost ones a restore may have brought back what they had said.
#pragma once

#include <cstdint>
#include <vector>

#include "common/journal/segment.h"
#include "common/mail/records.h"

namespace rims::store {

class LostRecords {
 public:
  struct Hole {
    uint64_t first = 0, last = 0;
    uint64_t gap = 0;  // the gap record that explains it; 0: its records are lost
  };
  // Of each record, in order. True: numbers are missing before it (the newest of holes()).
  bool see(const RecordHeader& header);
  void see(const Restored& record);
  [[nodiscard]] const std::vector<Hole>& holes() const { return holes_; }
  // Whether all of these numbers were restored.
  [[nodiscard]] bool restored(uint64_t first, uint64_t last) const;
  // Whether all that was known when record `seq` was the last one is in the journal or was
  // restored.
  [[nodiscard]] bool made_good(uint64_t seq) const;

 private:
  uint64_t last_ = 0;
  uint64_t explained_until_ = 0;  // a gap record up to here is about the newest hole
  std::vector<Hole> holes_;
  std::vector<Restored::Range> restored_;
};

// Those of `lost`, up to the end of a sound backup of this journal, that a restore makes good now.
// `all`: also those that a gap record explains, of which an index in quarantine/ may have known.
[[nodiscard]] std::vector<Restored::Range> made_good_by(const LostRecords& lost, uint64_t end,
                                                        bool all);

}  // namespace rims::store
