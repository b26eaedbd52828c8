// tests/message/address_test.cc - address lists as written by people, mailers and attackers

#include "common/message/address.h"

#include <string>
#include <vector>

#include <gtest/gtest.h>

namespace rims::message {
namespace {

// "name|route|mailbox|host" per row; a group is "{name" ... "}".
std::vector<std::string> rows(std::string_view value, size_t max = 1000) {
  std::vector<std::string> out;
  for (const Address& a : parse_addresses(value, max)) {
    switch (a.row) {
      case Address::Row::mailbox:
        out.push_back(a.name + '|' + a.route + '|' + a.mailbox + '|' + a.host);
        break;
      case Address::Row::group_start:
        out.push_back('{' + a.mailbox);
        break;
      case Address::Row::group_end:
        out.emplace_back("}");
        break;
    }
  }
  return out;
}

using Rows = std::vector<std::string>;

TEST(Address, ReadsWhatRfc5322Allows) {
  const struct {
    const char* value;
    Rows rows;
  } table[] = {
      {"a@b", {"||a|b"}},
      {"Foo <a@b>, c@d", {"Foo||a|b", "||c|d"}},
      {"\"Foo, \\\"B\\\"\" <a@b>", {"Foo, \"B\"||a|b"}},
      {"Dr. Foo B. Bar <a@b>", {"Dr. Foo B. Bar||a|b"}},
      {"a@b (Foo)", {"Foo||a|b"}},
      {"<a@b> (Foo)", {"Foo||a|b"}},
      {"(x) Foo (y) Bar <(z)a(z)@(z)b(z)> (w)", {"Foo Bar||a|b"}},
      {"a@b (p\\)q (r))", {"p)q (r)||a|b"}},
      {"a . b @ c . d", {"||a.b|c.d"}},
      {"\"a b\".c@d", {"||a b.c|d"}},
      {"\"\"@b", {"|||b"}},
      {"a@[127.0.0.1]", {"||a|[127.0.0.1]"}},
      {"a@[ x ]", {"||a|[ x ]"}},
      {"Foo <@x,@y:a@b>", {"Foo|@x,@y|a|b"}},
      {"<@x:a@b>", {"|@x|a|b"}},
      {"g:;", {"{g", "}"}},
      {"A g: a@b, C <c@d>;, e@f", {"{A g", "||a|b", "C||c|d", "}", "||e|f"}},
      {"a@b,\r\n c@d", {"||a|b", "||c|d"}},
      {"\"a\r\n b\" <c@d>", {"a b||c|d"}},
      {",a@b,,c@d,", {"||a|b", "||c|d"}},
      {"", {}},
      {" (only a comment) ", {}},
  };
  for (const auto& row : table) EXPECT_EQ(rows(row.value), row.rows) << row.value;
}

TEST(Address, MakesTheBestOfWhatIsBroken) {
  const struct {
    const char* value;
    Rows rows;
  } table[] = {
      {"a", {"||a|MISSING_DOMAIN"}},
      {"a@", {"||a|MISSING_DOMAIN"}},
      {"@b", {"||MISSING_MAILBOX|b"}},
      {"<>", {"||MISSING_MAILBOX|MISSING_DOMAIN"}},
      {"\"\"", {"||MISSING_MAILBOX|MISSING_DOMAIN"}},
      {"\" \"", {"||MISSING_MAILBOX|MISSING_DOMAIN"}},
      {"\"\" \"\"", {"||MISSING_MAILBOX|MISSING_DOMAIN"}},
      {"\"\", a@b", {"||MISSING_MAILBOX|MISSING_DOMAIN", "||a|b"}},
      {"\"\" (Foo)", {"Foo||MISSING_MAILBOX|MISSING_DOMAIN"}},
      {"\"\" <>", {"||MISSING_MAILBOX|MISSING_DOMAIN"}},
      {"\"\":;", {"{", "}"}},
      {"Foo <>", {"Foo||MISSING_MAILBOX|MISSING_DOMAIN"}},
      {"a b c", {"a b c||MISSING_MAILBOX|MISSING_DOMAIN"}},
      {"Foo <c>", {"Foo||c|MISSING_DOMAIN"}},
      {"Foo <a@b, n@x", {"Foo||a|b", "||n|x"}},
      {"Foo a@b>, n@x", {"Foo||a|b", "||n|x"}},
      {"\"Foo <a@b>, n@x", {"Foo||a|b", "||n|x"}},
      {"a@b (open, n@x", {"open, n@x||a|b"}},
      {"foo bar@b, n@x", {"foo||bar|b", "||n|x"}},
      {"a@b; c@d", {"||a|b", "||c|d"}},
      {"a@b c@d, n@x", {"||a|b", "||n|x"}},
      {"a@b@c, n@x", {"||a|b", "||n|x"}},
      {"a@b <c@d>", {"a@b||c|d"}},
      {"[Foo] <a@b>", {"[Foo]||a|b"}},
      {"<a b@c>", {"||a b|c"}},
      {"Foo <mailto:a@b>", {"Foo||mailto:a|b"}},
      {"<@b>", {"||MISSING_MAILBOX|b"}},
      {"g: a@b", {"{g", "||a|b", "}"}},
      {"g: a@b, h: c@d;", {"{g", "||a|b", "}", "{h", "||c|d", "}"}},
      {";", {}},
      {">>>", {}},
      {"=?utf-8?q?(a,_b)?= <c@d>", {"=?utf-8?q?(a,_b)?=||c|d"}},
      {"\xe4 <\xfc@x>", {"\xe4||\xfc|x"}},
  };
  for (const auto& row : table) EXPECT_EQ(rows(row.value), row.rows) << row.value;
  EXPECT_EQ(rows(std::string_view("a\0b@c", 5)), (Rows{std::string("||a\0b|c", 7)}));
}

TEST(Address, StopsAtTheLimitAndClosesTheGroup) {
  EXPECT_EQ(rows("a@b, c@d, e@f", 2), (Rows{"||a|b", "||c|d"}));
  EXPECT_EQ(rows("g: a@b, c@d, e@f;", 3), (Rows{"{g", "||a|b", "}"}));
  EXPECT_EQ(rows("a@b, g: c@d;", 2), (Rows{"||a|b"}));
  EXPECT_EQ(rows("g:h:i:j:", 3), (Rows{"{g", "}"}));
  EXPECT_EQ(rows("a@b", 0), (Rows{}));
}

TEST(Address, NeverGivesMoreRowsThanAsked) {
  const std::string nasty = "g:a@b,h:;c;:,<@,@:>\"(\\";
  for (size_t i = 0; i < 4000; i++) {
    std::string value;
    for (size_t k = i, n = 0; n < 6; n++, k /= 5) value += nasty[(k * 7 + n * n) % nasty.size()];
    for (size_t max = 0; max < 5; max++)
      ASSERT_LE(parse_addresses(value, max).size(), max) << value;
  }
}

}  // namespace
}  // namespace rims::message
