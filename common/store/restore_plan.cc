// common/store/restore_plan.cc - comparing two states of an account

#include "common/store/restore_plan.h"

#include <algorithm>
#include <charconv>
#include <map>
#include <set>
#include <unordered_map>

#include <fmt/format.h>

namespace rims::store {
namespace {

bool contains(const std::vector<UidRange>& ranges, Uid uid) {
  return ranges.empty() || std::ranges::any_of(ranges, [&](const UidRange& r) {
           return r.first <= uid.value && uid.value <= r.last;
         });
}

std::vector<std::string> keywords_of(const Mailbox& mailbox, const MessageEntry& entry) {
  std::vector<std::string> names;
  for (size_t bit = 0; bit < mailbox.keywords().size(); bit++) {
    if ((entry.keywords >> bit & 1) != 0) names.push_back(mailbox.keywords()[bit]);
  }
  std::ranges::sort(names);
  return names;
}

bool same_date(const MessageEntry& a, const MessageEntry& b) {
  return a.date == b.date && a.zone == b.zone;
}

// Finds for each message of then one of now, each at most once.
class Matcher {
 public:
  Matcher(const RestoreStates& states, const Mailbox* now) : states_(states) {
    if (!now) return;
    for (const auto& e : now->messages()) {
      left_.emplace(e.uid, &e);
      by_id_[e.message.value].push_back(&e);
      by_size_[e.size].push_back(&e);
    }
  }
  // Messages that share their bytes by id; asked for all before any find_equal().
  const MessageEntry* find_same(const MessageEntry& then) {
    if (!states_.same_ids) return nullptr;
    const auto found = by_id_.find(then.message.value);
    if (found == by_id_.end()) return nullptr;
    for (const auto* e : found->second) {
      if (same_date(*e, then) && left_.erase(e->uid) > 0) return e;
    }
    return nullptr;
  }
  const MessageEntry* find_equal(const MessageEntry& then) {
    const auto found = by_size_.find(then.size);
    if (found == by_size_.end()) return nullptr;
    std::optional<std::string> wanted;
    for (const auto* e : found->second) {
      if (!same_date(*e, then) || !left_.contains(e->uid)) continue;
      // The same id was asked for before: these bytes are others, or a second copy of them.
      if (!(states_.same_ids && e->message == then.message)) {
        if (!wanted) {
          auto digest = states_.then_digest(then);
          if (!digest) return nullptr;
          wanted = *std::move(digest);
        }
        const auto digest = states_.now_digest(*e);
        if (!digest || *digest != *wanted) continue;
      }
      left_.erase(e->uid);
      return e;
    }
    return nullptr;
  }
  [[nodiscard]] std::vector<Uid> left() const {
    std::vector<Uid> uids;
    uids.reserve(left_.size());
    for (const auto& [uid, e] : left_) uids.push_back(uid);
    return uids;
  }

 private:
  const RestoreStates& states_;
  std::map<Uid, const MessageEntry*> left_;
  std::unordered_map<uint64_t, std::vector<const MessageEntry*>> by_id_;
  std::unordered_map<uint32_t, std::vector<const MessageEntry*>> by_size_;
};

MailboxPlan plan_mailbox(const RestoreStates& states, const RestoreScope& scope,
                         const Mailbox& then, const std::string& name) {
  const auto now = states.now.mailbox(name);
  const bool there = now && !now->info().noselect;
  MailboxPlan plan;
  plan.name = name;
  plan.from = then.info().id;
  plan.create = !there;
  Matcher matcher(states, there ? now.get() : nullptr);
  std::vector<std::pair<const MessageEntry*, const MessageEntry*>> pairs;
  for (const auto& e : then.messages()) {
    if (contains(scope.uids, e.uid)) pairs.emplace_back(&e, matcher.find_same(e));
  }
  std::map<FlagsThen, std::vector<Uid>> flags;
  for (auto& [wanted, found] : pairs) {
    if (!found) found = matcher.find_equal(*wanted);
    if (!found) {
      plan.missing.push_back(*wanted);
      plan.keywords.push_back(keywords_of(then, *wanted));
      continue;
    }
    plan.there++;
    auto names = keywords_of(then, *wanted);
    if (wanted->flags != found->flags || names != keywords_of(*now, *found))
      flags[{wanted->flags, std::move(names)}].push_back(found->uid);
  }
  for (auto& [what, uids] : flags) {
    std::ranges::sort(uids);
    plan.flags.emplace_back(what, std::move(uids));
  }
  if (scope.exact) plan.later = matcher.left();
  return plan;
}

// The use that a mailbox has now. One that is to be made has none; nor has one that is to go.
SpecialUse use_now(const RestoreStates& states, const RestorePlan& plan, const std::string& name) {
  const auto now = states.now.mailbox(name);
  return now && std::ranges::find(plan.remove, name) == plan.remove.end() ? now->info().special_use
                                                                          : SpecialUse::none;
}

// As it was then. What a mailbox got later stays with it, unless `exact` is wanted.
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

bool was_noselect(const RestoreStates& states, const std::string& name) {
  const auto then = states.then.mailbox(name);
  return then && then->info().noselect;
}

}  // namespace

bool RestorePlan::nothing_to_do() const {
  return noselect.empty() && uses.empty() && remove.empty() && subscribe.empty() &&
         unsubscribe.empty() && std::ranges::all_of(mailboxes, [](const MailboxPlan& m) {
           return !m.create && m.missing.empty() && m.flags.empty() && m.later.empty();
         });
}

Result<RestorePlan> plan_restore(const RestoreStates& states, const RestoreScope& scope) {
  RestorePlan plan;
  if (!scope.mailbox.empty()) {
    const auto then = states.then.mailbox(canonical_name(scope.mailbox));
    if (!then || then->info().noselect)
      return fail(Fault::not_found, fmt::format("there was no mailbox \"{}\" then", scope.mailbox));
    for (const auto& range : scope.uids) {
      if (range.last == UINT32_MAX) continue;
      const bool any = std::ranges::any_of(then->messages(), [&](const MessageEntry& e) {
        return range.first <= e.uid.value && e.uid.value <= range.last;
      });
      if (!any)
        return fail(
            Fault::not_found,
            fmt::format("mailbox \"{}\" had no message with uid {} then", scope.mailbox,
                        range.first == range.last ? fmt::format("{}", range.first)
                                                  : fmt::format("{}:{}", range.first, range.last)));
    }
    const std::string name = scope.into.empty() ? then->info().name : canonical_name(scope.into);
    for (size_t at = name.find(kHierarchySeparator); at != name.npos;
         at = name.find(kHierarchySeparator, at + 1)) {
      const std::string above = name.substr(0, at);
      if (was_noselect(states, above) && !states.now.mailbox(above)) plan.noselect.push_back(above);
    }
    plan.mailboxes.push_back(plan_mailbox(states, scope, *then, name));
    if (scope.into.empty()) plan_uses(states, scope, plan);
    return plan;
  }
  for (const auto& [name, id] : states.then.names()) {
    const auto then = states.then.mailbox(id);
    if (!then->info().noselect)
      plan.mailboxes.push_back(plan_mailbox(states, scope, *then, name));
    else if (!states.now.mailbox(name))
      plan.noselect.push_back(name);
  }
  const auto& wanted = states.then.subscriptions();
  const auto& present = states.now.subscriptions();
  std::ranges::set_difference(wanted, present, std::back_inserter(plan.subscribe));
  if (scope.exact) {
    std::ranges::set_difference(present, wanted, std::back_inserter(plan.unsubscribe));
    // A mailbox with others below it that goes stays as \Noselect: as it was, if it was that.
    for (const auto& [name, id] : states.now.names()) {
      const bool selectable = !states.now.mailbox(id)->info().noselect;
      if (name != "INBOX" &&
          (!states.then.mailbox(name) || (selectable && was_noselect(states, name))))
        plan.remove.push_back(name);
    }
    std::ranges::reverse(plan.remove);
  }
  plan_uses(states, scope, plan);
  return plan;
}

// sequence-set = (seq-number / seq-range) *("," sequence-set)
Result<std::vector<UidRange>> parse_uid_set(std::string_view text) {
  std::vector<UidRange> ranges;
  const auto wrong = [&] {
    return fail(Fault::syntax, fmt::format("\"{}\" is no set of uids, such as 1:5,8,20:*", text));
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
