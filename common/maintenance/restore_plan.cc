// common/maintenance/restore_plan.cc - comparing two states of an account

#include "common/maintenance/restore_plan.h"

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <iterator>
#include <map>
#include <set>
#include <unordered_map>
#include <utility>

#include <fmt/format.h>

namespace rims::store {
namespace {

bool contains(const std::vector<UidRange>& ranges, Uid uid) {
  return ranges.empty() || std::ranges::any_of(ranges, [&](const UidRange& r) {
           return r.first <= uid.value && uid.value <= r.last;
         });
}

std::vector<std::string> keywords_of(const Mailbox& mailbox, const MessageEntry& entry) {
  auto names = mailbox.keywords_of(entry);
  std::ranges::sort(names);
  return names;
}

bool same_date(const MessageEntry& a, const MessageEntry& b) {
  return a.date == b.date && a.zone == b.zone;
}

// The digests of messages, each made once. nullptr: the message can not be read.
class Digests {
 public:
  Digests(const Digest& make, bool strict) : make_(make), strict_(strict) {}
  Result<const std::string*> of(const MessageEntry& entry) {
    auto found = made_.find(entry.message);
    if (found == made_.end()) {
      auto digest = make_(entry);
      if (!digest && strict_ && !is_damage(digest.error()))
        return std::unexpected(std::move(digest.error()));
      found = made_.emplace(entry.message, std::nullopt).first;
      if (digest) found->second = *std::move(digest);
    }
    return found->second ? &*found->second : nullptr;
  }

 private:
  static bool is_damage(const Error& error) {
    return error.system() == 0 || error.system() == EIO || error.system() == ENOENT;
  }
  const Digest& make_;
  bool strict_;
  std::unordered_map<MessageId, std::optional<std::string>> made_;
};

// Both states, and what is read of them.
struct Comparison {
  explicit Comparison(const RestoreStates& of)
      : states(of),
        then(of.then_digest, of.replace_damaged),
        now(of.now_digest, of.replace_damaged) {}
  const RestoreStates& states;
  Digests then, now;
  Result<bool> is_damaged(const MessageEntry& e) {
    if (!states.replace_damaged) return false;
    TRY(const std::string* digest, now.of(e));
    return digest == nullptr;
  }
};

// Finds for each message of `then` the same one in `now`. A message of `now` is used at most once.
class Matcher {
 public:
  Matcher(Comparison& comparison, const Mailbox* now)
      : comparison_(comparison), states_(comparison.states) {
    if (!now) return;
    for (const auto& e : now->messages()) {
      left_.emplace(e.uid, &e);
      by_id_[e.message.value].push_back(&e);
      by_size_[e.size].push_back(&e);
    }
  }
  // Finds a message by its id. Called for all messages before any other find.
  const MessageEntry* find_same(const MessageEntry& then) {
    if (!states_.same_ids) return nullptr;
    const auto found = by_id_.find(then.message.value);
    if (found == by_id_.end()) return nullptr;
    for (const auto* e : found->second) {
      if (same_date(*e, then) && left_.erase(e->uid) > 0) return e;
    }
    return nullptr;
  }
  // One that can be read and has the same bytes.
  Result<const MessageEntry*> find_equal(const MessageEntry& then) {
    for (const auto* e : like(then)) {
      // find_same() was asked for this id before: it is another message, or a second copy.
      if (states_.same_ids && e->message == then.message) {
        TRY(const bool damaged, comparison_.is_damaged(*e));
        if (damaged) continue;
      } else {
        TRY(const std::string* wanted, comparison_.then.of(then));
        if (!wanted) return nullptr;
        TRY(const std::string* digest, comparison_.now.of(*e));
        if (!digest || *digest != *wanted) continue;
      }
      left_.erase(e->uid);
      return e;
    }
    return nullptr;
  }
  // One that can not be read and may have been this message: that of its uid, or any one. Called
  // after find_equal() for all messages.
  Result<const MessageEntry*> find_damaged(const MessageEntry& then, bool of_its_uid) {
    const MessageEntry* best = nullptr;
    for (const auto* e : like(then)) {
      // A message that was there then is no other one.
      if (states_.same_ids && e->message < states_.then.next_message()) continue;
      if (of_its_uid && e->uid != then.uid) continue;
      TRY(const bool damaged, comparison_.is_damaged(*e));
      if (damaged && (!best || e->uid == then.uid)) best = e;
    }
    if (best) left_.erase(best->uid);
    return best;
  }
  [[nodiscard]] const std::map<Uid, const MessageEntry*>& left() const { return left_; }
  void take(Uid uid) { left_.erase(uid); }

 private:
  // Those of this size and date that are left.
  [[nodiscard]] std::vector<const MessageEntry*> like(const MessageEntry& then) const {
    std::vector<const MessageEntry*> list;
    const auto found = by_size_.find(then.size);
    if (found == by_size_.end()) return list;
    std::ranges::copy_if(found->second, std::back_inserter(list), [&](const MessageEntry* e) {
      return same_date(*e, then) && left_.contains(e->uid);
    });
    return list;
  }

  Comparison& comparison_;
  const RestoreStates& states_;
  std::map<Uid, const MessageEntry*> left_;
  std::unordered_map<uint64_t, std::vector<const MessageEntry*>> by_id_;
  std::unordered_map<uint32_t, std::vector<const MessageEntry*>> by_size_;
};

// Messages that came to this mailbox of `now` later, as by a copy, are damaged; `then` still has
// their bytes, in whatever mailbox. They stay what they are.
Status plan_later_damage(Comparison& comparison, Matcher& matcher, const Mailbox& now,
                         MailboxPlan& plan) {
  const auto& states = comparison.states;
  if (!states.replace_damaged || !states.same_ids) return {};
  std::vector<const MessageEntry*> damaged;
  for (const auto& [uid, e] : matcher.left()) {
    if (e->message >= states.then.next_message()) continue;
    TRY(const bool bad, comparison.is_damaged(*e));
    if (bad) damaged.push_back(e);
  }
  for (const auto* e : damaged) {
    TRY(const std::string* bytes, comparison.then.of(*e));
    if (!bytes) continue;
    matcher.take(e->uid);
    TRY(const MessageEntry* again, matcher.find_equal(*e));
    if (again) {
      plan.doubled.push_back(e->uid);
      continue;
    }
    plan.missing.push_back(*e);
    plan.keywords.push_back(keywords_of(now, *e));
    plan.damaged.push_back(e->uid);
  }
  return {};
}

Result<MailboxPlan> plan_mailbox(Comparison& comparison, const RestoreScope& scope,
                                 const Mailbox& then, const std::string& name) {
  const auto& states = comparison.states;
  const auto now = states.now.mailbox(name);
  const bool there = now && !now->info().noselect;
  MailboxPlan plan;
  plan.name = name;
  plan.from = then.info().id;
  plan.create = !there;
  Matcher matcher(comparison, there ? now.get() : nullptr);
  struct Pair {
    const MessageEntry* wanted;
    const MessageEntry* found = nullptr;    // it is there
    const MessageEntry* damaged = nullptr;  // it is there, and can not be read
  };
  std::vector<Pair> pairs;
  for (const auto& e : then.messages()) {
    if (!contains(scope.uids, e.uid)) continue;
    Pair pair{.wanted = &e, .found = matcher.find_same(e)};
    if (pair.found) {
      TRY(const bool damaged, comparison.is_damaged(*pair.found));
      if (damaged) pair.damaged = std::exchange(pair.found, nullptr);
    }
    pairs.push_back(pair);
  }
  for (auto& pair : pairs) {
    if (pair.found) continue;
    TRY(pair.found, matcher.find_equal(*pair.wanted));
  }
  const bool same_uids =
      !states.same_ids && there && now->info().uidvalidity == then.info().uidvalidity;
  std::map<FlagsThen, std::vector<Uid>> flags;
  for (auto& [wanted, found, damaged] : pairs) {
    // With another one there, only its own uid says that it is the same: an interrupted restore.
    if (!damaged && states.replace_damaged && (!found || same_uids)) {
      TRY(damaged, matcher.find_damaged(*wanted, found != nullptr));
    }
    if (!found && damaged) {
      TRY(const std::string* bytes, comparison.then.of(*wanted));
      if (!bytes) {
        plan.hopeless.push_back(damaged->uid);
        found = std::exchange(damaged, nullptr);
      }
    }
    auto names = keywords_of(then, *wanted);
    if (!found) {
      plan.missing.push_back(*wanted);
      plan.keywords.push_back(std::move(names));
      plan.damaged.push_back(damaged ? damaged->uid : Uid(0));
      continue;
    }
    if (damaged) plan.doubled.push_back(damaged->uid);
    plan.there++;
    if (wanted->flags != found->flags || names != keywords_of(*now, *found))
      flags[{wanted->flags, std::move(names)}].push_back(found->uid);
  }
  for (auto& [what, uids] : flags) {
    std::ranges::sort(uids);
    plan.flags.emplace_back(what, std::move(uids));
  }
  if (scope.exact) {
    for (const auto& [uid, e] : matcher.left()) plan.later.push_back(uid);
  } else if (there && scope.uids.empty() && scope.into.empty()) {
    TRY_STATUS(plan_later_damage(comparison, matcher, *now, plan));
  }
  return plan;
}

// A mailbox that was not there then.
Result<MailboxPlan> plan_later_mailbox(Comparison& comparison, const Mailbox& now) {
  MailboxPlan plan;
  plan.name = now.info().name;
  plan.from = now.info().id;
  Matcher matcher(comparison, &now);
  TRY_STATUS(plan_later_damage(comparison, matcher, now, plan));
  return plan;
}

// The use that a mailbox has now. One that the plan creates or removes has none.
SpecialUse use_now(const RestoreStates& states, const RestorePlan& plan, const std::string& name) {
  const auto now = states.now.mailbox(name);
  return now && std::ranges::find(plan.remove, name) == plan.remove.end() ? now->info().special_use
                                                                          : SpecialUse::none;
}

// Special uses as they were then. One that a mailbox got later is kept, unless `exact` is wanted.
void plan_uses(const RestoreStates& states, const RestoreScope& scope, RestorePlan& plan) {
  std::set<SpecialUse> taken;
  for (const auto& [name, id] : states.now.names()) taken.insert(use_now(states, plan, name));
  for (const auto& mailbox : plan.mailboxes) {
    const SpecialUse then = states.then.mailbox(mailbox.from)->info().special_use;
    if (use_now(states, plan, mailbox.name) == then) continue;
    if (scope.exact ||
        (use_now(states, plan, mailbox.name) == SpecialUse::none && taken.insert(then).second))
      plan.uses.emplace_back(mailbox.name, then);
  }
  std::ranges::sort(plan.uses, {}, [](const auto& use) {
    return std::pair(use.second != SpecialUse::none, use.first);
  });
}

// Annotations as they were then; "" are those of the account itself.
void plan_annotations(const RestoreStates& states, const RestoreScope& scope,
                      const std::string& name, RestorePlan& plan) {
  const auto id_in = [&name](const AccountState& state) {
    const auto mailbox = name.empty() ? nullptr : state.mailbox(name);
    return mailbox ? mailbox->info().id : MailboxId();
  };
  static const Annotations kNone;
  const auto& then = states.then.annotations(id_in(states.then));
  // One that is made, or made again as a \Noselect name, has none.
  const bool there = name.empty() || (states.now.mailbox(name) &&
                                      std::ranges::find(plan.remove, name) == plan.remove.end());
  const auto& now = there ? states.now.annotations(id_in(states.now)) : kNone;
  std::vector<AnnotationChange> changes;
  for (const auto& [entry, value] : then) {
    const auto found = now.find(entry);
    if (found == now.end() || found->second != value) changes.push_back({entry, value});
  }
  for (const auto& [entry, value] : now)
    if (scope.exact && !then.contains(entry)) changes.push_back({entry, std::nullopt});
  if (!changes.empty()) plan.annotations.emplace_back(name, std::move(changes));
}

bool was_noselect(const RestoreStates& states, const std::string& name) {
  const auto then = states.then.mailbox(name);
  return then && then->info().noselect;
}

}  // namespace

bool RestorePlan::nothing_to_do() const {
  return noselect.empty() && uses.empty() && annotations.empty() && remove.empty() &&
         subscribe.empty() && unsubscribe.empty() &&
         std::ranges::all_of(mailboxes, [](const MailboxPlan& m) {
           return !m.create && m.missing.empty() && m.doubled.empty() && m.flags.empty() &&
                  m.later.empty();
         });
}

Result<RestorePlan> plan_restore(const RestoreStates& states, const RestoreScope& scope) {
  RestorePlan plan;
  Comparison comparison(states);
  if (!scope.mailbox.empty()) {
    const auto then = states.then.mailbox(canonical_name(scope.mailbox));
    if (!then || then->info().noselect)
      return fail(Fault::not_found,
                  fmt::format("there was no mailbox \"{}\" at that time", scope.mailbox));
    for (const auto& range : scope.uids) {
      if (range.last == UINT32_MAX) continue;
      const bool any = std::ranges::any_of(then->messages(), [&](const MessageEntry& e) {
        return range.first <= e.uid.value && e.uid.value <= range.last;
      });
      if (!any)
        return fail(
            Fault::not_found,
            fmt::format("mailbox \"{}\" had no message with uid {} at that time", scope.mailbox,
                        range.first == range.last ? fmt::format("{}", range.first)
                                                  : fmt::format("{}:{}", range.first, range.last)));
    }
    const std::string name = scope.into.empty() ? then->info().name : canonical_name(scope.into);
    for (size_t at = name.find(kHierarchySeparator); at != name.npos;
         at = name.find(kHierarchySeparator, at + 1)) {
      const std::string above = name.substr(0, at);
      if (was_noselect(states, above) && !states.now.mailbox(above)) plan.noselect.push_back(above);
    }
    TRY(auto mailbox, plan_mailbox(comparison, scope, *then, name));
    plan.mailboxes.push_back(std::move(mailbox));
    if (!scope.into.empty()) return plan;
    plan_uses(states, scope, plan);
    if (scope.uids.empty()) plan_annotations(states, scope, name, plan);
    return plan;
  }
  for (const auto& [name, id] : states.then.names()) {
    const auto then = states.then.mailbox(id);
    if (!then->info().noselect) {
      TRY(auto mailbox, plan_mailbox(comparison, scope, *then, name));
      plan.mailboxes.push_back(std::move(mailbox));
    } else if (!states.now.mailbox(name)) {
      plan.noselect.push_back(name);
    }
  }
  const auto& wanted = states.then.subscriptions();
  const auto& present = states.now.subscriptions();
  std::ranges::set_difference(wanted, present, std::back_inserter(plan.subscribe));
  if (scope.exact) {
    std::ranges::set_difference(present, wanted, std::back_inserter(plan.unsubscribe));
    // Removing a mailbox that has others below it makes it \Noselect. So one that was \Noselect
    // then is removed, too.
    for (const auto& [name, id] : states.now.names()) {
      const bool selectable = !states.now.mailbox(id)->info().noselect;
      if (name != "INBOX" &&
          (!states.then.mailbox(name) || (selectable && was_noselect(states, name))))
        plan.remove.push_back(name);
    }
    std::ranges::reverse(plan.remove);
  }
  plan_uses(states, scope, plan);
  plan_annotations(states, scope, {}, plan);
  for (const auto& [name, id] : states.then.names()) plan_annotations(states, scope, name, plan);
  if (scope.exact) return plan;
  for (const auto& [name, id] : states.now.names()) {
    const auto then = states.then.mailbox(name);
    if (then && !then->info().noselect) continue;
    TRY(auto mailbox, plan_later_mailbox(comparison, *states.now.mailbox(id)));
    if (!mailbox.missing.empty() || !mailbox.doubled.empty())
      plan.mailboxes.push_back(std::move(mailbox));
  }
  return plan;
}

// sequence-set = (seq-number / seq-range) *("," sequence-set)
Result<std::vector<UidRange>> parse_uid_set(std::string_view text) {
  std::vector<UidRange> ranges;
  const auto wrong = [&] {
    return fail(Fault::syntax, fmt::format("\"{}\" is not a set of uids such as 1:5,8,20:*", text));
  };
  const auto number = [](std::string_view digits) -> uint32_t {
    uint32_t value = 0;
    if (digits == "*") return UINT32_MAX;
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
    return error == std::errc() && end == digits.data() + digits.size() ? value : 0;
  };
  for (size_t at = 0; at <= text.size();) {
    const size_t comma = std::min(text.find(',', at), text.size());
    const auto one = text.substr(at, comma - at);
    const size_t colon = one.find(':');
    const uint32_t a = number(one.substr(0, colon));
    const uint32_t b = colon == one.npos ? a : number(one.substr(colon + 1));
    if (a == 0 || b == 0 || std::min(a, b) == UINT32_MAX) return wrong();
    ranges.push_back({std::min(a, b), std::max(a, b)});
    at = comma + 1;
  }
  std::ranges::sort(ranges, {}, &UidRange::first);
  return ranges;
}

}  // namespace rims::store
