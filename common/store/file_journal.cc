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

#include "common/async/event.h"
#include "common/base/log.h"
#include "common/store/bytes.h"
#include "common/store/rewrite.h"
#include "common/store/segment.h"

namespace rims::store {
namespace {

constexpr uint64_t kFirstRoom = 64 << 10;  // zeros ahead of the records of a new segment
constexpr uint64_t kMostRoom = 1 << 20;
constexpr size_t kReadOnLoop = 256 << 10;  // larger reads and their checksums go to the pool
constexpr size_t kOpenSegments = 32;

struct SegmentFile {
  Fd fd;
  SegmentHeader header;
  std::string path;  // for messages
};
using SegmentRef = std::shared_ptr<SegmentFile>;  // shared with jobs on the pool that read it

Id random_id() {
  Id id{};
  randombytes_buf(id.data(), id.size());
  return id;
}

std::string segment_name(uint32_t number) { return fmt::format("journal/{:08}", number); }

class FileJournal final : public Journal {
 public:
  FileJournal(Loop& loop, IoPool& pool, std::shared_ptr<AccountDir> dir, uint64_t segment_bytes)
      : pool_(pool),
        disk_(dir->disk()),
        dir_(std::move(dir)),
        segment_bytes_(segment_bytes),
        writing_(loop) {}

  Task<Status> open() {
    Status status;
    co_await pool_.run([&] { status = open_blocking(); });
    report();
    co_return status;
  }

  uint64_t last_seq() const override { return last_seq_; }
  std::optional<Clean> clean() const override { return clean_; }
  uint32_t lost() const override { return lost_; }
  uint32_t cut() const override { return cut_; }

  Task<Result<Appended>> append(uint64_t expected, std::span<const Draft> drafts) override;
  Task<Result<Records>> read_from(uint64_t seq) override;
  Task<Result<std::string>> read(Location at, MessageId message, Part part, uint64_t offset,
                                 uint64_t length, bool* verified) override;
  Task<Status> seal() override;
  Task<Result<std::vector<Segment>>> segments() override;
  Task<Result<Rewritten>> rewrite(uint32_t number, std::vector<MessageId> drop, Pace pace) override;
  Task<Status> replace() override;
  Task<void> discard() override;
  Task<void> close() override;

 private:
  Disk& disk() { return disk_; }
  ReadAt reader(const SegmentRef& segment) {
    return [this, segment](uint64_t offset, size_t size) {
      return read_up_to(disk(), segment->fd.get(), size, offset, segment->path);
    };
  }
  // All of these run on the pool, under writing_.
  Status open_blocking();
  Status open_tail();
  Status cut_tail(const Damage& cut);
  Status rewrite(uint64_t from, uint64_t to);
  Status make_segment(uint32_t number, bool* full);
  Status seal_blocking(bool* full);
  Status append_blocking(std::span<const Draft> drafts, Appended& result);
  Result<SegmentRef> open_segment(const AccountDir& dir, uint32_t number, int flags);
  Status reserve(uint64_t end, bool* full);
  Result<Scan> scan(const SegmentRef& segment, bool tail);
  void note(const SegmentRef& segment, const std::vector<Damage>& damages);
  Result<std::string> read_record(const SegmentRef& segment, const Location& at, MessageId message,
                                  Part part, uint64_t offset, uint64_t length, bool* verified,
                                  bool on_loop, bool* blocked);

  // On the loop.
  void report();
  Task<Result<SegmentRef>> segment(uint32_t number);

  IoPool& pool_;
  Disk& disk_;
  std::shared_ptr<AccountDir> dir_;  // shared with the index; empty after close()
  const uint64_t segment_bytes_;
  Mutex writing_;  // append, seal, scans: one at a time

  std::map<uint32_t, uint64_t> first_seqs_;  // of every segment that is there
  std::map<uint32_t, SegmentRef> open_;      // segments that are read
  SegmentRef tail_;                          // the one that is written; empty after sealing
  uint32_t tail_number_ = 0;
  Id account_{};
  uint64_t last_seq_ = 0;
  uint64_t end_ = kFirstRecord;  // where the next record goes
  uint64_t room_ = 0;            // zero-filled up to here
  uint64_t step_ = kFirstRoom;
  std::optional<Clean> clean_;
  uint32_t lost_ = 0, cut_ = 0;
  std::map<std::string, bool> known_damage_;  // counted already
  std::vector<std::string> news_;             // for the log, which belongs to the loop's thread
  bool failed_ = false;
  std::unique_ptr<SegmentRewriter> rewriter_;
  uint64_t replaced_ = 0;  // how many segments were
};

void FileJournal::report() {
  for (const auto& line : std::exchange(news_, {})) log::error("", "{}", line);
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
    const bool saved = bytes && !bytes->empty() && dir_->quarantine(copy, *bytes);
    news_.push_back(fmt::format("damaged: {}: {}; {}quarantine/{}, the rest is served", where,
                                damage.what, saved ? "copied to " : "not copied to ", copy));
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

Status FileJournal::open_blocking() {
  TRY_STATUS(dir_->make_directory("journal"));
  TRY(const auto names, dir_->list("journal"));
  std::vector<uint32_t> segments;
  for (const auto& name : names) {
    if (name.size() == 12 && name.ends_with(".new") && name.find_first_not_of("0123456789") == 8) {
      const bool removed = disk().unlink(dir_->fd(), ("journal/" + name).c_str()) == 0;
      news_.push_back(fmt::format("{}/journal/{}: {} what a compaction left that did not end",
                                  dir_->path(), name, removed ? "removed" : "can not remove"));
      continue;
    }
    if (name.size() != 8 || name.find_first_not_of("0123456789") != name.npos) {
      news_.push_back(fmt::format("{}/journal/{} is no segment; left alone", dir_->path(), name));
      continue;
    }
    segments.push_back(static_cast<uint32_t>(std::stoul(name)));
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
        news_.push_back(
            fmt::format("damaged: {}: both headers; its records can not be read", segment->path));
      }
      if (!never_used || number != segments.back()) {
        // It keeps its name out of the way: nothing is deleted.
        TRY_STATUS(dir_->make_directory("quarantine"));
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
    if (first_seqs_.empty()) {
      account_ = segment->header.account;
      if (segment->header.first_seq != 1) {
        lost_ += 1000;
        news_.push_back(fmt::format("damaged: {}: records before {} are missing", segment->path,
                                    segment->header.first_seq));
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
      news_.push_back(fmt::format("damaged: {}: the segment before it is missing", segment->path));
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
  TRY_STATUS(dir_->sync_directory("journal"));
  TRY(auto footer, read_footer(reader(tail_), size, tail_->header));
  if (footer) {
    last_seq_ =
        footer->entries.empty() ? tail_->header.first_seq - 1 : footer->entries.back().header.seq;
    tail_.reset();
    return {};
  }
  TRY(const Scan found, scan(tail_, true));
  note(tail_, found.damages);
  last_seq_ = found.entries.empty() ? tail_->header.first_seq - 1 : found.entries.back().header.seq;
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
  }
  return {};
}

Status FileJournal::cut_tail(const Damage& cut) {
  cut_ += cut.lost;
  const std::string name =
      fmt::format("{:08}-{}-cut-{:08x}", tail_->header.number, cut.offset, randombytes_random());
  TRY(const std::string bytes, read_up_to(disk(), tail_->fd.get(), static_cast<size_t>(cut.length),
                                          cut.offset, tail_->path));
  errno = 0;
  const auto saved = dir_->quarantine(name, bytes);
  // A full disk must not keep an account closed: what is cut was never acknowledged.
  if (!saved && errno != ENOSPC && errno != EDQUOT) return saved;
  news_.push_back(fmt::format(
      "{} at offset {}: {} bytes were never acknowledged ({}); cut, {} quarantine/{}", tail_->path,
      cut.offset, cut.length, cut.what, saved ? "kept in" : "no space for", name));
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
  if (found.end != end_)
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
  if (const auto reserved = reserve(end_ + bytes, &full); !reserved) return no_room(reserved);

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
  if (disk().fdatasync(tail_->fd.get()) != 0) return fail_errno("fdatasync " + tail_->path, errno);
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

Task<Result<std::vector<Journal::Segment>>> FileJournal::segments() {
  const auto lock = co_await writing_.lock();
  if (!dir_) co_return fail(Fault::storage, "temporary failure", "the journal is closed");
  std::vector<Segment> list;
  for (const auto& [number, seq] : first_seqs_) {
    if (tail_ && number == tail_number_) {
      list.push_back({number, end_, false});
      continue;
    }
    CO_TRY(const SegmentRef file, co_await segment(number));
    CO_TRY(const uint64_t size, file_size(file->fd.get(), file->path));
    list.push_back({number, size, true});
  }
  co_return list;
}

Task<Result<Journal::Rewritten>> FileJournal::rewrite(uint32_t number, std::vector<MessageId> drop,
                                                      Pace pace) {
  CO_TRY(const SegmentRef file, co_await segment(number));
  if (failed_ || (tail_ && number == tail_number_))
    co_return fail(Fault::storage, "temporary failure", file->path + " is being written");
  rewriter_ = std::make_unique<SegmentRewriter>(dir_, reader(file), file->header, file->path,
                                                std::move(drop));
  Status status;
  co_await pool_.run([&] {
    auto size = file_size(file->fd.get(), file->path);
    status = size ? rewriter_->begin(*size) : std::unexpected(size.error());
  });
  bool go_on = true;
  while (status && go_on) {
    Result<uint64_t> moved = 0;
    co_await pool_.run([&] { moved = rewriter_->step(); });
    if (!moved) status = std::unexpected(moved.error());
    if (!moved || *moved == 0) break;
    go_on = co_await pace(*moved);
  }
  if (status && go_on) co_await pool_.run([&] { status = rewriter_->finish(); });
  if (status && go_on) co_return rewriter_->result();
  co_await discard();
  if (!status) co_return std::unexpected(status.error());
  co_return Rewritten{.segment = number, .whole = false, .places = {}};
}

Task<Status> FileJournal::replace() {
  const auto lock = co_await writing_.lock();
  if (failed_ || !rewriter_)
    co_return fail(Fault::storage, "temporary failure", "the journal has failed before");
  Status status;
  co_await pool_.run([&] { status = rewriter_->replace(); });
  failed_ = !status;
  if (status) {
    const auto made = std::make_shared<SegmentFile>();
    made->fd = rewriter_->take_file();
    made->header = rewriter_->header();
    made->path = rewriter_->path();
    open_[made->header.number] = made;
    replaced_++;
    rewriter_.reset();
  }
  co_return status;
}

Task<void> FileJournal::discard() {
  const auto rewriter = std::exchange(rewriter_, {});
  if (rewriter) co_await pool_.run([&] { rewriter->discard(); });
}

Task<Result<SegmentRef>> FileJournal::segment(uint32_t number) {
  if (const auto found = open_.find(number); found != open_.end()) co_return found->second;
  const auto dir = dir_;  // close() may come meanwhile
  if (!dir) co_return fail(Fault::storage, "temporary failure", "the journal is closed");
  Result<SegmentRef> opened = SegmentRef();
  for (uint64_t before = replaced_ + 1; before != replaced_;) {
    before = replaced_;
    co_await pool_.run([&] { opened = open_segment(*dir, number, O_RDONLY); });
  }
  if (!opened) co_return opened;
  if ((*opened)->header.number == 0)
    co_return fail(Fault::storage, "temporary failure", (*opened)->path + ": both headers are bad");
  // The oldest go first; the one that is written stays.
  while (open_.size() >= kOpenSegments) {
    auto oldest = open_.begin();
    if (oldest->first == tail_number_) break;
    open_.erase(oldest);
  }
  open_[number] = *opened;
  co_return opened;
}

Task<Result<Records>> FileJournal::read_from(uint64_t seq) {
  const auto lock = co_await writing_.lock();
  Records out;
  if (!dir_) co_return fail(Fault::storage, "temporary failure", "the journal is closed");
  // The segment that has `seq`: the last one that begins at or before it.
  auto it = first_seqs_.begin();
  for (auto next = first_seqs_.begin(); next != first_seqs_.end() && next->second <= seq; ++next)
    it = next;
  for (; it != first_seqs_.end() && out.list.empty(); it = first_seqs_.upper_bound(it->first)) {
    const uint32_t number = it->first;
    CO_TRY(const SegmentRef file, co_await segment(number));
    Result<Scan> found = Scan();
    co_await pool_.run([&] {
      found = scan(file, false);
      if (found) note(file, found->damages);
    });
    report();
    if (!found) co_return std::unexpected(found.error());
    for (const auto& e : found->entries) {
      if (e.header.seq < seq) continue;
      out.list.push_back({e.header.type,
                          e.header.seq,
                          e.header.time,
                          e.meta,
                          {number, e.offset, e.header.meta, e.header.aux, e.header.body},
                          (e.header.flags & kDropped) != 0});
    }
    out.bytes = std::move(found->bytes);
    it = first_seqs_.find(number);
    if (it == first_seqs_.end()) break;
  }
  co_return out;
}

Result<std::string> FileJournal::read_record(const SegmentRef& file, const Location& at,
                                             MessageId message, Part part, uint64_t offset,
                                             uint64_t length, bool* verified, bool on_loop,
                                             bool* blocked) {
  const auto pread = [&](uint64_t from, size_t size) -> Result<std::string> {
    if (!on_loop) return read_up_to(disk(), file->fd.get(), size, from, file->path);
    std::string bytes(size, '\0');
    const iovec to{bytes.data(), size};
    const ssize_t n = preadv2(file->fd.get(), &to, 1, static_cast<off_t>(from), RWF_NOWAIT);
    // Not in memory, or a file system that can not say: the pool waits for it.
    if (n != static_cast<ssize_t>(size)) *blocked = true;
    return bytes;
  };
  const auto damaged = [&](std::string_view what) {
    *verified = false;
    return fail(Fault::storage, "the message is damaged",
                fmt::format("damaged: {} at offset {}: {} (message {})", file->path, at.offset,
                            what, message.value),
                "UNAVAILABLE");
  };
  const uint64_t size = part == Part::message ? at.body : at.aux;
  const uint64_t start =
      at.offset + kRecordHeader + at.meta + (part == Part::message ? at.aux : uint64_t{0});
  if (offset >= size) length = 0;
  length = std::min(length, size - std::min(offset, size));
  const auto piece = [&]() -> Result<std::string> {
    TRY(std::string bytes, pread(start + offset, static_cast<size_t>(length)));
    if (!*blocked && bytes.size() != length) return damaged("the segment ends inside the record");
    return bytes;
  };
  if (*verified) return piece();

  const bool all = part == Part::message && (length == size || size <= kReadOnLoop);
  const uint64_t upto = kRecordHeader + uint64_t{at.meta} + at.aux + (all ? at.body : 0);
  TRY(std::string bytes, pread(at.offset, static_cast<size_t>(upto)));
  if (*blocked) return std::string();
  if (bytes.size() != upto) return damaged("the segment ends inside the record");
  const Id& key = file->header.segment;
  const auto header = decode_record(bytes, key);
  if (!header || header->type != RecordType::append || header->meta != at.meta ||
      header->aux != at.aux || header->body != at.body)
    return damaged("no such record header");
  if ((header->flags & kDropped) != 0)
    return fail(Fault::not_found, "no such message", "expunged, and its bytes are given back",
                "EXPUNGEISSUED");
  const std::string_view rest = std::string_view(bytes).substr(kRecordHeader);
  const auto meta = rest.substr(0, at.meta);
  if (checksum(key, meta) != header->meta_sum) return damaged("record meta");
  const auto record = Append::decode(meta);
  if (!record || record->entry.message != message) return damaged("another message is here");
  const auto aux = rest.substr(at.meta, at.aux);
  const bool aux_good = checksum(key, aux) == header->aux_sum;
  if (part == Part::structure) {
    if (!aux_good) return damaged("message structure");
    return std::string(
        aux.substr(static_cast<size_t>(std::min(offset, size)), static_cast<size_t>(length)));
  }
  if (!all) return piece();
  const auto body = rest.substr(size_t{at.meta} + at.aux);
  if (checksum(key, body) != header->body_sum) return damaged("message bytes");
  *verified = aux_good;
  if (offset == 0 && length == size) {
    bytes.erase(0, static_cast<size_t>(upto - size));
    return bytes;
  }
  return std::string(
      body.substr(static_cast<size_t>(std::min(offset, size)), static_cast<size_t>(length)));
}

Task<Result<std::string>> FileJournal::read(Location at, MessageId message, Part part,
                                            uint64_t offset, uint64_t length, bool* verified) {
  const uint64_t before = replaced_;
  CO_TRY(const SegmentRef file, co_await segment(at.segment));
  if (before != replaced_) *verified = false;  // it may be another file than the place is of
  bool blocked = std::min(length, at.body) > kReadOnLoop;
  Result<std::string> bytes = std::string();
  if (!blocked) {
    bytes = read_record(file, at, message, part, offset, length, verified, true, &blocked);
    if (!blocked) co_return bytes;
  }
  // The pool must not see a pointer into somebody else's frame: what it writes is ours.
  bool mine = *verified;
  bool never = false;
  co_await pool_.run(
      [&] { bytes = read_record(file, at, message, part, offset, length, &mine, false, &never); });
  *verified = mine;
  co_return bytes;
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

}  // namespace

Task<Result<std::unique_ptr<Journal>>> FileJournals::open(std::string,
                                                          std::shared_ptr<AccountDir> dir) {
  auto journal = std::make_unique<FileJournal>(loop_, pool_, std::move(dir), segment_bytes_);
  CO_TRY_STATUS(co_await journal->open());
  co_return std::unique_ptr<Journal>(std::move(journal));
}

}  // namespace rims::store
