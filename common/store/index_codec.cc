// common/store/index_codec.cc - see doc/storage-format.md, "Index"

#include "common/store/index_codec.h"

#include <algorithm>

#include "common/store/bytes.h"

namespace rims::store {
namespace {

std::string padded(std::string value, size_t size) {
  value.resize(size);
  return value;
}

bool all_zero(std::string_view bytes) { return bytes.find_first_not_of('\0') == bytes.npos; }

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
  return out.take();
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
  return head;
}

std::string IndexCodec::encode_list(const AccountState& state) {
  Writer out;
  out.num(static_cast<uint32_t>(state.mailboxes_.size()));
  for (const auto& [id, mailbox] : state.mailboxes_) {
    const auto& info = mailbox->info_;
    out.num(id.value).num(info.uidvalidity.value).num(static_cast<uint8_t>(info.special_use));
    out.num(static_cast<uint8_t>(info.noselect ? 1 : 0)).text(info.name);
  }
  out.num(static_cast<uint32_t>(state.subscriptions_.size()));
  for (const auto& subscribed : state.subscriptions_) out.text(subscribed);
  return out.take();
}

bool IndexCodec::decode_list(std::string_view list, AccountState& state) {
  Reader in(list);
  const auto mailboxes = in.num<uint32_t>();
  for (uint32_t i = 0; i < mailboxes; i++) {
    auto mailbox = std::make_shared<Mailbox>();
    auto& info = mailbox->info_;
    info.id = MailboxId(in.num<uint32_t>());
    info.uidvalidity = UidValidity(in.num<uint32_t>());
    const auto use = in.num<uint8_t>();
    const auto noselect = in.num<uint8_t>();
    info.name = in.text();
    if (!in.ok() || use > static_cast<uint8_t>(SpecialUse::last) || noselect > 1 ||
        info.id.value == 0 || info.name.empty())
      return false;
    info.special_use = static_cast<SpecialUse>(use);
    info.noselect = noselect == 1;
    mailbox->loaded_ = false;
    if (!state.names_.emplace(info.name, info.id).second) return false;
    const MailboxId id = info.id;
    if (!state.mailboxes_.emplace(id, std::move(mailbox)).second) return false;
  }
  const auto subscribed = in.num<uint32_t>();
  for (uint32_t i = 0; i < subscribed && in.ok(); i++) state.subscriptions_.emplace(in.text());
  return in.done();
}

void IndexCodec::restore(const IndexHead& head, uint64_t seq, AccountState& state) {
  state.seq_ = seq;
  state.next_mailbox_ = head.next_mailbox;
  state.next_message_ = head.next_message;
  state.last_uidvalidity_ = head.last_uidvalidity;
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
  out.num(info.highest_modseq.value);
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
  return generation;
}

std::string IndexCodec::encode_mailbox_head(const Mailbox& mailbox, uint64_t generation) {
  Writer out;
  out.num(kIndexVersion).num(mailbox.info_.id.value).num(mailbox.info_.uidvalidity.value);
  out.num(uint32_t{0}).num(generation);
  return padded(out.take(), 64);
}

std::optional<uint64_t> IndexCodec::decode_mailbox_head(std::string_view value,
                                                        const Mailbox& mailbox) {
  if (value.size() != 64) return std::nullopt;
  Reader in(value);
  if (in.num<uint32_t>() != kIndexVersion || in.num<uint32_t>() != mailbox.info_.id.value ||
      in.num<uint32_t>() != mailbox.info_.uidvalidity.value)
    return std::nullopt;
  in.num<uint32_t>();
  return in.num<uint64_t>();
}

std::string IndexCodec::encode_keywords(const Mailbox& mailbox) {
  Writer out;
  out.num(static_cast<uint32_t>(mailbox.keywords_.size()));
  for (const auto& keyword : mailbox.keywords_) out.text(keyword);
  return padded(out.take(), kKeywordTable);
}

bool IndexCodec::decode_keywords(std::string_view value, Loading& to) {
  if (value.size() != kKeywordTable) return false;
  Reader in(value);
  const auto count = in.num<uint32_t>();
  if (count > kMaxKeywords) return false;
  for (uint32_t i = 0; i < count; i++) to.keywords.emplace_back(in.text());
  return in.ok();
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
    put_int(slot + 16, it->keywords);
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
    e.keywords = get_int<uint64_t>(slot + 16);
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

bool IndexCodec::finish(Loading from, Mailbox& mailbox) {
  const auto& info = mailbox.info_;
  uint32_t unseen = 0, recent = 0;
  uint64_t bytes = 0, bits = 0;
  Uid before;
  for (const auto& e : from.messages) {
    if (e.uid <= before || e.uid >= info.uidnext || e.modseq > info.highest_modseq) return false;
    before = e.uid;
    if ((e.flags & kSeen) == 0) unseen++;
    if (e.uid >= info.first_recent) recent++;
    bytes += e.size;
    bits |= e.keywords;
  }
  if (from.messages.size() != info.messages || unseen != info.unseen || recent != info.recent ||
      bytes != info.bytes)
    return false;
  if (from.keywords.size() < 64 && bits >> from.keywords.size() != 0) return false;
  mailbox.messages_ = std::move(from.messages);
  mailbox.keywords_ = std::move(from.keywords);
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
