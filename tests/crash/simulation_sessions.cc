// tests/crash/simulation_sessions.cc - who changes the account, and who is told. See simulation.h

#include <algorithm>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "common/account/account.h"
#include "tests/crash/simulation.h"

namespace rims::store {
namespace {

std::vector<uint32_t> numbers(std::span<const Uid> uids) {
  std::vector<uint32_t> list;
  for (const Uid uid : uids) list.push_back(uid.value);
  return list;
}
std::vector<Uid> to_uids(const std::vector<uint32_t>& numbers) {
  std::vector<Uid> list;
  for (const uint32_t n : numbers) list.emplace_back(n);
  return list;
}

}  // namespace

// --- listeners ---

void Simulation::told(Told::Kind kind, MailboxId id, std::span<const Uid> uids,
                      const void* origin) {
  if (failed()) return;
  if (expected_.empty()) {
    OperationRef op;
    if (origin) {
      const auto found =
          std::ranges::find_if(flying_, [&](const auto& o) { return o.get() == origin; });
      if (found == flying_.end()) return fail_with("listeners are told of an operation twice");
      op = *found;
    } else if (kind == Told::Kind::mailboxes) {
      op = names_;
      if (!op) return fail_with("listeners are told of names that nobody has changed");
    } else {
      // Those that another writer wrote, in order; some change nothing.
      while (!op && !intruded_.empty()) {
        Model copy = model_;
        Operation trial = *intruded_.front();
        if (!copy.apply(trial).empty()) op = intruded_.front();
        intruded_.pop_front();
      }
      if (!op) return fail_with("listeners are told of a change that nobody has made");
    }
    const auto all = model_.apply(*op);
    expected_.assign(all.begin(), all.end());
    op->folded = true;
    std::erase(flying_, op);
    folds_++;
    if (expected_.empty()) return fail_with("a change for nothing: " + to_string(*op));
  }
  Told now{kind, {}, numbers(uids)};
  if (kind != Told::Kind::mailboxes) {
    const auto* name = model_.name_of(id.value);
    now.mailbox = name ? *name : "?";
  } else {
    // New ones have an id now.
    for (auto& [name, box] : model_.mailboxes) {
      if (box.id != 0) continue;
      const auto* info = account_->find(name);
      if (!info) return fail_with("a mailbox is not there when listeners are told");
      box.id = info->id.value;
      box.uidvalidity = info->uidvalidity.value;
      if (!uidvalidities_.insert(box.uidvalidity).second)
        return fail_with("a uidvalidity was given out twice");
    }
  }
  if (now != expected_.front())
    return fail_with("listeners are told " + to_string(now) + ", not " +
                     to_string(expected_.front()));
  expected_.pop_front();
  const uint64_t modseq = account_->modseq().value;
  if (modseq < modseq_ || (kind != Told::Kind::mailboxes && modseq == modseq_))
    return fail_with("modseq does not grow");
  modseq_ = modseq;
  trace_.mix(modseq);
  if (kind == Told::Kind::mailboxes || kind == Told::Kind::annotated) return;
  auto& box = model_.mailboxes[now.mailbox];
  box.highest = modseq;
  for (const uint32_t uid : now.uids) {
    if (const auto m = box.messages.find(uid); m != box.messages.end()) m->second.modseq = modseq;
  }
}

void Simulation::appended(MailboxId id, std::span<const Uid> uids, const void* origin) {
  told(Told::Kind::appended, id, uids, origin);
}
void Simulation::flags_changed(MailboxId id, std::span<const Uid> uids, ModSeq,
                               const void* origin) {
  told(Told::Kind::flags, id, uids, origin);
}
void Simulation::expunged(MailboxId id, std::span<const Uid> uids, ModSeq, const void* origin) {
  told(Told::Kind::expunged, id, uids, origin);
}
void Simulation::mailbox_changed(const Change&, const void*) {
  told(Told::Kind::mailboxes, MailboxId(), {}, nullptr);
}
void Simulation::annotated(const Change& change, const void* origin) {
  told(Told::Kind::annotated, change.mailbox, {}, origin);
}

// --- sessions ---

std::vector<uint32_t> Simulation::some_uids(const ModelMailbox& mailbox) {
  std::set<uint32_t> list;
  if (chance(80) && !mailbox.messages.empty()) {
    // Those that are there, mostly.
    auto it = mailbox.messages.begin();
    std::advance(it, pick(mailbox.messages.size()));
    for (uint32_t i = 1 + pick(churns() ? 12 : 4); i > 0 && it != mailbox.messages.end(); i--, ++it)
      list.insert(it->first);
  } else {
    // None that is given out only now: whether an operation that waits sees it is open.
    for (uint32_t i = 1 + pick(4); i > 0 && mailbox.uidnext > 1; i--)
      list.insert(1 + pick(mailbox.uidnext - 1));
  }
  return {list.begin(), list.end()};
}

Simulation::OperationRef Simulation::think() {
  using Kind = Operation::Kind;
  static const char* const kWords[] = {"$Junk", "Work", "todo", "later", "$Forwarded"};
  static const char* const kEntries[] = {"/private/comment", "/private/devicetoken",
                                         "/shared/comment", "/shared/vendor/kolab/color"};
  static const char* const kNames[] = {"m0", "m1", "m2", "m3", "m4"};
  auto op = std::make_shared<Operation>();
  std::vector<std::string> names;
  for (const auto& [name, box] : model_.mailboxes) {
    if (box.id != 0) names.push_back(name);
  }
  // Few mailboxes have most of the mail.
  op->mailbox = chance(50) ? "INBOX" : names[pick(names.size())];
  op->to = names[pick(names.size())];
  const auto& box = model_.mailboxes[op->mailbox];
  op->mailbox_id = box.id;
  op->to_id = model_.mailboxes[op->to].id;
  op->op = static_cast<FlagOp>(pick(3));
  op->flags = static_cast<uint8_t>(pick(32));
  for (uint32_t i = pick(3); i > 0; i--) op->keywords.insert(kWords[pick(5)]);
  // In the order of the kinds: below which number of a hundred.
  static constexpr uint32_t kMixed[] = {37, 57, 67, 74, 81, 85, 89, 92, 94, 97, 99, 100};
  static constexpr uint32_t kChurn[] = {43, 48, 78, 82, 85, 87, 91, 93, 95, 97, 99, 100};
  static constexpr uint32_t kStops[] = {27, 49, 55, 60, 64, 69, 72, 84, 87, 94, 98, 100};
  const uint32_t dice = pick(100);
  const auto& odds = churns() ? kChurn : stops() ? kStops : kMixed;
  op->kind = static_cast<Kind>(std::ranges::upper_bound(odds, dice) - odds);
  if (op->kind >= Kind::create) {
    if (names_) op->kind = Kind::flags;  // one at a time
  }
  if (op->kind == Kind::append) {
    for (uint32_t i = chance(cuts() ? 40 : 80) ? 1 : 1 + pick(4); i > 0; i--)
      op->numbers.push_back(next_number_++);
  } else if (op->kind == Kind::annotate) {
    for (uint32_t i = 1 + pick(3); i > 0; i--) {
      auto& value = op->annotations[kEntries[pick(4)]];
      // Often as long as the one before it, so that only its bytes tell them apart.
      const size_t size = chance(30) ? 0 : chance(10) ? 1 + pick(9000) : 20;
      value.assign(size, "abc\0"[pick(4)]);
    }
  } else if (op->kind < Kind::create) {
    op->uids = some_uids(box);
    if (op->kind == Kind::flags && chance(15)) op->unchanged_since = modseq_ - pick(6);
    if (op->kind == Kind::replace) {
      op->uids.resize(1, 1);
      op->numbers.push_back(next_number_++);
    }
  } else {
    op->mailbox_id = op->to_id = 0;
    if (op->kind == Kind::create) op->mailbox = kNames[pick(5)];
    if (op->kind == Kind::rename || op->kind == Kind::subscribe) op->to = kNames[pick(5)];
    if (op->kind == Kind::rename && op->mailbox == "INBOX" && chance(70)) op->mailbox = op->to;
    names_ = op;
  }
  return op;
}

// Another node writes flags behind the owner's back.
void Simulation::intrude() {
  auto op = std::make_shared<Operation>();
  op->kind = Operation::Kind::flags;
  op->op = static_cast<FlagOp>(pick(2) + 1);
  op->flags = static_cast<uint8_t>(1 + pick(31));
  const auto box = model_.mailboxes.find("INBOX");
  op->mailbox_id = box->second.id;
  const uint32_t first = 1 + pick(box->second.uidnext);
  Flags record{.mailbox = MailboxId(op->mailbox_id),
               .op = op->op,
               .flags = op->flags,
               .keywords = {},
               .ranges = {{first, first + 2}}};
  // Such a record changes every message in its ranges, whatever its flags were: only those are
  // told apart here that it really changes.
  for (uint32_t uid = first; uid <= first + 2; uid++) op->uids.push_back(uid);
  Model copy = model_;
  Operation trial = *op;
  if (!intruded_.empty() || copy.apply(trial).empty()) return;
  record.ranges = to_ranges(to_uids(trial.result));
  op->uids = trial.result;
  if (!flying_.empty()) {
    // Only while nobody else may change the same: the model must know what it does.
    return;
  }
  journals_.intrude(kUser, record);
  intruded_.push_back(std::move(op));
  tally_.races++;
}

NewMessage Simulation::message_of(const Operation& op, uint32_t number) const {
  NewMessage m;
  m.bytes = MessageBytes(text_of(run_, number));
  m.structure = structure_of(number);
  m.flags = op.flags;
  m.keywords.assign(op.keywords.begin(), op.keywords.end());
  m.date = 1'000'000'000 + number;
  return m;
}

Task<Status> Simulation::perform(std::shared_ptr<Account> account, OperationRef op) {
  using Kind = Operation::Kind;
  const MailboxId id(op->mailbox_id), to(op->to_id);
  const void* origin = op.get();
  switch (op->kind) {
    case Kind::append: {
      std::vector<NewMessage> list;
      for (const uint32_t number : op->numbers) list.push_back(message_of(*op, number));
      CO_TRY(const Appended done, co_await account->append(id, std::move(list), origin));
      if (!op->folded || numbers(done.uids) != op->result) fail_with("append: other uids");
      break;
    }
    case Kind::replace: {
      CO_TRY(const Appended done,
             co_await account->replace(id, Uid(op->uids.front()), to,
                                       message_of(*op, op->numbers.front()), origin));
      if (!op->folded || numbers(done.uids) != op->result) fail_with("replace: other uids");
      break;
    }
    case Kind::flags: {
      FlagChange change{.uids = to_uids(op->uids),
                        .op = op->op,
                        .flags = op->flags,
                        .keywords = {op->keywords.begin(), op->keywords.end()},
                        .unchanged_since = {}};
      if (op->unchanged_since != UINT64_MAX) change.unchanged_since = ModSeq(op->unchanged_since);
      CO_TRY(const auto outcomes, co_await account->change_flags(id, std::move(change), origin));
      for (const auto& outcome : outcomes) {
        if (outcome.verdict == FlagOutcome::Verdict::changed &&
            std::ranges::find(op->result, outcome.uid.value) == op->result.end())
          fail_with("flags: changed and not told");
      }
      break;
    }
    case Kind::expunge: {
      CO_TRY(const auto gone, co_await account->expunge(id, to_uids(op->uids), origin));
      if (numbers(gone) != op->result) fail_with("expunge: other uids");
      break;
    }
    case Kind::copy:
    case Kind::move: {
      CO_TRY(const Copied copied,
             co_await (op->kind == Kind::copy ? account->copy(id, to_uids(op->uids), to, origin)
                                              : account->move(id, to_uids(op->uids), to, origin)));
      std::vector<uint32_t> made;
      for (const auto& pair : copied.uids) made.push_back(pair.second.value);
      if (made != op->result) fail_with("copy: other uids");
      break;
    }
    case Kind::annotate: {
      std::vector<AnnotationChange> changes;
      for (const auto& [name, value] : op->annotations) {
        changes.push_back({.name = name, .value = {}});
        if (!value.empty()) changes.back().value = value;
      }
      co_return co_await account->annotate(id, std::move(changes), origin);
    }
    case Kind::create: {
      CO_TRY([[maybe_unused]] const MailboxId made, co_await account->create(op->mailbox));
      break;
    }
    case Kind::remove:
      co_return co_await account->remove(op->mailbox);
    case Kind::rename:
      co_return co_await account->rename(op->mailbox, op->to);
    case Kind::subscribe:
      co_return co_await account->subscribe(op->mailbox);
    case Kind::unsubscribe:
      co_return co_await account->unsubscribe(op->mailbox);
  }
  co_return Status();
}

Task<void> Simulation::read_one(std::shared_ptr<Account> account) {
  const auto& box = model_.mailboxes["INBOX"];
  if (box.messages.empty()) co_return;
  auto it = box.messages.begin();
  std::advance(it, pick(box.messages.size()));
  const Uid uid(it->first);
  const uint32_t number = it->second.number;
  auto mailbox = co_await account->open_mailbox(MailboxId(box.id));
  const auto* e = mailbox ? (*mailbox)->find(uid) : nullptr;
  if (!e) co_return;
  const auto text = co_await account->read(e->message);
  const bool there = box.messages.contains(uid.value);  // or else its bytes may be gone, too
  if (text ? *text != text_of(run_, number)
           : there && !faulty_ && !disk_.dead() && !account->failed())
    fail_with(fmt::format("INBOX uid {} reads as another message", uid.value));
}

// As the store does it in the background: the index is written behind, memory given back.
Task<void> Simulation::tidy(std::shared_ptr<Account> account) { co_await account->tidy(); }

// As well.
Task<void> Simulation::compact(std::shared_ptr<Account> account, int64_t retention) {
  co_await account->compact({.retention = retention, .small = 0, .longest_pause = 0}, now_);
}

Task<void> Simulation::one(std::shared_ptr<Account> account) {
  if (chance(12)) co_return co_await read_one(std::move(account));
  if (chance(4)) {
    account->claim_recent(account->find("INBOX")->id);
    co_return;
  }
  if (chance(3)) co_return co_await tidy(std::move(account));
  if (churns() && chance(5)) co_return co_await compact(std::move(account), pick(40));
  if (!shape_.files && chance(8)) intrude();
  const auto op = think();
  const uint64_t folds = folds_;
  const bool alone = flying_.empty() && intruded_.empty();
  flying_.push_back(op);
  tally_.operations++;
  trace_.mix(static_cast<uint64_t>(op->kind));
  const auto done = co_await perform(account, op);
  trace_.mix(done ? 1 : 2);
  if (names_ == op) names_.reset();
  const bool unknown = !done && account->failed();
  if (!done && op->folded && !unknown)
    fail_with("refused, but done: " + to_string(*op) + ": " + done.error().detail());
  if (!done && done.error().fault() == Fault::storage && !faulty_ && !opened_in_fault_ &&
      !disk_.dead() && !killed_)
    fail_with("fails for no reason: " + done.error().detail());
  if (!unknown) std::erase(flying_, op);
  // With a MODSEQ that is lost, UNCHANGEDSINCE changes nothing; the model knows no such numbers.
  const bool can_tell =
      op->unchanged_since == UINT64_MAX || account->can_tell_since(ModSeq(op->unchanged_since));
  if (done && alone && !op->folded && folds_ == folds && can_tell) {
    Model copy = model_;
    Operation again = *op;
    if (!copy.apply(again).empty()) fail_with("acknowledged, not done: " + to_string(*op));
  }
}

Task<void> Simulation::session(int operations, bool first) {
  const auto account = account_;
  if (churns() && first && chance(70)) co_await compact(account, 0);
  for (int i = 0; i < operations && !account->failed() && !failed() && !disk_.dead(); i++) {
    for (uint32_t pause = pick(3); pause > 0; pause--) co_await sleep_for(loop_, Milliseconds(0));
    co_await one(account);
  }
  if (--running_ == 0) loop_.stop();
}

}  // namespace rims::store
