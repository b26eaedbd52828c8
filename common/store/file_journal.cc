// common/store/file_journal.cc - append, roll, seal, find the end again

#include "common/store/file_journal.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <map>
#include <sys/uio.h>

#include <fmt/format.h>
#include <sodium.h>

#include "common/base/log.h"
#include "common/store/file_journal_impl.h"
#include "common/store/takeover.h"

namespace rims::store {
namespace {

constexpr uint64_t kMostRoom = 1 << 20;

}  // namespace

void FileJournal::tell(log::Level level, std::string line) {
  news_.emplace_back(level, std::move(line));
}

void FileJournal::report() {
  for (const auto& [level, line] : std::exchange(news_, {})) log::line(level, "", line);
}

Result<SegmentRef> FileJournal::open_segment(const AccountDir& dir, uint32_t number, int flags) {
  auto segment = std::make_shared<SegmentFile>();
  segment->path = dir.path() + "/" + segment_name(number);
  TRY(segment->fd, dir.open_file(segment_name(number), flags));
  TRY(const std::string head,
      read_up_to(disk(), segment->fd.get(), kFirstRecord, 0, segment->path));
  uint32_t version = 0;
  switch (decode(head, segment->header, version)) {
    case HeaderState::good:
      break;
    case HeaderState::newer:
      return fail(Fault::storage, "temporary failure",
                  fmt::format("{} has format version {}, this program knows {}: not touched",
                              segment->path, version, kJournalVersion),
                  "UNAVAILABLE");
    case HeaderState::damaged:
      segment->header.number = 0;
      return segment;
  }
  if (segment->header.number != number)
    return fail(Fault::storage, "temporary failure",
                fmt::format("{} says that it is number {}", segment->path, segment->header.number),
                "UNAVAILABLE");
  return segment;
}

void FileJournal::note(const SegmentRef& segment, const std::vector<Damage>& damages) {
  for (const auto& damage : damages) {
    const std::string where =
        fmt::format("{} at offset {}, {} bytes", segment->path, damage.offset, damage.length);
    if (!known_damage_.emplace(where, true).second) continue;
    lost_ = std::max(lost_ + damage.lost, lost_);
    const std::string copy = fmt::format("{:08}-{}", segment->header.number, damage.offset);
    auto bytes = read_up_to(disk(), segment->fd.get(),
                            static_cast<size_t>(std::min<uint64_t>(damage.length, 64 << 20)),
                            damage.offset, segment->path);
    const bool saved = bytes && !bytes->empty() && dir_ && dir_->quarantine(copy, *bytes);
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
  TRY(const uint64_t size, file_size(segment->fd.get(), segment->path));
  const ReadAt read = reader(segment);
  if (!tail) {
    TRY(auto footer, read_footer(read, size, segment->header));
    if (footer) return *std::move(footer);
  }
  // What we have not written ourselves yet ends at end_; zeros follow.
  const bool active = tail_ && segment->header.number == tail_->header.number;
  TRY(Scan found, scan_segment(read, active && !tail ? end_ : size, segment->header, tail));
  if (!tail && !found.sealed && !active)
    found.damages.push_back({found.end, 0, 0, "the footer is missing; scanned"});
  return found;
}

// From its other copy.
Status FileJournal::mend_header(const SegmentFile& segment) {
  TRY(const std::string head, read_up_to(disk(), segment.fd.get(), kFirstRecord, 0, segment.path));
  const auto hurt = header_damage(head, segment.header);
  if (!hurt) return {};
  if (!hurt->unended) {
    const std::string copy = fmt::format("{:08}-header", segment.header.number);
    const bool saved = dir_->quarantine(copy, head).has_value();
    tell(log::Level::error, fmt::format("damaged: {} at offset {}: one of the two headers; {}, "
                                        "written again from the other one",
                                        segment.path, hurt->offset,
                                        saved ? "copied to quarantine/" + copy : "not copied"));
  }
  std::string right = encode(segment.header);
  std::vector<iovec> pieces{{right.data(), right.size()}};
  TRY_STATUS(write_all(disk(), segment.fd.get(), std::move(pieces), 0, segment.path));
  if (disk().fdatasync(segment.fd.get()) != 0)
    return fail_errno("fdatasync " + segment.path, errno);
  return {};
}

Status FileJournal::open_blocking() {
  TRY_STATUS(dir_->make_directory("journal"));
  TRY(const auto names, dir_->list("journal"));
  std::vector<uint32_t> segments;
  for (const auto& name : names) {
    if (name.size() == 12 && name.ends_with(".new") && name.find_first_not_of("0123456789") == 8) {
      const bool removed = disk().unlink(dir_->fd(), ("journal/" + name).c_str()) == 0;
      tell(removed ? log::Level::info : log::Level::error,
           fmt::format("{}/journal/{}: {} what a compaction left that did not end", dir_->path(),
                       name, removed ? "removed" : "can not remove"));
      continue;
    }
    if (name.size() != 8 || name.find_first_not_of("0123456789") != name.npos) {
      tell(log::Level::warn,
           fmt::format("{}/journal/{} is no segment; left alone", dir_->path(), name));
      continue;
    }
    segments.push_back(static_cast<uint32_t>(std::stoul(name)));
  }
  // Whoever made journal/ may have been killed before its name was durable.
  if (segments.empty()) {
    TRY_STATUS(dir_->sync_directory("."));
  }
  for (const uint32_t number : segments) {
    TRY(auto segment, open_segment(*dir_, number, O_RDWR));
    if (segment->header.number == 0) {
      // Both copies of the header are bad: a segment that was being made, or a damaged one.
      TRY(const uint64_t size, file_size(segment->fd.get(), segment->path));
      TRY(const std::string bytes,
          read_up_to(disk(), segment->fd.get(), static_cast<size_t>(size), 0, segment->path));
      const size_t last = bytes.find_last_not_of('\0');
      const bool never_used = last == bytes.npos || last < kFirstRecord;
      if (!never_used) {
        lost_ += static_cast<uint32_t>(size / 39 + 1);
        tell(log::Level::error,
             fmt::format("damaged: {}: both headers; its records can not be read", segment->path));
      }
      if (!never_used || number != segments.back()) {
        // It keeps its name out of the way: nothing is deleted.
        TRY_STATUS(dir_->make_directory("quarantine"));
        TRY_STATUS(dir_->sync_directory("."));
        const std::string to =
            fmt::format("quarantine/segment-{:08}-{}", number, randombytes_random());
        if (disk().rename(dir_->fd(), segment_name(number).c_str(), to.c_str()) != 0)
          return fail_errno("rename " + segment->path, errno);
        TRY_STATUS(dir_->sync_directory("quarantine"));
      } else if (disk().unlink(dir_->fd(), segment_name(number).c_str()) != 0) {
        return fail_errno("unlink " + segment->path, errno);
      }
      TRY_STATUS(dir_->sync_directory("journal"));
      tail_number_ = std::max(tail_number_, never_used ? 0 : number);
      continue;
    }
    TRY_STATUS(mend_header(*segment));
    if (first_seqs_.empty()) {
      account_ = segment->header.account;
      if (segment->header.first_seq != 1) {
        lost_ += 1000;
        tell(log::Level::error, fmt::format("damaged: {}: records before {} are missing",
                                            segment->path, segment->header.first_seq));
      }
    } else if (segment->header.account != account_) {
      return fail(Fault::storage, "temporary failure",
                  segment->path + " belongs to another account", "UNAVAILABLE");
    } else if (segment->header.first_seq < first_seqs_.rbegin()->second) {
      return fail(Fault::storage, "temporary failure",
                  segment->path + " begins before the one before it", "UNAVAILABLE");
    }
    if (!first_seqs_.empty() && number != first_seqs_.rbegin()->first + 1 &&
        number != tail_number_ + 1) {
      lost_ += 1'000'000;
      tell(log::Level::error,
           fmt::format("damaged: {}: the segment before it is missing", segment->path));
    }
    first_seqs_[number] = segment->header.first_seq;
    tail_number_ = number;
    tail_ = segment;
    if (open_.size() < kOpenSegments) open_[number] = std::move(segment);
  }
  if (!tail_) {
    randombytes_buf(account_.data(), account_.size());
    return {};
  }
  return open_tail();
}

Status FileJournal::open_tail() {
  TRY(const uint64_t size, file_size(tail_->fd.get(), tail_->path));
  Clean clean;
  TRY(const auto end, read_clean_end(reader(tail_), size, tail_->header, clean));
  if (end) {
    clean_ = clean;
    last_seq_ = end->header.seq;
    end_ = room_ = size;
    return {};
  }
  // Segments may have been replaced: their names must be on the disk before a CLEAN record is.
  // Whoever made the last one may have been killed before its name was durable; and whoever wrote
  // its end before that was, or the flush has failed: that is done once more.
  TRY_STATUS(dir_->sync_directory("journal"));
  TRY(auto footer, read_footer(reader(tail_), size, tail_->header));
  if (footer) {
    last_seq_ = footer->last_seq;
    TRY_STATUS(rewrite(footer->end, size));
    tail_.reset();
    return {};
  }
  TRY(const Scan found, scan(tail_, true));
  note(tail_, found.damages);
  last_seq_ = found.last_seq;
  end_ = found.end;
  room_ = size;
  // The crash came between the footer and the end of sealing: it is finished now.
  if (found.sealed) {
    bool full = false;
    return seal_blocking(&full);
  }
  if (found.cut) {
    TRY_STATUS(cut_tail(*found.cut));
  }
  if (!found.entries.empty()) {
    const auto& last = found.entries.back();
    if (last.header.type == RecordType::clean && !found.cut && found.damages.empty())
      clean_ = Clean::decode(last.meta);
    TRY_STATUS(rewrite(found.last_batch, end_));
  } else {
    // Nor is its header. A first record that reaches the disk without it would be taken for damage.
    TRY_STATUS(rewrite(0, kFirstRecord));
  }
  return {};
}

Status FileJournal::cut_tail(const Damage& cut) {
  // Numbers that were shown to nobody are given out again.
  if (!dir_->open_file(kImporting, O_PATH)) cut_ += cut.lost;
  const std::string name =
      fmt::format("{:08}-{}-cut-{:08x}", tail_->header.number, cut.offset, randombytes_random());
  TRY(const std::string bytes, read_up_to(disk(), tail_->fd.get(), static_cast<size_t>(cut.length),
                                          cut.offset, tail_->path));
  errno = 0;
  const auto saved = dir_->quarantine(name, bytes);
  // A full disk must not keep an account closed: what is cut was never acknowledged.
  if (!saved && errno != ENOSPC && errno != EDQUOT) return saved;
  tell(log::Level::warn,
       fmt::format("{} at offset {}: {} bytes of a write that did not end, which nobody was told "
                   "of ({}); cut, "
                   "{} "
                   "quarantine/{}; if nothing was interrupted here, compare with a backup",
                   tail_->path, cut.offset, cut.length, cut.what,
                   saved ? "kept in" : "no space for", name));
  if (disk().truncate(tail_->fd.get(), static_cast<off_t>(cut.offset)) != 0)
    return fail_errno("truncate " + tail_->path, errno);
  if (disk().fsync(tail_->fd.get()) != 0) return fail_errno("fsync " + tail_->path, errno);
  room_ = cut.offset;
  return {};
}

Status FileJournal::rewrite(uint64_t from, uint64_t to) {
  TRY(std::string bytes,
      read_up_to(disk(), tail_->fd.get(), static_cast<size_t>(to - from), from, tail_->path));
  std::vector<iovec> pieces{{bytes.data(), bytes.size()}};
  TRY_STATUS(write_all(disk(), tail_->fd.get(), std::move(pieces), from, tail_->path));
  if (disk().fdatasync(tail_->fd.get()) != 0) return fail_errno("fdatasync " + tail_->path, errno);
  return {};
}

Status FileJournal::make_segment(uint32_t number, bool* full) {
  auto made = std::make_shared<SegmentFile>();
  made->path = dir_->path() + "/" + segment_name(number);
  made->header.number = number;
  made->header.first_seq = last_seq_ + 1;
  made->header.account = account_;
  made->header.segment = random_id();
  auto created = dir_->open_file(segment_name(number), O_RDWR | O_CREAT | O_EXCL);
  if (!created) {
    *full = errno == ENOSPC || errno == EDQUOT;
    return std::unexpected(created.error());
  }
  made->fd = *std::move(created);
  std::string head = encode(made->header);
  head.resize(kFirstRoom);
  std::vector<iovec> pieces{{head.data(), head.size()}};
  errno = 0;
  if (auto written = write_all(disk(), made->fd.get(), std::move(pieces), 0, made->path);
      !written) {
    *full = (errno == ENOSPC || errno == EDQUOT) &&
            disk().unlink(dir_->fd(), segment_name(number).c_str()) == 0;
    return written;
  }
  if (disk().fdatasync(made->fd.get()) != 0) return fail_errno("fdatasync " + made->path, errno);
  TRY_STATUS(dir_->sync_directory("journal"));
  tail_ = std::move(made);
  tail_number_ = number;
  end_ = kFirstRecord;
  room_ = kFirstRoom;
  step_ = kFirstRoom;
  return {};
}

// Zeros up to `end` at least, written before anything that needs them: a full disk is noticed
// while there is nothing to take back. Not flushed on their own: the commit does it. Grows the
// file once for many commits, so that those that follow change no size.
Status FileJournal::reserve(uint64_t end, bool* full) {
  if (end <= room_) return {};
  const uint64_t step = std::min(step_ * 2, kMostRoom);
  static const std::string zeros(kMostRoom, '\0');
  for (const uint64_t goal : {end + step, end}) {
    std::vector<iovec> pieces;
    for (uint64_t at = room_; at < goal; at += zeros.size())
      pieces.push_back({const_cast<char*>(zeros.data()),
                        static_cast<size_t>(std::min<uint64_t>(zeros.size(), goal - at))});
    errno = 0;
    const auto written = write_all(disk(), tail_->fd.get(), std::move(pieces), room_, tail_->path);
    const int error = errno;
    if (written) {
      room_ = goal;
      step_ = step;
      return {};
    }
    *full = error == ENOSPC || error == EDQUOT || error == EFBIG;
    if (!*full || goal == end) {
      // What is there beyond the old room is zeros.
      if (*full) (void)disk().truncate(tail_->fd.get(), static_cast<off_t>(room_));
      return written;
    }
  }
  return {};
}

Status FileJournal::seal_blocking(bool* full) {
  if (!tail_) return {};
  TRY(const Scan found, scan_segment(reader(tail_), end_, tail_->header, false));
  if (found.end != end_ && found.damages.empty())
    return fail(Fault::storage, "temporary failure",
                fmt::format("{}: records end at {}, not at {}", tail_->path, found.end, end_));
  std::string footer = encode_footer(found.entries, end_, last_seq_, tail_->header, random_id());
  const uint64_t size = end_ + footer.size();
  TRY_STATUS(reserve(size, full));
  std::vector<iovec> pieces{{footer.data(), footer.size()}};
  TRY_STATUS(write_all(disk(), tail_->fd.get(), std::move(pieces), end_, tail_->path));
  if (disk().truncate(tail_->fd.get(), static_cast<off_t>(size)) != 0)
    return fail_errno("truncate " + tail_->path, errno);
  if (disk().fsync(tail_->fd.get()) != 0) return fail_errno("fsync " + tail_->path, errno);
  tail_.reset();
  return {};
}

Status FileJournal::append_blocking(std::span<const Draft> drafts, Appended& result) {
  bool full = false;
  const auto no_room = [&](const Status& status) -> Status {
    if (!full) return status;
    result.no_room.emplace(Fault::storage, "no space left", status.error().detail(), "UNAVAILABLE");
    return {};
  };
  uint64_t bytes = 0;
  for (const auto& d : drafts) {
    RecordHeader h;
    h.meta = static_cast<uint32_t>(d.meta.size());
    h.aux = static_cast<uint32_t>(d.aux.size());
    h.body = d.body.size();
    bytes += h.total();
  }
  if (tail_ && end_ > kFirstRecord && end_ + bytes > segment_bytes_) {
    if (const auto sealed = seal_blocking(&full); !sealed) return no_room(sealed);
  }
  if (!tail_) {
    if (const auto made = make_segment(tail_number_ + 1, &full); !made) return no_room(made);
  }
  // At least one zero behind the records: where a file ends right after a CLEAN record, it was cut
  // there, which is done after the flush of that record. Others are flushed when they are found.
  if (const auto reserved = reserve(end_ + bytes + kRecordAlign, &full); !reserved)
    return no_room(reserved);

  const Id& key = tail_->header.segment;
  static const char kZeros[kRecordAlign] = {};
  // All headers in one piece of memory that does not move.
  std::string headers(drafts.size() * kRecordHeader, '\0');
  std::vector<iovec> pieces;
  pieces.reserve(drafts.size() * 5 + 1);
  const auto piece = [&](std::string_view view) {
    if (!view.empty()) pieces.push_back({const_cast<char*>(view.data()), view.size()});
  };
  Id unique = random_id();
  uint64_t offset = end_;
  for (size_t i = 0; i < drafts.size(); i++) {
    const auto& d = drafts[i];
    RecordHeader h;
    h.type = d.type;
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
    h.meta_sum = checksum(key, d.meta);
    h.aux_sum = checksum(key, d.aux);
    h.body_sum = checksum(key, d.body);
    encode(h, key, headers.data() + i * kRecordHeader);
    result.locations.push_back({tail_->header.number, offset, h.meta, h.aux, h.body});
    piece(std::string_view(headers).substr(i * kRecordHeader, kRecordHeader));
    piece(d.meta);
    piece(d.aux);
    piece(d.body);
    piece({kZeros, static_cast<size_t>(h.total() - kRecordHeader - h.meta - h.aux - h.body)});
    offset += h.total();
  }
  TRY_STATUS(write_all(disk(), tail_->fd.get(), std::move(pieces), end_, tail_->path));
  if (disk().fdatasync(tail_->fd.get()) != 0) {
    const int error = errno;
    return fail_errno(fmt::format("fdatasync {} at offset {}", tail_->path, end_), error);
  }
  end_ = offset;
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
    // What is on the disk now is for the next opening to find out.
    failed_ = true;
    co_return std::unexpected(status.error());
  }
  if (result.no_room) co_return result;
  last_seq_ += drafts.size();
  first_seqs_[tail_number_] = tail_->header.first_seq;
  open_[tail_number_] = tail_;
  clean_.reset();
  if (drafts.back().type == RecordType::clean) clean_ = Clean::decode(drafts.back().meta);
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
  // After CLEAN the zeros ahead are given back: the next opening finds it at the very end.
  const bool trim = clean_ && tail_ && !failed_ && room_ > end_;
  failed_ = true;
  auto tail = std::exchange(tail_, {});
  auto open = std::exchange(open_, {});
  auto rewriter = std::exchange(rewriter_, {});
  auto dir = std::exchange(dir_, {});  // and with the index's, the lock on the account
  co_await pool_.run([&] {
    if (trim) (void)disk().truncate(tail->fd.get(), static_cast<off_t>(end_));
    tail.reset();
    open.clear();
    rewriter.reset();
    dir.reset();
  });
}

Task<Result<std::unique_ptr<Journal>>> FileJournals::open(std::string,
                                                          std::shared_ptr<AccountDir> dir) {
  auto journal = std::make_unique<FileJournal>(loop_, pool_, std::move(dir), segment_bytes_);
  CO_TRY_STATUS(co_await journal->open());
  co_return std::unique_ptr<Journal>(std::move(journal));
}

}  // namespace rims::store
