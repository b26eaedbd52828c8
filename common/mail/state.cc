// common/mail/state.cc - one record at a time

#include "common/mail/state.h"

#include <algorithm>
#include <tuple>
#include <unordered_map>
#include <utility>
#include <variant>

#include <fmt/format.h>

#include "common/base/ascii.h"
#include "common/base/utf8.h"

namespace rims::store {
namespace {

// More than any account has: numbers that come from damage must not overflow the counters.
constexpr uint32_t kMostMailboxIds = uint32_t{1} << 31;
// This many sets of keywords may stay, whether they are used or not.
constexpr size_t kFewSets = 1024;

// The entries of `messages` inside `range`, as a half-open pair of positions.
std::pair<size_t, size_t> positions(const std::vector<MessageEntry>& messages, UidRange range) {
  const auto low = std::ranges::lower_bound(messages, Uid(range.first), {}, &MessageEntry::uid);
  const auto high = std::ranges::upper_bound(messages, Uid(range.last), {}, &MessageEntry::uid);
  return {static_cast<size_t>(low - messages.begin()),
          static_cast<size_t>(high - messages.begin())};
}

template <class Id>
void at_least(Id& next, Id used) {
  if (next <= used) next = Id(used.value + 1);
}

}  // namespace

std::shared_ptr<Mailbox> AccountState::mailbox(MailboxId id) const {
  const auto found = mailboxes_.find(id);
  return found == mailboxes_.end() ? nullptr : found->second;
}

std::shared_ptr<Mailbox> AccountState::mailbox(std::string_view name) const {
  const auto found = names_.find(name);
  return found == names_.end() ? nullptr : mailbox(found->second);
}

std::shared_ptr<Mailbox> AccountState::mailbox_of(UidValidity uidvalidity) const {
  const auto found = std::ranges::find_if(
      mailboxes_, [&](const auto& item) { return item.second->info_.uidvalidity == uidvalidity; });
  return found == mailboxes_.end() ? nullptr : found->second;
}

bool AccountState::is_behind(const AccountState& other) const {
  return seq_ < other.seq_ || next_mailbox_ < other.next_mailbox_ ||
         next_message_ < other.next_message_ ||
         std::ranges::any_of(
             other.mailboxes_,
             [&](const auto& item) {
               const auto mine = mailbox_of(item.second->info_.uidvalidity);
               return mine && mine->info_.uidnext < item.second->info_.uidnext;
             });
}

void AccountState::Now::tell(Change::Kind kind, MailboxId mailbox, std::vector<Uid> uids) const {
  if (changes) changes->push_back({kind, mailbox, std::move(uids), {}, {}, {}});
}

void AccountState::Now::tell(Change::Kind kind, MailboxId mailbox, std::string name,
                             std::string old_name) const {
  if (changes) changes->push_back({kind, mailbox, {}, std::move(name), std::move(old_name), {}});
}

void AccountState::Now::tell_annotated(MailboxId mailbox, std::string name,
                                       std::vector<std::string> entries) const {
  if (changes)
    changes->push_back(
        {Change::Kind::annotated, mailbox, {}, std::move(name), {}, std::move(entries)});
}

void AccountState::apply(const JournalEvent& event, std::vector<Change>* changes) {
  const Now now{event.seq, event.time, changes};
  // No record is written with a number beyond the next one unless some were lost.
  if (event.seq > applied_ + 1) lost_.add(applied_, event.seq);
  applied_ = event.seq;
  std::visit([&](const auto& record) { apply(record, now); }, event.record);
  seq_ = event.seq;
}

// The record that made the mailbox was lost; records after it still need the mailbox. The first
// mailbox of every account is its INBOX.
Mailbox& AccountState::recover_mailbox(MailboxId id, const Now& now) {
  auto made = std::make_shared<Mailbox>();
  made->info_.id = id;
  made->info_.name =
      id.value == 1 && !names_.contains("INBOX") ? "INBOX" : fmt::format("Recovered-{}", id.value);
  while (names_.contains(made->info_.name)) made->info_.name += "-";
  last_uidvalidity_ = UidValidity(last_uidvalidity_.value + 1);
  made->info_.uidvalidity = last_uidvalidity_;
  made->info_.changed = ModSeq(now.seq);
  names_[made->info_.name] = id;
  at_least(next_mailbox_, id);
  now.tell(Change::Kind::mended, id, made->info_.name, {});
  return *(mailboxes_[id] = std::move(made));
}

// nullptr for a mailbox that was removed.
Mailbox* AccountState::reach(MailboxId id, const Now& now) {
  const auto found = mailboxes_.find(id);
  if (found != mailboxes_.end()) return found->second.get();
  orphans_++;
  if (removed_.contains(id.value) || id.value == 0 || id.value >= kMostMailboxIds) return nullptr;
  return &recover_mailbox(id, now);
}

// The uid that it has now; 0: it is there already.
Uid AccountState::add_message(Mailbox& mailbox, MessageEntry entry, const KeywordList& keywords,
                              const Now& now) {
  auto& info = mailbox.info_;
  auto& messages = mailbox.messages_;
  at_least(next_message_, entry.message);
  auto at = messages.end();
  if (entry.uid < info.uidnext) {
    // It was given out while earlier records could not be read, which are there again now. Their
    // numbers were skipped, but a Gap counts from what is known.
    at = std::ranges::lower_bound(messages, entry.uid, {}, &MessageEntry::uid);
    if (at != messages.end() && at->uid == entry.uid) {
      orphans_++;
      if (at->message == entry.message || info.uidnext.value == UINT32_MAX) return Uid(0);
      // Two messages got the same uid: both stay.
      entry.uid = info.uidnext;
      at = messages.end();
    }
  }
  entry.modseq = ModSeq(now.seq);
  entry.saved = now.time;
  entry.keywords = mailbox.keywords_.intern(keywords);
  info.uidnext = std::max(info.uidnext, Uid(entry.uid.value + 1));
  info.messages++;
  messages_++;
  info.bytes += entry.size;
  bytes_ += entry.size;
  if ((entry.flags & kSeen) == 0) info.unseen++;
  if (entry.uid >= info.first_recent) info.recent++;
  info.highest_modseq = info.changed = ModSeq(now.seq);
  messages.insert(at, entry);
  return entry.uid;
}

void AccountState::uncount(MailboxInfo& info, const MessageEntry& entry) {
  info.messages--;
  messages_--;
  info.bytes -= entry.size;
  bytes_ -= entry.size;
  if ((entry.flags & kSeen) == 0) info.unseen--;
  if (entry.uid >= info.first_recent) info.recent--;
}

void AccountState::apply(const MailboxCreated& r, const Now& now) {
  if (mailboxes_.contains(r.id) || names_.contains(r.name)) {
    orphans_++;
    return;
  }
  auto made = std::make_shared<Mailbox>();
  made->info_.id = r.id;
  made->info_.name = r.name;
  made->info_.uidvalidity = r.uidvalidity;
  made->info_.special_use = r.special_use;
  made->info_.noselect = r.noselect;
  noselect_ += r.noselect ? 1 : 0;
  made->info_.highest_modseq = made->info_.changed = ModSeq(now.seq);
  last_uidvalidity_ = std::max(last_uidvalidity_, r.uidvalidity);
  at_least(next_mailbox_, r.id);
  mailboxes_[r.id] = std::move(made);
  names_[r.name] = r.id;
  now.tell(Change::Kind::created, r.id, r.name, {});
}

void AccountState::remove(MailboxId id, const Now& now) {
  const auto found = mailboxes_.find(id);
  const auto mailbox = found->second;
  mailbox->deleted_ = true;
  messages_ -= mailbox->info_.messages;
  bytes_ -= mailbox->info_.bytes;
  noselect_ -= mailbox->info_.noselect ? 1 : 0;
  names_.erase(mailbox->info_.name);
  mailboxes_.erase(found);
  removed_.insert(id.value);
  for (const auto& [name, value] : annotations(id)) annotation_bytes_ -= name.size() + value.size();
  annotations_.erase(id);
  now.tell(Change::Kind::removed, id, mailbox->info_.name, {});
}

void AccountState::apply(const MailboxRemoved& r, const Now& now) {
  if (mailboxes_.contains(r.id)) {
    remove(r.id, now);
    return;
  }
  orphans_++;
  if (r.id.value == 0 || r.id.value >= kMostMailboxIds) return;
  removed_.insert(r.id.value);
  at_least(next_mailbox_, r.id);
}

void AccountState::apply(const MailboxRenamed& r, const Now& now) {
  const auto found = mailboxes_.find(r.id);
  if (found == mailboxes_.end() || names_.contains(r.name)) {
    orphans_++;
    return;
  }
  auto& info = found->second->info_;
  names_.erase(info.name);
  const std::string old_name = std::exchange(info.name, r.name);
  names_[r.name] = r.id;
  info.changed = ModSeq(now.seq);
  now.tell(Change::Kind::renamed, r.id, r.name, old_name);
}

void AccountState::apply(const Subscription& r, const Now& now) {
  const bool changes =
      r.on ? subscriptions_.insert(r.name).second : subscriptions_.erase(r.name) > 0;
  if (!changes) return;
  const auto named = mailbox(r.name);
  if (named) named->info_.changed = ModSeq(now.seq);
  now.tell(r.on ? Change::Kind::subscribed : Change::Kind::unsubscribed,
           named ? named->info_.id : MailboxId(), r.name, {});
}

void AccountState::apply(const Keyword& r, const Now& now) {
  if (Mailbox* mailbox = reach(r.mailbox, now)) mailbox->keywords_.define(r.index, r.name);
}

void AccountState::apply(const Append& r, const Now& now) {
  Mailbox* mailbox = reach(r.mailbox, now);
  if (!mailbox) {
    at_least(next_message_, r.entry.message);
    return;
  }
  const Uid uid = add_message(*mailbox, r.entry, r.keywords, now);
  if (uid == Uid(0)) return;
  if (r.delivery_key != DeliveryKey{}) deliveries_.add({r.delivery_key, now.time, r.mailbox, uid});
  if (now.changes) now.tell(Change::Kind::appended, r.mailbox, {uid});
}

void AccountState::apply(const Copy& r, const Now& now) {
  Mailbox* mailbox = reach(r.to, now);
  if (!mailbox) return;
  std::vector<Uid> uids;
  for (const auto& item : r.items) {
    const Uid uid = add_message(*mailbox, item.entry, item.keywords, now);
    if (uid != Uid(0)) uids.push_back(uid);
  }
  std::ranges::sort(uids);
  now.tell(Change::Kind::appended, r.to, std::move(uids));
}

namespace {

// How a flags record changes sets of keywords; each set is asked for once.
class KeywordChange {
 public:
  KeywordChange(Keywords& keywords, const Flags& record) : keywords_(keywords), record_(record) {}

  KeywordSet operator()(KeywordSet before) {
    if (record_.op != FlagOp::replace && record_.keywords.empty()) return before;
    const auto [at, fresh] = known_.try_emplace(before);
    if (fresh) {
      // Not a view of the set: interning moves it.
      const KeywordList had(keywords_.of(before).begin(), keywords_.of(before).end());
      at->second = keywords_.intern(record_.op == FlagOp::replace ? record_.keywords
                                    : record_.op == FlagOp::add   ? merged(had, record_.keywords)
                                                                  : without(had, record_.keywords));
    }
    return at->second;
  }

 private:
  Keywords& keywords_;
  const Flags& record_;
  std::unordered_map<KeywordSet, KeywordSet> known_;
};

uint8_t changed_flags(uint8_t before, const Flags& r) {
  switch (r.op) {
    case FlagOp::replace:
      return r.flags;
    case FlagOp::add:
      return before | r.flags;
    case FlagOp::remove:
      return static_cast<uint8_t>(before & ~r.flags);
  }
  return before;
}

}  // namespace

void AccountState::apply(const Flags& r, const Now& now) {
  Mailbox* mailbox = reach(r.mailbox, now);
  if (!mailbox) return;
  auto& info = mailbox->info_;
  KeywordChange change_keywords(mailbox->keywords_, r);
  std::vector<Uid> uids;
  for (const auto range : r.ranges) {
    const auto [low, high] = positions(mailbox->messages_, range);
    for (size_t i = low; i < high; i++) {
      auto& e = mailbox->messages_[i];
      const uint8_t before = std::exchange(e.flags, changed_flags(e.flags, r));
      if ((before & ~e.flags & kSeen) != 0) info.unseen++;
      if ((e.flags & ~before & kSeen) != 0) info.unseen--;
      e.keywords = change_keywords(e.keywords);
      e.modseq = ModSeq(now.seq);
      uids.push_back(e.uid);
    }
  }
  info.highest_modseq = info.changed = ModSeq(now.seq);
  now.tell(Change::Kind::flags, r.mailbox, std::move(uids));
  // Sets that no message has any more must not accumulate.
  if (mailbox->keywords_.sets() <= kFewSets + 2 * mailbox->messages_.size()) return;
  std::vector<KeywordSet*> used;
  for (auto& e : mailbox->messages_) used.push_back(&e.keywords);
  mailbox->keywords_.squeeze(used);
  now.tell(Change::Kind::renumbered, r.mailbox, std::vector<Uid>());
}

void AccountState::apply(const Expunge& r, const Now& now) {
  Mailbox* mailbox = reach(r.mailbox, now);
  if (!mailbox) return;
  auto& messages = mailbox->messages_;
  std::vector<Uid> uids;
  // One pass: entries that stay are moved down over those that are removed.
  size_t kept = 0, at = 0;
  for (const auto range : r.ranges) {
    const auto [low, high] = positions(messages, range);
    if (kept == at) {
      kept = low;
    } else {
      std::move(messages.begin() + static_cast<ptrdiff_t>(at),
                messages.begin() + static_cast<ptrdiff_t>(low),
                messages.begin() + static_cast<ptrdiff_t>(kept));
      kept += low - at;
    }
    for (size_t i = low; i < high; i++) {
      uncount(mailbox->info_, messages[i]);
      uids.push_back(messages[i].uid);
    }
    at = high;
  }
  if (at != kept) {
    std::move(messages.begin() + static_cast<ptrdiff_t>(at), messages.end(),
              messages.begin() + static_cast<ptrdiff_t>(kept));
    messages.resize(kept + messages.size() - at);
  }
  mailbox->info_.highest_modseq = mailbox->info_.changed = ModSeq(now.seq);
  now.tell(Change::Kind::expunged, r.mailbox, std::move(uids));
}

void AccountState::apply(const Recent& r, const Now&) {
  claim_recent(r.mailbox, r.first);  // it may be removed: the record is written late
}

void AccountState::apply(const Gap& r, const Now& now) {
  damage_answered_ += r.damage;
  incomplete_ = incomplete_ || r.damage > 0;
  // The lost records may have changed any message, and any client may have seen that.
  if (r.damage > 0) lost_.add(0, now.seq);
  next_mailbox_ =
      MailboxId(std::min(next_mailbox_.value + r.skip % kMostMailboxIds, kMostMailboxIds));
  next_message_ = MessageId(next_message_.value + r.skip);
  for (auto& [id, mailbox] : mailboxes_) {
    auto& info = mailbox->info_;
    info.uidnext = Uid(info.uidnext.value + std::min(r.skip, UINT32_MAX - info.uidnext.value));
    // From here on a client has a MODSEQ of which all is known.
    if (r.damage > 0) info.highest_modseq = info.changed = ModSeq(now.seq);
  }
}

void AccountState::apply(const UidNext& r, const Now& now) {
  Mailbox* mailbox = reach(r.mailbox, now);
  if (mailbox) mailbox->info_.uidnext = std::max(mailbox->info_.uidnext, r.uid);
}

// A use belongs to one mailbox.
void AccountState::take_special_use(MailboxId from_all_but, SpecialUse use, const Now& now) {
  if (use == SpecialUse::none) return;
  for (const auto& [id, other] : mailboxes_) {
    if (id == from_all_but || other->info_.special_use != use) continue;
    other->info_.special_use = SpecialUse::none;
    other->info_.changed = ModSeq(now.seq);
    now.tell(Change::Kind::special_use, id, other->info_.name, {});
  }
}

void AccountState::apply(const SpecialUseSet& r, const Now& now) {
  Mailbox* mailbox = reach(r.mailbox, now);
  if (!mailbox) return;
  take_special_use(r.mailbox, r.special_use, now);
  mailbox->info_.special_use = r.special_use;
  mailbox->info_.changed = ModSeq(now.seq);
  now.tell(Change::Kind::special_use, r.mailbox, mailbox->info_.name, {});
}

void AccountState::apply(const AccountNamed& r, const Now&) { named_ = r; }

const Annotations& AccountState::annotations(MailboxId id) const {
  static const Annotations kNone;
  const auto found = annotations_.find(id);
  return found == annotations_.end() ? kNone : found->second;
}

std::optional<Annotated> AccountState::all_annotations(bool whole) const {
  if (!annotated_) return std::nullopt;
  Annotated all{.whole = whole, .items = {}};
  for (const auto& [id, annotations] : annotations_) {
    for (const auto& [name, value] : annotations) all.items.push_back({id, name, value});
  }
  return all;
}

// False when it was so already.
bool AccountState::annotate(const Annotated::Item& item) {
  auto& annotations = annotations_[item.mailbox];
  const auto found = annotations.find(item.name);
  const bool there = found != annotations.end();
  const bool same = there ? item.value == found->second : !item.value;
  if (!same) {
    if (there) annotation_bytes_ -= item.name.size() + found->second.size();
    if (item.value) {
      annotation_bytes_ += item.name.size() + item.value->size();
      annotations[item.name] = *item.value;
    } else {
      annotations.erase(found);
    }
  }
  if (annotations.empty()) annotations_.erase(item.mailbox);
  return !same;
}

void AccountState::apply(const Annotated& r, const Now& now) {
  annotated_ = true;
  std::vector<Annotated::Item> all;
  if (r.whole) {
    const auto place = [](const Annotated::Item& item) {
      return std::tie(item.mailbox, item.name);
    };
    for (auto& item : all_annotations(true)->items) {
      if (std::ranges::binary_search(r.items, place(item), {}, place)) continue;
      all.push_back({item.mailbox, item.name, std::nullopt});
    }
  }
  all.insert(all.end(), r.items.begin(), r.items.end());
  std::map<MailboxId, std::vector<std::string>> changed;
  for (const auto& item : all) {
    // A mailbox is not made for these alone.
    if (item.mailbox.value != 0 && !mailboxes_.contains(item.mailbox))
      orphans_++;
    else if (annotate(item))
      changed[item.mailbox].push_back(item.name);
  }
  if (r.whole && !changed.empty()) orphans_++;
  for (auto& [id, entries] : changed) {
    std::ranges::sort(entries);
    const auto of = mailbox(id);
    now.tell_annotated(id, of ? of->info_.name : std::string(), std::move(entries));
  }
}

Snapshot AccountState::snapshot() const {
  Snapshot all;
  // If records were lost, something may be missing that comes back when a segment is repaired.
  all.whole = !incomplete_ && orphans_ == 0;
  all.next_mailbox = next_mailbox_;
  all.next_message = next_message_;
  all.last_uidvalidity = last_uidvalidity_;
  for (const auto& [id, mailbox] : mailboxes_) all.mailboxes.push_back(of(*mailbox));
  all.removed = removed_.ranges();
  all.subscribed.assign(subscriptions_.begin(), subscriptions_.end());
  return all;
}

Snapshot::OfMailbox AccountState::of(const Mailbox& mailbox) {
  const auto& info = mailbox.info_;
  Snapshot::OfMailbox one{.id = info.id,
                          .uidvalidity = info.uidvalidity,
                          .uidnext = info.uidnext,
                          .first_recent = info.first_recent,
                          .highest_modseq = info.highest_modseq,
                          .changed = info.changed,
                          .special_use = info.special_use,
                          .noselect = info.noselect,
                          .name = info.name,
                          .keywords = {}};
  const auto& names = mailbox.keywords_.names();
  for (size_t i = 0; i < names.size(); i++)
    one.keywords.emplace_back(static_cast<KeywordIndex>(i), names[i]);
  return one;
}

// Makes the mailbox as in the snapshot. True when something was different.
bool AccountState::mend(const Snapshot::OfMailbox& right, const Now& now) {
  auto& place = mailboxes_[right.id];
  bool differs = false;
  const auto set = [&differs](auto& field, const auto& value) {
    if (field == value) return;
    field = value;
    differs = true;
  };
  if (!place) {
    place = std::make_shared<Mailbox>();
    place->info_.id = right.id;
    differs = true;
  }
  auto& info = place->info_;
  set(info.uidvalidity, right.uidvalidity);
  noselect_ -= info.noselect ? 1 : 0;
  noselect_ += right.noselect ? 1 : 0;
  set(info.noselect, right.noselect);
  set(info.uidnext, std::max(info.uidnext, right.uidnext));
  set(info.highest_modseq, std::max(info.highest_modseq, right.highest_modseq));
  set(info.changed, std::max(info.changed, right.changed));
  if (info.special_use != right.special_use) {
    take_special_use(right.id, right.special_use, now);
    info.special_use = right.special_use;
    differs = true;
  }
  if (info.name != right.name) {
    if (const auto mine = names_.find(info.name); mine != names_.end() && mine->second == right.id)
      names_.erase(mine);
    // Another mailbox has this name: the record that renamed it was lost. Its own snapshot gives it
    // the right name; if there is none, it stays Recovered-N.
    if (const auto other = mailbox(right.name)) {
      names_.erase(right.name);
      auto& name = other->info_.name;
      name = fmt::format("Recovered-{}", other->info_.id.value);
      while (names_.contains(name)) name += "-";
      names_[name] = other->info_.id;
    }
    info.name = right.name;
    names_[info.name] = right.id;
    differs = true;
  }
  for (const auto& [index, name] : right.keywords) {
    const auto& names = place->keywords_.names();
    if (index < names.size() && names[index] == name) continue;
    place->keywords_.define(index, name);
    differs = true;
  }
  // No loss: a claim is in the state, and in a snapshot of it, before its record is written.
  const bool claimed = place->loaded_ && info.first_recent < right.first_recent;
  if (claimed) claim_recent(right.id, right.first_recent);
  if (differs || claimed) now.tell(Change::Kind::mended, right.id, info.name, {});
  return differs;
}

void AccountState::apply(const Snapshot& r, const Now& now) {
  bool differs = false;
  next_mailbox_ = std::max(next_mailbox_, r.next_mailbox);
  next_message_ = std::max(next_message_, r.next_message);
  last_uidvalidity_ = std::max(last_uidvalidity_, r.last_uidvalidity);
  for (const auto& range : r.removed) removed_.insert(range);
  std::vector<MailboxId> gone;
  for (const auto& [id, mailbox] : mailboxes_) {
    const bool there = std::ranges::binary_search(r.mailboxes, id, {}, &Snapshot::OfMailbox::id);
    if (!there && (r.whole || removed_.contains(id.value))) gone.push_back(id);
  }
  for (const MailboxId id : gone) remove(id, now);
  differs = !gone.empty();
  for (const auto& right : r.mailboxes) {
    at_least(next_mailbox_, right.id);
    last_uidvalidity_ = std::max(last_uidvalidity_, right.uidvalidity);
    differs = mend(right, now) || differs;
  }
  if (r.whole) {
    decltype(subscriptions_) right(r.subscribed.begin(), r.subscribed.end());
    if (right != subscriptions_) {
      subscriptions_ = std::move(right);
      differs = true;
      now.tell(Change::Kind::mended, MailboxId(), std::string(), std::string());
    }
  } else {
    for (const auto& name : r.subscribed) differs = subscriptions_.insert(name).second || differs;
  }
  if (differs) orphans_++;
}

void AccountState::claim_recent(MailboxId id, Uid first) {
  const auto found = mailboxes_.find(id);
  if (found == mailboxes_.end() || first <= found->second->info_.first_recent) return;
  auto& info = found->second->info_;
  info.first_recent = first;
  const auto& messages = found->second->messages_;
  const auto low = std::ranges::lower_bound(messages, first, {}, &MessageEntry::uid);
  info.recent = static_cast<uint32_t>(messages.end() - low);
}

void AccountState::unload(Mailbox& mailbox) {
  mailbox.loaded_ = false;
  mailbox.messages_ = {};
  mailbox.keywords_.forget_sets();
}

void AccountState::take_messages(MailboxId id, const AccountState& other) {
  const auto mine = mailbox(id);
  const auto theirs = other.mailbox(id);
  if (!mine || !theirs) return;
  messages_ += uint64_t{theirs->info_.messages} - mine->info_.messages;
  bytes_ += theirs->info_.bytes - mine->info_.bytes;
  *mine = *theirs;
}

std::vector<std::string> AccountState::broken_invariants() const {
  std::vector<std::string> broken;
  const auto say = [&](int number, std::string_view where, std::string_view what) {
    broken.push_back(fmt::format("invariant {}: {}: {}", number, where, what));
  };
  if (names_.size() != mailboxes_.size()) say(2, "account", "names and mailboxes differ in number");
  const auto inbox = mailbox("INBOX");
  if (seq_ > 0 && (!inbox || inbox->info_.noselect)) say(3, "INBOX", "missing");
  std::set<UidValidity> validities;
  Usage sum;
  for (const auto& [id, mailbox] : mailboxes_) {
    const auto& info = mailbox->info_;
    sum.messages += info.messages;
    sum.bytes += info.bytes;
    sum.mailboxes += info.noselect ? 0 : 1;
    const auto named = names_.find(info.name);
    if (info.id != id || id >= next_mailbox_ || named == names_.end() || named->second != id)
      say(2, info.name, "name index or id wrong");
    if (info.uidvalidity.value == 0 || info.uidvalidity > last_uidvalidity_ ||
        !validities.insert(info.uidvalidity).second)
      say(9, info.name, "uidvalidity");
    if (info.highest_modseq > info.changed || info.changed.value > seq_)
      say(7, info.name, "highest modseq beyond the journal");
    if (info.noselect && info.messages != 0) say(10, info.name, "\\Noselect with messages");
    if (mailbox->deleted_) say(2, info.name, "deleted, but still listed");
    if (!mailbox->loaded_) continue;

    MailboxInfo counted;
    size_t most_sets = 1;
    Uid before;
    for (const auto& e : mailbox->messages_) {
      counted.messages++;
      counted.bytes += e.size;
      if ((e.flags & kSeen) == 0) counted.unseen++;
      if (e.uid >= info.first_recent) counted.recent++;
      most_sets = std::max<size_t>(most_sets, e.keywords.value + size_t{1});
      if (e.uid <= before || e.uid >= info.uidnext) say(4, info.name, "uids out of order");
      before = e.uid;
      if (e.message.value == 0 || e.message >= next_message_) say(5, info.name, "message id");
      if (e.modseq.value == 0 || e.modseq > info.highest_modseq) say(7, info.name, "modseq");
    }
    if (counted.messages != info.messages || counted.unseen != info.unseen ||
        counted.recent != info.recent || counted.bytes != info.bytes)
      say(6, info.name, "counters");
    const auto& keywords = mailbox->keywords_;
    const auto& names = keywords.names();
    if (names.size() > kMaxKeywords || most_sets > keywords.sets())
      say(8, info.name, "keyword without a name");
    for (size_t i = 0; i < names.size(); i++) {
      if (keywords.find(names[i]) != i) say(8, info.name, "keyword twice");
    }
  }
  uint64_t annotation_bytes = 0;
  for (const auto& [id, annotations] : annotations_) {
    if (annotations.empty() || (id.value != 0 && !mailboxes_.contains(id)))
      say(15, fmt::format("mailbox {}", id.value), "annotations");
    for (const auto& [name, value] : annotations) annotation_bytes += name.size() + value.size();
  }
  if (annotation_bytes != annotation_bytes_) say(15, "account", "bytes of annotations");
  if (sum != usage()) say(6, "account", "number of messages, bytes or mailboxes");
  return broken;
}

namespace {

std::string counters(const MailboxInfo& i) {
  return fmt::format(
      "(uidvalidity {} uidnext {} messages {} unseen {} recent {} from {} bytes {} modseq {} use "
      "{})",
      i.uidvalidity.value, i.uidnext.value, i.messages, i.unseen, i.recent, i.first_recent.value,
      i.bytes, i.highest_modseq.value, static_cast<int>(i.special_use));
}

}  // namespace

std::string AccountState::difference(const AccountState& other) const {
  if (seq_ != other.seq_) return fmt::format("seq {} and {}", seq_, other.seq_);
  if (next_mailbox_ != other.next_mailbox_) return "next mailbox id";
  if (next_message_ != other.next_message_)
    return fmt::format("next message id {} and {}", next_message_.value, other.next_message_.value);
  if (last_uidvalidity_ != other.last_uidvalidity_) return "last uidvalidity";
  if (names_ != other.names_) return "names";
  if (subscriptions_ != other.subscriptions_) return "subscriptions";
  if (removed_ != other.removed_) return "removed ids";
  if (named_.user != other.named_.user || named_.id != other.named_.id) return "user or account id";
  if (deliveries_ != other.deliveries_) return "deliveries";
  if (annotations_ != other.annotations_ || annotated_ != other.annotated_) return "annotations";
  if (mailboxes_.size() != other.mailboxes_.size()) return "number of mailboxes";
  for (const auto& [id, mailbox] : mailboxes_) {
    const auto theirs = other.mailbox(id);
    if (!theirs) return fmt::format("mailbox {} is missing", id.value);
    if (mailbox->info_ != theirs->info_)
      return fmt::format("{}: counters: {} is not {}", mailbox->info_.name,
                         counters(mailbox->info_), counters(theirs->info_));
    if (mailbox->keywords_ != theirs->keywords_) return mailbox->info_.name + ": keywords";
    if (*mailbox != *theirs) return mailbox->info_.name + ": messages";
  }
  return {};
}

std::string canonical_name(std::string_view name) {
  if (name.size() > 1 && name.back() == kHierarchySeparator) name.remove_suffix(1);
  std::string out(name);
  const auto level = name.substr(0, name.find(kHierarchySeparator));
  if (ascii::equal(level, "INBOX")) out.replace(0, 5, "INBOX");
  return out;
}

Status check_name(std::string_view name, const Limits& limits) {
  const auto cannot = [](const char* why) {
    return fail(Fault::refused, std::string("mailbox name: ") + why, {}, "CANNOT");
  };
  if (name.size() > limits.name_bytes)
    return fail(Fault::limit, "mailbox name is too long", {}, "LIMIT");
  if (name.empty()) return cannot("empty");
  size_t depth = 1;
  char before = kHierarchySeparator;
  for (const char c : name) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) return cannot("control character");
    if (c == kHierarchySeparator) {
      if (before == kHierarchySeparator) return cannot("empty level");
      depth++;
    }
    before = c;
  }
  if (before == kHierarchySeparator) return cannot("empty level");
  if (depth > limits.name_depth) return fail(Fault::limit, "too many levels", {}, "LIMIT");
  while (!name.empty()) {
    const auto first = utf8::first(name);
    if (first.bytes == 0 || utf8::is_control(first.point)) return cannot("not UTF-8");
    if (first.point == 0x2028 || first.point == 0x2029) return cannot("line separator");
    name.remove_prefix(first.bytes);
  }
  return {};
}

}  // namespace rims::store
