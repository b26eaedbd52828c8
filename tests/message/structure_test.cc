// tests/message/structure_test.cc - ENVELOPE, BODY, BODYSTRUCTURE and sections of whole messages

#include "common/message/structure.h"

#include <optional>
#include <string>
#include <string_view>

#include <gtest/gtest.h>

#include "common/message/date.h"
#include "common/message/imap_text.h"

namespace rims::message {
namespace {

// A message with its blob and view; LF in the source stands for CRLF.
class Parsed {
 public:
  explicit Parsed(std::string_view text, bool crlf = true, const Limits& limits = {}) {
    for (const char c : text) {
      if (c == '\n' && crlf) message += '\r';
      message += c;
    }
    blob_ = make_structure(message, limits);
    auto view_or = StructureView::open(blob_);
    EXPECT_TRUE(view_or) << view_or.error().detail();
    view.emplace(*view_or);
    EXPECT_TRUE(is_balanced_list(view->envelope())) << view->envelope();
    EXPECT_TRUE(is_balanced_list(view->body())) << view->body();
    EXPECT_TRUE(is_balanced_list(view->bodystructure())) << view->bodystructure();
  }
  // The bytes of a section with CRLF shown as LF; "NIL" when there is none.
  [[nodiscard]] std::string section(std::string_view spec) const {
    const auto range = view->locate(spec);
    if (!range) return "NIL";
    std::string out;
    for (const char c : range->of(message))
      if (c != '\r') out += c;
    return out;
  }
  [[nodiscard]] std::string body() const { return std::string(view->body()); }
  [[nodiscard]] std::string bodystructure() const { return std::string(view->bodystructure()); }
  [[nodiscard]] std::string envelope() const { return std::string(view->envelope()); }

  std::string message;
  std::optional<StructureView> view;

 private:
  std::string blob_;
};

constexpr std::string_view kNested =
    "From: a@b\n"
    "Date: Sat, 21 Nov 2026 23:30:00 -0800\n"
    "MIME-Version: 1.0\n"
    "Content-Type: multipart/mixed; boundary=out\n"
    "\n"
    "preamble\n"
    "--out\n"
    "\n"
    "one\n"
    "--out\n"
    "Content-Type: multipart/alternative; boundary=\"in\"\n"
    "\n"
    "--in\n"
    "Content-Type: text/plain; charset=utf-8\n"
    "\n"
    "two one\n"
    "\n"
    "--in\n"
    "Content-Type: text/html\n"
    "\n"
    "two two\n"
    "--in--\n"
    "inner epilogue\n"
    "--out\n"
    "Content-Type: message/rfc822\n"
    "\n"
    "Subject: inner\n"
    "Content-Type: multipart/mixed; boundary=deep\n"
    "\n"
    "--deep\n"
    "Content-Type: image/gif; name=x.gif\n"
    "Content-Transfer-Encoding: base64\n"
    "Content-ID: <id>\n"
    "Content-Disposition: attachment; filename=x.gif\n"
    "\n"
    "R0lG\n"
    "--deep--\n"
    "--out\n"
    "Content-Type: message/rfc822\n"
    "\n"
    "Subject: plain\n"
    "\n"
    "last\n"
    "--out--\n"
    "epilogue\n";

TEST(Structure, OfNestedParts) {
  const Parsed m(kNested);
  EXPECT_EQ(m.body(), R"((("text" "plain" ("charset" "us-ascii") NIL NIL "7bit" 3 0))"
                      R"((("text" "plain" ("charset" "utf-8") NIL NIL "7bit" 9 1))"
                      R"(("text" "html" ("charset" "us-ascii") NIL NIL "7bit" 7 0) "alternative"))"
                      R"(("message" "rfc822" NIL NIL NIL "7bit" 227 )"
                      R"((NIL "inner" NIL NIL NIL NIL NIL NIL NIL NIL) )"
                      R"((("image" "gif" ("name" "x.gif") "<id>" NIL "base64" 4) "mixed") 10))"
                      R"(("message" "rfc822" NIL NIL NIL "7bit" 22 )"
                      R"((NIL "plain" NIL NIL NIL NIL NIL NIL NIL NIL) )"
                      R"(("text" "plain" ("charset" "us-ascii") NIL NIL "7bit" 4 0) 2) "mixed"))");
  const std::string extended = m.bodystructure();
  EXPECT_TRUE(extended.ends_with(R"( 0 NIL NIL NIL NIL) 2 NIL NIL NIL NIL) "mixed" )"
                                 R"(("boundary" "out") NIL NIL NIL))"))
      << extended;
  EXPECT_NE(extended.find(R"( "<id>" NIL "base64" 4 NIL ("attachment" ("filename" "x.gif")) )"
                          R"(NIL NIL) "mixed" ("boundary" "deep") NIL NIL NIL) 10 NIL)"),
            std::string::npos)
      << extended;
  EXPECT_EQ(m.envelope(),
            R"(("Sat, 21 Nov 2026 23:30:00 -0800" NIL ((NIL NIL "a" "b")) ((NIL NIL "a" "b")) )"
            R"(((NIL NIL "a" "b")) NIL NIL NIL NIL NIL))");
}

TEST(Structure, LocatesSections) {  // RFC 3501 §6.4.5
  const Parsed m(kNested);
  EXPECT_EQ(m.section(""), kNested);
  EXPECT_EQ(m.section("HEADER") + m.section("TEXT"), kNested);
  EXPECT_EQ(m.section("1"), "one");
  EXPECT_EQ(m.section("1.MIME"), "\n");
  EXPECT_EQ(m.section("2.1"), "two one\n");
  EXPECT_EQ(m.section("2.2"), "two two");
  EXPECT_EQ(m.section("2.2.MIME"), "Content-Type: text/html\n\n");
  EXPECT_EQ(m.section("2.mime"), "Content-Type: multipart/alternative; boundary=\"in\"\n\n");
  EXPECT_TRUE(m.section("2").starts_with("--in\n"));
  EXPECT_TRUE(m.section("2").ends_with("--in--\ninner epilogue"));
  EXPECT_EQ(m.section("3.HEADER"),
            "Subject: inner\nContent-Type: multipart/mixed; boundary=deep\n\n");
  EXPECT_EQ(m.section("3.HEADER") + m.section("3.TEXT"), m.section("3"));
  EXPECT_EQ(m.section("3.1"), "R0lG");
  EXPECT_EQ(m.section("4.1"), "last");
  EXPECT_EQ(m.section("4.TEXT"), "last");
  EXPECT_EQ(m.section("4.MIME"), "Content-Type: message/rfc822\n\n");
  for (const char* none :
       {"0", "5", "1.1", "2.3", "3.2", "3.1.1", "4.2", "4.1.1", "1.HEADER", "2.TEXT", "MIME", "1.",
        ".1", "1..2", "FOO", "1.FOO", "4294967296", "99999999999999999999", "1.HEADER.FIELDS"})
    EXPECT_EQ(m.section(none), "NIL") << none;
}

TEST(Structure, PartOneOfASimpleMessageIsItsBody) {
  const Parsed m("Subject: x\n\nbody\n");
  EXPECT_EQ(m.section("1"), "body\n");
  EXPECT_EQ(m.section("1.MIME"), "Subject: x\n\n");
  EXPECT_EQ(m.section("1.1"), "NIL");
  EXPECT_EQ(m.section("2"), "NIL");
  EXPECT_EQ(m.section("1.TEXT"), "NIL");
}

// RFC 3501 §9 body-type-mpart has at least one part, so BODYSTRUCTURE shows an empty one where
// there is none: FETCH must find it.
TEST(Structure, PartOneOfAnEmptyMultipartIsEmpty) {
  constexpr std::string_view kStandIn =
      R"((("text" "plain" ("charset" "us-ascii") NIL NIL "7bit" 0 0) "mixed"))";
  for (const char* body :
       {"", "\n", "no boundary\n", "--b--\n", "--b--\nepilogue\n", "--c\n\nx\n"}) {
    const std::string message =
        "MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=b\n\n" + std::string(body);
    const Parsed m(message);
    EXPECT_EQ(m.body(), kStandIn) << body;
    EXPECT_EQ(m.section("1"), "") << body;
    EXPECT_EQ(m.section("1.MIME"), "") << body;
    EXPECT_EQ(m.section("TEXT"), body);
    for (const char* none : {"2", "1.1", "1.TEXT", "1.HEADER", "1.1.MIME", "0"})
      EXPECT_EQ(m.section(none), "NIL") << none << " of " << body;

    const Parsed inside(
        "MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=out\n\n--out\n" +
        message.substr(18) + "\n--out\nContent-Type: message/rfc822\n\n" + message + "\n--out--\n");
    EXPECT_EQ(inside.section("1.1"), "") << body;
    EXPECT_EQ(inside.section("1.1.MIME"), "") << body;
    EXPECT_EQ(inside.section("1.2"), "NIL") << body;
    EXPECT_EQ(inside.section("2.1"), "") << body;
    EXPECT_EQ(inside.section("2.1.MIME"), "") << body;
    EXPECT_EQ(inside.section("2.TEXT"), body);
    for (const char* none : {"2.2", "2.1.1", "1.1.1", "1.1.TEXT", "2.1.HEADER"})
      EXPECT_EQ(inside.section(none), "NIL") << none << " of " << body;
  }
}

TEST(Structure, KnowsTheDateAsWritten) {
  const Parsed m(kNested);
  EXPECT_EQ(m.view->sent_day(), day_number(2026, 11, 21));
  EXPECT_EQ(m.view->sent_time(), 1795332600);
  EXPECT_EQ(Parsed("Date: foo\n\n").view->sent_day(), std::nullopt);
  EXPECT_EQ(Parsed("").view->sent_time(), std::nullopt);
}

// BODY of a message with these Content fields and the body "x\r\n".
std::string body_with(std::string_view fields) {
  return Parsed("MIME-Version: 1.0\n" + std::string(fields) + "\nx\n").body();
}

// The extension data of a one-part text message: md5, disposition, language, location.
std::string extension_with(std::string_view fields) {
  const std::string text =
      Parsed("MIME-Version: 1.0\n" + std::string(fields) + "\nx\n").bodystructure();
  const std::string_view plain = R"(("text" "plain" ("charset" "us-ascii") NIL NIL "7bit" 3 1 )";
  EXPECT_TRUE(text.starts_with(plain)) << text;
  return text.substr(plain.size(), text.size() - plain.size() - 1);
}

TEST(Structure, ReadsTypes) {  // RFC 2045 §5, RFC 2046
  const struct {
    const char* fields;
    const char* body;
  } table[] = {
      {"", R"(("text" "plain" ("charset" "us-ascii") NIL NIL "7bit" 3 1))"},
      {"Content-Type: TEXT/Html\n", R"(("TEXT" "Html" ("charset" "us-ascii") NIL NIL "7bit" 3 1))"},
      {"Content-Type: text/plain; Charset=\"UTF-8\"; a=b\n",
       R"(("text" "plain" ("Charset" "UTF-8" "a" "b") NIL NIL "7bit" 3 1))"},
      {"Content-Type: image/png; name=\"a \\\"b\\\".png\"\n",
       R"(("image" "png" ("name" "a \"b\".png") NIL NIL "7bit" 3))"},
      {"Content-Type: image/png\nContent-Type: text/html\n",
       R"(("image" "png" NIL NIL NIL "7bit" 3))"},
      {"Content-Type: text\n", R"(("text" "plain" ("charset" "us-ascii") NIL NIL "7bit" 3 1))"},
      {"Content-Type: image\n", R"(("application" "octet-stream" NIL NIL NIL "7bit" 3))"},
      {"Content-Type: ; charset=x\n",
       R"(("text" "plain" ("charset" "us-ascii") NIL NIL "7bit" 3 1))"},
      {"Content-Type: multipart/mixed\n",
       R"(("text" "plain" ("charset" "us-ascii") NIL NIL "7bit" 3 1))"},
      {"Content-Type: multipart/mixed; boundary=\"\"\n",
       R"(("text" "plain" ("charset" "us-ascii") NIL NIL "7bit" 3 1))"},
      {"Content-Type: multipart/mixed; boundary=b\n",
       R"((("text" "plain" ("charset" "us-ascii") NIL NIL "7bit" 0 0) "mixed"))"},
      {"Content-Type: message/rfc822\n",
       R"(("message" "rfc822" NIL NIL NIL "7bit" 3 (NIL NIL NIL NIL NIL NIL NIL NIL NIL NIL) )"
       R"(("text" "plain" ("charset" "us-ascii") NIL NIL "7bit" 0 0) 1))"},
      {"Content-Type: text/plain; name*1=b; name*0=\"a \"\n",
       R"(("text" "plain" ("name" "a b" "charset" "us-ascii") NIL NIL "7bit" 3 1))"},
      {"Content-Type: a/b; c*0*=utf-8''%C3; c*1=\"x y\"\n",
       R"(("a" "b" ("c*" "utf-8''%C3x%20y") NIL NIL "7bit" 3))"},
      {"Content-Type: a/b; c*0=x; c*1*=%41\n", R"(("a" "b" ("c*" "''x%41") NIL NIL "7bit" 3))"},
      {"Content-Type: a/b; c*0=x; c*2=y\n", R"(("a" "b" ("c*0" "x" "c*2" "y") NIL NIL "7bit" 3))"},
      {"Content-ID: <i>\nContent-Description: d\n e\nContent-Transfer-Encoding: BASE64\n",
       R"(("text" "plain" ("charset" "us-ascii") "<i>" "d e" "BASE64" 3 1))"},
      {"Content-Transfer-Encoding: 8bit junk\n",
       R"(("text" "plain" ("charset" "us-ascii") NIL NIL "8bit" 3 1))"},
      {"Content-Transfer-Encoding: x y\n",
       R"(("text" "plain" ("charset" "us-ascii") NIL NIL "7bit" 3 1))"},
  };
  for (const auto& row : table) EXPECT_EQ(body_with(row.fields), row.body) << row.fields;
}

TEST(Structure, ReadsExtensionData) {  // RFC 3501 §7.4.2 body-ext-1part
  const struct {
    const char* fields;
    const char* extension;
  } table[] = {
      {"", "NIL NIL NIL NIL"},
      {"Content-MD5: Q2hl\n", R"("Q2hl" NIL NIL NIL)"},
      {"Content-Disposition: inline\n", R"(NIL ("inline" NIL) NIL NIL)"},
      {"Content-Disposition: attachment; filename*=utf-8''%41; size=3\n",
       R"(NIL ("attachment" ("filename*" "utf-8''%41" "size" "3")) NIL NIL)"},
      {"Content-Disposition: ; filename=x\n", R"(NIL ("attachment" ("filename" "x")) NIL NIL)"},
      {"Content-Disposition:\n", "NIL NIL NIL NIL"},
      {"Content-Language: en, de\n", R"(NIL NIL ("en" "de") NIL)"},
      {"Content-Location: http://x/\n", R"(NIL NIL NIL "http://x/")"},
      {"Content-Location:\n", R"(NIL NIL NIL "")"},
  };
  for (const auto& row : table) EXPECT_EQ(extension_with(row.fields), row.extension) << row.fields;
}

TEST(Structure, BelievesContentFieldsOnlyOfMime) {
  const char* plain = R"(("text" "plain" ("charset" "us-ascii") NIL NIL "7bit" 1 0))";
  EXPECT_EQ(Parsed("Content-ID: <i>\nContent-Transfer-Encoding: base64\n\nx").body(), plain);
  const std::string alone = Parsed("Content-Type: a/b\nContent-ID: <i>\n\nx").body();
  EXPECT_EQ(alone, R"(("a" "b" NIL "<i>" NIL "7bit" 1))") << "a type alone will do";
}

TEST(Structure, WritesEnvelopes) {  // RFC 3501 §7.4.2
  const Parsed m(
      "Date: 1 Jan 2026\nDate: 2 Jan 2026\nSubject: a\n \"b\"\nFrom: A <a@b>\nFrom: c@d\n"
      "Sender: s@t\nReply-To: \nTo: g: e@f;\nCc: \xc3\xa4 <i@j>\nBcc: k@l\nMessage-ID: <m>\n"
      "In-Reply-To: <n>\n <o>\n\n");
  const std::string from = R"((("A" NIL "a" "b")(NIL NIL "c" "d")))";
  EXPECT_EQ(m.envelope(), R"(("2 Jan 2026" "a \"b\"" )" + from + R"( ((NIL NIL "s" "t")) )" + from +
                              R"( ((NIL NIL "g" NIL)(NIL NIL "e" "f")(NIL NIL NIL NIL)) )"
                              "(({2}\r\n\xc3\xa4 NIL \"i\" \"j\")) ((NIL NIL \"k\" \"l\")) "
                              R"("<n> <o>" "<m>"))");
  EXPECT_EQ(Parsed("").envelope(), "(NIL NIL NIL NIL NIL NIL NIL NIL NIL NIL)");
  EXPECT_EQ(Parsed("Subject:\n\n").envelope(), "(NIL \"\" NIL NIL NIL NIL NIL NIL NIL NIL)");
}

TEST(Structure, FindsBoundaries) {  // RFC 2046 §5.1.1
  const auto parts = [](std::string_view boundary, std::string_view body) {
    const Parsed m("MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=" +
                   std::string(boundary) + "\n\n" + std::string(body));
    std::string out;
    for (uint32_t n = 1; n <= m.view->part(0).child_count; n++)
      out += '[' + m.section(std::to_string(n)) + ']';
    return out;
  };
  EXPECT_EQ(parts("b", "--b\n\none\n--b\n\ntwo\n--b--\n"), "[one][two]");
  EXPECT_EQ(parts("b", "pre\n--b\n\none\n--b--\npost\n--b\n\nno\n"), "[one]");
  EXPECT_EQ(parts("b", "--b\n\none\n"), "[one\n]") << "never closed";
  EXPECT_EQ(parts("b", "--b junk\n\none\n--bc\n\ntwo\n--b--junk\n"), "[one][two]");
  EXPECT_EQ(parts("b", "--b\n\n --b\nx--b\n-b\n--B\n--b--"), "[ --b\nx--b\n-b\n--B]");
  EXPECT_EQ(parts("\"a b \"", "--a b\n\none\n--a b--\n"), "[one]");
  EXPECT_EQ(parts("=_x/y", "--=_x/y\n\none\n--=_x/y--\n"), "[one]");
  EXPECT_EQ(parts("b", "--b\n--b\n--b--\n"), "[][]");
  EXPECT_EQ(parts("b", "--b\nno colon\n--b--\n"), "[]");
  EXPECT_EQ(parts("b", ""), "");
}

TEST(Structure, GivesTheLineEndToTheBoundary) {
  const Parsed m(
      "MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=o\n\n"
      "--o\nContent-Type: multipart/mixed; boundary=i\n\n--i\n\none\n\n--i--\n"
      "--o\nA: b\n\n--o\nContent-Type: message/rfc822\n\nSubject: x\n\n--o\n\n\n--o--\n");
  EXPECT_EQ(m.section("1.1"), "one\n");
  EXPECT_EQ(m.section("1"), "--i\n\none\n\n--i--");
  EXPECT_EQ(m.section("2.MIME"), "A: b\n") << "the empty line's end is the boundary's";
  EXPECT_EQ(m.section("2"), "");
  EXPECT_EQ(m.section("3.HEADER"), "Subject: x\n");
  EXPECT_EQ(m.section("3.TEXT"), "");
  EXPECT_EQ(m.section("4"), "");
  EXPECT_EQ(m.section("4.MIME"), "\n");
}

TEST(Structure, EndsInnerPartsAtAnOuterBoundary) {
  const Parsed m(
      "MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=ab\n\n"
      "--ab\nContent-Type: multipart/mixed; boundary=abcd\n\n--abcd\n\none\n"
      "--abcd\nContent-Type: text/html\n--ab\n\ntwo\n--abcd\n\nthree\n--ab--\n");
  EXPECT_EQ(m.section("1.1"), "one") << "the longest boundary that fits";
  EXPECT_EQ(m.section("1.2.MIME"), "Content-Type: text/html");
  EXPECT_EQ(m.section("2"), "two") << "abcd is closed: now its line is one of ab";
  EXPECT_EQ(m.section("3"), "three");
  const Parsed same(
      "MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=b\n\n--b\n"
      "Content-Type: multipart/mixed; boundary=b\n\n--b\n\none\n--b--\n--b\n\ntwo\n");
  EXPECT_EQ(same.section("1.1"), "one") << "of equals the innermost";
  EXPECT_EQ(same.section("2"), "two\n");
}

TEST(Structure, DefaultsToMessagesInADigest) {  // RFC 2046 §5.1.5
  const Parsed m(
      "MIME-Version: 1.0\nContent-Type: multipart/digest; boundary=b\n\n"
      "--b\n\nSubject: in\n\nbody\n--b\nContent-Type: text/plain\n\ntext\n--b--\n");
  EXPECT_EQ(m.section("1.HEADER"), "Subject: in\n\n");
  EXPECT_EQ(m.section("1.1"), "body");
  EXPECT_EQ(m.section("2"), "text");
  EXPECT_EQ(m.view->part(1).kind, Kind::message);
  EXPECT_EQ(m.view->part(2).kind, Kind::text);
}

TEST(Structure, KeepsBytesWhateverTheLineEnds) {
  const std::string lf(kNested);
  const Parsed m(lf, false);
  EXPECT_EQ(m.section("2.1"), "two one\n");
  EXPECT_EQ(m.section("1"), "one");
  EXPECT_NE(m.body().find(R"("7bit" 8 1)"), std::string::npos) << "two one LF: eight bytes";
  const Parsed cr("Subject: x\rTo: a@b\r\rbody\r", false);
  EXPECT_EQ(cr.view->header().length, cr.message.size()) << "a lone CR ends no line";
  const Parsed nul(std::string_view("Subject: a\0b\n\nx\0y\n", 18), false);
  EXPECT_EQ(nul.envelope(), R"((NIL "a?b" NIL NIL NIL NIL NIL NIL NIL NIL))");
  EXPECT_EQ(nul.section("1"), std::string("x\0y\n", 4));
}

TEST(Structure, StopsAtItsLimits) {
  std::string many = "MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=b\n\n";
  for (int i = 0; i < 20; i++) many += "--b\n\npart\n";
  const Parsed parts(many, true, {.parts = 5});
  EXPECT_EQ(parts.view->part_count(), 5U);
  EXPECT_TRUE(parts.section("4").starts_with("part\n--b\n")) << "the rest is its text";

  std::string deep = "MIME-Version: 1.0\n";
  for (int i = 0; i < 20; i++) deep += "Content-Type: message/rfc822\n\n";
  const Parsed levels(deep + "Subject: x\n\n", true, {.depth = 4});
  EXPECT_EQ(levels.view->part_count(), 4U);
  EXPECT_NE(levels.body().find(R"("application" "octet-stream")"), std::string::npos);

  const Parsed header("Subject: seen\nTo: " + std::string(200, 'x') + "\nCc: a@b\n\nbody", true,
                      {.header_bytes = 100});
  EXPECT_EQ(header.envelope(), R"((NIL "seen" NIL NIL NIL NIL NIL NIL NIL NIL))");
  EXPECT_EQ(header.section("TEXT"), "body") << "the header's end is found all the same";

  const Parsed all(
      "MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=b\n\n"
      "--b\nContent-Type: text/html\n\none\n--b\nContent-Type: text/html\n\ntwo\n--b--\n",
      true, {.all_header_bytes = 115});
  EXPECT_NE(all.body().find("html"), std::string::npos);
  EXPECT_NE(all.body().find("plain"), std::string::npos) << "the second type was not looked at";
  EXPECT_EQ(all.section("2"), "two");

  const Parsed addresses("To: a@b, c@d, e@f\nCc: g@h\n\n", true, {.addresses = 2});
  EXPECT_EQ(addresses.envelope(),
            R"((NIL NIL NIL NIL NIL ((NIL NIL "a" "b")(NIL NIL "c" "d")) NIL NIL NIL NIL))");

  const Parsed params("MIME-Version: 1.0\nContent-Type: a/b; c=1; d=2; e=3\n\n", true,
                      {.params = 2});
  EXPECT_EQ(params.body(), R"(("a" "b" ("c" "1" "d" "2") NIL NIL "7bit" 0))");
}

// doc/message-structure.md, "The blob": the first child of the next part that has any comes right
// behind the children before. Anything else could be a cycle, or a part with two parents.
TEST(Structure, RefusesABlobWhosePartsAreNotATree) {
  const std::string blob = make_structure(kNested);
  const auto view = StructureView::open(blob);
  ASSERT_TRUE(view);
  constexpr size_t kHead = 40, kRow = 32, kFirstChild = 20;
  for (uint32_t i = 0; i < view->part_count(); i++) {
    for (uint32_t child = 0; child <= view->part_count(); child++) {
      if (child == view->part(i).first_child) continue;
      std::string damaged = blob;
      damaged[kHead + i * kRow + kFirstChild] = static_cast<char>(child);
      EXPECT_FALSE(StructureView::open(damaged)) << i << " -> " << child;
    }
  }
}

}  // namespace
}  // namespace rims::message
