// common/journal/segment.h - the bytes of a journal segment: headers, checksums, scanning; pure
//
// See doc/storage-format.md, "Journal". Checksums are SipHash-2-4 keyed with the segment's random
// id, so that bytes of another segment never pass for a record of this one.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/journal/journal.h"
#include "common/mail/records.h"

namespace rims::store {

inline constexpr std::string_view kSegmentMagic = "RIMSJRNL";
inline constexpr std::string_view kSealMagic = "RIMSSEAL";
inline constexpr uint32_t kRecordMagic = 0x524d4952;  // "RIMR"
inline constexpr uint32_t kJournalVersion = 2;  // 1 had no program in its header, and no snapshots
inline constexpr uint8_t kRecordVersion = 1;
inline constexpr uint8_t kFooterVersion = 2;
inline constexpr size_t kSegmentHeader = 128;
inline constexpr size_t kSegmentHeaderCopy = 512;  // offset of the second copy
inline constexpr size_t kFirstRecord = 1024;       // offset of the first record
inline constexpr size_t kProgramBytes = 16;        // of a segment's header
inline constexpr size_t kRecordHeader = 96;
inline constexpr size_t kTrailer = 32;
inline constexpr size_t kRecordAlign = 8;
inline constexpr uint8_t kDropped = 1;  // flag of an append record: its aux and body are gone

using Id = std::array<unsigned char, 16>;
[[nodiscard]] Id random_id();

struct SegmentHeader {
  uint32_t number = 0;
  uint64_t first_seq = 0;  // of its first record
  Id account{};            // random, the same in all segments of an account
  Id segment{};            // random; the key of the checksums
  uint32_t version = kJournalVersion;
  std::string program;  // the version of rims that made it, at most 16 bytes
};
[[nodiscard]] std::string encode(const SegmentHeader& header);
// What the first 1,024 bytes of a file are.
enum class HeaderState : uint8_t { good, newer, damaged };
// `newer`: only version and program of `header` are filled.
HeaderState decode(std::string_view bytes, SegmentHeader& header);
// "made by rims 0.4.0 (format version 3); this program knows 2", for messages
[[nodiscard]] std::string newer_format(const SegmentHeader& header);
// Which of these bytes are damaged, although `header` could be read from them.
struct HeaderDamage {
  uint64_t offset = 0;   // of the first byte
  bool unended = false;  // zeros follow: the segment was being made when the power went
};
[[nodiscard]] std::optional<HeaderDamage> header_damage(std::string_view bytes,
                                                        const SegmentHeader& header);

struct RecordHeader {
  RecordType type = RecordType::gap;
  uint8_t version = kRecordVersion;
  uint8_t flags = 0;  // kDropped; the rest is room for compression and encryption
  uint32_t meta = 0, aux = 0;
  uint64_t body = 0;
  uint64_t seq = 0;
  Id id{};
  uint64_t batch_first = 0;  // the batch that it was written with: the first number
  uint32_t batch_count = 0;  // and how many records
  uint32_t time = 0;         // when it was written, seconds since 1970 (UTC); 0: not known
  uint64_t meta_sum = 0, aux_sum = 0, body_sum = 0;

  // With header and padding.
  [[nodiscard]] uint64_t total() const;
};
[[nodiscard]] uint64_t checksum(const Id& key, std::string_view bytes);
void encode(const RecordHeader& header, const Id& key, char* to);  // kRecordHeader bytes
// nullopt: not a record of this segment.
[[nodiscard]] std::optional<RecordHeader> decode_record(std::string_view bytes, const Id& key);
// The same where a record must be. If the header has one wrong bit, it returns what the header was.
// 768 headers are tried against a keyed checksum of 64 bits; one that was never written verifies
// once in 2^54. It is damage all the same, and must be reported: see mended().
struct KnownHeader {
  RecordHeader header;
  bool mended = false;
};
[[nodiscard]] std::optional<KnownHeader> decode_or_mend(std::string_view bytes, const Id& key);

// Where a record is, as a footer lists it and a scan finds it.
struct Entry {
  uint64_t offset = 0;
  RecordHeader header;    // from a footer: without id, batch and sums
  std::string_view meta;  // lives in Scan::bytes
};

// The most uids, and the most records, that `bytes` bytes of a segment can hold; a million when the
// size is not known.
inline constexpr uint32_t kMostLost = 1'000'000;
[[nodiscard]] uint32_t most_uids(uint64_t bytes);
[[nodiscard]] uint32_t most_records(uint64_t bytes);

struct Damage {
  uint64_t offset = 0, length = 0;
  uint32_t lost = 0;  // how many records or uids at most
  std::string what;
  std::string right;  // what these bytes were, where that is known: nothing is lost
};
// The Damage for a record whose meta was `right`: see mend() in torn.h.
[[nodiscard]] Damage mended_meta(uint64_t offset, const RecordHeader& header, std::string right);
// The Damage for a record whose header has one wrong bit.
[[nodiscard]] Damage mended(uint64_t offset, const RecordHeader& header, const Id& key);

struct Scan {
  std::vector<Entry> entries;
  std::vector<std::unique_ptr<std::string>> bytes;
  std::vector<Damage> damages;
  uint64_t end = kFirstRecord;         // where the next record goes
  uint64_t last_batch = kFirstRecord;  // offset of the last batch
  uint64_t last_seq = 0;               // of the last record, one that is damaged as well
  bool sealed = false;                 // a footer was found
  std::optional<Damage> cut;           // from `end` on: a batch that is not whole
};

// Gives at most `size` bytes at `offset`; fewer at the end.
using ReadAt = std::function<Result<std::string>(uint64_t offset, size_t size)>;

// Record by record. Only the last batch's bodies are read. `tail`: this is the last segment. A
// batch at its end whose write was interrupted (sectors or the rest of it are zeros) was never
// acknowledged and is cut; anything else that does not verify is damage.
Result<Scan> scan_segment(const ReadAt& read, uint64_t file_size, const SegmentHeader& segment,
                          bool tail);
// By the footer, when there is a whole one; nullopt: scan.
Result<std::optional<Scan>> read_footer(const ReadAt& read, uint64_t file_size,
                                        const SegmentHeader& segment);
// A CLEAN record that is the very end of the file.
Result<std::optional<Entry>> read_clean_end(const ReadAt& read, uint64_t file_size,
                                            const SegmentHeader& segment, Clean& clean);

// The footer record (kFooterVersion) and trailer for these entries, to be written at `offset`.
std::string encode_footer(const std::vector<Entry>& entries, uint64_t offset, uint64_t seq,
                          const SegmentHeader& segment, const Id& unique);
// `version` is that of the footer's record.
bool decode_footer(std::string_view meta, uint8_t version, uint64_t limit,
                   std::vector<Entry>& entries);

}  // namespace rims::store
