// common/store/backup_files.cc - segments of a backup as files

#include "common/store/backup_files.h"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <fcntl.h>
#include <map>

#include <fmt/format.h>

namespace rims::store {

std::string segment_file(uint32_t number) { return fmt::format("journal/{:08}", number); }

uint32_t segment_number(std::string_view name) {
  if (name.size() != 8 || name.find_first_not_of("0123456789") != name.npos) return 0;
  uint32_t number = 0;
  for (const char c : name) number = number * 10 + static_cast<uint32_t>(c - '0');
  return number;
}

Status SegmentBytes::open() {
  TRY(size_, file_size(fd_.get(), path_));
  TRY(const std::string head, read(0, kFirstRecord));
  uint32_t version = 0;
  state_ = decode(head, header_, version);
  if (state_ == HeaderState::newer)
    return fail(Fault::storage, "a newer format",
                fmt::format("{} has format version {}, this program knows {}: not touched", path_,
                            version, kJournalVersion),
                "VERSION");
  return {};
}

Result<std::string> SegmentBytes::read(uint64_t offset, size_t size) {
  auto bytes = read_up_to(disk_, fd_.get(), size, offset, path_);
  if (bytes || errno != EIO) return bytes;
  constexpr size_t kBlock = 4096;
  std::string out;
  while (out.size() < size && offset + out.size() < size_) {
    const uint64_t at = offset + out.size();
    const size_t count = std::min(size - out.size(), kBlock - static_cast<size_t>(at % kBlock));
    auto block = read_up_to(disk_, fd_.get(), count, at, path_);
    if (!block) {
      const auto known = std::ranges::find(unreadable_, at, &BackupDamage::offset);
      if (known == unreadable_.end())
        unreadable_.push_back({at, count, "the disk can not read it: " + block.error().detail()});
      block = std::string(static_cast<size_t>(std::min<uint64_t>(count, size_ - at)), '\0');
    }
    if (block->empty()) break;
    out += *block;
  }
  return out;
}

Result<bool> parts_are_whole(const ReadAt& read, const Entry& entry, const Id& key) {
  const auto& h = entry.header;
  const uint64_t size = uint64_t{h.aux} + h.body;
  if (size == 0) return true;
  TRY(const std::string parts,
      read(entry.offset + kRecordHeader + h.meta, static_cast<size_t>(size)));
  const std::string_view all = parts;
  return all.size() == size && checksum(key, all.substr(0, h.aux)) == h.aux_sum &&
         checksum(key, all.substr(h.aux)) == h.body_sum;
}

Result<SegmentCheck> check_segment(const ReadAt& read, uint64_t size, const SegmentHeader& header) {
  const ReadAt within = [&](uint64_t offset, size_t count) -> Result<std::string> {
    if (offset >= size) return std::string();
    return read(offset, static_cast<size_t>(std::min<uint64_t>(count, size - offset)));
  };
  TRY(const Scan scan, scan_segment(within, size, header, false));
  SegmentCheck check;
  check.records = scan.entries.size();
  check.sealed = scan.sealed;
  for (const auto& d : scan.damages) check.damages.push_back({d.offset, d.length, d.what});
  for (const auto& e : scan.entries) {
    TRY(const bool good, parts_are_whole(within, e, header.segment));
    if (!good)
      check.damages.push_back(
          {e.offset, e.header.total(),
           fmt::format("record {} ({}): aux or body", e.header.seq, name(e.header.type))});
  }
  if (!scan.entries.empty()) {
    const auto& last = scan.entries.back();
    check.from = scan.entries.front().header.seq;
    check.to = last.header.seq;
    check.end = {.seq = last.header.seq,
                 .id = last.header.id,
                 .time = last.header.time,
                 .segment = header.number,
                 .offset = last.offset};
  }
  if (scan.sealed) {
    TRY(const auto footer, read_footer(within, size, header));
    if (!footer) check.damages.push_back({scan.end, size - scan.end, "the trailer of the footer"});
  }
  std::ranges::sort(check.damages, {}, &BackupDamage::offset);
  return check;
}

Result<ReplacingFile> ReplacingFile::create(const AccountDir& dir, const std::string& name) {
  TRY(Fd fd, dir.open_file(name + ".new", O_RDWR | O_CREAT | O_TRUNC));
  return ReplacingFile(dir, name, std::move(fd));
}

ReplacingFile::~ReplacingFile() {
  if (fd_) (void)dir_->disk().unlink(dir_->fd(), (name_ + ".new").c_str());
}

Status ReplacingFile::write(std::string_view bytes) {
  std::vector<iovec> pieces{{const_cast<char*>(bytes.data()), bytes.size()}};
  const std::string path = dir_->path() + "/" + name_ + ".new";
  errno = 0;
  if (auto written = write_all(dir_->disk(), fd_.get(), std::move(pieces), size_, path); !written) {
    if (errno == ENOSPC || errno == EDQUOT)
      return fail(Fault::limit, "not enough space", written.error().detail());
    return written;
  }
  hash_.add(bytes);
  size_ += bytes.size();
  return {};
}

ReadAt ReplacingFile::reader() const {
  return [this](uint64_t offset, size_t size) {
    return read_up_to(dir_->disk(), fd_.get(), size, offset, dir_->path() + "/" + name_ + ".new");
  };
}

Status ReplacingFile::flush() {
  if (dir_->disk().fsync(fd_.get()) != 0)
    return fail_errno("fsync " + dir_->path() + "/" + name_ + ".new", errno);
  return {};
}

Status ReplacingFile::put_in_place() {
  if (dir_->disk().replace(dir_->fd(), (name_ + ".new").c_str(), name_.c_str()) != 0)
    return fail_errno("rename " + dir_->path() + "/" + name_ + ".new", errno);
  fd_.reset();
  const size_t slash = name_.rfind('/');
  return dir_->sync_directory(slash == name_.npos ? "." : name_.substr(0, slash));
}

Status merge_segments(SegmentBytes& older, uint64_t older_size, SegmentBytes& newer,
                      ReplacingFile& out, Id& id, std::vector<std::string>& damages) {
  struct From {
    SegmentBytes* file = nullptr;
    Entry entry;
  };
  TRY(const Scan old_scan, scan_segment(older.reader(), older_size, older.header(), false));
  TRY(const Scan new_scan, scan_segment(newer.reader(), newer.size(), newer.header(), false));
  std::map<uint64_t, std::vector<From>> records;
  for (const auto& e : old_scan.entries) records[e.header.seq].push_back({&older, e});
  for (const auto& e : new_scan.entries) records[e.header.seq].push_back({&newer, e});

  SegmentHeader header = older.header();
  randombytes_buf(header.segment.data(), header.segment.size());
  id = header.segment;
  TRY_STATUS(out.write(encode(header)));
  std::vector<Entry> entries;
  for (const auto& [seq, choices] : records) {
    const From* chosen = nullptr;
    for (const auto& choice : choices) {
      TRY(const bool good,
          parts_are_whole(choice.file->reader(), choice.entry, choice.file->header().segment));
      if (!good) continue;
      chosen = &choice;
      break;
    }
    if (!chosen) {
      damages.push_back(fmt::format("{} at offset {}: record {}: aux or body; left out",
                                    choices.back().file->path(), choices.back().entry.offset, seq));
      continue;
    }
    Entry entry = chosen->entry;
    auto& h = entry.header;
    entry.offset = out.size();
    TRY(const std::string parts, chosen->file->read(chosen->entry.offset + kRecordHeader + h.meta,
                                                    static_cast<size_t>(uint64_t{h.aux} + h.body)));
    const std::string_view all = parts;
    const Id& key = header.segment;
    h.meta_sum = checksum(key, entry.meta);
    h.aux_sum = checksum(key, all.substr(0, h.aux));
    h.body_sum = checksum(key, all.substr(h.aux));
    std::string bytes(kRecordHeader, '\0');
    encode(h, key, bytes.data());
    bytes += entry.meta;
    bytes += all;
    bytes.resize(static_cast<size_t>(h.total()));
    TRY_STATUS(out.write(bytes));
    entries.push_back(entry);
  }
  Id unique{};
  randombytes_buf(unique.data(), unique.size());
  const uint64_t seq = entries.empty() ? header.first_seq - 1 : entries.back().header.seq;
  return out.write(encode_footer(entries, out.size(), seq, header, unique));
}

}  // namespace rims::store
