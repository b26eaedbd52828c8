// tests/crash/model.cc - see model.h

#include "tests/crash/model.h"

#include <algorithm>

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace rims::store {

std::string text_of(uint64_t run, uint32_t number) {
  std::string text = fmt::format("message {} of run {}\r\n", number, run);
  const uint32_t mix = (number * 2654435761U) >> 16;
  const size_t usual = mix % 16 == 0 ? mix % 9000 : mix % 16 < 4 ? mix % 8 : mix % 700;
  const size_t length = run < kLongTexts ? usual : 1000 + mix % 1500;
  text.append(length, static_cast<char>('a' + number % 26));
  return text;
}

std::string structure_of(uint32_t number) { return fmt::format("(structure {})", number); }

std::string to_string(const Told& told) {
  static const char* const kKinds[] = {"appended", "flags", "expunged", "mailboxes", "annotated"};
  return fmt::format("{} {} {}", kKinds[static_cast<int>(told.kind)], told.mailbox,
                     fmt::join(told.uids, ","));
}

std::string to_string(const Operation& o) {
  static const char* const kKinds[] = {"append", "flags",    "expunge",   "copy",
                                       "move",   "annotate", "replace",   "create",
                                       "remove", "rename",   "subscribe", "unsubscribe"};
  return fmt::format("{} {} ({}) to {} ({}) uids {} numbers {} op {} flags {} keywords {} set {}",
                     kKinds[static_cast<int>(o.kind)], o.mailbox, o.mailbox_id, o.to, o.to_id,
                     fmt::join(o.uids, ","), fmt::join(o.numbers, ","), static_cast<int>(o.op),
                     o.flags, fmt::join(o.keywords, ","), fmt::join(o.annotations, ","));
}

const std::string* Model::name_of(uint32_t id) const {
  for (const auto& [name, mailbox] : mailboxes) {
    if (mailbox.id == id) return &name;
  }
  return nullptr;
}

namespace {

bool change(ModelMessage& m, const Operation& o) {
  const ModelMessage before = m;
  switch (o.op) {
    case FlagOp::replace:
      m.flags = o.flags;
      m.keywords = o.keywords;
      break;
    case FlagOp::add:
      m.flags |= o.flags;
      m.keywords.insert(o.keywords.begin(), o.keywords.end());
      break;
    case FlagOp::remove:
      m.flags = static_cast<uint8_t>(m.flags & ~o.flags);
      for (const auto& keyword : o.keywords) m.keywords.erase(keyword);
      break;
  }
  return m.flags != before.flags || m.keywords != before.keywords;
}

}  // namespace

std::vector<Told> Model::apply(Operation& o) {
  using Kind = Operation::Kind;
  std::vector<Told> told;
  o.result.clear();
  const std::string* from = o.mailbox_id != 0 ? name_of(o.mailbox_id) : &o.mailbox;
  const std::string* to = o.to_id != 0 ? name_of(o.to_id) : &o.to;
  const bool copies = o.kind == Kind::copy || o.kind == Kind::move || o.kind == Kind::replace;
  if (!from || (copies && !to)) return told;
  const auto found = mailboxes.find(*from);
  const bool there = found != mailboxes.end();
  switch (o.kind) {
    case Kind::append:
      if (!there) break;
      for (const uint32_t number : o.numbers) {
        const uint32_t uid = found->second.uidnext++;
        found->second.messages[uid] = {number, o.flags, o.keywords, 0};
        o.result.push_back(uid);
        told.push_back({Told::Kind::appended, *from, {uid}});
      }
      break;
    case Kind::flags:
      if (!there) break;
      for (const uint32_t uid : o.uids) {
        const auto m = found->second.messages.find(uid);
        if (m == found->second.messages.end()) continue;
        // Not known: changed just now.
        if (o.unchanged_since != UINT64_MAX &&
            (m->second.modseq == 0 || m->second.modseq > o.unchanged_since))
          continue;
        if (change(m->second, o)) o.result.push_back(uid);
      }
      for (const uint32_t uid : o.result) found->second.messages[uid].modseq = 0;
      if (!o.result.empty()) told.push_back({Told::Kind::flags, *from, o.result});
      break;
    case Kind::expunge:
      if (!there) break;
      for (const uint32_t uid : o.uids) {
        if (found->second.messages.erase(uid) != 0) o.result.push_back(uid);
      }
      if (!o.result.empty()) told.push_back({Told::Kind::expunged, *from, o.result});
      break;
    case Kind::copy:
    case Kind::move: {
      const auto target = mailboxes.find(*to);
      if (!there || target == mailboxes.end()) break;
      std::vector<uint32_t> taken;
      std::vector<ModelMessage> carried;  // first: both may be the same mailbox
      for (const uint32_t uid : o.uids) {
        const auto m = found->second.messages.find(uid);
        if (m == found->second.messages.end()) continue;
        taken.push_back(uid);
        carried.push_back(m->second);
        carried.back().modseq = 0;
      }
      for (auto& m : carried) {
        o.result.push_back(target->second.uidnext);
        target->second.messages[target->second.uidnext++] = std::move(m);
      }
      if (taken.empty()) break;
      told.push_back({Told::Kind::appended, *to, o.result});
      if (o.kind == Kind::copy) break;
      for (const uint32_t uid : taken) found->second.messages.erase(uid);
      told.push_back({Told::Kind::expunged, *from, taken});
      break;
    }
    case Kind::annotate: {
      if (!there) break;
      auto& annotations = found->second.annotations;
      const auto before = annotations;
      for (const auto& [name, value] : o.annotations) {
        if (value.empty())
          annotations.erase(name);
        else
          annotations[name] = value;
      }
      if (annotations != before) told.push_back({Told::Kind::annotated, *from, {}});
      break;
    }
    case Kind::replace: {
      const auto target = mailboxes.find(*to);
      if (!there || target == mailboxes.end()) break;
      if (!found->second.messages.contains(o.uids.front())) break;
      const uint32_t uid = target->second.uidnext++;
      target->second.messages[uid] = {o.numbers.front(), o.flags, o.keywords, 0};
      o.result.push_back(uid);
      told.push_back({Told::Kind::appended, *to, {uid}});
      found->second.messages.erase(o.uids.front());
      told.push_back({Told::Kind::expunged, *from, o.uids});
      break;
    }
    case Kind::create:
      if (there) break;
      mailboxes[*from];
      told.push_back({Told::Kind::mailboxes, {}, {}});
      break;
    case Kind::remove:
      if (!there || *from == "INBOX") break;
      mailboxes.erase(found);
      told.push_back({Told::Kind::mailboxes, {}, {}});
      break;
    case Kind::rename: {
      if (!there || mailboxes.contains(*to)) break;
      told.push_back({Told::Kind::mailboxes, {}, {}});
      if (*from != "INBOX") {
        auto node = mailboxes.extract(found);
        node.key() = *to;
        mailboxes.insert(std::move(node));
        break;
      }
      auto& target = mailboxes[*to];
      target.annotations = found->second.annotations;
      if (!target.annotations.empty()) told.push_back({Told::Kind::annotated, *to, {}});
      Told gone{Told::Kind::expunged, "INBOX", {}}, made{Told::Kind::appended, *to, {}};
      for (auto& [uid, m] : found->second.messages) {
        gone.uids.push_back(uid);
        made.uids.push_back(target.uidnext);
        m.modseq = 0;
        target.messages[target.uidnext++] = std::move(m);
      }
      found->second.messages.clear();
      if (gone.uids.empty()) break;
      told.push_back(made);
      told.push_back(gone);
      break;
    }
    case Kind::subscribe:
      if (subscriptions.insert(*from).second) told.push_back({Told::Kind::mailboxes, {}, {}});
      break;
    case Kind::unsubscribe:
      if (subscriptions.erase(*from) != 0) told.push_back({Told::Kind::mailboxes, {}, {}});
      break;
  }
  return told;
}

std::string difference(const Model& expected, const Model& found) {
  for (const auto& [name, a] : expected.mailboxes) {
    const auto other = found.mailboxes.find(name);
    if (other == found.mailboxes.end()) return "mailbox " + name + " is missing";
    const auto& b = other->second;
    if (a.id != 0 && a.id != b.id) return "mailbox " + name + " has another id";
    if (a.uidvalidity != 0 && a.uidvalidity != b.uidvalidity)
      return "mailbox " + name + " has another uidvalidity";
    if (b.uidnext < a.uidnext)
      return fmt::format("uidnext of {} fell from {} to {}", name, a.uidnext, b.uidnext);
    if (b.highest < a.highest)
      return fmt::format("highest modseq of {} fell from {} to {}", name, a.highest, b.highest);
    for (const auto& [uid, m] : a.messages) {
      const auto at = b.messages.find(uid);
      if (at == b.messages.end()) return fmt::format("{} uid {} is lost", name, uid);
      const auto& n = at->second;
      if (n.number != m.number)
        return fmt::format("{} uid {} is message {}, not {}", name, uid, n.number, m.number);
      if (n.flags != m.flags || n.keywords != m.keywords)
        return fmt::format("{} uid {} has flags {} {}, not {} {}", name, uid, n.flags,
                           fmt::join(n.keywords, ","), m.flags, fmt::join(m.keywords, ","));
      if (m.modseq != 0 && n.modseq != m.modseq)
        return fmt::format("{} uid {} has modseq {}, not {}", name, uid, n.modseq, m.modseq);
    }
    for (const auto& [entry, value] : a.annotations) {
      const auto at = b.annotations.find(entry);
      if (at == b.annotations.end()) return fmt::format("{} of {} is lost", entry, name);
      if (at->second != value)
        return fmt::format("{} of {} is {}, not {}", entry, name, at->second, value);
    }
    for (const auto& [entry, value] : b.annotations) {
      if (!a.annotations.contains(entry))
        return fmt::format("{} of {} should not be there", entry, name);
    }
    for (const auto& [uid, m] : b.messages) {
      if (!a.messages.contains(uid))
        return fmt::format("{} uid {} (message {}) should not be there", name, uid, m.number);
    }
  }
  for (const auto& [name, b] : found.mailboxes) {
    if (!expected.mailboxes.contains(name)) return "mailbox " + name + " should not be there";
  }
  if (expected.subscriptions != found.subscriptions) return "the subscriptions differ";
  return {};
}

}  // namespace rims::store
