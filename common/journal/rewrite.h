// common/journal/rewrite.h - a sealed segment written again, without the bytes of expunged messages
//
// Writes a replacement; see doc/storage-format.md, "Compaction". What is copied is verified against
// the old segment's checksums. A segment with any damage is not compacted, so that damaged bytes
// stay where they are. All calls block.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "common/base/result.h"
#include "common/journal/journal.h"
#include "common/journal/segment.h"
#include "common/journal/segments.h"

namespace rims::store {

class SegmentRewriter {
 public:
  SegmentRewriter(std::shared_ptr<Segments> segments, KnownSegment old,
                  std::vector<MessageId> drop);

  Status begin();
  // Copies some records and flushes them. The bytes read and written; 0: that was all.
  Result<uint64_t> step();
  // Footer and trailer; the segment is durable, its name is not.
  Status finish();
  // Replaces the old segment by the new one, durably.
  Status replace();
  void discard();

  [[nodiscard]] KnownSegment take() { return std::move(made_); }
  [[nodiscard]] const Journal::Rewritten& result() const { return result_; }

 private:
  std::unexpected<Error> damaged(uint64_t offset, std::string_view what) const;
  Status copy(const Entry& old, std::string& out);
  Status write(std::string bytes);

  std::shared_ptr<Segments> segments_;  // shared with the journal
  KnownSegment old_, made_;
  ReadAt read_;  // of the old one
  std::vector<MessageId> drop_;
  Scan found_;
  size_t next_ = 0;      // of found_.entries
  uint64_t offset_ = 0;  // where the next record goes
  std::vector<Entry> entries_;
  Journal::Rewritten result_;
};

}  // namespace rims::store
