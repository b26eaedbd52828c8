// common/mail/records.cc - records to bytes and back

#include "common/mail/records.h"

#include <algorithm>
#include <tuple>
#include <type_traits>

#include <fmt/format.h>

#include "common/mail/bytes.h"

namespace rims::store {
namespace {

void put_keywords(Writer& out, const KeywordList& keywords) {
  out.num(static_cast<uint16_t>(keywords.size()));
  for (const KeywordIndex index : keywords) out.num(index);
}

// Ascending, each below kMaxKeywords; otherwise nullopt. Version 1 had 64 bits.
std::optional<KeywordList> get_keywords(Reader& in, uint8_t version) {
  KeywordList list;
  if (version == 1) {
    const auto bits = in.num<uint64_t>();
    for (KeywordIndex i = 0; i < 64; i++) {
      if ((bits >> i & 1) != 0) list.push_back(i);
    }
    return list;
  }
  const auto count = in.num<uint16_t>();
  if (!in.ok() || count > in.left() / 2) return std::nullopt;
  for (uint16_t i = 0; i < count; i++) {
    const auto index = in.num<KeywordIndex>();
    if (index >= kMaxKeywords || (!list.empty() && index <= list.back())) return std::nullopt;
    list.push_back(index);
  }
  return list;
}

void put_entry(Writer& out, const MessageEntry& e, const KeywordList& keywords) {
  out.num(e.uid.value).num(e.message.value).num(e.date);
  out.num(e.size).num(e.zone).num(e.flags);
  put_keywords(out, keywords);
}
// No account gets there; larger numbers are damage, and counting on from them could overflow.
constexpr uint64_t kMostMessageIds = uint64_t{1} << 56;
constexpr uint32_t kMostMailboxIds = uint32_t{1} << 31;
constexpr size_t kLeastEntryBytes = 4 + 8 + 8 + 4 + 2 + 1 + 2;

// False: not an entry.
bool get_entry(Reader& in, uint8_t version, MessageEntry& e, KeywordList& keywords) {
  e.uid = Uid(in.num<uint32_t>());
  e.message = MessageId(in.num<uint64_t>());
  e.date = in.num<int64_t>();
  std::optional<KeywordList> list;
  if (version == 1) list = get_keywords(in, version);
  e.size = in.num<uint32_t>();
  e.zone = in.num<int16_t>();
  e.flags = in.num<uint8_t>();
  if (version != 1) list = get_keywords(in, version);
  if (!list) return false;
  keywords = *std::move(list);
  return e.uid.value != 0 && e.uid.value != UINT32_MAX && e.message.value != 0 &&
         e.message.value < kMostMessageIds && (e.flags & ~kAllSystemFlags) == 0;
}

// Version 1 of the records that name a special use knows those of RFC 6154.
uint8_t last_use(uint8_t version) {
  return static_cast<uint8_t>(version == 1 ? SpecialUse::archive : SpecialUse::last);
}
uint8_t first_version(SpecialUse use) { return use <= SpecialUse::archive ? 1 : 2; }

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
std::optional<T> whole_of(const Reader& in, T value) {
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
    case RecordType::snapshot:
      return "snapshot";
    case RecordType::piece_sums:
      return "piece-sums";
    case RecordType::account:
      return "account";
    case RecordType::user_directory:
      return "user directory";
    case RecordType::annotations:
      return "annotations";
    case RecordType::restored:
      return "restored";
  }
  return "unknown";
}

uint8_t MailboxCreated::version() const { return first_version(special_use); }
std::string MailboxCreated::encode() const {
  Writer out;
  out.num(id.value).num(uidvalidity.value).num(static_cast<uint8_t>(special_use));
  out.num(static_cast<uint8_t>(noselect ? 1 : 0)).text(name);
  return out.take();
}
std::optional<MailboxCreated> MailboxCreated::decode(std::string_view meta, uint8_t version) {
  if (version == 0 || version > kVersion) return std::nullopt;
  Reader in(meta);
  MailboxCreated r;
  r.id = MailboxId(in.num<uint32_t>());
  r.uidvalidity = UidValidity(in.num<uint32_t>());
  const auto use = in.num<uint8_t>();
  const auto attributes = in.num<uint8_t>();
  r.name = in.text();
  if (use > last_use(version) || attributes > 1 || r.id.value == 0 ||
      r.id.value >= kMostMailboxIds || r.name.empty())
    return std::nullopt;
  r.special_use = static_cast<SpecialUse>(use);
  r.noselect = attributes == 1;
  return whole_of(in, std::move(r));
}

std::string MailboxRemoved::encode() const { return Writer().num(id.value).take(); }
std::optional<MailboxRemoved> MailboxRemoved::decode(std::string_view meta, uint8_t version) {
  if (version != kVersion) return std::nullopt;
  Reader in(meta);
  MailboxRemoved r;
  r.id = MailboxId(in.num<uint32_t>());
  return whole_of(in, r);
}

std::string MailboxRenamed::encode() const { return Writer().num(id.value).text(name).take(); }
std::optional<MailboxRenamed> MailboxRenamed::decode(std::string_view meta, uint8_t version) {
  if (version != kVersion) return std::nullopt;
  Reader in(meta);
  MailboxRenamed r;
  r.id = MailboxId(in.num<uint32_t>());
  r.name = in.text();
  if (r.name.empty()) return std::nullopt;
  return whole_of(in, std::move(r));
}

std::string Subscription::encode() const {
  return Writer().num(static_cast<uint8_t>(on ? 1 : 0)).text(name).take();
}
std::optional<Subscription> Subscription::decode(std::string_view meta, uint8_t version) {
  if (version != kVersion) return std::nullopt;
  Reader in(meta);
  Subscription r;
  const auto on = in.num<uint8_t>();
  r.on = on == 1;
  r.name = in.text();
  if (on > 1 || r.name.empty()) return std::nullopt;
  return whole_of(in, std::move(r));
}

std::string Keyword::encode() const {
  return Writer().num(mailbox.value).num(index).text(name).take();
}
std::optional<Keyword> Keyword::decode(std::string_view meta, uint8_t version) {
  if (version == 0 || version > kVersion) return std::nullopt;
  Reader in(meta);
  Keyword r;
  r.mailbox = MailboxId(in.num<uint32_t>());
  r.index = version == 1 ? in.num<uint8_t>() : in.num<KeywordIndex>();
  r.name = in.text();
  if (r.index >= (version == 1 ? 64 : kMaxKeywords) || r.name.empty()) return std::nullopt;
  return whole_of(in, std::move(r));
}

std::string Append::encode() const {
  Writer out;
  out.num(mailbox.value);
  put_entry(out, entry, keywords);
  out.text(delivery_id);
  if (delivery_key != DeliveryKey{})
    out.raw({reinterpret_cast<const char*>(delivery_key.data()), delivery_key.size()});
  return out.take();
}
std::optional<Append> Append::decode(std::string_view meta, uint8_t version) {
  if (version == 0 || version > kVersion) return std::nullopt;
  Reader in(meta);
  Append r;
  r.mailbox = MailboxId(in.num<uint32_t>());
  if (!get_entry(in, version, r.entry, r.keywords)) return std::nullopt;
  r.delivery_id = in.text();
  if (in.left() == r.delivery_key.size()) {
    const auto key = in.raw(r.delivery_key.size());
    std::ranges::copy(key, r.delivery_key.begin());
    if (r.delivery_key == DeliveryKey{}) return std::nullopt;
  }
  return whole_of(in, std::move(r));
}

std::string Copy::encode() const {
  Writer out;
  out.num(from.value).num(to.value).num(static_cast<uint32_t>(items.size()));
  for (const auto& item : items) {
    out.num(item.source.value);
    put_entry(out, item.entry, item.keywords);
  }
  return out.take();
}
std::optional<Copy> Copy::decode(std::string_view meta, uint8_t version) {
  if (version == 0 || version > kVersion) return std::nullopt;
  Reader in(meta);
  Copy r;
  r.from = MailboxId(in.num<uint32_t>());
  r.to = MailboxId(in.num<uint32_t>());
  const auto count = in.num<uint32_t>();
  if (!in.ok() || count > in.left() / (4 + kLeastEntryBytes)) return std::nullopt;
  r.items.reserve(count);
  for (uint32_t i = 0; i < count; i++) {
    Item item;
    item.source = Uid(in.num<uint32_t>());
    if (!get_entry(in, version, item.entry, item.keywords)) return std::nullopt;
    if (!r.items.empty() && r.items.back().entry.uid >= item.entry.uid) return std::nullopt;
    r.items.push_back(std::move(item));
  }
  return whole_of(in, std::move(r));
}

std::string Flags::encode() const {
  Writer out;
  out.num(mailbox.value).num(static_cast<uint8_t>(op)).num(flags);
  put_keywords(out, keywords);
  put_ranges(out, ranges);
  return out.take();
}
std::optional<Flags> Flags::decode(std::string_view meta, uint8_t version) {
  if (version == 0 || version > kVersion) return std::nullopt;
  Reader in(meta);
  Flags r;
  r.mailbox = MailboxId(in.num<uint32_t>());
  const auto op = in.num<uint8_t>();
  r.flags = in.num<uint8_t>();
  auto keywords = get_keywords(in, version);
  auto ranges = get_ranges(in);
  if (op > static_cast<uint8_t>(FlagOp::last) || (r.flags & ~kAllSystemFlags) != 0 || !keywords ||
      !ranges)
    return std::nullopt;
  r.keywords = *std::move(keywords);
  r.op = static_cast<FlagOp>(op);
  r.ranges = *std::move(ranges);
  return whole_of(in, std::move(r));
}

std::string Expunge::encode() const {
  Writer out;
  out.num(mailbox.value);
  put_ranges(out, ranges);
  return out.take();
}
std::optional<Expunge> Expunge::decode(std::string_view meta, uint8_t version) {
  if (version != kVersion) return std::nullopt;
  Reader in(meta);
  Expunge r;
  r.mailbox = MailboxId(in.num<uint32_t>());
  auto ranges = get_ranges(in);
  if (!ranges) return std::nullopt;
  r.ranges = *std::move(ranges);
  return whole_of(in, std::move(r));
}

std::string Recent::encode() const { return Writer().num(mailbox.value).num(first.value).take(); }
std::optional<Recent> Recent::decode(std::string_view meta, uint8_t version) {
  if (version != kVersion) return std::nullopt;
  Reader in(meta);
  Recent r;
  r.mailbox = MailboxId(in.num<uint32_t>());
  r.first = Uid(in.num<uint32_t>());
  return whole_of(in, r);
}

std::string Clean::encode() const { return Writer().num(seq).raw(checkpoint).take(); }
std::optional<Clean> Clean::decode(std::string_view meta, uint8_t version) {
  if (version != kVersion) return std::nullopt;
  Reader in(meta);
  Clean r;
  r.seq = in.num<uint64_t>();
  r.checkpoint = in.raw(16);
  return whole_of(in, std::move(r));
}

std::string Gap::encode() const { return Writer().num(skip).num(damage).take(); }
std::optional<Gap> Gap::decode(std::string_view meta, uint8_t version) {
  if (version != kVersion) return std::nullopt;
  Reader in(meta);
  Gap r;
  r.skip = in.num<uint32_t>();
  r.damage = in.num<uint32_t>();
  return whole_of(in, r);
}

std::string Compacted::encode() const { return Writer().num(segment).num(freed).take(); }
std::optional<Compacted> Compacted::decode(std::string_view meta, uint8_t version) {
  if (version != kVersion) return std::nullopt;
  Reader in(meta);
  Compacted r;
  r.segment = in.num<uint32_t>();
  r.freed = in.num<uint64_t>();
  return whole_of(in, r);
}

std::string UidNext::encode() const { return Writer().num(mailbox.value).num(uid.value).take(); }
std::optional<UidNext> UidNext::decode(std::string_view meta, uint8_t version) {
  if (version != kVersion) return std::nullopt;
  Reader in(meta);
  UidNext r;
  r.mailbox = MailboxId(in.num<uint32_t>());
  r.uid = Uid(in.num<uint32_t>());
  if (r.uid.value == 0) return std::nullopt;
  return whole_of(in, r);
}

uint8_t SpecialUseSet::version() const { return first_version(special_use); }
std::string SpecialUseSet::encode() const {
  return Writer().num(mailbox.value).num(static_cast<uint8_t>(special_use)).take();
}
std::optional<SpecialUseSet> SpecialUseSet::decode(std::string_view meta, uint8_t version) {
  if (version == 0 || version > kVersion) return std::nullopt;
  Reader in(meta);
  SpecialUseSet r;
  r.mailbox = MailboxId(in.num<uint32_t>());
  const auto use = in.num<uint8_t>();
  if (use > last_use(version)) return std::nullopt;
  r.special_use = static_cast<SpecialUse>(use);
  return whole_of(in, r);
}

uint8_t Snapshot::version() const {
  uint8_t version = 1;
  for (const auto& m : mailboxes) version = std::max(version, first_version(m.special_use));
  return version;
}
std::string Snapshot::encode() const {
  Writer out;
  out.num(static_cast<uint8_t>(whole ? 1 : 0)).num(next_mailbox.value).num(next_message.value);
  out.num(last_uidvalidity.value).num(static_cast<uint32_t>(mailboxes.size()));
  for (const auto& m : mailboxes) {
    out.num(m.id.value).num(m.uidvalidity.value).num(m.uidnext.value).num(m.first_recent.value);
    out.num(m.highest_modseq.value).num(m.changed.value);
    out.num(static_cast<uint8_t>(m.special_use)).num(static_cast<uint8_t>(m.noselect ? 1 : 0));
    out.text(m.name).num(static_cast<uint16_t>(m.keywords.size()));
    for (const auto& [index, keyword] : m.keywords) out.num(index).text(keyword);
  }
  put_ranges(out, removed);
  out.num(static_cast<uint32_t>(subscribed.size()));
  for (const auto& subscription : subscribed) out.text(subscription);
  return out.take();
}
std::optional<Snapshot> Snapshot::decode(std::string_view meta, uint8_t version) {
  if (version == 0 || version > kVersion) return std::nullopt;
  Reader in(meta);
  Snapshot r;
  const auto whole_account = in.num<uint8_t>();
  r.whole = whole_account == 1;
  r.next_mailbox = MailboxId(in.num<uint32_t>());
  r.next_message = MessageId(in.num<uint64_t>());
  r.last_uidvalidity = UidValidity(in.num<uint32_t>());
  if (whole_account > 1 || r.next_mailbox.value > kMostMailboxIds ||
      r.next_message.value > kMostMessageIds)
    return std::nullopt;
  const auto count = in.num<uint32_t>();
  for (uint32_t i = 0; i < count && in.ok(); i++) {
    OfMailbox m;
    m.id = MailboxId(in.num<uint32_t>());
    m.uidvalidity = UidValidity(in.num<uint32_t>());
    m.uidnext = Uid(in.num<uint32_t>());
    m.first_recent = Uid(in.num<uint32_t>());
    m.highest_modseq = ModSeq(in.num<uint64_t>());
    m.changed = ModSeq(in.num<uint64_t>());
    const auto use = in.num<uint8_t>();
    const auto attributes = in.num<uint8_t>();
    m.name = in.text();
    if (use > last_use(version) || attributes > 1 || m.id.value == 0 ||
        m.id.value >= kMostMailboxIds || m.name.empty() || m.uidnext.value == 0 ||
        m.uidvalidity.value == 0 || (!r.mailboxes.empty() && r.mailboxes.back().id >= m.id))
      return std::nullopt;
    m.special_use = static_cast<SpecialUse>(use);
    m.noselect = attributes == 1;
    const auto keywords = in.num<uint16_t>();
    for (uint16_t k = 0; k < keywords && in.ok(); k++) {
      const auto index = in.num<KeywordIndex>();
      std::string keyword(in.text());
      if (index >= kMaxKeywords || keyword.empty() ||
          (!m.keywords.empty() && m.keywords.back().first >= index))
        return std::nullopt;
      m.keywords.emplace_back(index, std::move(keyword));
    }
    r.mailboxes.push_back(std::move(m));
  }
  auto ranges = get_ranges(in);
  if (!ranges) return std::nullopt;
  r.removed = *std::move(ranges);
  const auto names = in.num<uint32_t>();
  for (uint32_t i = 0; i < names && in.ok(); i++) r.subscribed.emplace_back(in.text());
  return whole_of(in, std::move(r));
}

std::string AccountNamed::encode() const { return Writer().text(user).raw(id).take(); }
std::optional<AccountNamed> AccountNamed::decode(std::string_view meta, uint8_t version) {
  if (version != kVersion) return std::nullopt;
  Reader in(meta);
  AccountNamed r;
  r.user = in.text();
  r.id = in.raw(16);
  if (r.user.empty()) return std::nullopt;
  return whole_of(in, std::move(r));
}

// The number has seven bits in a byte, whose eighth is one: no byte is zero.
std::string PieceSums::encode() const {
  Writer out;
  out.num(static_cast<uint8_t>(part));
  for (int shift = 0; shift < 35; shift += 7)
    out.num(static_cast<uint8_t>(0x80 | (uint64_t{from_last} >> shift & 0x7f)));
  return out.raw(key).raw(sums).take();
}
std::optional<PieceSums> PieceSums::decode(std::string_view meta, uint8_t version) {
  if (version != kVersion) return std::nullopt;
  Reader in(meta);
  PieceSums r;
  const auto part = in.num<uint8_t>();
  r.part = static_cast<RecordPart>(part);
  uint64_t from_last = 0;
  for (int shift = 0; shift < 35; shift += 7)
    from_last |= uint64_t{in.num<uint8_t>() & 0x7fU} << shift;
  r.from_last = static_cast<uint32_t>(from_last);
  r.key = in.raw(16);
  if (part < 1 || part > 3 || from_last > UINT32_MAX || in.left() % 8 != 0 || in.left() == 0)
    return std::nullopt;
  r.sums = in.raw(in.left());
  return whole_of(in, std::move(r));
}

std::string Annotated::encode() const {
  Writer out;
  out.num(static_cast<uint8_t>(whole ? 1 : 0)).num(static_cast<uint32_t>(items.size()));
  for (const auto& item : items) {
    out.num(item.mailbox.value).text(item.name).num(static_cast<uint8_t>(item.value ? 1 : 0));
    if (item.value) out.num(static_cast<uint32_t>(item.value->size())).raw(*item.value);
  }
  return out.take();
}
std::optional<Annotated> Annotated::decode(std::string_view meta, uint8_t version) {
  if (version != kVersion) return std::nullopt;
  Reader in(meta);
  Annotated r;
  const auto whole_account = in.num<uint8_t>();
  r.whole = whole_account == 1;
  const auto count = in.num<uint32_t>();
  if (whole_account > 1) return std::nullopt;
  for (uint32_t i = 0; i < count && in.ok(); i++) {
    Item item;
    item.mailbox = MailboxId(in.num<uint32_t>());
    item.name = in.text();
    const auto there = in.num<uint8_t>();
    if (there == 1) item.value = in.raw(in.num<uint32_t>());
    const auto place = [](const Item& of) { return std::tie(of.mailbox, of.name); };
    if (item.mailbox.value >= kMostMailboxIds || item.name.empty() || there > 1 ||
        (r.whole && there == 0) || (!r.items.empty() && place(r.items.back()) >= place(item)))
      return std::nullopt;
    r.items.push_back(std::move(item));
  }
  return whole_of(in, std::move(r));
}

std::string Restored::encode() const {
  Writer out;
  out.num(static_cast<uint32_t>(lost.size()));
  for (const Range& range : lost) out.num(range.first).num(range.last);
  return out.take();
}
std::optional<Restored> Restored::decode(std::string_view meta, uint8_t version) {
  if (version != kVersion) return std::nullopt;
  Reader in(meta);
  Restored r;
  const auto count = in.num<uint32_t>();
  for (uint32_t i = 0; i < count && in.ok(); i++) {
    const Range range{in.num<uint64_t>(), in.num<uint64_t>()};
    if (range.first == 0 || range.last < range.first ||
        (!r.lost.empty() && range.first <= r.lost.back().last))
      return std::nullopt;
    r.lost.push_back(range);
  }
  return whole_of(in, std::move(r));
}

namespace {

// Tries each type of Record.
template <size_t I = 1>
std::optional<Record> decode_as(RecordType type, uint8_t version, std::string_view meta) {
  if constexpr (I < std::variant_size_v<Record>) {
    using Type = std::variant_alternative_t<I, Record>;
    if (type != Type::kType) return decode_as<I + 1>(type, version, meta);
    auto decoded = Type::decode(meta, version);
    if (!decoded) return std::nullopt;
    return Record(*std::move(decoded));
  } else {
    return std::nullopt;
  }
}

template <size_t I = 1>
uint8_t known_version(RecordType type) {
  if constexpr (I < std::variant_size_v<Record>) {
    using Type = std::variant_alternative_t<I, Record>;
    return type == Type::kType ? Type::kVersion : known_version<I + 1>(type);
  } else {
    return 0;
  }
}

}  // namespace

Result<Record> decode(RecordType type, uint8_t version, uint64_t seq, std::string_view meta,
                      std::string_view program) {
  if (type == RecordType::footer) return Ignored();
  const uint8_t known = known_version(type);
  if (version > known) {
    if (ignorable(type)) return Ignored();
    return fail(Fault::storage, "temporary failure",
                fmt::format("record {} is of type {} (version {}), which this program does not "
                            "know: use the version of rims that wrote it{}{}",
                            seq, static_cast<unsigned>(type), version, program.empty() ? "" : ", ",
                            program),
                "UNAVAILABLE");
  }
  if (auto record = decode_as(type, version, meta)) return *std::move(record);
  return fail(Fault::storage, "temporary failure",
              fmt::format("record {} ({}) can not be decoded", seq, name(type)));
}

std::vector<MailboxId> mailboxes_needed(const Record& record) {
  return std::visit(
      []<class R>(const R& r) -> std::vector<MailboxId> {
        if constexpr (std::is_same_v<R, Copy>)
          return {r.from, r.to};
        else if constexpr (requires { r.mailbox; } && !std::is_same_v<R, SpecialUseSet>)
          return {r.mailbox};
        else
          return {};
      },
      record);
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
