// tests/journal/torn_test.cc - a last batch with large parts, where each bit is flipped and any
// sectors are missing

#include "common/journal/torn.h"

#include <algorithm>
#include <random>

#include <gtest/gtest.h>

#include "common/base/encoding.h"

namespace rims::store {
namespace {

// 1,000 messages: most of its bytes are zeros.
Copy copy() {
  Copy record{.from = MailboxId(1), .to = MailboxId(2), .items = {}};
  for (uint32_t i = 1; i <= 1000; i++)
    record.items.push_back({Uid(i), {.message = MessageId(i), .date = i, .uid = Uid(i)}, {}});
  return record;
}

// A segment with one record, and a batch of a large copy, a message with zeros and one of text.
class Segment {
 public:
  explicit Segment(size_t shift = 0) {
    crypto_init();
    std::mt19937 random(1);  // NOLINT(cert-msc32-c,cert-msc51-cpp): the same in each run
    aux_.resize(9000);
    for (char& c : aux_) c = static_cast<char>(random() % 4);
    binary_.resize(20'000 + shift);
    for (char& c : binary_) c = static_cast<char>(random() % 3);
    std::fill_n(binary_.begin() + 4000, 3000, '\0');
    text_.resize(12'000);
    for (char& c : text_) c = " @\n"[random() % 3];
    bytes_ = encode(header_);
    write(std::vector<Draft>{draft(UidNext{MailboxId(1), Uid(7)}, 1)});
    batch_ = bytes_.size();
    Append message;
    message.mailbox = MailboxId(1);
    std::vector<Draft> drafts{draft(copy(), 1), draft(message, 1, aux_, binary_),
                              draft(message, 1, {}, text_)};
    auto all = piece_sums(drafts, 0, 1);
    sums_ = all.size();
    std::ranges::move(drafts, std::back_inserter(all));
    write(all);
  }
  // With some of the batch changed.
  Scan scan(const std::string& bytes, bool tail = true) const {
    const ReadAt read = [&](uint64_t offset, size_t size) -> Result<std::string> {
      return offset < bytes.size() ? bytes.substr(offset, size) : std::string();
    };
    auto found = scan_segment(read, bytes.size(), header_, tail);
    if (!found) std::abort();
    return *std::move(found);
  }
  const std::string& bytes() const { return bytes_; }
  uint64_t batch() const { return batch_; }
  size_t sums() const { return sums_; }
  const RecordHeader& last() const { return records_.back(); }

 private:
  void write(const std::vector<Draft>& drafts) {
    const Id& key = header_.segment;
    const uint64_t first = records_.size() + 1;
    for (size_t i = 0; i < drafts.size(); i++) {
      const auto& d = drafts[i];
      const std::string meta = d.type == PieceSums::kType ? with_sums(drafts, i) : d.meta;
      RecordHeader h;
      h.type = d.type;
      h.version = d.version;
      h.seq = records_.size() + 1;
      h.meta = static_cast<uint32_t>(meta.size());
      h.aux = static_cast<uint32_t>(d.aux.size());
      h.body = d.body.size();
      h.batch_first = first;
      h.batch_count = static_cast<uint32_t>(drafts.size());
      h.meta_sum = checksum(key, meta);
      h.aux_sum = checksum(key, d.aux);
      h.body_sum = checksum(key, d.body);
      const size_t at = bytes_.size();
      bytes_.resize(at + kRecordHeader);
      encode(h, key, bytes_.data() + at);
      bytes_ += meta;
      bytes_ += d.aux;
      bytes_ += d.body;
      bytes_.resize(at + h.total());
      records_.push_back(h);
    }
  }
  SegmentHeader header_{.number = 1, .first_seq = 1, .account = {1}, .segment = {2, 3, 4}};
  std::string aux_, binary_, text_, bytes_;
  std::vector<RecordHeader> records_;
  uint64_t batch_ = 0;
  size_t sums_ = 0;
};

TEST(Torn, OnlyLargePartsWithZerosHaveSums) {
  const Segment s;
  EXPECT_EQ(s.sums(), 3U);  // of the copy, of the structure, of the binary message
  const std::string text(100'000, 't'), small(8192, '\0');
  Append message;
  const std::vector<Draft> drafts{draft(message, 1, small, text)};
  EXPECT_TRUE(piece_sums(drafts, 0, 1).empty());
}

TEST(Torn, SumsHaveNoZeros) {
  const std::string zeros(1'000'000, '\0');
  Append message;
  std::vector<Draft> batch = piece_sums(std::vector<Draft>{draft(message, 1, {}, zeros)}, 0, 1);
  ASSERT_EQ(batch.size(), 1U);
  batch.push_back(draft(message, 1, {}, zeros));
  const std::string meta = with_sums(batch, 0);
  EXPECT_EQ(meta.find('\0'), meta.npos);
  const auto sums = PieceSums::decode(meta);
  ASSERT_TRUE(sums);
  EXPECT_EQ(sums->sums.size(), (zeros.size() + kSummedPiece - 1) / kSummedPiece * 8);
}

// It was acknowledged: all of it stays, and of the copy even what was hit.
TEST(Torn, AFlippedBitAnywhereInALargeBatchCostsNothingElse) {
  const std::string right = copy().encode();
  for (const size_t shift : {size_t{0}, size_t{200}}) {
    const Segment s(shift);
    const uint64_t last =
        s.bytes().size() - s.last().total() + kRecordHeader + s.last().meta + s.last().body;
    for (uint64_t bit = s.batch() * 8; bit < last * 8; bit++) {
      // A few of each part, and all at the end of a sector: a flip can make these bytes zero.
      if (bit % 1021 != 0 && bit / 8 % 512 != 511) continue;
      std::string bytes = s.bytes();
      bytes[bit / 8] = static_cast<char>(bytes[bit / 8] ^ 1 << bit % 8);
      const Scan found = s.scan(bytes);
      ASSERT_FALSE(found.cut) << bit / 8 << ": " << found.cut->what;
      ASSERT_EQ(found.last_seq, s.last().seq) << bit / 8;
      const auto copied = std::ranges::find(found.entries, RecordType::copy,
                                            [](const Entry& e) { return e.header.type; });
      ASSERT_NE(copied, found.entries.end()) << bit / 8;
      ASSERT_TRUE(copied->meta == right) << bit / 8;
    }
  }
}

// It was not acknowledged: nothing of it stays, and nothing of it is damage.
TEST(Torn, ALargeBatchWithoutSomeSectorsIsCut) {
  std::mt19937 random(2);  // NOLINT(cert-msc32-c,cert-msc51-cpp): the same in each run
  const auto chance = [&](uint32_t percent) { return random() % 100 < percent; };
  int torn = 0;
  for (int round = 0; round < 300; round++) {
    const Segment s(round % 64 * 8);
    std::string bytes = s.bytes();
    const uint32_t share = round % 2 == 0 ? 1 : random() % 100;
    for (uint64_t at = s.batch() / 512 * 512; at < bytes.size(); at += 512) {
      if (!chance(share)) continue;
      // Some disks write less than a sector at once.
      const uint64_t from = std::max(at + (chance(30) ? random() % 512 : 0), s.batch());
      const uint64_t to = std::min<uint64_t>(at + 512, bytes.size());
      if (from < to)
        std::fill(bytes.begin() + static_cast<ptrdiff_t>(from),
                  bytes.begin() + static_cast<ptrdiff_t>(to), '\0');
    }
    if (bytes == s.bytes()) continue;
    torn++;
    const Scan found = s.scan(bytes);
    ASSERT_EQ(found.entries.size(), 1U) << round;
    ASSERT_TRUE(found.damages.empty()) << round << ": " << found.damages[0].what;
    ASSERT_EQ(found.end, s.batch()) << round;
  }
  EXPECT_GT(torn, 150);
}

// Where nothing can be torn, too.
TEST(Torn, AFlippedBitInALargeRecordBeforeTheLastBatchIsMended) {
  const Segment s;
  const std::string right = copy().encode();
  std::string bytes = s.bytes();
  const size_t at = bytes.find(right);
  ASSERT_NE(at, bytes.npos);
  for (const size_t hit : {at + 3, at + 600, at + 601, at + right.size() - 1})
    bytes[hit] = static_cast<char>(bytes[hit] ^ 16);
  // Two wrong bits in one piece: its bytes are lost, and said to be.
  Scan found = s.scan(bytes, false);
  ASSERT_EQ(found.damages.size(), 1U);
  EXPECT_EQ(found.damages[0].right, "");
  EXPECT_GE(found.damages[0].lost, 1000U);
  bytes[at + 601] = static_cast<char>(bytes[at + 601] ^ 16);
  found = s.scan(bytes, false);
  ASSERT_EQ(found.damages.size(), 1U);
  EXPECT_TRUE(found.damages[0].right == right);
}

}  // namespace
}  // namespace rims::store
