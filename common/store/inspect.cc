// common/store/inspect.cc - the store's files without a store

#include "common/store/inspect.h"

#include <algorithm>
#include <cerrno>
#include <fcntl.h>

#include <fmt/format.h>

#include "common/base/encoding.h"
#include "common/base/log.h"
#include "common/store/backup_manifest.h"
#include "common/store/disk.h"
#include "common/store/gdbm_key_value.h"
#include "common/store/index_codec.h"
#include "common/store/reader.h"

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

std::string describe(RecordType type, std::string_view meta) {
  switch (type) {
    case RecordType::mailbox_created:
      if (const auto r = MailboxCreated::decode(meta))
        return fmt::format("mailbox {} uidvalidity {}{} \"{}\"", r->id.value, r->uidvalidity.value,
                           r->noselect ? " noselect" : "", log::printable(r->name));
      break;
    case RecordType::mailbox_removed:
      if (const auto r = MailboxRemoved::decode(meta))
        return fmt::format("mailbox {}", r->id.value);
      break;
    case RecordType::mailbox_renamed:
      if (const auto r = MailboxRenamed::decode(meta))
        return fmt::format("mailbox {} \"{}\"", r->id.value, log::printable(r->name));
      break;
    case RecordType::subscription:
      if (const auto r = Subscription::decode(meta))
        return fmt::format("{} \"{}\"", r->on ? "on" : "off", log::printable(r->name));
      break;
    case RecordType::keyword:
      if (const auto r = Keyword::decode(meta))
        return fmt::format("mailbox {} bit {} \"{}\"", r->mailbox.value, r->index,
                           log::printable(r->name));
      break;
    case RecordType::append:
      if (const auto r = Append::decode(meta))
        return fmt::format("mailbox {} uid {} message {} size {} flags {:02x} date {}",
                           r->mailbox.value, r->entry.uid.value, r->entry.message.value,
                           r->entry.size, r->entry.flags, r->entry.date);
      break;
    case RecordType::copy:
      if (const auto r = Copy::decode(meta)) {
        std::string text = fmt::format("mailbox {} to {}:", r->from.value, r->to.value);
        for (const auto& item : r->items)
          text += fmt::format(" {}->{}", item.source.value, item.entry.uid.value);
        return text;
      }
      break;
    case RecordType::flags:
      if (const auto r = Flags::decode(meta))
        return fmt::format("mailbox {} {} flags {:02x} keywords {:x} uids {}", r->mailbox.value,
                           r->op == FlagOp::add      ? "add"
                           : r->op == FlagOp::remove ? "remove"
                                                     : "replace",
                           r->flags, r->keywords, ranges_text(r->ranges));
      break;
    case RecordType::expunge:
      if (const auto r = Expunge::decode(meta))
        return fmt::format("mailbox {} uids {}", r->mailbox.value, ranges_text(r->ranges));
      break;
    case RecordType::recent:
      if (const auto r = Recent::decode(meta))
        return fmt::format("mailbox {} from uid {}", r->mailbox.value, r->first.value);
      break;
    case RecordType::clean:
      if (const auto r = Clean::decode(meta)) return fmt::format("up to {}", r->seq);
      break;
    case RecordType::gap:
      if (const auto r = Gap::decode(meta)) return fmt::format("skip {}", r->skip);
      break;
    case RecordType::compacted:
      if (const auto r = Compacted::decode(meta))
        return fmt::format("segment {} freed {}", r->segment, r->freed);
      break;
    case RecordType::footer:
      return {};
    case RecordType::uidnext:
      if (const auto r = UidNext::decode(meta))
        return fmt::format("mailbox {} uids from {} on", r->mailbox.value, r->uid.value);
      break;
    case RecordType::special_use:
      if (const auto r = SpecialUseSet::decode(meta))
        return fmt::format("mailbox {} {}", r->mailbox.value,
                           r->special_use == SpecialUse::none ? "none" : name(r->special_use));
      break;
  }
  return "not understood";
}

std::string account_path(std::string_view user) {
  const std::string id = unique_user_id(user);
  return "mailbox.3/" + id.substr(0, 2) + "/" + id.substr(2);
}

Result<bool> dirty_flag(const Fd& base, const std::string& user) {
  TRY(const AccountDir dir, AccountDir::open(Disk::real(), base.get(), user, false));
  return dirty_flag_of(dir);
}

Result<bool> dirty_flag(const std::string& directory) {
  TRY(const AccountDir dir, AccountDir::at(Disk::real(), directory));
  return dirty_flag_of(dir);
}

Status set_dirty_flag(const Fd& base, const std::string& user, bool dirty) {
  TRY(const AccountDir dir, AccountDir::open(Disk::real(), base.get(), user, false));
  return set_dirty_flag(dir, dirty);
}

Status set_dirty_flag(const std::string& directory, bool dirty) {
  TRY(const AccountDir dir, AccountDir::at(Disk::real(), directory));
  return set_dirty_flag(dir, dirty);
}

Result<size_t> mend_headers(const AccountDir& dir) {
  auto journal = dir.open_file("journal", O_RDONLY | O_DIRECTORY);
  if (!journal && errno == ENOENT) return 0;
  if (!journal) return std::unexpected(journal.error());
  JournalReader reader(*std::move(journal), dir.path() + "/journal", dir.disk());
  std::vector<JournalDamage> list;
  JournalVisitor visitor;
  visitor.damage = [&](const JournalDamage& d) {
    if (!d.right.empty()) list.push_back(d);
  };
  TRY_STATUS(reader.visit(visitor, {.thorough = true}));
  for (const auto& d : list) {
    const std::string name = d.path.substr(d.path.rfind('/') + 1);
    TRY(const Fd fd, dir.open_file("journal/" + name, O_RDWR));
    TRY(const std::string now, read_up_to(dir.disk(), fd.get(), d.right.size(), d.offset, d.path));
    TRY_STATUS(dir.quarantine(fmt::format("{}-{}", name, d.offset), now));
    // The byte that is wrong and no other: whatever ends this, the others are as they were.
    std::string right = d.right;
    const auto at = static_cast<size_t>(std::ranges::mismatch(now, right).in1 - now.begin());
    if (at == right.size()) continue;
    TRY_STATUS(write_all(dir.disk(), fd.get(), {{right.data() + at, 1}}, d.offset + at, d.path));
    if (dir.disk().fdatasync(fd.get()) != 0) return fail_errno("fdatasync " + d.path, errno);
  }
  return list.size();
}

Status dump_index_file(const std::string& path, const EachValue& f) {
  Fd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd) return fail_errno("open " + path, errno);
  TRY(const auto file, open_gdbm(std::move(fd), path, true));
  return file->for_each(f);
}

std::string readable_key(std::string_view key) {
  if (key.size() != 9 || key.find('\0') == key.npos) return log::printable(key);
  uint64_t number = 0;
  for (const char c : key.substr(1)) number = number << 8 | static_cast<unsigned char>(c);
  return fmt::format("{}{}", key[0], number);
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
                           describe(h.type, record.meta)));
             return true;
           },
       .damage = [&](const JournalDamage& damage) { f("damaged: " + to_string(damage)); },
       .foreign = [&](const std::string& path) { f(path + ": no segment"); }},
      {.from = from, .thorough = true});
}

}  // namespace rims::store
