// common/store/check.cc - all checks of an account that need no server

#include "common/store/check.h"

#include <algorithm>
#include <cerrno>
#include <fcntl.h>
#include <set>
#include <sys/stat.h>

#include <fmt/format.h>

#include "common/async/scope.h"
#include "common/store/gdbm_key_value.h"
#include "common/store/index.h"
#include "common/store/reader.h"

namespace rims::store {
namespace {

constexpr const char* kRestore =
    "restore what is missing from a backup (rims-ctl restore); \"rims-ctl check --repair\" lets "
    "the "
    "rest be served";
constexpr const char* kMend =
    "all of it is served; \"rims-ctl check --repair\" writes it again as it was";
constexpr const char* kRebuild = "\"rims-ctl check --repair\" rebuilds the index from the journal";

// The index's files, opened for reading only, with or without checksums as each says itself: what
// the server is set to is not known here.
class ReadOnlyFiles final : public KeyValueFactory {
 public:
  Result<std::unique_ptr<KeyValueStore>> open(const std::string&, const AccountDir* dir,
                                              const std::string& name, OpenMode) override {
    const std::string file = name + ".gdbm";
    // Not to be kept waiting by a pipe of that name.
    TRY(Fd fd, dir->open_file(file, O_RDONLY | O_NONBLOCK));
    return open_gdbm(std::move(fd), dir->path() + "/" + file, true);
  }
  Status remove(const std::string&, const AccountDir*, const std::string&) override { return {}; }
};

class Check {
 public:
  Check(const Fd& base, std::string path, std::string shown,
        const std::function<void(uint64_t)>& progress, Disk& disk)
      : base_(base),
        path_(std::move(path)),
        shown_(std::move(shown)),
        progress_(progress),
        disk_(disk) {}

  Result<CheckReport> run() {
    Fd dir(disk_.open(base_.get(), path_.c_str(), O_RDONLY | O_DIRECTORY, 0));
    if (!dir && errno == ENOENT)
      return fail(Fault::not_found, "no such account", shown_ + " is missing");
    if (!dir) return fail_errno("open " + shown_, errno);
    files(dir);
    quarantine(dir);
    TRY_STATUS(journal(dir));
    TRY_STATUS(state());
    index();
    return std::move(report_);
  }

 private:
  void damage(std::string path, uint64_t offset, uint64_t length, std::string what,
              std::string remedy) {
    report_.findings.push_back(
        {true, std::move(path), offset, length, std::move(what), std::move(remedy)});
  }
  void note(std::string path, std::string what, std::string remedy) {
    report_.findings.push_back({false, std::move(path), 0, 0, std::move(what), std::move(remedy)});
  }
  void files(const Fd& dir);
  void file(const Fd& dir, const std::string& name, const struct stat& account);
  void quarantine(const Fd& dir);
  Status journal(const Fd& dir);
  void record(JournalReader& reader, const JournalRecord& record);
  Status state();
  void index();
  void compare(const std::shared_ptr<AccountDir>& dir);

  const Fd& base_;
  std::string path_, shown_;
  const std::function<void(uint64_t)>& progress_;
  Disk& disk_;
  CheckReport report_;

  AccountState state_;
  Locations places_;
  std::set<MessageId> unreadable_;  // appended, and damaged
  std::optional<Clean> clean_;      // the last record
  bool foldable_ = true;
  std::string segment_path_;
  uint64_t segment_start_ = 0;  // of all bytes, for the progress
};

// Files of another owner can not be read by the server, and those of others not be trusted.
void Check::file(const Fd& dir, const std::string& name, const struct stat& account) {
  const std::string shown = shown_ + "/" + name;
  const Fd fd(disk_.open(dir.get(), name.c_str(), O_PATH | O_NOFOLLOW, 0));
  struct stat st{};
  if (!fd || fstat(fd.get(), &st) != 0) {
    if (errno == ELOOP)
      damage(shown, 0, 0, "is a symbolic link",
             "put the file itself there; links are not followed");
    return;
  }
  if (name.starts_with("journal/") && !S_ISREG(st.st_mode)) {
    damage(shown, 0, 0, "is no file", "move it out of the account");
    return;
  }
  if (st.st_uid != account.st_uid)
    damage(shown, 0, 0,
           fmt::format("belongs to user {}, the account to user {}", st.st_uid, account.st_uid),
           fmt::format("chown {} {}", account.st_uid, shown));
  const unsigned wanted = S_ISDIR(st.st_mode) ? 0700 : 0600;
  if ((st.st_mode & 07777) != wanted)
    damage(shown, 0, 0, fmt::format("has mode {:04o}", st.st_mode & 07777),
           fmt::format("chmod {:04o} {}", wanted, shown));
}

void Check::files(const Fd& dir) {
  struct stat account{};
  if (fstat(dir.get(), &account) != 0) return;
  if ((account.st_mode & 077) != 0)
    damage(shown_, 0, 0, fmt::format("has mode {:04o}: others may enter", account.st_mode & 07777),
           "chmod 0700 " + shown_);
  for (const std::string below : {".", "journal"}) {
    const auto names = list_directory(disk_, dir.get(), below, shown_ + "/" + below);
    if (!names) {
      damage(shown_ + "/" + below, 0, 0, names.error().detail(), "check its owner and mode");
      continue;
    }
    for (const auto& name : *names) file(dir, below == "." ? name : below + "/" + name, account);
  }
}

// What openings have put aside: mail that a client was told of may be among it.
void Check::quarantine(const Fd& dir) {
  const auto kept = list_directory(disk_, dir.get(), "quarantine", shown_ + "/quarantine");
  if (!kept || kept->empty()) return;
  note(shown_ + "/quarantine",
       fmt::format("holds {} pieces of the journal that were cut off or found damaged",
                   kept->size()),
       "look for what is missing in a backup, then move them elsewhere");
}

void Check::record(JournalReader& reader, const JournalRecord& record) {
  const auto& h = record.header;
  const auto& at = record.place.location;
  report_.records++;
  if (report_.last_record != 0 && h.seq != report_.last_record + 1 && h.type != RecordType::gap)
    damage(segment_path_, at.offset, 0,
           fmt::format("records {} to {} are missing", report_.last_record + 1, h.seq - 1),
           kRestore);
  report_.last_record = h.seq;
  if (progress_ && report_.records % 64 == 0) progress_(segment_start_ + at.offset);

  const auto append =
      h.type == RecordType::append ? Append::decode(record.meta) : std::optional<Append>();
  bool sound = true;
  if (auto bad = reader.verify(record); !bad) {
    sound = false;
    damage(segment_path_, at.offset, h.total(), bad.error().detail(), kRestore);
  } else if (*bad) {
    sound = false;
    damage((*bad)->path, (*bad)->offset, (*bad)->length,
           append ? fmt::format("{} (message {})", (*bad)->what, append->entry.message.value)
                  : (*bad)->what,
           kRestore);
  }
  clean_ = h.type == RecordType::clean ? Clean::decode(record.meta) : std::nullopt;
  if (!foldable_) return;
  if (const auto applied = state_.apply(h.type, h.seq, h.time, record.meta); !applied) {
    // As the server: it refuses what it does not understand.
    foldable_ = false;
    damage(segment_path_, at.offset, h.total(), applied.error().detail(),
           "use the version of rims that wrote it");
    return;
  }
  if (!append) return;
  const auto& entry = append->entry;
  if (!sound) unreadable_.insert(entry.message);
  if ((h.flags & kDropped) != 0) return;
  if (h.body != entry.size)
    damage(segment_path_, at.offset, h.total(),
           fmt::format("message {} has {} bytes, not {}", entry.message.value, h.body, entry.size),
           kRestore);
  places_.set(entry.message, at);
}

Status Check::journal(const Fd& dir) {
  Fd fd(disk_.open(dir.get(), "journal", O_RDONLY | O_DIRECTORY, 0));
  if (!fd) {
    if (errno != ENOENT) return fail_errno("open " + shown_ + "/journal", errno);
    damage(shown_ + "/journal", 0, 0, "is missing", kRestore);
    return {};
  }
  JournalReader reader(std::move(fd), shown_ + "/journal", disk_);
  return reader.visit(
      {.segment =
           [&](const JournalSegment& segment) {
             segment_path_ = segment.path;
             segment_start_ = report_.bytes;
             report_.segments++;
             report_.bytes += segment.size;
             if (segment.unfinished)
               note(fmt::format("{} at offset {}, {} bytes", segment.path,
                                segment.unfinished->offset, segment.unfinished->length),
                    "is not whole: being written just now, or a write that did not end",
                    "the next opening keeps it in quarantine/ and goes on");
           },
       .record =
           [&](const JournalRecord& r) {
             record(reader, r);
             return true;
           },
       .damage =
           [&](const JournalDamage& d) {
             damage(d.path, d.offset, d.length, d.what, d.right.empty() ? kRestore : kMend);
           },
       .foreign =
           [&](const std::string& path) {
             if (std::ranges::none_of(report_.findings,
                                      [&](const Finding& f) { return f.path == path; }))
               note(path, "is no segment; the server leaves it alone", "move it elsewhere");
           }},
      {.thorough = true});
}

Status Check::state() {
  const std::string journal = shown_ + "/journal";
  if (!foldable_) return {};
  for (const auto& text : state_.broken_invariants()) damage(journal, 0, 0, text, kRestore);
  if (state_.orphans() > 0)
    note(journal, fmt::format("{} records speak of what was lost before", state_.orphans()),
         kRestore);
  for (const auto& [id, mailbox] : state_.mailboxes()) {
    report_.mailboxes++;
    for (const auto& e : mailbox->messages()) {
      report_.messages++;
      const auto* chunk = places_.find(Locations::chunk_of(e.message));
      if (chunk && chunk->at[e.message.value % Locations::kPerChunk].segment != 0 &&
          !unreadable_.contains(e.message))
        continue;
      damage(journal, 0, 0,
             fmt::format("message {} in \"{}\", uid {}: its bytes are {}", e.message.value,
                         mailbox->info().name, e.uid.value,
                         unreadable_.contains(e.message) ? "damaged" : "missing"),
             fmt::format("restore it from a backup, or expunge it"));
    }
  }
  return {};
}

void Check::index() {
  auto dir = AccountDir::beneath(disk_, base_.get(), path_);
  if (!dir) {
    report_.index_note = dir.error().code() == "INUSE"
                             ? "not checked: the account is open in a server"
                             : "not checked: " + dir.error().detail();
    return;
  }
  // What a missing last segment leaves behind.
  if (const auto meta = ReadOnlyFiles().open(shown_, &*dir, "meta", OpenMode::read_only)) {
    const auto value = (*meta)->get("meta");
    const auto head =
        value && *value ? IndexCodec::decode_head(**value) : std::optional<IndexHead>();
    if (head && head->seq > report_.last_record)
      damage(shown_ + "/journal", 0, 0,
             fmt::format("ends with record {}, but the index was made of {}", report_.last_record,
                         head->seq),
             kRestore);
  }
  if (!clean_) {
    report_.index_note =
        "not checked: the account was not closed in order, so that the next "
        "opening rebuilds it";
    return;
  }
  if (!foldable_) {
    report_.index_note = "not checked: the journal can not be folded";
    return;
  }
  // Was it used meanwhile? The journal was read before the lock was ours.
  uint64_t last = 0;
  auto journal = dir->open_file("journal", O_RDONLY | O_DIRECTORY);
  if (!journal ||
      !JournalReader(*std::move(journal), shown_ + "/journal", disk_)
           .visit({.record =
                       [&](const JournalRecord& r) {
                         last = r.header.seq;
                         return true;
                       }},
                  {.from = report_.last_record}) ||
      last != report_.last_record) {
    report_.index_note = "not checked: the account was used meanwhile";
    return;
  }
  compare(std::make_shared<AccountDir>(*std::move(dir)));
}

void Check::compare(const std::shared_ptr<AccountDir>& dir) {
  report_.index_checked = true;
  Loop loop;
  IoPool pool(loop, 1);
  ReadOnlyFiles files;
  Index index(loop, pool, files, shown_, dir);
  AccountState indexed;
  const auto wrong = [&](const std::string& file, std::string what) {
    damage(shown_ + "/" + file, 0, 0, std::move(what), kRebuild);
  };
  rims::run(loop, [](Check& self, Index& from, AccountState& read, const auto& bad) -> Task<void> {
    if (!co_await from.open(*self.clean_, self.report_.last_record, read)) {
      bad("meta.gdbm", "is damaged, or not of the last checkpoint");
      co_return;
    }
    for (const auto& [id, mailbox] : read.mailboxes()) {
      if (!co_await from.load(mailbox)) {
        bad(fmt::format("mailbox_{}.gdbm", id.value), "is damaged, or does not agree with meta");
        co_return;
      }
    }
    if (const auto text = read.difference(self.state_); !text.empty())
      bad("meta.gdbm", "does not agree with the journal: " + text);
    Locations listed;
    const uint64_t chunks = Locations::chunk_of(read.next_message()) + 1;
    for (uint64_t n = 0; n < chunks; n++) {
      if (!co_await from.load_locations(n, read.next_message(), listed)) {
        bad("message.gdbm", fmt::format("chunk {} is damaged or missing", n));
        continue;
      }
      const auto* a = listed.find(n);
      const auto* b = self.places_.find(n);
      for (size_t i = 0; b && i < Locations::kPerChunk; i++) {
        if (b->at[i].segment == 0 || a->at[i] == b->at[i]) continue;
        bad("message.gdbm",
            fmt::format("names a wrong place for message {}", n * Locations::kPerChunk + i));
        break;
      }
    }
  }(*this, index, indexed, wrong));
  rims::run(loop, index.close());
}

}  // namespace

std::string to_string(const Finding& f) {
  const std::string where =
      f.offset == 0 && f.length == 0
          ? f.path
          : fmt::format("{} at offset {}, {} bytes", f.path, f.offset, f.length);
  return fmt::format("{}: {}; {}", where, f.what, f.remedy);
}

bool CheckReport::sound() const {
  return std::ranges::none_of(findings, [](const Finding& f) { return f.damage; });
}

Result<CheckReport> check_account(const Fd& base, const std::string& path, const std::string& shown,
                                  const std::function<void(uint64_t bytes)>& progress, Disk& disk) {
  return Check(base, path, shown, progress, disk).run();
}

}  // namespace rims::store
