// imapd/imap/view.h - what one client knows of its selected mailbox
//
//   RFC     3501 §2.3.1.2 (sequence numbers), §5.2, §5.5, §7.3, §7.4.1; 5530 §3 (EXPUNGEISSUED);
//           7162 §3.2 (no change may be lost with the connection), §3.2.10.2 (VANISHED)
//   Rule    sequence numbers change only when the client is told, and it is told of expunges
//           only by commands that may (command_table.h). Until then, changes of the mailbox are
//           kept here: what arrived, what is gone, whose flags changed.
//   Pure    knows neither store nor socket; 4 bytes a message.
//
// Invariants
//   1. The list is ascending and holds exactly the UIDs that the client counts.
//   2. What arrived is above everything in the list; it enters the list when EXISTS is sent.
//   3. What is gone stays in the list until EXPUNGE is sent, and its number names no other
//      message meanwhile.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "common/base/strong.h"
#include "common/imap/numbers.h"

namespace rims::imapd {

class View {
 public:
  // SELECT: the client is told all of `uids` (ascending) now.
  void reset(std::vector<uint32_t> uids);

  // --- What the client counts ---
  [[nodiscard]] size_t size() const { return uids_.size(); }
  [[nodiscard]] std::span<const uint32_t> uids() const { return uids_; }
  [[nodiscard]] Uid uid_at(size_t index) const { return Uid(uids_[index]); }
  // The index (sequence number - 1) of the first message with a UID >= `uid`.
  [[nodiscard]] size_t lower_bound(Uid uid) const;
  // 0 when the client does not count such a message.
  [[nodiscard]] SeqNum seq_of(Uid uid) const;
  // The indexes of the messages with a UID in `set`, which is sorted; without those that are gone.
  [[nodiscard]] std::vector<uint32_t> indexes_of(const imap::NumberSet<Uid>& set) const;

  // --- \Recent (RFC 3501 §2.3.2): this session was the first to be told of these ---
  void add_recent(Uid first, Uid last);  // a closed range above all earlier ones
  [[nodiscard]] bool is_recent(Uid uid) const;
  [[nodiscard]] size_t recent_count() const;  // among what the client counts or will be told

  // --- News, in the order of the store's commits, with their MODSEQ. `uids` are ascending; many at
  // once cost as much as the list is long, not more ---
  void arrived(std::span<const Uid> uids, ModSeq modseq);
  void expunged(std::span<const Uid> uids, ModSeq modseq);
  void flags_changed(std::span<const Uid> uids, ModSeq modseq);
  // The client was just told this message's flags: an earlier change need not be sent any more.
  // True when there was one.
  bool told_flags(Uid uid);
  // Not above the MODSEQ of the first change that the client was not told of; nothing when it was
  // told of all.
  [[nodiscard]] std::optional<ModSeq> first_untold() const;
  // What is gone and the client still counts: ascending.
  [[nodiscard]] std::span<const uint32_t> gone() const { return gone_; }

  [[nodiscard]] bool has_news() const {
    return !arrived_.empty() || !gone_.empty() || changed_.size() > told_.size();
  }
  [[nodiscard]] size_t arrivals() const { return arrived_.size(); }
  [[nodiscard]] bool has_arrivals() const { return !arrived_.empty(); }
  [[nodiscard]] Uid first_arrival() const { return Uid(arrived_.front()); }
  [[nodiscard]] Uid last_arrival() const { return Uid(arrived_.back()); }

  // --- Telling --- Removes at most `most` of the gone messages and appends their EXPUNGE
  // responses, highest number first, so that no number changes before it is sent; or one VANISHED
  // response. False: call it again for more.
  enum class Expunges : uint8_t { as_numbers, as_uids };
  [[nodiscard]] bool tell_expunges(std::string& out, size_t most, Expunges how);
  // Takes the arrivals in; appends EXISTS when there are any.
  void tell_arrivals(std::string& out);
  void tell_recent(std::string& out) const;
  // The UIDs whose flags are to be told; they are forgotten here. Gone messages are left out.
  [[nodiscard]] std::vector<uint32_t> take_changed();

 private:
  struct Range {
    uint32_t first, last;
  };
  void forget_told();

  std::vector<uint32_t> uids_;
  std::vector<uint32_t> arrived_;  // ascending
  std::vector<uint32_t> gone_;     // ascending
  std::vector<uint32_t> changed_;  // ascending
  std::vector<uint32_t> told_;     // ascending: those of changed_ that need not be told any more
  ModSeq first_arrived_, first_gone_, first_changed_;  // of what was first in each list
  std::vector<Range> recent_;                          // ascending
};

}  // namespace rims::imapd
