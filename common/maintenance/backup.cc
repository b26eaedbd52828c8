// common/maintenance/backup.cc - one account into one backup directory

#include "common/maintenance/backup.h"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <fcntl.h>
#include <map>
#include <optional>
#include <ranges>
#include <set>
#include <sys/stat.h>
#include <utility>

#include <fmt/format.h>

#include "common/base/encoding.h"
#include "common/journal/account_dir.h"
#include "common/journal/file_segments.h"
#include "common/maintenance/backup_files.h"

namespace rims::store {
namespace {

constexpr size_t kBlock = size_t{1} << 20;

std::string damage_text(const std::string& path, const BackupDamage& d) {
  return fmt::format("{} at offset {}, {} bytes: {}", path, d.offset, d.length, d.what);
}

// An open segment of the account. It stays readable when a compaction replaces the file.
struct SourceSegment {
  std::unique_ptr<SegmentBytes> bytes;
  uint64_t end = 0;  // what is to be copied ends here
  bool sealed = false;
  bool hurt_copy = false;  // a part of its copy is left
};

class Backup {
 public:
  Backup(const Fd& base, const BackupJob& job)
      : base_(base), job_(job), disk_(job.disk ? *job.disk : Disk::real()) {}

  Result<BackupReport> run() {
    TRY_STATUS(open_source());
    TRY_STATUS(open_directory());
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
                                              journal_path(), segment_name(kept.number)));
    }
    std::ranges::sort(manifest().segments, {}, &BackupSegment::number);
    TRY_STATUS(write_manifest());
    // By every run, not only by the one that copied it: nobody may have read what that one said.
    for (const auto& kept : manifest().segments)
      for (const auto& d : kept.damages)
        report_.damages.push_back(damage_text(journal_path() + "/" + segment_name(kept.number), d));
    // What the backup can not give back either.
    TRY(const auto missing, missing_segments(*copies_, manifest().segments));
    for (const auto& text : missing)
      report_.damages.push_back(
          fmt::format("{}: {}, and the backup has no copy of them; restore them from an earlier "
                      "backup that has them (rims-ctl restore)",
                      journal_path(), text));
    return std::move(report_);
  }

 private:
  BackupManifest& manifest() { return report_.manifest; }
  std::string target_path() const { return job_.directory + "/" + job_.account; }
  std::string copy_path(uint32_t number) const {
    return target_path() + "/journal/" + segment_name(number);
  }
  std::string journal_path() const { return source_path_ + "/journal"; }
  BackupSegment* copy_of(uint32_t number) {
    const auto found = std::ranges::find(manifest().segments, number, &BackupSegment::number);
    return found == manifest().segments.end() ? nullptr : &*found;
  }

  Status open_source();
  Status choose_segments();
  Status look_whose();
  Result<bool> open_segments(const std::vector<std::string>& names, std::set<uint32_t>& seen);
  Status open_directory();
  Status make_directory(const Fd& above, const std::string& name, const std::string& path);
  Status open_target();
  Result<bool> continues();
  Result<bool> holds(SourceSegment& source, const BackupEnd& end);
  Result<bool> is_compaction_of(SegmentBytes& source, const BackupSegment& copy);
  Status put_aside();
  Status measure();
  Status find_end(SourceSegment& source, bool last);
  Status one_segment(uint32_t number, SourceSegment& source);
  Result<bool> has_header(const BackupSegment& copy);
  Result<bool> is_sound(const BackupSegment& copy);
  Status copy(uint32_t number, SourceSegment& source, const BackupSegment* earlier);
  Status merge(uint32_t number, SourceSegment& source, const BackupSegment& earlier);
  Status take(NewSegment& file, const SegmentHeader& header, const Id& source_id, bool sealed,
              bool replaces);
  Result<std::unique_ptr<SegmentBytes>> open_copy(uint32_t number);
  Status write_manifest();
  void tell() {
    if (job_.progress) job_.progress(done_, total_);
  }

  const Fd& base_;
  const BackupJob& job_;
  Disk& disk_;
  Fd directory_;  // DIR
  BackupReport report_;
  std::string source_path_;
  std::map<uint32_t, SourceSegment> sources_;
  std::unique_ptr<Segments> source_;
  std::optional<AccountDir> target_;
  std::unique_ptr<Segments> copies_;  // in target_
  uint64_t done_ = 0, total_ = 0;
};

Status Backup::open_source() {
  source_path_ = account_path_of(job_.account);
  Fd dir(disk_.open(base_.get(), journal_path().c_str(), O_RDONLY | O_DIRECTORY, 0));
  if (!dir && errno == ENOENT)
    return fail(Fault::not_found, "no such account", journal_path() + " is missing");
  if (!dir) return fail_to_open(journal_path(), errno);
  source_ = std::make_unique<FileSegments>(std::move(dir), journal_path(), disk_);
  // An open segment stays as it is when a compaction replaces its file. One that is opened after
  // the compaction lacks the bytes of expunged messages, and the segment with the records of their
  // expunge may be newer than the list of names. So the list is read again until all segments in it
  // are open; only then the end of the copy is decided.
  std::set<uint32_t> seen;
  for (bool more = true; std::exchange(more, false);) {
    TRY(const auto names, source_->names());
    TRY(more, open_segments(names, seen));
  }
  for (auto& [number, source] : sources_) {
    TRY_STATUS(source.bytes->look());
  }
  TRY_STATUS(choose_segments());
  return look_whose();
}

// Those of this account, by the number that each says it has, whatever its name is.
Status Backup::choose_segments() {
  std::vector<uint32_t> names;
  for (const auto& [name, source] : sources_) names.push_back(name);
  TRY(const Census census, Census::take(*source_, names, true, [this](const std::string& user) {
        return unique_user_id(user) == job_.account;
      }));
  std::map<uint32_t, SourceSegment> opened = std::exchange(sources_, {});
  for (const bool by_right : {true, false}) {
    for (auto& [name, source] : opened) {
      if (!source.bytes) continue;
      const SegmentHeader& header = source.bytes->header();
      if (by_right != (header.number == name)) continue;
      const auto why = census.misfit(name, header);
      if (header.account == census.account() && !sources_.contains(header.number))
        sources_.emplace(header.number, std::move(source));
      else if (why)
        report_.damages.push_back(
            fmt::format("{} {}: not copied; {}", source.bytes->path(), why->what, why->remedy));
    }
  }
  // Nothing was ever written, or all of it is gone.
  if (!sources_.empty() || !report_.damages.empty()) return {};
  const std::string index = source_path_ + "/meta.gdbm";
  if (Fd(disk_.open(base_.get(), index.c_str(), O_PATH, 0)))
    report_.damages.push_back(fmt::format(
        "{} has no segment, and there is an index of what was in it; restore it from an earlier "
        "backup (rims-ctl restore)",
        journal_path()));
  return {};
}

// Before anything is written: an earlier backup of this user must not be put aside for another's.
Status Backup::look_whose() {
  for (auto& [number, source] : std::views::reverse(sources_)) {
    SegmentBytes& bytes = *source.bytes;
    TRY(const auto owner, user_named_in(bytes.reader(), bytes.size(), bytes.header()));
    if (!owner) continue;
    if (unique_user_id(*owner) != job_.account) return fail_owner(source_path_, *owner, job_.user);
    break;
  }
  return {};
}

// True when there was one that was not seen before.
Result<bool> Backup::open_segments(const std::vector<std::string>& names,
                                   std::set<uint32_t>& seen) {
  bool more = false;
  for (const auto& name : names) {
    const uint32_t number = segment_number(name);
    if (number == 0 || !seen.insert(number).second) continue;
    more = true;
    auto opened = SegmentBytes::open(*source_, number);
    if (!opened) {
      const int error = opened.error().system();
      if (error == 0 || error == EMFILE || error == ENFILE) return std::unexpected(opened.error());
      report_.damages.push_back(opened.error().detail());
      continue;
    }
    SourceSegment source{*std::move(opened), 0, false};
    if (source.bytes->state() == HeaderState::damaged) {
      // The last one may be a segment that is being made just now.
      if (name != names.back() || source.bytes->size() > (64U << 10))
        report_.damages.push_back(source.bytes->path() +
                                  ": both headers are damaged; its records are lost");
      continue;
    }
    sources_.emplace(number, std::move(source));
  }
  return more;
}

// DIR itself, by the path that the administrator gave. From there on all is opened beneath it,
// through no link: it may belong to somebody else than the one who makes the backup.
Status Backup::open_directory() {
  const std::string& path = job_.directory;
  const size_t end = path.find_last_not_of('/') + 1;
  const size_t slash = path.substr(0, end).rfind('/');
  const std::string above = slash == path.npos ? "." : path.substr(0, slash + 1);
  const std::string name = path.substr(slash + 1, end - slash - 1);
  if (!name.empty()) {  // else it is "/"
    const Fd parent(::open(above.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!parent) return fail_errno("open " + above, errno);
    TRY_STATUS(make_directory(parent, name, path));
  }
  directory_ = Fd(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!directory_) return fail_errno("open " + path, errno);
  return {};
}

Status Backup::make_directory(const Fd& above, const std::string& name, const std::string& path) {
  if (disk_.mkdir(above.get(), name.c_str(), 0700) != 0 && errno != EEXIST) {
    if (errno == ENOSPC || errno == EDQUOT)
      return fail(Fault::limit, "not enough space", "mkdir " + path + ": no space left");
    return fail_errno("mkdir " + path, errno);
  }
  // Also when it exists: the process that made it may have been killed before the fsync.
  if (disk_.fsync(above.get()) != 0) return fail_errno("fsync above " + path, errno);
  return {};
}

Status Backup::open_target() {
  TRY_STATUS(make_directory(directory_, job_.account, target_path()));
  target_.reset();
  TRY(AccountDir dir,
      AccountDir::beneath(disk_, directory_.get(), job_.account, job_.directory + "/"));
  target_.emplace(std::move(dir));
  copies_ = std::make_unique<FileSegments>(*target_);
  TRY_STATUS(copies_->prepare());
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

// True when both have the same records, under different keys; the copy may lack the newest ones.
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

// False: the source is another account, or is older than the earlier copy.
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
                    "set back to an earlier state",
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
  for (int count = 0;; count++) {
    const std::string to =
        job_.account + ".aside-" + when + (count ? fmt::format("-{}", count) : "");
    if (disk_.rename(directory_.get(), job_.account.c_str(), to.c_str()) == 0) {
      report_.notes.push_back(
          fmt::format("the earlier backup is kept as {}/{}", job_.directory, to));
      break;
    }
    if (errno != EEXIST) return fail_errno("rename " + target_path(), errno);
  }
  if (disk_.fsync(directory_.get()) != 0) return fail_errno("fsync " + job_.directory, errno);
  return {};
}

// Finds where the last complete batch ends.
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
  // Damage is copied, too: only at the end of the journal is there a write that was not
  // acknowledged.
  for (const auto& d : found.damages) source.end = std::max(source.end, d.offset + d.length);
  // The last batch may be visible before its flush has returned. So flush it here: a power loss
  // must not take from the source what the backup has.
  return bytes.flush();
}

Status Backup::measure() {
  for (auto& [number, source] : sources_) {
    auto* copy = copy_of(number);
    // The administrator may have removed a copy because it was damaged; it is made again. What is
    // left of one that is too short may have bytes that the account has given back.
    const auto there = copy ? copies_->open(number, Access::read) : SegmentFileRef();
    const bool short_copy = copy && (!there || (*there)->size().value_or(0) < copy->size);
    if (copy && copy->sealed && !short_copy) continue;
    TRY_STATUS(find_end(source, number == sources_.rbegin()->first));
    if (short_copy) {
      report_.notes.push_back(
          fmt::format("{} is missing or too short; copied again", copy_path(number)));
      TRY(const bool readable, has_header(*copy));
      source.hurt_copy = source.sealed && readable;
      if (!source.hurt_copy)
        std::erase_if(manifest().segments, [&](const auto& s) { return s.number == number; });
      copy = nullptr;
    }
    total_ += source.end - std::min(copy ? copy->size : 0, source.end);
  }
  tell();
  return {};
}

// Empty when it is not there.
Result<std::unique_ptr<SegmentBytes>> Backup::open_copy(uint32_t number) {
  auto bytes = SegmentBytes::open(*copies_, number);
  if (!bytes && bytes.error().system() == ENOENT) return nullptr;
  return bytes;
}

// Whether what is left of this copy can be read.
Result<bool> Backup::has_header(const BackupSegment& copy) {
  TRY(const auto ours, open_copy(copy.number));
  return ours && ours->state() == HeaderState::good && ours->header().segment == copy.id;
}

Status Backup::one_segment(uint32_t number, SourceSegment& source) {
  auto* earlier = copy_of(number);
  if (source.hurt_copy) {
    report_.segments_copied++;
    const BackupSegment before = *earlier;
    return merge(number, source, before);
  }
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

// Copies all of the segment, or what follows the earlier copy.
Status Backup::copy(uint32_t number, SourceSegment& source, const BackupSegment* earlier) {
  if (earlier) {
    TRY(const bool sound, is_sound(*earlier));
    if (!sound) {
      report_.notes.push_back(fmt::format("{} was damaged; copied again", copy_path(number)));
      total_ += earlier->size;
      TRY(const bool readable, has_header(*earlier));
      return source.sealed && readable ? merge(number, source, *earlier)
                                       : copy(number, source, nullptr);
    }
  }
  TRY(NewSegment file, NewSegment::create(*copies_, number));
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
  TRY(NewSegment file, NewSegment::create(*copies_, number));
  TRY(const auto ours, open_copy(number));
  SegmentHeader header = source.bytes->header();
  TRY_STATUS(merge_segments(*ours, std::min(earlier.size, ours->size()), *source.bytes, file,
                            header.segment, report_.damages));
  const uint64_t fresh = source.end - std::min(earlier.size, source.end);
  report_.copied += fresh;
  done_ += fresh;
  return take(file, header, source.bytes->header().segment, true, true);
}

// Verifies what was written, and makes it part of the backup.
Status Backup::take(NewSegment& file, const SegmentHeader& header, const Id& source_id, bool sealed,
                    bool replaces) {
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
  if (auto written = target_->replace_file(kManifestName, encode(manifest())); !written)
    return std::unexpected(no_space(written.error()));
  return {};
}

}  // namespace

Result<BackupReport> back_up(const Fd& base, const BackupJob& job) {
  return Backup(base, job).run();
}

Result<BackupManifest> read_manifest(const AccountDir& dir) {
  const std::string path = dir.path() + "/" + kManifestName;
  auto fd = dir.open_file(kManifestName, O_RDONLY);
  if (!fd && fd.error().system() == ENOENT)
    return fail(Fault::not_found, "no backup",
                path + " is missing: there is no backup, or its first run was interrupted early");
  if (!fd) return std::unexpected(fd.error());
  TRY(const uint64_t size, file_size(fd->get(), path));
  TRY(const std::string text,
      read_up_to(dir.disk(), fd->get(), static_cast<size_t>(size), 0, path));
  TRY(BackupManifest m, decode_manifest(text, path));
  if (const auto replacing = std::exchange(m.replacing, {})) {
    FileSegments segments(dir);
    TRY(const auto bytes, SegmentBytes::open(segments, replacing->number));
    for (auto& s : m.segments) {
      if (s.number != replacing->number || bytes->header().segment != replacing->id) continue;
      s = *replacing;
      TRY(const SegmentCheck found, check_segment(bytes->reader(), s.size, bytes->header()));
      if (found.end.seq >= m.end.seq) m.end = found.end;
    }
  }
  return m;
}

Result<std::vector<std::string>> list_accounts(const Fd& base) {
  std::vector<std::string> accounts;
  Disk& disk = Disk::real();
  auto above = list_directory(disk, base.get(), "mailbox.3", "mailbox.3");
  if (!above && above.error().system() == ENOENT) return accounts;
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
