// common/maintenance/check.cc - all checks of an account that need no server

#include "common/maintenance/check.h"

#include <algorithm>
#include <cerrno>
#include <fcntl.h>
#include <map>
#include <sys/stat.h>
#include <utility>

#include <fmt/format.h>

#include "common/async/scope.h"
#include "common/index/gdbm_key_value.h"
#include "common/index/index.h"
#include "common/journal/account_dir.h"
#include "common/journal/file_segments.h"
#include "common/journal/reader.h"
#include "common/maintenance/lost_records.h"

namespace rims::store {
namespace {

constexpr const char* kUseFirst =
    "first make the segment usable that is not used; restore only what is missing then";
constexpr const char* kRestore =
    "restore what is missing from a backup (rims-ctl restore); \"rims-ctl check --repair\" lets "
    "the "
    "rest be served";
constexpr const char* kRestored =
    "nothing needs to be done: what they had said was restored from a backup";
constexpr const char* kMend =
    "all of it is served; \"rims-ctl check --repair\" writes it again as it was";
constexpr const char* kRebuild = "\"rims-ctl check --repair\" rebuilds the index from the journal";

// Opens the index's files for reading only. Each file says itself whether its values have
// checksums: the setting of the server is not known here.
class ReadOnlyFiles final : public KeyValueFactory {
 public:
  Result<std::unique_ptr<KeyValueStore>> open(const std::string&, const AccountDir* dir,
                                              const std::string& name, OpenMode) override {
    const std::string file = name + ".gdbm";
    // O_NONBLOCK: if it is a FIFO, open() must not wait.
    TRY(Fd fd, dir->open_file(file, O_RDONLY | O_NONBLOCK));
    return open_gdbm(std::move(fd), dir->path() + "/" + file, true);
  }
  std::vector<std::string> names(const std::string&, const AccountDir*) override { return {}; }
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
    if (!dir) return fail_to_open(shown_, errno);
    files(dir);
    TRY_STATUS(journal(dir));
    tell_lost();
    quarantine(dir);
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
  void level(const std::string& path, uid_t user);
  void files(const Fd& dir);
  void file(const Fd& dir, const std::string& name, const struct stat& account);
  void quarantine(const Fd& dir);
  Status journal(const Fd& dir);
  void record(JournalReader& reader, const JournalRecord& record);
  void stranger(const Fd& dir, const std::string& path);
  void tell_lost();
  Status state();
  void index();
  [[nodiscard]] bool is_to_be_rebuilt(const AccountDir& dir) const;
  void compare(const std::shared_ptr<AccountDir>& dir);

  const Fd& base_;
  std::string path_, shown_;
  const std::function<void(uint64_t)>& progress_;
  Disk& disk_;
  CheckReport report_;

  AccountState state_;
  Locations places_;
  // Appended, and damaged; which finding says so.
  std::map<MessageId, size_t> unreadable_;
  std::optional<Clean> clean_;  // the last record
  LostRecords numbers_;
  // For each of its holes: what follows it, and the findings that say why it is there.
  struct Loss {
    std::string path;
    uint64_t offset = 0;
    std::vector<size_t> findings;
  };
  std::vector<Loss> losses_;
  std::vector<size_t> unplaced_;  // findings of lost records since the last one that is there
  bool foldable_ = true;
  bool lost_ = false;                        // records of the journal are lost, or not used
  bool unused_ = false;                      // there are segments that are not used
  std::map<uint32_t, uint64_t> first_seqs_;  // of the segments
  std::string segment_path_;
  uint64_t segment_start_ = 0;  // of all bytes, for the progress
};

// The server can not read files of another owner, and can not trust files that others may write.
void Check::file(const Fd& dir, const std::string& name, const struct stat& account) {
  const std::string shown = shown_ + "/" + name;
  const Fd fd(disk_.open(dir.get(), name.c_str(), O_PATH | O_NOFOLLOW, 0));
  struct stat st{};
  if (!fd || fstat(fd.get(), &st) != 0) return;
  if (S_ISLNK(st.st_mode)) {
    damage(shown, 0, 0, "is a symbolic link", "put the file itself there; links are not followed");
    return;
  }
  if (name.starts_with("journal/") && !S_ISREG(st.st_mode)) {
    damage(shown, 0, 0, "is not a regular file", "move it out of the account");
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

void Check::level(const std::string& path, uid_t user) {
  const Fd fd(disk_.open(base_.get(), path.c_str(), O_PATH | O_NOFOLLOW, 0));
  struct stat st{};
  if (!fd || fstat(fd.get(), &st) != 0) return;
  const std::string shown = shown_.substr(0, shown_.size() - path_.size()) + path;
  if (st.st_uid != user)
    damage(shown, 0, 0, fmt::format("belongs to user {}, base_dir to user {}", st.st_uid, user),
           fmt::format("chown -R {} {}", user, shown));
  if ((st.st_mode & 0700) != 0700)
    damage(shown, 0, 0, fmt::format("has mode {:04o}", st.st_mode & 07777), "chmod 0700 " + shown);
}

void Check::files(const Fd& dir) {
  struct stat account{};
  if (fstat(dir.get(), &account) != 0) return;
  // The server, which is the user to whom the base directory belongs, goes through all of them.
  struct stat base{};
  if (fstat(base_.get(), &base) != 0) return;
  for (size_t slash = path_.find('/'); slash != path_.npos; slash = path_.find('/', slash + 1))
    level(path_.substr(0, slash), base.st_uid);
  level(path_, base.st_uid);
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

// What the server put aside when it opened the account: there may be mail in it that clients have
// seen.
void Check::quarantine(const Fd& dir) {
  const auto kept = list_directory(disk_, dir.get(), "quarantine", shown_ + "/quarantine");
  if (!kept && kept.error().system() != ENOENT)
    damage(shown_ + "/quarantine", 0, 0,
           "can not be used, so that nothing that is damaged can be kept: " + kept.error().detail(),
           "move it out of the account; the server makes the directory when it needs it");
  if (!kept || kept->empty()) return;
  const auto open = [&](const std::string& name) -> Result<std::unique_ptr<KeyValueStore>> {
    const std::string file = "quarantine/" + name + "/meta.gdbm";
    Fd fd(disk_.open(dir.get(), file.c_str(), O_RDONLY | O_NONBLOCK, 0));
    if (!fd) return fail_errno("open " + shown_ + "/" + file, errno);
    return open_gdbm(std::move(fd), shown_ + "/" + file, true);
  };
  size_t indexes = 0;
  for (const auto& name : *kept) {
    if (!name.starts_with("index-")) continue;
    indexes++;
    const auto meta = open(name);
    const auto value = meta ? (*meta)->get("meta") : std::optional<std::string>();
    const auto head = value && *value ? IndexCodec::decode_head(**value) : std::nullopt;
    const bool again = head && numbers_.made_good(head->seq);
    report_.findings.push_back(
        {.damage = !again,
         .path = shown_ + "/quarantine/" + name,
         .what =
             fmt::format("is an index that knew more than the journal, which had lost "
                         "records{}",
                         head ? fmt::format("; it was made of records up to {}", head->seq) : ""),
         .remedy = again ? "what it knew is in the account again: it can be removed"
                         : std::string(kRestore) + "; then move it elsewhere"});
  }
  if (kept->size() == indexes) return;
  note(shown_ + "/quarantine",
       fmt::format("holds {} pieces of the journal that were cut off or found damaged",
                   kept->size() - indexes),
       "look for what is missing in a backup, then move them elsewhere");
}

void Check::record(JournalReader& reader, const JournalRecord& record) {
  const auto& h = record.header;
  const auto& at = record.place.location;
  report_.records++;
  if (numbers_.see(h)) losses_.push_back({segment_path_, at.offset, std::exchange(unplaced_, {})});
  unplaced_.clear();
  report_.last_record = h.seq;
  if (progress_ && report_.records % 64 == 0) progress_(segment_start_ + at.offset);

  auto decoded = decode(h.type, h.version, h.seq, record.meta, record.program);
  const auto* append = decoded ? std::get_if<Append>(&*decoded) : nullptr;
  bool sound = !record.only_listed();
  if (auto bad = reader.verify(record); !bad) {
    sound = false;
    damage(segment_path_, at.offset, h.total(), bad.error().detail(), kRestore);
  } else if (*bad && (*bad)->spare) {
    note(fmt::format("{} at offset {}, {} bytes", (*bad)->path, (*bad)->offset, (*bad)->length),
         append ? fmt::format("{} (message {})", (*bad)->what, append->entry.message.value)
                : (*bad)->what,
         "nothing needs to be done: it is made again from the message whenever it is needed");
  } else if (*bad) {
    sound = false;
    damage((*bad)->path, (*bad)->offset, (*bad)->length,
           append ? fmt::format("{} (message {})", (*bad)->what, append->entry.message.value)
                  : (*bad)->what,
           kRestore);
  }
  if (const auto* restored = decoded ? std::get_if<Restored>(&*decoded) : nullptr)
    numbers_.see(*restored);
  const auto* clean = decoded ? std::get_if<Clean>(&*decoded) : nullptr;
  clean_ = clean ? std::optional(*clean) : std::nullopt;
  if (!foldable_) return;
  if (!decoded) {
    // The server refuses such an account, too.
    foldable_ = false;
    damage(segment_path_, at.offset, h.total(), decoded.error().detail(),
           "use the version of rims that wrote it");
    return;
  }
  const JournalEvent event{.seq = h.seq,
                           .time = h.time,
                           .location = at,
                           .dropped = (h.flags & kDropped) != 0,
                           .record = *std::move(decoded)};
  state_.apply(event);
  places_.follow(event, {}, state_);
  append = std::get_if<Append>(&event.record);
  if (!append) return;
  if (!sound) {
    const auto& all = report_.findings;
    const auto told = std::find_if(all.rbegin(), all.rend(), [&](const Finding& f) {
      return f.path == segment_path_ && f.offset < at.offset + h.total() &&
             at.offset < f.offset + f.length;
    });
    unreadable_[append->entry.message] = static_cast<size_t>(all.rend() - told) - 1;
  }
  if (!event.dropped && h.body != append->entry.size)
    damage(segment_path_, at.offset, h.total(),
           fmt::format("message {} has {} bytes, not {}", append->entry.message.value, h.body,
                       append->entry.size),
           kRestore);
}

// A file in the journal that has not the name of a segment. It may be one all the same.
void Check::stranger(const Fd& dir, const std::string& path) {
  if (std::ranges::any_of(report_.findings, [&](const Finding& f) { return f.path == path; }))
    return;
  const std::string inside = path.substr(shown_.size() + 1);
  const Fd fd(disk_.open(dir.get(), inside.c_str(), O_RDONLY | O_NONBLOCK, 0));
  SegmentHeader header;
  const auto head = fd ? read_up_to(disk_, fd.get(), kFirstRecord, 0, path) : std::string();
  const bool is_segment = head && decode(*head, header) == HeaderState::good;
  const std::string right = "journal/" + segment_name(is_segment ? header.number : 0);
  const bool wanted =
      is_segment && !Fd(disk_.open(dir.get(), right.c_str(), O_PATH | O_NOFOLLOW, 0));
  if (wanted)
    damage(path, 0, 0, fmt::format("says that it is segment {}, which is missing", header.number),
           fmt::format("name it {}, if it is of this account; all in it is served then", right));
  else if (is_replacement(path.substr(path.rfind('/') + 1)))
    note(path, "is left of an interrupted compaction",
         "nothing needs to be done: the next opening removes it");
  else
    note(path, "is not a segment of the journal; the server ignores it", "move it elsewhere");
}

Status Check::journal(const Fd& dir) {
  Fd fd(disk_.open(dir.get(), "journal", O_RDONLY | O_DIRECTORY, 0));
  if (!fd) {
    if (errno != ENOENT) return fail_to_open(shown_ + "/journal", errno);
    damage(shown_ + "/journal", 0, 0, "is missing", kRestore);
    return {};
  }
  JournalReader reader(std::move(fd), shown_ + "/journal", disk_);
  reader.expect([this](const std::string& user) { return account_path(user) == path_; });
  TRY_STATUS(reader.visit(
      {.segment =
           [&](const JournalSegment& segment) {
             segment_path_ = segment.path;
             segment_start_ = report_.bytes;
             report_.segments++;
             first_seqs_[segment.number] = segment.header.first_seq;
             report_.bytes += segment.size;
             if (segment.unfinished)
               note(fmt::format("{} at offset {}, {} bytes", segment.path,
                                segment.unfinished->offset, segment.unfinished->length),
                    "is not complete: it is being written just now, or the write was interrupted",
                    "if it was interrupted, the server moves it to quarantine/ when it opens the "
                    "account");
           },
       .record =
           [&](const JournalRecord& r) {
             record(reader, r);
             return true;
           },
       .damage =
           [&](const JournalDamage& d) {
             damage(d.path, d.offset, d.length, d.what,
                    !d.remedy.empty() ? d.remedy
                    : d.right.empty() ? kRestore
                                      : kMend);
             if (d.lost > 0 && d.remedy.empty()) unplaced_.push_back(report_.findings.size() - 1);
             // A segment that is not used is not lost.
             lost_ = lost_ || d.lost > 0;
             unused_ = unused_ || !d.remedy.empty();
           },
       .foreign = [&](const std::string& path) { stranger(dir, path); }},
      {.thorough = true}));
  if (report_.segments == 0)
    note(shown_ + "/journal",
         "has no segment that can be read: the account was never used, or all is lost",
         "if there was mail in it, restore it from a backup (rims-ctl restore)");
  return {};
}

// Where numbers are missing that no gap record explains.
void Check::tell_lost() {
  for (size_t i = 0; i < losses_.size(); i++) {
    const auto& hole = numbers_.holes()[i];
    const Loss& loss = losses_[i];
    const bool again = numbers_.restored(hole.first, hole.last);
    for (const size_t said : again ? loss.findings : std::vector<size_t>()) {
      report_.findings[said].damage = false;
      report_.findings[said].remedy = kRestored;
    }
    // Those before the first one are told by the reader.
    if (hole.gap != 0 || hole.first == 1) continue;
    report_.findings.push_back(
        {.damage = !again,
         .path = loss.path,
         .offset = loss.offset,
         .length = 0,
         .what = fmt::format("records {} to {} are missing", hole.first, hole.last),
         .remedy = again     ? kRestored
                   : unused_ ? kUseFirst
                             : kRestore});
  }
}

Status Check::state() {
  const std::string journal = shown_ + "/journal";
  if (!foldable_) return {};
  for (const auto& text : state_.broken_invariants()) damage(journal, 0, 0, text, kRestore);
  if (const auto& user = state_.named().user; !user.empty() && account_path(user) != path_)
    damage(shown_, 0, 0,
           fmt::format("holds the mail of \"{}\", whose place is {}", user, account_path(user)),
           "move it there: two directories may have been swapped");
  auto without_entry = unreadable_;
  size_t in_unused = 0;  // messages that are in a segment which is not used
  if (state_.orphans() > 0)
    note(journal,
         fmt::format("{} records are about messages or mailboxes that were lost before",
                     state_.orphans()),
         kRestore);
  for (const auto& [id, mailbox] : state_.mailboxes()) {
    report_.mailboxes++;
    for (const auto& e : mailbox->messages()) {
      report_.messages++;
      without_entry.erase(e.message);
      const auto* chunk = places_.find(Locations::chunk_of(e.message));
      if (chunk && chunk->at[e.message.value % Locations::kPerChunk].segment != 0 &&
          !unreadable_.contains(e.message))
        continue;
      if (unused_ && !unreadable_.contains(e.message)) {
        in_unused++;
        continue;
      }
      damage(journal, 0, 0,
             fmt::format("message {} in \"{}\", uid {}: its bytes are {}", e.message.value,
                         mailbox->info().name, e.uid.value,
                         unreadable_.contains(e.message) ? "damaged" : "missing"),
             fmt::format("restore it from a backup, or expunge it"));
    }
  }
  for (const auto& [message, finding] : without_entry) {
    if (finding >= report_.findings.size() || report_.findings[finding].remedy != kRestore)
      continue;
    report_.findings[finding].damage = false;
    report_.findings[finding].remedy =
        "no mailbox has this message any more: nothing needs to be done";
  }
  if (in_unused > 0)
    note(journal, fmt::format("{} messages are in a segment that is not used", in_unused),
         "see the line about that segment");
  return {};
}

// Whoever was about to make the index again, a server or "check --repair", has ended before that
// was done.
bool Check::is_to_be_rebuilt(const AccountDir& dir) const {
  const auto meta = ReadOnlyFiles().open(shown_, &dir, "meta", OpenMode::read_only);
  if (!meta) return meta.error().system() == ENOENT;
  const auto value = (*meta)->get("meta");
  const auto head = value && *value ? IndexCodec::decode_head(**value) : std::optional<IndexHead>();
  return head && head->dirty;
}

void Check::index() {
  auto dir = AccountDir::beneath(disk_, base_.get(), path_);
  if (!dir) {
    report_.index_note = dir.error().code() == "INUSE"
                             ? "not checked: the account is open in a server"
                             : "not checked: " + dir.error().detail();
    return;
  }
  // When the last segment is missing, only the index can tell.
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
  if (clean_ && is_to_be_rebuilt(*dir)) {
    report_.index_note = "not checked: it is missing or marked, and the next opening rebuilds it";
    return;
  }
  if (!clean_) {
    report_.index_note =
        "not checked: the account was not closed in order, so that the next "
        "opening rebuilds it";
    return;
  }
  if (!foldable_) {
    report_.index_note =
        "not checked: the journal has records that this version does not understand";
    return;
  }
  report_.lost = lost_;
  // Was the account used meanwhile? The journal was read before the account was locked.
  uint64_t last = 0;
  if (!JournalReader(std::make_unique<FileSegments>(*dir))
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
  report_.index_sound = true;
  const auto wrong = [&](const std::string& file, std::string what) {
    report_.index_sound = false;
    damage(shown_ + "/" + file, 0, 0, std::move(what), kRebuild);
  };
  rims::run(loop, [](Check& self, Index& from, AccountState& read, const auto& bad) -> Task<void> {
    if (!co_await from.open(*self.clean_, self.report_.last_record,
                            made_of(self.first_seqs_, self.clean_->seq), read)) {
      bad("meta.gdbm", "is damaged, or not of the last checkpoint");
      co_return;
    }
    for (const auto& [id, mailbox] : read.mailboxes()) {
      if (!co_await from.load(mailbox)) {
        bad(fmt::format("mailbox_{}.gdbm", id.value), "is damaged, or does not agree with meta");
        co_return;
      }
    }
    // If the journal has lost records, a sound index may know more than the journal.
    if (const auto text = read.difference(self.state_); !text.empty() && !self.lost_)
      bad("meta.gdbm", "does not agree with the journal: " + text);
    Locations listed;
    const uint64_t newest = Locations::chunk_of(read.next_message());
    for (uint64_t n = 0; n <= newest; n++) {
      // Message ids that were skipped have no places, and none is needed; opening the account needs
      // only the chunk that the next message belongs to.
      const auto* wanted = self.places_.find(n);
      const bool any = wanted && std::ranges::any_of(wanted->at, [](const Location& at) {
                         return at.segment != 0;
                       });
      if (!any && n != newest) continue;
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
