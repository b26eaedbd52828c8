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

#include "cli/formats/files.h"
#include "cli/formats/maildir.h"
#include "cli/formats/mbox.h"
#include "cli/formats/mbox_files.h"
#include "common/base/errno_text.h"
#include "common/base/json.h"

namespace rims::cli {
namespace {

std::vector<std::string> keywords_of(const store::Mailbox& mailbox, const store::MessageEntry& e) {
  std::vector<std::string> list;
  for (size_t i = 0; i < mailbox.keywords().size(); i++) {
    if ((e.keywords >> i & 1) != 0) list.push_back(mailbox.keywords()[i]);
  }
  return list;
}

// nullopt: it was told to `remarks`.
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

// Letters for the keywords that are in use; 26 is all there are.
MaildirKeywords letters_for(const store::Mailbox& mailbox, const Remarks& remarks) {
  std::vector<size_t> uses(mailbox.keywords().size());
  for (const auto& e : mailbox.messages()) {
    for (size_t i = 0; i < uses.size(); i++) uses[i] += e.keywords >> i & 1;
  }
  MaildirKeywords letters;
  size_t next = 0;
  for (size_t i = 0; i < uses.size(); i++) {
    if (uses[i] == 0) continue;
    if (next < letters.size())
      letters[next++] = mailbox.keywords()[i];
    else
      remarks.not_taken(mailbox.info().name,
                        fmt::format("the keyword {} of {} messages: a Maildir has room for {}",
                                    mailbox.keywords()[i], uses[i], letters.size()));
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
    const auto text = read_file(ledger.path_, 1 << 28);
    if (!text && text.error().fault() == Fault::not_found) return ledger;
    if (!text) return std::unexpected(text.error());
    auto parsed = Json::parse(*text);
    if (!parsed)
      return fail(Fault::syntax,
                  ledger.path_ + ": " + parsed.error().detail() + "; choose an empty directory");
    for (const auto& [name, entry] : parsed->object()) ledger.entries_[name] = entry;
    return ledger;
  }
  [[nodiscard]] bool knows(const std::string& name) const { return entries_.contains(name); }
  [[nodiscard]] bool is_whole(const store::MailboxInfo& info, const std::string& path) const {
    const auto found = entries_.find(info.name);
    const auto st = look_at(path);
    return found != entries_.end() && st &&
           found->second["uidvalidity"].number() == info.uidvalidity.value &&
           found->second["modseq"].number() == static_cast<int64_t>(info.highest_modseq.value) &&
           found->second["size"].number() == st->st_size;
  }
  Status note(const store::MailboxInfo& info, uint64_t size) {
    entries_[info.name] = Json(Json::Object{{"uidvalidity", Json(info.uidvalidity.value)},
                                            {"modseq", Json(info.highest_modseq.value)},
                                            {"size", Json(size)}});
    Json::Object all;
    for (const auto& [name, entry] : entries_) all.emplace_back(name, entry);
    return write_file_durably(path_, path_ + ".partial", Json(std::move(all)).dump(true) + "\n");
  }

 private:
  std::string path_;
  std::map<std::string, Json> entries_;
};

Status write_mbox(store::JournalReader& reader, const store::Folded& account,
                  const store::Mailbox& mailbox, const std::string& path, const ExportJob& job,
                  const Remarks& remarks, Exported& done) {
  const auto failed = [&path] {
    return fail(Fault::storage, path + ": " + std::string(errno_text(errno)));
  };
  const std::string partial = path + ".partial";
  TRY(Fd fd, create_file(partial));
  const std::unique_ptr<std::FILE, CloseFile> out(fdopen(fd.get(), "w"));
  if (!out) return failed();
  (void)fd.release();
  const auto& info = mailbox.info();
  uint64_t count = 0;
  bool first = true;
  for (const auto& e : mailbox.messages()) {
    job.progress(info.name, count++, info.messages);
    auto bytes = bytes_of(reader, account, mailbox, e, remarks);
    if (!bytes) continue;
    MboxMessage m;
    m.bytes = local_lines(*std::move(bytes));
    m.flags = e.flags;
    m.keywords = keywords_of(mailbox, e);
    m.date = e.date;
    m.uid = e.uid.value;
    if (std::exchange(first, false)) {
      m.uidvalidity = info.uidvalidity.value;
      m.last_uid = info.uidnext.value - 1;
    }
    const std::string text = mbox_text(m);
    if (std::fwrite(text.data(), 1, text.size(), out.get()) != text.size()) return failed();
    done.messages++;
    done.bytes += e.size;
  }
  if (std::fflush(out.get()) != 0 || fdatasync(fileno(out.get())) != 0) return failed();
  return rename_file(partial, path);
}

}  // namespace

Result<Exported> export_maildir(store::JournalReader& reader, const store::Folded& account,
                                const ExportJob& job, const Remarks& remarks) {
  Exported done;
  const auto mailboxes = chosen(account, job);
  if (mailboxes.empty()) return std::unexpected(no_mailbox(job).error());
  TRY_STATUS(make_directories(job.directory));
  for (const auto* mailbox : mailboxes) {
    const auto& info = mailbox->info();
    auto writer = MaildirWriter::open(job.directory, info.name, info.uidvalidity.value,
                                      letters_for(*mailbox, remarks));
    if (!writer) {
      remarks.not_taken(info.name, writer.error().detail());
      continue;
    }
    uint64_t count = 0;
    for (const auto& e : mailbox->messages()) {
      job.progress(info.name, count++, info.messages);
      const MaildirMessage m{.uid = e.uid.value,
                             .flags = e.flags,
                             .keywords = keywords_of(*mailbox, e),
                             .date = e.date};
      TRY(const bool have, writer->have(m));
      if (have) {
        done.before++;
        continue;
      }
      auto bytes = bytes_of(reader, account, *mailbox, e, remarks);
      if (!bytes) continue;
      TRY_STATUS(writer->put(m, *std::move(bytes)));
      done.messages++;
      done.bytes += e.size;
    }
    TRY_STATUS(writer->finish(info.uidnext.value));
    done.mailboxes++;
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
    if (const Status made = make_directories(path.substr(0, path.rfind('/'))); !made) {
      remarks.not_taken(info.name, made.error().detail());
      continue;
    }
    remove_file(path + ".partial");  // of a run that was ended
    TRY_STATUS(write_mbox(reader, account, *mailbox, path, job, remarks, done));
    const auto st = look_at(path);
    if (!st) return fail(Fault::storage, path + ": " + std::string(errno_text(errno)));
    TRY_STATUS(ledger.note(info, static_cast<uint64_t>(st->st_size)));
    done.mailboxes++;
  }
  if (job.mailbox.empty()) {
    std::string names;
    for (const auto& name : account.state.subscriptions()) names += name + '\n';
    TRY_STATUS(write_file(job.directory + "/.subscriptions",
                          job.directory + "/.subscriptions.partial", names));
  }
  return done;
}

}  // namespace rims::cli
