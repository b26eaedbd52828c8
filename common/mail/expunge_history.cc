// common/mail/expunge_history.cc - a list for each mailbox, in the order of MODSEQs

#include "common/mail/expunge_history.h"

#include <algorithm>

#include "common/mail/state.h"

namespace rims::store {

std::span<const ExpungedRange> ExpungeHistory::of(MailboxId mailbox) const {
  const auto found = mailboxes_.find(mailbox);
  return found == mailboxes_.end() ? std::span<const ExpungedRange>() : found->second;
}

std::span<const ExpungedRange> ExpungeHistory::after(std::span<const ExpungedRange> all,
                                                     ModSeq since) {
  const auto first = std::ranges::upper_bound(all, since, {}, &ExpungedRange::modseq);
  return all.subspan(static_cast<size_t>(first - all.begin()));
}

std::vector<UidRange> ExpungeHistory::vanished(
    MailboxId mailbox, ModSeq since, std::optional<std::span<const UidRange>> known) const {
  auto gone = merged(after(of(mailbox), since));
  return known ? common_uids(gone, *known) : gone;
}

void ExpungeHistory::drop(MailboxId mailbox, size_t count) {
  const auto found = mailboxes_.find(mailbox);
  if (found == mailboxes_.end()) return;
  auto& list = found->second;
  list.erase(list.begin(), list.begin() + static_cast<ptrdiff_t>(std::min(count, list.size())));
  if (list.empty()) mailboxes_.erase(found);
}

void ExpungeHistory::apply(const JournalEvent& event, std::span<const Change>,
                           const AccountState& state) {
  if (const auto* expunge = std::get_if<Expunge>(&event.record)) {
    // Also uids that the state does not have: their append record was lost, but clients may have
    // seen them.
    if (!state.mailbox(expunge->mailbox)) return;
    auto& list = mailboxes_[expunge->mailbox];
    for (const auto range : expunge->ranges)
      list.push_back({.modseq = ModSeq(event.seq), .time = event.time, .uids = range});
  } else if (const auto* removed = std::get_if<MailboxRemoved>(&event.record)) {
    mailboxes_.erase(removed->id);
  } else if (const auto* snapshot = std::get_if<Snapshot>(&event.record)) {
    // If the record that removed a mailbox was lost, only the snapshot shows it.
    if (snapshot->whole)
      std::erase_if(mailboxes_, [&](const auto& one) { return !state.mailbox(one.first); });
    for (const auto range : snapshot->removed)
      mailboxes_.erase(mailboxes_.lower_bound(MailboxId(range.first)),
                       mailboxes_.upper_bound(MailboxId(range.last)));
  }
}

std::vector<UidRange> merged(std::span<const ExpungedRange> expunged) {
  std::vector<UidRange> ranges;
  ranges.reserve(expunged.size());
  for (const auto& one : expunged) ranges.push_back(one.uids);
  std::ranges::sort(ranges, {}, &UidRange::first);
  size_t kept = 0;
  for (const auto range : ranges) {
    // 64 bits, so that the last number has a successor.
    if (kept > 0 && range.first <= uint64_t{ranges[kept - 1].last} + 1)
      ranges[kept - 1].last = std::max(ranges[kept - 1].last, range.last);
    else
      ranges[kept++] = range;
  }
  ranges.resize(kept);
  return ranges;
}

std::vector<UidRange> common_uids(std::span<const UidRange> a, std::span<const UidRange> b) {
  std::vector<UidRange> both;
  for (size_t i = 0, j = 0; i < a.size() && j < b.size();) {
    const UidRange range{.first = std::max(a[i].first, b[j].first),
                         .last = std::min(a[i].last, b[j].last)};
    if (range.first <= range.last) both.push_back(range);
    if (a[i].last < b[j].last)
      i++;
    else
      j++;
  }
  return both;
}

}  // namespace rims::store
