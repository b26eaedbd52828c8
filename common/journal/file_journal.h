// common/journal/file_journal.h - the journal in segments: journal/00000001 and so on
//
// See doc/storage-format.md, "Journal". Order of writing, each step durable before the next:
//   append  batch into zero-filled space, fdatasync; then it is committed
//   roll    footer and trailer, fsync; new segment with header, fdatasync; directory, fsync
//   open    cut bytes saved in quarantine/, fsync; cut, fsync; last batch written again, fdatasync
// The last batch is written again because a flush may have failed before: the page cache would
// show what the disk does not have.
#pragma once

#include <memory>

#include "common/async/io_pool.h"
#include "common/journal/account_dir.h"
#include "common/journal/journal.h"
#include "common/journal/open_files.h"
#include "common/journal/segments.h"

namespace rims::store {

// Opens the journal in `segments`. `importing`: no client has seen its end (takeover.h,
// kImporting).
Task<Result<std::unique_ptr<Journal>>> open_journal(Loop& loop, IoPool& pool,
                                                    std::shared_ptr<Segments> segments,
                                                    std::string user, bool importing,
                                                    uint64_t segment_bytes);

// Of accounts in files.
class FileJournals final : public JournalFactory {
 public:
  FileJournals(Loop& loop, IoPool& pool, uint64_t segment_bytes,
               OpenFiles& files = OpenFiles::of_process())
      : loop_(loop), pool_(pool), segment_bytes_(segment_bytes), files_(files) {}
  Task<Result<std::unique_ptr<Journal>>> open(std::string user,
                                              std::shared_ptr<AccountDir> dir) override;

 private:
  Loop& loop_;
  IoPool& pool_;
  uint64_t segment_bytes_;
  OpenFiles& files_;
};

}  // namespace rims::store
