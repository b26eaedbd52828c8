// common/account/account_evidence.cc - what the index knows beyond a journal that has lost records
//
// An index that is not trusted is thrown away, because the journal says all that it says. Of a
// journal that lost its beginning, its end or a segment that is not true any more: then the old
// index is evidence. Its mailboxes keep their names, ids and UIDVALIDITY, no number that it has
// seen is given out again, which a snapshot record says, and it is not deleted but kept in
// quarantine/.

#include <algorithm>

#include <fmt/format.h>
#include <sodium.h>

#include "common/account/account.h"
#include "common/base/log.h"

namespace rims::store {
namespace {

// How much that came last an index may not have seen that was not closed in order.
constexpr uint32_t kUnseen = 10'000;

// What the fold does not know of these mailboxes and numbers. With `later`, the index is newer: all
// that it says. Nothing is said to be gone but what it knows to be.
Snapshot beyond(const AccountState& folded, const AccountState& known, bool later) {
  Snapshot all = known.snapshot();
  all.whole = false;
  if (later) return all;
  all.removed.clear();
  all.subscribed.clear();
  std::erase_if(all.mailboxes, [&](const Snapshot::OfMailbox& m) {
    const auto same = folded.mailbox(m.id);
    if (!same) return folded.removed().contains(m.id.value);
    // Another UIDVALIDITY is one that the fold had to make up.
    return same->info().uidvalidity == m.uidvalidity && same->info().uidnext >= m.uidnext;
  });
  return all;
}

bool says_something(const Snapshot& s, const AccountState& folded) {
  return !s.mailboxes.empty() || s.next_message > folded.next_message() ||
         s.next_mailbox > folded.next_mailbox();
}

// Two that differ are of two accounts, or of two times of one.
bool same_account(const AccountState& known, const AccountState& folded, const std::string& user) {
  return known.named().user == user &&
         (folded.named().id.empty() || folded.named().id == known.named().id);
}

}  // namespace

// Whether an index that is thrown away may know what the journal has lost.
bool Account::lost_something() const { return journal_->lost() > 0 || journal_->incomplete(); }

std::string Account::place_aside(uint64_t seq) {
  return fmt::format("index-{:010}-{:08x}", seq, randombytes_random());
}

Task<std::string> Account::heed_evidence(AccountState& fresh) {
  const auto found = co_await index_->evidence();
  if (!found || !same_account(found->state, fresh, user_)) co_return std::string();
  const AccountState& known = found->state;
  const bool later = known.seq() > fresh.seq();
  Snapshot news = beyond(fresh, known, later);
  const bool more = says_something(news, fresh);
  // A sound journal is never behind its index; nor is an index that contradicts itself to be
  // believed.
  const bool sound = !lost_something() && fresh.orphans() == 0;
  if (!later && (!more || sound)) co_return std::string();
  if (found->clean && !known.broken_invariants().empty()) co_return std::string();
  if (later)
    log::error("",
               "account {}: the journal ends with record {}, but the index was made of {}: what "
               "came after is lost; restore it from a backup (rims-ctl restore)",
               log::quoted(user_), fresh.seq(), known.seq());
  else
    log::error("", "account {}: the journal has lost records; the index knows {} mailboxes better",
               log::quoted(user_), news.mailboxes.size());
  if (later) {
    // The CLEAN record that came after it, or what else did.
    journal_->pass_over(known.seq() + (found->clean ? 1 : kUnseen));
    fresh.advance(journal_->last_seq());
  }
  owed_ = Owed{.skip = found->clean ? 0 : kUnseen, .known = std::move(news)};
  // Nothing can be written now; the next opening finds it again.
  if (journal_->only_read()) co_return std::string();
  // The first one that knew more stays; one that knows of a later end joins it.
  if (!found->kept_as.empty() || (!later && co_await index_->keeps_one())) co_return std::string();
  const std::string aside = place_aside(known.seq());
  log::error("", "account {}: that index is kept as quarantine/{}", log::quoted(user_), aside);
  co_return aside;
}

// Numbers of what was lost are not given out again; and what the index alone knew is written.
Task<Status> Account::pay_owed(uint32_t unanswered) {
  const auto owed = std::exchange(owed_, {});
  const uint32_t skip = (owed ? owed->skip : 0) + unanswered + journal_->cut();
  if (skip == 0 && !owed) co_return Status();
  if (journal_->only_read()) {
    journal_->owe();
    if (owed)
      state_.apply({.seq = state_.seq(),
                    .time = 0,
                    .location = {},
                    .dropped = false,
                    .record = owed->known});
    co_return Status();
  }
  if (unanswered > 0 || owed)
    log::warn("", "account {}: up to {} messages are lost; their numbers are skipped",
              log::quoted(user_), skip);
  else
    log::info("", "account {}: {} numbers are skipped that an unfinished write may have used",
              log::quoted(user_), skip);
  co_return co_await commit(
      [owed, skip, unanswered](Plan& plan) -> Result<Built> {
        if (owed) plan.add(owed->known);
        plan.add(Gap{skip, unanswered});
        return Built::records;
      },
      {});
}

}  // namespace rims::store
