// common/store/rewrite.h - a sealed segment once more, without the bytes of dead messages
//
// Writes journal/NNNNNNNN.new; see doc/storage-format.md, "Compaction". What stays is verified
// against the old segment's checksums on the way; a segment with any damage is given up, so that
// damaged bytes stay where they are. All calls block.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "common/base/fd.h"
#include "common/base/result.h"
#include "common/store/disk.h"
#include "common/store/journal.h"
#include "common/store/segment.h"

namespace rims::store {

class SegmentRewriter {
 public:
  // `read` reads the old segment, `path` names it in errors.
  SegmentRewriter(std::shared_ptr<AccountDir> dir, ReadAt read, const SegmentHeader& header,
                  std::string path, std::vector<MessageId> drop);

  Status begin(uint64_t file_size);
  // Copies some records and flushes them. The bytes read and written; 0: that was all.
  Result<uint64_t> step();
  // Footer and trailer; the file is durable, its name is not.
  Status finish();
  // The new file is in the place of the old one, durably.
  Status replace();
  void discard();

  [[nodiscard]] Fd take_file() { return std::move(file_); }
  [[nodiscard]] const SegmentHeader& header() const { return made_; }
  [[nodiscard]] const std::string& path() const { return path_; }
  [[nodiscard]] const Journal::Rewritten& result() const { return result_; }

 private:
  std::unexpected<Error> damaged(uint64_t offset, std::string_view what) const;
  Status copy(const Entry& old, std::string& out);
  Status write(std::string bytes);

  std::shared_ptr<AccountDir> dir_;  // shared with the journal; holds the lock on the account
  ReadAt read_;
  SegmentHeader old_, made_;
  std::string path_, name_, new_name_;
  std::vector<MessageId> drop_;
  Fd file_;
  Scan found_;
  size_t next_ = 0;      // of found_.entries
  uint64_t offset_ = 0;  // where the next record goes
  std::vector<Entry> entries_;
  Journal::Rewritten result_;
};

}  // namespace rims::store
