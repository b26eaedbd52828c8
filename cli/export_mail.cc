// cli/export_mail.cc - the mail of an account as Maildirs or mbox files

#include "cli/export_mail.h"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <map>
#include <memory>
#include <optional>
#include <sys/stat.h>
#include <unistd.h>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "cli/formats/files.h"
#include "cli/formats/maildir.h"
#include "cli/formats/mbox.h"
#include "cli/formats/mbox_files.h"
#include "common/base/errno_text.h"
#include "common/base/json.h"

namespace rims::cli {
namespace {

// nullopt: `remarks` was told why.
std::optional<std::string> bytes_of(store::JournalReader& reader, const store::Folded& account,
                                    const store::Mailbox& mailbox, const store::MessageEntry& e,
                                    const Remarks& remarks) {
  const std::string where = fmt::format("{}, UID {}", mailbox.info().name, e.uid.value);
  const auto place = account.places.find(e.message);
  if (place == account.places.end()) {
    remarks.not_taken(where, "its record is lost");
    return std::nullopt;
  }
  auto bytes = reader.read(place->second, e.message, store::Part::message);
  if (bytes) return *std::move(bytes);
  if (bytes.error().fault() == Fault::not_found)
    remarks.note(where, "it was expunged meanwhile");
  else
    remarks.not_taken(where, bytes.error().detail());
  return std::nullopt;
}

std::vector<const store::Mailbox*> chosen(const store::Folded& account, const ExportJob& job) {
  std::vector<const store::Mailbox*> list;
  for (const auto& [name, id] : account.state.names()) {
    const auto mailbox = account.state.mailbox(id);
    if (mailbox && !mailbox->info().noselect && (job.mailbox.empty() || job.mailbox == name))
      list.push_back(mailbox.get());
  }
  return list;
}

// The keywords that are in use, and by how many messages.
std::vector<std::pair<std::string, size_t>> keywords_in_use(const store::Mailbox& mailbox) {
  std::vector<std::pair<std::string, size_t>> uses;
  for (const auto& name : mailbox.keywords().names()) uses.emplace_back(name, 0);
  for (const auto& e : mailbox.messages()) {
    for (const store::KeywordIndex index : mailbox.keywords().of(e.keywords)) uses[index].second++;
  }
  std::erase_if(uses, [](const auto& use) { return use.second == 0; });
  return uses;
}

// Letters for the keywords that are in use; 26 is all there are.
MaildirKeywords letters_for(const store::Mailbox& mailbox, const Remarks& remarks) {
  MaildirKeywords letters;
  size_t next = 0;
  for (const auto& [name, count] : keywords_in_use(mailbox)) {
    if (next < letters.size())
      letters[next++] = name;
    else
      remarks.not_taken(
          mailbox.info().name,
          fmt::format("the keyword {} of {} messages: a Maildir has room for {} keywords", name,
                      count, letters.size()));
  }
  return letters;
}

Status no_mailbox(const ExportJob& job) {
  return fail(Fault::not_found, "no mailbox " + job.mailbox + " is in the account");
}

struct CloseFile {
  void operator()(std::FILE* f) const { (void)std::fclose(f); }
};

// What mbox files were written: PATH/.rims-export.
class MboxLedger {
 public:
  static Result<MboxLedger> open(const std::string& directory) {
    MboxLedger ledger;
    ledger.path_ = directory + "/.rims-export";
    const auto text = read_file(ledger.path_, kMaxJson);
    if (!text && text.error().fault() == Fault::not_found) return ledger;
    if (!text) return std::unexpected(text.error());
    const auto parsed = parse_json(*text);
    if (!parsed)
      return fail(Fault::syntax,
                  ledger.path_ + ": " + parsed.error().detail() + "; choose an empty directory");
    for (const auto& [name, entry] : parsed->items())
      ledger.entries_[name] = {json_number(entry, "uidvalidity"), json_number(entry, "modseq"),
                               json_number(entry, "size")};
    return ledger;
  }
  [[nodiscard]] bool knows(const std::string& name) const { return entries_.contains(name); }
  [[nodiscard]] bool is_whole(const store::MailboxInfo& info, const std::string& path) const {
    const auto found = entries_.find(info.name);
    const auto st = look_at(path);
    return found != entries_.end() && st && found->second == entry_of(info, st->st_size);
  }
  Status note(const store::MailboxInfo& info, uint64_t size) {
    entries_[info.name] = entry_of(info, static_cast<int64_t>(size));
    Json all = Json::object();
    for (const auto& [name, entry] : entries_)
      all[name] = {
          {"uidvalidity", entry.uidvalidity}, {"modseq", entry.modseq}, {"size", entry.size}};
    return write_file_durably(path_, path_ + ".partial", json_text(all, true) + "\n");
  }

 private:
  struct Entry {
    int64_t uidvalidity = 0, modseq = 0, size = 0;
    bool operator==(const Entry&) const = default;
  };
  static Entry entry_of(const store::MailboxInfo& info, int64_t size) {
    return {info.uidvalidity.value, static_cast<int64_t>(info.highest_modseq.value), size};
  }
  std::string path_;
  std::map<std::string, Entry> entries_;
};

// Does this error of one mailbox hit those that follow as well?
bool is_of_all(const Error& error) {
  return error.system() == ENOSPC || error.system() == EDQUOT || error.system() == EROFS ||
         error.system() == EIO;
}

std::unexpected<Error> failed(const std::string& path, int error) {
  return std::unexpected(
      Error(Fault::storage, path + ": " + std::string(errno_text(error)), {}, {}, error));
}

// Writes `path` as a whole, under another name first.
Status write_mbox(store::JournalReader& reader, const store::Folded& account,
                  const store::Mailbox& mailbox, const std::string& path, const ExportJob& job,
                  const Remarks& remarks, Exported& done) {
  const std::string directory = path.substr(0, path.rfind('/'));
  TRY_STATUS(make_directories(directory));
  const std::string partial = directory + "/.rims-partial";  // no mailbox has such a file
  remove_file(partial);                                      // of a run that was interrupted
  TRY(Fd fd, create_file(partial));
  const std::unique_ptr<std::FILE, CloseFile> out(fdopen(fd.get(), "w"));
  if (!out) return failed(partial, errno);
  (void)fd.release();
  const auto& info = mailbox.info();
  uint64_t count = 0;
  Exported written;
  for (const auto& e : mailbox.messages()) {
    job.progress(info.name, count++, info.messages);
    auto bytes = bytes_of(reader, account, mailbox, e, remarks);
    if (!bytes) continue;
    MboxMessage m;
    m.bytes = local_lines(*std::move(bytes));
    m.flags = e.flags;
    m.keywords = mailbox.keywords_of(e);
    m.date = e.date;
    m.zone = e.zone;
    m.uid = e.uid.value;
    if (written.messages == 0) {
      m.uidvalidity = info.uidvalidity.value;
      m.last_uid = info.uidnext.value - 1;
      for (auto& [name, uses] : keywords_in_use(mailbox)) m.all_keywords.push_back(name);
    }
    const std::string text = mbox_text(m);
    if (std::fwrite(text.data(), 1, text.size(), out.get()) != text.size())
      return failed(partial, errno);
    written.messages++;
    written.bytes += e.size;
  }
  if (std::fflush(out.get()) != 0 || fdatasync(fileno(out.get())) != 0)
    return failed(partial, errno);
  if (const Status renamed = rename_file(partial, path); !renamed) {
    remove_file(partial);
    return renamed;
  }
  done.messages += written.messages;
  done.bytes += written.bytes;
  return {};
}

// Writes what is not there yet of one mailbox.
Status write_maildir(store::JournalReader& reader, const store::Folded& account,
                     const store::Mailbox& mailbox, const ExportJob& job, const Remarks& remarks,
                     Exported& done) {
  const auto& info = mailbox.info();
  TRY(auto writer, MaildirWriter::open(job.directory, info.name, info.uidvalidity.value,
                                       letters_for(mailbox, remarks)));
  if (info.name.find_first_of(".\\") != std::string::npos)
    remarks.note(
        info.name,
        fmt::format("a dot divides levels in the names of a Maildir's folders, so this one "
                    "is {}; Dovecot reads it as it was with its plugin listescape",
                    directory_of_folder(info.name)));
  uint64_t count = 0;
  for (const auto& e : mailbox.messages()) {
    job.progress(info.name, count++, info.messages);
    const MaildirMessage m{.uid = e.uid.value,
                           .flags = e.flags,
                           .keywords = mailbox.keywords_of(e),
                           .date = e.date,
                           .zone = e.zone};
    TRY(const bool have, writer.have(m));
    if (have) {
      done.before++;
      continue;
    }
    auto bytes = bytes_of(reader, account, mailbox, e, remarks);
    if (!bytes) continue;
    TRY_STATUS(writer.put(m, *std::move(bytes)));
    done.messages++;
    done.bytes += e.size;
  }
  return writer.finish(info.uidnext.value);
}

}  // namespace

Result<Exported> export_maildir(store::JournalReader& reader, const store::Folded& account,
                                const ExportJob& job, const Remarks& remarks) {
  Exported done;
  const auto mailboxes = chosen(account, job);
  if (mailboxes.empty()) return std::unexpected(no_mailbox(job).error());
  TRY_STATUS(make_directories(job.directory));
  for (const auto* mailbox : mailboxes) {
    if (const Status wrote = write_maildir(reader, account, *mailbox, job, remarks, done); wrote) {
      done.mailboxes++;
    } else {
      if (is_of_all(wrote.error())) return std::unexpected(wrote.error());
      remarks.not_taken(mailbox->info().name, wrote.error().detail());
    }
  }
  const auto& names = account.state.subscriptions();
  if (job.mailbox.empty()) {
    TRY_STATUS(write_file(job.directory + "/subscriptions",
                          job.directory + "/subscriptions.partial",
                          dovecot_subscriptions_text({names.begin(), names.end()})));
  }
  TRY_STATUS(sync_files(job.directory));
  return done;
}

Result<Exported> export_mbox(store::JournalReader& reader, const store::Folded& account,
                             const ExportJob& job, const Remarks& remarks) {
  Exported done;
  const auto mailboxes = chosen(account, job);
  if (mailboxes.empty()) return std::unexpected(no_mailbox(job).error());
  TRY_STATUS(make_directories(job.directory));
  TRY(auto ledger, MboxLedger::open(job.directory));
  for (const auto* mailbox : mailboxes) {
    const auto& info = mailbox->info();
    const std::string path = job.directory + "/" + mbox_path(info.name);
    const bool there = look_at(path).has_value();
    if (ledger.is_whole(info, path)) {
      done.before += info.messages;
      done.mailboxes++;
      continue;
    }
    if (there && !ledger.knows(info.name)) {
      remarks.not_taken(info.name, path + " is there already and is not overwritten");
      continue;
    }
    if (const Status wrote = write_mbox(reader, account, *mailbox, path, job, remarks, done);
        !wrote) {
      if (is_of_all(wrote.error())) return std::unexpected(wrote.error());
      remarks.not_taken(info.name, wrote.error().detail());
      continue;
    }
    const auto st = look_at(path);
    if (!st) return failed(path, errno);
    TRY_STATUS(ledger.note(info, static_cast<uint64_t>(st->st_size)));
    done.mailboxes++;
  }
  if (job.mailbox.empty()) {
    const auto& names = account.state.subscriptions();
    TRY_STATUS(write_file(job.directory + "/.subscriptions",
                          job.directory + "/.subscriptions.partial",
                          dovecot_subscriptions_text({names.begin(), names.end()})));
  }
  return done;
}

}  // namespace rims::cli
