// tests/message/kept_fields_test.cc - fields that are kept with the structure answer as the header
// does

#include "common/message/kept_fields.h"

#include <cstring>
#include <random>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "common/message/blob.h"
#include "common/message/header.h"
#include "common/message/structure.h"
#include "tests/message/check.h"

namespace rims::message {
namespace {

using Names = std::vector<std::string>;

// The kept fields of a message.
struct Kept {
  explicit Kept(const std::string& message) : blob(make_structure(message)) {
    const auto view = StructureView::open(blob);
    fields = view->fields();
    auto opened = KeptFields::open(fields);
    EXPECT_TRUE(opened);
    if (opened) kept = *opened;
  }
  [[nodiscard]] bool has(const Names& names) const {
    const auto set = KeptNames::of(std::span(names));
    return set && kept->has(*set);
  }
  [[nodiscard]] bool contains(std::string_view name, std::string_view text) const {
    return kept->contains(name, *Needle::make(text, "UTF-8"));
  }
  std::string blob;
  std::string_view fields;
  std::optional<KeptFields> kept;
};

TEST(KeptFields, HoldTheirBytesInTheirOrder) {
  const Kept m(
      "Received: from a by b\r\nSUBJECT:  x\r\n\ty\r\nX-Spam: 1\r\nfrom : z\r\nsubject: two\r\n"
      "List-Unsubscribe: <u>\r\n\r\nbody: no\r\n");
  EXPECT_EQ(m.kept->header(),
            "SUBJECT:  x\r\n\ty\r\nfrom : z\r\nsubject: two\r\nList-Unsubscribe: <u>\r\n\r\n");
  EXPECT_TRUE(m.has({"Subject", "FROM", "Cc", "list-unsubscribe", "List-Nothing"}));
  EXPECT_FALSE(m.has({"Subject", "Received"})) << "not a kept name";
  EXPECT_FALSE(m.has({"X-Spam"}));
  EXPECT_FALSE(m.has({"list"}));
  EXPECT_FALSE(m.has({""}));
}

TEST(KeptFields, SayWhatPeopleRead) {
  const Kept m(
      "Subject: =?utf-8?q?gr=C3=BC=C3=9Fe?= dich\n"
      "From: \"J. \\\"X\\\" Doe\" <j@example.org>\nTo: a\xffz\nCc: plain@example.org\n\n");
  EXPECT_TRUE(m.contains("subject", "GR\xc3\x9cSSE dich"));
  EXPECT_TRUE(m.contains("From", "J. \"X\" Doe"));
  EXPECT_TRUE(m.contains("from", "\\\"X\\\"")) << "as it was written, too";
  EXPECT_TRUE(m.contains("to", "a\xc3\xbfz"));
  EXPECT_TRUE(m.contains("cc", "PLAIN@"));
  EXPECT_FALSE(m.contains("cc", "j@example"));
  EXPECT_FALSE(m.contains("bcc", ""));
  EXPECT_TRUE(m.contains("cc", ""));
}

TEST(KeptFields, KnowTheDate) {
  const Kept m("Date: Mon, 02 Nov 2026 10:00:00 +0100\n\n");
  EXPECT_EQ(m.kept->sent_time(), 1793610000);
  EXPECT_EQ(m.kept->sent_day(), 20759);
  EXPECT_EQ(Kept("Subject: x\n\n").kept->sent_day(), std::nullopt);
}

TEST(KeptFields, LeaveOutWhatIsTooLargeAndSaySo) {
  const std::string large = "To: " + std::string(kMaxKept, 'x') + "\n";
  const Kept m(large + "From: a\nSubject: b\nto: c\n\n");
  EXPECT_EQ(m.kept->header(), "From: a\nSubject: b\n\n");
  EXPECT_TRUE(m.has({"From", "Subject", "Bcc"}));
  EXPECT_FALSE(m.has({"To"})) << "not even the one that would fit";

  // Together they do not fit: those that come first in the list of names stay.
  const std::string half = std::string(kMaxKept / 2, 'x') + "\n";
  const Kept three("References: " + half + "Cc: " + half + "Subject: s\n\n");
  EXPECT_TRUE(three.has({"Cc", "Subject"}));
  EXPECT_FALSE(three.has({"References"}));

  const Kept huge("From: a\nX: " + std::string(2 << 20, 'x') + "\nSubject: s\n\n");
  EXPECT_EQ(huge.kept->header(), "") << "more than is looked at of a header";
  EXPECT_FALSE(huge.has({"From"}));
}

TEST(KeptFields, StayWithinTheirRoom) {
  std::string message = "From: ";
  for (int i = 0; i < 300; i++)
    message += "\"q\" =?iso-8859-1?q?" + std::string(30, '\xe4') + "?=, ";
  message += "\nSubject: ";
  for (int i = 0; i < 100; i++) message += "\xe4\xf6\xfc";
  message += "\n\n";
  const Kept m(message);
  EXPECT_LE(m.fields.size(), sizeof(blob::FieldsHead) + kMaxKept + kMaxTexts);
  EXPECT_EQ(kept_fields_fault(message, m.blob, {"from", "subject", "to"},
                              {"", "\xc3\xa4\xc3\xb6", "q", "x", "\xc3\xa4\xc3\xa4"}),
            "");
}

// Headers of odd lines: names in any case, doubled, folded, with bytes of all kinds.
std::string odd_header(std::mt19937& random) {
  static const std::vector<std::string> names = {
      "From",    "from",  "FROM ",  "To",       "Cc",       "Subject", "SUBJECT",   "Date",
      "List-Id", "X-Not", "Sender", "Reply-To", " Subject", "",        "References"};
  static const std::vector<std::string> pieces = {"a",
                                                  "B c",
                                                  "\"q\"",
                                                  "<a@b>",
                                                  ", ",
                                                  "(x)",
                                                  "=?utf-8?q?=C3=A4?=",
                                                  "\xe4",
                                                  "\xc3\xa4",
                                                  "\r\n ",
                                                  "\n\t",
                                                  "\r",
                                                  "=?",
                                                  "?=",
                                                  "\\",
                                                  ":",
                                                  ";",
                                                  "\0x",
                                                  "=?iso-2022-jp?b?GyRCJCIkJBsoQg==?=",
                                                  "=?x?q?y?=",
                                                  "\xf0\x9f\x98\x80",
                                                  "\x80"};
  std::string header;
  const size_t fields = random() % 12;
  for (size_t i = 0; i < fields; i++) {
    header += names[random() % names.size()];
    if (random() % 16 != 0) header += ':';
    for (size_t n = random() % 6; n > 0; n--) header += pieces[random() % pieces.size()];
    if (random() % 200 == 0) header += std::string(random() % (2 * kMaxKept), '\xe4');
    header += random() % 3 == 0 ? "\n" : "\r\n";
  }
  if (random() % 8 != 0) header += random() % 2 == 0 ? "\r\n" : "\n";
  return header + "body\r\n";
}

TEST(KeptFields, AnswerAsTheHeaderDoes) {
  std::mt19937 random(7);  // NOLINT(cert-msc32-c,cert-msc51-cpp): the same each time
  const Names names = {"FROM", "to", "subject", "list-id", "sender", "references"};
  const std::vector<std::string> texts = {"", "b c", "\"q\"", "\xc3\xa4", "<a@b>", "\xe3\x81\x82"};
  for (int i = 0; i < 400; i++) {
    const std::string message = odd_header(random);
    ASSERT_EQ(kept_fields_fault(message, make_structure(message), names, texts), "")
        << i << ": " << testing::PrintToString(message);
  }
}

TEST(KeptFields, RefuseWhatIsDamaged) {
  const Kept m("From: \"a\" <b>\nSubject: =?utf-8?q?=C3=A4?=\nTo: x\n\n");
  const std::string good(m.fields);
  for (size_t size = 0; size < good.size(); size++)
    EXPECT_FALSE(KeptFields::open(std::string_view(good).substr(0, size))) << size;
  EXPECT_FALSE(KeptFields::open(good + "x"));
  const auto needle = Needle::make("x");
  for (size_t i = 0; i < good.size(); i++) {
    for (const char bits : {'\x01', '\x10', '\xff'}) {
      std::string bad = good;
      bad[i] = static_cast<char>(bad[i] ^ bits);
      // What opens may be asked, whatever it says.
      if (const auto kept = KeptFields::open(bad))
        static_cast<void>(kept->contains("from", *needle));
    }
  }
  for (const size_t at : {offsetof(blob::FieldsHead, magic), offsetof(blob::FieldsHead, version),
                          offsetof(blob::FieldsHead, flags)}) {
    std::string bad = good;
    bad[at] = static_cast<char>(bad[at] ^ 0x40);
    EXPECT_FALSE(KeptFields::open(bad)) << at;
  }
}

// A blob of version 1 is read for ever: see tests/data/store.
TEST(KeptFields, AreNotInABlobOfTheFirstVersion) {
  const Kept m("Subject: x\n\n");
  const auto view = StructureView::open(m.blob);
  std::string old = without_fields(m.blob, *view);
  old[offsetof(blob::Head, version)] = 1;
  const auto opened = StructureView::open(old);
  ASSERT_TRUE(opened);
  EXPECT_EQ(opened->envelope(), view->envelope());
  EXPECT_EQ(opened->fields(), "");
  EXPECT_FALSE(KeptFields::open(opened->fields()));
  old = m.blob;
  old[offsetof(blob::Head, version)] = 1;
  EXPECT_FALSE(StructureView::open(old)) << "the first version has no fields";
}

}  // namespace
}  // namespace rims::message
