// Ruby's Marshal data: what irb's Marshal.dump printed, byte by byte, and what is broken.

#include "cli/formats/marshal.h"

#include <gtest/gtest.h>

namespace rims::cli {
namespace {

std::string operator""_b(const char* text, size_t size) { return {text, size}; }

MarshalRef must(const std::string& bytes) {
  auto value = read_marshal(bytes);
  EXPECT_TRUE(value) << value.error().detail();
  return value ? *value : std::make_shared<MarshalValue>();
}

std::string why(const std::string& bytes, const MarshalLimits& limits = {}) {
  auto value = read_marshal(bytes, limits);
  return value ? "no error" : value.error().detail();
}

TEST(Marshal, Numbers) {
  const std::pair<std::string, int64_t> cases[] = {
      {"\x04\x08i\x00"_b, 0},
      {"\x04\x08i\x06"_b, 1},
      {"\x04\x08i\x7f"_b, 122},
      {"\x04\x08i\x01\x7b"_b, 123},
      {"\x04\x08i\xfa"_b, -1},
      {"\x04\x08i\x80"_b, -123},
      {"\x04\x08i\xff\x84"_b, -124},
      {"\x04\x08i\x02\x00\x01"_b, 256},
      {"\x04\x08i\xfe\xff\xfe"_b, -257},
      {"\x04\x08i\x04\xff\xff\xff\x3f"_b, 1073741823},
      {"\x04\x08l+\x07\x00\x00\x00\x40"_b, 1073741824},
      {"\x04\x08l-\x09\x00\x00\x00\x00\x01\x00\x00\x00"_b, -4294967296},
  };
  for (const auto& [bytes, value] : cases) EXPECT_EQ(must(bytes)->integer, value);
}

TEST(Marshal, Texts) {
  EXPECT_EQ(must("\x04\x08\"\x08"
                 "abc"_b)
                ->text,
            "abc");
  const auto utf8 = must(
      "\x04\x08I\"\x08"
      "abc\x06:\x06"
      "ET"_b);
  EXPECT_EQ(utf8->text, "abc");
  ASSERT_NE(utf8->ivar("E"), nullptr);
  EXPECT_EQ(utf8->ivar("E")->integer, 1);
  EXPECT_EQ(must("\x04\x08:\x08"
                 "abc"_b)
                ->kind,
            MarshalKind::symbol);
}

TEST(Marshal, WhatIsLinkedToIsShared) {
  // s = "a"; [s, s]
  const auto list = must(
      "\x04\x08[\x07I\"\x06"
      "a\x06:\x06"
      "ET@\x06"_b);
  ASSERT_EQ(list->items.size(), 2U);
  EXPECT_EQ(list->items[0], list->items[1]);
  // [:a, :a]
  EXPECT_EQ(must("\x04\x08[\x07:\x06"
                 "a;\x00"_b)
                ->items[1]
                ->text,
            "a");
}

TEST(Marshal, LinksMayGoInCircles) {
  // s = "a"; s.instance_variable_set(:@me, s)
  const auto circle = must(
      "\x04\x08I\"\x06"
      "a\x06:\x08@me@\x00"_b);
  EXPECT_EQ(circle->ivar("@me"), circle.get());
}

TEST(Marshal, ALongChainOfLinksIsNoDeepStack) {
  // a = []; 100,000 times: a = [a], each in one list
  std::string bytes = "\x04\x08[\x03\xa1\x86\x01[\x00"_b;
  for (uint32_t i = 1; i <= 100'000; i++) {
    bytes += "[\x06@\x03"_b;
    for (unsigned shift = 0; shift < 24; shift += 8) bytes += static_cast<char>(i >> shift);
  }
  const auto list = must(bytes);
  ASSERT_EQ(list->items.size(), 100'001U);
  EXPECT_EQ(list->items[100'000]->items[0], list->items[99'999]);
}

TEST(Marshal, AMessagesPlaces) {
  // {1 => Set[5, 7]}, as Ruby 2 and 3 write it
  for (const char* hash : {"{", "}"}) {
    std::string bytes = "\x04\x08{\x06i\x06o:\x08Set\x06:\x0a@hash"_b;
    bytes += hash;
    bytes += "\x07i\x0aTi\x0cT"_b;
    if (*hash == '}') bytes += "F";
    const auto places = must(bytes);
    ASSERT_EQ(places->items.size(), 2U);
    EXPECT_EQ(places->items[0]->integer, 1);
    const auto uids = marshal_numbers(*places->items[1]);
    ASSERT_TRUE(uids) << uids.error().detail();
    EXPECT_EQ(*uids, (std::vector<int64_t>{5, 7}));
    EXPECT_FALSE(marshal_numbers(*places));
  }
}

TEST(Marshal, ATime) {
  // Time.new(2016, 2, 29, 23, 59, 58, "+09:00"): 14:59:58 UTC
  const uint32_t p = 0x8000'0000U | (116U << 14) | (1U << 10) | (29U << 5) | 14U;
  const uint32_t s = (59U << 26) | (58U << 20);
  std::string bytes = "\x04\x08Iu:\x09Time\x0d"_b;
  for (const uint32_t word : {p, s}) {
    for (int i = 0; i < 4; i++) bytes += static_cast<char>(word >> (8 * i));
  }
  bytes += "\x07:\x0boffseti\x02\x90\x7e:\x09zone0"_b;
  const auto time = marshal_time(*must(bytes));
  ASSERT_TRUE(time) << time.error().detail();
  EXPECT_EQ(time->seconds, 1456757998);
  EXPECT_EQ(time->zone, 540);
  EXPECT_FALSE(marshal_time(*must("\x04\x08i\x06"_b)));
}

TEST(Marshal, WhatIsBrokenIsToldWithItsOffset) {
  EXPECT_EQ(why(""), "offset 0: the data ends");
  EXPECT_EQ(why("\x04\x09i\x06"_b), "offset 0: format 4.9 is not 4.8 or older");
  EXPECT_EQ(why("\x04\x08"_b), "offset 2: the data ends");
  EXPECT_EQ(why("\x04\x08i\x06i"_b), "offset 4: bytes after the value");
  EXPECT_EQ(why("\x04\x08\"\x7f"
                "abc"_b),
            "offset 3: a length of 122 where 3 bytes are left");
  EXPECT_EQ(why("\x04\x08[\x06@\x00"_b), "offset 4: a value that holds itself");
  EXPECT_EQ(why("\x04\x08@\x06"_b), "offset 2: a link to a value that is not there");
  EXPECT_EQ(why("\x04\x08;\x06"_b), "offset 2: a link to a symbol that is not there");
  EXPECT_EQ(why("\x04\x08"
                "c\x08"
                "Foo"_b),
            "offset 2: a value of type 0x63, which is not understood");
  EXPECT_TRUE(why("\x04\x08l+\x0a\x00\x00\x00\x00\x00\x00\x00\x00\x01\x00"_b).contains("64 bits"));
  std::string deep = "\x04\x08"_b;
  for (int i = 0; i < 100; i++) deep += "[\x06"_b;
  EXPECT_TRUE(why(deep + "0").contains("too deep"));
  EXPECT_TRUE(why("\x04\x08[\x08"
                  "000"_b,
                  {.values = 3})
                  .contains("too many values"));
}

}  // namespace
}  // namespace rims::cli
