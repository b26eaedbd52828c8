// common/account/account_messages.cc - APPEND, REPLACE, COPY, MOVE, STORE, EXPUNGE
//
// A builder looks its mailboxes up again by id each time it runs: after a lost race they may be
// gone or have changed.

#include <algorithm>
#include <ranges>
#include <unordered_map>

#include <fmt/format.h>

#include "common/account/account.h"

namespace rims::store {
namespace {

std::unexpected<Error> try_create() {
  return fail(Fault::not_found, "no such mailbox", {}, "TRYCREATE");
}

std::unexpected<Error> used_up(Uid uid) {
  return fail(Fault::refused, "UID " + std::to_string(uid.value) + " is used up", {}, "CANNOT");
}

std::unexpected<Error> no_uids_left() {
  return fail(Fault::limit, "the mailbox has no unique identifiers left", {}, "LIMIT");
}

std::vector<Uid> ascending(std::vector<Uid> uids) {
  if (!std::ranges::is_sorted(uids)) std::ranges::sort(uids);
  const auto doubled = std::ranges::unique(uids);
  uids.erase(doubled.begin(), doubled.end());
  return uids;
}

// A mailbox that takes messages, or nullptr.
std::shared_ptr<Mailbox> target(const AccountState& state, MailboxId id) {
  auto mailbox = state.mailbox(id);
  return mailbox && !mailbox->info().noselect ? mailbox : nullptr;
}

// Their sizes are added to `bytes`, if given.
Task<std::vector<Uid>> existing(std::shared_ptr<const Mailbox> mailbox,
                                const std::vector<Uid>& uids, TimeSlice& slice,
                                uint64_t* bytes = nullptr) {
  std::vector<Uid> found;
  for (const Uid uid : uids) {
    if (const auto* entry = mailbox->find(uid)) {
      found.push_back(uid);
      if (bytes) *bytes += entry->size;
    }
    if (slice.step()) co_await slice.spend();
  }
  co_return found;
}

bool keyed(const DeliveryKey& key, uint32_t window) { return key != DeliveryKey{} && window != 0; }
bool keyed(const NewMessage& m) { return keyed(m.delivery_key, m.duplicate_window); }

// The first copy of a message that is delivered again, or nullptr.
const Delivery* first_copy(const Plan& plan, const NewMessage& m) {
  if (!keyed(m)) return nullptr;
  return plan.state().deliveries().find(m.delivery_key, plan.time(), m.duplicate_window);
}

struct AppendJob {
  MailboxId mailbox;
  std::vector<NewMessage> messages;
  Appended result;
};

struct ReplaceJob {
  MailboxId from;
  Uid old;
  AppendJob with;
};

struct CopyJob {
  MailboxId from, to;
  std::vector<Uid> uids;
  bool move = false;
  Copied result;
};

struct FlagJob {
  MailboxId mailbox;
  FlagChange change;
  std::vector<FlagOutcome> outcomes;
};

struct ExpungeJob {
  MailboxId mailbox;
  std::vector<Uid> uids, gone;
};

// All of the messages, or an error and none.
Result<Built> plan_append(Plan& plan, AppendJob& job, const Limits& limits) {
  const auto to = target(plan.state(), job.mailbox);
  if (!to) return try_create();
  // The same delivery is in this very commit: when that is done, its first copy is known.
  for (const auto& m : job.messages) {
    if (keyed(m) && plan.has_delivery(m.delivery_key)) return Built::later;
  }
  Plan::Coming coming;
  for (const auto& m : job.messages) {
    if (first_copy(plan, m)) continue;
    coming.messages++;
    coming.bytes += m.bytes.view().size();
  }
  if (coming.messages > 0) {
    TRY_STATUS(plan.room_for(*to, coming, limits));
  }
  Uid next = plan.uidnext(*to);
  for (const auto& m : job.messages) {
    if (m.uid.value != 0 && m.uid < next) return used_up(m.uid);
    next = std::max(m.uid, next);
    if (next.value >= UINT32_MAX - 1) return no_uids_left();
    next = Uid(next.value + 1);
  }

  job.result = {.uidvalidity = to->info().uidvalidity, .uids = {}, .repeated = 0};
  for (const auto& m : job.messages) {
    if (const auto* first = first_copy(plan, m)) {
      job.result.uids.push_back(first->uid);
      job.result.repeated++;
      continue;
    }
    Append record;
    TRY(record.keywords, plan.keywords(*to, m.keywords, limits, Plan::NoRoom::leave_out));
    record.mailbox = job.mailbox;
    record.entry.message = plan.take_message();
    if (m.uid.value != 0) plan.skip_to_uid(*to, m.uid);
    record.entry.size = static_cast<uint32_t>(m.bytes.view().size());
    record.entry.uid = plan.take_uid(*to, record.entry.size);
    record.entry.flags = m.flags;
    record.entry.date = m.date;
    record.entry.zone = m.zone;
    record.delivery_id = m.delivery_id;
    record.delivery_key = m.delivery_key;
    if (keyed(m)) plan.take_delivery(m.delivery_key);
    job.result.uids.push_back(record.entry.uid);
    plan.add(std::move(record), m.structure, m.bytes.view());
  }
  const bool nothing = job.result.repeated == job.messages.size();
  return nothing ? Built::nothing : Built::records;
}

Result<Built> plan_replace(Plan& plan, ReplaceJob& job, const Limits& limits) {
  const auto from = plan.state().mailbox(job.from);
  const MessageEntry* old = from ? from->find(job.old) : nullptr;
  if (!old) return fail(Fault::not_found, "no such message", {}, "NONEXISTENT");
  const std::vector<UidRange> uids = {{job.old.value, job.old.value}};
  if (!plan.untouched(job.from, uids)) return Built::later;
  const auto bytes = static_cast<int64_t>(old->size);
  plan.count_messages(*from, -1, -bytes);
  const Result<Built> built = plan_append(plan, job.with, limits);
  if (!built) {
    plan.count_messages(*from, 1, bytes);
    return built;
  }
  plan.touch(job.from, uids);
  plan.add(Expunge{job.from, uids});
  return Built::records;
}

// The highest ones first, so that few others move down each time.
Task<void> plan_expunge(Plan& plan, MailboxId mailbox, const std::vector<Uid>& uids,
                        TimeSlice& slice) {
  plan.touch(mailbox, to_ranges(uids));
  for (const auto piece : std::views::reverse(Plan::in_pieces(std::span(uids)))) {
    plan.add(Expunge{mailbox, to_ranges(piece)});
    co_await slice.spend();
  }
}

// Messages of `from` become messages of `to`; with `move` they leave `from` in the same commit.
Task<Result<Built>> plan_copy(Plan& plan, std::shared_ptr<CopyJob> shared, const Limits& limits,
                              TimeSlice& slice) {
  CopyJob& job = *shared;
  job.result = {};
  const auto from = plan.state().mailbox(job.from);
  const auto to = target(plan.state(), job.to);
  if (!from) co_return fail(Fault::not_found, "no such mailbox", {}, "NONEXISTENT");
  if (!to) co_return try_create();
  uint64_t bytes = 0;
  const auto uids = co_await existing(from, job.uids, slice, &bytes);
  job.result.uidvalidity = to->info().uidvalidity;
  if (uids.empty()) co_return Built::nothing;
  if (!plan.untouched(job.from, to_ranges(uids))) co_return Built::later;
  const auto leaving = static_cast<int64_t>(job.move ? uids.size() : 0);
  const auto leaving_bytes = static_cast<int64_t>(job.move ? bytes : 0);
  plan.count_messages(*from, -leaving, -leaving_bytes);
  const Plan::Coming coming{.messages = uids.size(), .bytes = bytes, .moves = job.move};
  if (const Status room = plan.room_for(*to, coming, limits); !room) {
    plan.count_messages(*from, leaving, leaving_bytes);
    co_return std::unexpected(room.error());
  }
  job.result.uids.reserve(uids.size());
  std::unordered_map<KeywordSet, KeywordList> known;
  for (const auto piece : Plan::in_pieces(std::span(uids))) {
    Copy record{.from = job.from, .to = job.to, .items = {}};
    record.items.reserve(piece.size());
    for (const Uid uid : piece) {
      MessageEntry entry = *from->find(uid);
      const auto [list, fresh] = known.try_emplace(entry.keywords);
      if (fresh) list->second = plan.translate(*from, *to, entry.keywords, limits);
      entry.uid = plan.take_uid(*to, entry.size);
      record.items.push_back({uid, entry, list->second});
      job.result.uids.emplace_back(uid, entry.uid);
    }
    plan.add(std::move(record));
    co_await slice.spend();
  }
  if (job.move) co_await plan_expunge(plan, job.from, uids, slice);
  co_return Built::records;
}

// Consecutive messages as ranges, over the gaps between their uids: nothing is there.
std::vector<UidRange> message_ranges(const Mailbox& mailbox, std::span<const Uid> uids) {
  const auto messages = mailbox.messages();
  std::vector<UidRange> ranges;
  size_t next = messages.size();
  for (const Uid uid : uids) {
    const auto at = static_cast<size_t>(mailbox.find(uid) - messages.data());
    if (at == next && !ranges.empty())
      ranges.back().last = uid.value;
    else
      ranges.push_back({uid.value, uid.value});
    next = at + 1;
  }
  return ranges;
}

// Room is found by the first look at all of them: either all get into the plan or none.
Task<Result<Built>> plan_flags(Plan& plan, std::shared_ptr<FlagJob> job, const Limits& limits,
                               TimeSlice& slice) {
  using Verdict = FlagOutcome::Verdict;
  const auto& want = job->change;
  job->outcomes.clear();
  const auto mailbox = plan.state().mailbox(job->mailbox);
  if (!mailbox) co_return fail(Fault::not_found, "no such mailbox", {}, "NONEXISTENT");
  const auto present = co_await existing(mailbox, want.uids, slice);
  if (!plan.untouched(job->mailbox, to_ranges(present))) co_return Built::later;

  const auto& keywords = mailbox->keywords();
  KeywordList list;
  if (want.op == FlagOp::remove) {
    // A name that nobody has used can not be taken away.
    for (const auto& keyword : want.keywords) {
      if (const auto index = keywords.find(keyword)) list.push_back(*index);
    }
    std::ranges::sort(list);
  } else if (!present.empty()) {
    CO_TRY(list, plan.keywords(*mailbox, want.keywords, limits, Plan::NoRoom::refuse));
  }
  // What it makes of a set: is another one, and not too large? Does the set have one of the list?
  struct OfSet {
    bool other, has_one;
  };
  std::unordered_map<KeywordSet, OfSet> sets;
  for (const Uid uid : present) {
    if (slice.step()) co_await slice.spend();
    const KeywordSet set = mailbox->find(uid)->keywords;
    if (sets.contains(set)) continue;
    const auto before = keywords.of(set);
    const auto after = want.op == FlagOp::replace ? list
                       : want.op == FlagOp::add   ? merged(before, list)
                                                  : without(before, list);
    if (after.size() > kMaxKeywordsOfMessage && after.size() > before.size())
      co_return fail(Fault::limit,
                     fmt::format("too many keywords: a message may have {}", kMaxKeywordsOfMessage),
                     {}, "LIMIT");
    sets[set] = {.other = !std::ranges::equal(before, after),
                 .has_one = without(before, list).size() < before.size()};
  }
  std::vector<Uid> changing;
  job->outcomes.reserve(want.uids.size());
  for (const Uid uid : want.uids) {
    if (slice.step()) co_await slice.spend();
    const auto* e = mailbox->find(uid);
    if (!e) {
      job->outcomes.push_back({.uid = uid, .verdict = Verdict::gone});
      continue;
    }
    const OfSet of_set = sets.at(e->keywords);
    bool changes = of_set.other;
    switch (want.op) {
      case FlagOp::replace:
        changes = changes || e->flags != want.flags;
        break;
      case FlagOp::add:
        changes = changes || (want.flags & ~e->flags) != 0;
        break;
      case FlagOp::remove:
        changes = changes || (want.flags & e->flags) != 0;
        break;
    }
    // 0 asks whether one of the flags exists; a system flag always does (RFC 7162 §3.1.3).
    const bool exists = want.op == FlagOp::replace || want.flags != 0 || of_set.has_one;
    // Of a MODSEQ that is not the message's own it must be known what was changed since.
    const bool newer = want.unchanged_since && e->modseq != *want.unchanged_since &&
                       (e->modseq > *want.unchanged_since ||
                        !plan.state().can_tell_since(*want.unchanged_since)) &&
                       (*want.unchanged_since != ModSeq() || exists);
    job->outcomes.push_back({.uid = uid,
                             .verdict = newer     ? Verdict::too_new
                                        : changes ? Verdict::changed
                                                  : Verdict::unchanged});
    if (changes && !newer) changing.push_back(uid);
  }
  if (changing.empty()) co_return plan.empty() ? Built::nothing : Built::records;
  for (const auto piece : Plan::in_pieces(std::span<const Uid>(changing))) {
    auto ranges = message_ranges(*mailbox, piece);
    plan.touch(job->mailbox, ranges);
    plan.add(Flags{job->mailbox, want.op, want.flags, list, std::move(ranges)});
    co_await slice.spend();
  }
  co_return Built::records;
}

Task<Result<Built>> plan_removal(Plan& plan, std::shared_ptr<ExpungeJob> job, TimeSlice& slice) {
  const auto from = plan.state().mailbox(job->mailbox);
  if (!from) co_return fail(Fault::not_found, "no such mailbox", {}, "NONEXISTENT");
  job->gone = co_await existing(from, job->uids, slice);
  if (job->gone.empty()) co_return Built::nothing;
  if (!plan.untouched(job->mailbox, to_ranges(job->gone))) co_return Built::later;
  co_await plan_expunge(plan, job->mailbox, job->gone, slice);
  co_return Built::records;
}

}  // namespace

Status Account::check(const NewMessage& m) const {
  if (m.bytes.view().size() > std::min<size_t>(limits_.message_bytes, UINT32_MAX))
    return fail(Fault::limit, "the message is too large", {}, "LIMIT");
  if (m.delivery_id.size() > kMaxDeliveryId || m.structure.size() > UINT32_MAX ||
      (m.flags & ~kAllSystemFlags) != 0)
    return fail(Fault::bug, "internal error", "append: flags, structure or delivery id");
  return {};
}

Task<Result<Appended>> Account::append(MailboxId mailbox, std::vector<NewMessage> messages,
                                       const void* origin) {
  if (failure_ || closing_) co_return unusable();
  if (!target(state_, mailbox)) co_return try_create();
  for (const auto& m : messages) {
    CO_TRY_STATUS(check(m));
  }
  std::vector<std::shared_ptr<Mailbox>> pins;
  CO_TRY(auto pin, co_await load(mailbox));
  pins.push_back(std::move(pin));

  // Shared with the builder: it may outlive this call when the caller is destroyed.
  const auto job = std::make_shared<AppendJob>(AppendJob{mailbox, std::move(messages), {}});
  CO_TRY_STATUS(
      co_await commit([this, job](Plan& plan) { return plan_append(plan, *job, limits_); },
                      std::move(pins), origin));
  co_return std::move(job->result);
}

Task<Result<Appended>> Account::replace(MailboxId from, Uid old, MailboxId to, NewMessage message,
                                        const void* origin) {
  if (failure_ || closing_) co_return unusable();
  if (!target(state_, to)) co_return try_create();
  CO_TRY_STATUS(check(message));
  std::vector<std::shared_ptr<Mailbox>> pins;
  CO_TRY(auto source, co_await load(from));
  CO_TRY(auto destination, co_await load(to));
  pins.push_back(std::move(source));
  pins.push_back(std::move(destination));
  std::vector<NewMessage> one;
  one.push_back(std::move(message));
  const auto job =
      std::make_shared<ReplaceJob>(ReplaceJob{from, old, AppendJob{to, std::move(one), {}}});
  CO_TRY_STATUS(
      co_await commit([this, job](Plan& plan) { return plan_replace(plan, *job, limits_); },
                      std::move(pins), origin));
  co_return std::move(job->with.result);
}

std::optional<Delivery> Account::delivered(const DeliveryKey& key, uint32_t window) const {
  if (failure_ || closing_ || !keyed(key, window)) return std::nullopt;
  const auto* first = state_.deliveries().find(key, now(), window);
  return first ? std::optional(*first) : std::nullopt;
}

Task<Result<Copied>> Account::copy(MailboxId from, std::vector<Uid> uids, MailboxId to,
                                   const void* origin) {
  return copy_or_move(from, std::move(uids), to, false, origin);
}

Task<Result<Copied>> Account::move(MailboxId from, std::vector<Uid> uids, MailboxId to,
                                   const void* origin) {
  return copy_or_move(from, std::move(uids), to, true, origin);
}

Task<Result<Copied>> Account::copy_or_move(MailboxId from, std::vector<Uid> uids, MailboxId to,
                                           bool move, const void* origin) {
  if (failure_ || closing_) co_return unusable();
  if (!target(state_, to)) co_return try_create();
  std::vector<std::shared_ptr<Mailbox>> pins;
  CO_TRY(auto source, co_await load(from));
  CO_TRY(auto destination, co_await load(to));
  pins.push_back(std::move(source));
  pins.push_back(std::move(destination));
  const auto job =
      std::make_shared<CopyJob>(CopyJob{from, to, ascending(std::move(uids)), move, {}});
  CO_TRY_STATUS(co_await commit(
      [this, job](Plan& plan, TimeSlice& slice) { return plan_copy(plan, job, limits_, slice); },
      std::move(pins), origin));
  co_return std::move(job->result);
}

Task<Result<std::vector<FlagOutcome>>> Account::change_flags(MailboxId mailbox, FlagChange change,
                                                             const void* origin) {
  if (failure_ || closing_) co_return unusable();
  if ((change.flags & ~kAllSystemFlags) != 0)
    co_return fail(Fault::bug, "internal error", "change_flags: unknown flags");
  std::vector<std::shared_ptr<Mailbox>> pins;
  CO_TRY(auto open, co_await load(mailbox));
  pins.push_back(open);
  change.uids = ascending(std::move(change.uids));
  const auto job = std::make_shared<FlagJob>(FlagJob{mailbox, std::move(change), {}});
  CO_TRY_STATUS(co_await commit(
      [this, job](Plan& plan, TimeSlice& slice) { return plan_flags(plan, job, limits_, slice); },
      std::move(pins), origin));
  TimeSlice slice(loop_);
  for (auto& outcome : job->outcomes) {
    if (slice.step()) co_await slice.spend();
    const auto* e = open->find(outcome.uid);
    if (!e) {
      outcome.verdict = FlagOutcome::Verdict::gone;
      continue;
    }
    outcome.flags = e->flags;
    outcome.keywords = e->keywords;
    outcome.modseq = e->modseq;
  }
  co_return std::move(job->outcomes);
}

Task<Result<std::vector<Uid>>> Account::expunge(MailboxId mailbox, std::vector<Uid> uids,
                                                const void* origin) {
  if (failure_ || closing_) co_return unusable();
  std::vector<std::shared_ptr<Mailbox>> pins;
  CO_TRY(auto open, co_await load(mailbox));
  pins.push_back(std::move(open));
  const auto job =
      std::make_shared<ExpungeJob>(ExpungeJob{mailbox, ascending(std::move(uids)), {}});
  CO_TRY_STATUS(co_await commit(
      [job](Plan& plan, TimeSlice& slice) { return plan_removal(plan, job, slice); },
      std::move(pins), origin));
  co_return std::move(job->gone);
}

}  // namespace rims::store
