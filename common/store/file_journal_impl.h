// common/store/file_journal_impl.h - the journal behind file_journal.h
//
//   file_journal.cc        opening, appending, sealing, closing
//   file_journal_read.cc   reading, and replacing segments by compacted ones
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "common/async/event.h"
#include "common/async/io_pool.h"
#include "common/base/log.h"
#include "common/store/disk.h"
#include "common/store/journal.h"
#include "common/store/rewrite.h"
#include "common/store/segment.h"

namespace rims::store {

inline constexpr uint64_t kFirstRoom = 64 << 10;  // zeros ahead of the records of a new segment
inline constexpr size_t kOpenSegments = 32;

struct SegmentFile {
  Fd fd;
  SegmentHeader header;
  std::string path;  // for messages
};
using SegmentRef = std::shared_ptr<SegmentFile>;  // shared with jobs on the pool that read it

inline std::string segment_name(uint32_t number) { return fmt::format("journal/{:08}", number); }

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
  Status mend_header(const SegmentFile& segment);
  Status open_tail();
  Status cut_tail(const Damage& cut);
  Status rewrite(uint64_t from, uint64_t to);
  Status make_segment(uint32_t number, bool* full);
  Status seal_blocking(bool* full);
  Status append_blocking(std::span<const Draft> drafts, Appended& result);
  Result<SegmentRef> open_segment(const AccountDir& dir, uint32_t number, int flags);
  Status reserve(uint64_t end, bool* full);
  Result<Scan> scan(const SegmentRef& segment, bool tail);
  void tell(log::Level level, std::string line);
  void note(const SegmentRef& segment, const std::vector<Damage>& damages);
  // Of a record: that its checksums are right, and that its header has a wrong bit.
  struct Seen {
    bool verified = false;
    std::optional<Damage> mended;
  };
  Result<std::string> read_record(const SegmentRef& segment, const Location& at, MessageId message,
                                  Part part, uint64_t offset, uint64_t length, Seen& seen,
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
  std::map<std::string, bool> known_damage_;              // counted already
  std::vector<std::pair<log::Level, std::string>> news_;  // for the log: the loop's thread's
  bool failed_ = false;
  std::unique_ptr<SegmentRewriter> rewriter_;
  uint64_t replaced_ = 0;  // how many segments were
};

}  // namespace rims::store
