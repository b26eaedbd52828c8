// tests/base/json_test.cc - the form in which JSON is written, and what is not read

#include "common/base/json.h"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace rims {
namespace {

TEST(Json, WritesMembersInOrder) {
  const Json value = {{"n", 7},
                      {"t", "a\"\\\n\x01"},
                      {"l", {true, nullptr, -1}},
                      {"e", Json::object()},
                      {"a", Json::array()}};
  EXPECT_EQ(json_text(value),
            "{\"n\": 7, \"t\": \"a\\\"\\\\\\n\\u0001\", \"l\": [true, null, -1], \"e\": {}, "
            "\"a\": []}");
  const Json lists = {{"a", {{1, 2}}}, {"b", {{"c", {{"d", 1}}}}}};
  EXPECT_EQ(json_text(lists, true),
            "{\n  \"a\": [\n    [1, 2]\n  ],\n  \"b\": {\n    \"c\": {\"d\": 1}\n  }\n}");
}

TEST(Json, IsReadAsWritten) {
  const Json value = {{"text", "\xe3\x81\x82 \x7f/\t"},
                      {"big", INT64_MAX},
                      {"small", INT64_MIN},
                      {"list", {false, Json::object()}}};
  for (const bool indent : {false, true}) {
    const auto read = parse_json(json_text(value, indent));
    ASSERT_TRUE(read) << read.error().reply();
    EXPECT_EQ(*read, ParsedJson(value));
    EXPECT_EQ(json_number(*read, "big"), INT64_MAX);
    EXPECT_EQ(json_number(*read, "small"), INT64_MIN);
    EXPECT_EQ(json_string(*read, "text"), "\xe3\x81\x82 \x7f/\t");
  }
}

TEST(Json, NeverWritesWhatIsNotUtf8) {
  for (const char* bad : {"a\xff\xc0\x80z", "a\xed\xa0\x80z", "a\xf4\x90\x80\x80z", "a\xe3\x81"}) {
    const auto read = parse_json(json_text(Json(bad)));
    ASSERT_TRUE(read);
    EXPECT_TRUE(read->get<std::string>().starts_with("a\xef\xbf\xbd"));
  }
  const Json name = {{"\xff", 1}};
  EXPECT_TRUE(parse_json(json_text(name)));
}

TEST(Json, OfAnotherKindIsEmpty) {
  const auto read = parse_json(R"({"n": 7, "s": "x"})");
  ASSERT_TRUE(read);
  EXPECT_EQ(json_string(*read, "n"), "");
  EXPECT_EQ(json_number(*read, "s"), 0);
  EXPECT_EQ(json_number(*read, "none"), 0);
  EXPECT_TRUE(json_member(*read, "none").is_null());
  EXPECT_TRUE(json_member(json_member(*read, "n"), "a").is_null());
  for (const char* text : {"7", "[1]", "null", "\"a\""})
    EXPECT_EQ(json_number(*parse_json(text), "n"), 0) << text;
}

TEST(Json, IsRefusedWithoutAnException) {
  for (const std::string_view text :
       {"", "{\"a\" 1}", "{\n\"a\": 1,\n b}", "[1 2]", "1.5", "[1e3]", "9223372036854775808", "1 1",
        "\"a", "\"\\x\"", "\"\\u12\"", "\"\\udc00\"", "\"\xff\"", "[1,]", "nul"}) {
    const auto read = parse_json(text);
    ASSERT_FALSE(read) << text;
    EXPECT_EQ(read.error().fault(), Fault::syntax) << text;
  }
}

TEST(Json, HasLimits) {
  const auto nested = [](size_t levels) {
    return std::string(levels, '[') + std::string(levels, ']');
  };
  EXPECT_TRUE(parse_json(nested(kMaxJsonDepth)));
  EXPECT_FALSE(parse_json(nested(kMaxJsonDepth + 2)));
  EXPECT_FALSE(parse_json(nested(100'000)));
  EXPECT_FALSE(parse_json(std::string(100'000, '[')));
  EXPECT_EQ(parse_json(std::string(kMaxJson + 1, ' ')).error().fault(), Fault::limit);
}

}  // namespace
}  // namespace rims
