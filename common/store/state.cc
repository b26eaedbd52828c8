// common/store/state.cc - one record at a time

#include "common/store/state.h"

#include <algorithm>
#include <bit>

#include <fmt/format.h>

#include "common/base/ascii.h"

namespace rims::store {
namespace {

// Beyond any account: numbers that damage has made must not overflow the counters.
constexpr uint32_t kMostMailboxIds = uint32_t{1} << 31;

std::unexpected<Error> undecodable(RecordType type, uint64_t seq) {
  return fail(Fault::storage, "temporary failure",
              fmt::format("record {} ({}) says nothing that can be understood", seq, name(type)));
}

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

// The record that made it was lost: what came after must still have a place.
void AccountState::recover_mailbox(MailboxId id) {
  auto made = std::make_shared<Mailbox>();
  made->info_.id = id;
  made->info_.name = fmt::format("Recovered-{}", id.value);
  while (names_.contains(made->info_.name)) made->info_.name += "-";
  last_uidvalidity_ = UidValidity(last_uidvalidity_.value + 1);
  made->info_.uidvalidity = last_uidvalidity_;
  names_[made->info_.name] = id;
  mailboxes_[id] = std::move(made);
  at_least(next_mailbox_, id);
}

// nullptr for a mailbox that was removed.
Mailbox* AccountState::reach(MailboxId id) {
  const auto found = mailboxes_.find(id);
  if (found != mailboxes_.end()) return found->second.get();
  orphans_++;
  if (id < next_mailbox_ || id.value == 0 || id.value >= kMostMailboxIds) return nullptr;
  recover_mailbox(id);
  return mailboxes_[id].get();
}

void AccountState::add_message(Mailbox& mailbox, MessageEntry entry, uint64_t seq) {
  auto& info = mailbox.info_;
  at_least(next_message_, entry.message);
  if (entry.uid < info.uidnext) {  // only after lost or foreign records
    orphans_++;
    return;
  }
  entry.modseq = ModSeq(seq);
  info.uidnext = Uid(entry.uid.value + 1);
  info.messages++;
  info.bytes += entry.size;
  if ((entry.flags & kSeen) == 0) info.unseen++;
  if (entry.uid >= info.first_recent) info.recent++;
  info.highest_modseq = ModSeq(seq);
  mailbox.messages_.push_back(entry);
}

void AccountState::uncount(MailboxInfo& info, const MessageEntry& entry) {
  info.messages--;
  info.bytes -= entry.size;
  if ((entry.flags & kSeen) == 0) info.unseen--;
  if (entry.uid >= info.first_recent) info.recent--;
}

Status AccountState::apply(RecordType type, uint64_t seq, uint32_t time, std::string_view meta,
                           std::vector<Change>* changes) {
  const auto note = [&](Change::Kind kind, MailboxId id, std::vector<Uid> uids) {
    if (changes) changes->push_back({kind, id, std::move(uids)});
  };
  switch (type) {
    case RecordType::mailbox_created: {
      auto r = MailboxCreated::decode(meta);
      if (!r) return undecodable(type, seq);
      if (mailboxes_.contains(r->id) || names_.contains(r->name)) {
        orphans_++;
        break;
      }
      auto made = std::make_shared<Mailbox>();
      made->info_.id = r->id;
      made->info_.name = r->name;
      made->info_.uidvalidity = r->uidvalidity;
      made->info_.special_use = r->special_use;
      made->info_.noselect = r->noselect;
      made->info_.highest_modseq = ModSeq(seq);
      last_uidvalidity_ = std::max(last_uidvalidity_, r->uidvalidity);
      at_least(next_mailbox_, r->id);
      mailboxes_[r->id] = std::move(made);
      names_[std::move(r->name)] = r->id;
      note(Change::Kind::mailboxes, r->id, {});
      break;
    }
    case RecordType::mailbox_removed: {
      const auto r = MailboxRemoved::decode(meta);
      if (!r) return undecodable(type, seq);
      const auto found = mailboxes_.find(r->id);
      if (found == mailboxes_.end()) {
        orphans_++;
        break;
      }
      found->second->deleted_ = true;
      names_.erase(found->second->info_.name);
      mailboxes_.erase(found);
      note(Change::Kind::mailboxes, r->id, {});
      break;
    }
    case RecordType::mailbox_renamed: {
      auto r = MailboxRenamed::decode(meta);
      if (!r) return undecodable(type, seq);
      const auto found = mailboxes_.find(r->id);
      if (found == mailboxes_.end() || names_.contains(r->name)) {
        orphans_++;
        break;
      }
      names_.erase(found->second->info_.name);
      found->second->info_.name = r->name;
      names_[std::move(r->name)] = r->id;
      note(Change::Kind::mailboxes, r->id, {});
      break;
    }
    case RecordType::subscription: {
      auto r = Subscription::decode(meta);
      if (!r) return undecodable(type, seq);
      if (r->on)
        subscriptions_.insert(std::move(r->name));
      else
        subscriptions_.erase(r->name);
      note(Change::Kind::mailboxes, MailboxId(), {});
      break;
    }
    case RecordType::keyword: {
      const auto r = Keyword::decode(meta);
      if (!r) return undecodable(type, seq);
      Mailbox* mailbox = reach(r->mailbox);
      if (!mailbox) break;
      auto& names = mailbox->keywords_;
      // Lost definitions leave bits without a name: they get one that says so.
      while (names.size() < r->index) names.push_back(fmt::format("lost-{}", names.size()));
      if (names.size() == r->index)
        names.push_back(r->name);
      else
        names[r->index] = r->name;
      break;
    }
    case RecordType::append: {
      const auto r = Append::decode(meta);
      if (!r) return undecodable(type, seq);
      Mailbox* mailbox = reach(r->mailbox);
      if (!mailbox) {
        at_least(next_message_, r->entry.message);
        break;
      }
      add_message(*mailbox, r->entry, seq);
      if (r->delivery_key != DeliveryKey{})
        deliveries_.add({r->delivery_key, time, r->mailbox, r->entry.uid});
      if (changes) note(Change::Kind::appended, r->mailbox, {r->entry.uid});
      break;
    }
    case RecordType::copy: {
      const auto r = Copy::decode(meta);
      if (!r) return undecodable(type, seq);
      Mailbox* mailbox = reach(r->to);
      if (!mailbox) break;
      std::vector<Uid> uids;
      for (const auto& item : r->items) {
        add_message(*mailbox, item.entry, seq);
        uids.push_back(item.entry.uid);
      }
      note(Change::Kind::appended, r->to, std::move(uids));
      break;
    }
    case RecordType::flags: {
      const auto r = Flags::decode(meta);
      if (!r) return undecodable(type, seq);
      Mailbox* mailbox = reach(r->mailbox);
      if (!mailbox) break;
      std::vector<Uid> uids;
      for (const auto range : r->ranges) {
        const auto [low, high] = positions(mailbox->messages_, range);
        for (size_t i = low; i < high; i++) {
          auto& e = mailbox->messages_[i];
          const bool was_seen = (e.flags & kSeen) != 0;
          switch (r->op) {
            case FlagOp::replace:
              e.flags = r->flags;
              e.keywords = r->keywords;
              break;
            case FlagOp::add:
              e.flags |= r->flags;
              e.keywords |= r->keywords;
              break;
            case FlagOp::remove:
              e.flags = static_cast<uint8_t>(e.flags & ~r->flags);
              e.keywords &= ~r->keywords;
              break;
          }
          const bool is_seen = (e.flags & kSeen) != 0;
          if (was_seen && !is_seen) mailbox->info_.unseen++;
          if (!was_seen && is_seen) mailbox->info_.unseen--;
          e.modseq = ModSeq(seq);
          uids.push_back(e.uid);
        }
      }
      mailbox->info_.highest_modseq = ModSeq(seq);
      note(Change::Kind::flags, r->mailbox, std::move(uids));
      break;
    }
    case RecordType::expunge: {
      const auto r = Expunge::decode(meta);
      if (!r) return undecodable(type, seq);
      Mailbox* mailbox = reach(r->mailbox);
      if (!mailbox) break;
      auto& messages = mailbox->messages_;
      std::vector<Uid> uids;
      // One pass: what stays moves down over what goes.
      size_t kept = 0, at = 0;
      for (const auto range : r->ranges) {
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
      mailbox->info_.highest_modseq = ModSeq(seq);
      note(Change::Kind::expunged, r->mailbox, std::move(uids));
      break;
    }
    case RecordType::recent: {
      const auto r = Recent::decode(meta);
      if (!r) return undecodable(type, seq);
      claim_recent(r->mailbox, r->first);  // which may be gone: it was written late
      break;
    }
    case RecordType::clean:
      if (!Clean::decode(meta)) return undecodable(type, seq);
      break;
    case RecordType::gap: {
      const auto r = Gap::decode(meta);
      if (!r) return undecodable(type, seq);
      damage_answered_ += r->damage;
      next_mailbox_ =
          MailboxId(std::min(next_mailbox_.value + r->skip % kMostMailboxIds, kMostMailboxIds));
      next_message_ = MessageId(next_message_.value + r->skip);
      for (auto& [id, mailbox] : mailboxes_) {
        auto& next = mailbox->info_.uidnext;
        next = Uid(next.value + std::min(r->skip, UINT32_MAX - next.value));
      }
      break;
    }
    case RecordType::compacted:
      if (!Compacted::decode(meta)) return undecodable(type, seq);
      break;
    case RecordType::footer:
      break;
    case RecordType::uidnext: {
      const auto r = UidNext::decode(meta);
      if (!r) return undecodable(type, seq);
      Mailbox* mailbox = reach(r->mailbox);
      if (!mailbox) break;
      mailbox->info_.uidnext = std::max(mailbox->info_.uidnext, r->uid);
      break;
    }
    case RecordType::special_use: {
      const auto r = SpecialUseSet::decode(meta);
      if (!r) return undecodable(type, seq);
      Mailbox* mailbox = reach(r->mailbox);
      if (!mailbox) break;
      for (const auto& [id, other] : mailboxes_) {
        if (id == r->mailbox || r->special_use == SpecialUse::none ||
            other->info_.special_use != r->special_use)
          continue;
        other->info_.special_use = SpecialUse::none;
        note(Change::Kind::mailboxes, id, {});
      }
      mailbox->info_.special_use = r->special_use;
      note(Change::Kind::mailboxes, r->mailbox, {});
      break;
    }
    default:
      return fail(Fault::storage, "temporary failure",
                  fmt::format("record {} is of type {}, which this version does not know", seq,
                              static_cast<unsigned>(type)));
  }
  seq_ = seq;
  return {};
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
  mailbox.keywords_ = {};
}

void AccountState::take_messages(MailboxId id, const AccountState& other) {
  const auto mine = mailbox(id);
  const auto theirs = other.mailbox(id);
  if (!mine || !theirs) return;
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
  for (const auto& [id, mailbox] : mailboxes_) {
    const auto& info = mailbox->info_;
    const auto named = names_.find(info.name);
    if (info.id != id || id >= next_mailbox_ || named == names_.end() || named->second != id)
      say(2, info.name, "name index or id wrong");
    if (info.uidvalidity.value == 0 || info.uidvalidity > last_uidvalidity_ ||
        !validities.insert(info.uidvalidity).second)
      say(9, info.name, "uidvalidity");
    if (info.highest_modseq.value > seq_) say(7, info.name, "highest modseq beyond the journal");
    if (info.noselect && info.messages != 0) say(10, info.name, "\\Noselect with messages");
    if (mailbox->deleted_) say(2, info.name, "deleted and there");
    if (!mailbox->loaded_) continue;

    MailboxInfo counted;
    uint64_t bits = 0;
    Uid before;
    for (const auto& e : mailbox->messages_) {
      counted.messages++;
      counted.bytes += e.size;
      if ((e.flags & kSeen) == 0) counted.unseen++;
      if (e.uid >= info.first_recent) counted.recent++;
      bits |= e.keywords;
      if (e.uid <= before || e.uid >= info.uidnext) say(4, info.name, "uids out of order");
      before = e.uid;
      if (e.message.value == 0 || e.message >= next_message_) say(5, info.name, "message id");
      if (e.modseq.value == 0 || e.modseq > info.highest_modseq) say(7, info.name, "modseq");
    }
    if (counted.messages != info.messages || counted.unseen != info.unseen ||
        counted.recent != info.recent || counted.bytes != info.bytes)
      say(6, info.name, "counters");
    const auto& keywords = mailbox->keywords_;
    if (keywords.size() > kMaxKeywords ||
        static_cast<size_t>(64 - std::countl_zero(bits)) > keywords.size())
      say(8, info.name, "keyword without a name");
    for (unsigned i = 0; i < keywords.size(); i++) {
      if (mailbox->keyword(keywords[i]) != i) say(8, info.name, "keyword twice");
    }
  }
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
  if (deliveries_ != other.deliveries_) return "deliveries";
  if (mailboxes_.size() != other.mailboxes_.size()) return "number of mailboxes";
  for (const auto& [id, mailbox] : mailboxes_) {
    const auto theirs = other.mailbox(id);
    if (!theirs) return fmt::format("mailbox {} is missing", id.value);
    if (mailbox->info_ != theirs->info_)
      return fmt::format("{}: counters: {} is not {}", mailbox->info_.name,
                         counters(mailbox->info_), counters(theirs->info_));
    if (mailbox->keywords_ != theirs->keywords_) return mailbox->info_.name + ": keywords";
    if (mailbox->messages_ != theirs->messages_) return mailbox->info_.name + ": messages";
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
    if (c == '*' || c == '%') return cannot("wildcard");
    if (c == kHierarchySeparator) {
      if (before == kHierarchySeparator) return cannot("empty level");
      depth++;
    }
    before = c;
  }
  if (before == kHierarchySeparator) return cannot("empty level");
  if (depth > limits.name_depth) return fail(Fault::limit, "too many levels", {}, "LIMIT");
  // UTF-8 (RFC 3629 §4), shortest form only.
  for (size_t i = 0; i < name.size();) {
    const auto c = static_cast<unsigned char>(name[i]);
    const size_t length = c < 0x80                ? 1
                          : c >= 0xc2 && c < 0xe0 ? 2
                          : c >= 0xe0 && c < 0xf0 ? 3
                          : c >= 0xf0 && c < 0xf5 ? 4
                                                  : 0;
    if (length == 0 || i + length > name.size()) return cannot("not UTF-8");
    uint32_t point = length == 1 ? c : c & (0xffU >> (length + 1));
    for (size_t k = 1; k < length; k++) {
      const auto next = static_cast<unsigned char>(name[i + k]);
      if ((next & 0xc0) != 0x80) return cannot("not UTF-8");
      point = point << 6 | (next & 0x3f);
    }
    if ((length == 3 && point < 0x800) || (length == 4 && point < 0x10000) || point > 0x10ffff ||
        (point >= 0xd800 && point < 0xe000) || (point >= 0x80 && point < 0xa0))
      return cannot("not UTF-8");
    i += length;
  }
  return {};
}

}  // namespace rims::store
