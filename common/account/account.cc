// common/account/account.cc - opening, loading, reading, closing

#include "common/account/account.h"

#include <algorithm>

#include <fmt/format.h>

#include "common/base/encoding.h"
#include "common/base/log.h"
#include "common/mail/object_id.h"
#include "common/mail/of_many.h"

namespace rims::store {
namespace {

constexpr size_t kLocationChunks = 512;  // 4 MiB per account

}  // namespace

Task<Status> Account::start() {
  bool indexed = false;
  if (const auto clean = journal_->clean(); clean) {
    indexed =
        co_await index_->open(*clean, journal_->last_seq(), journal_->made_of(clean->seq), state_);
    // The newest chunk of places is extended by the next message.
    if (indexed)
      indexed = co_await index_->load_locations(Locations::chunk_of(state_.next_message()),
                                                state_.next_message(), locations_);
  }
  if (!indexed) {
    CO_TRY_STATUS(co_await rebuild());
  }
  CO_TRY_STATUS(is_of_user(state_));
  locations_.begin_after(state_.seq());
  index_->begin_after(state_.seq());
  // Uids and ids of lost records must not be given out again: some are skipped, once.
  const uint64_t damage = journal_->lost();
  const auto unanswered = static_cast<uint32_t>(
      !indexed && damage > state_.damage_answered() ? damage - state_.damage_answered() : 0);
  CO_TRY_STATUS(co_await pay_owed(unanswered));
  if (!state_.mailbox("INBOX")) {
    CO_TRY_STATUS(co_await make_standard_mailboxes());
  }
  kept_from_ = StructureFiles::chunk_of(state_.next_message());
  co_return Status();
}

// Looked at before anything is changed.
Status Account::is_of_user(const AccountState& state) const {
  const auto& owner = state.named().user;
  if (owner.empty() || owner == user_) return {};
  return fail(Fault::storage, "temporary failure",
              fail_owner(account_path(user_), owner, user_).error().detail(), "UNAVAILABLE");
}

// Reads the whole journal (its footers where there are some) into a new state.
Task<Status> Account::fold_journal(AccountState& state, Locations& locations,
                                   ExpungeHistory& history) {
  TimeSlice slice(loop_);
  while (true) {
    CO_TRY(const auto events, co_await journal_->read_from(state.seq() + 1));
    if (events.empty()) {
      state.advance(journal_->last_seq());
      co_return Status();
    }
    for (const auto& event : events) {
      if (slice.step() || of_many(event.record)) co_await slice.spend();
      state.apply(event);
      locations.follow(event, {}, state);
      history.follow(event, {}, state);
    }
  }
}

Task<Status> Account::rebuild() {
  const auto lock = co_await rebuilding_.lock();
  AccountState fresh;
  Locations places;
  std::string aside;
  ExpungeHistory history;
  CO_TRY_STATUS(co_await fold_journal(fresh, places, history));
  if (state_.seq() == 0) {
    CO_TRY_STATUS(is_of_user(fresh));
    aside = co_await heed_evidence(fresh, places, history);
    partial_ = journal_->incomplete();
    state_ = std::move(fresh);
    locations_ = std::move(places);
    if (state_.orphans() > 0)
      log::warn("", "account {}: {} records are about messages or mailboxes that were lost",
                log::quoted(user_), state_.orphans());
  } else {
    // The account is in use: loaded mailboxes are as they should be, the others are taken from
    // the journal. They can not have changed meanwhile, because every change loads first.
    if (lost_something()) {
      // What they are called and which numbers they gave out stays.
      Snapshot right = state_.snapshot();
      right.whole = true;
      fresh.apply({.seq = fresh.seq(),
                   .time = 0,
                   .location = {},
                   .dropped = false,
                   .record = std::move(right)});
      partial_ = partial_ || journal_->incomplete();
      if (!co_await index_->keeps_one()) aside = place_aside(state_.seq());
    }
    for (const auto& [id, mailbox] : state_.mailboxes()) {
      if (AccountState::loaded(*mailbox)) continue;
      const Uid claimed = mailbox->info().first_recent;
      state_.take_messages(id, fresh);
      state_.claim_recent(id, claimed);
    }
    for (uint64_t n = 0; n <= Locations::chunk_of(state_.next_message()); n++) {
      const auto* right = places.find(n);
      if (!right) continue;
      auto& chunk = locations_.make(n);
      for (size_t i = 0; i < Locations::kPerChunk; i++) {
        if (right->at[i].segment != 0) chunk.at[i] = right->at[i];
      }
      chunk.verified.reset();
      chunk.dirty = true;
    }
  }
  co_await index_->reset(state_, std::move(history), aside, owed_.has_value());
  // If it could not be moved, it stays where it is, and the next opening finds it again.
  if (!aside.empty() && !index_->broken())
    log::error("", "account {}: the index that knew more is kept as quarantine/{}",
               log::quoted(user_), aside);
  co_return Status();
}

Task<Result<std::shared_ptr<Mailbox>>> Account::load(MailboxId id) {
  auto mailbox = state_.mailbox(id);
  if (!mailbox) co_return fail(Fault::not_found, "no such mailbox", {}, "NONEXISTENT");
  if (AccountState::loaded(*mailbox)) co_return mailbox;
  if (!co_await index_->load(mailbox)) {
    CO_TRY_STATUS(co_await rebuild());
  }
  if (!AccountState::loaded(*mailbox))
    co_return fail(Fault::not_found, "no such mailbox", "removed while it was loaded",
                   "NONEXISTENT");
  co_return mailbox;
}

Task<Result<std::shared_ptr<const Mailbox>>> Account::open_mailbox(MailboxId id) {
  if (failure_ || closing_) co_return unusable();
  CO_TRY(auto mailbox, co_await load(id));
  if (mailbox->info().noselect)
    co_return fail(Fault::refused, "the name can not be selected", {}, "NONEXISTENT");
  co_return std::shared_ptr<const Mailbox>(std::move(mailbox));
}

Task<Result<std::vector<UidRange>>> Account::vanished(MailboxId id, ModSeq since) {
  if (failure_ || closing_) co_return unusable();
  const auto* info = find(id);
  if (!info) co_return fail(Fault::not_found, "no such mailbox", {}, "NONEXISTENT");
  if (info->highest_modseq <= since) co_return std::vector<UidRange>();
  CO_TRY(const auto pin, co_await load(id));
  auto gone = co_await index_->vanished(id, since);
  if (!gone) {
    CO_TRY_STATUS(co_await rebuild());
    gone = co_await index_->vanished(id, since);
  }
  if (!gone) co_return fail(Fault::storage, "temporary failure", "index of " + user_);
  co_return *std::move(gone);
}

// As the account record will say it, if there is none yet.
std::string Account::id() const {
  return state_.named().id.empty() ? journal_->account_id() : state_.named().id;
}

std::string Account::object_id() const { return account_object_id(id()); }

std::string Account::object_id(MailboxId mailbox) const { return mailbox_object_id(id(), mailbox); }

std::string Account::object_id(MessageId message) const { return email_object_id(id(), message); }

std::optional<MessageId> Account::message_of(std::string_view object_id) const {
  return message_of_email_id(id(), object_id);
}

std::vector<const MailboxInfo*> Account::mailboxes() const {
  std::vector<const MailboxInfo*> list;
  list.reserve(state_.names().size());
  if (const auto* inbox = find("INBOX")) list.push_back(inbox);
  for (const auto& [name, id] : state_.names()) {
    if (name != "INBOX") list.push_back(&state_.mailbox(id)->info());
  }
  return list;
}

const MailboxInfo* Account::find(std::string_view name) const {
  const auto mailbox = state_.mailbox(canonical_name(name));
  return mailbox ? &mailbox->info() : nullptr;
}

const MailboxInfo* Account::find(MailboxId id) const {
  const auto mailbox = state_.mailbox(id);
  return mailbox ? &mailbox->info() : nullptr;
}

Uid Account::claim_recent(MailboxId id) {
  const auto mailbox = state_.mailbox(id);
  if (!mailbox) return Uid(UINT32_MAX);
  const Uid first = mailbox->info().first_recent;
  const Uid next = mailbox->info().uidnext;
  // When the account closes, the index could have a claim that the journal does not know.
  if (first < next && AccountState::loaded(*mailbox) && !closing_) {
    state_.claim_recent(id, next);
    recent_claims_[id] = next;
    index_->note_counters(id);
  }
  return first;
}

Task<Status> Account::reach_chunk(uint64_t number) {
  if (locations_.find(number) ||
      co_await index_->load_locations(number, state_.next_message(), locations_))
    co_return Status();
  co_return co_await rebuild();
}

bool Account::is_listed(MessageId message) const {
  return std::ranges::any_of(state_.mailboxes(), [message](const auto& item) {
    return std::ranges::find(item.second->messages(), message, &MessageEntry::message) !=
           item.second->messages().end();
  });
}

Task<Status> Account::locate(MessageId message, Location& at, bool& verified) {
  const uint64_t number = Locations::chunk_of(message);
  if (message >= state_.next_message())
    co_return fail(Fault::not_found, "no such message", {}, "EXPUNGEISSUED");
  CO_TRY_STATUS(co_await reach_chunk(number));
  const auto* chunk = locations_.find(number);
  const size_t slot = message.value % Locations::kPerChunk;
  if (!chunk || chunk->at[slot].segment == 0) {
    // What a mailbox has is never given back.
    if (is_listed(message))
      co_return fail(Fault::storage, "the message is lost",
                     fmt::format("account {}: the record of message {} is lost; restore it from a "
                                 "backup (rims-ctl restore)",
                                 log::quoted(user_), message.value),
                     "UNAVAILABLE");
    co_return fail(Fault::not_found, "no such message", {}, "EXPUNGEISSUED");
  }
  at = chunk->at[slot];
  verified = chunk->verified[slot];
  co_return Status();
}

Task<Result<std::string>> Account::read_part(MessageId message, Part part, uint64_t offset,
                                             uint64_t length) {
  if (failure_ || shut_) co_return unusable();
  Location at;
  bool verified = false;
  CO_TRY_STATUS(co_await locate(message, at, verified));
  const bool before = verified;
  auto bytes = co_await journal_->read(at, message, part, offset, length, &verified);
  if (!bytes) {
    // Its segment may have been replaced meanwhile.
    Location now;
    CO_TRY_STATUS(co_await locate(message, now, verified));
    if (now != at) {
      at = now;
      bytes = co_await journal_->read(at, message, part, offset, length, &verified);
    }
  }
  if (!bytes && !before && !lost_something() && !std::exchange(places_doubted_, true)) {
    // Once per opening: it may be the index that names a wrong place.
    log::warn("", "account {}: {}; the index is rebuilt", log::quoted(user_),
              bytes.error().detail());
    CO_TRY_STATUS(co_await rebuild());
    CO_TRY_STATUS(co_await locate(message, at, verified));
    bytes = co_await journal_->read(at, message, part, offset, length, &verified);
  }
  if (verified && !before) {
    const size_t slot = message.value % Locations::kPerChunk;
    auto* chunk = locations_.find(Locations::chunk_of(message));
    if (chunk && chunk->at[slot] == at) chunk->verified.set(slot);
  }
  co_return bytes;
}

Task<Result<std::string>> Account::read(MessageId message, uint64_t offset, uint64_t length) {
  return read_part(message, Part::message, offset, length);
}

Task<Result<std::string>> Account::read_structure(MessageId message) {
  return read_part(message, Part::structure, 0, UINT64_MAX);
}

void Account::unlisten(Listener* listener) {
  const auto found = std::ranges::find(listeners_, listener);
  if (found == listeners_.end()) return;
  if (telling_)
    *found = nullptr;
  else
    listeners_.erase(found);
}

void Account::tell(const Change& change, const void* origin) {
  const bool outer = !std::exchange(telling_, true);
  const ModSeq modseq(state_.seq());
  for (size_t i = 0; i < listeners_.size(); i++) {
    Listener* listener = listeners_[i];
    if (!listener) continue;
    switch (change.kind) {
      case Change::Kind::appended:
        listener->appended(change.mailbox, change.uids, origin);
        break;
      case Change::Kind::flags:
        listener->flags_changed(change.mailbox, change.uids, modseq, origin);
        break;
      case Change::Kind::expunged:
        listener->expunged(change.mailbox, change.uids, modseq, origin);
        break;
      case Change::Kind::annotated:
        listener->annotated(change, origin);
        break;
      case Change::Kind::renumbered:
        break;
      default:
        listener->mailbox_changed(change, origin);
        break;
    }
  }
  if (outer) {
    telling_ = false;
    std::erase(listeners_, nullptr);
  }
}

// Until nothing waits: what changes while we write is written too.
Task<Status> Account::write_index() {
  while (!index_->broken() && (!index_->clean() || !locations_.dirty().empty()))
    co_await index_->flush(state_, locations_);
  if (index_->broken()) co_return fail(Fault::storage, "temporary failure", "index");
  co_return Status();
}

Task<void> Account::tidy() {
  if (failure_ || closing_) co_return;
  // A claim of \Recent gets its record first: where a power loss takes the mark that the index is
  // being changed, it must not have what the journal does not say.
  if (!recent_claims_.empty()) {
    (void)co_await commit([](Plan&) -> Result<Built> { return Built::nothing; }, {});
    while (committing_) co_await idle_.wait();
    if (failure_ || closing_) co_return;
  }
  if (!index_->clean()) co_await index_->flush(state_, locations_);
  if (!compacting_) locations_.trim(kLocationChunks, Locations::chunk_of(state_.next_message()));
  std::vector<MailboxId> idle;
  for (const auto& [id, mailbox] : state_.mailboxes()) {
    // One holder: the state itself.
    if (mailbox.use_count() != 1 || !AccountState::loaded(*mailbox) || !index_->clean(id)) continue;
    AccountState::unload(*mailbox);
    idle.push_back(id);
  }
  for (const MailboxId id : idle) co_await index_->release(id);
  keep_new_structures();
  co_await structures_->release();
}

Task<void> Account::shut() {
  if (shut_) co_return;
  closing_ = true;
  while (compacting_) co_await compacted_.wait();
  unkept_.clear();  // what was only looked at can wait
  while (keeping_) co_await kept_.wait();
  while (committing_) co_await idle_.wait();
  keep_new_structures();
  while (keeping_) co_await kept_.wait();
  if (!failure_) {
    closing_ = false;
    // Claims of \Recent that nothing has carried along yet.
    for (int tries = 0; tries < 8 && !failure_ && !recent_claims_.empty(); tries++)
      (void)co_await commit([](Plan&) -> Result<Built> { return Built::nothing; }, {});
    closing_ = true;
    while (committing_) co_await idle_.wait();
  }
  // A journal that ends in CLEAN, and an index that has not changed: nothing to do.
  const bool changed = !index_->clean() || !locations_.dirty().empty() || !journal_->clean();
  // A claim that found no room is in the index only: such an index is not vouched for. Nor is one
  // that lacks what the next opening may find, or must write.
  if (!failure_ && changed && !partial_ && !owed_ && recent_claims_.empty() &&
      co_await write_index()) {
    const std::string id = random_bytes(16);
    if (co_await index_->checkpoint(state_, id, journal_->made_of(state_.seq()))) {
      Plan plan(state_, now());
      plan.add(Clean{state_.seq(), id});
      // Without it the index is rebuilt at the next opening: no harm.
      auto marked = co_await journal_->append(state_.seq(), plan.finish(*journal_));
      if (!marked) log::warn("", "account {}: {}", log::quoted(user_), marked.error().detail());
    }
  }
  shut_ = true;
  if (!failure_) failure_.emplace(unusable().error());
  co_await structures_->close();
  co_await index_->close();
  co_await journal_->close();
}

void Account::tell_closed() {
  for (size_t i = 0; i < listeners_.size(); i++) {
    if (listeners_[i]) listeners_[i]->account_failed(*failure_);
  }
}

Task<Result<const AccountState*>> Account::whole_state() {
  if (failure_ || closing_) co_return unusable();
  CO_TRY(const auto pins, co_await load_all());
  co_return &state_;
}

Task<Result<std::vector<std::shared_ptr<Mailbox>>>> Account::load_all() {
  std::vector<std::shared_ptr<Mailbox>> pins;
  std::vector<MailboxId> ids;
  for (const auto& [id, mailbox] : state_.mailboxes()) ids.push_back(id);
  for (const MailboxId id : ids) {
    CO_TRY(auto pin, co_await load(id));
    pins.push_back(std::move(pin));
  }
  co_return pins;
}

Task<Result<std::vector<std::string>>> Account::check() {
  if (!recent_claims_.empty()) {
    CO_TRY_STATUS(co_await commit([](Plan&) -> Result<Built> { return Built::nothing; }, {}));
  }
  while (committing_) co_await idle_.wait();
  const auto settled = co_await settling_.lock();
  CO_TRY(const AccountState* whole, co_await whole_state());
  const auto pins = whole->mailboxes();  // they stay loaded while we wait
  std::vector<std::string> broken = state_.broken_invariants();
  const uint64_t seq = state_.seq();
  AccountState fresh;
  Locations places;
  ExpungeHistory history;
  CO_TRY_STATUS(co_await fold_journal(fresh, places, history));
  // A commit that began meanwhile is ahead of one of the two.
  if (!committing_ && state_.seq() == seq && recent_claims_.empty()) {
    if (const auto different = state_.difference(fresh); !different.empty())
      broken.push_back("invariant 11: the state is what the journal says: " + different);
    if (state_.lost_numbers() != fresh.lost_numbers())
      broken.emplace_back("invariant 11: the state is what the journal says: lost numbers");
  }
  for (const auto& [id, mailbox] : fresh.mailboxes()) {
    const auto gone = co_await vanished(id, ModSeq());
    if (!committing_ && state_.seq() == seq && (!gone || *gone != history.vanished(id, ModSeq())))
      broken.push_back(fmt::format("invariant 14: {}: the expunged uids are what the journal says",
                                   mailbox->info().name));
    for (const auto& e : mailbox->messages()) {
      Location at;
      bool verified = false;
      if (auto located = co_await locate(e.message, at, verified); !located) {
        broken.push_back(fmt::format("invariant 12: {} uid {}: its bytes have a place",
                                     mailbox->info().name, e.uid.value));
        continue;
      }
      const auto* chunk = places.find(Locations::chunk_of(e.message));
      if (!chunk || chunk->at[e.message.value % Locations::kPerChunk] != at)
        broken.push_back(fmt::format("invariant 12: {} uid {}: the place is the journal's",
                                     mailbox->info().name, e.uid.value));
      verified = false;
      auto bytes = co_await journal_->read(at, e.message, Part::message, 0, UINT64_MAX, &verified);
      if (!bytes)
        broken.push_back(fmt::format("invariant 13: {} uid {}: its bytes are sound: {}",
                                     mailbox->info().name, e.uid.value, bytes.error().detail()));
      else if (bytes->size() != e.size)
        broken.push_back(fmt::format("invariant 13: {} uid {}: the size is that of the bytes",
                                     mailbox->info().name, e.uid.value));
    }
  }
  co_return broken;
}

}  // namespace rims::store
