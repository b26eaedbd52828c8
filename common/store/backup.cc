// common/store/backup.cc - one account into one backup directory

#include "common/store/backup.h"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <fcntl.h>
#include <map>
#include <optional>
#include <set>
#include <sys/stat.h>
#include <utility>

#include <fmt/format.h>

#include "common/base/encoding.h"
#include "common/store/backup_files.h"

namespace rims::store {
namespace {

constexpr size_t kBlock = size_t{1} << 20;

std::string relative_path(const std::string& account) {
  return "mailbox.3/" + account.substr(0, 2) + "/" + account.substr(2);
}

std::string damage_text(const std::string& path, const BackupDamage& d) {
  return fmt::format("{} at offset {}, {} bytes: {}", path, d.offset, d.length, d.what);
}

// A segment of the account, opened. Compaction may replace the file meanwhile; this one stays.
struct SourceSegment {
  std::unique_ptr<SegmentBytes> bytes;
  uint64_t end = 0;  // what is to be copied ends here
  bool sealed = false;
};

class Backup {
 public:
  Backup(const Fd& base, const BackupJob& job)
      : base_(base), job_(job), disk_(job.disk ? *job.disk : Disk::real()) {}

  Result<BackupReport> run() {
    TRY_STATUS(open_source());
    TRY_STATUS(make_directory(job_.directory));
    TRY_STATUS(open_target());
    TRY(const bool goes_on, continues());
    if (!goes_on) {
      TRY_STATUS(put_aside());
      TRY_STATUS(open_target());
    }
    TRY_STATUS(measure());
    for (auto& [number, source] : sources_) {
      TRY_STATUS(one_segment(number, source));
    }
    for (const auto& kept : manifest().segments) {
      if (!sources_.contains(kept.number))
        report_.damages.push_back(fmt::format("{}/{} is missing; the backup keeps its copy of it",
                                              source_path_, segment_file(kept.number)));
    }
    std::ranges::sort(manifest().segments, {}, &BackupSegment::number);
    TRY_STATUS(write_manifest());
    return std::move(report_);
  }

 private:
  BackupManifest& manifest() { return report_.manifest; }
  std::string target_path() const { return job_.directory + "/" + job_.account; }
  BackupSegment* copy_of(uint32_t number) {
    const auto found = std::ranges::find(manifest().segments, number, &BackupSegment::number);
    return found == manifest().segments.end() ? nullptr : &*found;
  }

  Status open_source();
  Result<bool> open_segments(const Fd& dir, const std::string& journal,
                             const std::vector<std::string>& names, std::set<uint32_t>& seen);
  Status make_directory(const std::string& path);
  Status open_target();
  Result<bool> continues();
  Result<bool> holds(SourceSegment& source, const BackupEnd& end);
  Result<bool> is_compaction_of(SegmentBytes& source, const BackupSegment& copy);
  Status put_aside();
  Status measure();
  Status find_end(SourceSegment& source, bool last);
  Status one_segment(uint32_t number, SourceSegment& source);
  Result<bool> is_sound(const BackupSegment& copy);
  Status copy(uint32_t number, SourceSegment& source, const BackupSegment* earlier);
  Status merge(uint32_t number, SourceSegment& source, const BackupSegment& earlier);
  Status take(ReplacingFile& file, const SegmentHeader& header, const Id& source_id, bool sealed,
              bool replaces);
  Result<std::unique_ptr<SegmentBytes>> open_copy(uint32_t number);
  Status write_manifest();
  void tell() {
    if (job_.progress) job_.progress(done_, total_);
  }

  const Fd& base_;
  const BackupJob& job_;
  Disk& disk_;
  BackupReport report_;
  std::string source_path_;
  std::map<uint32_t, SourceSegment> sources_;
  std::optional<AccountDir> target_;
  uint64_t done_ = 0, total_ = 0;
};

Status Backup::open_source() {
  source_path_ = relative_path(job_.account);
  const std::string journal = source_path_ + "/journal";
  const Fd dir(disk_.open(base_.get(), journal.c_str(), O_RDONLY | O_DIRECTORY, 0));
  if (!dir && errno == ENOENT)
    return fail(Fault::not_found, "no such account", journal + " is missing");
  if (!dir) return fail_errno("open " + journal, errno);
  // An opened file stays as it is when a compaction replaces it; one that is opened after that
  // lacks the bytes of expunged messages, and the segment that tells of the expunge may have begun
  // after the directory was read. So it is read until it names nothing that is not open, and only
  // then is it decided where the copy ends.
  std::set<uint32_t> seen;
  for (bool more = true; std::exchange(more, false);) {
    TRY(const auto names, list_directory(disk_, dir.get(), ".", journal));
    TRY(more, open_segments(dir, journal, names, seen));
  }
  for (auto& [number, source] : sources_) {
    TRY_STATUS(source.bytes->open());
  }
  return {};
}

// True when there was one that was not seen before.
Result<bool> Backup::open_segments(const Fd& dir, const std::string& journal,
                                   const std::vector<std::string>& names,
                                   std::set<uint32_t>& seen) {
  bool more = false;
  for (const auto& name : names) {
    const uint32_t number = segment_number(name);
    if (number == 0 || !seen.insert(number).second) continue;
    more = true;
    const std::string path = journal + "/" + name;
    Fd fd(disk_.open(dir.get(), name.c_str(), O_RDONLY, 0));
    if (!fd) {
      if (errno == EMFILE || errno == ENFILE) return fail_errno("open " + path, errno);
      report_.damages.push_back(fail_errno("open " + path, errno).error().detail());
      continue;
    }
    SourceSegment source{std::make_unique<SegmentBytes>(std::move(fd), path, disk_), 0, false};
    TRY_STATUS(source.bytes->open());
    if (source.bytes->state() == HeaderState::damaged) {
      // The last one may be on its way to be a segment.
      if (name != names.back() || source.bytes->size() > (64U << 10))
        report_.damages.push_back(path + ": both headers are damaged; its records are lost");
      continue;
    }
    sources_.emplace(number, std::move(source));
  }
  return more;
}

Status Backup::make_directory(const std::string& path) {
  const size_t end = path.find_last_not_of('/') + 1;
  const size_t slash = path.substr(0, end).rfind('/');
  const std::string above = slash == path.npos ? "." : path.substr(0, slash + 1);
  const std::string name = path.substr(slash + 1, end - slash - 1);
  if (name.empty()) return {};  // it is "/"
  const Fd parent(::open(above.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!parent) return fail_errno("open " + above, errno);
  if (disk_.mkdir(parent.get(), name.c_str(), 0700) != 0 && errno != EEXIST) {
    if (errno == ENOSPC || errno == EDQUOT)
      return fail(Fault::limit, "not enough space", "mkdir " + path + ": no space left");
    return fail_errno("mkdir " + path, errno);
  }
  // Whoever made it may have been killed before that.
  if (disk_.fsync(parent.get()) != 0) return fail_errno("fsync " + above, errno);
  return {};
}

Status Backup::open_target() {
  TRY_STATUS(make_directory(target_path()));
  target_.reset();
  TRY(AccountDir dir, AccountDir::at(disk_, target_path()));
  target_.emplace(std::move(dir));
  TRY_STATUS(target_->make_directory("journal"));
  auto earlier = read_manifest(*target_);
  if (!earlier && earlier.error().code() == "VERSION") return std::unexpected(earlier.error());
  manifest() = {};
  if (earlier) {
    manifest() = *std::move(earlier);
  } else if (earlier.error().fault() != Fault::not_found) {
    report_.notes.push_back(earlier.error().detail());
    TRY_STATUS(put_aside());
    return open_target();
  }
  manifest().account = job_.account;
  if (!job_.user.empty()) manifest().user = job_.user;
  return {};
}

// Is the last record of the earlier copy in this segment of the source?
Result<bool> Backup::holds(SourceSegment& source, const BackupEnd& end) {
  SegmentBytes& bytes = *source.bytes;
  const auto* copy = copy_of(end.segment);
  if (copy && copy->id == bytes.header().segment) {
    TRY(const std::string head, bytes.read(end.offset, kRecordHeader));
    const auto record = decode_or_mend(head, bytes.header().segment);
    return record && record->header.seq == end.seq && record->header.id == end.id;
  }
  TRY(const Scan scan, scan_segment(bytes.reader(), bytes.size(), bytes.header(), false));
  return std::ranges::any_of(scan.entries, [&](const Entry& e) {
    return e.header.seq == end.seq && e.header.id == end.id;
  });
}

// The same records under another key; the copy may lack the newest.
Result<bool> Backup::is_compaction_of(SegmentBytes& source, const BackupSegment& copy) {
  TRY(const auto ours, open_copy(copy.number));
  if (!ours) return true;  // there is nothing to keep
  TRY(const Scan old_scan, scan_segment(ours->reader(), copy.size, ours->header(), false));
  TRY(const Scan new_scan, scan_segment(source.reader(), source.size(), source.header(), false));
  std::map<uint64_t, Id> ids;
  for (const auto& e : old_scan.entries) ids[e.header.seq] = e.header.id;
  return std::ranges::all_of(new_scan.entries, [&](const Entry& e) {
    const auto found = ids.find(e.header.seq);
    return found == ids.end() || found->second == e.header.id;
  });
}

// False: the source is not what the earlier copy was made of, or has gone back behind it.
Result<bool> Backup::continues() {
  auto& m = manifest();
  if (m.segments.empty() || m.end.seq == 0) return true;
  const auto differs = [&](std::string why) {
    report_.notes.push_back(std::move(why));
    return false;
  };
  if (sources_.empty()) return differs(fmt::format("{} has no journal any more", source_path_));
  if (sources_.begin()->second.bytes->header().account != m.account_id)
    return differs(fmt::format("{} is another account than the one that was backed up on {}",
                               source_path_, utc_text(m.made)));
  const auto last = sources_.find(m.end.segment);
  bool there = false;
  if (last != sources_.end()) {
    TRY(there, holds(last->second, m.end));
  }
  if (!there)
    return differs(
        fmt::format("{} does not have record {} of the earlier backup (of {}): it was "
                    "set back",
                    source_path_, m.end.seq, utc_text(m.made)));
  for (auto& copy : m.segments) {
    const auto found = sources_.find(copy.number);
    if (found == sources_.end()) continue;
    const Id& id = found->second.bytes->header().segment;
    if (id == copy.id || id == copy.source_id) continue;
    TRY(const bool same, is_compaction_of(*found->second.bytes, copy));
    if (!same)
      return differs(
          fmt::format("{} has other records than its earlier backup", found->second.bytes->path()));
  }
  return true;
}

Status Backup::put_aside() {
  const std::string when = [&] {
    std::string text = utc_text(job_.clock());
    std::erase_if(text, [](char c) { return c == '-' || c == ':'; });
    return text;
  }();
  const Fd above(::open(job_.directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!above) return fail_errno("open " + job_.directory, errno);
  for (int count = 0;; count++) {
    const std::string to =
        job_.account + ".aside-" + when + (count ? fmt::format("-{}", count) : "");
    if (disk_.rename(above.get(), job_.account.c_str(), to.c_str()) == 0) {
      report_.notes.push_back(
          fmt::format("the earlier backup is kept as {}/{}", job_.directory, to));
      break;
    }
    if (errno != EEXIST) return fail_errno("rename " + target_path(), errno);
  }
  if (disk_.fsync(above.get()) != 0) return fail_errno("fsync " + job_.directory, errno);
  return {};
}

// Where the whole batches end.
Status Backup::find_end(SourceSegment& source, bool last) {
  SegmentBytes& bytes = *source.bytes;
  TRY(const auto footer, read_footer(bytes.reader(), bytes.size(), bytes.header()));
  if (footer) {
    source.sealed = true;
    source.end = bytes.size();
    return {};
  }
  TRY(const Scan found, scan_segment(bytes.reader(), bytes.size(), bytes.header(), last));
  source.end = found.end;
  // In the middle of the journal there is no end that was not acknowledged.
  for (const auto& d : found.damages) source.end = std::max(source.end, d.offset + d.length);
  // A batch can be seen whose flush has not returned. What a backup holds must not vanish from
  // its source.
  if (disk_.fdatasync(bytes.fd()) != 0) return fail_errno("fdatasync " + bytes.path(), errno);
  return {};
}

Status Backup::measure() {
  for (auto& [number, source] : sources_) {
    auto* copy = copy_of(number);
    struct stat st{};
    // A copy that was taken away, because it was found damaged, is made again.
    if (copy && (fstatat(target_->fd(), segment_file(number).c_str(), &st, 0) != 0 ||
                 static_cast<uint64_t>(st.st_size) < copy->size)) {
      report_.notes.push_back(fmt::format("{}/{} is missing or too short; copied again",
                                          target_path(), segment_file(number)));
      std::erase_if(manifest().segments, [&](const auto& s) { return s.number == number; });
      copy = nullptr;
    }
    if (copy && copy->sealed) continue;
    TRY_STATUS(find_end(source, number == sources_.rbegin()->first));
    total_ += source.end - std::min(copy ? copy->size : 0, source.end);
  }
  tell();
  return {};
}

Result<std::unique_ptr<SegmentBytes>> Backup::open_copy(uint32_t number) {
  auto fd = target_->open_file(segment_file(number), O_RDONLY);
  if (!fd && errno == ENOENT) return nullptr;
  if (!fd) return std::unexpected(fd.error());
  auto bytes = std::make_unique<SegmentBytes>(*std::move(fd),
                                              target_path() + "/" + segment_file(number), disk_);
  TRY_STATUS(bytes->open());
  return bytes;
}

Status Backup::one_segment(uint32_t number, SourceSegment& source) {
  auto* earlier = copy_of(number);
  const Id& id = source.bytes->header().segment;
  if (earlier && (earlier->sealed || (earlier->id == id && source.end <= earlier->size))) {
    report_.segments_kept++;
    earlier->source_id = id;
    return {};
  }
  report_.segments_copied++;
  if (earlier && earlier->id != id) {
    const BackupSegment before = *earlier;
    return merge(number, source, before);
  }
  if (!earlier) return copy(number, source, nullptr);
  const BackupSegment before = *earlier;
  return copy(number, source, &before);
}

Result<bool> Backup::is_sound(const BackupSegment& copy) {
  TRY(const auto ours, open_copy(copy.number));
  Sha256 sum;
  for (uint64_t at = 0; ours && at < copy.size;) {
    TRY(const std::string block,
        ours->read(at, static_cast<size_t>(std::min<uint64_t>(kBlock, copy.size - at))));
    if (block.empty()) break;
    sum.add(block);
    at += block.size();
  }
  return sum.take() == copy.sha256;
}

// All of it, or what follows the earlier copy.
Status Backup::copy(uint32_t number, SourceSegment& source, const BackupSegment* earlier) {
  if (earlier) {
    TRY(const bool sound, is_sound(*earlier));
    if (!sound) {
      report_.notes.push_back(
          fmt::format("{}/{} was damaged; copied again", target_path(), segment_file(number)));
      total_ += earlier->size;
      return copy(number, source, nullptr);
    }
  }
  TRY(ReplacingFile file, ReplacingFile::create(*target_, segment_file(number)));
  if (earlier) {
    TRY(const auto ours, open_copy(number));
    while (file.size() < earlier->size) {
      TRY(const std::string block,
          ours->read(file.size(),
                     static_cast<size_t>(std::min<uint64_t>(kBlock, earlier->size - file.size()))));
      TRY_STATUS(file.write(block));
    }
  }
  while (file.size() < source.end) {
    TRY(const std::string block,
        source.bytes->read(file.size(), static_cast<size_t>(
                                            std::min<uint64_t>(kBlock, source.end - file.size()))));
    if (block.empty())
      return fail(
          Fault::storage, "a segment became shorter",
          fmt::format("{} ends at {}, not at {}", source.bytes->path(), file.size(), source.end));
    TRY_STATUS(file.write(block));
    report_.copied += block.size();
    done_ += block.size();
    tell();
  }
  for (const auto& d : source.bytes->unreadable())
    report_.damages.push_back(damage_text(source.bytes->path(), d));
  return take(file, source.bytes->header(), source.bytes->header().segment, source.sealed, false);
}

Status Backup::merge(uint32_t number, SourceSegment& source, const BackupSegment& earlier) {
  TRY(ReplacingFile file, ReplacingFile::create(*target_, segment_file(number)));
  TRY(const auto ours, open_copy(number));
  SegmentHeader header = source.bytes->header();
  TRY_STATUS(
      merge_segments(*ours, earlier.size, *source.bytes, file, header.segment, report_.damages));
  const uint64_t fresh = source.end - std::min(earlier.size, source.end);
  report_.copied += fresh;
  done_ += fresh;
  return take(file, header, source.bytes->header().segment, true, true);
}

// Looks at what was written, and makes it part of the backup.
Status Backup::take(ReplacingFile& file, const SegmentHeader& header, const Id& source_id,
                    bool sealed, bool replaces) {
  TRY(const SegmentCheck found, check_segment(file.reader(), file.size(), header));
  BackupSegment segment{.number = header.number,
                        .id = header.segment,
                        .source_id = source_id,
                        .size = file.size(),
                        .sha256 = file.take_sum(),
                        .from = found.from,
                        .to = found.to,
                        .records = found.records,
                        .sealed = sealed && found.sealed,
                        .damages = found.damages};
  const std::string source = source_path_ + "/" + segment_file(header.number);
  for (const auto& d : segment.damages) report_.damages.push_back(damage_text(source, d));
  TRY_STATUS(file.flush());
  if (replaces) {
    manifest().replacing = segment;
    TRY_STATUS(write_manifest());
  }
  TRY_STATUS(file.put_in_place());
  auto& m = manifest();
  m.replacing.reset();
  m.account_id = header.account;
  if (found.end.seq >= m.end.seq) m.end = found.end;
  if (auto* known = copy_of(header.number))
    *known = std::move(segment);
  else
    m.segments.push_back(std::move(segment));
  std::ranges::sort(m.segments, {}, &BackupSegment::number);
  return write_manifest();
}

Status Backup::write_manifest() {
  manifest().made = job_.clock();
  TRY(ReplacingFile file, ReplacingFile::create(*target_, kManifestName));
  TRY_STATUS(file.write(encode(manifest())));
  TRY_STATUS(file.flush());
  return file.put_in_place();
}

}  // namespace

Result<BackupReport> back_up(const Fd& base, const BackupJob& job) {
  return Backup(base, job).run();
}

Result<BackupManifest> read_manifest(const AccountDir& dir) {
  const std::string path = dir.path() + "/" + kManifestName;
  auto fd = dir.open_file(kManifestName, O_RDONLY);
  if (!fd && errno == ENOENT)
    return fail(Fault::not_found, "no backup", path + " is missing: no backup, or not even begun");
  if (!fd) return std::unexpected(fd.error());
  TRY(const uint64_t size, file_size(fd->get(), path));
  TRY(const std::string text,
      read_up_to(dir.disk(), fd->get(), static_cast<size_t>(size), 0, path));
  TRY(BackupManifest m, decode_manifest(text, path));
  if (const auto replacing = std::exchange(m.replacing, {})) {
    TRY(Fd segment, dir.open_file(segment_file(replacing->number), O_RDONLY));
    SegmentBytes bytes(std::move(segment), dir.path() + "/" + segment_file(replacing->number));
    TRY_STATUS(bytes.open());
    for (auto& s : m.segments) {
      if (s.number != replacing->number || bytes.header().segment != replacing->id) continue;
      s = *replacing;
      TRY(const SegmentCheck found, check_segment(bytes.reader(), s.size, bytes.header()));
      if (found.end.seq >= m.end.seq) m.end = found.end;
    }
  }
  return m;
}

Result<std::vector<std::string>> list_accounts(const Fd& base) {
  std::vector<std::string> accounts;
  Disk& disk = Disk::real();
  auto above = list_directory(disk, base.get(), "mailbox.3", "mailbox.3");
  if (!above && errno == ENOENT) return accounts;
  if (!above) return std::unexpected(above.error());
  const auto is_hex = [](const std::string& text, size_t length) {
    return text.size() == length && text.find_first_not_of("0123456789abcdef") == text.npos;
  };
  for (const auto& first : *above) {
    if (!is_hex(first, 2)) continue;
    const std::string path = "mailbox.3/" + first;
    TRY(const auto names, list_directory(disk, base.get(), path, path));
    for (const auto& name : names) {
      if (is_hex(name, 62)) accounts.push_back(first + name);
    }
  }
  return accounts;
}

}  // namespace rims::store
