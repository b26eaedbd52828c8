// cli/formats/dbox_files.cc - reading sdbox and mdbox

#include "cli/formats/dbox_files.h"

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <map>
#include <optional>
#include <set>
#include <sys/stat.h>
#include <tuple>
#include <unistd.h>
#include <unordered_map>
#include <unordered_set>
#include <utility>

#include <fmt/format.h>

#include "cli/formats/compressed.h"
#include "cli/formats/date_in_message.h"
#include "cli/formats/dbox.h"
#include "cli/formats/dovecot_index.h"
#include "cli/formats/files.h"
#include "cli/formats/maildir_names.h"
#include "common/base/encoding.h"
#include "common/base/errno_text.h"
#include "common/imap/mailbox_name.h"
#include "deliver/intake.h"

namespace rims::cli {
namespace {

constexpr uint64_t kMostBytes = uint64_t{1} << 30;  // of a message, and of an index
constexpr const char* kMails = "/dbox-Mails";
constexpr const char* kAltLink = "dbox-alt-root";

// The number in "u.7" or "m.12"; 0: it is another name.
uint32_t number_in(std::string_view name, std::string_view prefix) {
  if (!name.starts_with(prefix)) return 0;
  name.remove_prefix(prefix.size());
  uint32_t n = 0;
  const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), n);
  return error == std::errc() && end == name.data() + name.size() && name.front() != '0' ? n : 0;
}

DovecotIndexFiles read_index_files(const std::string& directory, const std::string& name,
                                   const Remarks& remarks) {
  // In this order: when Dovecot makes a new log meanwhile, nothing is missing between them.
  DovecotIndexFiles files{.name = name};
  const std::pair<const char*, std::optional<std::string>*> kParts[] = {
      {"", &files.index}, {".log", &files.log}, {".log.2", &files.older_log}};
  for (const auto& [suffix, into] : kParts) {
    const std::string path = fmt::format("{}/{}{}", directory, name, suffix);
    auto bytes = read_file(path, kMostBytes);
    if (bytes)
      *into = *std::move(bytes);
    else if (bytes.error().fault() != Fault::not_found)
      remarks.not_taken(path, bytes.error().detail());
  }
  return files;
}

// A file with messages.
class DboxFile {
 public:
  Status open(const std::string& path) {
    *this = DboxFile();
    TRY(fd_, open_file(path));
    struct stat st{};
    if (fstat(fd_.get(), &st) != 0)
      return fail(Fault::storage, path + ": " + std::string(errno_text(errno)));
    size_ = static_cast<uint64_t>(st.st_size);
    time_ = st.st_mtim.tv_sec;
    TRY(const auto start, read(0, std::min<uint64_t>(size_, kMaxDboxFileHeader)));
    TRY(header_, parse_dbox_file_header(start));
    path_ = path;
    return {};
  }
  [[nodiscard]] const std::string& path() const { return path_; }
  [[nodiscard]] uint64_t size() const { return size_; }
  [[nodiscard]] int64_t time() const { return time_; }
  [[nodiscard]] const DboxFileHeader& header() const { return header_; }
  // Where something stands that looks like a message.
  [[nodiscard]] Result<uint64_t> find(uint64_t from) const {
    constexpr uint64_t kPiece = uint64_t{1} << 20;
    while (from < size_) {
      const uint64_t length = std::min(kPiece + header_.message_header, size_ - from);
      TRY(const auto bytes, read(from, length));
      const size_t at = find_dbox_message(bytes, 0, header_.message_header);
      if (at != bytes.npos) return from + at;
      from += std::min(kPiece, size_ - from);
    }
    return size_;
  }

  struct Record {
    uint64_t body = 0, body_size = 0, end = 0;
    DboxMetadata data;
  };
  [[nodiscard]] Result<Record> record(uint64_t offset) const {
    if (offset >= size_ || size_ - offset < header_.message_header)
      return fail(Fault::syntax, "it ends before");
    TRY(const auto head, read(offset, header_.message_header));
    Record record{.body = offset + header_.message_header};
    TRY(record.body_size, parse_dbox_message_header(head));
    if (record.body_size > size_ - record.body)
      return fail(Fault::syntax, fmt::format("the message has {} bytes, and only {} are there",
                                             record.body_size, size_ - record.body));
    if (record.body_size > kMostBytes)
      return fail(Fault::limit, fmt::format("the message has {} bytes", record.body_size));
    const uint64_t behind = record.body + record.body_size;
    for (uint64_t window = 4096;; window *= 16) {
      const uint64_t length = std::min(window, size_ - behind);
      TRY(const auto bytes, read(behind, length));
      auto data = parse_dbox_metadata(bytes);
      if (!data && length == window && window < kMaxDboxMetadata) continue;
      if (!data) return std::unexpected(data.error());
      record.data = *std::move(data);
      record.end = behind + record.data.size;
      return record;
    }
  }
  [[nodiscard]] Result<std::string> message(const Record& record) const {
    if (record.data.external)
      return fail(Fault::refused,
                  "its attachments are kept outside (Dovecot's mail_attachment_dir); let Dovecot, "
                  "which can put them together, make a Maildir of it: doveadm backup");
    TRY(auto bytes, read(record.body, record.body_size));
    return unpack_dovecot_mail(std::move(bytes), record.data.plain_size.value_or(record.body_size));
  }

 private:
  [[nodiscard]] Result<std::string> read(uint64_t offset, uint64_t size) const {
    std::string bytes(size, '\0');
    for (size_t done = 0; done < size;) {
      const ssize_t n =
          pread(fd_.get(), bytes.data() + done, size - done, static_cast<off_t>(offset + done));
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) return fail(Fault::storage, std::string(errno_text(errno)));
      if (n == 0) return fail(Fault::syntax, "it has become shorter meanwhile");
      done += static_cast<size_t>(n);
    }
    return bytes;
  }

  Fd fd_;
  std::string path_;
  uint64_t size_ = 0;
  int64_t time_ = 0;
  DboxFileHeader header_;
};

// What both kinds have in common: the tree of mailboxes and their indexes.
class Dbox : public MailSource {
 public:
  Dbox(std::string root, std::string alt) : root_(std::move(root)), alt_(std::move(alt)) {}

  std::vector<std::string> subscriptions(const Remarks& remarks) override {
    const auto text = read_file(root_ + "/subscriptions", kMostBytes);
    if (text) return parse_dovecot_subscriptions(*text, '/');
    if (text.error().fault() != Fault::not_found)
      remarks.not_taken(root_ + "/subscriptions", text.error().detail());
    return {};
  }

 protected:
  // A mailbox that Dovecot's index describes, whole or in part.
  struct Indexed {
    std::optional<DovecotIndex> index;  // none: it can not be read
    bool whole = false;
  };

  Status look_into(const std::string& directory, const std::string& mailbox, unsigned depth,
                   std::vector<FoundMailbox>& found, const Remarks& remarks) {
    if (depth > imap::kMaxMailboxDepth) {
      remarks.not_taken(directory, "too many levels");
      return {};
    }
    const auto names = list_directory(directory);
    if (!names) {
      if (depth == 0) return std::unexpected(names.error());
      remarks.not_taken(directory, names.error().detail());
      return {};
    }
    for (const auto& name : *names) {
      const std::string path = fmt::format("{}/{}", directory, name);
      if (is_link(path)) {
        remarks.not_taken(path, "a symbolic link; import its target separately");
        continue;
      }
      if (!is_directory(path) || fmt::format("/{}", name) == kMails) continue;
      if (name.contains(".DOVECOT-TRASHED")) {
        remarks.note(path, "a mailbox that Dovecot has deleted; it is left out");
        continue;
      }
      if (depth == 0 && from_hex(name).value_or("").size() == 16)
        remarks.note(path,
                     "its name is only in Dovecot's list of mailboxes (LAYOUT=index); Dovecot "
                     "can make a Maildir with it: doveadm backup");
      const std::string level = imap::from_modified_utf7(name).value_or(name);
      const std::string whole = mailbox.empty() ? level : mailbox + "/" + level;
      if (is_directory(path + kMails)) describe(whole, path + kMails, found, remarks);
      TRY_STATUS(look_into(path, whole, depth + 1, found, remarks));
    }
    return {};
  }

  // A second look at what describe() has already reported.
  Indexed indexed(const std::string& where) const {
    static const Remarks kSilent{.not_taken = [](const std::string&, const std::string&) {},
                                 .note = [](const std::string&, const std::string&) {}};
    auto index = read_dovecot_index(read_index_files(where, "dovecot.index", kSilent));
    if (!index) return {};
    const bool whole = index->gaps.empty();
    return {.index = *std::move(index), .whole = whole};
  }

  // What becomes of a mailbox whose index can not be read, or not to its end.
  [[nodiscard]] virtual std::string without_index() const = 0;
  [[nodiscard]] virtual std::string with_gaps() const = 0;
  virtual void known(const FoundMailbox& mailbox, const Result<DovecotIndex>& index) = 0;

  static std::vector<std::string> keywords_of(const DovecotIndex& index, const DovecotMessage& m) {
    std::vector<std::string> names;
    for (const auto which : m.keywords) {
      if (which < index.keywords.size() && !index.keywords[which].empty())
        names.push_back(index.keywords[which]);
    }
    return names;
  }
  static void date(FoundMessage& m, const DboxFile& file, const DboxFile::Record& record) {
    if (record.data.received) {
      m.date = *record.data.received;
      return;
    }
    const auto text = file.message(record);
    const auto other = date_in_message(text ? *text : std::string(), file.time());
    m.date = other.seconds;
    m.zone = other.zone;
  }
  [[nodiscard]] std::string where_else() const {
    if (!alt_.empty()) return "";
    if (is_link(root_ + "/" + kAltLink))
      return "; Dovecot has an alternate storage, to which " + root_ + "/" + kAltLink +
             " leads: name it with --alt";
    return "; if Dovecot has an alternate storage (ALT=), name it with --alt";
  }

  const std::string root_, alt_;

 private:
  void describe(const std::string& name, const std::string& where, std::vector<FoundMailbox>& found,
                const Remarks& remarks) {
    FoundMailbox mailbox{.name = imap::canonical_inbox(name), .where = where};
    const auto index = read_dovecot_index(read_index_files(where, "dovecot.index", remarks));
    if (index && index->deleted) {
      remarks.note(where, "Dovecot was deleting this mailbox; it is left out");
      return;
    }
    if (index) {
      mailbox.uidvalidity = index->uidvalidity;
      mailbox.uidnext = index->uidnext;
      for (const auto& gap : index->gaps) remarks.not_taken(where, gap + "; " + with_gaps());
    } else {
      remarks.not_taken(where, index.error().detail() + "; " + without_index());
    }
    known(mailbox, index);
    found.push_back(std::move(mailbox));
  }
};

class Sdbox final : public Dbox {
 public:
  using Dbox::Dbox;

  Result<std::vector<FoundMailbox>> mailboxes(const Remarks& remarks) override {
    std::vector<FoundMailbox> found;
    TRY_STATUS(look_into(root_ + "/mailboxes", "", 0, found, remarks));
    return found;
  }

  Result<std::vector<FoundMessage>> messages(const FoundMailbox& mailbox,
                                             const Remarks& remarks) override {
    std::map<uint32_t, std::string> files;  // path by UID
    const std::string primary = mailbox.where;
    for (const auto& directory : {primary, elsewhere(primary)}) {
      if (directory.empty()) continue;
      const auto names = list_directory(directory);
      if (!names && names.error().fault() != Fault::not_found)
        remarks.not_taken(directory, names.error().detail());
      if (!names) continue;
      for (const auto& name : *names) {
        if (const uint32_t uid = number_in(name, "u."); uid != 0)
          files.try_emplace(uid, fmt::format("{}/{}", directory, name));
      }
    }
    const auto [index, whole] = indexed(mailbox.where);
    std::vector<FoundMessage> found;
    if (index) {
      for (const auto& e : index->messages) {
        FoundMessage m{.uid = e.uid, .flags = e.flags, .keywords = keywords_of(*index, e)};
        const auto file = files.find(e.uid);
        m.where = file != files.end() ? file->second : fmt::format("{}/u.{}", primary, e.uid);
        add(std::move(m), e.uid, found);
        if (file != files.end()) files.erase(file);
      }
    }
    if (index && whole) {
      if (!files.empty())
        remarks.note(mailbox.where,
                     fmt::format("{} files of messages are in no index, as {}; they are left out",
                                 files.size(), files.begin()->second));
      return found;
    }
    // What the index does not know: it may know too little.
    for (const auto& [uid, path] : files) {
      FoundMessage m{.where = path, .uid = index ? uid : 0};
      add(std::move(m), uid, found);
    }
    if (index) std::ranges::sort(found, {}, &FoundMessage::uid);
    return found;
  }

  Result<std::string> read(const FoundMailbox& /*mailbox*/, const FoundMessage& m) override {
    DboxFile file;
    if (const Status open = file.open(m.where); !open) {
      if (open.error().fault() == Fault::not_found)
        return fail(Fault::not_found, "the file is not there" + where_else());
      return std::unexpected(open.error());
    }
    TRY(const auto record, file.record(file.header().size));
    TRY(auto bytes, file.message(record));
    return deliver::wire_lines(std::move(bytes));
  }

 protected:
  [[nodiscard]] std::string without_index() const override {
    return "its messages are taken without flags and keywords, with new UIDs, and those that were "
           "expunged at the last may be among them";
  }
  [[nodiscard]] std::string with_gaps() const override {
    return "messages after that are taken without flags and keywords";
  }
  void known(const FoundMailbox& /*mailbox*/, const Result<DovecotIndex>& /*index*/) override {}

 private:
  // The same directory in the alternate storage.
  [[nodiscard]] std::string elsewhere(const std::string& directory) const {
    return alt_.empty() ? "" : alt_ + directory.substr(root_.size());
  }
  static void add(FoundMessage m, uint32_t uid, std::vector<FoundMessage>& found) {
    m.key = fmt::format("u.{}", uid);
    DboxFile file;
    if (file.open(m.where)) {
      if (const auto record = file.record(file.header().size)) date(m, file, *record);
    }  // else read() says so
    found.push_back(std::move(m));
  }
};

class Mdbox final : public Dbox {
 public:
  using Dbox::Dbox;

  Result<std::vector<FoundMailbox>> mailboxes(const Remarks& remarks) override {
    // The map first: what a mailbox refers to is then in it, or new.
    map_ = read_map(remarks, /*tell=*/true);
    std::vector<FoundMailbox> found;
    if (is_directory(root_ + "/mailboxes")) {
      TRY_STATUS(look_into(root_ + "/mailboxes", "", 0, found, remarks));
    }
    if (unknown_.empty() && !found.empty()) {
      tell_unused(remarks);
      return found;
    }
    // Mailboxes whose index is lost, and those of which nothing else is left.
    TRY_STATUS(walk(remarks));
    std::set<std::string> names;
    for (const auto& mailbox : found) names.insert(mailbox.name);
    for (const auto& record : records_) {
      if (!is_lost(record)) continue;
      std::string name = imap::canonical_inbox(record.mailbox.empty() ? "INBOX" : record.mailbox);
      if (unknown_.contains(name) || !names.contains(name)) lost_[name].push_back(&record);
    }
    tell_unreadable(remarks);
    for (const auto& [name, records] : lost_) {
      if (names.contains(name)) continue;
      const std::string where = root_ + "/storage";
      remarks.not_taken(where,
                        fmt::format("the mailbox {} has no index; {}", name, without_index()));
      found.push_back({.name = name, .where = where});
    }
    return found;
  }

  Result<std::vector<FoundMessage>> messages(const FoundMailbox& mailbox,
                                             const Remarks& remarks) override {
    std::vector<FoundMessage> found;
    if (mailbox.where != root_ + "/storage") {
      if (const auto index = indexed(mailbox.where).index) {
        for (const auto& e : index->messages) {
          FoundMessage m{.key = fmt::format("{}", e.uid),
                         .uid = e.uid,
                         .flags = e.flags,
                         .keywords = keywords_of(*index, e)};
          TRY(const auto place, place_of(*index, e, remarks));
          if (place) fill(m, *place);
          if (!place) m.where = fmt::format("{} (UID {})", mailbox.where, e.uid);
          found.push_back(std::move(m));
        }
      }
    }
    if (const auto lost = lost_.find(mailbox.name); lost != lost_.end()) {
      for (const auto* record : lost->second) {
        FoundMessage m;
        fill(m, record->place);
        m.key = record->guid.empty() ? m.where : "guid " + record->guid;
        found.push_back(std::move(m));
      }
    }
    return found;
  }

  Result<std::string> read(const FoundMailbox& /*mailbox*/, const FoundMessage& m) override {
    if (m.length == 0)
      return fail(Fault::not_found, "where it is in the storage is not known" + where_else());
    if (const Status open = open_storage(static_cast<uint32_t>(m.length)); !open) {
      if (open.error().fault() == Fault::not_found)
        return fail(Fault::not_found,
                    "the file is not there; if Dovecot has moved the message meanwhile, run the "
                    "import again" +
                        where_else());
      return std::unexpected(open.error());
    }
    TRY(const auto record, file_.record(m.offset));
    TRY(auto bytes, file_.message(record));
    return deliver::wire_lines(std::move(bytes));
  }

 protected:
  [[nodiscard]] std::string without_index() const override {
    return "those messages that were stored in it first, and that no other mailbox holds, are "
           "taken "
           "without flags and keywords, with new UIDs";
  }
  [[nodiscard]] std::string with_gaps() const override {
    return "messages after that are taken without flags and keywords, with new UIDs";
  }
  void known(const FoundMailbox& mailbox, const Result<DovecotIndex>& index) override {
    if (!index || !index->gaps.empty()) unknown_.insert(mailbox.name);
    if (!index) return;
    for (const auto& m : index->messages) {
      if (uses_map(*index)) referenced_.insert(m.map_uid);
      if (const auto guid = guid_of(m); !guid.empty()) guids_.insert(guid);
    }
  }

 private:
  struct Place {
    uint32_t file = 0;
    uint64_t offset = 0;
    auto operator<=>(const Place&) const = default;
  };
  struct Record {
    Place place;
    std::string guid, mailbox;
  };
  struct Map {
    bool there = false, whole = false;
    uint32_t uidvalidity = 0;
    struct Entry {
      Place place;
      uint32_t references = 0;
    };
    std::unordered_map<uint32_t, Entry> by_uid;
  };

  Map read_map(const Remarks& remarks, bool tell) const {
    Map map;
    const std::string where = root_ + "/storage";
    const auto index = read_dovecot_index(read_index_files(where, "dovecot.map.index", remarks));
    constexpr const char* kInstead =
        "; messages are found by their names (GUIDs) where the mailboxes know these";
    if (!index) {
      if (tell) remarks.not_taken(where, index.error().detail() + kInstead);
      return map;
    }
    for (const auto& gap : index->gaps)
      if (tell) remarks.not_taken(where, gap + kInstead);
    map.there = true;
    map.whole = index->gaps.empty();
    map.uidvalidity = index->uidvalidity;
    for (const auto& m : index->messages)
      map.by_uid[m.uid] = {.place = {.file = m.file, .offset = m.offset},
                           .references = m.references};
    return map;
  }
  [[nodiscard]] bool uses_map(const DovecotIndex& index) const {
    return map_.there && index.map_uidvalidity == map_.uidvalidity;
  }
  static std::string guid_of(const DovecotMessage& m) {
    if (std::ranges::all_of(m.guid, [](uint8_t byte) { return byte == 0; })) return "";
    return to_hex(std::string(m.guid.begin(), m.guid.end()));
  }

  void tell_unused(const Remarks& remarks) const {
    const auto unused = std::ranges::count_if(map_.by_uid, [this](const auto& entry) {
      return entry.second.references > 0 && !referenced_.contains(entry.first);
    });
    if (unused > 0)
      remarks.note(root_ + "/storage",
                   fmt::format("{} messages are in no mailbox, so they are left out; `doveadm "
                               "force-resync` puts such messages back",
                               unused));
  }

  // Messages of the map that no index names and that are not where they should be: of a file that
  // was cut, or is gone, a walk sees at most the first one.
  void tell_unreadable(const Remarks& remarks) const {
    std::set<Place> seen = broken_;
    for (const auto& record : records_) seen.insert(record.place);
    const auto gone = std::ranges::count_if(map_.by_uid, [&](const auto& entry) {
      return entry.second.references > 0 && !referenced_.contains(entry.first) &&
             !seen.contains(entry.second.place);
    });
    if (gone > 0)
      remarks.not_taken(root_ + "/storage",
                        fmt::format("{} messages more are lost: files of the storage were cut, or "
                                    "are gone; no index says in which mailboxes they were",
                                    gone));
  }

  // Is it in no mailbox whose index was read, and not expunged?
  [[nodiscard]] bool is_lost(const Record& record) {
    for (const auto& name : index_names(record.guid))
      if (guids_.contains(name)) return false;
    if (!map_.there) return true;
    if (uids_.empty()) {
      for (const auto& [uid, entry] : map_.by_uid) uids_.emplace(entry.place, uid);
    }
    const auto uid = uids_.find(record.place);
    if (uid == uids_.end()) return !map_.whole;
    return map_.by_uid.at(uid->second).references > 0 && !referenced_.contains(uid->second);
  }

  [[nodiscard]] std::vector<std::string> storages() const {
    std::vector<std::string> all{root_ + "/storage"};
    if (!alt_.empty()) all.push_back(alt_ + "/storage");
    return all;
  }
  Status open_storage(uint32_t file) {
    Status last = fail(Fault::not_found, "no storage");
    for (const auto& directory : storages()) {
      const std::string path = fmt::format("{}/m.{}", directory, file);
      if (file_.path() == path) return {};
      last = file_.open(path);
      if (last || last.error().fault() != Fault::not_found) return last;
    }
    return last;
  }

  // All messages of the storage, once.
  Status walk(const Remarks& remarks) {
    if (std::exchange(walked_, true)) return {};
    std::set<uint32_t> files;
    for (const auto& directory : storages()) {
      const auto names = list_directory(directory);
      if (!names && names.error().fault() == Fault::not_found) continue;
      if (!names) return std::unexpected(names.error());
      for (const auto& name : *names) {
        if (const uint32_t file = number_in(name, "m."); file != 0) files.insert(file);
      }
    }
    std::unordered_set<std::string> seen;
    for (const uint32_t file : files) {
      if (const Status open = open_storage(file); !open) {
        remarks.not_taken(fmt::format("{}/storage/m.{}", root_, file), open.error().detail());
        continue;
      }
      for (uint64_t at = file_.header().size; at < file_.size();) {
        const auto record = file_.record(at);
        if (!record) {
          remarks.not_taken(fmt::format("{} at offset {}", file_.path(), at),
                            record.error().detail());
          broken_.insert({.file = file, .offset = at});
          TRY(at, file_.find(at + 1));
          continue;
        }
        // Dovecot may have been stopped while it moved a message: then it is there twice.
        const auto& data = record->data;
        if (data.guid.empty() || seen.insert(data.guid).second)
          records_.push_back(
              {.place = {.file = file, .offset = at}, .guid = data.guid, .mailbox = data.mailbox});
        at = record->end;
      }
    }
    for (const auto& record : records_) {
      for (auto& name : index_names(record.guid)) by_guid_.emplace(std::move(name), record.place);
    }
    return {};
  }

  Result<std::optional<Place>> place_of(const DovecotIndex& index, const DovecotMessage& m,
                                        const Remarks& remarks) {
    const std::string guid = guid_of(m);
    if (uses_map(index)) {
      auto there = map_.by_uid.find(m.map_uid);
      if (there == map_.by_uid.end() && !std::exchange(map_read_again_, true)) {
        auto now = read_map(remarks, /*tell=*/false);
        if (now.there && now.uidvalidity == map_.uidvalidity) map_ = std::move(now);
        there = map_.by_uid.find(m.map_uid);
      }
      if (there != map_.by_uid.end()) {
        // Is it the same message? Else the map is of another time.
        const Place place = there->second.place;
        if (guid.empty() || !open_storage(place.file)) return place;
        const auto record = file_.record(place.offset);
        if (!record) return place;  // read() says so
        const auto names = index_names(record->data.guid);
        if (names.empty() || std::ranges::find(names, guid) != names.end()) return place;
      }
    }
    if (guid.empty()) return std::nullopt;
    TRY_STATUS(walk(remarks));
    const auto there = by_guid_.find(guid);
    if (there == by_guid_.end()) return std::nullopt;
    return there->second;
  }

  void fill(FoundMessage& m, Place place) {
    m.offset = place.offset;
    m.length = place.file;
    m.where = fmt::format("{}/storage/m.{} at offset {}", root_, place.file, place.offset);
    if (!open_storage(place.file)) return;  // read() says so
    m.where = fmt::format("{} at offset {}", file_.path(), place.offset);
    if (const auto record = file_.record(place.offset)) date(m, file_, *record);
  }

  Map map_;
  bool map_read_again_ = false, walked_ = false;
  std::set<std::string> unknown_;            // mailboxes whose index is not whole
  std::unordered_set<uint32_t> referenced_;  // UIDs of the map
  std::unordered_set<std::string> guids_;    // of messages that mailboxes hold
  std::map<Place, uint32_t> uids_;           // of the map
  std::vector<Record> records_;
  std::set<Place> broken_;  // where a walk has found no whole message
  std::unordered_map<std::string, Place> by_guid_;
  std::map<std::string, std::vector<const Record*>> lost_;  // by mailbox
  DboxFile file_;                                           // the one that was read last
};

// Which of them it is; none: neither.
std::optional<DboxKind> kind_of(const std::string& root) {
  if (is_directory(root + "/storage")) return DboxKind::mdbox;
  if (is_directory(root + "/mailboxes")) return DboxKind::sdbox;
  return std::nullopt;
}

}  // namespace

bool is_dbox(const std::string& root) { return kind_of(root).has_value(); }

std::optional<DboxKind> dbox_kind(const std::string& root) {
  const auto has = [&](const std::string& directory, const auto& is_of_it) {
    const auto names = list_directory(root + directory);
    return names && std::ranges::any_of(*names, is_of_it);
  };
  if (has("/storage", [](const std::string& name) {
        return number_in(name, "m.") != 0 || name.starts_with("dovecot.map.index");
      }))
    return DboxKind::mdbox;
  if (has("/mailboxes", [&](const std::string& name) {
        return is_directory(fmt::format("{}/mailboxes/{}{}", root, name, kMails));
      }))
    return DboxKind::sdbox;
  return std::nullopt;
}

Result<std::unique_ptr<MailSource>> open_dbox(DboxKind kind, std::string root, std::string alt) {
  for (auto* path : {&root, &alt}) {
    while (path->size() > 1 && path->ends_with('/')) path->pop_back();
    if (path->empty()) continue;
    TRY([[maybe_unused]] const auto names, list_directory(*path));  // or why that is not possible
  }
  const auto there = kind_of(root);
  if (!there)
    return fail(Fault::not_found,
                root + ": neither sdbox nor mdbox is here (the directory `mailboxes` is missing)");
  if (*there != kind)
    return fail(Fault::refused, fmt::format("{}: this is {}: say --from {}", root,
                                            *there == DboxKind::mdbox ? "mdbox" : "sdbox",
                                            *there == DboxKind::mdbox ? "mdbox" : "sdbox"));
  if (kind == DboxKind::mdbox) return std::make_unique<Mdbox>(std::move(root), std::move(alt));
  return std::make_unique<Sdbox>(std::move(root), std::move(alt));
}

}  // namespace rims::cli
