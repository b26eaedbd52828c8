// tests/imap/response_test.cc - what goes out: strings in the right form, lines nothing can break
//
// Mirrors common/imap/response.cc.

#include "common/imap/response.h"

#include <gtest/gtest.h>

#include "tests/imap/support.h"

namespace rims::imap {
namespace {

template <class... Args>
std::string put(void (*f)(std::string&, Args...), std::type_identity_t<Args>... args) {
  std::string out;
  f(out, args...);
  return out;
}

TEST(Response, StringsTakeTheShortestFormThatHoldsThem) {
  const struct {
    std::string_view bytes, string, astring;
  } rows[] = {
      {"", "\"\"", "\"\""},
      {"abc", "\"abc\"", "abc"},
      {"a]b", "\"a]b\"", "a]b"},
      {"a b", "\"a b\"", "\"a b\""},
      {"nil", "\"nil\"", "\"nil\""},
      {"a\"b\\", "\"a\\\"b\\\\\"", "\"a\\\"b\\\\\""},
      {"a(b", "\"a(b\"", "\"a(b\""},
      {"a\tb\x7F", "\"a\tb\x7F\"", "\"a\tb\x7F\""},
      {"a\r\nb", "{4}\r\na\r\nb", "{4}\r\na\r\nb"},
      {"\xC3\xA9", "{2}\r\n\xC3\xA9", "{2}\r\n\xC3\xA9"},
      {"a\0b"sv,
       "{3}\r\na\x80"
       "b",
       "{3}\r\na\x80"
       "b"},  // CHAR8 is not NUL
  };
  for (const auto& row : rows) {
    EXPECT_EQ(put<std::string_view>(append_string, row.bytes), row.string);
    EXPECT_EQ(put<std::string_view>(append_astring, row.bytes), row.astring);
    EXPECT_EQ((put<std::optional<std::string_view>>(append_nstring, row.bytes)), row.string);
  }
  EXPECT_EQ((put<std::optional<std::string_view>>(append_nstring, std::nullopt)), "NIL");
  EXPECT_EQ((put<std::optional<std::string_view>>(append_value, std::nullopt)), "NIL");
  EXPECT_EQ((put<std::optional<std::string_view>>(append_value, "x\"")), "\"x\\\"\"");
  EXPECT_EQ((put<std::optional<std::string_view>>(append_value, "\xff")), "{1}\r\n\xff");
  EXPECT_EQ((put<std::optional<std::string_view>>(append_value, std::string_view("a\0\r", 3))),
            std::string("~{3}\r\na\0\r", 9));
  const auto mailbox = [](std::string_view name, NameForm form) {
    std::string out;
    append_mailbox(out, name, form);
    return out;
  };
  EXPECT_EQ(mailbox("Entw\xC3\xBCrfe", NameForm::modified_utf7), "Entw&APw-rfe");
  EXPECT_EQ(mailbox("a b", NameForm::modified_utf7), "\"a b\"");
  // RFC 9755 §3: quoted, with "&" for itself; no atom, which has no 8-bit.
  EXPECT_EQ(mailbox("Entw\xC3\xBCrfe", NameForm::utf8), "\"Entw\xC3\xBCrfe\"");
  EXPECT_EQ(mailbox("R&D", NameForm::utf8), "R&D");
  EXPECT_EQ(mailbox("\xC3\xBC \"x\" \\", NameForm::utf8), "\"\xC3\xBC \\\"x\\\" \\\\\"");
  EXPECT_EQ(mailbox("\xC3", NameForm::utf8), "{1}\r\n\xC3");
  EXPECT_EQ(put<uint64_t>(append_literal_head, 18446744073709551615U),
            "{18446744073709551615}\r\n");
}

// Whatever the bytes, the client's parser reads one string and gets them back (but for NUL).
TEST(Response, AnyBytesComeBack) {
  for (int a = 1; a < 256; a++) {
    for (const std::string_view around : {"", "x", "\"", "\\"}) {
      std::string bytes(around);
      bytes += static_cast<char>(a);
      bytes += around;
      std::string out;
      append_astring(out, bytes);
      const Result<Command> c = parse_line("a LOGIN " + out + " y");
      ASSERT_TRUE(c) << out << c.error().reply();
      EXPECT_EQ(std::get<Login>(c->args).user, bytes);
    }
  }
}

TEST(Response, Flags) {
  std::string out;
  append_flags(out, FlagList{});
  EXPECT_EQ(out, "()");
  out.clear();
  append_flags(out, {.system = 63, .keywords = {"$Junk", "b"}});
  EXPECT_EQ(out, "(\\Seen \\Answered \\Flagged \\Deleted \\Draft \\Recent $Junk b)");
  out.clear();
  append_flags(out, 0, std::vector<std::string_view>{"k"});
  EXPECT_EQ(out, "(k)");
}

TEST(Response, Lines) {
  std::string out;
  append_untagged(out, "SEARCH 1 2");
  append_untagged(out, 23, "EXISTS");
  append_status(out, "*", Condition::ok, "UIDNEXT 4", "next");
  append_status(out, "a1", Condition::ok, "", "");
  append_status(out, "*", Condition::bye, "", "see you");
  append_status(out, "*", Condition::preauth, "", "in");
  append_continuation(out, "idling");
  EXPECT_EQ(out,
            "* SEARCH 1 2\r\n* 23 EXISTS\r\n* OK [UIDNEXT 4] next\r\na1 OK done\r\n"
            "* BYE see you\r\n* PREAUTH in\r\n+ idling\r\n");
}

TEST(Response, ErrorsBecomeBadOrNo) {
  std::string out;
  append_error(out, "a", Error(Fault::syntax, "expected SP at column 2"));
  append_error(out, "b", Error(Fault::not_found, "no such mailbox", "x", "TRYCREATE"));
  append_error(out, "c", Error(Fault::storage, "temporary failure", "open /x: EIO"));
  EXPECT_EQ(out,
            "a BAD expected SP at column 2\r\nb NO [TRYCREATE] no such mailbox\r\n"
            "c NO temporary failure\r\n");
}

TEST(Response, NoTextBreaksALineOrPosesAsACode) {
  std::string out;
  append_status(out, "a", Condition::no, "", "x\r\n* BYE\0\xE9\x7F"sv);
  append_status(out, "a", Condition::no, "", "[ALERT] x");
  EXPECT_EQ(out, "a NO x??* BYE???\r\na NO  [ALERT] x\r\n");
  for (int byte = 0; byte < 256; byte++) {
    const char c = static_cast<char>(byte);
    out.clear();
    append_status(out, "a", Condition::no, "", std::string(1, c));
    EXPECT_EQ(out, std::string("a NO ") +
                       (byte >= 0x20 && byte < 0x7f && c != '[' ? c
                        : c == '['                              ? ' '
                                                                : '?') +
                       (c == '[' ? "[\r\n" : "\r\n"));
  }
}

TEST(Response, UidPlusCodes) {  // RFC 4315 §3
  NumberSet<Uid> from, to;
  EXPECT_EQ(copy_uid_code(UidValidity(7), from, to), "");
  from.add_range(Uid(1), Uid(3));
  from.add(Uid(9));
  to.add_range(Uid(100), Uid(103));
  EXPECT_EQ(copy_uid_code(UidValidity(7), from, to), "COPYUID 7 1:3,9 100:103");
  EXPECT_EQ(append_uid_code(UidValidity(4294967295U), from), "APPENDUID 4294967295 1:3,9");
}

}  // namespace
}  // namespace rims::imap
