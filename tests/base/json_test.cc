// tests/base/json_test.cc - what is written is read again; what is no JSON is told where

#include "common/base/json.h"

#include <gtest/gtest.h>

namespace rims {
namespace {

TEST(Json, WritesMembersInOrder) {
  const Json value(Json::Object{{"n", Json(7)},
                                {"t", Json("a\"\\\n\x01")},
                                {"l", Json(Json::List{Json(true), Json(), Json(-1)})},
                                {"e", Json(Json::Object{})}});
  EXPECT_EQ(value.dump(),
            "{\"n\": 7, \"t\": \"a\\\"\\\\\\n\\u0001\", \"l\": [true, null, -1], \"e\": {}}");
  EXPECT_EQ(
      Json(Json::Object{{"a", Json(Json::List{Json(Json::List{Json(1), Json(2)})})}}).dump(true),
      "{\n  \"a\": [\n    [1, 2]\n  ]\n}");
}

TEST(Json, IsReadAsWritten) {
  const Json value(Json::Object{{"text", Json("\xe3\x81\x82 \x7f/\t")},
                                {"big", Json(INT64_MAX)},
                                {"small", Json(INT64_MIN)},
                                {"list", Json(Json::List{Json(false), Json(Json::Object{})})}});
  for (const bool indent : {false, true}) {
    const auto read = Json::parse(value.dump(indent));
    ASSERT_TRUE(read) << read.error().reply();
    EXPECT_EQ(read->dump(), value.dump());
  }
  EXPECT_EQ((*Json::parse("{\"a\": {\"b\": [1, 2]}}"))["a"]["b"].list()[1].number(), 2);
  EXPECT_EQ(Json::parse("\"\\u3042\\ud83d\\ude00\\/\"")->text(), "\xe3\x81\x82\xf0\x9f\x98\x80/");
}

TEST(Json, NeverWritesWhatIsNotUtf8) {
  EXPECT_EQ(Json("a\xff\xc0\x80z").dump(), "\"a\\ufffd\\ufffd\\ufffdz\"");
}

TEST(Json, OfAnotherKindIsEmpty) {
  const Json value(7);
  EXPECT_EQ(value.text(), "");
  EXPECT_EQ(value["a"]["b"].number(), 0);
  EXPECT_TRUE(value.list().empty());
  EXPECT_TRUE(value.is<int64_t>());
}

TEST(Json, SaysWhereItIsWrong) {
  const struct {
    const char* text;
    const char* error;
  } rows[] = {
      {"", "line 1 column 1: expected a value"},
      {"{\"a\" 1}", "line 1 column 6: expected \":\""},
      {"{\n\"a\": 1,\n b}", "line 3 column 2: expected a string"},
      {"[1 2]", "line 1 column 4: expected \",\" or \"]\""},
      {"1.5", "line 1 column 1: expected a whole number"},
      {"9223372036854775808", "line 1 column 1: expected a value"},
      {"1 1", "line 1 column 3: expected the end"},
      {"\"a", "line 1 column 3: expected the end of the string"},
      {"\"\\x\"", "line 1 column 3: expected an escape"},
      {"\"\\u12\"", "line 1 column 4: expected four hex digits"},
      {"\"\\udc00\"", "line 1 column 8: expected the first surrogate"},
      {"\"\xff\"", "line 1 column 2: expected UTF-8"},
  };
  for (const auto& row : rows) {
    const auto read = Json::parse(row.text);
    ASSERT_FALSE(read) << row.text;
    EXPECT_EQ(read.error().reply(), row.error) << row.text;
  }
  EXPECT_FALSE(Json::parse(std::string(10'000, '[')));
}

}  // namespace
}  // namespace rims
