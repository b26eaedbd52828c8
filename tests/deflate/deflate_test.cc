// tests/deflate/deflate_test.cc - both directions against zlib as others use it, with rests
// anywhere

#include "common/deflate/deflate.h"

#include <array>
#include <random>
#include <string>
#include <vector>

#include <gtest/gtest.h>
#include <zlib.h>

namespace rims {
namespace {

// What mail clients do: one stream, with any settings, flushed in any way.
class PlainEncoder {
 public:
  explicit PlainEncoder(int level = 6, int window_bits = 15) {
    deflateInit2(&stream_, level, Z_DEFLATED, -window_bits, 8, Z_DEFAULT_STRATEGY);
  }
  PlainEncoder(const PlainEncoder&) = delete;
  PlainEncoder& operator=(const PlainEncoder&) = delete;
  ~PlainEncoder() { deflateEnd(&stream_); }
  std::string encode(std::string bytes, int how) {
    std::string out(bytes.size() * 2 + 1024, '\0');
    stream_.next_in = reinterpret_cast<Bytef*>(bytes.data());
    stream_.avail_in = static_cast<uInt>(bytes.size());
    stream_.next_out = reinterpret_cast<Bytef*>(out.data());
    stream_.avail_out = static_cast<uInt>(out.size());
    deflate(&stream_, how);
    EXPECT_GT(stream_.avail_out, 0U);
    out.resize(out.size() - stream_.avail_out);
    return out;
  }

 private:
  z_stream stream_{};
};

class PlainDecoder {
 public:
  PlainDecoder() { inflateInit2(&stream_, -15); }
  PlainDecoder(const PlainDecoder&) = delete;
  PlainDecoder& operator=(const PlainDecoder&) = delete;
  ~PlainDecoder() { inflateEnd(&stream_); }
  std::string decode(std::string bytes) {
    std::string out;
    stream_.next_in = reinterpret_cast<Bytef*>(bytes.data());
    stream_.avail_in = static_cast<uInt>(bytes.size());
    std::array<char, 1000> piece{};
    do {
      stream_.next_out = reinterpret_cast<Bytef*>(piece.data());
      stream_.avail_out = piece.size();
      const int told = inflate(&stream_, Z_SYNC_FLUSH);
      EXPECT_TRUE(told == Z_OK || told == Z_BUF_ERROR) << told;
      out.append(piece.data(), piece.size() - stream_.avail_out);
    } while (stream_.avail_out == 0);
    return out;
  }

 private:
  z_stream stream_{};
};

std::string flushed(Deflater& deflater, std::string_view bytes) {
  std::string out;
  const auto sink = [&out](std::string_view piece) { out += piece; };
  deflater.add(bytes, sink);
  deflater.flush(sink);
  return out;
}

// All that `in` means, asked for in pieces of `at_most`; "(damaged)" behind what came before it.
std::string all_of(Inflater& inflater, std::string_view in, size_t at_most = 1000) {
  std::string out;
  do {
    const size_t before = out.size();
    const Status taken = inflater.take(in, out, at_most);
    EXPECT_LE(out.size() - before, at_most);
    if (!taken) return out + "(damaged)";
  } while (!in.empty() || inflater.has_more());
  return out;
}

std::string talk(std::mt19937& random, size_t size) {
  static constexpr std::string_view kWords[] = {"* 1 FETCH (FLAGS (\\Seen) UID ",
                                                "BODY[HEADER.FIELDS (SUBJECT FROM DATE)]",
                                                "NOOP\r\n",
                                                "A0001 OK done\r\n",
                                                "x",
                                                "Subject: "};
  std::string out;
  while (out.size() < size) {
    if (random() % 4 == 0)
      for (int i = 0; i < 20; i++) out += static_cast<char>(random());
    out += kWords[random() % std::size(kWords)];
  }
  return out;
}

TEST(Deflater, IsReadByAnyDecoderWithoutASeamWhereItRested) {
  std::mt19937 random(7);
  Deflater deflater;
  PlainDecoder decoder;
  for (int i = 0; i < 400; i++) {
    const std::string said = talk(random, random() % (i % 50 == 0 ? 200'000 : 300));
    EXPECT_EQ(decoder.decode(flushed(deflater, said)), said);
    if (random() % 3 == 0) continue;
    deflater.rest();
    EXPECT_TRUE(deflater.resting());
  }
}

TEST(Deflater, RemembersWhatItSaidBeforeTheRest) {
  std::mt19937 random(8);
  const std::string said = talk(random, 900);
  Deflater deflater;
  const size_t first = flushed(deflater, said).size();
  deflater.rest();
  EXPECT_LT(flushed(deflater, said).size() * 10, first);
}

TEST(Deflater, SaysNothingWhenNothingIsNew) {
  Deflater deflater;
  EXPECT_EQ(flushed(deflater, ""), "");
  EXPECT_NE(flushed(deflater, "a"), "");
  EXPECT_EQ(flushed(deflater, ""), "");
  deflater.rest();
  EXPECT_EQ(flushed(deflater, ""), "");
  EXPECT_TRUE(deflater.resting());
}

TEST(Deflater, DoesNotRestBeforeItsBytesAreFlushed) {
  Deflater deflater;
  std::string out;
  const auto sink = [&out](std::string_view piece) { out += piece; };
  deflater.add("hello", sink);
  deflater.rest();
  EXPECT_FALSE(deflater.resting());
  deflater.flush(sink);
  EXPECT_EQ(PlainDecoder().decode(out), "hello");
}

// RFC 1951: windows up to 32 KiB, all kinds of blocks; RFC 4978 §4: any level. A client may end its
// messages with a partial flush, which ends within a block, or a full one.
TEST(Inflater, ReadsWhatAnyEncoderSaysWithRestsAnywhere) {
  for (const int how : {Z_SYNC_FLUSH, Z_PARTIAL_FLUSH, Z_FULL_FLUSH, Z_BLOCK}) {
    for (const int level : {0, 1, 6, 9}) {
      std::mt19937 random(static_cast<unsigned>(level));
      PlainEncoder encoder(level, level == 1 ? 9 : 15);
      Inflater inflater;
      std::string said, heard;
      for (int i = 0; i < 100; i++) {
        const std::string more = talk(random, random() % (i % 25 == 0 ? 50'000 : 300));
        said += more;
        heard += all_of(inflater, encoder.encode(more, how));
        inflater.rest();
        EXPECT_LE(inflater.kept(), 32U * 1024);
        // Z_BLOCK leaves bits with the encoder.
        if (how != Z_BLOCK) ASSERT_EQ(heard, said) << how << ' ' << level << ' ' << i;
        if (how != Z_BLOCK) ASSERT_TRUE(inflater.resting());
      }
      heard += all_of(inflater, encoder.encode("", Z_SYNC_FLUSH));
      ASSERT_EQ(heard, said) << how << ' ' << level;
    }
  }
}

TEST(Inflater, SaysTheSameHoweverItsInputIsCut) {
  std::mt19937 random(9);
  PlainEncoder encoder;
  std::string said, bytes;
  for (int i = 0; i < 8; i++) {
    const std::string more = talk(random, 400);
    said += more;
    bytes += encoder.encode(more, i % 2 == 0 ? Z_SYNC_FLUSH : Z_PARTIAL_FLUSH);
  }
  for (size_t cut = 0; cut <= bytes.size(); cut++) {
    Inflater inflater;
    std::string heard = all_of(inflater, std::string_view(bytes).substr(0, cut));
    inflater.rest();
    heard += all_of(inflater, std::string_view(bytes).substr(cut), 7);
    ASSERT_EQ(heard, said) << cut;
  }
}

TEST(Inflater, KeepsNoMoreThanWasSaid) {
  Inflater inflater;
  EXPECT_EQ(all_of(inflater, PlainEncoder().encode("a NOOP\r\n", Z_SYNC_FLUSH)), "a NOOP\r\n");
  inflater.rest();
  EXPECT_TRUE(inflater.resting());
  EXPECT_EQ(inflater.kept(), 8U);
}

// A few bytes that mean very many.
TEST(Inflater, GivesNoMoreThanIsAskedFor) {
  const std::string zeros(4'000'000, '\0');
  const std::string bomb = PlainEncoder(9).encode(zeros, Z_SYNC_FLUSH);
  EXPECT_LT(bomb.size(), 5000U);
  Inflater inflater;
  std::string_view in = bomb;
  std::string out;
  ASSERT_TRUE(inflater.take(in, out, 100));
  EXPECT_EQ(out.size(), 100U);
  EXPECT_TRUE(inflater.has_more());
  inflater.rest();
  EXPECT_FALSE(inflater.resting()) << "what is left would be lost";
  EXPECT_EQ(out + all_of(inflater, in, 16 * 1024), zeros);
}

// Blocks that mean nothing are taken, and ask for nothing.
TEST(Inflater, TakesEmptyBlocks) {
  std::string bytes;
  for (int i = 0; i < 100'000; i++) bytes += std::string("\0\0\0\xff\xff", 5);
  Inflater inflater;
  EXPECT_EQ(all_of(inflater, bytes), "");
  inflater.rest();
  EXPECT_TRUE(inflater.resting());
  EXPECT_EQ(all_of(inflater, PlainEncoder().encode("x", Z_SYNC_FLUSH)), "x");
}

TEST(Inflater, RefusesWhatIsDamagedOrEnds) {
  const struct {
    std::string bytes, heard;
  } rows[] = {
      {"a NOOP\r\n", "(damaged)"},                       // not compressed
      {"\x07", "(damaged)"},                             // no such kind of block
      {"\x02\x18", "(damaged)"},                         // nor in the bits behind an empty one
      {std::string("\0\1\0\0\0a", 6), "(damaged)"},      // lengths of a stored block that differ
      {std::string("\x4b\x84\x21\0", 4), "a(damaged)"},  // a reference before the beginning
      {PlainEncoder().encode("end", Z_FINISH), "end(damaged)"},
  };
  for (const auto& row : rows) {
    Inflater inflater;
    EXPECT_EQ(all_of(inflater, row.bytes), row.heard) << testing::PrintToString(row.bytes);
    inflater.rest();
    EXPECT_EQ(all_of(inflater, PlainEncoder().encode("x", Z_SYNC_FLUSH)), "(damaged)");
  }
}

}  // namespace
}  // namespace rims
