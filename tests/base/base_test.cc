// tests/base/base_test.cc - encodings, secrets, safe log lines, errors

#include <gtest/gtest.h>

#include "common/base/ascii.h"
#include "common/base/encoding.h"
#include "common/base/log.h"
#include "common/base/result.h"
#include "common/base/secret.h"

namespace rims {
namespace {

TEST(UniqueUserId, IsTheOriginalsDirectoryName) {
  EXPECT_EQ(unique_user_id("foo"),
            "2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae");
}

TEST(Base64, RefusesWhatIsNotExactlyBase64) {
  EXPECT_EQ(from_base64("Zm9v"), "foo");
  EXPECT_EQ(from_base64("Zm8="), "fo");
  EXPECT_EQ(from_base64(""), "");
  for (const char* bad : {"Zm9", "Zm9v ", "Zm9v\t", "Zm8", "====", "Z", "Zm9v=", "\x01"})
    EXPECT_EQ(from_base64(bad), std::nullopt) << bad;
  const std::string with_nul("a\0b", 3);
  EXPECT_EQ(from_base64(to_base64(with_nul)), with_nul);
}

TEST(Hex, RoundTripsAndRefusesOddText) {
  EXPECT_EQ(from_hex(to_hex("\xff\x01z")), "\xff\x01z");
  for (const char* bad : {"f", "fg", "f f0"}) EXPECT_EQ(from_hex(bad), std::nullopt) << bad;
}

struct Captured : log::Sink {
  std::string all;
  void write(log::Level, std::string_view line) override { all.append(line).append("\n"); }
};

TEST(Log, OneEventIsOneLineWithoutControlBytes) {
  Captured sink;
  log::set_sink(&sink);
  log::info("s1", "user {} said", "a\r\nFATAL forged\x1b[2J\x7f\xff\xc2\x85");
  log::set_sink(nullptr);
  EXPECT_EQ(sink.all, "s1: user a\\x0d\\x0aFATAL forged\\x1b[2J\\x7f\\xff\\xc2\\x85 said\n");
}

TEST(Log, KeepsUtf8AndCutsLongLines) {
  EXPECT_EQ(log::printable("gr\xc3\xbc\xc3\x9f"), "gr\xc3\xbc\xc3\x9f");
  EXPECT_EQ(log::printable("\xed\xa0\x80"), "\\xed\\xa0\\x80") << "a surrogate is not UTF-8";
  const std::string cut = log::printable(std::string(5000, 'x'));
  EXPECT_LE(cut.size(), log::kMaxLine);
  EXPECT_TRUE(cut.ends_with("..."));
}

TEST(Log, ShowsWhatTurnsTheDirectionOfText) {
  EXPECT_EQ(log::printable("a\xe2\x80\xae"
                           "b\xe2\x80\xa8\xef\xbb\xbf"),
            "a\\xe2\\x80\\xaeb\\xe2\\x80\\xa8\\xef\\xbb\\xbf");
}

TEST(Log, NothingLeavesTheQuotesOfAField) {
  EXPECT_EQ(log::quoted(""), "\"\"");
  EXPECT_EQ(log::quoted("x\" address=192.0.2.1 y=\"\\"), "\"x\\\" address=192.0.2.1 y=\\\"\\\\\"");
  EXPECT_EQ(log::quoted("a\nb\xff"), "\"a\\x0ab\\xff\"");
  // The cut is never between a backslash and what it is for.
  for (size_t n = 0; n < 8; n++) {
    const std::string cut = log::quoted(std::string(n, 'x') + std::string(1000, '"'));
    EXPECT_LE(cut.size(), log::kMaxField + 2);
    EXPECT_TRUE(cut.ends_with("\\\"...\""));
    EXPECT_EQ((cut.size() - n - 5) % 2, 0U);
  }
}

TEST(Log, LevelHidesWhatIsBelowIt) {
  Captured sink;
  log::set_sink(&sink);
  log::set_level(log::Level::warn);
  log::info("", "hidden");
  log::warn("", "shown");
  log::set_level(log::Level::info);
  log::set_sink(nullptr);
  EXPECT_EQ(sink.all, "shown\n");
}

TEST(Ascii, KnowsTheCaseOfItsLettersAndOfNoOtherByte) {
  for (int i = 0; i < 256; i++) {
    const char c = static_cast<char>(i);
    const bool large = i >= 'A' && i <= 'Z', small = i >= 'a' && i <= 'z';
    EXPECT_EQ(ascii::lower(c), large ? static_cast<char>(i + 32) : c) << i;
    EXPECT_EQ(ascii::upper(c), small ? static_cast<char>(i - 32) : c) << i;
  }
  EXPECT_EQ(ascii::lower("IN[@Z\xc3\x84"), "in[@z\xc3\x84");
  EXPECT_EQ(ascii::upper("in{`z\xc3\xa4"), "IN{`Z\xc3\xa4");
  EXPECT_TRUE(ascii::equal("$Forwarded", "$FORWARDED"));
  EXPECT_FALSE(ascii::equal("a[", "a{"));
  EXPECT_FALSE(ascii::equal("INBOX", "INBOX2"));
  EXPECT_FALSE(ascii::equal("\xc3\x84", "\xc3\xa4"));
}

TEST(Secret, ComparesAndMoves) {
  Secret a("bar");
  const Secret b = std::move(a);
  EXPECT_TRUE(a.empty());  // NOLINT(bugprone-use-after-move): that is the promise
  EXPECT_TRUE(equal_constant_time(b.reveal(), "bar"));
  EXPECT_FALSE(equal_constant_time(b.reveal(), "baz"));
  EXPECT_FALSE(equal_constant_time(b.reveal(), "barr"));
}

Result<int> half(int x) {
  if (x % 2 != 0) return fail(Fault::refused, "odd", "it was odd", "CANNOT");
  return x / 2;
}
Result<int> quarter(int x) {
  TRY(const int h, half(x));
  return half(h);
}

TEST(Result, TryPassesTheErrorOn) {
  EXPECT_EQ(*quarter(8), 2);
  const auto failed = quarter(6);
  ASSERT_FALSE(failed.has_value());
  EXPECT_EQ(failed.error().reply(), "odd");
  EXPECT_EQ(failed.error().detail(), "it was odd");
  EXPECT_EQ(failed.error().code(), "CANNOT");
}

}  // namespace
}  // namespace rims
