// common/journal/file_journal.cc - append, seal, begin a new segment, find the end when opening

#include "common/journal/file_journal.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <deque>
#include <fcntl.h>
#include <malloc.h>
#include <map>
#include <mutex>
#include <sys/uio.h>
#include <utility>

#include <fmt/format.h>
#include <sodium.h>

#include "common/base/log.h"
#include "common/base/version.h"
#include "common/journal/file_journal_impl.h"
#include "common/journal/file_segments.h"
#include "common/journal/takeover.h"
#include "common/journal/torn.h"

namespace rims::store {
namespace {

constexpr uint64_t kMostRoom = 1 << 20;

bool can_not_be_written(const Error& error) {
  return error.system() == EROFS || error.system() == EACCES || error.system() == EPERM;
}

// Nothing was written, and nothing is wrong with what there is.
bool is_full(const Error& error) {
  return error.system() == ENOSPC || error.system() == EDQUOT || error.system() == EROFS;
}

// For the client.
std::string why_full(const Error& error) {
  return can_not_be_written(error) ? "the mailboxes can only be read now" : "no space left";
}

uint64_t bytes_of(std::span<const Draft> drafts) {
  uint64_t bytes = 0;
  for (const auto& d : drafts) {
    RecordHeader h;
    h.meta = static_cast<uint32_t>(d.meta.size());
    h.aux = static_cast<uint32_t>(d.aux.size());
    h.body = d.body.size();
    bytes += h.total();
  }
  return bytes;
}

}  // namespace

void FileJournal::tell(log::Level level, std::string line) {
  news_.emplace_back(level, std::move(line));
}

void FileJournal::report() {
  for (const auto& [level, line] : std::exchange(news_, {})) log::line(level, "", line);
}

void FileJournal::note(const SegmentRef& segment, const std::vector<Damage>& damages) {
  for (const auto& damage : damages) {
    const std::string where =
        fmt::format("{} at offset {}, {} bytes", segment->path(), damage.offset, damage.length);
    if (!known_damage_.emplace(where, true).second) continue;
    lost_ = std::max(lost_ + damage.lost, lost_);
    const std::string copy = fmt::format("{:08}-{}", segment->header.number, damage.offset);
    auto bytes = segment->file->read(
        damage.offset, static_cast<size_t>(std::min<uint64_t>(damage.length, 64 << 20)));
    const bool saved = bytes && !bytes->empty() && segments_ && segments_->keep_copy(copy, *bytes);
    tell(log::Level::error,
         fmt::format(
             "damaged: {}: {}; {}quarantine/{}, {}", where, damage.what,
             saved ? "copied to " : "not copied to ", copy,
             damage.right.empty()
                 ? "the rest is served; restore what is missing from a backup (rims-ctl restore)"
                 : "all is served; \"rims-ctl check --repair\" writes it again as it was"));
  }
}

Result<Scan> FileJournal::scan(const SegmentRef& segment, bool tail) {
  TRY(const uint64_t size, segment->file->size());
  const ReadAt read = segment->reader();
  if (!tail) {
    TRY(auto footer, read_footer(read, size, segment->header));
    if (footer) return *std::move(footer);
  }
  // The segment that is being written has records up to end_; zeros follow.
  const bool active = tail_ && segment->header.number == tail_->header.number;
  TRY(Scan found, scan_segment(read, active && !tail ? end_ : size, segment->header, tail));
  if (tail || found.sealed || active) return found;
  if (const uint64_t next = first_after_cut(segment->header, size); next != 0)
    found.damages.push_back(
        {found.end,
         0,
         kMostLost,
         fmt::format("records {} to {} are missing at its end", found.last_seq + 1, next - 1),
         {}});
  else if (!found.damages.empty() || !seal_late(*segment, found))
    found.damages.push_back({found.end, 0, 0, "the footer is missing; scanned", {}});
  return found;
}

// The first record behind a segment of this size without a footer, if so many records are not in
// it; else 0. One that could not be used when the next one was begun counted as many as fit into
// it, or kMostLost.
uint64_t FileJournal::first_after_cut(const SegmentHeader& segment, uint64_t size) const {
  const auto next = first_seqs_.upper_bound(segment.number);
  if (next == first_seqs_.end()) return 0;
  const uint64_t records = next->second - std::min(next->second, segment.first_seq);
  return records > most_records(size) && records < kMostLost ? next->second : 0;
}

// Seals a segment that was the last one, and could not be used when the next one was begun.
Status FileJournal::seal_late(const KnownSegment& segment, const Scan& found) {
  if (!segments_) return fail(Fault::storage, "temporary failure", "the journal is closed");
  TRY(const auto file, segments_->open(segment.header.number, Access::write));
  TRY(const auto held, file->hold());
  std::string footer =
      encode_footer(found.entries, found.end, found.last_seq, segment.header, random_id());
  TRY_STATUS(file->write({{footer.data(), footer.size()}}, found.end));
  TRY_STATUS(file->cut(found.end + footer.size()));
  TRY_STATUS(file->flush(SegmentFile::Flush::all));
  tell(log::Level::info, fmt::format("{}: it had no footer; sealed", segment.path()));
  return {};
}

// Restores a damaged header from its other copy.
Status FileJournal::mend_header(const KnownSegment& segment) {
  TRY(const std::string head, segment.file->read(0, kFirstRecord));
  const auto hurt = header_damage(head, segment.header);
  if (!hurt) return {};
  const auto file = segments_->open(segment.header.number, Access::write);
  const bool writable = file || !can_not_be_written(file.error());
  if (!hurt->unended) {
    const std::string copy = fmt::format("{:08}-header", segment.header.number);
    const bool saved = writable && segments_->keep_copy(copy, head).has_value();
    tell(log::Level::error,
         fmt::format("damaged: {} at offset {}: one of the two headers; {}, {}", segment.path(),
                     hurt->offset, saved ? "copied to quarantine/" + copy : "not copied",
                     writable ? "written again from the other one"
                              : "the other one is used; it can not be written again now"));
  }
  if (!writable) return {};
  if (!file) return std::unexpected(file.error());
  std::string right = encode(segment.header);
  TRY_STATUS((*file)->write({{right.data(), right.size()}}, 0));
  return (*file)->flush(SegmentFile::Flush::data);
}

// What the segments say together. Those that have a wrong name get their right one.
Result<Census> FileJournal::take_census(std::vector<uint32_t>& numbers) {
  // Before anything is changed: a segment of a later format ends this with an error, as does
  // another user's mail.
  const auto owner = [this](const std::string& user) { return user == user_; };
  TRY(Census census, Census::take(*segments_, numbers, false, owner));
  TRY(const std::string whose, owner_of(*segments_, census, user_));
  if (!whose.empty() && whose != user_)
    return fail(Fault::storage, "temporary failure",
                fail_owner(account_path(user_), whose, user_).error().detail(), "UNAVAILABLE");
  bool changed = false;
  while (const auto wrong = census.misnamed()) {
    const Status named = wrong->taken ? segments_->exchange(wrong->name, wrong->right)
                                      : segments_->rename(wrong->name, wrong->right);
    if (!named) {
      tell(log::Level::warn, named.error().detail());
      break;
    }
    tell(log::Level::warn,
         fmt::format("{}/{} says that it is segment {}: {}", segments_->path(),
                     segment_name(wrong->name), wrong->right,
                     wrong->taken ? "it has exchanged its name with the one that was called so"
                                  : "it was renamed"));
    if (!wrong->taken) std::ranges::replace(numbers, wrong->name, wrong->right);
    changed = true;
    TRY(census, Census::take(*segments_, numbers, false, owner));
  }
  std::ranges::sort(numbers);
  if (changed) {
    TRY_STATUS(segments_->sync());
  }
  return census;
}

Status FileJournal::open_blocking() {
  TRY_STATUS(segments_->prepare());
  TRY(const auto names, segments_->names());
  std::vector<uint32_t> numbers;
  for (const auto& name : names) {
    if (segment_number(name) != 0) numbers.push_back(segment_number(name));
  }
  TRY(const Census census, take_census(numbers));
  for (const auto& name : names) {
    const uint32_t replaces =
        is_replacement(name) ? segment_number(std::string_view(name).substr(0, name.find('.'))) : 0;
    if (replaces != 0 && !std::ranges::binary_search(numbers, replaces)) {
      // A compaction never takes the segment away first, so this may be all there is of it.
      const std::string to = fmt::format("{}-{:08x}", name, randombytes_random());
      const auto kept = segments_->move_aside(name, to);
      tell(log::Level::error,
           fmt::format(
               "{}/{}: the segment that it was to replace is missing; {}; \"rims-ctl check\" "
               "says what to do",
               segments_->path(), name,
               kept ? "kept as quarantine/" + to : "not moved: " + kept.error().detail()));
    } else if (is_replacement(name)) {
      const auto removed = segments_->remove(name);
      tell(removed ? log::Level::info : log::Level::error,
           fmt::format("{}/{}: {} this file of an interrupted compaction", segments_->path(), name,
                       removed ? "removed" : "can not remove"));
    } else if (segment_number(name) == 0) {
      tell(log::Level::warn,
           fmt::format("{}/{} is not a segment of the journal; ignored", segments_->path(), name));
    }
  }
  account_ = census.account();
  for (const uint32_t number : numbers) {
    TRY_STATUS(take_segment(census, number, number == numbers.back()));
  }
  // An empty account would be served, and get mail that the segments can not be joined with.
  if (!tail_ && !left_out_.empty())
    return fail(Fault::storage, "temporary failure",
                fmt::format("{}: none of its segments can be used now; do what is said about each "
                            "of them",
                            segments_->path()),
                "UNAVAILABLE");
  if (!tail_) {
    if (account_ == Id{}) randombytes_buf(account_.data(), account_.size());
  } else {
    TRY_STATUS(open_last());
  }
  // The record numbers in a segment that is after all others and is not used are not known.
  for (const auto& [number, size] : left_out_) {
    if (!first_seqs_.empty() && number < first_seqs_.rbegin()->first) continue;
    clean_.reset();
    last_seq_ += size == 0 ? kMostLost : most_records(size);
    owes_ = true;
    // New records must go to a segment after it, because it may be used again.
    if (tail_ && !only_read_) {
      bool full = false;
      const auto sealed = seal_blocking(&full);
      if (!sealed && !full) return sealed;
      tail_.reset();
    }
  }
  return {};
}

// The segment belongs to this journal, but is not used. Its file is not changed.
void FileJournal::leave_out(uint32_t number, const Misfit& why, const std::string& path,
                            uint64_t size) {
  tell(log::Level::error, fmt::format("{} {}: it is not used now, the rest is served; {}", path,
                                      why.what, why.remedy));
  if (!why.missed) return;
  tail_number_ = std::max(tail_number_, number);
  lost_ += size == 0 ? kMostLost : most_uids(size);
  left_out_[number] = size;
}

// Both copies of the header are bad: a segment that was being made, or a damaged one.
Status FileJournal::take_headless(const KnownSegment& segment, uint32_t number, bool last) {
  TRY(const uint64_t size, segment.file->size());
  TRY(const std::string bytes, segment.file->read(0, static_cast<size_t>(size)));
  const size_t end = bytes.find_last_not_of('\0');
  const bool never_used = end == bytes.npos || end < kFirstRecord;
  if (!never_used) {
    lost_ += most_uids(size);
    tail_number_ = std::max(tail_number_, number);
    tell(log::Level::error,
         fmt::format("damaged: {}: both headers; its records can not be read", segment.path()));
  }
  const bool remove = never_used && last;
  const auto gone =
      remove ? segments_->remove(segment_name(number))
             : segments_->move_aside(segment_name(number),
                                     fmt::format("segment-{:08}-{}", number, randombytes_random()));
  if (gone) return remove ? segments_->sync() : Status();
  // Also when the quarantine is no directory, or elsewhere: the rest is served.
  tell(log::Level::warn, gone.error().detail());
  owes_ = true;
  return {};
}

Status FileJournal::take_segment(const Census& census, uint32_t number, bool last) {
  const std::string path = segments_->path() + "/" + segment_name(number);
  auto opened = open_segment(*segments_, number);
  if (!opened) {
    const auto why = misfit(opened.error(), path, false);
    if (!why) return std::unexpected(opened.error());
    leave_out(number, *why, path, 0);
    return {};
  }
  const auto segment = std::make_shared<KnownSegment>(*std::move(opened));
  if (segment->state == HeaderState::damaged) return take_headless(*segment, number, last);
  const auto& header = segment->header;
  auto why = census.misfit(number, header);
  if (!why && !first_seqs_.empty() && header.first_seq < first_seqs_.rbegin()->second)
    why = kOutOfOrder;
  if (why) {
    leave_out(header.number, *why, path, segment->file->size().value_or(0));
    return {};
  }
  TRY_STATUS(mend_header(*segment));
  if (!tail_ && header.first_seq != 1) {
    if (left_out_.empty()) lost_ += kMostLost;
    tell(log::Level::error,
         fmt::format("damaged: {}: records before {} are missing", path, header.first_seq));
  } else if (tail_ && number != tail_number_ + 1) {
    // A missing name means no loss if its number was skipped, because another file had that name.
    TRY(const uint64_t before, last_record(*tail_));
    if (header.first_seq != before + 1) {
      lost_ += kMostLost;
      tell(log::Level::error, fmt::format("damaged: {}: the segment before it is missing", path));
    }
  }
  first_seqs_[number] = header.first_seq;
  tail_number_ = std::max(tail_number_, number);
  tail_ = segment;
  if (open_.size() < kOpenSegments) open_[number] = segment;
  return {};
}

// Opens the last one of the segments that are used, for writing.
Status FileJournal::open_last() {
  const uint32_t number = tail_->header.number;
  auto opened = open_segment(*segments_, number, Access::write);
  if (opened) {
    tail_ = std::make_shared<KnownSegment>(*std::move(opened));
    open_[number] = tail_;
  } else if (can_not_be_written(opened.error())) {
    only_read_ = opened.error();
    tell(log::Level::warn, fmt::format("{}: the account can only be read", only_read_->detail()));
  } else {
    return std::unexpected(opened.error());
  }
  return open_tail();
}

Status FileJournal::open_tail() {
  TRY(const uint64_t size, tail_->file->size());
  Clean clean;
  TRY(const auto end, read_clean_end(tail_->reader(), size, tail_->header, clean));
  if (end) {
    clean_ = clean;
    last_seq_ = end->header.seq;
    end_ = room_ = size;
    return {};
  }
  // Segments may have been replaced: their names must be on the disk before a CLEAN record is. An
  // earlier process may have been killed before the name of the last segment, or the last batch in
  // it, was durable, or its flush may have failed: so both are made durable once more.
  owes_ = only_read_.has_value();
  if (!only_read_) {
    TRY_STATUS(segments_->sync());
  }
  TRY(auto footer, read_footer(tail_->reader(), size, tail_->header));
  if (footer) {
    last_seq_ = footer->last_seq;
    if (only_read_) return {};
    TRY_STATUS(rewrite(footer->end, size));
    tail_.reset();
    return {};
  }
  TRY(const Scan found, scan(tail_, true));
  note(tail_, found.damages);
  last_seq_ = found.last_seq;
  end_ = found.end;
  room_ = size;
  if (only_read_) {
    if (found.cut && !importing_) cut_ += found.cut->lost;
    return {};
  }
  // A crash came between writing the footer and the end of sealing: finish it now.
  if (found.sealed) {
    bool full = false;
    return seal_blocking(&full);
  }
  if (found.cut) {
    TRY_STATUS(cut_tail(*found.cut));
    if (only_read_) return {};
  }
  if (!found.entries.empty()) {
    const auto& last = found.entries.back();
    if (last.header.type == RecordType::clean && !found.cut && found.damages.empty())
      clean_ = Clean::decode(last.meta);
    TRY_STATUS(rewrite(found.last_batch, end_));
  } else {
    // The header may not be durable, either. A first record on the disk without it would be taken
    // for damage.
    TRY_STATUS(rewrite(0, kFirstRecord));
  }
  return {};
}

Status FileJournal::cut_tail(const Damage& cut) {
  // During an import no client has seen the numbers, so they are given out again.
  if (!importing_) cut_ += cut.lost;
  const std::string name =
      fmt::format("{:08}-{}-cut-{:08x}", tail_->header.number, cut.offset, randombytes_random());
  TRY(const std::string bytes, tail_->file->read(cut.offset, static_cast<size_t>(cut.length)));
  const auto saved = segments_->keep_copy(name, bytes);
  // What is cut was never acknowledged, so a full disk must not keep an account closed. Where
  // nothing can be kept for another reason, nothing is cut either, and the account is read-only.
  if (!saved && !is_full(saved.error())) {
    only_read_ = saved.error();
    until_opened_again_ = true;
    tell(log::Level::error,
         fmt::format("{} at offset {}: {} bytes of an interrupted write can not be kept in "
                     "quarantine/: {}; the account can only be read until it is opened again",
                     tail_->path(), cut.offset, cut.length, saved.error().detail()));
    return {};
  }
  tell(
      log::Level::warn,
      fmt::format("{} at offset {}: {} bytes of an interrupted write, which was never acknowledged "
                  "({}); cut off, "
                  "{} "
                  "quarantine/{}; if nothing was interrupted here, compare with a backup",
                  tail_->path(), cut.offset, cut.length, cut.what,
                  saved ? "kept in" : "no space for", name));
  TRY_STATUS(tail_->file->cut(cut.offset));
  TRY_STATUS(tail_->file->flush(SegmentFile::Flush::all));
  room_ = cut.offset;
  return {};
}

Status FileJournal::rewrite(uint64_t from, uint64_t to) {
  TRY(std::string bytes, tail_->file->read(from, static_cast<size_t>(to - from)));
  TRY_STATUS(tail_->file->write({{bytes.data(), bytes.size()}}, from));
  return tail_->file->flush(SegmentFile::Flush::data);
}

Status FileJournal::make_segment(uint32_t number, bool* full) {
  auto made = std::make_shared<KnownSegment>();
  made->header.number = number;
  made->header.first_seq = last_seq_ + 1;
  made->header.account = account_;
  made->header.segment = random_id();
  made->header.program = program_version();
  made->state = HeaderState::good;
  auto created = segments_->create(number);
  // Skip a name that another file has; that file is not touched.
  while (!created && created.error().system() == EEXIST) {
    made->header.number = ++number;
    created = segments_->create(number);
  }
  if (!created) {
    *full = is_full(created.error());
    return std::unexpected(created.error());
  }
  made->file = *std::move(created);
  std::string head = encode(made->header);
  head.resize(kFirstRoom);
  if (auto written = made->file->write({{head.data(), head.size()}}, 0); !written) {
    *full = is_full(written.error()) && segments_->remove(segment_name(number));
    return written;
  }
  TRY_STATUS(made->file->flush(SegmentFile::Flush::data));
  TRY_STATUS(segments_->sync());
  tail_ = std::move(made);
  tail_number_ = number;
  end_ = kFirstRecord;
  room_ = kFirstRoom;
  step_ = kFirstRoom;
  return {};
}

// Writes zeros up to `end` at least, before records are written there: so a full disk is noticed
// while there is nothing to undo. The flush of the commit covers them. The file grows once for many
// commits, so that the next ones do not change its size.
Status FileJournal::reserve(uint64_t end, bool* full) {
  if (end <= room_) return {};
  const uint64_t step = std::min(step_ * 2, kMostRoom);
  static const std::string zeros(kMostRoom, '\0');
  for (const uint64_t goal : {end + step, end}) {
    std::vector<iovec> pieces;
    for (uint64_t at = room_; at < goal; at += zeros.size())
      pieces.push_back({const_cast<char*>(zeros.data()),
                        static_cast<size_t>(std::min<uint64_t>(zeros.size(), goal - at))});
    const auto written = tail_->file->write(std::move(pieces), room_);
    if (written) {
      room_ = goal;
      step_ = step;
      return {};
    }
    *full = is_full(written.error()) || written.error().system() == EFBIG;
    if (!*full || goal == end) {
      // Only zeros were added.
      if (*full) (void)tail_->file->cut(room_);
      return written;
    }
  }
  return {};
}

Status FileJournal::seal_blocking(bool* full) {
  if (!tail_) return {};
  const SegmentRef last = tail_;  // nothing else may keep it, and it is held until the end
  TRY(const auto held, last->file->hold());
  uint64_t size = 0;
  {
    // A segment of large records, as the copies of many messages are, is in memory twice
    // meanwhile: so one at a time in a process, and the memory is given back.
    static std::mutex sealing;
    const std::lock_guard one(sealing);
    std::string footer;
    {
      TRY(const Scan found, scan_segment(tail_->reader(), end_, tail_->header, false));
      if (found.end != end_ && found.damages.empty())
        return fail(
            Fault::storage, "temporary failure",
            fmt::format("{}: records end at {}, not at {}", tail_->path(), found.end, end_));
      footer = encode_footer(found.entries, end_, last_seq_, tail_->header, random_id());
    }
    size = end_ + footer.size();
    TRY_STATUS(reserve(size, full));
    TRY_STATUS(tail_->file->write({{footer.data(), footer.size()}}, end_));
    constexpr size_t kLarge = size_t{4} << 20;
    if (std::exchange(footer, {}).size() > kLarge) malloc_trim(0);
  }
  TRY_STATUS(tail_->file->cut(size));
  TRY_STATUS(tail_->file->flush(SegmentFile::Flush::all));
  tail_.reset();
  return {};
}

bool FileJournal::ends_before(uint64_t bytes) const {
  // A segment of an older format is only read; new records begin a new segment.
  return end_ > kFirstRecord &&
         (end_ + bytes > segment_bytes_ || tail_->header.version < kJournalVersion);
}

bool FileJournal::begins_segment(std::span<const Draft> drafts) const {
  return !tail_ || end_ == kFirstRecord || ends_before(bytes_of(drafts));
}

Status FileJournal::append_blocking(std::span<const Draft> drafts, Appended& result) {
  bool full = false;
  const auto no_room = [&](const Status& status) -> Status {
    if (!full) return status;
    result.no_room.emplace(Fault::storage, why_full(status.error()), status.error().detail(),
                           "UNAVAILABLE");
    return {};
  };
  if (only_read_ && until_opened_again_) {
    result.no_room.emplace(Fault::storage, "the mailboxes can only be read now",
                           only_read_->detail(), "UNAVAILABLE");
    return {};
  }
  if (only_read_) {
    if (const auto writable = become_writable(); !writable) {
      full = can_not_be_written(writable.error());
      return no_room(writable);
    }
  }
  const uint64_t bytes = bytes_of(drafts);
  if (tail_ && ends_before(bytes)) {
    if (const auto sealed = seal_blocking(&full); !sealed) return no_room(sealed);
  }
  if (!tail_) {
    if (const auto made = make_segment(tail_number_ + 1, &full); !made) return no_room(made);
  }
  TRY(const auto held, tail_->file->hold());
  // At least one zero follows the records. So a file that ends directly after a CLEAN record was
  // cut there by close(), after the flush of that record; what other files end with is flushed
  // again when they are opened.
  if (const auto reserved = reserve(end_ + bytes + kRecordAlign, &full); !reserved)
    return no_room(reserved);

  const Id& key = tail_->header.segment;
  static const char kZeros[kRecordAlign] = {};
  // All headers in one piece of memory that does not move.
  std::string headers(drafts.size() * kRecordHeader, '\0');
  std::deque<std::string> sums;  // do not move, either
  std::vector<iovec> pieces;
  pieces.reserve(drafts.size() * 5 + 1);
  const auto piece = [&](std::string_view view) {
    if (!view.empty()) pieces.push_back({const_cast<char*>(view.data()), view.size()});
  };
  Id unique = random_id();
  uint64_t offset = end_;
  for (size_t i = 0; i < drafts.size(); i++) {
    const auto& d = drafts[i];
    std::string_view meta = d.meta;
    if (d.type == PieceSums::kType) meta = sums.emplace_back(with_sums(drafts, i));
    RecordHeader h;
    h.type = d.type;
    h.version = d.version;
    h.meta = static_cast<uint32_t>(d.meta.size());
    h.aux = static_cast<uint32_t>(d.aux.size());
    h.body = d.body.size();
    h.seq = last_seq_ + 1 + i;
    // Random for the batch, counted within it.
    const auto count = static_cast<uint32_t>(i);
    memcpy(unique.data() + 12, &count, sizeof count);
    h.id = unique;
    h.batch_first = last_seq_ + 1;
    h.batch_count = static_cast<uint32_t>(drafts.size());
    h.time = d.time;
    h.meta_sum = checksum(key, meta);
    h.aux_sum = checksum(key, d.aux);
    h.body_sum = checksum(key, d.body);
    encode(h, key, headers.data() + i * kRecordHeader);
    result.locations.push_back({tail_->header.number, offset, h.meta, h.aux, h.body});
    piece(std::string_view(headers).substr(i * kRecordHeader, kRecordHeader));
    piece(meta);
    piece(d.aux);
    piece(d.body);
    piece({kZeros, static_cast<size_t>(h.total() - kRecordHeader - h.meta - h.aux - h.body)});
    offset += h.total();
  }
  if (const auto written = tail_->file->write(std::move(pieces), end_); !written) {
    // The file system has become read-only. Was a part of the batch written before that?
    const auto there = tail_->file->read(end_, static_cast<size_t>(offset - end_));
    full =
        written.error().system() == EROFS && there && there->find_first_not_of('\0') == there->npos;
    return no_room(written);
  }
  if (const auto flushed = tail_->file->flush(SegmentFile::Flush::data); !flushed) {
    const int error = flushed.error().system();
    return fail_errno(fmt::format("fdatasync {} at offset {}", tail_->path(), end_), error);
  }
  end_ = offset;
  return {};
}

Status FileJournal::become_writable() {
  TRY(auto file, segments_->open(tail_->header.number, Access::write));
  if (owes_)
    return fail(Fault::storage, "temporary failure",
                tail_->path() +
                    " can be written again; the account must be opened again first, for writes "
                    "that are missing",
                "UNAVAILABLE");
  auto again = std::make_shared<KnownSegment>(*tail_);
  again->file = std::move(file);
  tail_ = std::move(again);
  only_read_.reset();
  return {};
}

Task<Result<Journal::Appended>> FileJournal::append(uint64_t expected,
                                                    std::span<const Draft> drafts) {
  const auto lock = co_await writing_.lock();
  Appended result;
  if (failed_) co_return fail(Fault::storage, "temporary failure", "the journal has failed before");
  if (expected != last_seq_) {
    result.lost_race = true;
    co_return result;
  }
  Status status;
  co_await pool_.run([&] { status = append_blocking(drafts, result); });
  report();
  if (!status) {
    // The next opening finds out what is on the disk now.
    failed_ = true;
    co_return std::unexpected(status.error());
  }
  if (result.no_room) co_return result;
  last_seq_ += drafts.size();
  first_seqs_[tail_->header.number] = tail_->header.first_seq;
  open_[tail_->header.number] = tail_;
  clean_.reset();
  if (const auto* clean = std::get_if<Clean>(&drafts.back().record)) clean_ = *clean;
  co_return result;
}

Task<Status> FileJournal::seal() {
  const auto lock = co_await writing_.lock();
  Status status;
  if (failed_) co_return fail(Fault::storage, "temporary failure", "the journal has failed before");
  bool full = false;
  co_await pool_.run([&] { status = seal_blocking(&full); });
  if (!status && !full) failed_ = true;
  if (status) clean_.reset();  // it does not end in CLEAN but in a footer
  co_return status;
}

Task<void> FileJournal::close() {
  const auto lock = co_await writing_.lock();
  // After a CLEAN record the zeros behind it are cut off, so that the next opening finds it at the
  // very end.
  const bool trim = clean_ && tail_ && !failed_ && room_ > end_;
  failed_ = true;
  auto tail = std::exchange(tail_, {});
  auto open = std::exchange(open_, {});
  auto rewriter = std::exchange(rewriter_, {});
  auto segments = std::exchange(segments_, {});  // its end, and the index's, end the lock
  co_await pool_.run([&] {
    if (trim) (void)tail->file->cut(end_);
    tail.reset();
    open.clear();
    rewriter.reset();
    segments.reset();
  });
}

Task<Result<std::unique_ptr<Journal>>> open_journal(Loop& loop, IoPool& pool,
                                                    std::shared_ptr<Segments> segments,
                                                    std::string user, bool importing,
                                                    uint64_t segment_bytes) {
  auto journal = std::make_unique<FileJournal>(loop, pool, std::move(segments), std::move(user),
                                               importing, segment_bytes);
  CO_TRY_STATUS(co_await journal->open());
  co_return std::unique_ptr<Journal>(std::move(journal));
}

Task<Result<std::unique_ptr<Journal>>> FileJournals::open(std::string user,
                                                          std::shared_ptr<AccountDir> dir) {
  bool importing = false;
  co_await pool_.run([&] { importing = is_importing(*dir); });
  co_return co_await open_journal(loop_, pool_,
                                  std::make_shared<FileSegments>(std::move(dir), &files_),
                                  std::move(user), importing, segment_bytes_);
}

}  // namespace rims::store
