// common/maintenance/restore_account.cc - segments of a backup become an account

#include "common/maintenance/restore_account.h"

#include <algorithm>
#include <cerrno>
#include <fcntl.h>
#include <optional>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include <fmt/format.h>
#include <sodium.h>

#include "common/base/encoding.h"
#include "common/journal/account_dir.h"
#include "common/journal/file_segments.h"
#include "common/maintenance/backup_files.h"

namespace rims::store {
namespace {

constexpr size_t kBlock = size_t{1} << 20;

Status write(SegmentFile& file, std::string_view bytes, uint64_t offset) {
  auto written = file.write({{const_cast<char*>(bytes.data()), bytes.size()}}, offset);
  return written ? written : std::unexpected(no_space(written.error()));
}

class Restore {
 public:
  Restore(const Fd& base, const AccountDir& backup, const BackupManifest& manifest,
          const RestoreJob& job)
      : base_(base),
        backup_(backup),
        manifest_(manifest),
        job_(job),
        disk_(job.disk ? *job.disk : Disk::real()) {
    final_ = account_path_of(job.account);
    above_ = final_.substr(0, final_.rfind('/'));
    made_ = above_ + "/restoring-" + job.account.substr(2);
  }

  Result<RestoredAccount> run() {
    TRY_STATUS(place_is_free());
    TRY_STATUS(choose());
    TRY_STATUS(room());
    TRY_STATUS(make_directories());
    for (const auto* segment : wanted_) {
      TRY_STATUS(copy(*segment));
    }
    TRY_STATUS(write_last());
    TRY_STATUS(sync(made_ + "/journal"));
    TRY_STATUS(sync(made_));
    if (disk_.rename(base_.get(), made_.c_str(), final_.c_str()) != 0) {
      const int error = errno;
      if (error == EEXIST) {
        TRY_STATUS(place_is_free());
      }
      return fail_errno("rename " + made_, error);
    }
    TRY_STATUS(sync(above_));
    return std::move(result_);
  }

 private:
  Status place_is_free() const;
  Status choose();
  Status room() const;
  Status make_directories();
  Status remove_leftover();
  Status copy(const BackupSegment& segment);
  Result<uint64_t> end_of(SegmentBytes& bytes, const BackupSegment& segment) const;
  Status write_last();
  // The one behind the last.
  Result<SegmentFileRef> begin_segment();
  Status seal(SegmentFile& file);
  template <class R>
  Status write_record(SegmentFile& file, const R& record);
  Status mkdir(const std::string& path);
  Status sync(const std::string& path) const;

  const Fd& base_;
  const AccountDir& backup_;
  const BackupManifest& manifest_;
  const RestoreJob& job_;
  Disk& disk_;
  std::string above_, final_, made_;
  std::optional<AccountDir> made_dir_;
  std::unique_ptr<FileSegments> segments_;  // in made_dir_
  std::vector<const BackupSegment*> wanted_;
  uint64_t total_ = 0;
  SegmentHeader last_;  // of the last segment written
  uint64_t last_end_ = 0;
  bool last_sealed_ = false;
  uint64_t next_seq_ = 0;
  RestoredAccount result_;
};

// An account that was never used: nothing but an empty journal/.
Result<bool> is_unused(Disk& disk, const Fd& base, const std::string& path) {
  TRY(const auto names, list_directory(disk, base.get(), path, path));
  if (names != std::vector<std::string>{"journal"}) return false;
  const std::string journal = path + "/journal";
  const auto segments = list_directory(disk, base.get(), journal, journal);
  return segments && segments->empty();
}

Status Restore::place_is_free() const {
  if (const auto unused = is_unused(disk_, base_, final_); unused && *unused) {
    TRY(const AccountDir locked, AccountDir::beneath(disk_, base_.get(), final_));
    TRY(const bool still, is_unused(disk_, base_, final_));
    if (still) {
      TRY_STATUS(remove_directory(disk_, base_.get(), final_));
    }
  }
  const Fd there(disk_.open(base_.get(), final_.c_str(), O_PATH | O_NOFOLLOW, 0));
  if (!there && errno == ENOENT) return {};
  if (!there) return fail_to_open(final_, errno);
  struct stat st{};
  if (fstat(there.get(), &st) != 0) return fail_errno("fstat " + final_, errno);
  if (S_ISLNK(st.st_mode)) return fail_to_open(final_, ELOOP);
  TRY(const bool exists, account_exists(base_, job_.account));
  return fail(Fault::refused, "the account exists",
              final_ + (exists ? " was created meanwhile; run the command again"
                               : " is there, but has no journal; move it elsewhere, then run the "
                                 "command again"));
}

Status Restore::choose() {
  for (const auto& s : manifest_.segments) {
    if (s.records == 0 || s.from > job_.upto) continue;
    wanted_.push_back(&s);
    total_ += s.size;
  }
  if (wanted_.empty())
    return fail(Fault::not_found, "nothing to restore",
                backup_.path() + ": the backup has no record of that time");
  return {};
}

Status Restore::room() const {
  struct statvfs fs{};
  if (fstatvfs(base_.get(), &fs) != 0) return fail_errno("fstatvfs", errno);
  const uint64_t free = uint64_t{fs.f_bavail} * fs.f_frsize;
  if (free < total_)
    return fail(
        Fault::limit, "not enough space",
        fmt::format("the account needs {} bytes, the disk of base_dir has {}", total_, free));
  return {};
}

Status Restore::sync(const std::string& path) const {
  const Fd fd(disk_.open(base_.get(), path.c_str(), O_RDONLY | O_DIRECTORY, 0));
  if (!fd) return fail_errno("open " + path, errno);
  if (disk_.fsync(fd.get()) != 0) return fail_errno("fsync " + path, errno);
  return {};
}

Status Restore::mkdir(const std::string& path) {
  if (disk_.mkdir(base_.get(), path.c_str(), 0700) != 0 && errno != EEXIST)
    return fail_errno("mkdir " + path, errno);
  // Also when it exists: the process that made it may have been killed before the fsync.
  const size_t slash = path.rfind('/');
  return sync(slash == path.npos ? "." : path.substr(0, slash));
}

// Removes what an interrupted restore has left.
Status Restore::remove_leftover() {
  const Fd old(disk_.open(base_.get(), made_.c_str(), O_RDONLY | O_DIRECTORY, 0));
  if (!old) return {};
  if (flock(old.get(), LOCK_EX | LOCK_NB) != 0)
    return fail(Fault::refused, "busy", made_ + ": another restore of this account is running");
  return remove_directory(disk_, base_.get(), made_);
}

Status Restore::make_directories() {
  TRY_STATUS(AccountDir::make_above(disk_, base_.get(), final_));
  TRY_STATUS(remove_leftover());
  TRY_STATUS(mkdir(made_));
  TRY_STATUS(mkdir(made_ + "/journal"));
  TRY(AccountDir dir, AccountDir::beneath(disk_, base_.get(), made_));
  made_dir_.emplace(std::move(dir));
  segments_ = std::make_unique<FileSegments>(*made_dir_);
  return {};
}

// Where the records up to the wanted one end.
Result<uint64_t> Restore::end_of(SegmentBytes& bytes, const BackupSegment& segment) const {
  TRY(const Scan scan, scan_segment(bytes.reader(), segment.size, bytes.header(), false));
  uint64_t end = kFirstRecord;
  for (const auto& e : scan.entries) {
    if (e.header.seq > job_.upto) break;
    end = e.offset + e.header.total();
  }
  return end;
}

Status Restore::copy(const BackupSegment& segment) {
  FileSegments copies(backup_);
  const auto opened = SegmentBytes::open(copies, segment.number);
  if (!opened) {
    const int error = opened.error().system();
    if (error == 0 || error == EMFILE || error == ENFILE || error == ENOMEM)
      return std::unexpected(opened.error());
    result_.problems.push_back(opened.error().detail() + "; its records are not restored");
    return {};
  }
  SegmentBytes& bytes = **opened;
  const std::string& from = bytes.path();
  if (bytes.state() != HeaderState::good || bytes.header().segment != segment.id) {
    result_.problems.push_back(from + ": its headers are damaged; its records are not restored");
    return {};
  }
  const bool whole = segment.to <= job_.upto;
  uint64_t size = std::min(segment.size, bytes.size());
  if (!whole) {
    TRY(size, end_of(bytes, segment));
  }
  TRY(const SegmentFileRef to, segments_->create(segment.number));
  Sha256 sum;
  uint64_t at = 0;
  while (at < segment.size) {
    TRY(const std::string block,
        bytes.read(at, static_cast<size_t>(std::min<uint64_t>(kBlock, segment.size - at))));
    if (block.empty()) break;
    sum.add(block);
    if (at < size) {
      const auto count = static_cast<size_t>(std::min<uint64_t>(block.size(), size - at));
      TRY_STATUS(write(*to, std::string_view(block).substr(0, count), at));
    }
    at += block.size();
    result_.bytes += block.size();
    if (job_.progress) job_.progress(result_.bytes, total_);
  }
  for (const auto& d : segment.damages)
    result_.problems.push_back(
        fmt::format("{} at offset {}, {} bytes: {}; it was so in the account when it was copied",
                    from, d.offset, d.length, d.what));
  if (sum.take() != segment.sha256) {
    result_.problems.push_back(from + ": its SHA-256 is not that of the manifest");
    TRY(const SegmentCheck found, check_segment(bytes.reader(), segment.size, bytes.header()));
    for (const auto& d : found.damages)
      result_.problems.push_back(
          fmt::format("{} at offset {}, {} bytes: {}", from, d.offset, d.length, d.what));
  }
  TRY_STATUS(to->flush(SegmentFile::Flush::all));
  last_ = bytes.header();
  last_end_ = size;
  last_sealed_ = whole && segment.sealed;
  result_.last_seq = std::min(segment.to, job_.upto);
  return {};
}

// What follows the records of the backup, in the last segment or, when that is sealed, in one more.
Status Restore::write_last() {
  if (last_.number == 0)
    return fail(Fault::storage, "nothing to restore",
                backup_.path() + ": no segment can be read; nothing was restored");
  SegmentFileRef file;
  next_seq_ = result_.last_seq + 1;
  if (last_sealed_) {
    TRY(file, begin_segment());
  } else {
    TRY(file, segments_->open(last_.number, Access::write));
  }
  next_seq_ = std::max(result_.last_seq, manifest_.end.seq) + 1 + job_.unseen.records;
  TRY_STATUS(write_record(*file, Gap{.skip = job_.skip + job_.unseen.numbers, .damage = 0}));
  if (!job_.new_user.empty()) {
    Id id{};
    randombytes_buf(id.data(), id.size());
    const AccountNamed named{job_.new_user, std::string(id.begin(), id.end())};
    TRY_STATUS(write_record(*file, named));
    // In two files, and in a footer: see Account::give_to.
    TRY_STATUS(seal(*file));
    TRY(file, begin_segment());
    TRY_STATUS(write_record(*file, named));
  }
  for (const MailboxId id : job_.mailboxes) {
    TRY_STATUS(write_record(*file, only_modseq(id)));
  }
  return file->flush(SegmentFile::Flush::all);
}

Result<SegmentFileRef> Restore::begin_segment() {
  last_.number++;
  last_.version = kJournalVersion;
  last_.first_seq = next_seq_;
  randombytes_buf(last_.segment.data(), last_.segment.size());
  last_end_ = kFirstRecord;
  TRY(SegmentFileRef file, segments_->create(last_.number));
  TRY_STATUS(write(*file, encode(last_), 0));
  return file;
}

Status Restore::seal(SegmentFile& file) {
  const ReadAt read = [&file](uint64_t offset, size_t size) { return file.read(offset, size); };
  TRY(const Scan found, scan_segment(read, last_end_, last_, false));
  Id unique{};
  randombytes_buf(unique.data(), unique.size());
  const std::string footer = encode_footer(found.entries, last_end_, next_seq_ - 1, last_, unique);
  TRY_STATUS(write(file, footer, last_end_));
  TRY_STATUS(file.cut(last_end_ + footer.size()));
  return file.flush(SegmentFile::Flush::all);
}

template <class R>
Status Restore::write_record(SegmentFile& file, const R& record) {
  const std::string meta = record.encode();
  RecordHeader h;
  h.type = R::kType;
  h.version = R::kVersion;
  h.meta = static_cast<uint32_t>(meta.size());
  h.seq = h.batch_first = next_seq_++;
  h.batch_count = 1;
  h.time = job_.now;
  randombytes_buf(h.id.data(), h.id.size() - 4);  // the last four count within the batch
  const Id& key = last_.segment;
  h.meta_sum = checksum(key, meta);
  h.aux_sum = h.body_sum = checksum(key, {});
  std::string bytes(kRecordHeader, '\0');
  encode(h, key, bytes.data());
  bytes += meta;
  bytes.resize(static_cast<size_t>(h.total()));
  TRY_STATUS(write(file, bytes, last_end_));
  last_end_ += bytes.size();
  return {};
}

}  // namespace

Unseen unseen_since(const AccountState& known, int64_t made, int64_t now, uint32_t chance) {
  constexpr uint64_t kUids = 4;  // each second, on the average
  constexpr uint64_t kBurst = uint64_t{1} << 24;
  // More each second than an account can have written, and what comes by chance is less: so a
  // restore that is made a second later begins above all that followed the one before.
  constexpr uint64_t kRecords = uint64_t{1} << 20, kAtOnce = uint64_t{1} << 16;
  const Unseen least;
  const auto seconds = static_cast<uint64_t>(std::clamp<int64_t>(now - made, 0, int64_t{1} << 36));
  uint64_t left = UINT32_MAX;
  for (const auto& [id, mailbox] : known.mailboxes())
    left = std::min<uint64_t>(left, UINT32_MAX - mailbox->info().uidnext.value);
  const uint64_t wanted = least.numbers + std::min(seconds, left) * kUids + chance % kBurst;
  return {.numbers =
              static_cast<uint32_t>(std::min(wanted, std::max<uint64_t>(left / 4, least.numbers))),
          .records = least.records + seconds * kRecords + chance % kAtOnce};
}

Result<RestoredAccount> restore_account(const Fd& base, const AccountDir& backup,
                                        const BackupManifest& manifest, const RestoreJob& job) {
  return Restore(base, backup, manifest, job).run();
}

Result<bool> account_exists(const Fd& base, const std::string& account) {
  const std::string path = account_path_of(account) + "/journal";
  const Fd fd(Disk::real().open(base.get(), path.c_str(), O_RDONLY | O_DIRECTORY, 0));
  if (!fd && errno != ENOENT) return fail_to_open(path, errno);
  if (!fd) return false;
  TRY(const bool unused, is_unused(Disk::real(), base, account_path_of(account)));
  return !unused;
}

Status is_backup_of(const std::string& user, JournalReader& journal, const BackupManifest& manifest,
                    const std::string& path) {
  TRY(const std::string owner, journal.owner());
  if (owner == user) return {};
  const std::string account = unique_user_id(user);
  const std::string of = manifest.user.empty() ? "account " + manifest.account : manifest.user;
  if (manifest.account != account)
    return fail(
        Fault::refused, "another user's backup",
        fmt::format("{} is a backup of {}, not of {}", path, owner.empty() ? of : owner, user));
  if (owner.empty()) return {};
  return fail(
      Fault::refused, "another user's backup",
      fmt::format("{0} holds the mail of \"{1}\", not of {2}: the directories of two accounts "
                  "were swapped when it was made; \"rims-ctl restore {1} --from {0}\" "
                  "restores it to that user",
                  path, owner, user));
}

}  // namespace rims::store
