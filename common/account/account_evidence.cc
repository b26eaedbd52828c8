// common/account/account_evidence.cc - what the index knows beyond a journal that has lost records
//
// An index that is not trusted is thrown away, because the journal says all that it says. Of a
// journal that lost its beginning, its end or a segment that is not true any more: then the old
// index is evidence. Its mailboxes keep their names, ids and UIDVALIDITY, no number that it has
// seen is given out again, which a snapshot record says, and it is not deleted but kept in
// quarantine/. What it knows of messages whose bytes are there is written into the journal, too.

#include <algorithm>
#include <map>
#include <utility>

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

// The annotations that go with it. Of a mailbox that the fold knows, it knows those, too.
std::optional<Annotated> annotations_beyond(const Snapshot& news, const AccountState& folded,
                                            const AccountState& known, bool later) {
  auto all = known.all_annotations(false);
  if (!all || later) return all;
  std::erase_if(all->items, [&](const Annotated::Item& item) {
    return folded.mailbox(item.mailbox) ||
           !std::ranges::binary_search(news.mailboxes, item.mailbox, {}, &Snapshot::OfMailbox::id);
  });
  if (all->items.empty()) all.reset();
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

// Entries that the fold lacks, or knows an earlier state of. What the fold knows to be expunged is
// not brought back, nor what has no bytes.
Account::Regained Account::compare(const Mailbox& folded, const Mailbox& known, Locations& places,
                                   const ExpungeHistory& history) {
  Regained all{.mailbox = folded.info().id, .missing = {}, .reflagged = {}};
  const auto gone = merged(history.of(folded.info().id));
  const auto& there = folded.messages();
  auto at = there.begin();
  for (const auto& e : known.messages()) {
    at = std::lower_bound(at, there.end(), e.uid,
                          [](const MessageEntry& m, Uid uid) { return m.uid < uid; });
    if (at != there.end() && at->uid == e.uid) {
      if (at->message != e.message || at->modseq >= e.modseq) continue;
      auto names = known.keywords_of(e);
      if (at->flags != e.flags || folded.keywords_of(*at) != names)
        all.reflagged.push_back({e, std::move(names)});
      continue;
    }
    const auto* chunk = places.find(Locations::chunk_of(e.message));
    if (!chunk || chunk->at[e.message.value % Locations::kPerChunk].segment == 0) continue;
    const UidRange one{e.uid.value, e.uid.value};
    if (overlap(gone, std::span(&one, 1))) continue;
    all.missing.push_back({e, known.keywords_of(e)});
  }
  return all;
}

Task<std::vector<Account::Regained>> Account::regain(IndexEvidence& found,
                                                     const AccountState& fresh, Locations& places,
                                                     const ExpungeHistory& history) {
  std::vector<Regained> all;
  for (const auto& [id, folded] : fresh.mailboxes()) {
    const auto known = found.state.mailbox(id);
    if (!known || known->info().uidvalidity != folded->info().uidvalidity) continue;
    if (folded->info().noselect || !co_await index_->load_evidence(found, id)) continue;
    Regained one = compare(*folded, *known, places, history);
    if (!one.missing.empty() || !one.reflagged.empty()) all.push_back(std::move(one));
  }
  co_return all;
}

void Account::write_again(Plan& plan, const Mailbox& mailbox, const Regained& regained,
                          const Limits& limits) {
  constexpr size_t kItems = 1000;  // of one record
  const auto keywords = [&](const Regained::Message& m) {
    return plan.keywords(mailbox, m.keywords, limits, Plan::NoRoom::leave_out)
        .value_or(KeywordList());
  };
  Copy record{.from = mailbox.info().id, .to = mailbox.info().id, .items = {}};
  for (const auto& m : regained.missing) {
    record.items.push_back({m.entry.uid, m.entry, keywords(m)});
    if (record.items.size() < kItems && &m != &regained.missing.back()) continue;
    plan.add(record);
    record.items.clear();
  }
  std::map<std::pair<uint8_t, KeywordList>, std::vector<Uid>> changes;
  for (const auto& m : regained.reflagged)
    changes[{m.entry.flags, keywords(m)}].push_back(m.entry.uid);
  for (const auto& [to, uids] : changes)
    plan.add(Flags{.mailbox = mailbox.info().id,
                   .op = FlagOp::replace,
                   .flags = to.first,
                   .keywords = to.second,
                   .ranges = to_ranges(uids)});
}

Task<std::string> Account::heed_evidence(AccountState& fresh, Locations& places,
                                         const ExpungeHistory& history) {
  auto found = co_await index_->evidence();
  if (!found || !same_account(found->state, fresh, user_)) co_return std::string();
  const AccountState& known = found->state;
  const bool later = known.seq() > fresh.seq();
  Snapshot news = beyond(fresh, known, later);
  const bool more = says_something(news, fresh);
  // A sound journal is never behind its index; nor is an index that contradicts itself to be
  // believed.
  const bool sound = !lost_something() && fresh.orphans() == 0;
  if (!later && sound) co_return std::string();
  if (found->clean && !known.broken_invariants().empty()) co_return std::string();
  std::vector<Regained> regained;
  if (!later) {
    regained = co_await regain(*found, fresh, places, history);
    for (const auto& one : regained)
      log::warn("",
                "account {}: records of the journal are lost; the index knows what they said: {} "
                "messages are in \"{}\" again, {} have their flags again",
                log::quoted(user_), one.missing.size(), known.mailbox(one.mailbox)->info().name,
                one.reflagged.size());
    if (!more && !regained.empty())
      owed_ = Owed{.skip = 0, .known = {}, .annotations = {}, .regained = std::move(regained)};
    if (!more) co_return std::string();
  }
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
  auto annotations = annotations_beyond(news, fresh, known, later);
  owed_ = Owed{.skip = found->clean ? 0 : kUnseen,
               .known = std::move(news),
               .annotations = std::move(annotations),
               .regained = std::move(regained)};
  // Nothing can be written now; the next opening finds it again.
  if (journal_->only_read()) co_return std::string();
  // The first one that knew more stays; one that knows of a later end joins it.
  if (!found->kept_as.empty() || (!later && co_await index_->keeps_one())) co_return std::string();
  co_return place_aside(known.seq());
}

// Numbers of what was lost are not given out again; and what the index alone knew is written.
Task<Status> Account::pay_owed(uint32_t unanswered) {
  const bool found = owed_.has_value();
  if (!found) owed_ = Owed{};
  owed_->skip += unanswered + journal_->cut();
  owed_->unanswered = unanswered;
  if (owed_->skip == 0 && !found) owed_.reset();
  if (!owed_) co_return Status();
  if (unanswered > 0 || owed_->known)
    log::warn("", "account {}: up to {} messages are lost; their numbers are skipped",
              log::quoted(user_), owed_->skip);
  else if (owed_->skip > 0)
    log::info("", "account {}: {} numbers are skipped that an unfinished write may have used",
              log::quoted(user_), owed_->skip);
  Status paid;
  if (!journal_->only_read()) {
    journal_->pass_over(journal_->last_seq() + owed_->skip);
    state_.advance(journal_->last_seq());
    paid = co_await pay();
  }
  if (!owed_ || failure_) co_return paid;
  // What there is can be read all the same.
  if (!paid)
    log::error("", "account {}: it can only be read until there is room: {}", log::quoted(user_),
               paid.error().detail());
  const auto know = [this](const auto& record) {
    if (!record) return;
    state_.apply(
        {.seq = state_.seq(), .time = 0, .location = {}, .dropped = false, .record = *record});
  };
  know(owed_->known);
  know(owed_->annotations);
  if (journal_->only_read()) {
    journal_->owe();
    owed_.reset();
  }
  co_return Status();
}

Task<Status> Account::pay() {
  const auto lock = co_await paying_.lock();
  if (!owed_) co_return Status();
  CO_TRY_STATUS(co_await enqueue(
      [this](Plan& plan) -> Result<Built> {
        if (owed_->known) plan.add(*owed_->known);
        if (owed_->annotations) plan.add(*owed_->annotations);
        for (const auto& one : owed_->regained)
          if (const auto mailbox = state_.mailbox(one.mailbox))
            write_again(plan, *mailbox, one, limits_);
        if (owed_->skip > 0 || owed_->known) plan.add(Gap{owed_->skip, owed_->unanswered});
        return Built::records;
      },
      {}, nullptr));
  owed_.reset();
  co_return Status();
}

}  // namespace rims::store
