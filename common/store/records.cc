// common/store/records.cc - records to bytes and back

#include "common/store/records.h"

#include <algorithm>

#include "common/store/bytes.h"

namespace rims::store {
namespace {

void put_entry(Writer& out, const MessageEntry& e) {
  out.num(e.uid.value).num(e.message.value).num(e.date).num(e.keywords);
  out.num(e.size).num(e.zone).num(e.flags);
}
// No account gets there; larger ones are not ours, and counting on from them would overflow.
constexpr uint64_t kMostMessageIds = uint64_t{1} << 56;
constexpr uint32_t kMostMailboxIds = uint32_t{1} << 31;
constexpr size_t kEntryBytes = 4 + 8 + 8 + 8 + 4 + 2 + 1;

MessageEntry get_entry(Reader& in) {
  MessageEntry e;
  e.uid = Uid(in.num<uint32_t>());
  e.message = MessageId(in.num<uint64_t>());
  e.date = in.num<int64_t>();
  e.keywords = in.num<uint64_t>();
  e.size = in.num<uint32_t>();
  e.zone = in.num<int16_t>();
  e.flags = in.num<uint8_t>();
  return e;
}

bool sane(const MessageEntry& e) {
  return e.uid.value != 0 && e.uid.value != UINT32_MAX && e.message.value != 0 &&
         e.message.value < kMostMessageIds && (e.flags & ~kAllSystemFlags) == 0;
}

void put_ranges(Writer& out, const std::vector<UidRange>& ranges) {
  out.num(static_cast<uint32_t>(ranges.size()));
  for (const auto& r : ranges) out.num(r.first).num(r.last);
}

// Ascending, not empty, not overlapping; otherwise nullopt.
std::optional<std::vector<UidRange>> get_ranges(Reader& in) {
  const auto count = in.num<uint32_t>();
  if (!in.ok() || count > in.left() / 8) return std::nullopt;
  std::vector<UidRange> ranges;
  ranges.reserve(count);
  uint64_t least = 1;
  for (uint32_t i = 0; i < count; i++) {
    UidRange r;
    r.first = in.num<uint32_t>();
    r.last = in.num<uint32_t>();
    if (r.first < least || r.last < r.first) return std::nullopt;
    least = uint64_t{r.last} + 1;
    ranges.push_back(r);
  }
  return ranges;
}

template <class T>
std::optional<T> whole(const Reader& in, T value) {
  if (!in.done()) return std::nullopt;
  return value;
}

}  // namespace

const char* name(RecordType type) {
  switch (type) {
    case RecordType::mailbox_created:
      return "mailbox-created";
    case RecordType::mailbox_removed:
      return "mailbox-removed";
    case RecordType::mailbox_renamed:
      return "mailbox-renamed";
    case RecordType::subscription:
      return "subscription";
    case RecordType::keyword:
      return "keyword";
    case RecordType::append:
      return "append";
    case RecordType::copy:
      return "copy";
    case RecordType::flags:
      return "flags";
    case RecordType::expunge:
      return "expunge";
    case RecordType::recent:
      return "recent";
    case RecordType::clean:
      return "clean";
    case RecordType::gap:
      return "gap";
    case RecordType::footer:
      return "footer";
    case RecordType::compacted:
      return "compacted";
    case RecordType::uidnext:
      return "uidnext";
    case RecordType::special_use:
      return "special-use";
  }
  return "unknown";
}

std::string MailboxCreated::encode() const {
  Writer out;
  out.num(id.value).num(uidvalidity.value).num(static_cast<uint8_t>(special_use));
  out.num(static_cast<uint8_t>(noselect ? 1 : 0)).text(name);
  return out.take();
}
std::optional<MailboxCreated> MailboxCreated::decode(std::string_view meta) {
  Reader in(meta);
  MailboxCreated r;
  r.id = MailboxId(in.num<uint32_t>());
  r.uidvalidity = UidValidity(in.num<uint32_t>());
  const auto use = in.num<uint8_t>();
  const auto attributes = in.num<uint8_t>();
  r.name = in.text();
  if (use > static_cast<uint8_t>(SpecialUse::last) || attributes > 1 || r.id.value == 0 ||
      r.id.value >= kMostMailboxIds || r.name.empty())
    return std::nullopt;
  r.special_use = static_cast<SpecialUse>(use);
  r.noselect = attributes == 1;
  return whole(in, std::move(r));
}

std::string MailboxRemoved::encode() const { return Writer().num(id.value).take(); }
std::optional<MailboxRemoved> MailboxRemoved::decode(std::string_view meta) {
  Reader in(meta);
  MailboxRemoved r;
  r.id = MailboxId(in.num<uint32_t>());
  return whole(in, r);
}

std::string MailboxRenamed::encode() const { return Writer().num(id.value).text(name).take(); }
std::optional<MailboxRenamed> MailboxRenamed::decode(std::string_view meta) {
  Reader in(meta);
  MailboxRenamed r;
  r.id = MailboxId(in.num<uint32_t>());
  r.name = in.text();
  if (r.name.empty()) return std::nullopt;
  return whole(in, std::move(r));
}

std::string Subscription::encode() const {
  return Writer().num(static_cast<uint8_t>(on ? 1 : 0)).text(name).take();
}
std::optional<Subscription> Subscription::decode(std::string_view meta) {
  Reader in(meta);
  Subscription r;
  const auto on = in.num<uint8_t>();
  r.on = on == 1;
  r.name = in.text();
  if (on > 1 || r.name.empty()) return std::nullopt;
  return whole(in, std::move(r));
}

std::string Keyword::encode() const {
  return Writer().num(mailbox.value).num(index).text(name).take();
}
std::optional<Keyword> Keyword::decode(std::string_view meta) {
  Reader in(meta);
  Keyword r;
  r.mailbox = MailboxId(in.num<uint32_t>());
  r.index = in.num<uint8_t>();
  r.name = in.text();
  if (r.index >= kMaxKeywords || r.name.empty()) return std::nullopt;
  return whole(in, std::move(r));
}

std::string Append::encode() const {
  Writer out;
  out.num(mailbox.value);
  put_entry(out, entry);
  out.text(delivery_id);
  if (delivery_key != DeliveryKey{})
    out.raw({reinterpret_cast<const char*>(delivery_key.data()), delivery_key.size()});
  return out.take();
}
std::optional<Append> Append::decode(std::string_view meta) {
  Reader in(meta);
  Append r;
  r.mailbox = MailboxId(in.num<uint32_t>());
  r.entry = get_entry(in);
  r.delivery_id = in.text();
  if (in.left() == r.delivery_key.size()) {
    const auto key = in.raw(r.delivery_key.size());
    std::ranges::copy(key, r.delivery_key.begin());
    if (r.delivery_key == DeliveryKey{}) return std::nullopt;
  }
  if (!sane(r.entry)) return std::nullopt;
  return whole(in, std::move(r));
}

std::string Copy::encode() const {
  Writer out;
  out.num(from.value).num(to.value).num(static_cast<uint32_t>(items.size()));
  for (const auto& item : items) {
    out.num(item.source.value);
    put_entry(out, item.entry);
  }
  return out.take();
}
std::optional<Copy> Copy::decode(std::string_view meta) {
  Reader in(meta);
  Copy r;
  r.from = MailboxId(in.num<uint32_t>());
  r.to = MailboxId(in.num<uint32_t>());
  const auto count = in.num<uint32_t>();
  if (!in.ok() || count > in.left() / (4 + kEntryBytes)) return std::nullopt;
  r.items.reserve(count);
  for (uint32_t i = 0; i < count; i++) {
    Item item;
    item.source = Uid(in.num<uint32_t>());
    item.entry = get_entry(in);
    if (!sane(item.entry)) return std::nullopt;
    if (!r.items.empty() && r.items.back().entry.uid >= item.entry.uid) return std::nullopt;
    r.items.push_back(item);
  }
  return whole(in, std::move(r));
}

std::string Flags::encode() const {
  Writer out;
  out.num(mailbox.value).num(static_cast<uint8_t>(op)).num(flags).num(keywords);
  put_ranges(out, ranges);
  return out.take();
}
std::optional<Flags> Flags::decode(std::string_view meta) {
  Reader in(meta);
  Flags r;
  r.mailbox = MailboxId(in.num<uint32_t>());
  const auto op = in.num<uint8_t>();
  r.flags = in.num<uint8_t>();
  r.keywords = in.num<uint64_t>();
  auto ranges = get_ranges(in);
  if (op > static_cast<uint8_t>(FlagOp::last) || (r.flags & ~kAllSystemFlags) != 0 || !ranges)
    return std::nullopt;
  r.op = static_cast<FlagOp>(op);
  r.ranges = *std::move(ranges);
  return whole(in, std::move(r));
}

std::string Expunge::encode() const {
  Writer out;
  out.num(mailbox.value);
  put_ranges(out, ranges);
  return out.take();
}
std::optional<Expunge> Expunge::decode(std::string_view meta) {
  Reader in(meta);
  Expunge r;
  r.mailbox = MailboxId(in.num<uint32_t>());
  auto ranges = get_ranges(in);
  if (!ranges) return std::nullopt;
  r.ranges = *std::move(ranges);
  return whole(in, std::move(r));
}

std::string Recent::encode() const { return Writer().num(mailbox.value).num(first.value).take(); }
std::optional<Recent> Recent::decode(std::string_view meta) {
  Reader in(meta);
  Recent r;
  r.mailbox = MailboxId(in.num<uint32_t>());
  r.first = Uid(in.num<uint32_t>());
  return whole(in, r);
}

std::string Clean::encode() const { return Writer().num(seq).raw(checkpoint).take(); }
std::optional<Clean> Clean::decode(std::string_view meta) {
  Reader in(meta);
  Clean r;
  r.seq = in.num<uint64_t>();
  r.checkpoint = in.raw(16);
  return whole(in, std::move(r));
}

std::string Gap::encode() const { return Writer().num(skip).num(damage).take(); }
std::optional<Gap> Gap::decode(std::string_view meta) {
  Reader in(meta);
  Gap r;
  r.skip = in.num<uint32_t>();
  r.damage = in.num<uint32_t>();
  return whole(in, r);
}

std::string Compacted::encode() const { return Writer().num(segment).num(freed).take(); }
std::optional<Compacted> Compacted::decode(std::string_view meta) {
  Reader in(meta);
  Compacted r;
  r.segment = in.num<uint32_t>();
  r.freed = in.num<uint64_t>();
  return whole(in, r);
}

std::string UidNext::encode() const { return Writer().num(mailbox.value).num(uid.value).take(); }
std::optional<UidNext> UidNext::decode(std::string_view meta) {
  Reader in(meta);
  UidNext r;
  r.mailbox = MailboxId(in.num<uint32_t>());
  r.uid = Uid(in.num<uint32_t>());
  if (r.uid.value == 0) return std::nullopt;
  return whole(in, r);
}

std::string SpecialUseSet::encode() const {
  return Writer().num(mailbox.value).num(static_cast<uint8_t>(special_use)).take();
}
std::optional<SpecialUseSet> SpecialUseSet::decode(std::string_view meta) {
  Reader in(meta);
  SpecialUseSet r;
  r.mailbox = MailboxId(in.num<uint32_t>());
  const auto use = in.num<uint8_t>();
  if (use > static_cast<uint8_t>(SpecialUse::last)) return std::nullopt;
  r.special_use = static_cast<SpecialUse>(use);
  return whole(in, r);
}

std::vector<MailboxId> mailboxes_needed(RecordType type, std::string_view meta) {
  Reader in(meta);
  switch (type) {
    case RecordType::keyword:
    case RecordType::append:
    case RecordType::flags:
    case RecordType::expunge:
    case RecordType::recent:
    case RecordType::uidnext:
      return {MailboxId(in.num<uint32_t>())};
    case RecordType::copy: {
      const MailboxId from(in.num<uint32_t>());
      return {from, MailboxId(in.num<uint32_t>())};
    }
    default:
      return {};
  }
}

std::vector<UidRange> to_ranges(std::span<const Uid> ascending) {
  std::vector<UidRange> ranges;
  for (const Uid uid : ascending) {
    if (!ranges.empty() && ranges.back().last + 1 == uid.value)
      ranges.back().last = uid.value;
    else
      ranges.push_back({uid.value, uid.value});
  }
  return ranges;
}

bool overlap(std::span<const UidRange> a, std::span<const UidRange> b) {
  size_t i = 0, j = 0;
  while (i < a.size() && j < b.size()) {
    if (a[i].last < b[j].first)
      i++;
    else if (b[j].last < a[i].first)
      j++;
    else
      return true;
  }
  return false;
}

}  // namespace rims::store
