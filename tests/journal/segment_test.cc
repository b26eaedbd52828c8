// tests/journal/segment_test.cc - reading segments that were cut or damaged, byte by byte, bit by
// bit

#include "common/journal/segment.h"

#include <algorithm>
#include <bit>

#include <gtest/gtest.h>

#include "common/base/encoding.h"

namespace rims::store {
namespace {

// A segment of six records in four batches: {1} {2 3} {4} {5 6}.
struct Sample {
  SegmentHeader header{.number = 1, .first_seq = 1, .account = {1}, .segment = {2, 3, 4}};
  std::string bytes;
  std::vector<Entry> entries;
  std::vector<std::string> metas, bodies;

  void add(uint64_t batch, uint32_t count, RecordType type, const std::string& aux,
           const std::string& body, std::string meta = {}) {
    RecordHeader h;
    h.type = type;
    h.seq = entries.size() + 1;
    metas.push_back(meta.empty() ? "meta " + std::to_string(h.seq) : std::move(meta));
    bodies.push_back(body);
    h.meta = static_cast<uint32_t>(metas.back().size());
    h.aux = static_cast<uint32_t>(aux.size());
    h.body = body.size();
    h.batch_first = batch;
    h.batch_count = count;
    h.meta_sum = checksum(header.segment, metas.back());
    h.aux_sum = checksum(header.segment, aux);
    h.body_sum = checksum(header.segment, body);
    entries.push_back({bytes.size(), h, {}});
    std::string head(kRecordHeader, '\0');
    encode(h, header.segment, head.data());
    bytes += head + metas.back() + aux + body;
    bytes.resize(entries.back().offset + h.total());
  }
  explicit Sample(size_t shift = 0) {
    crypto_init();
    bytes = encode(header);
    add(1, 1, RecordType::append, "structure", std::string(77, 'a'));
    add(2, 2, RecordType::append, "", "two");
    add(2, 2, RecordType::flags, "", "");
    add(4, 1, RecordType::append, "s", std::string(200 + shift, 'b'));
    add(5, 2, RecordType::expunge, "", "");
    add(5, 2, RecordType::append, "x", std::string(50, 'c'));
  }
  uint64_t last_batch() const { return entries[4].offset; }
};

std::string header_bytes(const RecordHeader& header, const Id& key) {
  std::string bytes(kRecordHeader, '\0');
  encode(header, key, bytes.data());
  return bytes;
}

ReadAt reader(const std::string& bytes) {
  return [&bytes](uint64_t offset, size_t size) -> Result<std::string> {
    if (offset >= bytes.size()) return std::string();
    return bytes.substr(offset, size);
  };
}

Scan scan(const std::string& bytes, const SegmentHeader& header, bool tail = true) {
  auto found = scan_segment(reader(bytes), bytes.size(), header, tail);
  if (!found) std::abort();
  return *std::move(found);
}

std::vector<uint64_t> seqs(const Scan& scan) {
  std::vector<uint64_t> list;
  for (const auto& e : scan.entries) list.push_back(e.header.seq);
  return list;
}

TEST(Segment, FindsAllRecordsWithAndWithoutZerosAfterThem) {
  Sample s;
  for (const size_t zeros : {0, 8, 4096, 70'000}) {
    std::string bytes = s.bytes + std::string(zeros, '\0');
    const Scan found = scan(bytes, s.header);
    EXPECT_EQ(seqs(found), (std::vector<uint64_t>{1, 2, 3, 4, 5, 6}));
    EXPECT_EQ(found.end, s.bytes.size());
    EXPECT_EQ(found.last_batch, s.last_batch());
    EXPECT_TRUE(found.damages.empty());
    EXPECT_FALSE(found.cut);
    for (size_t i = 0; i < 6; i++) EXPECT_EQ(found.entries[i].meta, s.metas[i]);
  }
}

TEST(Segment, ATruncationAnywhereCutsWholeBatchesOnly) {
  Sample s;
  for (size_t size = kFirstRecord; size < s.bytes.size(); size++) {
    for (const size_t zeros : {size_t{0}, size_t{1000}}) {
      SCOPED_TRACE(std::to_string(size) + " " + std::to_string(zeros));
      const std::string bytes = s.bytes.substr(0, size) + std::string(zeros, '\0');
      const Scan found = scan(bytes, s.header);
      const auto list = seqs(found);
      // Whole batches, from the first on. A cut inside padding or trailing zeros takes nothing.
      ASSERT_TRUE(list.empty() || list.size() == 1 || list.size() == 3 || list.size() == 4 ||
                  list.size() == 6);
      for (size_t i = 0; i < list.size(); i++) {
        ASSERT_EQ(list[i], i + 1);
        ASSERT_EQ(found.entries[i].meta, s.metas[i]);
      }
      for (const size_t whole : {0, 2, 3, 5}) {
        if (size >= s.entries[whole].offset + s.entries[whole].header.total())
          ASSERT_GT(list.size(), whole) << "a durable batch is never cut";
      }
      ASSERT_TRUE(found.damages.empty());
      const std::string_view rest = std::string_view(bytes).substr(found.end);
      ASSERT_EQ(found.cut.has_value(), rest.find_first_not_of('\0') != rest.npos);
    }
  }
}

TEST(Segment, EveryFlippedBitIsDetectedAndCostsAtMostItsOwnRecord) {
  Sample s;
  const std::string whole = s.bytes + std::string(512, '\0');
  for (size_t bit = kFirstRecord * 8; bit < whole.size() * 8; bit++) {
    std::string bytes = whole;
    bytes[bit / 8] = static_cast<char>(bytes[bit / 8] ^ (1 << bit % 8));
    SCOPED_TRACE(bit);
    const Scan found = scan(bytes, s.header);
    size_t hit = 6;  // the record that holds the bit; 6: the zeros at the end
    for (size_t i = 0; i < 6; i++) {
      if (bit / 8 >= s.entries[i].offset &&
          bit / 8 < s.entries[i].offset + s.entries[i].header.total())
        hit = i;
    }
    const auto list = seqs(found);
    for (const auto& e : found.entries) ASSERT_EQ(e.meta, s.metas[e.header.seq - 1]);
    const auto& at = hit < 6 ? s.entries[hit] : s.entries[5];
    const uint64_t inside = bit / 8 - at.offset;
    const bool in_head = hit < 6 && inside < kRecordHeader;
    const bool in_meta = hit < 6 && !in_head && inside < kRecordHeader + at.header.meta;
    const bool in_sums =
        hit < 6 && inside < kRecordHeader + at.header.meta + at.header.aux + at.header.body;
    for (size_t i = 0; i < 6; i++) ASSERT_EQ(std::ranges::count(list, i + 1), 1) << i;
    for (const auto& e : found.entries) {
      const auto& written = s.entries[e.header.seq - 1];
      ASSERT_EQ(e.offset, written.offset);
      ASSERT_EQ(header_bytes(e.header, s.header.segment),
                header_bytes(written.header, s.header.segment));
    }
    // The bodies of the last batch are looked at: no write that ended is taken for one that did
    // not.
    const bool named = in_head || in_meta || (hit >= 4 && in_sums);
    ASSERT_EQ(found.damages.size(), named ? 1U : 0U);
    if (named) {
      ASSERT_EQ(found.damages[0].offset, at.offset + (in_meta ? kRecordHeader : 0));
      ASSERT_EQ(found.damages[0].right, in_head   ? header_bytes(at.header, s.header.segment)
                                        : in_meta ? s.metas[hit]
                                                  : "");
      ASSERT_EQ(found.damages[0].lost, 0U) << "a bit that is known costs nothing";
    }
    ASSERT_EQ(found.cut.has_value(), hit == 6) << "only what stands behind the last record";
    ASSERT_EQ(found.end, s.bytes.size());
    ASSERT_EQ(found.last_seq, 6U) << "no number is given out twice";
  }
}

// Two wrong bits of a header could be any two of 294,528.
TEST(Segment, AHeaderWithTwoWrongBitsIsNotMended) {
  Sample s;
  for (size_t i = 0; i < 6; i++) {
    for (size_t bit = 0; bit < kRecordHeader * 8; bit += 13) {
      std::string bytes = s.bytes;
      char* const head = bytes.data() + s.entries[i].offset;
      for (const size_t b : {bit, (bit + 100) % (kRecordHeader * 8)})
        head[b / 8] = static_cast<char>(head[b / 8] ^ (1 << b % 8));
      ASSERT_FALSE(decode_or_mend({head, kRecordHeader}, s.header.segment)) << i << ", " << bit;
      const Scan found = scan(bytes, s.header, false);
      ASSERT_EQ(std::ranges::count(seqs(found), i + 1), 0);
      ASSERT_EQ(found.damages.size(), 1U);
      ASSERT_EQ(found.damages[0].right, "");
    }
  }
}

// Of a write that ended one byte before the end of a header no more than a bit of it may be wrong.
TEST(Segment, AHeaderThatWasNotWrittenToItsEndIsTorn) {
  int tried = 0;
  for (unsigned char i = 0; i < 255; i++) {
    Sample s;
    auto& last = s.entries.back();
    last.header.id[0] = i;
    encode(last.header, s.header.segment, s.bytes.data() + last.offset);
    const size_t end = last.offset + kRecordHeader - 1;
    if (!std::has_single_bit(static_cast<unsigned char>(s.bytes[end]))) continue;
    tried++;
    std::string bytes = s.bytes;
    std::fill(bytes.begin() + static_cast<ptrdiff_t>(end), bytes.end(), '\0');
    const Scan found = scan(bytes, s.header);
    ASSERT_EQ(seqs(found), (std::vector<uint64_t>{1, 2, 3, 4})) << int{i};
    ASSERT_TRUE(found.damages.empty());
    ASSERT_EQ(found.cut->offset, s.last_batch());
  }
  EXPECT_GT(tried, 2);
}

TEST(Segment, EveryFlippedBitOfTheHeaderIsSurvivedByItsCopy) {
  Sample s;
  for (size_t bit = 0; bit < kFirstRecord * 8; bit++) {
    std::string bytes = s.bytes;
    bytes[bit / 8] = static_cast<char>(bytes[bit / 8] ^ (1 << bit % 8));
    SegmentHeader read;
    ASSERT_EQ(decode(bytes, read), HeaderState::good) << bit;
    ASSERT_EQ(read.segment, s.header.segment);
    ASSERT_EQ(read.number, 1U);
  }
}

TEST(Segment, AHeaderThatWasNotWrittenToItsEndIsNoDamage) {
  Sample s;
  const std::string right = encode(s.header);
  EXPECT_FALSE(header_damage(right, s.header));
  for (size_t from = 0; from < kFirstRecord; from++) {
    std::string bytes = right;
    const size_t end = (from / 512 + 1) * 512;  // of its sector
    std::fill(bytes.begin() + static_cast<ptrdiff_t>(from),
              bytes.begin() + static_cast<ptrdiff_t>(end), '\0');
    const auto found = header_damage(bytes, s.header);
    ASSERT_TRUE(bytes == right || found->unended) << from;
    bytes = right;
    bytes[from] = static_cast<char>(bytes[from] ^ 0x81);
    ASSERT_FALSE(header_damage(bytes, s.header)->unended) << from;
    ASSERT_EQ(header_damage(bytes, s.header)->offset, from);
  }
}

TEST(Segment, ATrailerThatWasNotWrittenToItsEndIsNoDamage) {
  for (size_t shift = 0; shift < 512; shift += 8) {
    Sample s(shift);
    const std::string sealed = s.bytes + encode_footer({}, s.bytes.size(), 6, s.header, Id{7});
    const size_t start = sealed.size() - kTrailer;
    for (size_t from = start; from < sealed.size(); from++) {
      std::string bytes = sealed;
      const size_t end = std::min((from / 512 + 1) * 512, sealed.size());
      std::fill(bytes.begin() + static_cast<ptrdiff_t>(from),
                bytes.begin() + static_cast<ptrdiff_t>(end), '\0');
      Scan found = scan(bytes, s.header);
      ASSERT_TRUE(found.sealed && found.damages.empty()) << shift << ", " << from - start;
      bytes = sealed;
      bytes[from] = static_cast<char>(bytes[from] ^ 0x81);
      found = scan(bytes, s.header);
      ASSERT_TRUE(found.sealed);
      ASSERT_EQ(found.damages.size(), 1U) << from - start;
      ASSERT_EQ(found.damages[0].what, "the trailer");
    }
  }
}

TEST(Segment, RecordsOfAnotherSegmentDoNotVerify) {
  Sample s;
  SegmentHeader other = s.header;
  other.segment[0] = 99;
  const Scan found = scan(s.bytes, other);
  EXPECT_TRUE(found.entries.empty());
  EXPECT_TRUE(found.cut);
}

// Whatever sectors of it never arrived, and wherever it ended.
TEST(Segment, ATornWriteOfTheLastBatchCutsAllOfIt) {
  int torn = 0;
  for (size_t shift = 0; shift < 512; shift += 8) {
    Sample s(shift);
    const auto expect_cut = [&](uint64_t from, uint64_t to) {
      std::string bytes = s.bytes;
      from = std::max(from, s.last_batch());
      to = std::min<uint64_t>(to, bytes.size());
      std::fill(bytes.begin() + static_cast<ptrdiff_t>(from),
                bytes.begin() + static_cast<ptrdiff_t>(to), '\0');
      if (bytes == s.bytes) return;
      torn++;
      const Scan found = scan(bytes, s.header);
      ASSERT_EQ(seqs(found), (std::vector<uint64_t>{1, 2, 3, 4})) << from << " to " << to;
      ASSERT_EQ(found.end, s.last_batch());
      ASSERT_TRUE(found.damages.empty());
    };
    for (uint64_t at = s.last_batch() / 512 * 512; at < s.bytes.size(); at += 512)
      expect_cut(at, at + 512);
    for (uint64_t at = s.last_batch(); at < s.bytes.size(); at++) expect_cut(at, s.bytes.size());
  }
  EXPECT_GT(torn, 10'000);
}

// The zeros at the end of a part are its own when its sector goes on behind them: it was written
// completely, and has changed since.
TEST(Segment, APartWithZerosAtItsEndIsDamagedWhereItsSectorGoesOn) {
  const std::string zeros(10, '\0');
  const std::string meta = "of the message" + zeros, aux = "of its structure" + zeros;
  int in_their_sector = 0;
  for (size_t shift = 0; shift < 512; shift += 8) {
    Sample s(shift);
    s.add(7, 1, RecordType::append, aux, std::string(600, 'd') + zeros, meta);
    const uint64_t meta_at = s.entries.back().offset + kRecordHeader;
    const uint64_t aux_at = meta_at + meta.size();
    for (const auto& [at, end] : {std::pair(meta_at, aux_at), {aux_at, aux_at + aux.size()}}) {
      std::string bytes = s.bytes;
      for (const uint64_t wrong : {at, at + 2}) bytes[wrong] = static_cast<char>(bytes[wrong] ^ 1);
      const Scan found = scan(bytes, s.header);
      // Where a sector ends among the zeros, nothing tells.
      const bool goes_on = end / 512 == (end - zeros.size()) / 512 && end % 512 != 0;
      ASSERT_EQ(found.cut.has_value(), !goes_on) << shift;
      ASSERT_EQ(found.damages.size(), goes_on ? 1U : 0U) << shift;
      in_their_sector += goes_on ? 1 : 0;
    }
  }
  EXPECT_GT(in_their_sector, 100);
}

// The header of its last record is there, and its first one is not: nothing of it is damage.
TEST(Segment, ABatchThatTheFileIsTooShortForIsCutFromItsBeginning) {
  Sample s;
  std::fill_n(s.bytes.begin() + static_cast<ptrdiff_t>(s.last_batch()), kRecordHeader, '\0');
  s.bytes.resize(s.entries[5].offset + kRecordHeader + 3);
  const Scan found = scan(s.bytes, s.header);
  EXPECT_EQ(seqs(found), (std::vector<uint64_t>{1, 2, 3, 4}));
  EXPECT_TRUE(found.damages.empty()) << found.damages[0].what;
  ASSERT_TRUE(found.cut);
  EXPECT_EQ(found.cut->offset, s.last_batch());
  EXPECT_EQ(found.cut->offset + found.cut->length, s.bytes.size());
  EXPECT_LE(found.cut->lost, (s.bytes.size() - s.last_batch()) / 33 + 1);
}

TEST(Segment, AFooterListsEveryRecord) {
  Sample s;
  const Scan found = scan(s.bytes, s.header);
  const std::string sealed =
      s.bytes + encode_footer(found.entries, s.bytes.size(), 6, s.header, Id{7});
  auto footer = read_footer(reader(sealed), sealed.size(), s.header);
  ASSERT_TRUE(footer && *footer);
  ASSERT_EQ((*footer)->entries.size(), 6U);
  for (size_t i = 0; i < 6; i++) {
    const auto& e = (*footer)->entries[i];
    EXPECT_EQ(e.offset, s.entries[i].offset);
    EXPECT_EQ(e.header.type, s.entries[i].header.type);
    EXPECT_EQ(e.header.body, s.entries[i].header.body);
    EXPECT_EQ(e.meta, s.metas[i]);
  }
  EXPECT_TRUE(scan(sealed, s.header).sealed);
  // A footer that was flipped anywhere is not believed; the records are found without it.
  for (size_t bit = s.bytes.size() * 8; bit < sealed.size() * 8; bit++) {
    std::string bytes = sealed;
    bytes[bit / 8] = static_cast<char>(bytes[bit / 8] ^ (1 << bit % 8));
    footer = read_footer(reader(bytes), bytes.size(), s.header);
    ASSERT_TRUE(footer);
    if (*footer) {  // a bit in the padding
      ASSERT_EQ((*footer)->entries.size(), 6U);
      continue;
    }
    ASSERT_EQ(seqs(scan(bytes, s.header, false)), (std::vector<uint64_t>{1, 2, 3, 4, 5, 6}));
  }
}

TEST(Segment, ANewerVersionIsToldFromDamage) {
  Sample s;
  std::string bytes = s.bytes;
  for (const size_t at : {size_t{0}, kSegmentHeaderCopy}) {
    bytes[at + 8] = kJournalVersion + 1;
    const uint64_t sum =
        checksum(s.header.segment, std::string_view(bytes).substr(at, kSegmentHeader - 8));
    for (size_t i = 0; i < 8; i++)
      bytes[at + kSegmentHeader - 8 + i] = static_cast<char>(sum >> (8 * i));
  }
  SegmentHeader read;
  EXPECT_EQ(decode(bytes, read), HeaderState::newer);
  EXPECT_EQ(read.version, kJournalVersion + 1);
}

}  // namespace
}  // namespace rims::store
