// Dovecot's indexes, made here byte by byte. tests/system/dbox_test.py reads those of a real one.

#include "cli/formats/dovecot_index.h"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "common/mail/types.h"

namespace rims::cli {
namespace {

using Strings = std::vector<std::string>;

std::string le(uint64_t n, size_t size) {
  std::string bytes;
  for (size_t i = 0; i < size; i++) bytes += static_cast<char>(n >> 8 * i & 0xff);
  return bytes;
}
std::string u16(uint64_t n) { return le(n, 2); }
std::string u32(uint64_t n) { return le(n, 4); }
std::string padded(std::string bytes, size_t to) {
  bytes.resize((bytes.size() + to - 1) / to * to);
  return bytes;
}

constexpr uint32_t kExternal = 0x10000000;
constexpr uint32_t kId = 77;

std::string record(uint32_t type, const std::string& body) {
  size_t n = (body.size() + 8) / 4;
  std::string size(4, '\0');
  for (size_t i = 4; i-- > 0; n >>= 7) size[i] = static_cast<char>(0x80 | (n & 0x7f));
  return size + u32(type) + body;
}
std::string append(const std::vector<uint32_t>& uids, uint8_t flags = 0) {
  std::string body;
  for (const uint32_t uid : uids) body += u32(uid) + le(flags, 4);
  return record(0x2 | kExternal, body);
}
std::string expunge(uint32_t from, uint32_t to, uint32_t how = kExternal) {
  return record(0xcd91 | how, u32(from) + u32(to));
}
std::string flags(uint32_t from, uint32_t to, uint8_t add, uint8_t remove) {
  return record(0x4, u32(from) + u32(to) + le(add, 1) + le(remove, 1) + u16(0));
}
std::string keyword(const std::string& name, uint8_t remove, uint32_t from, uint32_t to) {
  return record(0x400, padded(le(remove, 2) + u16(name.size()) + name, 4) + u32(from) + u32(to));
}
std::string intro(const std::string& name, uint16_t size, uint32_t reset_id = 0,
                  uint32_t header = 0) {
  return record(0x40, padded(u32(UINT32_MAX) + u32(reset_id) + u32(header) + u16(size) + u16(4) +
                                 u16(1) + u16(name.size()) + name,
                             4));
}
std::string intro(uint32_t number, uint16_t size, uint32_t reset_id = 0) {
  return record(0x40, u32(number) + u32(reset_id) + u32(0) + u16(size) + u16(4) + u16(1) + u16(0));
}
std::string map_record(uint32_t uid, uint32_t file, uint32_t offset) {
  return record(0x200, u32(uid) + u32(file) + u32(offset) + u32(99));
}
std::string uidvalidity(uint32_t n) { return record(0x20 | kExternal, u16(24) + u16(4) + u32(n)); }

std::string log(const std::string& records, uint32_t seq = 1, uint32_t previous = 0,
                uint32_t previous_offset = 0, uint8_t order = 1) {
  return le(1, 1) + le(3, 1) + u16(40) + u32(kId) + u32(seq) + u32(previous) +
         u32(previous_offset) + u32(0) + le(1, 8) + le(order, 4) + u32(0) + records;
}

struct Extension {
  std::string name;
  uint16_t offset = 0, size = 0;
  std::string header;
};
std::string index(const std::vector<Extension>& extensions, const Strings& records,
                  uint32_t log_seq = 1, uint32_t tail = 40, uint32_t head = 40) {
  std::string more;
  for (const auto& e : extensions)
    more += padded(padded(u32(e.header.size()) + u32(0) + u16(e.offset) + u16(e.size) + u16(4) +
                              u16(e.name.size()) + e.name,
                          8) +
                       e.header,
                   8);
  const size_t size = records.empty() ? 8 : records.front().size();
  std::string bytes = le(7, 1) + le(3, 1) + u16(120) + u32(120 + more.size()) + u32(size) +
                      le(1, 4) + u32(kId) + u32(0) + u32(1234) + u32(50) + u32(records.size()) +
                      std::string(24, '\0') + u32(log_seq) + u32(tail) + u32(head);
  bytes.resize(120);
  bytes += more;
  for (const auto& r : records) bytes += r;
  return bytes;
}

std::string told(const DovecotIndex& index) {
  std::string text;
  for (const auto& m : index.messages) {
    text += std::to_string(m.uid) + ":" + std::to_string(m.flags);
    for (const auto k : m.keywords) text += "," + index.keywords.at(k);
    text += ' ';
  }
  return text;
}

TEST(DovecotIndex, ALogAloneSaysAll) {
  const auto found = read_dovecot_index(
      {.log = log(uidvalidity(1'600'000'000) + append({1, 2, 5}) + flags(1, 2, 0x08, 0) +
                  flags(2, 5, 0x01 | 0x02 | 0x04 | 0x10, 0x08) + keyword("$Junk", 0, 1, 4) +
                  keyword("custom", 0, 2, 5) + keyword("$junk", 1, 2, 2) + append({7}, 0x08))});
  ASSERT_TRUE(found) << found.error().detail();
  EXPECT_EQ(told(*found), "1:1,$Junk 2:30,custom 5:30,custom 7:1 ");
  EXPECT_EQ(found->uidvalidity, 1'600'000'000U);
  EXPECT_EQ(found->uidnext, 8U);
  EXPECT_EQ(found->gaps, Strings());
}

TEST(DovecotIndex, ExpungedIsWhatWasExpungedAndWhatWillBe) {
  const auto found =
      read_dovecot_index({.log = log(append({1, 2, 3, 4, 5}) + expunge(2, 3) + expunge(5, 5, 0) +
                                     record(0xed90, u32(4) + std::string(16, 'x')))});
  ASSERT_TRUE(found);
  EXPECT_EQ(told(*found), "1:0 ");
  // The proof against damage is missing.
  const auto damaged =
      read_dovecot_index({.log = log(append({1, 2}) + record(0x1 | kExternal, u32(1) + u32(2)))});
  ASSERT_TRUE(damaged);
  EXPECT_EQ(told(*damaged), "1:0 2:0 ");
  EXPECT_EQ(damaged->gaps.size(), 1U);
}

TEST(DovecotIndex, TheLogGoesOnWhereTheIndexEnds) {
  const std::string header =
      u32(2) + u32(0) + u32(0) + u32(0) + u32(6) + std::string("$Junk\0b\0", 8);
  const std::string before = append({1, 2, 3}) + flags(1, 3, 0x01, 0);
  const auto head = static_cast<uint32_t>(40 + before.size());
  const std::string records = index({{"mdbox", 8, 8, ""}, {"keywords", 5, 1, header}},
                                    {u32(1) + "\x08\x03" + u16(0) + u32(11) + u32(0),
                                     u32(3) + le(0, 1) + "\x02" + u16(0) + u32(13) + u32(0)},
                                    1, 40, head);
  const auto found = read_dovecot_index(
      {.index = records,
       .log = log(before + append({60}) + intro(0, 8) + record(0x200, u32(60) + u32(14) + u32(0)) +
                  keyword("b", 1, 3, 60) + flags(3, 3, 0x10, 0))});
  ASSERT_TRUE(found) << found.error().detail();
  EXPECT_EQ(told(*found), "1:1,$Junk,b 3:16 60:0 ");
  EXPECT_EQ(found->messages[0].map_uid, 11U);
  EXPECT_EQ(found->messages[2].map_uid, 14U);
  EXPECT_EQ(found->uidvalidity, 1234U);
  EXPECT_EQ(found->uidnext, 61U);
  EXPECT_EQ(found->gaps, Strings());
}

TEST(DovecotIndex, WhatIsAskedForBeforeTheIndexWasWrittenIsNotForgotten) {
  // The tail is how far changes are done; the head, how far the index has them.
  const std::string before = expunge(2, 2, 0) + flags(1, 1, 0x08, 0);
  const auto head = static_cast<uint32_t>(40 + before.size());
  const auto found = read_dovecot_index(
      {.index = index({}, {u32(1) + u32(0), u32(2) + u32(0)}, 1, 40, head), .log = log(before)});
  ASSERT_TRUE(found);
  EXPECT_EQ(told(*found), "1:0 ");
}

TEST(DovecotIndex, TwoLogsAreReadInTheirOrder) {
  const std::string first = append({1, 2}) + flags(1, 1, 0x08, 0);
  const std::string older = log(first, 4, 0, 0);
  const std::string newer =
      log(append({3}) + flags(1, 1, 0, 0x08), 5, 4, static_cast<uint32_t>(older.size()));
  const auto found = read_dovecot_index({.log = newer, .older_log = older});
  ASSERT_TRUE(found);
  EXPECT_EQ(told(*found), "1:0 2:0 3:0 ");
  EXPECT_EQ(found->gaps, Strings());
  // The index ends in the older one, or exactly at its end.
  const std::string two =
      index({}, {u32(1) + u32(8), u32(2) + u32(0)}, 4, static_cast<uint32_t>(older.size()),
            static_cast<uint32_t>(older.size()));
  for (const auto& files : {DovecotIndexFiles{.index = two, .log = newer, .older_log = older},
                            DovecotIndexFiles{.index = two, .log = newer}}) {
    const auto both = read_dovecot_index(files);
    ASSERT_TRUE(both);
    EXPECT_EQ(told(*both), "1:0 2:0 3:0 ");
    EXPECT_EQ(both->gaps, Strings());
  }
  // Without the older one, the index is too old.
  const auto gap =
      read_dovecot_index({.index = index({}, {u32(1) + u32(8)}, 4, 40, 40), .log = newer});
  ASSERT_TRUE(gap);
  EXPECT_EQ(gap->gaps, Strings{"the log between dovecot.index and dovecot.index.log is missing"});
  // And without the index, the newer log does not say what was before it.
  const auto nothing = read_dovecot_index({.log = newer});
  ASSERT_FALSE(nothing);
  EXPECT_EQ(nothing.error().detail(),
            "dovecot.index is missing, and the log does not begin with the first change");
}

TEST(DovecotIndex, ALogThatHasBegunAnewVoidsWhatWasBefore) {
  const std::string older = log(append({1, 2}), 2), newer = log(append({1, 2, 3}), 4);
  for (const auto& files :
       {DovecotIndexFiles{.log = newer, .older_log = older},
        DovecotIndexFiles{.index = index({}, {u32(1) + u32(8)}, 2, 40, 40), .log = newer},
        DovecotIndexFiles{
            .index = index({}, {u32(1) + u32(8)}, 2, 40, 40), .log = newer, .older_log = older}}) {
    const auto found = read_dovecot_index(files);
    ASSERT_TRUE(found);
    EXPECT_EQ(told(*found), "1:0 2:0 3:0 ");
    EXPECT_EQ(found->gaps, Strings());
  }
}

TEST(DovecotIndex, TheMapSaysWhereMessagesAreAndHowManyHoldThem) {
  const auto found = read_dovecot_index(
      {.name = "dovecot.map.index",
       .log = log(uidvalidity(9) + append({1, 2}) + intro("map", 12, 0, 8) + map_record(1, 3, 16) +
                  map_record(2, 3, 500) + intro("ref", 2) +
                  record(0x200, u32(1) + u16(1) + u16(0) + u32(2) + u16(1) + u16(0)) +
                  record(0x1000, u32(1) + u32(1)) + record(0x1000, u32(2) + u32(UINT32_MAX)) +
                  append({3}) + intro(0, 12) + map_record(3, 4, 16))});
  ASSERT_TRUE(found);
  ASSERT_EQ(found->messages.size(), 3U);
  const auto& m = found->messages;
  EXPECT_EQ(std::tuple(m[0].file, m[0].offset, m[0].references), std::tuple(3U, 16U, 2U));
  EXPECT_EQ(std::tuple(m[1].file, m[1].offset, m[1].references), std::tuple(3U, 500U, 0U));
  EXPECT_EQ(std::tuple(m[2].file, m[2].offset, m[2].references), std::tuple(4U, 16U, 0U));
}

TEST(DovecotIndex, ExtensionsCountAsDovecotCountsThem) {
  // The first keyword makes the extension "keywords", between "mdbox" (0) and "map" (2).
  const auto found = read_dovecot_index(
      {.log = log(append({1}) + intro("mdbox", 8) + keyword("a", 0, 1, 1) + intro("map", 12) +
                  map_record(1, 1, 1) + intro(2, 12) + map_record(1, 2, 2))});
  ASSERT_TRUE(found);
  EXPECT_EQ(found->messages[0].file, 2U);
  EXPECT_EQ(found->gaps, Strings());
  // A number that names another extension than was meant.
  const auto other =
      read_dovecot_index({.log = log(append({1}) + intro("mdbox", 8) + intro("map", 12) +
                                     intro(0, 12) + map_record(1, 2, 2))});
  ASSERT_TRUE(other);
  EXPECT_EQ(other->messages[0].map_uid, 0U);
  EXPECT_EQ(other->gaps.size(), 1U);
}

TEST(DovecotIndex, AResetTakesTheDataAwayAndMakesOlderWritersVoid) {
  const auto found = read_dovecot_index(
      {.log = log(append({1, 2}) + intro("map", 12) + map_record(1, 1, 1) + map_record(2, 1, 2) +
                  record(0x80, u32(5)) + map_record(1, 9, 9) + intro(0, 12, 0) +
                  map_record(2, 8, 8) + intro(0, 12, 5) + record(0x80, u32(6) + u32(1)))});
  ASSERT_TRUE(found);
  EXPECT_EQ(found->messages[0].file, 9U);
  EXPECT_EQ(found->messages[1].file, 0U);
}

TEST(DovecotIndex, ChangesThatBelongTogetherAreMadeTogether) {
  const std::string whole = append({2}) + flags(2, 2, 0x08, 0);
  const std::string records = append({1}) + record(0x80000, u32(12 + whole.size())) + whole;
  ASSERT_EQ(told(*read_dovecot_index({.log = log(records)})), "1:0 2:1 ");
  for (size_t cut = 1; cut < whole.size(); cut++) {
    const auto found = read_dovecot_index({.log = log(records.substr(0, records.size() - cut))});
    ASSERT_TRUE(found);
    EXPECT_EQ(told(*found), "1:0 ") << cut;
    EXPECT_EQ(found->gaps.size(), 1U);
  }
}

TEST(DovecotIndex, AMailboxThatIsBeingDeletedIsKnown) {
  EXPECT_TRUE(read_dovecot_index({.log = log(record(0x20000 | kExternal, ""))})->deleted);
  EXPECT_FALSE(read_dovecot_index({.log = log(record(0x20000, ""))})->deleted);
  EXPECT_FALSE(
      read_dovecot_index({.log = log(record(0x20000 | kExternal, "") + record(0x40000, ""))})
          ->deleted);
}

TEST(DovecotIndex, OtherMachinesAndVersionsAreRefused) {
  const auto refused = [](const DovecotIndexFiles& files, const std::string& says) {
    const auto found = read_dovecot_index(files);
    ASSERT_FALSE(found);
    EXPECT_EQ(found.error().fault(), Fault::refused);
    EXPECT_TRUE(found.error().detail().contains(says)) << found.error().detail();
  };
  refused({.log = log("", 1, 0, 0, 0)}, "dovecot.index.log was written by a big-endian machine");
  std::string big = log("");
  big[2] = 0;
  big[3] = 40;
  big[32] = 0;
  refused({.log = big}, "dovecot.index.log was written by a big-endian machine");
  std::string other = index({}, {});
  other[12] = 0;
  refused({.name = "dovecot.map.index", .index = other},
          "dovecot.map.index was written by a big-endian machine");
  other[0] = 8;
  refused({.index = other}, "dovecot.index has version 8, and only 7 is known");
  std::string later = log("");
  later[0] = 2;
  refused({.log = later}, "dovecot.index.log has version 2, and only 1 is known");
  EXPECT_EQ(read_dovecot_index({}).error().fault(), Fault::not_found);
}

// One that has all that a reader looks at.
DovecotIndexFiles everything() {
  const std::string header = u32(1) + u32(0) + u32(0) + std::string("$Junk\0\0\0", 8);
  return {.index = index({{"mdbox", 8, 8, ""}, {"keywords", 5, 1, header}, {"guid", 16, 16, ""}},
                         {padded(u32(1) + "\x08\x01" + u16(0) + u32(11) + u32(0), 32),
                          padded(u32(3) + le(0, 4) + u32(13) + u32(0), 32)},
                         1, 40, 40),
          .log = log(record(0x80000, u32(12 + 24)) + append({4, 5}) + intro("mdbox-hdr", 0, 0, 24) +
                     record(0x100, u16(0) + u16(24) + u32(99) + std::string(20, 'x')) +
                     intro(0, 8) + record(0x200, u32(4) + u32(14) + u32(0)) +
                     flags(1, 4, 0x10, 0x08) + keyword("x", 0, 3, 5) +
                     record(0x800, u32(1) + u32(1)) + expunge(5, 5) + uidvalidity(77))};
}

TEST(DovecotIndex, NothingThatIsCutIsTakenForWhole) {
  const auto whole = read_dovecot_index(everything());
  ASSERT_TRUE(whole);
  ASSERT_EQ(whole->gaps, Strings());
  ASSERT_EQ(told(*whole), "1:16 3:16,x 4:16,x ");
  for (size_t size = 0; size < everything().index->size(); size++) {
    auto files = everything();
    files.index->resize(size);
    const auto found = read_dovecot_index(files);
    // The log alone, which begins with the first change, knows messages of its own.
    if (found) EXPECT_NE(found->gaps, Strings()) << "index of " << size;
  }
  std::vector<size_t> ends;  // of records: there, nothing shows that one is missing
  const std::string log = *everything().log;
  for (size_t at = 40; at < log.size(); ends.push_back(at)) {
    size_t n = 0;
    for (size_t i = 0; i < 4; i++) n = n << 7 | (static_cast<unsigned char>(log[at + i]) & 0x7f);
    at += n * 4;
  }
  for (size_t size = 0; size < log.size(); size++) {
    auto files = everything();
    files.log->resize(size);
    const auto found = read_dovecot_index(files);
    ASSERT_TRUE(found);
    if (std::ranges::find(ends, size) == ends.end() && size != 40)
      EXPECT_NE(found->gaps, Strings()) << "log of " << size;
  }
}

TEST(DovecotIndex, AnyByteMayBeWrong) {
  for (const bool in_log : {false, true}) {
    const size_t size = in_log ? everything().log->size() : everything().index->size();
    for (size_t at = 0; at < size; at++) {
      for (const int bit : {0, 1, 3, 5, 7}) {
        auto files = everything();
        auto& bytes = in_log ? *files.log : *files.index;
        bytes[at] = static_cast<char>(bytes[at] ^ (1 << bit));
        const auto found = read_dovecot_index(files);
        if (!found) continue;
        uint32_t last = 0;
        for (const auto& m : found->messages) {
          ASSERT_GT(m.uid, last);
          last = m.uid;
          for (const auto k : m.keywords) ASSERT_LT(k, found->keywords.size());
        }
      }
    }
  }
}

TEST(DovecotIndex, ASmallLogDoesNotAskForEndlessWork) {
  std::vector<uint32_t> uids(300'000);
  for (size_t i = 0; i < uids.size(); i++) uids[i] = static_cast<uint32_t>(i + 1);
  std::string records = append(uids);
  for (int i = 0; i < 1000; i++) records += flags(1, UINT32_MAX, 0x08, 0);
  const auto found = read_dovecot_index({.log = log(records)});
  ASSERT_TRUE(found);
  ASSERT_EQ(found->gaps.size(), 1U);
  EXPECT_TRUE(found->gaps[0].contains("asks for more than can be done")) << found->gaps[0];
}

}  // namespace
}  // namespace rims::cli
