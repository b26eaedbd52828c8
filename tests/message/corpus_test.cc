// tests/message/corpus_test.cc - every message of the corpus, whole and cut at every byte
//
// The corpus comes from corpus_gen.py as one file; its name is the first argument of main() or
// RIMS_MESSAGE_CORPUS. compare_dovecot.py looks at what is said, this at what must always hold.

#include <cstdlib>
#include <fstream>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "common/message/header.h"
#include "common/message/structure.h"
#include "common/message/text.h"
#include "tests/message/check.h"

namespace rims::message {
namespace {

using Corpus = std::vector<std::pair<std::string, std::string>>;

const Corpus& corpus() {
  static const Corpus all = [] {
    Corpus read;
    const char* file = std::getenv("RIMS_MESSAGE_CORPUS");
    std::ifstream in(file == nullptr ? "" : file, std::ios::binary);
    for (std::string name; in >> name;) {
      size_t size = 0;
      in >> size;
      in.get();
      std::string bytes(size, '\0');
      in.read(bytes.data(), static_cast<std::streamsize>(size));
      in.get();
      read.emplace_back(std::move(name), std::move(bytes));
    }
    return read;
  }();
  return all;
}

TEST(Corpus, IsThere) { EXPECT_GE(corpus().size(), 600U) << "set RIMS_MESSAGE_CORPUS"; }

TEST(Corpus, HasASoundStructure) {
  for (const auto& [name, message] : corpus()) {
    const std::string blob = make_structure(message);
    EXPECT_EQ(structure_fault(message, blob), "") << name;
    EXPECT_EQ(texts_fault(message, blob), "") << name;
  }
}

TEST(Corpus, KeepsFieldsThatAnswerAsTheHeaderDoes) {
  const std::vector<std::string> names = {"From",       "TO",           "cc",     "Subject",
                                          "Date",       "Message-ID",   "sender", "Reply-To",
                                          "References", "content-type", "List-Id"};
  const std::vector<std::string> texts = {
      "", "a", "body", "example", "\"", "gr\xc3\xbcsse", "\xe4\xbd\xa0", "<", "\n"};
  size_t answered = 0;
  for (const auto& [name, message] : corpus()) {
    const std::string blob = make_structure(message);
    EXPECT_EQ(kept_fields_fault(message, blob, names, texts), "") << name;
    const auto view = StructureView::open(blob);
    const auto kept = KeptFields::open(view->fields());
    answered += kept && kept->has(*KeptNames::of(std::span(names))) ? 1 : 0;
  }
  EXPECT_GT(answered, corpus().size() * 9 / 10) << "hardly anything is kept";
}

// Mail is cut short by disks, relays and attackers. Long messages are cut at some bytes only.
TEST(Corpus, HasASoundStructureWhereverItIsCut) {
  for (const auto& [name, message] : corpus()) {
    const size_t step = message.size() < 1500 ? 1 : message.size() / 100;
    for (size_t length = 0; length < message.size(); length += step) {
      const std::string_view cut = std::string_view(message).substr(0, length);
      const std::string blob = make_structure(cut);
      ASSERT_EQ(structure_fault(cut, blob), "") << name << " cut at " << length;
      if (length % 8 == 0) ASSERT_EQ(texts_fault(cut, blob), "") << name << " cut at " << length;
      if (length % 32 == 0)
        ASSERT_EQ(kept_fields_fault(cut, blob, {"from", "Subject"}, {}), "")
            << name << " cut at " << length;
    }
  }
}

// Small limits are reached in the middle of everything.
TEST(Corpus, HasASoundStructureUnderAnyLimits) {
  for (uint32_t n = 0; n < 12; n++) {
    const Limits limits{.depth = n / 2 + 1,
                        .parts = n + 1,
                        .header_bytes = n * 20,
                        .all_header_bytes = n * 50,
                        .addresses = n,
                        .params = n / 3};
    for (const auto& [name, message] : corpus()) {
      const std::string blob = make_structure(message, limits);
      ASSERT_EQ(structure_fault(message, blob), "") << name << " with limits " << n;
      ASSERT_EQ(texts_fault(message, blob), "") << name << " with limits " << n;
      ASSERT_LE(StructureView::open(blob)->part_count(), std::max(limits.parts, 1U)) << name;
    }
  }
}

// A blob that was damaged is refused, or answers within the message's size; it never crashes.
TEST(Corpus, RefusesDamagedBlobs) {
  const auto touch = [](std::string_view blob) {
    const auto view = StructureView::open(blob);
    if (!view) return;
    for (uint32_t i = 0; i < view->part_count(); i++) {
      const Part part = view->part(i);
      EXPECT_LE(uint64_t{part.body.offset} + part.body.length, view->message_size());
      EXPECT_LE(uint64_t{part.header.offset} + part.header.length, view->message_size());
    }
    for (const char* spec : {"1", "1.1", "1.1.1", "2.HEADER", "1.TEXT", "TEXT", "1.MIME"})
      static_cast<void>(view->locate(spec));
  };
  for (const char* wanted : {"real-attachment", "rfc822-nest-5", "mp-nested-plain"}) {
    for (const auto& [name, message] : corpus()) {
      if (name != wanted) continue;
      const std::string blob = make_structure(message);
      for (size_t length = 0; length < blob.size(); length++)
        EXPECT_FALSE(StructureView::open(std::string_view(blob).substr(0, length))) << length;
      EXPECT_FALSE(StructureView::open(blob + "x"));
      for (size_t at = 0; at < blob.size(); at++) {
        for (const char flip : {'\x01', '\x80', '\xff'}) {
          std::string damaged = blob;
          damaged[at] = static_cast<char>(damaged[at] ^ flip);
          touch(damaged);
        }
      }
    }
  }
}

TEST(Corpus, CanBeSearchedAndDecoded) {
  const auto found = Needle::make("body");
  const auto absent = Needle::make("\xc3\xa4ller-nicht-da");
  ASSERT_TRUE(found && absent);
  size_t hits = 0;
  for (const auto& [name, message] : corpus()) {
    const std::string blob = make_structure(message);
    const auto view = StructureView::open(blob);
    ASSERT_TRUE(view);
    hits += text_contains(message, *view, *found) ? 1 : 0;
    EXPECT_FALSE(text_contains(message, *view, *absent)) << name;
    const std::string_view header = view->header().of(message);
    const std::string everything = select_fields(header, std::vector<std::string>{"no-such"}, true);
    EXPECT_EQ(everything, header) << name;
  }
  EXPECT_GT(hits, 100U);
}

// The samples of the charset messages are found in whatever form they travel.
TEST(Corpus, FindsTextInEveryCharset) {
  const std::pair<const char*, const char*> samples[] = {
      {"cs-utf-8-", "\xe4\xbd\xa0\xe5\xa5\xbd \xf0\x9f\x98\x80"},
      {"cs-iso-8859-1-", "gr\xc3\xbcsse"},
      {"cs-iso-8859-15-", "10 \xe2\x82\xac"},
      {"cs-iso-2022-jp-", "\xe3\x81\x93\xe3\x82\x93"},
      {"cs-shift_jis-", "\xe3\x81\x93\xe3\x82\x93"},
      {"cs-euc-jp-", "\xe3\x81\x93\xe3\x82\x93"},
      {"cs-gb2312-", "\xe4\xbd\xa0\xe5\xa5\xbd"},
      {"cs-gb18030-", "\xf0\x9f\x98\x80"},
      {"cs-big5-", "\xe4\xbd\xa0\xe5\xa5\xbd"},
      {"cs-koi8-r-", "\xd0\xbf\xd1\x80\xd0\xb8\xd0\xb2\xd0\xb5\xd1\x82"},
      {"cs-windows-1251-", "\xd0\xbf\xd1\x80\xd0\xb8\xd0\xb2\xd0\xb5\xd1\x82"},
      {"cs-euc-kr-", "\xec\x95\x88\xeb\x85\x95"},
      {"cs-iso-2022-kr-", "\xec\x95\x88\xeb\x85\x95"},
      {"cs-utf-7-", "gr\xc3\xbcsse"},
      {"cs-utf-16-", "WIDE"},
      {"cs-hz-gb-2312-", "\xe4\xbd\xa0\xe5\xa5\xbd"},
      {"cs-tis-620-", "\xe0\xb8\xaa\xe0\xb8\xa7\xe0\xb8\xb1"},
      {"cs-iso-8859-8-", "\xd7\xa9\xd7\x9c\xd7\x95\xd7\x9d"},
  };
  for (const auto& [prefix, text] : samples) {
    const auto needle = Needle::make(text, "UTF-8");
    ASSERT_TRUE(needle);
    size_t seen = 0;
    for (const auto& [name, message] : corpus()) {
      if (!name.starts_with(prefix)) continue;
      if (name.substr(std::string_view(prefix).size()).contains('-')) continue;
      seen++;
      const std::string blob = make_structure(message);
      const auto view = StructureView::open(blob);
      const bool in_header = name.ends_with("-head");
      EXPECT_EQ(header_contains(view->header().of(message), "subject", *needle), in_header) << name;
      EXPECT_EQ(header_contains(view->header().of(message), "from", *needle), in_header) << name;
      EXPECT_EQ(body_contains(message, *view, *needle), !in_header) << name;
    }
    EXPECT_GE(seen, 3U) << prefix;
  }
}

}  // namespace
}  // namespace rims::message
