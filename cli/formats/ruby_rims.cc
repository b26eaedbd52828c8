// cli/formats/ruby_rims.cc - reading the GDBM files of the original RIMS

#include "cli/formats/ruby_rims.h"

#include <algorithm>
#include <charconv>
#include <map>
#include <set>

#include <fmt/format.h>
#include <gdbm.h>
#include <openssl/evp.h>

#include "cli/formats/files.h"
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

class Gdbm {
 public:
  static Result<Gdbm> open(const std::string& path) {
    TRY(Fd fd, open_file(path));
    Gdbm db;
    db.path_ = path;
    db.file_.reset(gdbm_fd_open(fd.get(), path.c_str(), 0, GDBM_READER, nullptr));
    if (db.file_) (void)fd.release();  // gdbm_close() closes it
    if (!db.file_)
      return fail(Fault::storage,
                  path + ": " + gdbm_strerror(gdbm_errno) +
                      (gdbm_errno == GDBM_CANT_BE_READER ? "; stop the old server" : ""));
    return db;
  }

  // nullopt: no such key.
  Result<std::optional<std::string>> get(std::string key) const {
    const datum found =
        gdbm_fetch(file_.get(), {.dptr = key.data(), .dsize = static_cast<int>(key.size())});
    if (!found.dptr) {
      if (gdbm_errno == GDBM_ITEM_NOT_FOUND) return std::nullopt;
      return fail(Fault::storage,
                  fmt::format("{}, key {}: {}", path_, key, gdbm_strerror(gdbm_errno)));
    }
    std::string stored(found.dptr, static_cast<size_t>(found.dsize));
    std::free(found.dptr);  // NOLINT: the library's memory
    auto value = ruby_value(std::move(stored));
    if (!value)
      return fail(Fault::storage,
                  fmt::format("{}, key {}: {}", path_, key, value.error().detail()));
    return *std::move(value);
  }

  Status each_key(const std::function<void(std::string)>& f) const {
    datum key = gdbm_firstkey(file_.get());
    while (key.dptr) {
      f(std::string(key.dptr, static_cast<size_t>(key.dsize)));
      const datum next = gdbm_nextkey(file_.get(), key);
      std::free(key.dptr);  // NOLINT: the library's memory
      key = next;
    }
    if (gdbm_errno != GDBM_ITEM_NOT_FOUND && gdbm_errno != GDBM_NO_ERROR)
      return fail(Fault::storage, path_ + ": " + gdbm_strerror(gdbm_errno));
    return {};
  }

  [[nodiscard]] const std::string& path() const { return path_; }

 private:
  struct Close {
    void operator()(GDBM_FILE file) const { gdbm_close(file); }
  };
  std::unique_ptr<gdbm_file_info, Close> file_;
  std::string path_;
};

class RubyRims final : public MailSource {
 public:
  RubyRims(std::string directory, Gdbm meta, Gdbm message)
      : directory_(std::move(directory)), meta_(std::move(meta)), message_(std::move(message)) {}

  Result<std::vector<FoundMailbox>> mailboxes(const Remarks& remarks) override {
    TRY(const auto dirty, meta_.get("dirty"));
    if (dirty)
      remarks.note(meta_.path(), "the old server did not close it in order, or still runs");
    TRY(const auto set, meta_.get("mbox_set"));
    if (!set) return fail(Fault::syntax, meta_.path() + ": no mailboxes are listed (mbox_set)");
    TRY_STATUS(find_places(remarks));
    std::vector<FoundMailbox> found;
    std::set<uint64_t> ids;
    for (const auto text : split(*set)) {
      const auto id = to_number(text);
      if (!id || *id == 0 || *id > UINT32_MAX) {
        remarks.not_taken(meta_.path(), fmt::format("mailbox number \"{}\"", text));
        continue;
      }
      ids.insert(*id);
    }
    for (const auto& [id, places] : places_) {
      if (!ids.insert(id).second) continue;
      remarks.note(meta_.path(), fmt::format("mailbox {} is in no list, but has messages", id));
    }
    for (const uint64_t id : ids) {
      FoundMailbox mailbox;
      const auto name = meta_.get(fmt::format("mbox_id2name-{}", id));
      if (!name) remarks.note(meta_.path(), name.error().detail());
      mailbox.name = name && *name && !(**name).empty() ? imap::canonical_inbox(**name)
                                                        : fmt::format("Recovered-{}", id);
      mailbox.where = fmt::format("{}/mailbox_{}.gdbm", directory_, id);
      mailbox.uidvalidity = static_cast<uint32_t>(id);
      if (const auto next = meta_.get(fmt::format("mbox_id2uid-{}", id)); next && *next)
        mailbox.uidnext = static_cast<uint32_t>(
            std::min<uint64_t>(to_number(**next).value_or(0), UINT32_MAX - 1));
      names_.push_back(mailbox.name);
      found.push_back(std::move(mailbox));
    }
    return found;
  }

  // The original has no subscriptions: its LSUB lists all mailboxes.
  std::vector<std::string> subscriptions(const Remarks& /*remarks*/) override { return names_; }

  Result<std::vector<FoundMessage>> messages(const FoundMailbox& mailbox,
                                             const Remarks& remarks) override {
    std::map<uint64_t, std::string> entries;  // "12" or "12,deleted" by uid
    if (const Status read = read_mailbox(mailbox, remarks, entries); !read) {
      remarks.note(mailbox.where,
                   read.error().detail() +
                       "; its messages are taken from meta.gdbm, where \\Deleted is missing");
      for (const auto& [uid, message] : places_[mailbox.uidvalidity])
        entries.emplace(uid, std::to_string(message));
    }
    std::vector<FoundMessage> found;
    for (const auto& [uid, entry] : entries) {
      const std::string where = fmt::format("{}, uid {}", mailbox.where, uid);
      const size_t comma = std::min(entry.find(','), entry.size());
      const auto id = to_number(std::string_view(entry).substr(0, comma));
      if (!id || uid == 0 || uid >= UINT32_MAX) {
        remarks.not_taken(where, "no message number: \"" + entry.substr(0, 40) + "\"");
        continue;
      }
      FoundMessage m;
      m.key = std::to_string(uid);
      m.where = fmt::format("{}, message {}", where, *id);
      m.uid = static_cast<uint32_t>(uid);
      m.offset = *id;
      if (entry.substr(comma) == ",deleted") m.flags |= store::kDeleted;
      attributes(m, remarks);
      found.push_back(std::move(m));
    }
    return found;
  }

  Result<std::string> read(const FoundMailbox& /*mailbox*/, const FoundMessage& m) override {
    TRY(auto text, message_.get(std::to_string(m.offset)));
    if (!text) return fail(Fault::not_found, message_.path() + " has no such message");
    return deliver::wire_lines(*std::move(text));
  }

 private:
  // Reads from meta.gdbm in which mailboxes each message is. A message that is in none is reported.
  Status find_places(const Remarks& remarks) {
    constexpr std::string_view kPlaces = "msg_id2mbox-";
    std::set<uint64_t> placed;
    std::vector<std::string> keys;
    TRY_STATUS(meta_.each_key([&](std::string key) {
      if (key.starts_with(kPlaces)) keys.push_back(std::move(key));
    }));
    for (const auto& key : keys) {
      const auto message = to_number(std::string_view(key).substr(kPlaces.size()));
      const auto value = meta_.get(key);
      const auto parsed = value && *value ? read_marshal(**value)
                                          : Result<MarshalRef>(fail(Fault::syntax, "no value"));
      if (!message || !value || !parsed || (*parsed)->kind != MarshalKind::hash) {
        remarks.note(meta_.path(), fmt::format("key {}: {}", key,
                                               !value    ? value.error().detail()
                                               : !parsed ? parsed.error().detail()
                                                         : std::string("no hash")));
        continue;
      }
      const auto& items = (*parsed)->items;
      for (size_t i = 0; i + 1 < items.size(); i += 2) {
        const auto uids = marshal_numbers(*items[i + 1]);
        if (items[i]->kind != MarshalKind::integer || items[i]->integer <= 0 ||
            items[i]->integer > UINT32_MAX || !uids)
          continue;
        for (const int64_t uid : *uids) {
          if (uid > 0)
            places_[static_cast<uint64_t>(items[i]->integer)].emplace(static_cast<uint64_t>(uid),
                                                                      *message);
        }
        if (!uids->empty()) placed.insert(*message);
      }
    }
    return message_.each_key([&](const std::string& key) {
      const auto id = to_number(key);
      if (!id || !placed.contains(*id))
        remarks.not_taken(message_.path() + ", key " + key, "a message that is in no mailbox");
    });
  }

  Status read_mailbox(const FoundMailbox& mailbox, const Remarks& remarks,
                      std::map<uint64_t, std::string>& entries) {
    auto db = Gdbm::open(mailbox.where);
    if (!db) {
      // A mailbox that never had a message has no file.
      if (db.error().fault() == Fault::not_found && !places_.contains(mailbox.uidvalidity))
        return {};
      return std::unexpected(db.error());
    }
    std::vector<std::string> keys;
    TRY_STATUS(db->each_key([&](std::string key) { keys.push_back(std::move(key)); }));
    for (auto& key : keys) {
      const auto uid = to_number(key);
      auto value = db->get(key);
      if (!uid || !value || !*value) {
        remarks.not_taken(mailbox.where + ", key " + key,
                          value ? "not a message" : value.error().detail());
        continue;
      }
      entries.emplace(*uid, **std::move(value));
    }
    return {};
  }

  void attributes(FoundMessage& m, const Remarks& remarks) const {
    const auto flags = meta_.get(fmt::format("msg_id2flag-{}", m.offset));
    if (!flags) remarks.not_taken(m.where, "its flags: " + flags.error().detail());
    if (flags && *flags) {
      for (const auto flag : split(**flags)) {
        if (flag == "seen") m.flags |= store::kSeen;
        if (flag == "answered") m.flags |= store::kAnswered;
        if (flag == "flagged") m.flags |= store::kFlagged;
        if (flag == "draft") m.flags |= store::kDraft;
      }
    }
    const auto date = meta_.get(fmt::format("msg_id2date-{}", m.offset));
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
    remarks.not_taken(m.where, "its date: " + why);
  }

  std::string directory_;
  Gdbm meta_, message_;
  std::map<uint64_t, std::map<uint64_t, uint64_t>> places_;  // mailbox, uid -> message
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
  TRY(auto meta, Gdbm::open(path + "/meta.gdbm"));
  TRY(auto message, Gdbm::open(path + "/message.gdbm"));
  return std::make_unique<RubyRims>(std::move(path), std::move(meta), std::move(message));
}

}  // namespace rims::cli
