// common/journal/file_journal_impl.h - the journal behind file_journal.h
//
//   file_journal.cc        opening, appending, sealing, closing
//   file_journal_read.cc   reading, and replacing segments by compacted ones
#pragma once

#include <algorithm>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "common/async/event.h"
#include "common/async/io_pool.h"
#include "common/base/log.h"
#include "common/journal/journal.h"
#include "common/journal/rewrite.h"
#include "common/journal/segment.h"
#include "common/journal/segments.h"

namespace rims::store {

inline constexpr uint64_t kFirstRoom = 64 << 10;  // zeros ahead of the records of a new segment
inline constexpr size_t kOpenSegments = 32;

using SegmentRef = std::shared_ptr<KnownSegment>;  // shared with jobs on the pool that read it

class FileJournal final : public Journal {
 public:
  // `user`: whose account it should be. `importing`: no client has seen its end (takeover.h,
  // kImporting).
  FileJournal(Loop& loop, IoPool& pool, std::shared_ptr<Segments> segments, std::string user,
              bool importing, uint64_t segment_bytes)
      : pool_(pool),
        segments_(std::move(segments)),
        user_(std::move(user)),
        importing_(importing),
        segment_bytes_(segment_bytes),
        writing_(loop) {}

  Task<Status> open() {
    Status status;
    co_await pool_.run([&] { status = open_blocking(); });
    report();
    co_return status;
  }

  std::string account() const override { return {account_.begin(), account_.end()}; }
  uint64_t last_seq() const override { return last_seq_; }
  std::optional<Clean> clean() const override { return clean_; }
  uint32_t lost() const override { return lost_; }
  uint32_t cut() const override { return cut_; }

  std::string made_of(uint64_t seq) const override { return store::made_of(first_seqs_, seq); }
  bool incomplete() const override { return !left_out_.empty(); }
  void pass_over(uint64_t seq) override { last_seq_ = std::max(last_seq_, seq); }
  std::optional<Error> only_read() const override { return only_read_; }
  void owe() override { owes_ = true; }

  Task<Result<Appended>> append(uint64_t expected, std::span<const Draft> drafts) override;
  [[nodiscard]] bool begins_segment(std::span<const Draft> drafts) const override;
  [[nodiscard]] std::string account_id() const override {
    return {reinterpret_cast<const char*>(account_.data()), account_.size()};
  }
  Task<Result<std::vector<JournalEvent>>> read_from(uint64_t seq) override;
  Task<Result<std::string>> read(Location at, MessageId message, Part part, uint64_t offset,
                                 uint64_t length, bool* verified) override;
  Task<Status> seal() override;
  Task<Result<std::vector<Segment>>> segments() override;
  Task<Result<Rewritten>> rewrite(uint32_t number, std::vector<MessageId> drop, Pace pace) override;
  Task<Status> replace() override;
  Task<void> discard() override;
  Task<void> close() override;

 private:
  // All of these run on the pool, under writing_.
  Status open_blocking();
  Result<Census> take_census(std::vector<uint32_t>& numbers);
  Status take_segment(const Census& census, uint32_t number, bool last);
  Status take_headless(const KnownSegment& segment, uint32_t number, bool last);
  void leave_out(uint32_t number, const Misfit& why, const std::string& path, uint64_t size);
  Status open_last();
  Status become_writable();
  Status mend_header(const KnownSegment& segment);
  Status open_tail();
  Status cut_tail(const Damage& cut);
  Status rewrite(uint64_t from, uint64_t to);
  Status make_segment(uint32_t number, bool* full);
  Status seal_blocking(bool* full);
  void leave_out_of_order(uint32_t number, uint64_t last);
  Status append_blocking(std::span<const Draft> drafts, Appended& result);
  // True when `bytes` more of records do not go into the tail.
  [[nodiscard]] bool ends_before(uint64_t bytes) const;
  Status reserve(uint64_t end, bool* full);
  Result<Scan> scan(const SegmentRef& segment, bool tail);
  Status seal_late(const KnownSegment& segment, const Scan& found);
  [[nodiscard]] uint64_t first_after_cut(const SegmentHeader& segment, uint64_t size) const;
  void tell(log::Level level, std::string line);
  void note(const SegmentRef& segment, const std::vector<Damage>& damages);
  // On the loop.
  void report();
  Task<Result<SegmentRef>> segment(uint32_t number);

  IoPool& pool_;
  std::shared_ptr<Segments> segments_;  // shared with the rewriter; empty after close()
  const std::string user_;
  const bool importing_;
  const uint64_t segment_bytes_;
  Mutex writing_;  // append, seal, scans: one at a time

  std::map<uint32_t, uint64_t> first_seqs_;  // of every segment that is there
  std::map<uint32_t, SegmentRef> open_;      // segments that are read
  SegmentRef tail_;                          // the one that is written; empty after sealing
  uint32_t tail_number_ = 0;                 // of this journal's last one, used or not
  std::map<uint32_t, uint64_t> left_out_;    // segments that are not used now: their sizes, or 0
  Id account_{};
  uint64_t last_seq_ = 0;
  uint64_t end_ = kFirstRecord;  // where the next record goes
  uint64_t room_ = 0;            // zero-filled up to here
  uint64_t step_ = kFirstRoom;
  std::optional<Clean> clean_;
  uint32_t lost_ = 0, cut_ = 0;
  std::map<std::string, bool> known_damage_;              // counted already
  std::vector<std::pair<log::Level, std::string>> news_;  // to be logged, by the loop's thread
  bool failed_ = false;
  bool until_opened_again_ = false;  // it stays read-only
  std::optional<Error> only_read_;   // why the last segment could not be opened for writing
  bool owes_ = false;
  std::unique_ptr<SegmentRewriter> rewriter_;
  uint64_t replaced_ = 0;  // how many segments were
};

}  // namespace rims::store
