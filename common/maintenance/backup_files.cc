// common/maintenance/backup_files.cc - segments of a backup as files

#include "common/maintenance/backup_files.h"

#include <algorithm>
#include <cerrno>
#include <map>
#include <optional>

#include <fmt/format.h>

namespace rims::store {

Error no_space(const Error& error) {
  if (error.system() != ENOSPC && error.system() != EDQUOT) return error;
  return {Fault::limit, "not enough space", error.detail()};
}

Result<std::unique_ptr<SegmentBytes>> SegmentBytes::open(Segments& segments, uint32_t number) {
  TRY(SegmentFileRef file, segments.open(number, Access::read));
  auto bytes = std::make_unique<SegmentBytes>(std::move(file));
  TRY_STATUS(bytes->look());
  return bytes;
}

Status SegmentBytes::look() {
  TRY(size_, file_->size());
  TRY(const std::string head, read(0, kFirstRecord));
  state_ = decode(head, header_);
  if (state_ == HeaderState::newer)
    return fail(Fault::storage, "a newer format",
                fmt::format("{} was {}: not touched", path(), newer_format(header_)), "VERSION");
  return {};
}

Result<std::string> SegmentBytes::read(uint64_t offset, size_t size) {
  auto bytes = file_->read(offset, size);
  if (bytes || bytes.error().system() != EIO) return bytes;
  constexpr size_t kBlock = 4096;
  std::string out;
  while (out.size() < size && offset + out.size() < size_) {
    const uint64_t at = offset + out.size();
    const size_t count = std::min(size - out.size(), kBlock - static_cast<size_t>(at % kBlock));
    auto block = file_->read(at, count);
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

Result<std::vector<std::string>> missing_segments(Segments& segments,
                                                  const std::vector<BackupSegment>& list) {
  std::vector<std::string> missing;
  std::optional<KnownSegment> before;
  for (const auto& s : list) {
    auto known = open_segment(segments, s.number);
    // A copy that can not be read is told of elsewhere.
    if (!known || known->state != HeaderState::good) {
      before.reset();
      continue;
    }
    const uint64_t first = known->header.first_seq;
    if (&s == list.data() && first != 1)
      missing.push_back(fmt::format("records before {} are missing: segments before {}", first,
                                    segment_name(s.number)));
    if (before && s.number != before->header.number + 1) {
      const auto ended = last_record(*before);
      const uint32_t from = before->header.number + 1, to = s.number - 1;
      const std::string names =
          from == to ? "segment " + segment_name(from)
                     : fmt::format("segments {} to {}", segment_name(from), segment_name(to));
      if (!ended)
        missing.push_back(names + " may be missing");
      else if (first != *ended + 1)
        missing.push_back(
            fmt::format("records {} to {} are missing: {}", *ended + 1, first - 1, names));
    }
    before = *std::move(known);
  }
  return missing;
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
    if (good) continue;
    // The structure of a message is made again from it.
    if (e.header.type == RecordType::append) {
      Entry body = e;
      body.offset += e.header.aux;
      body.header.aux = 0;
      body.header.aux_sum = checksum(header.segment, {});
      TRY(const bool readable, parts_are_whole(within, body, header.segment));
      if (readable) continue;
    }
    check.broken++;
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

Result<NewSegment> NewSegment::create(Segments& segments, uint32_t number) {
  TRY(SegmentFileRef file, segments.create_replacement(number));
  return NewSegment(segments, number, std::move(file));
}

NewSegment::~NewSegment() {
  if (file_) (void)segments_->remove(replacement_name(number_));
}

Status NewSegment::write(std::string_view bytes) {
  if (auto written = file_->write({{const_cast<char*>(bytes.data()), bytes.size()}}, size_);
      !written)
    return std::unexpected(no_space(written.error()));
  hash_.add(bytes);
  size_ += bytes.size();
  return {};
}

Status NewSegment::put_in_place() {
  TRY_STATUS(segments_->replace(number_, *file_));
  file_.reset();
  return {};
}

Status merge_segments(SegmentBytes& older, uint64_t older_size, SegmentBytes& newer,
                      NewSegment& out, Id& id, std::vector<std::string>& damages) {
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
