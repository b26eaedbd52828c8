// common/account/account_import.cc - mailboxes and numbers that were elsewhere before
//
// Clients keep what they know of a mailbox by its name, uidvalidity and uids. A mailbox that comes
// here with all three is the same to them, so none of the three may mean something else here: a
// uidvalidity that this account ever gave out is not taken again, nor a uid that was used.

#include <algorithm>

#include "common/account/account.h"

namespace rims::store {
namespace {

// Numbers above are left for the mailboxes that are made later: they count on from the largest.
constexpr uint32_t kLargestUidValidity = 0xff00'0000;

}  // namespace

Task<Status> Account::each_record(const std::function<void(const JournalEvent&)>& f) {
  for (uint64_t next = 1; next <= state_.seq();) {
    CO_TRY(const auto events, co_await journal_->read_from(next));
    if (events.empty()) co_return Status();
    for (const auto& event : events) f(event);
    next = events.back().seq + 1;
  }
  co_return Status();
}

Task<Status> Account::each_delivery_id(std::function<void(std::string_view)> f) {
  if (failure_ || closing_) co_return unusable();
  co_return co_await each_record([&f](const JournalEvent& event) {
    if (const auto* append = std::get_if<Append>(&event.record)) f(append->delivery_id);
  });
}

Task<Result<MailboxId>> Account::adopt(std::string name, UidValidity uidvalidity) {
  if (failure_ || closing_) co_return unusable();
  name = canonical_name(name);
  CO_TRY_STATUS(check_name(name, limits_));
  if (!validities_) {
    std::set<UidValidity> given;
    CO_TRY_STATUS(co_await each_record([&given](const JournalEvent& event) {
      if (const auto* made = std::get_if<MailboxCreated>(&event.record))
        given.insert(made->uidvalidity);
    }));
    for (const auto& [id, mailbox] : state_.mailboxes()) given.insert(mailbox->info().uidvalidity);
    validities_ = std::move(given);
  }
  const auto made = std::make_shared<MailboxId>();
  CO_TRY_STATUS(co_await commit(
      [this, name, uidvalidity, made](Plan& plan) -> Result<Built> {
        if (!plan.empty()) return Built::later;
        plan.be_exclusive();
        const auto before = state_.mailbox(name);
        if (before && before->info().uidvalidity == uidvalidity && !before->info().noselect) {
          *made = before->info().id;
          return Built::nothing;
        }
        if (before && before->info().messages > 0)
          return fail(Fault::refused, "the mailbox has messages", {}, "ALREADYEXISTS");
        if (uidvalidity.value == 0 || uidvalidity.value > kLargestUidValidity ||
            validities_->contains(uidvalidity))
          return fail(Fault::refused,
                      "UIDVALIDITY " + std::to_string(uidvalidity.value) + " can not be given", {},
                      "CANNOT");
        plan.note_uidvalidity(uidvalidity);
        std::map<std::string, MailboxId> parents_made;
        TRY_STATUS(plan_parents(plan, name, 1, parents_made));
        auto use = SpecialUse::none;
        if (before) {
          use = before->info().special_use;
          plan.add(MailboxRemoved{before->info().id});
        }
        *made = plan.take_mailbox();
        plan.add(MailboxCreated{*made, uidvalidity, use, false, name});
        if (before) plan.add_unless_empty(annotations_for(before->info().id, *made));
        return Built::records;
      },
      {}));
  co_return *made;
}

Task<Status> Account::raise_uidnext(MailboxId mailbox, Uid uidnext) {
  co_return co_await commit(
      [this, mailbox, uidnext](Plan& plan) -> Result<Built> {
        const auto found = state_.mailbox(mailbox);
        if (!found) return fail(Fault::not_found, "no such mailbox", {}, "NONEXISTENT");
        if (uidnext <= plan.uidnext(*found)) return Built::nothing;
        plan.skip_to_uid(*found, uidnext);
        plan.add(UidNext{mailbox, uidnext});
        return Built::records;
      },
      {});
}

Task<Status> Account::note_restored(std::vector<Restored::Range> lost) {
  co_return co_await commit(
      [lost](Plan& plan) -> Result<Built> {
        plan.add(Restored{lost});
        return Built::records;
      },
      {});
}

Task<Result<bool>> Account::pass_over(AccountState known, std::string account_id, Unseen unseen) {
  if (failure_ || closing_) co_return unusable();
  while (committing_) co_await idle_.wait();
  if (account_id != journal_->account_id() || !state_.is_behind(known)) co_return false;
  CO_TRY(auto pins, co_await load_all());
  journal_->pass_over(std::max(known.seq(), journal_->last_seq()) + unseen.records);
  state_.advance(journal_->last_seq());
  CO_TRY_STATUS(co_await commit(
      [this, known, unseen](Plan& plan) -> Result<Built> {
        if (!plan.empty()) return Built::later;
        plan.be_exclusive();
        plan.add(Snapshot{.whole = false,
                          .next_mailbox = known.next_mailbox(),
                          .next_message = known.next_message(),
                          .last_uidvalidity = known.last_uidvalidity(),
                          .mailboxes = {},
                          .removed = {},
                          .subscribed = {}});
        for (const auto& [id, mailbox] : known.mailboxes()) {
          const auto mine = state_.mailbox_of(mailbox->info().uidvalidity);
          if (mine && mine->info().uidnext < mailbox->info().uidnext)
            plan.add(UidNext{mine->info().id, mailbox->info().uidnext});
        }
        plan.add(Gap{.skip = unseen.numbers, .damage = 0});
        for (const auto& [id, mailbox] : state_.mailboxes())
          if (!mailbox->info().noselect) plan.add(only_modseq(id));
        return Built::records;
      },
      std::move(pins)));
  // Structures of messages that never were are not looked for.
  kept_from_ = StructureFiles::chunk_of(state_.next_message());
  co_return true;
}

}  // namespace rims::store
