// common/index/index_codec.cc - see doc/storage-format.md, "Index"

#include "common/index/index_codec.h"

#include <algorithm>
#include <functional>

#include "common/index/index.h"
#include "common/mail/bytes.h"

namespace rims::store {
namespace {

std::string padded(std::string value, size_t size) {
  value.resize(size);
  return value;
}

}  // namespace

std::string numbered_key(char kind, uint64_t number) {
  std::string key(9, kind);
  for (size_t i = 0; i < 8; i++) key[8 - i] = static_cast<char>(number >> (8 * i) & 0xff);
  return key;
}

std::string IndexCodec::encode(const IndexHead& head) {
  Writer out;
  out.num(kIndexVersion).num(static_cast<uint8_t>(head.dirty ? 1 : 0)).raw({"\0\0\0", 3});
  out.num(head.seq).raw(head.checkpoint).num(head.list_bytes).num(head.next_mailbox.value);
  out.num(head.next_message.value).num(head.locations_generation);
  out.num(head.last_uidvalidity.value).num(head.deliveries_kept).num(head.deliveries_taken);
  out.num(head.annotation_bytes);
  return padded(out.take(), kIndexHead);
}

std::optional<IndexHead> IndexCodec::decode_head(std::string_view value) {
  if (value.size() != kIndexHead) return std::nullopt;
  Reader in(value);
  if (in.num<uint32_t>() != kIndexVersion) return std::nullopt;
  IndexHead head;
  head.dirty = in.num<uint8_t>() != 0;
  in.raw(3);
  head.seq = in.num<uint64_t>();
  head.checkpoint = in.raw(16);
  head.list_bytes = in.num<uint32_t>();
  head.next_mailbox = MailboxId(in.num<uint32_t>());
  head.next_message = MessageId(in.num<uint64_t>());
  head.locations_generation = in.num<uint64_t>();
  head.last_uidvalidity = UidValidity(in.num<uint32_t>());
  head.deliveries_kept = in.num<uint32_t>();
  head.deliveries_taken = in.num<uint64_t>();
  head.annotation_bytes = in.num<uint32_t>();
  return head;
}

std::vector<std::string> in_pieces(std::string table) {
  std::vector<std::string> pieces;
  for (size_t at = 0; at < table.size(); at += kListChunk)
    pieces.push_back(padded(table.substr(at, kListChunk), kListChunk));
  return pieces;
}

std::optional<std::string> from_pieces(
    char kind, uint32_t bytes, const std::function<std::string(const std::string& key)>& get) {
  std::string table;
  for (uint64_t i = 0; table.size() < bytes; i++) {
    const std::string piece = get(numbered_key(kind, i));
    if (piece.size() != kListChunk) return std::nullopt;
    table += piece;
  }
  table.resize(bytes);
  return table;
}

std::string IndexCodec::encode_list(const AccountState& state) {
  const std::string named = state.named().user.empty() ? std::string() : state.named().encode();
  // The record that closes the index comes after it, and may be the first one behind lost numbers.
  LostNumbers lost = state.lost_numbers();
  if (state.seq_ > state.applied_) lost.add(state.applied_, state.seq_ + 1);
  Writer out;
  out.num(static_cast<uint32_t>(lost.ranges().size()));
  for (const auto& range : lost.ranges()) out.num(range.after).num(range.before);
  return out.num(static_cast<uint32_t>(named.size())).raw(named).take() + state.snapshot().encode();
}

bool IndexCodec::decode_list(std::string_view list, AccountState& state) {
  Reader in(list);
  LostNumbers lost;
  for (auto left = in.num<uint32_t>(); left > 0 && in.ok(); left--) {
    const auto after = in.num<uint64_t>();
    lost.add(after, in.num<uint64_t>());
  }
  const auto named = in.raw(in.num<uint32_t>());
  if (!named.empty()) {
    const auto r = AccountNamed::decode(named);
    if (!r) return false;
    state.apply({.seq = 0, .time = 0, .location = {}, .dropped = false, .record = *r});
  }
  auto all = Snapshot::decode(in.raw(in.left()));
  if (!in.ok() || !all) return false;
  state.incomplete_ = !all->whole;
  all->whole = true;
  const size_t mailboxes = all->mailboxes.size();
  state.apply({.seq = 0, .time = 0, .location = {}, .dropped = false, .record = *std::move(all)});
  for (const auto& [id, mailbox] : state.mailboxes_) AccountState::unload(*mailbox);
  state.lost_ = std::move(lost);
  // False when two had the same name or id: then one has replaced the other.
  return state.mailboxes_.size() == mailboxes && state.names_.size() == mailboxes &&
         std::ranges::none_of(state.names_, [&](const auto& entry) {
           return state.mailbox(entry.second)->info_.name != entry.first;
         });
}

std::string IndexCodec::encode_annotations(const AccountState& state) {
  const auto all = state.all_annotations(true);
  return all ? all->encode() : std::string();
}

bool IndexCodec::decode_annotations(std::string_view table, AccountState& state) {
  if (table.empty()) return true;
  auto all = Annotated::decode(table);
  if (!all || !all->whole || std::ranges::any_of(all->items, [&](const Annotated::Item& item) {
        return item.mailbox.value != 0 && !state.mailboxes_.contains(item.mailbox);
      }))
    return false;
  state.apply({.seq = 0, .time = 0, .location = {}, .dropped = false, .record = *std::move(all)});
  return true;
}

void IndexCodec::restore(const IndexHead& head, uint64_t seq, AccountState& state) {
  state.seq_ = state.applied_ = seq;
  state.orphans_ = 0;
  state.next_mailbox_ = head.next_mailbox;
  state.next_message_ = head.next_message;
  state.last_uidvalidity_ = head.last_uidvalidity;
  state.messages_ = state.bytes_ = 0;
  for (const auto& [id, mailbox] : state.mailboxes_) {
    state.messages_ += mailbox->info_.messages;
    state.bytes_ += mailbox->info_.bytes;
  }
}

std::optional<IndexEvidence> IndexCodec::decode_evidence(
    const std::function<std::string(const std::string& key)>& get) {
  const auto head = decode_head(get("meta"));
  if (!head || head->seq == 0) return std::nullopt;
  const auto list = from_pieces('L', head->list_bytes, get);
  const auto annotations = from_pieces('A', head->annotation_bytes, get);
  if (!list || !annotations) return std::nullopt;
  IndexEvidence found;
  if (!list->empty() && !decode_list(*list, found.state)) return std::nullopt;
  if (!decode_annotations(*annotations, found.state)) return std::nullopt;
  for (const auto& [id, mailbox] : found.state.mailboxes()) {
    if (const auto generation = decode_counters(get(numbered_key('c', id.value)), *mailbox))
      found.generations[id] = *generation;
  }
  restore(*head, head->seq, found.state);
  found.clean = !head->dirty;
  return found;
}

std::string IndexCodec::encode_deliveries(const Deliveries& deliveries, size_t chunk) {
  std::string value(kDeliveriesPerChunk * kDeliverySlot, '\0');
  for (uint64_t n = deliveries.first_kept(); n < deliveries.taken(); n++) {
    if (delivery_chunk(n) != chunk) continue;
    const Delivery& one = deliveries.at(n);
    char* slot = value.data() + n % kDeliveriesPerChunk * kDeliverySlot;
    std::ranges::copy(one.key, slot);
    put_int(slot + 16, one.time);
    put_int(slot + 20, one.mailbox.value);
    put_int(slot + 24, one.uid.value);
  }
  return value;
}

bool IndexCodec::decode_deliveries(const IndexHead& head,
                                   const std::function<std::string(size_t chunk)>& get,
                                   AccountState& state) {
  if (head.deliveries_kept > Deliveries::kKept || head.deliveries_kept > head.deliveries_taken)
    return false;
  auto& kept = state.deliveries_.kept_;
  std::string value;
  std::optional<size_t> chunk;
  for (uint64_t n = head.deliveries_taken - head.deliveries_kept; n < head.deliveries_taken; n++) {
    if (chunk != delivery_chunk(n)) {
      chunk = delivery_chunk(n);
      value = get(*chunk);
      if (value.size() != kDeliveriesPerChunk * kDeliverySlot) return false;
    }
    const char* slot = value.data() + n % kDeliveriesPerChunk * kDeliverySlot;
    Delivery one;
    std::copy_n(slot, one.key.size(), one.key.begin());
    one.time = get_int<uint32_t>(slot + 16);
    one.mailbox = MailboxId(get_int<uint32_t>(slot + 20));
    one.uid = Uid(get_int<uint32_t>(slot + 24));
    if (one.key == DeliveryKey{} || one.uid.value == 0 || get_int<uint32_t>(slot + 28) != 0)
      return false;
    kept.push_back(one);
  }
  state.deliveries_.taken_ = head.deliveries_taken;
  return true;
}

std::string IndexCodec::encode_counters(const Mailbox& mailbox, uint64_t generation) {
  const auto& info = mailbox.info_;
  Writer out;
  out.num(generation).num(info.uidnext.value).num(info.messages).num(info.unseen);
  out.num(info.recent).num(info.first_recent.value).num(info.bytes);
  out.num(info.highest_modseq.value).num(info.changed.value);
  return padded(out.take(), 64);
}

std::optional<uint64_t> IndexCodec::decode_counters(std::string_view value, Mailbox& mailbox) {
  if (value.size() != 64) return std::nullopt;
  Reader in(value);
  auto& info = mailbox.info_;
  const auto generation = in.num<uint64_t>();
  info.uidnext = Uid(in.num<uint32_t>());
  info.messages = in.num<uint32_t>();
  info.unseen = in.num<uint32_t>();
  info.recent = in.num<uint32_t>();
  info.first_recent = Uid(in.num<uint32_t>());
  info.bytes = in.num<uint64_t>();
  info.highest_modseq = ModSeq(in.num<uint64_t>());
  info.changed = ModSeq(in.num<uint64_t>());
  return generation;
}

std::string IndexCodec::encode_mailbox_head(const Mailbox& mailbox, const MailboxHead& head) {
  Writer out;
  out.num(kIndexVersion).num(mailbox.info_.id.value).num(mailbox.info_.uidvalidity.value);
  out.num(head.set_bytes).num(head.generation).num(head.expunged);
  return padded(out.take(), 64);
}

std::optional<IndexCodec::MailboxHead> IndexCodec::decode_mailbox_head(std::string_view value,
                                                                       const Mailbox& mailbox) {
  if (value.size() != 64) return std::nullopt;
  Reader in(value);
  if (in.num<uint32_t>() != kIndexVersion || in.num<uint32_t>() != mailbox.info_.id.value ||
      in.num<uint32_t>() != mailbox.info_.uidvalidity.value)
    return std::nullopt;
  MailboxHead head;
  head.set_bytes = in.num<uint32_t>();
  head.generation = in.num<uint64_t>();
  head.expunged = in.num<uint64_t>();
  return head;
}

std::string IndexCodec::encode_sets(const Mailbox& mailbox) {
  Writer out;
  const auto& keywords = mailbox.keywords_;
  for (uint32_t i = 1; i < keywords.sets(); i++) {
    const auto set = keywords.of(KeywordSet(i));
    out.num(static_cast<uint16_t>(set.size()));
    for (const KeywordIndex index : set) out.num(index);
  }
  return out.take();
}

bool IndexCodec::decode_sets(std::string_view table, Loading& to) {
  Reader in(table);
  while (in.left() > 0) {
    KeywordList set(in.num<uint16_t>());
    if (set.empty() || set.size() > in.left() / 2) return false;
    for (KeywordIndex& index : set) index = in.num<KeywordIndex>();
    if (std::ranges::adjacent_find(set, std::greater_equal<>()) != set.end()) return false;
    to.sets.push_back(std::move(set));
  }
  return in.done();
}

std::string IndexCodec::encode_entries(const Mailbox& mailbox, uint32_t chunk) {
  const auto& messages = mailbox.messages_;
  const uint64_t first = uint64_t{chunk} * kSlotsPerChunk;
  auto it = std::lower_bound(messages.begin(), messages.end(), first,
                             [](const MessageEntry& e, uint64_t uid) { return e.uid.value < uid; });
  std::string value;
  for (; it != messages.end() && it->uid.value < first + kSlotsPerChunk; ++it) {
    if (value.empty()) value.resize(kSlotsPerChunk * kEntrySlot);
    char* slot = value.data() + (it->uid.value - first) * kEntrySlot;
    put_int(slot, it->message.value);
    put_int(slot + 8, it->modseq.value);
    put_int(slot + 16, it->keywords.value);
    put_int(slot + 20, it->saved);
    put_int(slot + 24, it->date);
    put_int(slot + 32, it->uid.value);
    put_int(slot + 36, it->size);
    put_int(slot + 40, it->zone);
    put_int(slot + 42, it->flags);
  }
  return value;
}

bool IndexCodec::decode_entries(std::string_view value, uint32_t chunk, Loading& to) {
  if (value.size() != kSlotsPerChunk * kEntrySlot) return false;
  for (size_t i = 0; i < kSlotsPerChunk; i++) {
    const char* slot = value.data() + i * kEntrySlot;
    MessageEntry e;
    e.message = MessageId(get_int<uint64_t>(slot));
    if (e.message.value == 0) {
      if (!all_zero(value.substr(i * kEntrySlot, kEntrySlot))) return false;
      continue;
    }
    e.modseq = ModSeq(get_int<uint64_t>(slot + 8));
    e.keywords = KeywordSet(get_int<uint32_t>(slot + 16));
    e.saved = get_int<uint32_t>(slot + 20);
    e.date = get_int<int64_t>(slot + 24);
    e.uid = Uid(get_int<uint32_t>(slot + 32));
    e.size = get_int<uint32_t>(slot + 36);
    e.zone = get_int<int16_t>(slot + 40);
    e.flags = get_int<uint8_t>(slot + 42);
    if (e.uid.value != uint64_t{chunk} * kSlotsPerChunk + i || e.uid.value == 0) return false;
    if ((e.flags & ~kAllSystemFlags) != 0) return false;
    to.messages.push_back(e);
  }
  return true;
}

bool IndexCodec::add_expunged(std::string& before, uint64_t from,
                              std::span<const ExpungedRange> more) {
  const size_t first = from % kExpungedPerChunk;
  if (first == 0 && before.empty()) before.resize(kListChunk);
  if (before.size() != kListChunk || first + more.size() > kExpungedPerChunk) return false;
  char* slot = before.data() + first * kExpungedSlot;
  for (const auto& one : more) {
    put_int(slot, one.modseq.value);
    put_int(slot + 8, one.time);
    put_int(slot + 12, one.uids.first);
    put_int(slot + 16, one.uids.last);
    slot += kExpungedSlot;
  }
  return true;
}

bool IndexCodec::decode_expunged(std::string_view value, size_t count,
                                 std::vector<ExpungedRange>& to) {
  if (value.size() != kListChunk || count > kExpungedPerChunk) return false;
  ModSeq before;
  for (size_t i = 0; i < count; i++) {
    const char* slot = value.data() + i * kExpungedSlot;
    const ExpungedRange one{
        .modseq = ModSeq(get_int<uint64_t>(slot)),
        .time = get_int<uint32_t>(slot + 8),
        .uids = {.first = get_int<uint32_t>(slot + 12), .last = get_int<uint32_t>(slot + 16)}};
    if (one.modseq.value == 0 || one.modseq < before || one.uids.first == 0 ||
        one.uids.first > one.uids.last)
      return false;
    before = one.modseq;
    to.push_back(one);
  }
  return true;
}

bool IndexCodec::finish(Loading from, Mailbox& mailbox) {
  const auto& info = mailbox.info_;
  uint32_t unseen = 0, recent = 0;
  uint64_t bytes = 0;
  Uid before;
  for (const auto& e : from.messages) {
    if (e.uid <= before || e.uid >= info.uidnext || e.modseq > info.highest_modseq) return false;
    before = e.uid;
    if ((e.flags & kSeen) == 0) unseen++;
    if (e.uid >= info.first_recent) recent++;
    bytes += e.size;
    if (e.keywords.value > from.sets.size()) return false;
  }
  if (from.messages.size() != info.messages || unseen != info.unseen || recent != info.recent ||
      bytes != info.bytes)
    return false;
  // Each set gets the number that it had.
  for (uint32_t i = 0; i < from.sets.size(); i++) {
    if (from.sets[i].back() >= mailbox.keywords_.names().size() ||
        mailbox.keywords_.intern(from.sets[i]) != KeywordSet(i + 1)) {
      mailbox.keywords_.forget_sets();
      return false;
    }
  }
  mailbox.messages_ = std::move(from.messages);
  mailbox.loaded_ = true;
  return true;
}

std::string IndexCodec::encode_locations_head(uint64_t generation) {
  return padded(Writer().num(kIndexVersion).num(uint32_t{0}).num(generation).take(), 64);
}

std::optional<uint64_t> IndexCodec::decode_locations_head(std::string_view value) {
  if (value.size() != 64) return std::nullopt;
  Reader in(value);
  if (in.num<uint32_t>() != kIndexVersion) return std::nullopt;
  in.num<uint32_t>();
  return in.num<uint64_t>();
}

std::string IndexCodec::encode_locations(const Locations::Chunk& chunk) {
  std::string value(kSlotsPerChunk * kLocationSlot, '\0');
  for (size_t i = 0; i < kSlotsPerChunk; i++) {
    const auto& at = chunk.at[i];
    char* slot = value.data() + i * kLocationSlot;
    put_int(slot, at.segment);
    put_int(slot + 4, at.meta);
    put_int(slot + 8, at.offset);
    put_int(slot + 16, at.body);
    put_int(slot + 24, at.aux);
  }
  return value;
}

bool IndexCodec::decode_locations(std::string_view value, Locations::Chunk& chunk) {
  if (value.size() != kSlotsPerChunk * kLocationSlot) return false;
  for (size_t i = 0; i < kSlotsPerChunk; i++) {
    const char* slot = value.data() + i * kLocationSlot;
    auto& at = chunk.at[i];
    at.segment = get_int<uint32_t>(slot);
    at.meta = get_int<uint32_t>(slot + 4);
    at.offset = get_int<uint64_t>(slot + 8);
    at.body = get_int<uint64_t>(slot + 16);
    at.aux = get_int<uint32_t>(slot + 24);
  }
  return true;
}

}  // namespace rims::store
