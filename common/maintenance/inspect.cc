// common/maintenance/inspect.cc - the store's files without a store

#include "common/maintenance/inspect.h"

#include <algorithm>
#include <cerrno>
#include <fcntl.h>
#include <map>
#include <optional>
#include <unistd.h>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "common/base/encoding.h"
#include "common/base/log.h"
#include "common/index/gdbm_key_value.h"
#include "common/index/index_codec.h"
#include "common/journal/account_dir.h"
#include "common/journal/file_segments.h"
#include "common/journal/reader.h"
#include "common/maintenance/backup_manifest.h"

namespace rims::store {
namespace {

std::string ranges_text(const std::vector<UidRange>& ranges) {
  std::string text;
  for (const auto& r : ranges) {
    if (!text.empty()) text += ',';
    text += r.first == r.last ? fmt::format("{}", r.first) : fmt::format("{}:{}", r.first, r.last);
  }
  return text;
}

Result<std::unique_ptr<KeyValueStore>> open_meta(const AccountDir& dir, bool read_only) {
  TRY(Fd fd, dir.open_file("meta.gdbm", read_only ? O_RDONLY : O_RDWR));
  return open_gdbm(std::move(fd), dir.path() + "/meta.gdbm", read_only);
}

Result<bool> dirty_flag_of(const AccountDir& dir) {
  auto meta = open_meta(dir, true);
  if (!meta) return true;
  auto value = (*meta)->get("meta");
  if (!value || !*value) return true;
  const auto head = IndexCodec::decode_head(**value);
  return !head || head->dirty;
}

}  // namespace

Status set_dirty_flag(const AccountDir& dir, bool dirty) {
  auto meta = open_meta(dir, false);
  // A missing or unreadable index is rebuilt anyway.
  if (!meta && dirty) return {};
  if (!meta) return std::unexpected(meta.error());
  TRY(const auto value, (*meta)->get("meta"));
  auto head = IndexCodec::decode_head(value.value_or(""));
  if (!head && dirty) return {};
  if (!head)
    return fail(Fault::storage, "the index is damaged", dir.path() + "/meta.gdbm: \"meta\"");
  head->dirty = dirty;
  TRY_STATUS((*meta)->put("meta", IndexCodec::encode(*head)));
  return (*meta)->sync();
}

namespace {

std::string quoted(std::string_view text) { return fmt::format("\"{}\"", log::printable(text)); }

std::string keywords_text(const KeywordList& keywords) {
  return fmt::format("{}", fmt::join(keywords, ","));
}

// What a record says, in words.
struct Words {
  std::string operator()(const Ignored&) const { return {}; }
  std::string operator()(const MailboxCreated& r) const {
    return fmt::format("mailbox {} uidvalidity {}{} {}", r.id.value, r.uidvalidity.value,
                       r.noselect ? " noselect" : "", quoted(r.name));
  }
  std::string operator()(const MailboxRemoved& r) const {
    return fmt::format("mailbox {}", r.id.value);
  }
  std::string operator()(const MailboxRenamed& r) const {
    return fmt::format("mailbox {} {}", r.id.value, quoted(r.name));
  }
  std::string operator()(const Subscription& r) const {
    return fmt::format("{} {}", r.on ? "on" : "off", quoted(r.name));
  }
  std::string operator()(const Keyword& r) const {
    return fmt::format("mailbox {} keyword {} {}", r.mailbox.value, r.index, quoted(r.name));
  }
  std::string operator()(const Append& r) const {
    return fmt::format("mailbox {} uid {} message {} size {} flags {:02x} date {}", r.mailbox.value,
                       r.entry.uid.value, r.entry.message.value, r.entry.size, r.entry.flags,
                       r.entry.date);
  }
  std::string operator()(const Copy& r) const {
    std::string text = fmt::format("mailbox {} to {}:", r.from.value, r.to.value);
    for (const auto& item : r.items)
      text += fmt::format(" {}->{}", item.source.value, item.entry.uid.value);
    return text;
  }
  std::string operator()(const Flags& r) const {
    return fmt::format("mailbox {} {} flags {:02x} keywords {} uids {}", r.mailbox.value,
                       r.op == FlagOp::add      ? "add"
                       : r.op == FlagOp::remove ? "remove"
                                                : "replace",
                       r.flags, r.keywords.empty() ? "none" : keywords_text(r.keywords),
                       ranges_text(r.ranges));
  }
  std::string operator()(const Expunge& r) const {
    return fmt::format("mailbox {} uids {}", r.mailbox.value, ranges_text(r.ranges));
  }
  std::string operator()(const Recent& r) const {
    return fmt::format("mailbox {} from uid {}", r.mailbox.value, r.first.value);
  }
  std::string operator()(const Clean& r) const { return fmt::format("up to {}", r.seq); }
  std::string operator()(const Gap& r) const { return fmt::format("skip {}", r.skip); }
  std::string operator()(const Compacted& r) const {
    return fmt::format("segment {} freed {}", r.segment, r.freed);
  }
  std::string operator()(const UidNext& r) const {
    return fmt::format("mailbox {} uids from {} on", r.mailbox.value, r.uid.value);
  }
  std::string operator()(const SpecialUseSet& r) const {
    return fmt::format("mailbox {} {}", r.mailbox.value,
                       r.special_use == SpecialUse::none ? "none" : name(r.special_use));
  }
  std::string operator()(const Snapshot& r) const {
    std::string text = r.whole ? "the account" : "once more";
    for (const auto& m : r.mailboxes)
      text += fmt::format(" mailbox {} {}", m.id.value, quoted(m.name));
    if (!r.removed.empty()) text += " removed " + ranges_text(r.removed);
    if (!r.subscribed.empty()) text += fmt::format(" {} subscribed", r.subscribed.size());
    return text;
  }
  std::string operator()(const AccountNamed& r) const {
    return fmt::format("of {}, id {}", quoted(r.user), to_hex(r.id));
  }
  std::string operator()(const Annotated& r) const {
    std::string text = r.whole ? "all of the account" : "";
    for (const auto& item : r.items) {
      if (!text.empty()) text += ' ';
      text += fmt::format("mailbox {} {}", item.mailbox.value, quoted(item.name));
      text += item.value ? fmt::format(" {} bytes", item.value->size()) : " none";
    }
    return text;
  }
  std::string operator()(const OfUserDirectory& r) const {
    return fmt::format("{} bytes", r.bytes.size());
  }
  std::string operator()(const Restored& r) const {
    std::string text = "all that records";
    for (const auto& range : r.lost) text += fmt::format(" {}:{}", range.first, range.last);
    return text + " had said";
  }
  std::string operator()(const PieceSums& r) const {
    return fmt::format("of {} pieces of a record", r.sums.size() / sizeof(uint64_t));
  }
};

}  // namespace

std::string describe(const JournalRecord& record) {
  const auto& h = record.header;
  const auto decoded = decode(h.type, h.version, h.seq, record.meta, record.program);
  if (!decoded) return "not understood";
  if (ignorable(h.type) && std::holds_alternative<Ignored>(*decoded))
    return "not known to this version, and not needed";
  return std::visit(Words(), *decoded);
}

namespace {

// By a path that a person has typed.
Result<AccountDir> account_at(const std::string& directory) {
  TRY(AccountDir dir, AccountDir::at(Disk::real(), directory));
  if (dir.open_file("meta.gdbm", O_RDONLY)) return dir;
  if (::access((directory + "/journal").c_str(), F_OK) == 0) return dir;
  return fail(Fault::not_found, "no account is here", directory + ": no account is here");
}

}  // namespace

Result<bool> dirty_flag(const Fd& base, const std::string& user) {
  TRY(const AccountDir dir, AccountDir::open(Disk::real(), base.get(), user, false));
  return dirty_flag_of(dir);
}

Result<bool> dirty_flag(const std::string& directory) {
  TRY(const AccountDir dir, account_at(directory));
  return dirty_flag_of(dir);
}

Status set_dirty_flag(const Fd& base, const std::string& user, bool dirty) {
  TRY(const AccountDir dir, AccountDir::open(Disk::real(), base.get(), user, false));
  return set_dirty_flag(dir, dirty);
}

Status set_dirty_flag(const std::string& directory, bool dirty) {
  TRY(const AccountDir dir, account_at(directory));
  return set_dirty_flag(dir, dirty);
}

Result<size_t> mend_records(const AccountDir& dir) {
  FileSegments segments(dir);
  if (const auto names = segments.names(); !names && names.error().system() == ENOENT) return 0;
  JournalReader reader(std::make_unique<FileSegments>(dir));
  std::vector<JournalDamage> list;
  JournalVisitor visitor;
  visitor.damage = [&](const JournalDamage& d) {
    if (!d.right.empty()) list.push_back(d);
  };
  TRY_STATUS(reader.visit(visitor, {.thorough = true}));
  for (const auto& d : list) {
    const std::string name = d.path.substr(d.path.rfind('/') + 1);
    TRY(const auto file, segments.open(segment_number(name), Access::write));
    TRY(const std::string now, file->read(d.offset, d.right.size()));
    TRY_STATUS(segments.keep_copy(fmt::format("{}-{}", name, d.offset), now));
    // Writes only the byte that is wrong: if this is interrupted, all other bytes are unchanged.
    std::string right = d.right;
    const auto at = static_cast<size_t>(std::ranges::mismatch(now, right).in1 - now.begin());
    if (at == right.size()) continue;
    TRY_STATUS(file->write({{right.data() + at, 1}}, d.offset + at));
    TRY_STATUS(file->flush(SegmentFile::Flush::data));
  }
  return list.size();
}

Status dump_index_file(const std::string& path, const EachValue& f) {
  Fd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd) return fail_errno("open " + path, errno);
  TRY(const auto file, open_gdbm(std::move(fd), path, true));
  return file->for_each(f);
}

namespace {

using Values = std::map<std::string, std::string>;

std::string flags_text(uint8_t flags) {
  static constexpr std::pair<uint8_t, std::string_view> kNames[] = {{kSeen, "\\Seen"},
                                                                    {kAnswered, "\\Answered"},
                                                                    {kFlagged, "\\Flagged"},
                                                                    {kDeleted, "\\Deleted"},
                                                                    {kDraft, "\\Draft"}};
  std::string text;
  for (const auto& [flag, name] : kNames)
    if ((flags & flag) != 0) (text += text.empty() ? "" : " ") += name;
  return text;
}

// The number in a key such as "e" 2; nullopt: it is a word.
std::optional<uint64_t> number_of(std::string_view key) {
  if (key.size() != 9 || key.find('\0') == key.npos) return std::nullopt;
  uint64_t number = 0;
  for (const char c : key.substr(1)) number = number << 8 | static_cast<unsigned char>(c);
  return number;
}

class IndexReading {
 public:
  IndexReading(const Values& values, const std::function<void(const IndexLine&)>& f)
      : values_(values), f_(f) {}

  void run() {
    if (const auto head = values_.find("meta"); head != values_.end()) numbers(head->second);
    for (const auto& [key, value] : values_) {
      const auto number = number_of(key);
      const bool told =
          number && ((key[0] == 'c' && counters(*number, value)) ||
                     (key[0] == 'e' && entries(*number, value)) ||
                     (key[0] == 'm' && locations(*number, value)) ||
                     (key[0] == 'L' && list_is_told_) || (key[0] == 'A' && annotations_are_told_));
      if (!told && (key != "meta" || !head_is_told_))
        f_({.key = readable_key(key), .bytes = value.size(), .value = value});
    }
  }

 private:
  void say(std::string key, std::string value) {
    const uint64_t bytes = value.size();
    f_({.key = std::move(key), .bytes = bytes, .value = std::move(value)});
  }

  void numbers(const std::string& value) {
    const auto head = IndexCodec::decode_head(value);
    if (!head) return;
    head_is_told_ = true;
    if (head->dirty) say("dirty", "1");
    say("cnum", fmt::format("{}", head->seq));
    say("msg_id", fmt::format("{}", head->next_message.value));
    say("uidvalidity", fmt::format("{}", head->last_uidvalidity.value));
    const auto get = [this](const std::string& key) {
      const auto found = values_.find(key);
      return found == values_.end() ? std::string() : found->second;
    };
    const auto list = from_pieces('L', head->list_bytes, get);
    AccountState state;
    if (!list || !IndexCodec::decode_list(*list, state)) return;
    list_is_told_ = true;
    std::string ids;
    for (const auto& [id, mailbox] : state.mailboxes())
      ids += (ids.empty() ? "" : " ") + fmt::format("{}", id.value);
    say("mbox_set", ids);
    for (const auto& [id, mailbox] : state.mailboxes()) {
      say(fmt::format("mbox_id2name-{}", id.value), mailbox->info().name);
      say("mbox_name2id-" + mailbox->info().name, fmt::format("{}", id.value));
    }
    const auto annotations = from_pieces('A', head->annotation_bytes, get);
    if (!annotations || !IndexCodec::decode_annotations(*annotations, state)) return;
    annotations_are_told_ = true;
    if (const auto all = state.all_annotations(true))
      for (const auto& item : all->items)
        say(fmt::format("annotation-{}-{}", item.mailbox.value, item.name), *item.value);
  }

  bool counters(uint64_t id, const std::string& value) {
    Mailbox mailbox;
    if (!IndexCodec::decode_counters(value, mailbox)) return false;
    const auto& info = mailbox.info();
    say(fmt::format("mbox_id2uid-{}", id), fmt::format("{}", info.uidnext.value));
    say(fmt::format("mbox_id2msgnum-{}", id), fmt::format("{}", info.messages));
    say(fmt::format("mbox_id2flagnum-{}-recent", id), fmt::format("{}", info.recent));
    say(fmt::format("mbox_id2flagnum-{}-seen", id),
        fmt::format("{}", info.messages - std::min(info.messages, info.unseen)));
    return true;
  }

  bool entries(uint64_t chunk, const std::string& value) {
    IndexCodec::Loading loading;
    if (!IndexCodec::decode_entries(value, static_cast<uint32_t>(chunk), loading)) return false;
    for (const MessageEntry& e : loading.messages)
      f_({.key = fmt::format("{}", e.uid.value),
          .bytes = e.size,
          .value = fmt::format("message {}, flags ({}), {}, modseq {}", e.message.value,
                               flags_text(e.flags), utc_text(e.date), e.modseq.value)});
    return true;
  }

  bool locations(uint64_t chunk, const std::string& value) {
    Locations::Chunk all;
    if (!IndexCodec::decode_locations(value, all)) return false;
    for (size_t i = 0; i < all.at.size(); i++)
      if (const Location& at = all.at[i]; at.segment != 0)
        f_({.key = fmt::format("{}", chunk * Locations::kPerChunk + i),
            .bytes = at.body,
            .value = fmt::format("journal/{:08} at offset {}", at.segment, at.offset)});
    return true;
  }

  const Values& values_;
  const std::function<void(const IndexLine&)>& f_;
  bool head_is_told_ = false, list_is_told_ = false, annotations_are_told_ = false;
};

}  // namespace

Status read_index_file(const std::string& path, const std::function<void(const IndexLine&)>& f) {
  Values values;
  const Status read = dump_index_file(
      path,
      [&values](std::string_view key, std::string_view value) { values.emplace(key, value); });
  IndexReading(values, f).run();
  return read;
}

std::string readable_key(std::string_view key) {
  const auto number = number_of(key);
  return number ? fmt::format("{}{}", key[0], *number) : log::printable(key);
}

Status dump_journal(JournalReader& reader, uint64_t from,
                    const std::function<void(const std::string& line)>& f) {
  return reader.visit(
      {.segment =
           [&](const JournalSegment& segment) {
             f(fmt::format("{}: records from {} on{}", segment.path, segment.header.first_seq,
                           segment.sealed ? ", sealed" : ""));
             if (segment.unfinished)
               f(fmt::format("{}+{} not whole (yet): {} bytes", segment.path,
                             segment.unfinished->offset, segment.unfinished->length));
           },
       .record =
           [&](const JournalRecord& record) {
             const auto& at = record.place.location;
             const auto& h = record.header;
             f(fmt::format("{} {} {:08}+{} {}{} {}", h.seq, h.time ? utc_text(h.time) : "-",
                           at.segment, at.offset, store::name(h.type),
                           (h.flags & kDropped) != 0 ? " (bytes given back)" : "",
                           describe(record)));
             return true;
           },
       .damage = [&](const JournalDamage& damage) { f("damaged: " + to_string(damage)); },
       .foreign = [&](const std::string& path) { f(path + ": no segment"); }},
      {.from = from, .thorough = true});
}

}  // namespace rims::store
