// imapd/imap/notifications.cc - the filter of NOTIFY, and the changes that wait to be told

#include "imapd/imap/notifications.h"

#include <algorithm>
#include <utility>

namespace rims::imapd {
namespace {

using Filter = imap::Notify::Filter;
using Kind = store::Change::Kind;

constexpr uint16_t kOfMessages =
    imap::Notify::message_new | imap::Notify::message_expunge | imap::Notify::flag_change;

// "a" of "a/b"; "" when there is none.
std::string_view parent_of(std::string_view name) {
  const size_t end = name.rfind(store::kHierarchySeparator);
  return end == name.npos ? std::string_view() : name.substr(0, end);
}

bool is_below(std::string_view name, std::string_view parent) {
  return name.size() > parent.size() && name.starts_with(parent) &&
         name[parent.size()] == store::kHierarchySeparator;
}

}  // namespace

Notifications::Notifications(const imap::Notify& asked) {
  for (const imap::Notify::Group& group : asked.groups) {
    const auto events = static_cast<uint16_t>(group.events & kSupported);
    if (group.filter == Filter::selected || group.filter == Filter::selected_delayed) {
      selected_ = events;
      delays_expunges_ = group.filter == Filter::selected_delayed;
      fetch_ = group.fetch;
      // Nobody has looked at what is sent unasked.
      for (imap::FetchSection& section : fetch_.sections) section.peek = true;
      continue;
    }
    groups_.push_back({.filter = group.filter,
                       .events = events,
                       .names = Names(group.mailboxes.begin(), group.mailboxes.end())});
  }
}

void Notifications::arrived(std::span<const Uid> uids) {
  if (!tells_messages() || fetch_ == imap::Fetch{}) return;
  for (const Uid uid : uids) arrivals_.add(uid);
}

std::optional<imap::Fetch> Notifications::take_fetch() {
  if (arrivals_.empty()) return std::nullopt;
  imap::Fetch fetch = fetch_;
  for (const auto& range : arrivals_.ranges())
    fetch.messages.ranges.push_back({range.first.value, range.last.value});
  forget_arrivals();
  return fetch;
}

bool Notifications::matches(const Group& group, std::string_view name, bool subscribed) {
  switch (group.filter) {
    // Mail may be delivered to any mailbox, so these two are the same (§6.3).
    case Filter::inboxes:
    case Filter::personal:
      return true;
    case Filter::subscribed:
      return subscribed;
    case Filter::mailboxes:
      return group.names.contains(name);
    case Filter::subtree:
      for (size_t end = name.size(); end != name.npos;
           end = end == 0 ? name.npos : name.rfind(store::kHierarchySeparator, end - 1))
        if (group.names.contains(name.substr(0, end))) return true;
      return false;
    case Filter::selected:
    case Filter::selected_delayed:
      break;
  }
  return false;
}

bool Notifications::wants(std::string_view name, bool subscribed, uint16_t event) const {
  for (const Group& group : groups_) {
    if ((group.events & event) == 0 && group.events != 0) continue;
    if (matches(group, name, subscribed)) return group.events != 0;
  }
  return false;
}

bool Notifications::wants(std::string_view name, const Names& subscriptions, uint16_t event) const {
  return wants(name, subscriptions.contains(name), event);
}

bool Notifications::wants_server_entries() const {
  return std::ranges::any_of(groups_, [](const Group& group) {
    return (group.events & imap::Notify::server_metadata_change) != 0;
  });
}

bool Notifications::wants_messages(std::string_view name, const Names& subscriptions) const {
  return wants(name, subscriptions, kOfMessages);
}

void Notifications::messages_changed(MailboxId mailbox) {
  const auto place = std::ranges::lower_bound(changed_, mailbox);
  if (place == changed_.end() || *place != mailbox) changed_.insert(place, mailbox);
}

void Notifications::mailbox_changed(const store::Change& change, const Names& subscriptions) {
  if (change.kind == Kind::renamed) return renamed(change, subscriptions);
  moved_ = {};
  switch (change.kind) {
    case Kind::subscribed:
    case Kind::unsubscribed:
      // It is, or was until now, one of those that are subscribed.
      if (wants(change.name, true, imap::Notify::subscription_change)) listed(change.name);
      break;
    case Kind::mended:
      // Which subscriptions are others is not known.
      if (change.mailbox == MailboxId()) {
        constexpr uint16_t kAsked = imap::Notify::subscription_change;
        if (std::ranges::any_of(groups_, [](const Group& g) { return (g.events & kAsked) != 0; }))
          overflow();
        return;
      }
      [[fallthrough]];
    case Kind::created:
      if (wants_messages(change.name, subscriptions)) messages_changed(change.mailbox);
      [[fallthrough]];
    default:
      listed_if_wanted(change.name, subscriptions);
      // It may have become one with children, or without (§5.4).
      if (change.kind == Kind::created || change.kind == Kind::removed)
        listed_if_wanted(parent_of(change.name), subscriptions);
      break;
  }
}

void Notifications::listed_if_wanted(std::string_view name, const Names& subscriptions) {
  if (!name.empty() && wants(name, subscriptions, imap::Notify::mailbox_name))
    listed(std::string(name));
}

void Notifications::renamed(const store::Change& change, const Names& subscriptions) {
  const auto& [name, old_name] = std::pair(change.name, change.old_name);
  // It has another UIDVALIDITY than what had this name before (§5.1).
  if (wants_messages(name, subscriptions)) messages_changed(change.mailbox);
  if (!moved_.name.empty() && is_below(name, moved_.name) && is_below(old_name, moved_.old_name) &&
      name.substr(moved_.name.size()) == old_name.substr(moved_.old_name.size()))
    return;
  moved_ = {};
  const bool told = wants(name, subscriptions, imap::Notify::mailbox_name);
  if (!told && !wants(old_name, subscriptions, imap::Notify::mailbox_name)) return;
  moved_ = {.name = name, .old_name = old_name};
  const auto before = std::ranges::find(names_, old_name, &Name::name);
  if (!told || before == names_.end()) return listed(told ? name : old_name, told ? old_name : "");
  // The client knows it by the name that it was told of last. The place stays: the old name may be
  // another's by now.
  std::erase_if(names_, [&](const Name& other) { return other.name == name; });
  const auto same = std::ranges::find(names_, old_name, &Name::name);
  same->name = name;
  if (same->old_name.empty()) same->old_name = old_name;
  if (same->old_name == name) same->old_name.clear();
  check_room();
}

void Notifications::listed(const std::string& name, const std::string& old_name) {
  const auto there = std::ranges::find(names_, name, &Name::name);
  if (there == names_.end())
    names_.push_back({.name = name, .old_name = old_name});
  else if (!old_name.empty())
    there->old_name = old_name;
  check_room();
}

void Notifications::check_room() {
  size_t bytes = 0;
  for (const Name& each : names_) bytes += each.name.size() + each.old_name.size();
  if (names_.size() > kMostNames || bytes > kMostBytes) overflow();
}

// As after NOTIFY NONE.
void Notifications::overflow() {
  *this = Notifications(imap::Notify());
  overflowed_ = true;
}

Notifications::Untold Notifications::take() {
  return {.names = std::exchange(names_, {}),
          .changed = std::exchange(changed_, {}),
          .overflow = std::exchange(overflowed_, false)};
}

void Notifications::take_over(Notifications& before) {
  names_ = std::exchange(before.names_, {});
  changed_ = std::exchange(before.changed_, {});
}

}  // namespace rims::imapd
