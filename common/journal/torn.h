// common/journal/torn.h - bytes that do not verify: was their write interrupted, or did they change
// since? Pure
//
// See doc/storage-format.md, "Torn or damaged?". A torn batch was never acknowledged and is cut; a
// damaged one was, and costs only what is damaged in it.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "common/journal/journal.h"
#include "common/journal/segment.h"
#include "common/mail/records.h"

namespace rims::store {

// Is `found` what an interrupted write of `right` at `offset` can leave: of each sector all of it,
// or the beginning and then zeros?
[[nodiscard]] bool unended(std::string_view found, std::string_view right, uint64_t offset);

// What is known of a part of a record that does not verify.
struct Suspect {
  std::string_view bytes;
  uint64_t offset = 0;  // of the bytes in the file
  uint64_t sum = 0;     // the checksum that they should have
  // Sums of its pieces, when it is large and has zeros of its own.
  const PieceSums* pieces = nullptr;
  // What follows it in its last sector: if that was written, so was all of the sector before it.
  std::string_view behind;
};
// An interrupted write leaves zeros: whole sectors, the end of one, or everything from some point
// on. A part that has no such zeros, or is one wrong bit away from what was written, was written
// completely and has changed since. It takes up to a second for a large part.
[[nodiscard]] bool looks_torn(const Suspect& part, const Id& key);
// How many bytes lie between `offset` and the end of its sector.
[[nodiscard]] size_t left_of_sector(uint64_t offset);
// What the part was, if no piece of it (without sums: the whole, up to 1 KiB) has more than one
// wrong bit. As for headers, the checksum proves it.
[[nodiscard]] std::optional<std::string> mend(const Suspect& part, const Id& key);

// --- the sums of pieces ---
// Records that are to stand before `drafts` in a batch: one for each of their parts that needs it.
// Their sums are only filled in by with_sums(). `behind`: drafts of the batch behind these.
[[nodiscard]] std::vector<Draft> piece_sums(std::span<const Draft> drafts, size_t behind,
                                            uint32_t time);
// The meta of batch[at], which is one of those. It reads all of the part.
[[nodiscard]] std::string with_sums(std::span<const Draft> batch, size_t at);

}  // namespace rims::store
