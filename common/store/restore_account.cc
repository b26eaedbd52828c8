// common/store/restore_account.cc - segments of a backup become an account

#include "common/store/restore_account.h"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include <fmt/format.h>
#include <sodium.h>

#include "common/store/backup_files.h"

namespace rims::store {
namespace {

constexpr size_t kBlock = size_t{1} << 20;

class Restore {
 public:
  Restore(const Fd& base, const AccountDir& backup, const BackupManifest& manifest,
          const RestoreJob& job)
      : base_(base),
        backup_(backup),
        manifest_(manifest),
        job_(job),
        disk_(job.disk ? *job.disk : Disk::real()) {
    above_ = "mailbox.3/" + job.account.substr(0, 2);
    final_ = above_ + "/" + job.account.substr(2);
    made_ = above_ + "/restoring-" + job.account.substr(2);
  }

  Result<RestoredAccount> run() {
    TRY_STATUS(choose());
    TRY_STATUS(room());
    TRY_STATUS(make_directories());
    for (const auto* segment : wanted_) {
      TRY_STATUS(copy(*segment));
    }
    TRY_STATUS(write_gap());
    TRY_STATUS(sync(made_ + "/journal"));
    TRY_STATUS(sync(made_));
    if (disk_.rename(base_.get(), made_.c_str(), final_.c_str()) != 0) {
      if (errno == EEXIST)
        return fail(Fault::refused, "the account exists",
                    final_ + " has come up meanwhile; run the command again");
      return fail_errno("rename " + made_, errno);
    }
    TRY_STATUS(sync(above_));
    return std::move(result_);
  }

 private:
  Status choose();
  Status room() const;
  Status make_directories();
  Status remove_leftover();
  Status copy(const BackupSegment& segment);
  Result<uint64_t> end_of(SegmentBytes& bytes, const BackupSegment& segment) const;
  Status write_gap();
  Result<Fd> create(const std::string& path);
  Status write(const Fd& fd, std::string_view bytes, uint64_t offset,
               const std::string& path) const;
  Status mkdir(const std::string& path);
  Status give(const Fd& fd, const std::string& path) const;
  Status sync(const std::string& path) const;

  const Fd& base_;
  const AccountDir& backup_;
  const BackupManifest& manifest_;
  const RestoreJob& job_;
  Disk& disk_;
  std::string above_, final_, made_;
  std::vector<const BackupSegment*> wanted_;
  uint64_t total_ = 0;
  SegmentHeader last_;  // of the last segment written
  uint64_t last_end_ = 0;
  bool last_sealed_ = false;
  RestoredAccount result_;
};

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

Status Restore::give(const Fd& fd, const std::string& path) const {
  if (job_.uid == static_cast<uid_t>(-1)) return {};
  if (fchown(fd.get(), job_.uid, job_.gid) != 0) return fail_errno("chown " + path, errno);
  return {};
}

Status Restore::sync(const std::string& path) const {
  const Fd fd(disk_.open(base_.get(), path.c_str(), O_RDONLY | O_DIRECTORY, 0));
  if (!fd) return fail_errno("open " + path, errno);
  if (disk_.fsync(fd.get()) != 0) return fail_errno("fsync " + path, errno);
  return {};
}

Status Restore::mkdir(const std::string& path) {
  const bool made = disk_.mkdir(base_.get(), path.c_str(), 0700) == 0;
  if (!made && errno != EEXIST) return fail_errno("mkdir " + path, errno);
  if (made) {
    const Fd fd(disk_.open(base_.get(), path.c_str(), O_RDONLY | O_DIRECTORY, 0));
    if (!fd) return fail_errno("open " + path, errno);
    TRY_STATUS(give(fd, path));
  }
  // Also when it was there: whoever made it may have been killed before that.
  const size_t slash = path.rfind('/');
  return sync(slash == path.npos ? "." : path.substr(0, slash));
}

// Of a restore that did not end.
Status Restore::remove_leftover() {
  const Fd old(disk_.open(base_.get(), made_.c_str(), O_RDONLY | O_DIRECTORY, 0));
  if (!old) return {};
  if (flock(old.get(), LOCK_EX | LOCK_NB) != 0)
    return fail(Fault::refused, "busy", made_ + ": another restore of this account is running");
  auto names = list_directory(disk_, old.get(), "journal", made_ + "/journal");
  for (const auto& name : names ? *names : std::vector<std::string>())
    if (disk_.unlink(old.get(), ("journal/" + name).c_str()) != 0)
      return fail_errno("unlink " + made_ + "/journal/" + name, errno);
  (void)unlinkat(old.get(), "journal", AT_REMOVEDIR);
  if (unlinkat(base_.get(), made_.c_str(), AT_REMOVEDIR) != 0)
    return fail_errno("rmdir " + made_, errno);
  return {};
}

Status Restore::make_directories() {
  TRY_STATUS(mkdir("mailbox.3"));
  TRY_STATUS(mkdir(above_));
  TRY_STATUS(remove_leftover());
  TRY_STATUS(mkdir(made_));
  return mkdir(made_ + "/journal");
}

Result<Fd> Restore::create(const std::string& path) {
  Fd fd(disk_.open(base_.get(), path.c_str(), O_RDWR | O_CREAT | O_EXCL, 0600));
  if (!fd) return fail_errno("open " + path, errno);
  TRY_STATUS(give(fd, path));
  return fd;
}

Status Restore::write(const Fd& fd, std::string_view bytes, uint64_t offset,
                      const std::string& path) const {
  std::vector<iovec> pieces{{const_cast<char*>(bytes.data()), bytes.size()}};
  errno = 0;
  auto written = write_all(disk_, fd.get(), std::move(pieces), offset, path);
  if (!written && (errno == ENOSPC || errno == EDQUOT))
    return fail(Fault::limit, "not enough space", written.error().detail());
  return written;
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
  const std::string name = segment_file(segment.number);
  const std::string from = backup_.path() + "/" + name;
  auto opened = backup_.open_file(name, O_RDONLY);
  if (!opened) {
    if (errno != ENOENT && errno != EIO) return std::unexpected(opened.error());
    result_.problems.push_back(opened.error().detail());
    return {};
  }
  SegmentBytes bytes(*std::move(opened), from);
  TRY_STATUS(bytes.open());
  if (bytes.state() != HeaderState::good || bytes.header().segment != segment.id) {
    result_.problems.push_back(from + ": its headers are damaged; its records are not restored");
    return {};
  }
  const bool whole = segment.to <= job_.upto;
  uint64_t size = std::min(segment.size, bytes.size());
  if (!whole) {
    TRY(size, end_of(bytes, segment));
  }
  const std::string to = made_ + "/" + name;
  TRY(const Fd fd, create(to));
  Sha256 sum;
  uint64_t at = 0;
  while (at < segment.size) {
    TRY(const std::string block,
        bytes.read(at, static_cast<size_t>(std::min<uint64_t>(kBlock, segment.size - at))));
    if (block.empty()) break;
    sum.add(block);
    if (at < size) {
      TRY_STATUS(write(fd,
                       std::string_view(block).substr(
                           0, static_cast<size_t>(std::min<uint64_t>(block.size(), size - at))),
                       at, to));
    }
    at += block.size();
    result_.bytes += block.size();
    if (job_.progress) job_.progress(result_.bytes, total_);
  }
  if (sum.take() != segment.sha256) {
    result_.problems.push_back(from + ": its SHA-256 is not that of the manifest");
    TRY(const SegmentCheck found, check_segment(bytes.reader(), segment.size, bytes.header()));
    for (const auto& d : found.damages)
      result_.problems.push_back(
          fmt::format("{} at offset {}, {} bytes: {}", from, d.offset, d.length, d.what));
  }
  if (disk_.fsync(fd.get()) != 0) return fail_errno("fsync " + to, errno);
  last_ = bytes.header();
  last_end_ = size;
  last_sealed_ = whole && segment.sealed;
  result_.last_seq = std::min(segment.to, job_.upto);
  return {};
}

// One record, in the last segment or, when that is sealed, in one more.
Status Restore::write_gap() {
  if (last_.number == 0)
    return fail(Fault::storage, "nothing to restore",
                backup_.path() + ": no segment can be read; nothing was restored");
  Fd fd;
  std::string path = made_ + "/" + segment_file(last_.number);
  if (last_sealed_) {
    last_.number++;
    last_.first_seq = result_.last_seq + 1;
    randombytes_buf(last_.segment.data(), last_.segment.size());
    last_end_ = kFirstRecord;
    path = made_ + "/" + segment_file(last_.number);
    TRY(fd, create(path));
    TRY_STATUS(write(fd, encode(last_), 0, path));
  } else {
    fd = Fd(disk_.open(base_.get(), path.c_str(), O_RDWR, 0));
    if (!fd) return fail_errno("open " + path, errno);
  }
  const std::string meta = Gap{.skip = job_.skip + kRestoreSkip, .damage = 0}.encode();
  RecordHeader h;
  h.type = RecordType::gap;
  h.meta = static_cast<uint32_t>(meta.size());
  h.seq = h.batch_first = result_.last_seq + 1;
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
  TRY_STATUS(write(fd, bytes, last_end_, path));
  if (disk_.fsync(fd.get()) != 0) return fail_errno("fsync " + path, errno);
  return {};
}

}  // namespace

Result<RestoredAccount> restore_account(const Fd& base, const AccountDir& backup,
                                        const BackupManifest& manifest, const RestoreJob& job) {
  return Restore(base, backup, manifest, job).run();
}

bool account_exists(const Fd& base, const std::string& account) {
  const std::string path =
      "mailbox.3/" + account.substr(0, 2) + "/" + account.substr(2) + "/journal";
  const Fd fd(Disk::real().open(base.get(), path.c_str(), O_RDONLY | O_DIRECTORY, 0));
  return fd.valid();
}

}  // namespace rims::store
