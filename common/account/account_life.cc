// common/account/account_life.cc - giving the room of dead messages back, beside everything else
//
// Invariants
//   1. no body is dropped that an entry names: what a survey found dead can only come alive again
//      by a revival, and that is refused for it, or spoils the compaction (note_revived), or looks
//      at the bytes again when a compaction has ended since it did (replaced_)
//   2. between the Compacted record and the rename no CLEAN record is written: shut() waits
//   3. the places of all messages of the segment are in memory when it is replaced, and change
//      together with it; a reader who was faster keeps the old file, one who was not asks again

#include <algorithm>

#include <fmt/format.h>

#include "common/account/account.h"
#include "common/base/log.h"
#include "common/mail/of_many.h"

namespace rims::store {

Task<void> Account::compact(CompactionRules rules, int64_t now) {
  if (failure_ || closing_ || compacting_) co_return;
  compacting_ = true;
  compacted_.clear();
  expunged_ = {};
  const auto status = co_await compact_segments(rules, now);
  if (!status && !failure_ && !closing_)
    log::warn("", "account {}: nothing is freed now: {}", log::quoted(user_),
              status.error().detail());
  dropping_.clear();
  compacting_ = false;
  compacted_.set();
}

Task<Status> Account::compact_segments(CompactionRules rules, int64_t now) {
  CO_TRY(const auto segments, co_await journal_->segments());
  // What is not even that large holds nothing worth a survey.
  if (std::ranges::none_of(segments,
                           [&](const auto& s) { return s.sealed || s.bytes > rules.small; }))
    co_return Status();
  std::map<uint32_t, Waste> waste;
  {
    Survey survey(now);
    TimeSlice slice(loop_);
    while (true) {
      CO_TRY(const auto events, co_await journal_->read_from(survey.seq() + 1));
      if (events.empty()) break;
      for (const auto& event : events) {
        if (slice.step() || of_many(event.record)) co_await slice.spend();
        if (failure_ || closing_) co_return Status();
        survey.add(event);
      }
    }
    waste = survey.waste(rules.retention);
  }
  // From now on until the end: nothing of this may come alive.
  spoiled_ = false;
  for (const auto& segment : segments) {
    const auto& dead = waste[segment.number];
    if (worth(segment, dead, rules))
      dropping_.insert(dropping_.end(), dead.messages.begin(), dead.messages.end());
  }
  std::ranges::sort(dropping_);
  // A lost record may be the one that keeps a message.
  if (journal_->lost() > 0 && !waste.empty())
    co_return fail(Fault::storage, "temporary failure", "the journal is damaged");
  Status status;
  for (const auto& segment : segments) {
    auto& dead = waste[segment.number];
    if (failure_ || closing_ || spoiled_) break;
    if (!worth(segment, dead, rules)) continue;
    if (!segment.sealed) {
      const auto turn = co_await sealing_.lock();
      CO_TRY_STATUS(co_await journal_->seal());
    }
    // One that can not be compacted keeps no other one from it.
    if (auto done = co_await compact_segment(segment.number, std::move(dead.messages), rules);
        !done)
      status = done;
  }
  co_return status;
}

Task<Status> Account::compact_segment(uint32_t number, std::vector<MessageId> dead,
                                      CompactionRules rules) {
  // Half of the time belongs to the others.
  auto since = Loop::now();
  const Milliseconds longest(rules.longest_pause);
  // NOLINTNEXTLINE(cppcoreguidelines-avoid-capturing-lambda-coroutines): it outlives the rewriting
  const auto pace = [this, &since, longest](uint64_t) -> Task<bool> {
    const auto took = std::chrono::duration_cast<Milliseconds>(Loop::now() - since);
    co_await sleep_for(loop_, std::clamp(took, Milliseconds(0), longest));
    since = Loop::now();
    co_return !failure_ && !closing_;
  };
  auto written = co_await journal_->rewrite(number, dead, pace);
  if (!written) co_return std::unexpected(written.error());
  if (!written->whole) co_return Status();

  uint64_t before = UINT64_MAX;
  for (const auto& place : written->places) {
    const uint64_t chunk = Locations::chunk_of(place.message);
    if (std::exchange(before, chunk) == chunk || locations_.find(chunk)) continue;
    auto there = co_await reach_chunk(chunk);
    if (!there) {
      co_await journal_->discard();
      co_return there;
    }
  }
  const Compacted mark{number, written->before - written->after};
  auto marked = co_await commit(
      [mark](Plan& plan) -> Result<Built> {
        plan.add(mark);
        return Built::records;
      },
      {});
  if (!marked || spoiled_) {
    co_await journal_->discard();
    co_return marked;
  }
  const auto settled = co_await settling_.lock();
  const auto lock = co_await rebuilding_.lock();
  if (auto status = co_await journal_->replace(); !status) {
    // It may be the old file or the new one that a crash would leave.
    poison(status.error());
    co_return Status();
  }
  replaced_++;
  for (const auto& place : written->places)
    locations_.set(place.message, place.dropped ? Location() : place.at);
  log::info("", "account {}: segment {}: {} messages expunged for good, {} bytes freed",
            log::quoted(user_), number, dead.size(), mark.freed);
  co_await structures_->forget(std::move(dead));
  co_return Status();
}

bool Account::expunged_enough(const CompactionRules& rules, int64_t now) const {
  uint64_t alive = 0;
  for (const auto& [id, mailbox] : state_.mailboxes()) alive += mailbox->info().bytes;
  return expunged_.bytes > std::max(rules.small, alive / 8) &&
         now - expunged_.since >= rules.retention;
}

}  // namespace rims::store
