// cli/formats/ruby_rims.cc - reading the GDBM files of the original RIMS

#include "cli/formats/ruby_rims.h"

#include <algorithm>
#include <charconv>
#include <map>
#include <optional>
#include <set>
#include <tuple>

#include <fmt/format.h>
#include <openssl/evp.h>

#include "cli/formats/date_in_message.h"
#include "cli/formats/files.h"
#include "cli/formats/gdbm_file.h"
#include "cli/formats/marshal.h"
#include "common/base/encoding.h"
#include "common/imap/mailbox_name.h"
#include "common/mail/types.h"
#include "deliver/intake.h"

namespace rims::cli {
namespace {

std::optional<uint64_t> to_number(std::string_view text) {
  uint64_t n = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), n);
  if (error != std::errc() || end != text.data() + text.size() || text.empty()) return std::nullopt;
  return n;
}

std::vector<std::string_view> split(std::string_view text) {
  std::vector<std::string_view> list;
  for (size_t at = 0; at < text.size();) {
    const size_t end = std::min(text.find(',', at), text.size());
    list.push_back(text.substr(at, end - at));
    at = end + 1;
  }
  return list;
}

constexpr const char* kLostAndFound = "lost+found";  // as the original's own recovery names it

class RubyRims final : public MailSource {
 public:
  explicit RubyRims(std::string directory) : directory_(std::move(directory)) {}

  Result<std::vector<FoundMailbox>> mailboxes(const Remarks& remarks) override {
    TRY(auto meta, GdbmFile::open(directory_ + "/meta.gdbm", remarks));
    TRY(auto message, GdbmFile::open(directory_ + "/message.gdbm", remarks));
    meta_.emplace(std::move(meta));
    message_.emplace(std::move(message));
    TRY(const auto stored, stored_messages(remarks));
    TRY(const auto places, places_in_meta(remarks));
    TRY(auto ids, listed_mailboxes(remarks));
    for (const auto& [id, there] : places) {
      if (ids.insert(id).second)
        remarks.note(meta_->path(), fmt::format("mailbox {} is in no list, but has messages", id));
    }
    TRY(auto all, mailbox_files());
    all.insert(ids.begin(), ids.end());
    std::set<uint64_t> placed;
    std::vector<FoundMailbox> found;
    for (const uint32_t id : all) {
      const auto from_meta = places.find(id);
      auto entries =
          entries_of(id, from_meta == places.end() ? Places{} : from_meta->second, remarks);
      if (!ids.contains(id)) {
        // The file of a mailbox that was just made, or deleted.
        if (std::ranges::none_of(entries,
                                 [&](const Entry& e) { return stored.contains(e.message); }))
          continue;
        remarks.note(file_of(id), "this mailbox is in no list, but has messages");
      }
      for (const auto& e : entries) placed.insert(e.message);
      found.push_back(describe(id, remarks));
      plan_[id] = std::move(entries);
    }
    take_lost(stored, placed, found, remarks);
    if (found.empty()) return fail(Fault::syntax, meta_->path() + ": no mailbox is in it");
    for (const auto& mailbox : found) names_.push_back(mailbox.name);
    return found;
  }

  // The original has no subscriptions: its LSUB lists all mailboxes.
  std::vector<std::string> subscriptions(const Remarks& /*remarks*/) override { return names_; }

  Result<std::vector<FoundMessage>> messages(const FoundMailbox& mailbox,
                                             const Remarks& remarks) override {
    std::vector<FoundMessage> found;
    for (const auto& e : plan_[mailbox.uidvalidity]) {
      FoundMessage m;
      m.key = e.uid != 0 ? std::to_string(e.uid) : fmt::format("message-{}", e.message);
      m.where = where(mailbox.where, e);
      m.uid = e.uid;
      m.offset = e.message;
      if (e.deleted) m.flags |= store::kDeleted;
      attributes(m, remarks);
      found.push_back(std::move(m));
    }
    std::ranges::sort(found, {}, [](const FoundMessage& m) {
      return std::tuple(m.uid == 0, m.uid, m.uid == 0 ? m.date : 0, m.offset);
    });
    return found;
  }

  Result<std::string> read(const FoundMailbox& /*mailbox*/, const FoundMessage& m) override {
    TRY(auto text, value_of(*message_, std::to_string(m.offset)));
    if (!text) return fail(Fault::not_found, message_->path() + " has no such message");
    return deliver::wire_lines(*std::move(text));
  }

 private:
  struct Entry {
    uint32_t uid = 0;  // 0: a new one
    uint64_t message = 0;
    bool deleted = false;
  };
  using Places = std::set<std::pair<uint32_t, uint64_t>>;  // uid, message

  static Result<std::optional<std::string>> value_of(GdbmFile& file, const std::string& key) {
    TRY(auto stored, file.get(key));
    if (!stored) return std::nullopt;
    auto value = ruby_value(*std::move(stored));
    if (!value)
      return fail(Fault::storage,
                  fmt::format("{}, key {}: {}", file.path(), key, value.error().detail()));
    return *std::move(value);
  }

  [[nodiscard]] std::string file_of(uint32_t mailbox) const {
    return fmt::format("{}/mailbox_{}.gdbm", directory_, mailbox);
  }
  static std::string where(const std::string& mailbox, const Entry& e) {
    return e.uid != 0 ? fmt::format("{}, uid {}, message {}", mailbox, e.uid, e.message)
                      : fmt::format("{}, message {}", mailbox, e.message);
  }

  Result<std::set<uint64_t>> stored_messages(const Remarks& remarks) {
    TRY(const auto keys, message_->keys());
    std::set<uint64_t> stored;
    for (const auto& key : keys) {
      if (const auto id = to_number(key))
        stored.insert(*id);
      else
        remarks.not_taken(message_->path() + ", key " + key, "this is no message number");
    }
    return stored;
  }

  // What meta.gdbm says: the messages of each mailbox.
  Result<std::map<uint32_t, Places>> places_in_meta(const Remarks& remarks) {
    constexpr std::string_view kPlaces = "msg_id2mbox-";
    std::map<uint32_t, Places> places;
    TRY(const auto keys, meta_->keys());
    for (const auto& key : keys) {
      if (!key.starts_with(kPlaces)) continue;
      const auto message = to_number(std::string_view(key).substr(kPlaces.size()));
      const auto value = value_of(*meta_, key);
      const auto parsed = value && *value ? read_marshal(**value)
                                          : Result<MarshalRef>(fail(Fault::syntax, "no value"));
      if (!message || !value || !parsed || (*parsed)->kind != MarshalKind::hash) {
        remarks.note(meta_->path(), fmt::format("key {}: {}", key,
                                                !value    ? value.error().detail()
                                                : !parsed ? parsed.error().detail()
                                                          : std::string("no hash")));
        continue;
      }
      const auto& items = (*parsed)->items;
      for (size_t i = 0; i + 1 < items.size(); i += 2) {
        const auto uids = marshal_numbers(*items[i + 1]);
        if (items[i]->kind != MarshalKind::integer || items[i]->integer <= 0 ||
            items[i]->integer >= UINT32_MAX || !uids)
          continue;
        for (const int64_t uid : *uids) {
          if (uid > 0 && uid < UINT32_MAX)
            places[static_cast<uint32_t>(items[i]->integer)].emplace(static_cast<uint32_t>(uid),
                                                                     *message);
        }
      }
    }
    return places;
  }

  Result<std::set<uint32_t>> listed_mailboxes(const Remarks& remarks) {
    const auto dirty = value_of(*meta_, "dirty");
    if (dirty && *dirty)
      remarks.note(meta_->path(), "the old server did not close it in order, or still runs");
    std::set<uint32_t> ids;
    const auto list = value_of(*meta_, "mbox_set");
    if (!list || !*list) {
      remarks.note(meta_->path(),
                   list ? "no mailboxes are listed (mbox_set)" : list.error().detail());
      return ids;
    }
    for (const auto text : split(**list)) {
      const auto id = to_number(text);
      if (id && *id > 0 && *id < UINT32_MAX)
        ids.insert(static_cast<uint32_t>(*id));
      else
        remarks.not_taken(meta_->path(), fmt::format("mailbox number \"{}\"", text));
    }
    return ids;
  }

  [[nodiscard]] Result<std::set<uint32_t>> mailbox_files() const {
    constexpr std::string_view kBefore = "mailbox_", kAfter = ".gdbm";
    TRY(const auto names, list_directory(directory_));
    std::set<uint32_t> ids;
    for (const std::string_view name : names) {
      if (!name.starts_with(kBefore) || !name.ends_with(kAfter)) continue;
      const auto id =
          to_number(name.substr(kBefore.size(), name.size() - kBefore.size() - kAfter.size()));
      if (id && *id > 0 && *id < UINT32_MAX) ids.insert(static_cast<uint32_t>(*id));
    }
    return ids;
  }

  FoundMailbox describe(uint32_t id, const Remarks& remarks) {
    FoundMailbox mailbox;
    const auto name = value_of(*meta_, fmt::format("mbox_id2name-{}", id));
    if (!name) remarks.note(meta_->path(), name.error().detail());
    mailbox.name = name && *name && !(**name).empty() ? imap::canonical_inbox(**name)
                                                      : fmt::format("Recovered-{}", id);
    mailbox.where = file_of(id);
    mailbox.uidvalidity = id;
    if (const auto next = value_of(*meta_, fmt::format("mbox_id2uid-{}", id)); next && *next)
      mailbox.uidnext =
          static_cast<uint32_t>(std::min<uint64_t>(to_number(**next).value_or(0), UINT32_MAX - 1));
    return mailbox;
  }

  // What the mailbox's file says, and what meta.gdbm says beyond that: of the two files, a crash
  // may have kept the newer state of either. A file that can not be read is told.
  std::vector<Entry> entries_of(uint32_t id, const Places& from_meta,
                                const Remarks& remarks) const {
    const std::string path = file_of(id);
    std::map<uint32_t, Entry> by_uid;
    std::map<uint32_t, std::string> damaged;  // why, by uid
    bool lost = false;
    const auto lose = [&](const Error& error) {
      // A mailbox that never had a message has no file.
      if (error.fault() == Fault::not_found && from_meta.empty()) return;
      lost = true;
      remarks.note(path, error.detail() +
                             "; its messages are taken from meta.gdbm, where \\Deleted is missing");
    };
    auto file = GdbmFile::open(path, remarks);
    const auto keys = file ? file->keys() : std::unexpected(file.error());
    if (!keys) lose(keys.error());
    for (const auto& key : keys ? *keys : std::vector<std::string>{}) {
      const auto uid = to_number(key);
      const auto value = value_of(*file, key);
      if (!uid || *uid == 0 || *uid >= UINT32_MAX) {
        remarks.not_taken(path + ", key " + key, "this is no UID");
        continue;
      }
      const std::string text = value && *value ? **value : "";
      const size_t comma = std::min(text.find(','), text.size());
      const auto message = to_number(std::string_view(text).substr(0, comma));
      const auto n = static_cast<uint32_t>(*uid);
      if (message)
        by_uid[n] = {.uid = n, .message = *message, .deleted = text.substr(comma) == ",deleted"};
      else
        damaged[n] =
            value ? "no message number: \"" + text.substr(0, 40) + "\"" : value.error().detail();
    }
    std::vector<Entry> entries;
    entries.reserve(by_uid.size());
    for (const auto& [uid, message] : from_meta) {
      const auto there = by_uid.find(uid);
      if (there != by_uid.end() && there->second.message == message) continue;
      Entry e{.uid = uid, .message = message};
      std::string what = "only meta.gdbm places it here; \\Deleted is not known";
      if (const auto bad = damaged.find(uid); bad != damaged.end()) {
        what = bad->second + "; " + what;
        damaged.erase(bad);
      }
      if (there != by_uid.end()) {
        what += fmt::format("; its uid {} is that of message {}, so it gets a new one", uid,
                            there->second.message);
        e.uid = 0;
        entries.push_back(e);
      } else {
        by_uid.emplace(uid, e);
      }
      if (!lost || e.uid == 0) remarks.note(where(path, e), what);
    }
    for (const auto& [uid, why] : damaged)
      remarks.not_taken(fmt::format("{}, uid {}", path, uid), why);
    for (const auto& [uid, e] : by_uid) entries.push_back(e);
    return entries;
  }

  // Messages that no mailbox has become a mailbox.
  void take_lost(const std::set<uint64_t>& stored, const std::set<uint64_t>& placed,
                 std::vector<FoundMailbox>& found, const Remarks& remarks) {
    std::vector<Entry> lost;
    for (const uint64_t id : stored) {
      if (placed.contains(id)) continue;
      lost.push_back({.message = id});
      remarks.note(where(message_->path(), lost.back()),
                   fmt::format("it is in no mailbox; it becomes part of {}", kLostAndFound));
    }
    if (lost.empty()) return;
    auto into = std::ranges::find(found, kLostAndFound, &FoundMailbox::name);
    if (into == found.end())
      into = found.insert(found.end(), {.name = kLostAndFound, .where = message_->path()});
    auto& plan = plan_[into->uidvalidity];
    plan.insert(plan.end(), lost.begin(), lost.end());
  }

  void attributes(FoundMessage& m, const Remarks& remarks) {
    const auto flags = value_of(*meta_, fmt::format("msg_id2flag-{}", m.offset));
    if (!flags) remarks.not_taken(m.where, "its flags: " + flags.error().detail());
    if (flags && *flags) {
      for (const auto flag : split(**flags)) {
        if (flag == "seen") m.flags |= store::kSeen;
        if (flag == "answered") m.flags |= store::kAnswered;
        if (flag == "flagged") m.flags |= store::kFlagged;
        if (flag == "draft") m.flags |= store::kDraft;
      }
    }
    const auto date = value_of(*meta_, fmt::format("msg_id2date-{}", m.offset));
    std::string why = !date ? date.error().detail() : !*date ? "there is none" : "";
    if (why.empty()) {
      const auto value = read_marshal(**date);
      const auto time =
          value ? marshal_time(**value) : Result<MarshalTime>(std::unexpected(value.error()));
      if (time) {
        m.date = time->seconds;
        m.zone = time->zone;
        return;
      }
      why = time.error().detail();
    }
    const auto text = value_of(*message_, std::to_string(m.offset));
    if (!text || !*text) return;  // read() will say why
    const auto file = look_at(message_->path());
    const auto other = date_in_message(**text, file ? file->st_mtim.tv_sec : 0);
    m.date = other.seconds;
    m.zone = other.zone;
    remarks.note(m.where, fmt::format("its date: {}; {} is taken", why, other.from));
  }

  std::string directory_;
  std::optional<GdbmFile> meta_, message_;
  std::map<uint32_t, std::vector<Entry>> plan_;  // by UIDVALIDITY; 0: lost+found
  std::vector<std::string> names_;
};

}  // namespace

Result<std::string> ruby_value(std::string stored) {
  constexpr size_t kHead = 4 + 32 + 1;
  if (!stored.starts_with("md5 ")) return stored;
  const size_t end = stored.find('\n');
  if (end != kHead - 1) return stored;  // text that happens to begin so
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned length = 0;
  if (EVP_Digest(stored.data() + kHead, stored.size() - kHead, digest, &length, EVP_md5(),
                 nullptr) != 1)
    return fail(Fault::bug, "internal error", "MD5");
  std::string raw;
  for (unsigned i = 0; i < length; i++) raw += static_cast<char>(digest[i]);
  if (to_hex(raw) != std::string_view(stored).substr(4, 32))
    return fail(Fault::syntax, "the checksum is wrong");
  return stored.substr(kHead);
}

Result<std::unique_ptr<MailSource>> open_ruby_rims(std::string path, const std::string& user) {
  while (path.size() > 1 && path.ends_with('/')) path.pop_back();
  if (!open_file(path + "/meta.gdbm")) {
    const std::string id = unique_user_id(user);
    const std::string below = "/mailbox.2/" + id.substr(0, 2) + "/" + id.substr(2);
    if (!is_directory(path + below))
      return fail(Fault::not_found, path + ": neither meta.gdbm nor " + below.substr(1) +
                                        " is here, which is where " + user + "'s mail would be");
    path += below;
  }
  return std::make_unique<RubyRims>(std::move(path));
}

}  // namespace rims::cli
