// common/account/compaction.h - which bytes of a journal nobody wants any more; pure
//
//   Survey survey(now);
//   for (record : journal) survey.add(record);          // all of them, in order
//   for (auto& [segment, waste] : survey.waste(rules.retention)) if (worth(...)) ...
//
// A message is alive while an entry of any mailbox names it, and for the retention after the last
// one went. When that was, the records' times say; clocks jump, so a time is taken with care,
// always for the later moment:
//   1. a record is not earlier than any record before it
//   2. a time after `now`, or none, is not known; then it is that of the next record that has one
//   3. without such a record the message stays alive
//
// The fold is of the whole account, beside the one that is served: 72 to 160 bytes for each message
// that the journal holds (measured with a million of them, in one mailbox), 8 more for each that is
// dead, and a little for each mailbox. It is gone when the survey is.
#pragma once

#include <cstdint>
#include <map>
#include <vector>

#include "common/journal/journal.h"
#include "common/mail/state.h"

namespace rims::store {

struct CompactionRules {
  int64_t retention = 0;        // seconds; 0: dead at once
  uint64_t small = 1ULL << 20;  // so many dead bytes make it worth to seal the last segment
  // Milliseconds that are waited between two pieces of work at most. 0 is for simulations, where
  // nothing may depend on how long something took.
  int64_t longest_pause = 200;
};

// The dead messages of a segment.
struct Waste {
  uint64_t bytes = 0;
  std::vector<MessageId> messages;  // ascending
};

class Survey {
 public:
  explicit Survey(int64_t now) : now_(now) {}

  void add(const JournalEvent& event);
  [[nodiscard]] uint64_t seq() const { return state_.seq(); }
  // By segment. Messages whose bytes were dropped before are not in it.
  [[nodiscard]] std::map<uint32_t, Waste> waste(int64_t retention) const;

 private:
  static constexpr uint32_t kNotKnown = UINT32_MAX;
  struct Life {
    MessageId message;
    uint64_t bytes = 0;
    uint32_t segment = 0;
    uint32_t left = kNotKnown;  // when its last entry went; before that, when it came
  };
  Life* find(MessageId message);
  void leave(MessageId message);

  int64_t now_;
  uint32_t latest_ = 0;        // the latest time that was believed
  uint32_t time_ = kNotKnown;  // of the record at hand
  AccountState state_;
  std::vector<Life> lives_;  // by message id
  std::vector<MessageId> untimed_;
};

// Is it worth to write this segment anew?
[[nodiscard]] bool worth(const Journal::Segment& segment, const Waste& waste,
                         const CompactionRules& rules);

}  // namespace rims::store
