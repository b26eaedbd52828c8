// imapd/imap/resync.cc - VANISHED (EARLIER) from the store's history, changed flags from memory

#include "imapd/imap/resync.h"

#include <algorithm>
#include <utility>

#include "common/imap/response.h"
#include "common/mail/expunge_history.h"
#include "imapd/imap/render.h"

namespace rims::imapd {
namespace {

using store::UidRange;

// So many ranges stand in one VANISHED response: it is a line of some kilobytes.
constexpr size_t kRangesAtOnce = 500;

// `*` is the highest UID that the mailbox ever had: what is gone may have been above all that is
// there.
std::vector<UidRange> known_uids(const Selected& selected, const imap::SequenceSet& known) {
  const Uid highest(selected.mailbox->info().uidnext.value - 1);
  std::vector<UidRange> ranges;
  for (const auto& range : imap::resolve(known, highest).ranges())
    ranges.push_back({range.first.value, range.last.value});
  return ranges;
}

// `ranges` without `uids`, both ascending.
std::vector<UidRange> without(std::span<const UidRange> ranges, std::span<const uint32_t> uids) {
  std::vector<UidRange> rest;
  for (UidRange range : ranges) {
    auto uid = std::ranges::lower_bound(uids, range.first);
    for (; uid != uids.end() && *uid <= range.last; ++uid) {
      if (range.first < *uid) rest.push_back({range.first, *uid - 1});
      range.first = *uid + 1;
    }
    // After 2^32 - 1 comes 0.
    if (range.first != 0 && range.first <= range.last) rest.push_back(range);
  }
  return rest;
}

Task<Status> send_vanished(Session& session, std::vector<UidRange> gone) {
  std::string& out = session.out();
  for (size_t i = 0; i < gone.size(); i++) {
    if (i % kRangesAtOnce == 0) out += "* VANISHED (EARLIER) ";
    imap::append_range(out, gone[i].first, gone[i].last, i % kRangesAtOnce != 0);
    if (i + 1 != gone.size() && (i + 1) % kRangesAtOnce != 0) continue;
    out += "\r\n";
    CO_TRY_STATUS(co_await session.drain());
  }
  co_return Status();
}

// The highest UID up to which the client knows all that is gone: that of the last pair of message
// number and UID which is so here (RFC 7162 §3.2.5.2). Pairs beyond the last message are no work.
uint32_t matching_uid(const View& view, const imap::SequenceSet& numbers,
                      const imap::SequenceSet& uids) {
  uint32_t last = 0;
  size_t at = 0;
  uint32_t skipped = 0;  // of the range of uids at `at`
  for (const imap::SeqRange& range : numbers.ranges) {
    for (uint64_t number = range.first; number <= range.last; number++) {
      if (number > view.size() || at == uids.ranges.size()) return last;
      const uint32_t uid = uids.ranges[at].first + skipped;
      if (view.uid_at(number - 1).value == uid) last = uid;
      skipped++;
      if (uid == uids.ranges[at].last) {
        at++;
        skipped = 0;
      }
    }
  }
  return last;
}

// Those of `known` that were expunged after `since`, but not what the client still counts.
Task<Result<std::vector<UidRange>>> gone_since(Session& session, ModSeq since, bool sure,
                                               std::span<const UidRange> known) {
  const View& view = session.selected().view;
  if (!sure) co_return without(known, view.uids());
  CO_TRY(const auto gone, co_await session.account().vanished(session.selected().id(), since));
  co_return without(store::common_uids(gone, known), view.gone());
}

}  // namespace

std::vector<uint32_t> changed_since(Session& session, std::span<const uint32_t> indexes,
                                    ModSeq since) {
  if (!session.account().can_tell_since(since)) since = ModSeq();
  const Selected& selected = session.selected();
  std::vector<uint32_t> changed;
  const auto messages = selected.mailbox->messages();
  auto at = messages.begin();
  for (const uint32_t index : indexes) {
    const Uid uid = selected.view.uid_at(index);
    // The next one, mostly.
    if (at != messages.end() && at->uid < uid) ++at;
    if (at != messages.end() && at->uid < uid)
      at = std::lower_bound(
          at, messages.end(), uid,
          [](const store::MessageEntry& message, Uid wanted) { return message.uid < wanted; });
    if (at != messages.end() && at->uid == uid && at->modseq > since) changed.push_back(index);
  }
  return changed;
}

Task<Status> tell_vanished(Session& session, ModSeq since, const imap::SequenceSet& known) {
  CO_TRY(auto gone, co_await gone_since(session, since, session.account().can_tell_since(since),
                                        known_uids(session.selected(), known)));
  co_return co_await send_vanished(session, std::move(gone));
}

Task<Status> resynchronize(Session& session, const imap::Resync& resync) {
  Selected& selected = session.selected();
  if (resync.uidvalidity != selected.mailbox->info().uidvalidity.value) co_return Status();
  // A MODSEQ that was never given out here, or by what is lost: what the client has is of another
  // history. All that it knows is told it again.
  const bool sure = ModSeq(resync.modseq) <= highest_modseq(selected.mailbox->info()) &&
                    session.account().can_tell_since(ModSeq(resync.modseq));
  const ModSeq since(sure ? resync.modseq : 0);
  const imap::SequenceSet all{.ranges = {{1, imap::kStar}}};
  const auto known = known_uids(selected, resync.known ? *resync.known : all);

  // What changes from here on is news, and comes after this.
  std::vector<Uid> changed;
  auto range = known.begin();
  for (const store::MessageEntry& message : selected.mailbox->messages()) {
    if (message.modseq <= since) continue;
    while (range != known.end() && range->last < message.uid.value) ++range;
    if (range != known.end() && range->first <= message.uid.value) changed.push_back(message.uid);
  }
  CO_TRY(auto gone, co_await gone_since(session, since, sure, known));
  if (resync.match) {
    const uint32_t told = matching_uid(selected.view, resync.match->first, resync.match->second);
    std::erase_if(gone, [told](const UidRange& r) { return r.last <= told; });
    if (!gone.empty()) gone.front().first = std::max(gone.front().first, told + 1);
  }
  CO_TRY_STATUS(co_await send_vanished(session, std::move(gone)));

  TimeSlice slice(session.host().loop());
  for (const Uid uid : changed) {
    session.tell_keywords();
    session.tell_flags(uid, true);
    if (session.drain_is_due()) {
      CO_TRY_STATUS(co_await session.drain());
    }
    if (slice.step()) co_await slice.spend();
  }
  co_return Status();
}

}  // namespace rims::imapd
