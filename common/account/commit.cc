// common/account/commit.cc - group commit: one write, one flush for all changes that wait together
//
// Invariants
//   1. state_ holds durable records only (and claims of \Recent).
//   2. one append is under way at a time; what is queued meanwhile goes into the next one.
//   3. a builder runs again after a lost race; its last run is the one that counts.
//   4. after an error of the journal nothing is appended any more; "no room" is none.
//   5. from the first builder to the last record that is folded nothing else changes state_ (but
//      claims), though the loop runs others.

#include <algorithm>

#include <fmt/format.h>

#include "common/account/account.h"
#include "common/base/log.h"

namespace rims::store {

struct Account::Op {
  Op(Loop& loop, AnyBuilder b, std::vector<std::shared_ptr<Mailbox>> p, const void* o)
      : build(std::move(b)), pins(std::move(p)), origin(o), done(loop) {}
  AnyBuilder build;
  std::vector<std::shared_ptr<Mailbox>> pins;
  const void* origin;
  Event done;
  std::optional<Status> result;

  void finish(Status status) {
    result.emplace(std::move(status));
    done.set();
  }
};

Account::Account(Loop& loop, IoPool& pool, std::string user, const Limits& limits,
                 std::function<int64_t()> clock, std::unique_ptr<Journal> journal,
                 std::unique_ptr<Index> index, std::unique_ptr<StructureFiles> structures,
                 const message::Limits& structure_limits)
    : loop_(loop),
      pool_(pool),
      user_(std::move(user)),
      limits_(limits),
      clock_(std::move(clock)),
      journal_(std::move(journal)),
      index_(std::move(index)),
      structures_(std::move(structures)),
      structure_limits_(structure_limits),
      idle_(loop),
      rebuilding_(loop),
      sealing_(loop),
      paying_(loop),
      compacted_(loop),
      settling_(loop),
      kept_(loop),
      scope_(loop) {
  set_limits(limits);
  idle_.set();
  compacted_.set();
  kept_.set();
}

Account::~Account() = default;

void Account::set_limits(const Limits& limits) {
  limits_ = limits;
  // It fits the index's table.
  limits_.keyword_bytes = std::min(limits_.keyword_bytes, kLongestKeyword);
  limits_.keywords = std::min(limits_.keywords, kMaxKeywords);
  limits_.name_bytes = std::min<size_t>(limits_.name_bytes, 4000);
}

uint32_t Account::now() const {
  return static_cast<uint32_t>(std::clamp<int64_t>(clock_(), 1, UINT32_MAX));
}

std::unexpected<Error> Account::unusable() const {
  if (failure_) return std::unexpected(*failure_);
  if (given_away_)
    return fail(Fault::storage, "the mailboxes are being maintained, try again later",
                "a tool has asked for the account of " + user_, "UNAVAILABLE");
  return fail(Fault::storage, "temporary failure", "the account of " + user_ + " is closed",
              "UNAVAILABLE");
}

Task<Status> Account::commit(AnyBuilder build, std::vector<std::shared_ptr<Mailbox>> pins,
                             const void* origin) {
  if (failure_ || closing_) co_return unusable();
  if (owed_) {
    CO_TRY_STATUS(co_await pay());
  }
  co_return co_await enqueue(std::move(build), std::move(pins), origin);
}

Task<Status> Account::enqueue(AnyBuilder build, std::vector<std::shared_ptr<Mailbox>> pins,
                              const void* origin) {
  if (failure_ || closing_) co_return unusable();
  const auto op = std::make_shared<Op>(loop_, std::move(build), std::move(pins), origin);
  queue_.push_back(op);
  if (!committing_) {
    committing_ = true;
    idle_.clear();
    scope_.spawn(run_commits());
  }
  if (!op->result) co_await op->done.wait();
  co_return *op->result;
}

Task<void> Account::run_commits() {
  while (!queue_.empty() && !failure_) {
    if (auto status = co_await write_one_commit(); !status) poison(status.error());
  }
  // It may have failed elsewhere while these were looked at.
  if (failure_) {
    for (const auto& op : std::exchange(queue_, {})) op->finish(std::unexpected(*failure_));
  }
  committing_ = false;
  idle_.set();
}

Task<Result<Built>> Account::build(Op& op, Plan& plan, TimeSlice& slice) {
  if (const auto* at_once = std::get_if<Builder>(&op.build)) co_return (*at_once)(plan);
  co_return co_await std::get<LongBuilder>(op.build)(plan, slice);
}

Task<Status> Account::write_one_commit() {
  // What begins a segment stands in front of a commit: none may be sealed until it is written.
  const auto turn = co_await sealing_.lock();
  Plan plan(state_, now());
  std::vector<std::shared_ptr<Op>> batch;
  std::vector<const void*> origins;  // one per draft
  TimeSlice slice(loop_);
  while (!queue_.empty() && !plan.full()) {
    const auto op = queue_.front();
    queue_.pop_front();
    auto built = co_await build(*op, plan, slice);
    if (built && *built == Built::later) {
      queue_.push_front(op);
      break;
    }
    origins.resize(plan.drafts().size(), op->origin);
    if (!built)
      op->finish(std::unexpected(built.error()));
    else if (*built == Built::nothing)
      op->finish({});
    else
      batch.push_back(op);
  }
  const auto claims = std::exchange(recent_claims_, {});
  for (const auto& [id, first] : claims) {
    if (state_.mailbox(id)) plan.add(Recent{id, first});
  }
  if (plan.empty()) co_return Status();
  const bool names = std::ranges::any_of(
      plan.drafts(), [](const Draft& d) { return d.type == RecordType::account; });
  if (state_.named().user.empty() && !names) plan.add(AccountNamed{user_, id()});
  auto& drafts = plan.finish(*journal_);
  // In front there may be a snapshot, behind what was said again: nobody's.
  origins.insert(origins.begin(), plan.in_front(), nullptr);
  origins.resize(drafts.size());

  auto appended = co_await journal_->append(state_.seq(), drafts);
  if (!appended) {
    for (const auto& op : batch) op->finish(std::unexpected(appended.error()));
    co_return std::unexpected(appended.error());
  }
  if (appended->lost_race || appended->no_room) {
    for (const auto& [id, first] : claims) {
      auto& claimed = recent_claims_[id];
      claimed = std::max(claimed, first);
    }
  }
  if (appended->no_room) {
    for (const auto& op : batch) op->finish(std::unexpected(*appended->no_room));
    co_return Status();
  }
  if (appended->lost_race) {
    queue_.insert(queue_.begin(), batch.begin(), batch.end());
    log::debug("", "account {}: another writer was faster after {}", log::quoted(user_),
               state_.seq());
    const uint64_t before = state_.seq();
    CO_TRY_STATUS(co_await catch_up());
    if (state_.seq() == before)
      co_return fail(Fault::storage, "temporary failure", "a race was lost to nobody");
    co_return Status();
  }

  TimeSlice folding(loop_);
  for (size_t i = 0; i < drafts.size(); i++) {
    fold({.seq = state_.seq() + 1,
          .time = drafts[i].time,
          .location = appended->locations[i],
          .dropped = false,
          .record = std::move(drafts[i].record)},
         origins[i]);
    drafts[i] = {};  // the next ones need the memory
    if (i + 1 < drafts.size()) co_await folding.spend();
  }
  for (const auto& op : batch) op->finish({});
  co_return Status();
}

Task<Status> Account::catch_up() {
  TimeSlice slice(loop_);
  while (true) {
    CO_TRY(const auto events, co_await journal_->read_from(state_.seq() + 1));
    if (events.empty()) co_return Status();
    for (const auto& event : events) {
      std::vector<std::shared_ptr<Mailbox>> pins;
      for (const MailboxId id : mailboxes_needed(event.record)) {
        if (!state_.mailbox(id)) continue;
        CO_TRY(auto pin, co_await load(id));
        pins.push_back(std::move(pin));
      }
      fold(event, nullptr);
      co_await slice.spend();
    }
  }
}

namespace {

// Of the mailbox that this record takes messages from.
uint64_t bytes_that_may_go(const AccountState& state, const JournalEvent& event) {
  MailboxId id;
  if (const auto* expunge = std::get_if<Expunge>(&event.record)) id = expunge->mailbox;
  if (const auto* removed = std::get_if<MailboxRemoved>(&event.record)) id = removed->id;
  const auto mailbox = state.mailbox(id);
  return mailbox ? mailbox->info().bytes : 0;
}

}  // namespace

// An entry for a message that a compaction has found dead: it must not go on.
void Account::note_revived(const Copy& copy) {
  if (dropping_.empty()) return;
  for (const auto& item : copy.items)
    spoiled_ = spoiled_ || std::ranges::binary_search(dropping_, item.entry.message);
}

// One durable record: state, then all who follow the journal.
void Account::fold(const JournalEvent& event, const void* origin) {
  std::vector<Change> changes;
  const uint64_t before = bytes_that_may_go(state_, event);
  state_.apply(event, &changes);
  if (before > 0) {
    if (expunged_.bytes == 0) expunged_.since = event.time;
    const auto after = bytes_that_may_go(state_, event);
    expunged_.bytes += before - std::min(before, after);
  }
  if (const auto* copy = std::get_if<Copy>(&event.record)) note_revived(*copy);
  if (const auto* made = std::get_if<MailboxCreated>(&event.record); made && validities_)
    validities_->insert(made->uidvalidity);
  for (Projection* projection : followers()) projection->follow(event, changes, state_);
  for (const auto& change : changes) tell(change, origin);
}

void Account::poison(const Error& error) {
  if (failure_) return;
  failure_.emplace(Fault::storage, "temporary failure", error.detail(), "UNAVAILABLE");
  log::error("", "account {}: {}; it is closed and read again from the disk", log::quoted(user_),
             error.detail());
  for (const auto& op : std::exchange(queue_, {})) op->finish(std::unexpected(*failure_));
  tell_closed();
}

}  // namespace rims::store
