// common/journal/file_journal_read.cc - reading records and messages; replacing segments by smaller
// ones

#include <algorithm>

#include "common/journal/file_journal_impl.h"

namespace rims::store {
namespace {

constexpr size_t kReadOnLoop = 256 << 10;  // larger reads and their checksums go to the pool

}  // namespace

Task<Result<SegmentRef>> FileJournal::segment(uint32_t number) {
  if (const auto found = open_.find(number); found != open_.end()) co_return found->second;
  const auto segments = segments_;  // close() may come meanwhile
  if (!segments) co_return fail(Fault::storage, "temporary failure", "the journal is closed");
  Result<KnownSegment> opened = KnownSegment();
  for (uint64_t before = replaced_ + 1; before != replaced_;) {
    before = replaced_;
    co_await pool_.run([&] { opened = open_segment(*segments, number); });
  }
  if (!opened) co_return std::unexpected(opened.error());
  if (opened->state != HeaderState::good || opened->header.number != number)
    co_return fail(Fault::storage, "temporary failure",
                   opened->path() + ": its headers have changed since it was opened first");
  // The oldest go first; the one that is written stays.
  while (open_.size() >= kOpenSegments) {
    auto oldest = open_.begin();
    if (tail_ && oldest->first == tail_->header.number) break;
    open_.erase(oldest);
  }
  const auto known = std::make_shared<KnownSegment>(*std::move(opened));
  open_[number] = known;
  co_return known;
}

Task<Result<std::vector<JournalEvent>>> FileJournal::read_from(uint64_t seq) {
  const auto lock = co_await writing_.lock();
  std::vector<JournalEvent> out;
  if (!segments_) co_return fail(Fault::storage, "temporary failure", "the journal is closed");
  // The segment that has `seq`: the last one that begins at or before it.
  auto it = first_seqs_.begin();
  for (auto next = first_seqs_.begin(); next != first_seqs_.end() && next->second <= seq; ++next)
    it = next;
  for (; it != first_seqs_.end() && out.empty(); it = first_seqs_.upper_bound(it->first)) {
    const uint32_t number = it->first;
    CO_TRY(const SegmentRef file, co_await segment(number));
    Status status;
    uint64_t last = 0;
    // Decoding, too: a segment may name a million messages.
    co_await pool_.run([&] {
      status = [&]() -> Status {
        TRY(const Scan found, scan(file, false));
        note(file, found.damages);
        last = found.last_seq;
        for (const auto& e : found.entries) {
          const auto& h = e.header;
          if (h.seq < seq) continue;
          auto record = decode(h.type, h.version, h.seq, e.meta, file->header.program);
          if (!record)
            return fail(
                Fault::storage, "temporary failure",
                fmt::format("{} at offset {}: {}", file->path(), e.offset, record.error().detail()),
                "UNAVAILABLE");
          out.push_back({.seq = h.seq,
                         .time = h.time,
                         .location = {number, e.offset, h.meta, h.aux, h.body},
                         .dropped = (h.flags & kDropped) != 0,
                         .record = *std::move(record)});
        }
        return {};
      }();
    });
    leave_out_of_order(number, last);
    report();
    CO_TRY_STATUS(std::move(status));
    it = first_seqs_.find(number);
    if (it == first_seqs_.end()) break;
  }
  co_return out;
}

// Segments that begin before this one ends are of another past of the account: they came back after
// its end had been lost, and it went on without them.
void FileJournal::leave_out_of_order(uint32_t number, uint64_t last) {
  auto next = first_seqs_.upper_bound(number);
  if (next == first_seqs_.end() || next->second > last) return;
  for (; next != first_seqs_.end() && next->second <= last; next = first_seqs_.erase(next))
    tell(log::Level::error,
         fmt::format("{}/{} {}: it is not used now, the rest is served; {}", segments_->path(),
                     segment_name(next->first), kOutOfOrder.what, kOutOfOrder.remedy));
  if (next != first_seqs_.end()) return;
  // New records go into a segment after them, and continue those that are used.
  tail_.reset();
  clean_.reset();
  last_seq_ = last;
}

Task<Result<std::string>> FileJournal::read(Location at, MessageId message, Part part,
                                            uint64_t offset, uint64_t length, bool* verified) {
  // The pool must not get a pointer into the caller's coroutine frame; it writes to this local.
  Seen seen{.verified = *verified, .mended = {}};
  SegmentRef file;
  Result<std::string> bytes = std::string();
  for (uint64_t before = replaced_;; before = replaced_) {
    CO_TRY(file, co_await segment(at.segment));
    if (before != replaced_) seen.verified = false;  // the segment may have been replaced
    const bool verified_before = seen.verified;
    bool blocked = std::min(length, at.body) > kReadOnLoop;
    const auto read = [&](const ReadAt& from) {
      bytes = read_part(from, file->header.segment, file->path(), at, message, part, offset, length,
                        kReadOnLoop, seen);
    };
    if (!blocked) {
      read([&](uint64_t from, size_t size) -> Result<std::string> {
        auto there = file->file->read_now(from, size);
        if (there) return *std::move(there);
        blocked = true;  // the pool waits for it
        return std::string();
      });
    }
    if (blocked) {
      seen = {.verified = verified_before, .mended = {}};
      co_await pool_.run([&] { read(file->reader()); });
    }
    // Try once more when the segment was closed and replaced before it was read.
    if (bytes || before == replaced_) break;
    seen = {};
  }
  *verified = seen.verified;
  if (seen.mended) {
    const auto lock = co_await writing_.lock();
    co_await pool_.run([&] { note(file, {*seen.mended}); });
    report();
  }
  co_return bytes;
}

Task<Result<std::vector<Journal::Segment>>> FileJournal::segments() {
  const auto lock = co_await writing_.lock();
  if (!segments_) co_return fail(Fault::storage, "temporary failure", "the journal is closed");
  std::vector<Segment> list;
  for (const auto& [number, seq] : first_seqs_) {
    if (tail_ && number == tail_->header.number) {
      list.push_back({number, end_, false});
      continue;
    }
    CO_TRY(const SegmentRef file, co_await segment(number));
    CO_TRY(const uint64_t size, file->file->size());
    list.push_back({number, size, true});
  }
  co_return list;
}

Task<Result<Journal::Rewritten>> FileJournal::rewrite(uint32_t number, std::vector<MessageId> drop,
                                                      Pace pace) {
  CO_TRY(const SegmentRef file, co_await segment(number));
  if (failed_ || (tail_ && number == tail_->header.number))
    co_return fail(Fault::storage, "temporary failure", file->path() + " is being written");
  rewriter_ = std::make_unique<SegmentRewriter>(segments_, *file, std::move(drop));
  Status status;
  co_await pool_.run([&] { status = rewriter_->begin(); });
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
    const auto made = std::make_shared<KnownSegment>(rewriter_->take());
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

}  // namespace rims::store
