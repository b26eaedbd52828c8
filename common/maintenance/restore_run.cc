// common/maintenance/restore_run.cc - see restore_run.h

#include "common/maintenance/restore_run.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

namespace rims::store {
namespace {

constexpr size_t kAtOnce = 64;  // messages of one append
constexpr uint64_t kBytesAtOnce = 4 << 20;

uint64_t messages_in(const RestorePlan& plan) {
  uint64_t count = 0;
  for (const auto& m : plan.mailboxes) count += m.missing.size();
  return count;
}

// A full disk or a failed account ends the restore; any other error concerns one mailbox or
// message.
bool ends_all(const Account& account, const Error& error) {
  return account.failed() || error.fault() == Fault::storage || error.fault() == Fault::bug;
}

Revival revival(const MailboxPlan& wanted, size_t i) {
  const MessageEntry& entry = wanted.missing[i];
  return {.message = entry.message,
          .from = wanted.from,
          .uid = entry.uid,
          .flags = entry.flags,
          .keywords = wanted.keywords[i],
          .date = entry.date,
          .zone = entry.zone,
          .size = entry.size};
}

// A mailbox while it is restored.
struct Room {
  bool expunge_first = false;  // what is missing and what is to go have no room beside one another
};

// Before anything is changed: a restore that takes away what came later must have room for what was
// there.
Task<Result<std::vector<Room>>> look_for_room(Account& account, const RestorePlan& plan) {
  std::vector<Room> rooms(plan.mailboxes.size());
  const bool takes_away =
      !plan.remove.empty() ||
      std::ranges::any_of(plan.mailboxes, [](const auto& m) { return !m.later.empty(); });
  if (!takes_away) co_return rooms;
  CO_TRY(const auto* state, co_await account.whole_state());
  const Limits& limits = account.limits();
  uint64_t most = state->messages(), at_end = most;
  for (size_t i = 0; i < rooms.size(); i++) {
    const MailboxPlan& wanted = plan.mailboxes[i];
    const auto* info = account.find(wanted.name);
    const uint64_t now = info ? info->messages : 0, with_all = now + wanted.missing.size();
    const uint64_t end = with_all - std::min<uint64_t>(with_all, wanted.later.size());
    if (wanted.missing.empty()) {
      at_end -= std::min<uint64_t>(at_end, wanted.later.size());
      continue;
    }
    if (end > limits.mailbox_messages)
      co_return fail(
          Fault::limit, "no room",
          fmt::format("{}: it would have {} messages, and limits.mailbox_messages allows "
                      "{}; nothing was changed",
                      wanted.name, end, limits.mailbox_messages),
          "LIMIT");
    most += wanted.missing.size();
    at_end = at_end + wanted.missing.size() - std::min<uint64_t>(with_all, wanted.later.size());
    rooms[i].expunge_first = with_all > limits.mailbox_messages;
  }
  if (at_end > limits.account_messages)
    co_return fail(Fault::limit, "no room",
                   fmt::format("all mailboxes together would have {} messages, and "
                               "limits.account_messages allows {}; nothing was changed",
                               at_end, limits.account_messages),
                   "LIMIT");
  if (most > limits.account_messages)
    for (Room& room : rooms) room.expunge_first = true;
  co_return rooms;
}

}  // namespace

Task<Result<RestoreOutcome>> carry_out(Account& account, RestorePlan plan, RestoreSteps steps) {
  RestoreOutcome out;
  uint64_t done = 0;
  const uint64_t total = messages_in(plan);
  CO_TRY(const auto rooms, co_await look_for_room(account, plan));
  for (const auto& name : plan.noselect) {
    const Status made = co_await account.create_noselect(name);
    if (made) {
      out.created++;
      continue;
    }
    if (ends_all(account, made.error())) co_return std::unexpected(made.error());
    out.problems.push_back(fmt::format("{}: not created: {}", name, made.error().detail()));
  }
  for (size_t number = 0; number < plan.mailboxes.size(); number++) {
    const MailboxPlan& wanted = plan.mailboxes[number];
    const auto problem = [&](std::string_view what, const Error& error) {
      out.problems.push_back(fmt::format("{}: {}: {}", wanted.name, what, error.detail()));
    };
    const auto* info = account.find(wanted.name);
    MailboxId id = info ? info->id : MailboxId();
    if (!info || info->noselect) {
      auto made = co_await account.create(wanted.name);
      if (!made) {
        if (ends_all(account, made.error())) co_return std::unexpected(made.error());
        problem("not created", made.error());
        continue;
      }
      id = *made;
      out.created++;
    }

    if (rooms[number].expunge_first && !wanted.later.empty()) {
      CO_TRY(const auto gone, co_await account.expunge(id, wanted.later));
      out.expunged += gone.size();
    }
    const uint64_t restored_before = out.restored;
    // Damaged messages whose place another one has.
    std::vector<Uid> replaced = wanted.doubled;
    const auto is_back = [&](size_t i) {
      out.restored++;
      if (wanted.damaged[i].value != 0) replaced.push_back(wanted.damaged[i]);
    };
    for (size_t next = 0; next < wanted.missing.size();) {
      const size_t first = next;
      next = std::min(first + kAtOnce, wanted.missing.size());
      std::vector<bool> back(next - first, false);
      if (steps.same_ids) {
        std::vector<Revival> batch;
        for (size_t i = first; i < next; i++) batch.push_back(revival(wanted, i));
        auto revived = co_await account.revive(id, std::move(batch));
        if (!revived && ends_all(account, revived.error()))
          co_return std::unexpected(revived.error());
        for (size_t i = 0; revived && i < revived->uids.size(); i++) {
          if (revived->uids[i].value == 0) continue;
          back[i] = true;
          is_back(first + i);
          done++;
        }
      }
      // Messages that the journal does not have any more, in batches of limited size.
      std::vector<NewMessage> batch;
      std::vector<size_t> which;  // of `missing`
      uint64_t bytes = 0;
      for (size_t i = first; i < next; i++) {
        if (!back[i - first]) {
          const MessageEntry& entry = wanted.missing[i];
          auto parts = steps.read(entry);
          if (parts) {
            bytes += parts->bytes.size();
            which.push_back(i);
            batch.push_back({.bytes = MessageBytes(std::move(parts->bytes)),
                             .structure = std::move(parts->structure),
                             .flags = entry.flags,
                             .keywords = wanted.keywords[i],
                             .date = entry.date,
                             .zone = entry.zone,
                             .delivery_id = {}});
          } else {
            problem(fmt::format("the message that had uid {} is not restored", entry.uid.value),
                    parts.error());
          }
        }
        const size_t count = batch.size();
        if (count == 0 || (i + 1 < next && bytes < kBytesAtOnce)) continue;
        auto appended = co_await account.append(id, std::exchange(batch, {}));
        if (!appended) {
          if (ends_all(account, appended.error())) co_return std::unexpected(appended.error());
          problem(fmt::format("{} messages are not restored", count), appended.error());
        } else {
          std::ranges::for_each(which, is_back);
          out.bytes += bytes;
        }
        which.clear();
        bytes = 0;
        done += count;
        if (steps.progress) steps.progress(done, total);
      }
      if (steps.progress) steps.progress(done, total);
    }

    if (!replaced.empty()) {
      CO_TRY(const auto gone, co_await account.expunge(id, std::move(replaced)));
      out.replaced += gone.size();
    }

    for (const auto& [what, uids] : wanted.flags) {
      auto changed = co_await account.change_flags(
          id,
          {.uids = uids, .op = FlagOp::replace, .flags = what.flags, .keywords = what.keywords});
      if (!changed) {
        if (ends_all(account, changed.error())) co_return std::unexpected(changed.error());
        problem(fmt::format("flags of {} messages", uids.size()), changed.error());
        continue;
      }
      out.reflagged += uids.size();
    }
    if (wanted.later.empty() || rooms[number].expunge_first) continue;
    if (out.restored - restored_before < wanted.missing.size()) {
      out.problems.push_back(fmt::format(
          "{}: {} messages that came later stay, as not all that were there before could "
          "be restored",
          wanted.name, wanted.later.size()));
    } else {
      CO_TRY(const auto gone, co_await account.expunge(id, wanted.later));
      out.expunged += gone.size();
    }
  }
  for (const auto& name : plan.remove) {
    if (!account.find(name)) continue;  // a name that only held others is gone with them
    const Status removed = co_await account.remove(name);
    if (!removed && removed.error().code() != "HASCHILDREN") {
      if (ends_all(account, removed.error())) co_return std::unexpected(removed.error());
      out.problems.push_back(fmt::format("{}: not removed: {}", name, removed.error().detail()));
    }
    if (removed) out.removed++;
  }
  for (const auto& [name, use] : plan.uses) {
    const auto* mailbox = account.find(name);
    if (!mailbox || mailbox->special_use == use) continue;  // it could not be made
    CO_TRY_STATUS(co_await account.set_special_use(mailbox->id, use));
    out.uses++;
  }
  for (auto& [name, changes] : plan.annotations) {
    const auto* mailbox = name.empty() ? nullptr : account.find(name);
    if (!name.empty() && !mailbox) continue;  // it could not be made
    const size_t count = changes.size();
    const Status set =
        co_await account.annotate(mailbox ? mailbox->id : MailboxId(), std::move(changes));
    if (set) {
      out.annotations += count;
      continue;
    }
    if (ends_all(account, set.error())) co_return std::unexpected(set.error());
    out.problems.push_back(
        fmt::format("{}: {} annotations: {}", name, count, set.error().detail()));
  }
  for (const auto& name : plan.subscribe) {
    CO_TRY_STATUS(co_await account.subscribe(name));
    out.subscriptions++;
  }
  for (const auto& name : plan.unsubscribe) {
    CO_TRY_STATUS(co_await account.unsubscribe(name));
    out.subscriptions++;
  }
  co_return out;
}

}  // namespace rims::store
