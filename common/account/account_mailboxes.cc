// common/account/account_mailboxes.cc - CREATE, DELETE, RENAME, SUBSCRIBE
//
// These take the account for themselves: nothing else goes into their commit, so the names that
// a builder sees are all the names there are.

#include <ctime>
#include <ranges>

#include "common/account/account.h"

namespace rims::store {
namespace {

std::unexpected<Error> nonexistent() {
  return fail(Fault::not_found, "no such mailbox", {}, "NONEXISTENT");
}

std::unexpected<Error> exists() {
  return fail(Fault::refused, "the mailbox exists already", {}, "ALREADYEXISTS");
}

// The names below `name`, in order.
std::vector<std::pair<std::string, MailboxId>> inferiors(const AccountState& state,
                                                         std::string_view name) {
  std::vector<std::pair<std::string, MailboxId>> found;
  const std::string prefix = std::string(name) + kHierarchySeparator;
  for (auto it = state.names().lower_bound(prefix);
       it != state.names().end() && it->first.starts_with(prefix); ++it)
    found.emplace_back(it->first, it->second);
  return found;
}

// "a/b/c" -> "a", "a/b"
std::vector<std::string> parents(std::string_view name) {
  std::vector<std::string> list;
  for (size_t at = name.find(kHierarchySeparator); at != name.npos;
       at = name.find(kHierarchySeparator, at + 1))
    list.emplace_back(name.substr(0, at));
  return list;
}

// \Noselect names above `name` that hold nothing but `name` go with it.
void drop_empty_parents(Plan& plan, std::string_view name, size_t leaving) {
  auto above = parents(name);
  for (auto it = above.rbegin(); it != above.rend(); ++it) {
    const auto mailbox = plan.state().mailbox(*it);
    if (!mailbox || !mailbox->info().noselect) return;
    if (inferiors(plan.state(), *it).size() > leaving) return;
    plan.add(MailboxRemoved{mailbox->info().id});
    leaving++;
  }
}

}  // namespace

Status Account::plan_parents(Plan& plan, std::string_view name, size_t also,
                             std::map<std::string, MailboxId>& made) {
  std::vector<std::string> missing;
  for (auto& parent : parents(name)) {
    if (!state_.mailbox(parent)) missing.push_back(std::move(parent));
  }
  TRY_STATUS(Plan::room_for_mailboxes(state_, missing.size() + also, limits_));
  for (auto& parent : missing) {
    const MailboxId id = plan.take_mailbox();
    plan.add(MailboxCreated{id, plan.take_uidvalidity(), SpecialUse::none, false, parent});
    made[std::move(parent)] = id;
  }
  return {};
}

bool Account::has_inferiors(std::string_view name) const {
  const std::string prefix = std::string(name) + kHierarchySeparator;
  const auto first = state_.names().lower_bound(prefix);
  return first != state_.names().end() && first->first.starts_with(prefix);
}

Task<Status> Account::make_standard_mailboxes() {
  co_return co_await commit(
      [](Plan& plan) -> Result<Built> {
        if (!plan.empty()) return Built::later;
        if (plan.state().mailbox("INBOX")) return Built::nothing;
        plan.be_exclusive();
        const std::pair<const char*, SpecialUse> standard[] = {
            {"INBOX", SpecialUse::none},  {"Drafts", SpecialUse::drafts},
            {"Sent", SpecialUse::sent},   {"Junk", SpecialUse::junk},
            {"Trash", SpecialUse::trash}, {"Archive", SpecialUse::archive},
        };
        for (const auto& [name, use] : standard) {
          if (plan.state().mailbox(name)) continue;
          plan.add(MailboxCreated{plan.take_mailbox(), plan.take_uidvalidity(), use, false, name});
          plan.add(Subscription{true, name});
        }
        return Built::records;
      },
      {});
}

Task<Result<MailboxId>> Account::create(std::string name, SpecialUse special_use,
                                        const void* origin) {
  name = canonical_name(name);
  CO_TRY_STATUS(check_name(name, limits_));
  const auto made = std::make_shared<MailboxId>();  // shared with the builder, which may outlive us
  CO_TRY_STATUS(co_await commit(
      [this, name, special_use, made](Plan& plan) -> Result<Built> {
        if (!plan.empty()) return Built::later;
        plan.be_exclusive();
        const auto before = state_.mailbox(name);
        if (before && !before->info().noselect) return exists();
        if (special_use != SpecialUse::none) {
          for (const auto& [id, mailbox] : state_.mailboxes()) {
            if (mailbox->info().special_use == special_use)
              return fail(Fault::refused, "another mailbox has this use", {}, "USEATTR");
          }
        }
        std::map<std::string, MailboxId> parents_made;
        TRY_STATUS(plan_parents(plan, name, 1, parents_made));
        if (before) plan.add(MailboxRemoved{before->info().id});
        *made = plan.take_mailbox();
        plan.add(MailboxCreated{*made, plan.take_uidvalidity(), special_use, false, name});
        if (before) plan.add_unless_empty(annotations_for(before->info().id, *made));
        return Built::records;
      },
      {}, origin));
  co_return *made;
}

Task<Status> Account::create_noselect(std::string name) {
  name = canonical_name(name);
  CO_TRY_STATUS(check_name(name, limits_));
  co_return co_await commit(
      [this, name](Plan& plan) -> Result<Built> {
        if (!plan.empty()) return Built::later;
        plan.be_exclusive();
        if (state_.mailbox(name) || name == "INBOX") return exists();
        std::map<std::string, MailboxId> parents_made;
        TRY_STATUS(plan_parents(plan, name, 1, parents_made));
        plan.add(MailboxCreated{plan.take_mailbox(), plan.take_uidvalidity(), SpecialUse::none,
                                true, name});
        return Built::records;
      },
      {});
}

Task<Status> Account::set_special_use(MailboxId id, SpecialUse use) {
  co_return co_await commit(
      [this, id, use](Plan& plan) -> Result<Built> {
        if (!plan.empty()) return Built::later;
        plan.be_exclusive();
        const auto mailbox = state_.mailbox(id);
        if (!mailbox || mailbox->info().noselect) return nonexistent();
        if (mailbox->info().special_use == use) return Built::nothing;
        plan.add(SpecialUseSet{id, use});
        return Built::records;
      },
      {});
}

Task<Status> Account::give_to(std::string user) {
  CO_TRY_STATUS(co_await commit(
      [this, user](Plan& plan) -> Result<Built> {
        if (!plan.empty()) return Built::later;
        plan.be_exclusive();
        plan.add(AccountNamed{user, id()});
        return Built::records;
      },
      {}));
  // The next segment begins with this record, so it is in the footer of one file and in another
  // file: no damage in one place gives the account back. Without room it stays the last one.
  const auto turn = co_await sealing_.lock();
  (void)co_await journal_->seal();
  co_return Status();
}

Task<Status> Account::remove(std::string name, const void* origin) {
  name = canonical_name(name);
  co_return co_await commit(
      [this, name](Plan& plan) -> Result<Built> {
        if (!plan.empty()) return Built::later;
        plan.be_exclusive();
        if (name == "INBOX") return fail(Fault::refused, "INBOX stays", {}, "CANNOT");
        const auto mailbox = state_.mailbox(name);
        if (!mailbox) return nonexistent();
        const bool parent = has_inferiors(name);
        if (parent && mailbox->info().noselect)
          return fail(Fault::refused, "the name has inferiors", {}, "HASCHILDREN");
        plan.add(MailboxRemoved{mailbox->info().id});
        if (parent)
          plan.add(MailboxCreated{plan.take_mailbox(), plan.take_uidvalidity(), SpecialUse::none,
                                  true, name});
        else
          drop_empty_parents(plan, name, 1);
        return Built::records;
      },
      {}, origin);
}

// INBOX stays, its messages go. Both have its annotations then (RFC 5464 §4.1).
Task<Result<Built>> Account::plan_inbox_move(Plan& plan, std::string to, TimeSlice& slice) {
  if (!plan.empty()) co_return Built::later;
  plan.be_exclusive();
  const auto inbox = state_.mailbox("INBOX");
  if (!inbox) co_return nonexistent();
  if (state_.mailbox(to)) co_return exists();
  std::map<std::string, MailboxId> made;
  CO_TRY_STATUS(plan_parents(plan, to, 1, made));
  const MailboxId from = inbox->info().id, id = plan.take_mailbox();
  Annotated annotations = annotations_for(from, id);
  CO_TRY_STATUS(room_for_annotations(id, annotations));
  plan.add(MailboxCreated{id, plan.take_uidvalidity(), SpecialUse::none, false, to});
  plan.add_unless_empty(std::move(annotations));
  const auto& keywords = inbox->keywords();
  for (size_t i = 0; i < keywords.names().size(); i++)
    plan.add(Keyword{id, static_cast<KeywordIndex>(i), keywords.names()[i]});
  std::vector<std::vector<Uid>> pieces;
  uint32_t next = 1;
  for (const auto piece : Plan::in_pieces(inbox->messages())) {
    Copy copy{.from = from, .to = id, .items = {}};
    auto& uids = pieces.emplace_back();
    for (const auto& e : piece) {
      const auto set = keywords.of(e.keywords);
      copy.items.push_back({e.uid, e, {set.begin(), set.end()}});
      copy.items.back().entry.uid = Uid(next++);
      uids.push_back(e.uid);
    }
    plan.add(std::move(copy));
    co_await slice.spend();
  }
  for (const auto& uids : std::views::reverse(pieces)) plan.add(Expunge{from, to_ranges(uids)});
  co_return Built::records;
}

Task<Status> Account::rename(std::string from, std::string to, const void* origin) {
  from = canonical_name(from);
  to = canonical_name(to);
  CO_TRY_STATUS(check_name(to, limits_));
  if (from == "INBOX") {
    if (failure_ || closing_) co_return unusable();
    const auto inbox = state_.mailbox("INBOX");
    if (!inbox) co_return nonexistent();
    std::vector<std::shared_ptr<Mailbox>> pins;
    CO_TRY(auto pin, co_await load(inbox->info().id));
    pins.push_back(std::move(pin));
    co_return co_await commit(
        [this, to](Plan& plan, TimeSlice& slice) { return plan_inbox_move(plan, to, slice); },
        std::move(pins), origin);
  }
  co_return co_await commit(
      [this, from, to](Plan& plan) -> Result<Built> {
        if (!plan.empty()) return Built::later;
        plan.be_exclusive();
        const auto mailbox = state_.mailbox(from);
        if (!mailbox) return nonexistent();
        if (state_.mailbox(to)) return exists();
        const std::string prefix = from + kHierarchySeparator;
        if (to.starts_with(prefix))
          return fail(Fault::refused, "a mailbox can not be moved below itself", {}, "CANNOT");

        std::map<std::string, MailboxId> made;
        const auto below = inferiors(state_, from);
        for (const auto& [name, id] : below) {
          TRY_STATUS(check_name(to + name.substr(from.size()), limits_));
        }
        TRY_STATUS(plan_parents(plan, to, 0, made));
        plan.add(MailboxRenamed{mailbox->info().id, to});
        for (const auto& [name, id] : below)
          plan.add(MailboxRenamed{id, to + name.substr(from.size())});
        // A parent that the new name needs stays.
        if (!to.starts_with(from.substr(0, from.rfind(kHierarchySeparator)) + kHierarchySeparator))
          drop_empty_parents(plan, from, 1 + below.size());
        return Built::records;
      },
      {}, origin);
}

Task<Status> Account::subscribe(std::string name, const void* origin) {
  name = canonical_name(name);
  CO_TRY_STATUS(check_name(name, limits_));
  co_return co_await commit(
      [this, name](Plan& plan) -> Result<Built> {
        if (state_.subscriptions().contains(name)) return Built::nothing;
        if (state_.subscriptions().size() >= limits_.subscriptions)
          return fail(Fault::limit, "too many subscriptions", {}, "LIMIT");
        plan.add(Subscription{true, name});
        return Built::records;
      },
      {}, origin);
}

Task<Status> Account::unsubscribe(std::string name, const void* origin) {
  name = canonical_name(name);
  co_return co_await commit(
      [this, name](Plan& plan) -> Result<Built> {
        if (!state_.subscriptions().contains(name)) return Built::nothing;
        plan.add(Subscription{false, name});
        return Built::records;
      },
      {}, origin);
}

}  // namespace rims::store
