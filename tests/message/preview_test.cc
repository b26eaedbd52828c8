// tests/message/preview_test.cc - what is shown of a message in a list (RFC 8970 §3.3)

#include "common/message/preview.h"

#include <chrono>
#include <optional>
#include <random>
#include <string>

#include <gtest/gtest.h>

#include "common/base/utf8.h"
#include "common/message/kept_fields.h"
#include "common/message/structure.h"

namespace rims::message {
namespace {

std::string preview(const std::string& message) {
  const std::string blob = make_structure(message);
  const auto view = StructureView::open(blob);
  const std::string text = make_preview(message, *view);
  EXPECT_TRUE(utf8::is_valid(text));
  // It is kept with the fields, and the same.
  const auto fields = KeptFields::open(view->fields());
  EXPECT_TRUE(fields.has_value());
  EXPECT_EQ(fields->preview(), text);
  return text;
}

std::string plain(const std::string& body) { return preview("Subject: x\r\n\r\n" + body); }

std::string html(const std::string& body) {
  return preview("MIME-Version: 1.0\r\nContent-Type: text/html; charset=utf-8\r\n\r\n" + body);
}

size_t characters(std::string_view text) {
  size_t count = 0;
  for (const char c : text) count += (c & 0xc0) != 0x80 ? 1 : 0;
  return count;
}

TEST(Preview, IsTheTextInOneLine) {
  EXPECT_EQ(plain("Hello  there,\r\n\r\n\tsee  below.\r\n"), "Hello there, see below.");
  EXPECT_EQ(plain(""), "");
  EXPECT_EQ(plain(" \r\n\r\n"), "");
  EXPECT_EQ(plain("----------\r\nNews\r\n==========\r\nof today\r\n"), "News of today");
}

TEST(Preview, HasAtMost200Characters) {
  EXPECT_EQ(plain(std::string(199, 'a') + " b"), std::string(199, 'a'));
  EXPECT_EQ(plain(std::string(198, 'a') + " bc"), std::string(198, 'a') + " b");
  EXPECT_EQ(plain(std::string(1000, 'a')), std::string(200, 'a'));
  std::string umlauts, smileys;
  for (int i = 0; i < 300; i++) {
    umlauts += "ä";
    smileys += "\xf0\x9f\x98\x80";
  }
  EXPECT_EQ(characters(plain(umlauts)), 200U);
  EXPECT_EQ(plain(smileys), smileys.substr(0, 800));
}

TEST(Preview, LeavesQuotesAndSignaturesOut) {
  EXPECT_EQ(plain("On Monday, A wrote:\r\n> a question\r\n> of two lines\r\n\r\nThe answer.\r\n-- "
                  "\r\nB\r\n"),
            "The answer.");
  EXPECT_EQ(plain("Yes.\r\n\r\n-----Original Message-----\r\nFrom: x\r\n"), "Yes.");
  EXPECT_EQ(plain("List:\r\na\r\n"), "List: a");
  EXPECT_EQ(plain("A writes:\r\n> all of it\r\n>> is quoted\r\n"), "A writes: all of it is quoted");
  EXPECT_EQ(html("<blockquote>before <blockquote>it</blockquote></blockquote>my answer"),
            "my answer");
  EXPECT_EQ(html("<blockquote>only that</blockquote>"), "only that");
  EXPECT_EQ(html("</blockquote>not fooled"), "not fooled");
}

TEST(Preview, ShowsNoCipherText) {
  EXPECT_EQ(plain("-----BEGIN PGP MESSAGE-----\r\n\r\nhQEMA\r\n"), "");
  EXPECT_EQ(plain("-----BEGIN PGP SIGNED MESSAGE-----\r\nHash: SHA256\r\n\r\nHello\r\n"), "Hello");
}

TEST(Preview, DecodesTransferEncodingsAndCharsets) {
  EXPECT_EQ(preview("MIME-Version: 1.0\r\nContent-Type: text/plain; charset=iso-8859-1\r\n"
                    "Content-Transfer-Encoding: quoted-printable\r\n\r\nK=F6ln =\r\nam Rhein\r\n"),
            "Köln am Rhein");
  EXPECT_EQ(preview("MIME-Version: 1.0\r\nContent-Type: text/html; charset=shift_jis\r\n"
                    "Content-Transfer-Encoding: base64\r\n\r\nPGI+k/qWezwvYj4=\r\n"),
            "日本");
  EXPECT_EQ(plain("bad \xff\xfe bytes"), "bad ÿþ bytes");
}

TEST(Preview, StripsMarkup) {
  EXPECT_EQ(
      html("<html><head><title>T</title><style>p { a > b }</style>\n<script>if (a < b)</script>"
           "</head><body><p>One</p><p>Tw<b>o</b></p>3<br>4</body></html>"),
      "One Two 3 4");
  EXPECT_EQ(html("a<!-- no > <b> -->b<a href=\"x>y\" title='>'>c</a>"), "abc");
  EXPECT_EQ(html("1 < 2 <3 a<b"), "1 < 2 <3 a");
  EXPECT_EQ(html("<STYLE>x</Style >text"), "text");
  EXPECT_EQ(html("<style>never ends"), "");
  EXPECT_EQ(html("text<!-- never ends"), "text");
  EXPECT_EQ(html("text<a href=\"never ends>"), "text");
  EXPECT_EQ(html("<![CDATA[x]]><?xml y?><!DOCTYPE html>text"), "text");
}

TEST(Preview, DecodesEntities) {
  EXPECT_EQ(
      html("&lt;b&gt; &amp;amp; &quot;&#65;&#x42;&#X43 &Auml;&auml;&szlig;&euro;&hellip;&nbsp;x"),
      "<b> &amp; \"ABC Ääß€… x");
  EXPECT_EQ(html("AT&T &unknown; & &; &# &#x; &#128; &#0; &#1114112; &#xD800;"),
            "AT&T &unknown; & &; &# &#x; € � � �");
  EXPECT_EQ(html("&ampx &copy2026"), "&ampx &copy2026");
}

// Fillers that keep what stands below out of a preview, and what turns the direction of text.
TEST(Preview, LeavesOutWhatNobodySees) {
  EXPECT_EQ(html("Sale&zwnj;&nbsp;&#847;&zwnj;&nbsp;&#847; \xe2\x80\x8b &shy;today\xe2\x80\xae!"),
            "Sale today!");
  EXPECT_EQ(plain({"a\x01\x7f\0z", 5}), "az");
  const std::string family = "\xf0\x9f\x91\xa9\xe2\x80\x8d\xf0\x9f\x91\xa7";
  EXPECT_EQ(plain(family), family);
}

TEST(Preview, TakesTheFirstPartWithText) {
  const std::string head = "Content-Type: multipart/mixed; boundary=b\r\n\r\n";
  EXPECT_EQ(
      preview(head + "preamble\r\n--b\r\nContent-Type: multipart/alternative; boundary=c\r\n\r\n"
                     "--c\r\n\r\nplain\r\n--c\r\nContent-Type: "
                     "text/html\r\n\r\n<p>html\r\n--c--\r\n--b--\r\n"),
      "plain");
  EXPECT_EQ(
      preview(head + "--b\r\n\r\n \r\n--b\r\nContent-Type: text/html\r\n\r\n<p>html\r\n--b--\r\n"),
      "html");
  EXPECT_EQ(
      preview(
          head +
          "--b\r\nContent-Disposition: attachment\r\n\r\nnotes\r\n--b\r\n\r\ntext\r\n--b--\r\n"),
      "text");
  EXPECT_EQ(preview(head + "--b\r\nContent-Type: text/calendar\r\n\r\nBEGIN\r\n--b--\r\n"), "");
  EXPECT_EQ(
      preview(head +
              "--b\r\nContent-Type: message/rfc822\r\n\r\nSubject: y\r\n\r\nhis\r\n--b--\r\n"),
      "");
  EXPECT_EQ(preview("MIME-Version: 1.0\r\nContent-Type: image/png\r\n\r\nxx"), "");
}

// RFC 8970 §8: what it costs does not depend on what the message says.
TEST(Preview, IsMadeOfHostileMessagesInTime) {
  const auto began = std::chrono::steady_clock::now();
  for (const char* piece :
       {"<", "<a ", "<style>", "</style", "&", "&amp", "&#", "<!--", "a:\n", "\n", ">\n", "<a b=\"",
        "<blockquote>", "&nbsp;", "\xe2\x80\x8b", "--\n", "-----BEGIN PGP SIGNED\n", "=\n"}) {
    std::string body;
    while (body.size() < 2'000'000) body += piece;
    static_cast<void>(plain(body));
    static_cast<void>(html(body));
  }
  EXPECT_LT(std::chrono::steady_clock::now() - began, std::chrono::seconds(60));
  std::string parts = "Content-Type: multipart/mixed; boundary=b\r\n\r\n";
  for (int i = 0; i < 9000; i++) parts += "--b\r\nContent-Type: text/html\r\n\r\n<p>\r\n";
  EXPECT_EQ(preview(parts), "");
}

TEST(Preview, IsTextWhateverTheMessageIs) {
  std::mt19937 random(3);
  static constexpr std::string_view kWords[] = {
      "<",    ">",  "&",  ";", "#x",   "<style>", "</", "blockquote", "\"", "-->",
      "<!--", "\n", "> ", "=", "\xff", "ä",       "a",  "\xe2\x80",   " ",  ":"};
  for (int i = 0; i < 2000; i++) {
    std::string body;
    for (unsigned words = random() % 60; words > 0; words--)
      body += kWords[random() % std::size(kWords)];
    EXPECT_LE(characters(html(body)), 200U);
    EXPECT_LE(characters(plain(body)), 200U);
  }
}

// A blob of an earlier program has none.
TEST(Preview, IsNotThereWhereItWasNotMade) {
  EXPECT_EQ(KeptFields::open(keep_fields("Subject: x\r\n\r\n", 14, std::nullopt, 1000))->preview(),
            std::nullopt);
}

}  // namespace
}  // namespace rims::message
