// tests/message/header_test.cc - fields, their bytes, and HEADER.FIELDS

#include "common/message/header.h"

#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "common/message/imap_text.h"

namespace rims::message {
namespace {

using Names = std::vector<std::string>;

std::string fields_of(std::string_view header) {
  std::string out;
  FieldReader reader(header);
  for (Field f; reader.next(f);)
    out += '[' + std::string(f.name) + "=" + std::string(f.value) + ']';
  return out;
}

TEST(Header, WalksFields) {
  EXPECT_EQ(fields_of("A: 1\r\nB:2\r\n\r\nC: 3\r\n"), "[A= 1][B=2]");
  EXPECT_EQ(fields_of("A: 1\nB:2\n\nC: 3\n"), "[A= 1][B=2]") << "bare LF";
  EXPECT_EQ(fields_of("A: 1\r\n 2\r\n\t3\r\nB: x"), "[A= 1\r\n 2\r\n\t3][B= x]");
  EXPECT_EQ(fields_of("A: 1\r\n \r\nB: x\r\n"), "[A= 1\r\n ][B= x]") << "blank is not empty";
  EXPECT_EQ(fields_of("A : 1\r\n"), "[A= 1]");
  EXPECT_EQ(fields_of("no colon\r\nA: 1\r\n"), "[=no colon][A= 1]");
  EXPECT_EQ(fields_of("no colon\r\n but: here\r\n"), "[=no colon\r\n but: here]");
  EXPECT_EQ(fields_of(": x\r\n"), "[= x]");
  EXPECT_EQ(fields_of("A: 1\rB: 2\r\n"), "[A= 1\rB: 2]") << "a lone CR ends nothing";
  EXPECT_EQ(fields_of("A: 1\r\n\r\r\n\n"), "[A= 1][=\r]");
  EXPECT_EQ(fields_of(""), "");
  EXPECT_EQ(fields_of("\r\nA: 1\r\n"), "");
}

TEST(Header, KnowsWhereItEnds) {
  const struct {
    std::string message;
    size_t length;
  } table[] = {{"", 0},
               {"\r\n", 2},
               {"\n", 1},
               {"A: 1\r\n\r\nx", 8},
               {"A: 1\n\nx", 6},
               {"A: 1\r\nB", 7},
               {"A: 1\r\n x\r\n", 10},
               {"\r", 1},
               {"A: 1\n\r\nx", 7}};
  for (const auto& row : table) {
    EXPECT_EQ(header_length(row.message), row.length) << row.message;
    FieldReader reader(row.message);
    for (Field f; reader.next(f);) {
    }
    EXPECT_EQ(reader.consumed(), row.length) << row.message;
    Field again;
    EXPECT_FALSE(reader.next(again)) << "once done it stays done";
  }
}

TEST(Header, SelectsFieldsByteForByte) {  // RFC 3501 §6.4.5
  const std::string header =
      "Received: a\r\nSubject:  x\r\n\ty\r\nfrom: z\r\nno colon\r\nRECEIVED: b\r\n\r\n";
  EXPECT_EQ(select_fields(header, Names{"Subject", "FROM"}, false),
            "Subject:  x\r\n\ty\r\nfrom: z\r\n\r\n");
  EXPECT_EQ(select_fields(header, Names{"received"}, false), "Received: a\r\nRECEIVED: b\r\n\r\n");
  EXPECT_EQ(select_fields(header, Names{"received"}, true),
            "Subject:  x\r\n\ty\r\nfrom: z\r\nno colon\r\n\r\n");
  EXPECT_EQ(select_fields(header, Names{"none"}, false), "\r\n");
  EXPECT_EQ(select_fields(header, Names{""}, false), "\r\n") << "no name matches no field";
  EXPECT_EQ(select_fields("A: 1", Names{"a"}, false), "A: 1") << "cut short: no empty line";
  EXPECT_EQ(select_fields("A: 1\nB: 2\n\n", Names{"b"}, false), "B: 2\n\n");
  EXPECT_EQ(select_fields("", Names{"a"}, true), "");
}

TEST(Header, SelectsByManyNames) {
  std::string header, expected;
  Names names;
  for (int i = 0; i < 1000; i++) {
    const std::string field = "X-" + std::to_string(i) + ": v\r\n";
    header += field;
    if (i % 3 != 0) continue;
    names.push_back("x-" + std::to_string(i));
    expected += field;
  }
  EXPECT_EQ(select_fields(header, names, false), expected);
}

TEST(Header, Unfolds) {
  EXPECT_EQ(unfold(" a\r\n\t b\n c \r\n"), "a b c");
  EXPECT_EQ(unfold("a  b"), "a  b") << "white space inside a line stays";
  EXPECT_EQ(unfold("a\r\n \r\n b"), "a b");
  EXPECT_EQ(unfold("a \r\n b"), "a b");
  EXPECT_EQ(unfold("x\ry"), "x y");
  EXPECT_EQ(unfold(std::string_view("a\0b", 3)), "a?b");
  EXPECT_EQ(unfold("  \r\n "), "");
  EXPECT_EQ(unfold("abcdef", 3), "abc");
  EXPECT_EQ(first_value("A: 1\r\na: 2\r\n\r\nB: 3", "a"), "1");
  EXPECT_EQ(first_value("A: 1\r\n\r\nB: 3", "b"), "");
}

TEST(ImapText, ChoosesQuotedOrLiteral) {  // RFC 3501 §4.3
  const auto text = [](std::string_view in) {
    std::string out;
    append_string(out, in);
    return out;
  };
  EXPECT_EQ(text(""), "\"\"");
  EXPECT_EQ(text("a \"b\" \\c"), R"("a \"b\" \\c")");
  EXPECT_EQ(text("\xc3\xa4"), "{2}\r\n\xc3\xa4");
  EXPECT_EQ(text("a\r\nb"), "{4}\r\na\r\nb");
  EXPECT_EQ(text(std::string_view("a\0b", 3)), "\"a?b\"");
  EXPECT_EQ(text(std::string_view("\xe4\0b", 3)), "{3}\r\n\xe4?b");
  EXPECT_EQ(text(std::string(5000, 'x')), "{5000}\r\n" + std::string(5000, 'x'));
}

TEST(ImapText, ChecksLists) {
  for (const char* good : {"()", "(NIL)", "(\"a\" (NIL 12) {2}\r\n()())", "(\"\\\"\\\\\")"})
    EXPECT_TRUE(is_balanced_list(good)) << good;
  for (const char* bad :
       {"", "(", ")", "())", "(()", "NIL", "(\"a)", "(\"\\a\")", "({2}\r\na)", "({99}\r\na)",
        "({}\r\n)", "({1}a)", "(\"\xc3\")", "(\"a\r\n\")", "() ", "(\x01)", "(a)"})
    EXPECT_FALSE(is_balanced_list(bad)) << bad;
  EXPECT_TRUE(is_balanced_list(std::string(100000, '(') + std::string(100000, ')')));
}

}  // namespace
}  // namespace rims::message
