// common/store/file_journal.h - the journal in files: journal/00000001 and so on
//
// See doc/storage-format.md, "Journal". Order of writing, each step durable before the next:
//   append  batch into zero-filled space, fdatasync; then it counts
//   roll    footer and trailer, fsync; new segment with header, fdatasync; directory, fsync
//   open    cut bytes saved in quarantine/, fsync; cut, fsync; last batch written again, fdatasync
// The last batch is written again because a flush may have failed before: the page cache would
// show what the disk does not have.
#pragma once

#include <memory>

#include "common/async/io_pool.h"
#include "common/store/disk.h"
#include "common/store/journal.h"

namespace rims::store {

class FileJournals final : public JournalFactory {
 public:
  FileJournals(Loop& loop, IoPool& pool, uint64_t segment_bytes)
      : loop_(loop), pool_(pool), segment_bytes_(segment_bytes) {}
  Task<Result<std::unique_ptr<Journal>>> open(std::string user,
                                              std::shared_ptr<AccountDir> dir) override;

 private:
  Loop& loop_;
  IoPool& pool_;
  uint64_t segment_bytes_;
};

}  // namespace rims::store
