// tests/message/structure_test.cc - ENVELOPE, BODY, BODYSTRUCTURE and sections of whole messages

#include "common/message/structure.h"

#include <string>

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

TEST(Structure, KnowsTheDateAsWritten) {
  const Parsed m(kNested);
  EXPECT_EQ(m.view->sent_day(), day_number(2026, 11, 21));
  EXPECT_EQ(m.view->sent_time(), 1795332600);
  EXPECT_EQ(Parsed("Date: foo\n\n").view->sent_day(), std::nullopt);
  EXPECT_EQ(Parsed("").view->sent_time(), std::nullopt);
}

}  // namespace
}  // namespace rims::message
