// tests/message/text_test.cc - charsets, encoded words, transfer encodings, and SEARCH's matching

#include "common/message/text.h"

#include <string>

#include <gtest/gtest.h>

#include "common/message/transfer.h"

namespace rims::message {
namespace {

Needle needle(std::string_view text, std::string_view charset = "UTF-8") {
  auto made = Needle::make(text, charset);
  EXPECT_TRUE(made);
  return *made;
}

TEST(Text, KnowsCharsets) {
  for (const char* known : {"UTF-8", "us-ascii", "ISO-8859-1", "iso-2022-jp", "Shift_JIS", "EUC-JP",
                            "GB2312", "gb18030", "Big5", "KOI8-R", "koi8-u", "windows-1251",
                            "EUC-KR", "UTF-7", "UTF-16", "ISO-8859-15", "TIS-620"})
    EXPECT_TRUE(charset_supported(known)) << known;
  for (const std::string& unknown :
       {std::string(), std::string("x-no-such"), std::string("utf-8,swaplfnl"), std::string("a b"),
        std::string("\"utf-8\""), std::string(1000, 'a'), std::string("../../etc/passwd"),
        std::string("utf-8\0", 6), std::string("x-unknown")})
    EXPECT_FALSE(charset_supported(unknown)) << unknown;
}

TEST(Text, DecodesCharsets) {
  const struct {
    std::string_view bytes, charset, text;
  } table[] = {
      {"gr\xfc\xdf", "iso-8859-1", "grüß"},
      {"\x80uro", "iso-8859-1", "€uro"},  // windows-1252, as senders mean it
      {"gr\xfc\xdf", "us-ascii", "grüß"},
      {"grüß", "us-ascii", "grüß"},
      {"gr\xc3", "utf-8", "grÃ"},
      {"\x1b$B$3$s\x1b(B", "ISO-2022-JP", "こん"},
      {"\x82\xb1\x82\xf1\x87\x40", "Shift_JIS", "こん①"},
      {"\xa4\xb3\xa4\xf3", "euc-jp", "こん"},
      {"\xc4\xe3\xba\xc3", "gb2312", "你好"},
      {"\x81\x30\x81\x30", "gb18030", "\xc2\x80"},
      {"\xa7\x41\xa6\x6e", "big5", "你好"},
      {"\xf0\xd2\xc9", "koi8-r", "При"},
      {"\xb0\xa1", "ks_c_5601-1987", "가"},
      {"Hi +2D3eAA-", "utf-7", "Hi 😀"},
      {"a\xff", "no-such-charset", "aÿ"},
      {"a\x81", "no-such-charset", "a\xef\xbf\xbd"},
      {"\x82", "Shift_JIS", "\xef\xbf\xbd"},
      {"plain", "", "plain"},
  };
  for (const auto& row : table) EXPECT_EQ(to_utf8(row.bytes, row.charset), row.text) << row.charset;
}

TEST(Text, KeepsOutputWithinItsLimitAndWholeCharacters) {
  EXPECT_EQ(to_utf8("ääää", "utf-8", 5), "ää");
  EXPECT_EQ(to_utf8(std::string(100000, '\xe4'), "iso-8859-1", 1001).size(), 1000U);
  EXPECT_EQ(decode_text("", std::string(100000, 'x'), 10), "xxxxxxxxxx");
  EXPECT_EQ(decode_header("=?utf-8?q?=C3=A4=C3=A4?=", 3).size(), 2U);
}

TEST(Text, DecodesEncodedWords) {  // RFC 2047
  const struct {
    std::string_view value, text;
  } table[] = {
      {"plain", "plain"},
      {"=?iso-8859-1?q?gr=FC=DF?=", "grüß"},
      {"=?UTF-8?B?Z3LDvMOf?= x", "grüß x"},
      {"=?utf-8?q?a?= =?utf-8?q?b?=", "ab"},
      {"=?utf-8?q?a?=\r\n =?utf-8?q?b?=", "ab"},
      {"=?utf-8?q?a?= b =?utf-8?q?c?=", "a b c"},
      {"=?utf-8?q?a_b=20c?=", "a b c"},
      {"=?utf-8?q?=C3?= =?utf-8?q?=A4?=", "ä"},  // one character over two words
      {"=?iso-2022-jp?b?GyRCJDMbKEI=?= =?iso-2022-jp?b?GyRCJHMbKEI=?=", "こん"},
      {"=?utf-8*en?q?a?=", "a"},
      {"\"=?utf-8?q?=C3=A4?=\" <a@b>", "\"ä\" <a@b>"},  // forbidden, and everywhere
      {"x=?utf-8?q?=C3=A4?=y", "xäy"},
      {"=?utf-8?q?with space?=", "with space"},
      {"=?utf-8?x?a?=", "=?utf-8?x?a?="},
      {"=?utf-8?q?open", "=?utf-8?q?open"},
      {"=?"
       "?q?a?=",
       "=?"
       "?q?a?="},
      {"=?no-such?q?=E4?=", "ä"},
      {"raw \xe4", "raw ä"},
      {"raw ä", "raw ä"},
      {"=?", "=?"},
      {"=?utf-8?q?"
       "?=",
       ""},
  };
  for (const auto& row : table) EXPECT_EQ(decode_header(row.value), row.text) << row.value;
}

TEST(Text, DecodesParameters) {  // RFC 2231
  const auto get = [](std::string_view value, const char* name) {
    return parameter(value, name).value_or("(none)");
  };
  EXPECT_EQ(get("text/plain; charset=UTF-8", "charset"), "UTF-8");
  EXPECT_EQ(get("text/plain; CHARSET=\"a b\"", "charset"), "a b");
  EXPECT_EQ(get("a; filename*=utf-8'en'gr%C3%BC%C3%9F", "filename"), "grüß");
  EXPECT_EQ(get("a; filename*=iso-8859-1''gr%FC%DF", "filename"), "grüß");
  EXPECT_EQ(
      get("a; filename*0*=utf-8''gr%C3; filename*1*=%BC%C3%9F; filename*2=\" x%\"", "filename"),
      "grü\xc3\x9f x%");
  EXPECT_EQ(get("a; filename*1=b; filename*0=a", "filename"), "ab");
  EXPECT_EQ(get("a; filename=\"=?utf-8?q?gr=C3=BC?=\"", "filename"), "grü");
  EXPECT_EQ(get("a; filename==?utf-8?q?gr=C3=BC?=", "filename"), "grü");
  EXPECT_EQ(get("a; filename*=no-quotes%20here", "filename"), "no-quotes here");
  EXPECT_EQ(get("a; filename*=utf-8''a=3Db", "filename"), "a=3Db");
  EXPECT_EQ(get("a; other=1", "filename"), "(none)");
}

TEST(Text, TakesTransferEncodingsOffAtEverySplit) {
  const struct {
    Encoding encoding;
    std::string_view in, out;
  } table[] = {
      {Encoding::base64, "aGVs\r\nbG8=", "hello"},
      {Encoding::base64, "aGVsbG8", "hello"},
      {Encoding::base64, "aGVs*bG8=aGk=", "hellohi"},
      {Encoding::base64, "a", ""},
      {Encoding::quoted_printable, "a=3Db=\r\nc=\n=e4", "a=bc\xe4"},
      {Encoding::quoted_printable, "a= \t\r\nb", "ab"},
      {Encoding::quoted_printable, "a=zz=4=", "a=zz=4="},
      {Encoding::quoted_printable, "100%=", "100%="},
      {Encoding::quoted_printable, "==41=\t=41", "=A=\tA"},
      {Encoding::quoted_printable, "=4 \n=4\n", "=4 \n=4\n"},
      {Encoding::none, "=41", "=41"},
      {Encoding::other, "=41", "=41"},
  };
  for (const auto& row : table) {
    for (size_t split = 0; split <= row.in.size(); split++) {
      std::string out;
      TransferDecoder decoder(row.encoding);
      decoder.feed(row.in.substr(0, split), out);
      decoder.feed(row.in.substr(split), out);
      decoder.finish(out);
      EXPECT_EQ(out, row.out) << row.in << " at " << split;
    }
  }
}

TEST(Text, DecodesBodies) {
  EXPECT_EQ(decode_text("Content-Type: text/plain; charset=koi8-r\r\n"
                        "Content-Transfer-Encoding: Base64\r\n\r\n",
                        "8NLJ\r\n"),
            "При");
  EXPECT_EQ(decode_text("Content-Transfer-Encoding: quoted-printable\r\n", "gr=FC"), "grü");
}

TEST(Search, FoldsCaseAccentsAndWidth) {
  const struct {
    std::string_view text, needle;
    bool found;
  } table[] = {
      {"Hello World", "hello", true},
      {"hello", "HELLO", true},
      {"Straße", "STRASSE", true},
      {"STRASSE", "straße", true},
      {"Café au lait", "cafe", true},
      {"Cafe", "café", false},
      {"Ａｂｃ", "abc", true},
      {"ΣΊΣΥΦΟΣ", "σίσυφος", true},
      {"ПРИВЕТ", "привет", true},
      {"Ångström", "ÅNGSTRÖM", true},
      {"e\xcc\x81", "é", true},
      {"ﬁne", "FINE", true},
      {"hello", "helloo", false},
      {"", "x", false},
      {"anything", "", true},
      {"日本語", "本", true},
      {"日本語", "中", false},
      {"a\xff"
       "b",
       "a", true},
  };
  for (const auto& row : table)
    EXPECT_EQ(contains(row.text, needle(row.needle)), row.found) << row.text << '/' << row.needle;
}

TEST(Search, TakesTheNeedleInAnyCharset) {
  EXPECT_TRUE(contains("こんにちは", needle("\x1b$B$3$s\x1b(B", "iso-2022-jp")));
  EXPECT_TRUE(contains("Grüße", needle("GR\xdc\xdf", "ISO-8859-1")));
  EXPECT_TRUE(contains("Grüße", needle("Grü", "")));
  const auto bad = Needle::make("x", "x-none");
  ASSERT_FALSE(bad);
  EXPECT_EQ(bad.error().code(), "BADCHARSET");  // RFC 3501 §6.4.4
  EXPECT_EQ(bad.error().fault(), Fault::refused);
}

TEST(Search, FindsAcrossPiecesOfAnySize) {
  std::string body;
  for (int i = 0; i < 3000; i++) body += "=E3=81=82filler=C3=A9 ";
  body += "Nee=\r\ndle=C3=A9X end";
  for (const size_t size : {size_t{1}, size_t{7}, size_t{1000}, size_t{40000}, body.size()}) {
    const Needle present = needle("needleÉx");
    const Needle absent = needle("needlex");
    TextSearcher one(present, Encoding::quoted_printable, "utf-8");
    TextSearcher two(absent, Encoding::quoted_printable, "utf-8");
    bool found = false;
    bool wrong = false;
    for (size_t at = 0; at < body.size(); at += size) {
      found = found || one.feed(std::string_view(body).substr(at, size));
      wrong = wrong || two.feed(std::string_view(body).substr(at, size));
    }
    EXPECT_TRUE(found || one.finish()) << size;
    EXPECT_FALSE(wrong || two.finish()) << size;
  }
}

TEST(Search, FindsAtEveryPlaceAroundThePieceBorders) {
  const Needle wanted = needle("nädel");
  for (size_t at = 32700; at < 32800; at++) {
    const std::string text = std::string(at, 'x') + "NÄDEL" + std::string(40000, 'y');
    EXPECT_TRUE(contains(text, wanted)) << at;
  }
  std::string kanji;
  for (int i = 0; i < 200000; i++) kanji += "あ";
  EXPECT_TRUE(contains(kanji + "日本", needle("日本"))) << "no ASCII anywhere";
}

TEST(Search, LooksIntoHeaders) {  // RFC 3501 §6.4.4
  const std::string header =
      "From: \"Doe, \\\"J\\\"\" <j@example.org>\r\n"
      "Subject: =?utf-8?q?gr=C3=BC?=\r\n =?utf-8?q?=C3=9Fe?= dich\r\n"
      "To: A\r\nTo: B\r\nX-Empty:\r\n\r\n";
  EXPECT_TRUE(header_contains(header, "subject", needle("GRÜSSE dich")));
  EXPECT_TRUE(header_contains(header, "from", needle("doe, \"j\"")));
  EXPECT_TRUE(header_contains(header, "from", needle("EXAMPLE.org")));
  EXPECT_TRUE(header_contains(header, "to", needle("b")));
  EXPECT_FALSE(header_contains(header, "to", needle("c")));
  EXPECT_TRUE(header_contains(header, "x-empty", needle("")));
  EXPECT_FALSE(header_contains(header, "x-none", needle("")));
  EXPECT_FALSE(header_contains(header, "x-empty", needle("x")));
}

TEST(Search, LooksIntoBodies) {
  const std::string message =
      "Subject: topsecret\r\nMIME-Version: 1.0\r\n"
      "Content-Type: multipart/mixed; boundary=b\r\n\r\npreamble\r\n"
      "--b\r\nContent-Type: text/plain; charset=iso-8859-1\r\n"
      "Content-Transfer-Encoding: quoted-printable\r\n\r\nGr=FC=\r\n=DFe\r\n"
      "--b\r\nContent-Type: image/png; name=\"=?utf-8?q?f=C3=A4rbe.png?=\"\r\n\r\nrawbytes\r\n"
      "--b\r\nContent-Type: message/rfc822\r\n\r\nSubject: inner\r\n\r\ninnertext\r\n"
      "--b\r\nContent-Type: text/plain; charset=utf-16be\r\nContent-Transfer-Encoding: base64\r\n"
      "\r\nAFcAaQBkAGU=\r\n--b--\r\n";
  const std::string blob = make_structure(message);
  const auto view = StructureView::open(blob);
  ASSERT_TRUE(view);
  for (const char* inside : {"GRÜSSE", "färbe", "inner", "innertext", "wide", ""})
    EXPECT_TRUE(body_contains(message, *view, needle(inside))) << inside;
  for (const char* outside : {"topsecret", "rawbytes", "preamble", "quoted-printable"})
    EXPECT_FALSE(body_contains(message, *view, needle(outside))) << outside;
  EXPECT_TRUE(text_contains(message, *view, needle("TopSecret")));
  EXPECT_TRUE(text_contains(message, *view, needle("subject: top")));
  EXPECT_TRUE(text_contains(message, *view, needle("innertext")));
  EXPECT_TRUE(text_contains(message, *view, needle("encoding: quoted-printable")));
  EXPECT_FALSE(text_contains(message, *view, needle("nowhere")));
  EXPECT_FALSE(text_contains(message, *view, needle("rawbytes")));
}

// What an undeliverable message says of the address stands in its report only.
TEST(Search, LooksIntoReportsAndWhatIsWrittenAsText) {
  const struct {
    const char* type;
    bool readable;
  } cases[] = {
      {"message/delivery-status", true}, {"message/disposition-notification", true},
      {"message/feedback-report", true}, {"message/partial; id=a; number=1", true},
      {"Message/X-Unknown", true},       {"message/global-delivery-status", true},
      {"application/json", true},        {"application/XML", true},
      {"application/ld+json", true},     {"image/svg+xml", false},
      {"application/soap+xml", true},    {"application/octet-stream", false},
      {"application/zip", false},        {"image/png", false},
  };
  for (const auto& [type, readable] : cases) {
    const std::string message = std::string("Content-Type: multipart/report; boundary=b\r\n\r\n") +
                                "--b\r\nContent-Type: " + type +
                                "\r\nX-Part: fieldofpart\r\n"
                                "Content-Transfer-Encoding: quoted-printable\r\n\r\n"
                                "Final-Recipient: rfc822; n=6Fbody@example.org\r\n--b--\r\n";
    const std::string blob = make_structure(message);
    const auto view = StructureView::open(blob);
    ASSERT_TRUE(view);
    EXPECT_EQ(body_contains(message, *view, needle("nobody@example.org")), readable) << type;
    EXPECT_EQ(text_contains(message, *view, needle("nobody@example.org")), readable) << type;
    EXPECT_TRUE(text_contains(message, *view, needle("x-part: fieldofpart"))) << type;
    EXPECT_FALSE(body_contains(message, *view, needle("fieldofpart"))) << type;
  }
}

}  // namespace
}  // namespace rims::message
