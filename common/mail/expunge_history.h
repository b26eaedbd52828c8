// common/mail/expunge_history.h - which uids have gone from a mailbox since a MODSEQ
//
// For VANISHED (EARLIER) of QRESYNC (RFC 7162 §3.2.10). Each expunge record is remembered as long
// as its mailbox exists, also when the bytes are gone. A move has an expunge record, too. The index
// keeps all of them; in memory are those that it does not have yet.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <vector>

#include "common/mail/projection.h"
#include "common/mail/records.h"
#include "common/mail/types.h"

namespace rims::store {

// One range of one expunge record.
struct ExpungedRange {
  ModSeq modseq;      // of the record
  uint32_t time = 0;  // when it was written, seconds since 1970 (UTC); 0: not known
  UidRange uids;
  bool operator==(const ExpungedRange&) const = default;
};

class ExpungeHistory : public Projection {
 public:
  // In the order of the journal.
  [[nodiscard]] std::span<const ExpungedRange> of(MailboxId mailbox) const;
  // Those after `since`, by binary search.
  [[nodiscard]] static std::span<const ExpungedRange> after(std::span<const ExpungedRange> all,
                                                            ModSeq since);
  // The uids that were expunged after `since`, of those in `known` if given: ascending, in as few
  // ranges as possible.
  [[nodiscard]] std::vector<UidRange> vanished(
      MailboxId mailbox, ModSeq since,
      std::optional<std::span<const UidRange>> known = std::nullopt) const;
  // The first `count` are kept elsewhere from now on.
  void drop(MailboxId mailbox, size_t count);

 private:
  void apply(const JournalEvent& event, std::span<const Change>,
             const AccountState& state) override;
  std::map<MailboxId, std::vector<ExpungedRange>> mailboxes_;
};

// In any order -> ascending; neither overlapping nor touching.
[[nodiscard]] std::vector<UidRange> merged(std::span<const ExpungedRange> expunged);
// Both ascending and not overlapping; so is what both have.
[[nodiscard]] std::vector<UidRange> common_uids(std::span<const UidRange> a,
                                                std::span<const UidRange> b);

}  // namespace rims::store
