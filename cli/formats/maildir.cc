// cli/formats/maildir.cc - reading and writing Maildirs

#include "cli/formats/maildir.h"

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstdio>
#include <initializer_list>
#include <map>
#include <sys/stat.h>
#include <tuple>
#include <unordered_set>

#include <fmt/format.h>

#include "cli/formats/compressed.h"
#include "cli/formats/dbox_files.h"
#include "cli/formats/files.h"
#include "common/base/errno_text.h"
#include "common/imap/mailbox_name.h"
#include "deliver/intake.h"

namespace rims::cli {
namespace {

constexpr uint64_t kMostBytes = uint64_t{1} << 30;  // of a message, and of Dovecot's files

class Maildir final : public MailSource {
 public:
  explicit Maildir(std::string root) : root_(std::move(root)) {}

  Result<std::vector<FoundMailbox>> mailboxes(const Remarks& remarks) override {
    TRY(const auto names, list_directory(root_));
    std::vector<FoundMailbox> found;
    if (is_maildir(root_)) found.push_back(describe("INBOX", root_, remarks));
    // Else it may be a directory of many users, whose mail must not become that of one.
    const bool is_root = !found.empty() || has_list(root_) || is_maildir(root_ + "/INBOX");
    for (const auto& name : names) {
      const std::string path = root_ + "/" + name;
      if (is_link(path)) remarks.not_taken(path, "a symbolic link; import its target separately");
      if (name == "cur" || name == "new" || name == "tmp") continue;
      const auto folder = folder_from_directory(name);
      if (folder && is_maildir(path))
        found.push_back(describe(*folder, path, remarks));
      else if (is_root && !name.starts_with('.'))
        look_into(path, level_of(name), 1, found, remarks);
      else if (is_maildir(path))
        remarks.not_taken(path, is_root
                                    ? "a Maildir whose name is not that of a folder; import it "
                                      "separately"
                                    : "a Maildir, but what it is in is none; import it separately");
    }
    if (found.empty() && is_dbox(root_))
      return fail(Fault::not_found,
                  root_ + ": this is no Maildir, but sdbox or mdbox: say --from sdbox or mdbox");
    if (found.empty())
      return fail(Fault::not_found, root_ + ": no Maildir is here (cur and new are missing)");
    return found;
  }

  std::vector<std::string> subscriptions(const Remarks& remarks) override {
    const auto text = read_file(root_ + "/subscriptions", kMostBytes);
    if (text) return parse_dovecot_subscriptions(*text, '.');
    if (text.error().fault() == Fault::not_found)
      if (const auto courier = read_file(root_ + "/courierimapsubscribed", kMostBytes)) {
        auto names = parse_dovecot_subscriptions(*courier, '.');
        for (auto& name : names) {
          // Courier's names begin with "INBOX.".
          if (name.starts_with("INBOX/")) name.erase(0, 6);
        }
        return names;
      }
    if (text.error().fault() != Fault::not_found)
      remarks.not_taken(root_ + "/subscriptions", text.error().detail());
    return {};
  }

  Result<std::vector<FoundMessage>> messages(const FoundMailbox& mailbox,
                                             const Remarks& remarks) override {
    DovecotUidlist list;
    if (mailbox.uidvalidity != 0) {
      const std::string path = uid_list_in(mailbox.where);
      TRY(const auto text, read_file(path, kMostBytes));
      TRY(list, parse_dovecot_uidlist(text));
      for (const auto& line : list.bad_lines)
        remarks.note(path, "a line is not understood: " + line.substr(0, 200));
    }
    MaildirKeywords keywords;
    if (const auto text = read_file(mailbox.where + "/dovecot-keywords", kMostBytes))
      keywords = parse_dovecot_keywords(*text);
    else if (text.error().fault() != Fault::not_found)
      remarks.not_taken(mailbox.where + "/dovecot-keywords", text.error().detail());

    CourierKeywords of_courier;
    if (const auto text = read_file(mailbox.where + "/courierimapkeywords/:list", kMostBytes))
      of_courier = parse_courier_keywords(*text);
    else if (text.error().fault() != Fault::not_found)
      remarks.not_taken(mailbox.where + "/courierimapkeywords/:list", text.error().detail());

    std::vector<FoundMessage> found;
    std::unordered_set<std::string> keys;
    std::map<char, size_t> unknown;
    for (const char* part : {"/cur", "/new"}) {
      const std::string directory = mailbox.where + part;
      const auto names = list_directory(directory);
      if (!names && names.error().fault() == Fault::refused) {
        remarks.not_taken(directory, names.error().detail());
        continue;
      }
      if (!names && names.error().fault() == Fault::not_found) continue;
      if (!names) return std::unexpected(names.error());
      for (const auto& name : *names) {
        if (name.starts_with(".")) continue;
        const std::string path = fmt::format("{}/{}", directory, name);
        const auto st = look_at(path);
        if (!st) {
          remarks.not_taken(path, std::string(errno_text(errno)));
          continue;
        }
        if (!S_ISREG(st->st_mode)) {
          remarks.not_taken(path, "not a regular file");
          continue;
        }
        auto parsed = parse_maildir_name(name, keywords);
        for (const char c : parsed.unknown) unknown[c]++;
        if (!keys.insert(parsed.base).second) {
          remarks.not_taken(path, "another file has the same name before its flags");
          continue;
        }
        FoundMessage m;
        if (const auto uid = list.uids.find(parsed.base); uid != list.uids.end())
          m.uid = uid->second;
        m.key = std::move(parsed.base);
        m.where = path;
        m.flags = parsed.flags;
        m.keywords = std::move(parsed.keywords);
        if (const auto words = of_courier.find(m.key); words != of_courier.end())
          m.keywords.insert(m.keywords.end(), words->second.begin(), words->second.end());
        m.date = st->st_mtim.tv_sec;
        m.zone = zone_in_maildir_name(m.key);
        m.length = static_cast<uint64_t>(st->st_size);
        found.push_back(std::move(m));
      }
    }
    for (const auto& [letter, count] : unknown)
      remarks.not_taken(mailbox.where,
                        fmt::format("the flag {} of {} messages has no meaning{}", letter, count,
                                    letter >= 'a' && letter <= 'z'
                                        ? ": it stands for a keyword that dovecot-keywords lacks"
                                        : ""));
    std::ranges::sort(found, [](const FoundMessage& a, const FoundMessage& b) {
      if ((a.uid == 0) != (b.uid == 0)) return b.uid == 0;
      return std::tie(a.uid, a.date, a.key) < std::tie(b.uid, b.date, b.key);
    });
    return found;
  }

  Result<std::string> read(const FoundMailbox& /*mailbox*/, const FoundMessage& m) override {
    auto bytes = read_file(m.where, kMostBytes);
    if (!bytes && bytes.error().fault() == Fault::not_found)
      return fail(Fault::not_found, "it was renamed meanwhile; run the import again");
    if (!bytes) return bytes;
    TRY(auto message, unpack_maildir_file(*std::move(bytes), m.key));
    return deliver::wire_lines(std::move(message));
  }

 private:
  static bool is_maildir(const std::string& path) {
    return is_directory(path + "/cur") || is_directory(path + "/new");
  }
  // What stands only beside INBOX.
  static bool has_list(const std::string& path) {
    return std::ranges::any_of(
        std::initializer_list<const char*>{"subscriptions", "courierimapsubscribed",
                                           "dovecot-uidvalidity"},
        [&](const char* name) { return look_at(fmt::format("{}/{}", path, name)).has_value(); });
  }
  static std::string level_of(const std::string& name) {
    return imap::from_modified_utf7(name).value_or(name);
  }

  // Folders in folders.
  static void look_into(const std::string& path, const std::string& mailbox, unsigned depth,
                        std::vector<FoundMailbox>& found, const Remarks& remarks) {
    if (!is_directory(path)) return;
    const auto names = list_directory(path);
    if (!names || depth > imap::kMaxMailboxDepth) {
      remarks.not_taken(path, names ? "too many levels" : names.error().detail());
      return;
    }
    if (has_list(path) || std::ranges::any_of(*names, [&](const std::string& name) {
          return name.starts_with('.') && is_maildir(path + "/" + name);
        })) {
      remarks.not_taken(path,
                        "a Maildir with folders or subscriptions of its own; import it "
                        "separately");
      return;
    }
    if (is_maildir(path)) found.push_back(describe(imap::canonical_inbox(mailbox), path, remarks));
    for (const auto& name : *names) {
      const std::string below = path + "/" + name;
      if (is_link(below)) remarks.not_taken(below, "a symbolic link; import its target separately");
      if (name == "cur" || name == "new" || name == "tmp") continue;
      look_into(below, mailbox + "/" + level_of(name), depth + 1, found, remarks);
    }
  }

  // Courier's has the form of Dovecot's first version.
  static std::string uid_list_in(const std::string& path) {
    const std::string own = path + "/dovecot-uidlist", courier = path + "/courierimapuiddb";
    return !look_at(own) && look_at(courier) ? courier : own;
  }

  static FoundMailbox describe(std::string name, const std::string& path, const Remarks& remarks) {
    FoundMailbox found;
    found.name = std::move(name);
    found.where = path;
    const std::string file = uid_list_in(path);
    const auto text = read_file(file, kMostBytes);
    if (!text) {
      if (text.error().fault() != Fault::not_found)
        remarks.not_taken(file, text.error().detail() + "; UIDs are new");
      return found;
    }
    const auto list = parse_dovecot_uidlist(*text);
    if (!list) {
      remarks.not_taken(file, list.error().detail() + "; UIDs are new");
      return found;
    }
    found.uidvalidity = list->uidvalidity;
    found.uidnext = list->uidnext;
    return found;
  }

  std::string root_;
};

}  // namespace

Result<std::unique_ptr<MailSource>> open_maildir(std::string root) {
  while (root.size() > 1 && root.ends_with('/')) root.pop_back();
  if (!is_directory(root)) return fail(Fault::not_found, root + ": no such directory");
  return std::make_unique<Maildir>(std::move(root));
}

Result<MaildirWriter> MaildirWriter::open(const std::string& root, const std::string& mailbox,
                                          uint32_t uidvalidity, MaildirKeywords letters) {
  MaildirWriter writer;
  writer.directory_ = mailbox == "INBOX" ? root : root + "/" + directory_of_folder(mailbox);
  writer.uidvalidity_ = uidvalidity;
  writer.letters_ = std::move(letters);
  const std::string& at = writer.directory_;
  const auto before = read_file(at + "/dovecot-uidlist", kMostBytes);
  if (before) {
    const auto list = parse_dovecot_uidlist(*before);
    if (!list || list->uidvalidity != uidvalidity)
      return fail(Fault::refused, at + ": another mailbox is here; choose an empty directory");
  } else if (before.error().fault() != Fault::not_found) {
    return std::unexpected(before.error());
  }
  for (const char* part : {"/tmp", "/new", "/cur"}) {
    TRY_STATUS(make_directories(at + part));
  }
  if (mailbox != "INBOX") {
    TRY_STATUS(write_file(at + "/maildirfolder", at + "/tmp/maildirfolder", ""));
  }
  const std::string ours = fmt::format(".R{}U", uidvalidity);
  TRY(const auto names, list_directory(at + "/cur"));
  for (const auto& name : names) {
    const size_t found = name.find(ours);
    uint32_t uid = 0;
    if (found == std::string::npos) continue;
    (void)std::from_chars(name.data() + found + ours.size(), name.data() + name.size(), uid);
    writer.there_[uid] = name;
  }
  return writer;
}

// The file name without sizes and flags.
std::string MaildirWriter::name_of(const MaildirMessage& m) const {
  return fmt::format("{}.R{}U{}{}.rims", m.date, uidvalidity_, m.uid,
                     m.zone == 0 ? "" : "Z" + zone_text(m.zone));
}

Result<bool> MaildirWriter::have(const MaildirMessage& m) {
  const auto found = there_.find(m.uid);
  if (found == there_.end()) return false;
  const auto parsed = parse_maildir_name(found->second);
  // After a power loss the file may be there without all of its bytes.
  const std::string path = directory_ + "/cur/" + found->second;
  const auto st = look_at(path);
  if (!st || !parsed.base.starts_with(name_of(m) + ",") ||
      size_in_maildir_name(parsed.base) != static_cast<uint64_t>(st->st_size))
    return false;
  const std::string wanted = parsed.base + maildir_info(m.flags, m.keywords, letters_);
  if (wanted != found->second) {
    TRY_STATUS(rename_file(path, directory_ + "/cur/" + wanted));
  }
  uidlist_ += fmt::format("{} :{}\n", m.uid, parsed.base);
  return true;
}

Status MaildirWriter::put(const MaildirMessage& m, std::string bytes) {
  const std::string local = local_lines(std::move(bytes));
  // The size with CRLF at the end of each line.
  size_t wire = local.size();
  for (size_t i = 0; i < local.size(); i++) {
    if (local[i] == '\n' && (i == 0 || local[i - 1] != '\r')) wire++;
  }
  const std::string base = fmt::format("{},S={},W={}", name_of(m), local.size(), wire);
  const std::string path =
      directory_ + "/cur/" + base + maildir_info(m.flags, m.keywords, letters_);
  TRY_STATUS(write_file(path, directory_ + "/tmp/" + base, local, m.date));
  // One that was not whole, or had another date.
  const auto before = there_.find(m.uid);
  if (before != there_.end() && directory_ + "/cur/" + before->second != path)
    remove_file(directory_ + "/cur/" + before->second);
  uidlist_ += fmt::format("{} :{}\n", m.uid, base);
  return {};
}

Status MaildirWriter::finish(uint32_t uidnext) {
  const std::string keywords = dovecot_keywords_text(letters_);
  if (!keywords.empty()) {
    TRY_STATUS(write_file_durably(directory_ + "/dovecot-keywords",
                                  directory_ + "/tmp/dovecot-keywords", keywords));
  }
  return write_file_durably(directory_ + "/dovecot-uidlist", directory_ + "/tmp/dovecot-uidlist",
                            fmt::format("3 V{} N{}\n", uidvalidity_, uidnext) + uidlist_);
}

}  // namespace rims::cli
