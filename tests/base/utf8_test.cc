// tests/base/utf8_test.cc - what is UTF-8, and where it stops being that

#include "common/base/utf8.h"

#include <gtest/gtest.h>
#include <unicode/uchar.h>

namespace rims::utf8 {
namespace {

using namespace std::string_view_literals;

TEST(Utf8, EveryCodePointGoesThereAndBack) {
  for (uint32_t point = 0; point <= 0x10ffff; point = point < 0x11000 ? point + 1 : point + 61) {
    if (point >= 0xd800 && point < 0xe000) continue;
    std::string text;
    append(text, point);
    const size_t length = point < 0x80 ? 1 : point < 0x800 ? 2 : point < 0x10000 ? 3 : 4;
    ASSERT_EQ(text.size(), length) << point;
    const auto read = first(text + "z");
    ASSERT_EQ(read.point, point);
    ASSERT_EQ(read.bytes, length) << point;
    // Cut anywhere it is none, and might have become one; without its first byte neither.
    for (size_t cut = 1; cut < length; cut++) {
      const std::string_view part = std::string_view(text).substr(0, cut);
      ASSERT_EQ(first(part).bytes, 0U) << point;
      ASSERT_TRUE(first(part).cut) << point;
      ASSERT_FALSE(is_valid(part)) << point;
      const std::string broken = std::string(part) + "zzz";
      ASSERT_EQ(first(broken).bytes, 0U) << point;
      ASSERT_FALSE(first(broken).cut) << point;
      ASSERT_EQ(first(std::string_view(text).substr(cut)).bytes, 0U) << point;
      ASSERT_FALSE(first(std::string_view(text).substr(cut)).cut) << point;
      ASSERT_EQ(start_of("a" + text, 1 + cut), 1U) << point;
    }
  }
}

TEST(Utf8, RefusesWhatIsNotTheShortestFormOfACodePoint) {
  const std::string_view rows[] = {
      "\x80"sv,              // goes on without a beginning
      "\xbf"sv,              //
      "\xc0\x80"sv,          // U+0000 in two bytes
      "\xc1\xbf"sv,          // U+007F in two
      "\xe0\x80\x80"sv,      // in three
      "\xe0\x9f\xbf"sv,      // U+07FF in three
      "\xf0\x80\x80\x80"sv,  // in four
      "\xf0\x8f\xbf\xbf"sv,  // U+FFFF in four
      "\xed\xa0\x80"sv,      // U+D800
      "\xed\xad\xbf"sv,      //
      "\xed\xbf\xbf"sv,      // U+DFFF
      "\xf4\x90\x80\x80"sv,  // U+110000
      "\xf5\x80\x80\x80"sv,  //
      "\xf7\xbf\xbf\xbf"sv,  //
      "\xf8\x88\x80\x80\x80"sv,
      "\xfc\x84\x80\x80\x80\x80"sv,
      "\xfe"sv,
      "\xff"sv,
  };
  for (const std::string_view row : rows) {
    EXPECT_EQ(first(row).bytes, 0U) << row;
    EXPECT_FALSE(first(row).cut) << row;
    EXPECT_FALSE(is_valid(row)) << row;
    EXPECT_FALSE(is_valid("\xc3\xa9" + std::string(row) + "z")) << row;
  }
  EXPECT_TRUE(is_valid(""));
  EXPECT_TRUE(is_valid("a\0b"sv));
  EXPECT_TRUE(is_valid("\x7f\xc2\x80\xdf\xbf\xe0\xa0\x80\xed\x9f\xbf\xee\x80\x80\xef\xbf\xbf"sv));
  EXPECT_TRUE(is_valid("\xf0\x90\x80\x80\xf4\x8f\xbf\xbf"sv));
}

TEST(Utf8, WritesAReplacementForNoCodePoint) {
  for (const uint32_t point : {0xd800U, 0xdfffU, 0x110000U, 0xffffffffU}) {
    std::string text = "a";
    append(text, point);
    EXPECT_EQ(text, "a\xef\xbf\xbd") << point;
  }
}

TEST(Utf8, KnowsControls) {
  for (const uint32_t point : {0U, 0x1fU, 0x7fU, 0x80U, 0x9fU}) EXPECT_TRUE(is_control(point));
  for (const uint32_t point : {0x20U, 0x7eU, 0xa0U, 0x10ffffU}) EXPECT_FALSE(is_control(point));
}

TEST(Utf8, KnowsWhatNobodySees) {
  for (uint32_t point = 0; point <= 0x10ffff; point++) {
    const int kind = u_charType(static_cast<UChar32>(point));
    const bool invisible = kind == U_CONTROL_CHAR || kind == U_FORMAT_CHAR ||
                           kind == U_LINE_SEPARATOR || kind == U_PARAGRAPH_SEPARATOR;
    ASSERT_EQ(is_invisible(point), invisible) << std::hex << point;
  }
}

}  // namespace
}  // namespace rims::utf8
