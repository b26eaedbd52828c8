// tests/imap/names_test.cc - mailbox names, LIST patterns, sequence sets, dates
//
// Mirrors common/imap/mailbox_name.cc, numbers.cc, date.cc.

#include <gtest/gtest.h>

#include "common/base/utf8.h"
#include "common/imap/date.h"
#include "common/imap/mailbox_name.h"
#include "common/imap/numbers.h"
#include "tests/imap/support.h"

namespace rims::imap {
namespace {

// --- RFC 3501 §5.1.3

TEST(ModifiedUtf7, BothWays) {
  const struct {
    std::string_view wire, utf8;
  } rows[] = {
      {"", ""},
      {"INBOX", "INBOX"},
      {"~peter/mail/&U,BTFw-/&ZeVnLIqe-",
       "~peter/mail/\xE5\x8F\xB0\xE5\x8C\x97/\xE6\x97\xA5\xE6\x9C\xAC\xE8\xAA\x9E"},
      {"&-", "&"},
      {"&-&-", "&&"},
      {"R&-D", "R&D"},
      {"&AOk-", "\xC3\xA9"},
      {"&AOkA6Q-", "\xC3\xA9\xC3\xA9"},
      {"&AOk-&-&AOk-", "\xC3\xA9&\xC3\xA9"},
      {"&2D3cqQ-", "\xF0\x9F\x92\xA9"},
      {"a&AAkACg-b", "a\t\nb"},
      {"&AH8-", "\x7F"},
      {"&AAA-", "\0"sv},
      {"&2,,f,w-", "\xF4\x8F\xBF\xBF"},
      {"&,,8-", "\xEF\xBF\xBF"},
  };
  for (const auto& row : rows) {
    EXPECT_EQ(from_modified_utf7(row.wire), std::string(row.utf8)) << row.wire;
    EXPECT_EQ(to_modified_utf7(row.utf8), row.wire);
  }
}

TEST(ModifiedUtf7, RefusesWhatHasAnotherSpelling) {
  for (const std::string_view wire :
       {"&"sv,          "a&"sv,     "&AOk"sv,     "&AOk,"sv,     // never unshifted
        "&AO-"sv,       "&A-"sv,                                 // half a character
        "&AOl-"sv,      "&AOkA-"sv, "&AOkAA-"sv,                 // spare bits, spare digits
        "&AEE-"sv,      "&AGE-"sv,  "&ACY-"sv,                   // printable ASCII in base64
        "&AOk-&AOk-"sv,                                          // two shifts in a row
        "&2D0-"sv,      "&3Kk-"sv,  "&2D0AQQ-"sv, "&3KnYPQ-"sv,  // lone surrogates
        "&AO k-"sv,     "&AO/-"sv,  "&AO=-"sv,                   // not of the alphabet
        "\xC3\xA9"sv,   "a\tb"sv,   "a\0b"sv,     "\x7F"sv})
    EXPECT_EQ(from_modified_utf7(wire), std::nullopt) << wire;
}

TEST(ModifiedUtf7, EveryCodePointGoesThereAndBack) {
  for (uint32_t c = 0; c <= 0x10ffff; c = c < 0x3000 ? c + 1 : c + 97) {
    if (c >= 0xd800 && c <= 0xdfff) continue;
    std::string utf8 = "x";
    if (c < 0x80) {
      utf8 += static_cast<char>(c);
    } else {
      const int more = c < 0x800 ? 1 : c < 0x10000 ? 2 : 3;
      constexpr unsigned kLead[] = {0, 0xc0, 0xe0, 0xf0};
      utf8 += static_cast<char>(kLead[more] | c >> (6 * more));
      for (int i = more; i-- > 0;) utf8 += static_cast<char>(0x80 | (c >> (6 * i) & 0x3f));
    }
    utf8 += "y";
    ASSERT_TRUE(utf8::is_valid(utf8)) << c;
    ASSERT_EQ(from_modified_utf7(to_modified_utf7(utf8)), utf8) << c;
  }
}

TEST(ModifiedUtf7, BrokenUtf8BecomesReplacementCharacters) {
  for (const std::string_view bad : {"\x80"sv, "\xC3"sv, "\xC0\xAF"sv, "\xED\xA0\x80"sv,
                                     "\xF4\x90\x80\x80"sv, "\xE0\x80\xAF"sv, "\xFF"sv}) {
    EXPECT_FALSE(utf8::is_valid(bad));
    EXPECT_TRUE(to_modified_utf7(bad).starts_with("&,")) << to_modified_utf7(bad);
    EXPECT_TRUE(from_modified_utf7(to_modified_utf7(bad)));
  }
}

TEST(MailboxName, InboxInAnyCase) {
  EXPECT_EQ(canonical_inbox("iNbOx"), "INBOX");
  EXPECT_EQ(canonical_inbox("inbox/A/inbox"), "INBOX/A/inbox");
  EXPECT_EQ(canonical_inbox("inboxed"), "inboxed");
  EXPECT_EQ(canonical_inbox("a/inbox"), "a/inbox");
  EXPECT_EQ(canonical_inbox("inbo"), "inbo");
}

// --- RFC 3501 §6.3.8

TEST(ListPattern, Matches) {
  const struct {
    std::string_view reference, pattern;
    std::vector<std::string_view> yes, no;
  } rows[] = {
      {"", "*", {"INBOX", "a/b/c", ""}, {}},
      {"", "%", {"INBOX", "a", ""}, {"a/b", "/"}},
      {"", "InB%", {"INBOX"}, {"INBOX/x", "InbX"}},
      {"", "*b*x", {"INBOX", "bx"}, {"INBOX/X", "BX"}},
      {"iNbOx", "/%", {"INBOX/a"}, {"INBOX/a/b", "INBOX"}},
      {"", "inbox/A", {"INBOX/A"}, {"INBOX/a"}},
      {"", "50%", {"50%", "500"}, {"5"}},
      {"", "a", {"a"}, {"A", "aa", "", "a/"}},
      {"", "a%", {"a", "ab"}, {"a/b", "ba"}},
      {"", "a/%", {"a/b", "a/"}, {"a", "a/b/c"}},
      {"a/", "%", {"a/b"}, {"b", "a/b/c"}},
      {"", "%/%", {"a/b", "/"}, {"a", "a/b/c"}},
      {"", "*b*", {"b", "abc", "a/b/c", "abb"}, {"a", "ac"}},
      {"", "*/b", {"a/b", "a/c/b", "/b"}, {"b", "a/bb"}},
      {"", "a%b%c", {"abc", "axbyc", "abbcc"}, {"a/bc", "ab/c", "abcd"}},
      {"", "%*%", {"", "a/b"}, {}},
      {"", "*%b", {"b", "a/b", "ab"}, {"b/", "a"}},
      {"", "%*b", {"b", "a/b"}, {"ba"}},
      {"", "inbox", {"INBOX"}, {"INBOX/x"}},
      {"", "InBox*", {"INBOX", "INBOX/x"}, {"inbox2"}},
      {"", "inbox/%", {"INBOX/x"}, {"INBOX"}},
      {"in", "box", {"INBOX"}, {"box"}},
      {"", "a\\*", {"a\\", "a\\b"}, {"a*"}},  // no escapes
      {"", "[ab]?", {"[ab]?"}, {"a?", "ab"}},
      {"", "Entw\xC3\xBC%", {"Entw\xC3\xBCrfe"}, {"Entwurf"}},
  };
  for (const auto& row : rows) {
    const ListPattern pattern(row.reference, row.pattern);
    for (std::string_view name : row.yes)
      EXPECT_TRUE(pattern.matches(name)) << row.pattern << " " << name;
    for (std::string_view name : row.no)
      EXPECT_FALSE(pattern.matches(name)) << row.pattern << " " << name;
  }
}

// What the matcher must agree with, however slow: the definition by recursion.
bool matches_slowly(std::string_view pattern, std::string_view name) {
  if (pattern.empty()) return name.empty();
  const char c = pattern.front();
  if (c != '*' && c != '%')
    return !name.empty() && name.front() == c && matches_slowly(pattern.substr(1), name.substr(1));
  for (size_t n = 0;; n++) {
    if (matches_slowly(pattern.substr(1), name.substr(n))) return true;
    if (n == name.size() || (c == '%' && name[n] == '/')) return false;
  }
}

TEST(ListPattern, AgreesWithTheDefinitionOnAllShortCases) {
  const auto text = [](unsigned n, std::string_view letters, size_t size) {
    std::string s;
    for (size_t i = 0; i < size; i++, n /= letters.size()) s += letters[n % letters.size()];
    return s;
  };
  for (size_t size = 0; size <= 5; size++) {
    for (unsigned n = 0; n < 1024 >> (2 * (5 - size)); n++) {
      const std::string pattern = text(n, "*%a/", size);
      const ListPattern matcher("", pattern);
      for (size_t name_size = 0; name_size <= 5; name_size++) {
        for (unsigned m = 0; m < 1U << name_size; m++) {
          const std::string name = text(m, "a/", name_size);
          ASSERT_EQ(matcher.matches(name), matches_slowly(pattern, name)) << pattern << " " << name;
        }
      }
    }
  }
}

// Backtracking would take longer than the universe.
TEST(ListPattern, DoesNotBacktrack) {
  std::string pattern;
  for (int i = 0; i < 400; i++) pattern += "%a*%";
  const std::string name(1000, 'a');
  const ListPattern hopeless("", pattern + "b");
  const ListPattern fits("", pattern);
  for (int i = 0; i < 100; i++) {
    EXPECT_FALSE(hopeless.matches(name));
    EXPECT_TRUE(fits.matches(name));
  }
  EXPECT_FALSE(ListPattern("", std::string(100'000, 'a')).matches(std::string(100'000, 'a')));
  EXPECT_TRUE(ListPattern("", std::string(100'000, '*')).matches(name));
  // Across the words of the bit set.
  for (const size_t size : {62, 63, 64, 65, 127, 128, 129, 1000}) {
    const std::string exact(size, 'x');
    EXPECT_TRUE(ListPattern("", exact).matches(exact));
    EXPECT_TRUE(ListPattern("", exact + "*").matches(exact + "/y"));
    EXPECT_FALSE(ListPattern("", exact + "%").matches(exact + "/y"));
    EXPECT_FALSE(ListPattern("", exact).matches(exact + "x"));
    EXPECT_FALSE(ListPattern("", exact + "x").matches(exact));
  }
}

// --- sequence sets

NumberSet<Uid> uids(std::string_view text, uint32_t largest) {
  return resolve(*parse_sequence_set(text, 1000), Uid(largest));
}
std::string str(const NumberSet<Uid>& set) {
  std::string out;
  append_number_set(out, set);
  return out;
}

TEST(SequenceSet, ReadsAndPrintsWhatWasWritten) {
  for (const char* text : {"1", "*", "1:*", "*:4", "2,4:7,9,12:*", "4294967295", "5:3"}) {
    std::string out;
    append_sequence_set(out, *parse_sequence_set(text, 10));
    EXPECT_EQ(out, text);
  }
  EXPECT_EQ(parse_sequence_set("", 10).error().reply(), "expected number or \"*\" at column 1");
  EXPECT_EQ(parse_sequence_set("1,", 10).error().reply(), "expected number or \"*\" at column 3");
  EXPECT_EQ(parse_sequence_set("$", 10).error().reply(), "expected number or \"*\" at column 1");
  EXPECT_EQ(parse_sequence_set("1 2", 10).error().reply(), "expected end of command at column 2");
  EXPECT_EQ(parse_sequence_set("1,2,3", 2).error().fault(), Fault::limit);
}

TEST(SequenceSet, ResolvesToSortedDisjointRanges) {
  EXPECT_EQ(str(uids("2,4:7,9,12:*", 15)), "2,4:7,9,12:15");
  EXPECT_EQ(str(uids("*:4,5:7", 10)), "4:10");
  EXPECT_EQ(str(uids("5,4,3,2,1", 9)), "1:5");
  EXPECT_EQ(str(uids("3:1,2:4", 9)), "1:4");
  EXPECT_EQ(str(uids("*", 7)), "7");
  // RFC 3501 §6.4.8: 559:* holds the last message even when its UID is lower.
  EXPECT_EQ(str(uids("559:*", 7)), "7:559");
  // In an empty mailbox `*` names nothing.
  EXPECT_TRUE(uids("*", 0).empty());
  EXPECT_TRUE(uids("1:*,*:5", 0).empty());
  EXPECT_EQ(str(uids("3,1:*", 0)), "3");
  EXPECT_EQ(str(uids("4294967295,4294967294", 1)), "4294967294:4294967295");
}

TEST(SequenceSet, IsCheapWhateverItsNumbers) {
  std::string stars = "1:*";
  for (int i = 0; i < 999; i++) stars += ",1:*";
  const NumberSet<Uid> all = uids(stars, 4294967295U);
  EXPECT_EQ(all.ranges().size(), 1U);
  EXPECT_EQ(all.count(), 4294967295U);
  EXPECT_TRUE(all.contains(Uid(4294967295U)));
  const std::vector<Uid> present = {Uid(1), Uid(5), Uid(4294967295U)};
  std::vector<size_t> hits;
  all.for_each_present(present, [&](size_t i) { hits.push_back(i); });
  EXPECT_EQ(hits, (std::vector<size_t>{0, 1, 2}));
}

TEST(SequenceSet, FindsThePresentOnes) {
  struct Message {
    int flags;
    Uid uid;
  };
  const std::vector<Message> present = {{0, Uid(2)}, {0, Uid(3)}, {0, Uid(7)}, {0, Uid(9)}};
  const auto hits = [&](std::string_view text) {
    std::vector<size_t> out;
    uids(text, 9).for_each_present(present, [&](size_t i) { out.push_back(i); }, &Message::uid);
    return out;
  };
  EXPECT_EQ(hits("1:2,4:8"), (std::vector<size_t>{0, 2}));
  EXPECT_EQ(hits("*"), (std::vector<size_t>{3}));
  EXPECT_EQ(hits("10:20,4"), (std::vector<size_t>{}));
  EXPECT_EQ(hits("1:*"), (std::vector<size_t>{0, 1, 2, 3}));
  const NumberSet<Uid> some = uids("2:3,7", 9);
  EXPECT_TRUE(some.contains(Uid(2)) && some.contains(Uid(3)) && some.contains(Uid(7)));
  EXPECT_FALSE(some.contains(Uid(1)) || some.contains(Uid(4)) || some.contains(Uid(8)));
}

TEST(SequenceSet, MessageNumbersMustExist) {
  EXPECT_TRUE(within(*parse_sequence_set("1:3,*", 9), SeqNum(3)));
  EXPECT_FALSE(within(*parse_sequence_set("4", 9), SeqNum(3)));
  EXPECT_FALSE(within(*parse_sequence_set("4:*", 9), SeqNum(3)));
  EXPECT_FALSE(within(*parse_sequence_set("*", 9), SeqNum(0)));
}

TEST(NumberSet, KeepsTheOrderOfCopying) {  // RFC 4315 §3: COPYUID's sets correspond
  NumberSet<Uid> set;
  for (const uint32_t n : {5, 6, 7, 2, 3, 9}) set.add(Uid(n));
  EXPECT_EQ(str(set), "5:7,2:3,9");
  EXPECT_EQ(set.count(), 6U);
}

// --- dates

TEST(Dates, ReadAndPrint) {
  const auto round = [](std::string_view text) {
    std::string out;
    const auto t = parse_date_time(text);
    if (t) append_date_time(out, *t);
    return out;
  };
  for (const char* text : {"17-Jul-1996 02:44:25 -0700", " 1-Jan-0000 00:00:00 +0000",
                           "31-Dec-9999 23:59:60 +2359", "29-Feb-2000 12:00:00 -0030"})
    EXPECT_EQ(round(text), text);
  EXPECT_EQ(round("07-jUL-1996 02:44:25 -0700"), " 7-Jul-1996 02:44:25 -0700");
  EXPECT_EQ(round("7-Jul-1996 02:44:25 -0700"), " 7-Jul-1996 02:44:25 -0700");
  for (const char* text : {"  7-Jul-1996 02:44:25 -0700",
                           "x7-Jul-1996 02:44:25 -0700",
                           "-Jul-1996 02:44:25 -0700",
                           "7x-Jul-1996 02:44:25 -0700",
                           "7-Jul-1996 02:44:25 -070",
                           "32-Jul-1996 02:44:25 -0700",
                           "00-Jul-1996 02:44:25 -0700",
                           "29-Feb-1900 02:44:25 -0700",
                           "17-Foo-1996 02:44:25 -0700",
                           "17-Jul-1996 24:44:25 -0700",
                           "17-Jul-1996 02:60:25 -0700",
                           "17-Jul-1996 02:44:61 -0700",
                           "17-Jul-1996 02:44:25 -2400",
                           "17-Jul-1996 02:44:25 -0760",
                           "17-Jul-1996 02:44:25  0700",
                           "17 Jul-1996 02:44:25 -0700",
                           "17-Jul-19x6 02:44:25 -0700",
                           "17-Jul-1996T02:44:25 -0700",
                           "",
                           "17-Jul-1996 02:44:25 -07000"})
    EXPECT_FALSE(parse_date_time(text)) << text;
  EXPECT_EQ(parse_date("1-Feb-1994"), (Date{1994, 2, 1}));
  EXPECT_EQ(parse_date("01-feb-1994"), (Date{1994, 2, 1}));
  for (const char* text : {"", "-Feb-1994", "1-Feb-94", "1-Feb-19944", "001-Feb-1994",
                           " 1-Feb-1994", "1-Feb", "30-Feb-1994", "0-Feb-1994", "1--Feb-1994"})
    EXPECT_FALSE(parse_date(text)) << text;
  std::string out;
  append_date(out, {1994, 2, 1});
  EXPECT_EQ(out, "1-Feb-1994");
  EXPECT_LT((Date{1994, 2, 28}), (Date{1994, 3, 1}));
}

TEST(Dates, SecondsAndBack) {
  EXPECT_EQ(to_unix({}), 0);
  EXPECT_EQ(to_unix(*parse_date_time("17-Jul-1996 02:44:25 -0700")), 837596665);
  EXPECT_EQ(to_unix(*parse_date_time("01-Jan-2000 00:00:00 +0100")), 946681200);
  EXPECT_EQ(to_unix(*parse_date_time("01-Mar-2000 00:00:00 +0000")), 951868800);
  EXPECT_EQ(to_unix(*parse_date_time("31-Dec-1969 23:59:59 +0000")), -1);
  for (int64_t seconds = -62167000000; seconds < 253402000000; seconds += 123'456'789)
    for (const int zone : {0, -420, 330, 1439, -1439})
      ASSERT_EQ(to_unix(from_unix(seconds, zone)), seconds);
  const DateTime t = from_unix(837596665, -420);
  EXPECT_EQ(t, *parse_date_time("17-Jul-1996 02:44:25 -0700"));
  // Wild values from a damaged index are printable dates, too.
  EXPECT_EQ(from_unix(INT64_MAX, 100'000).date, (Date{9999, 12, 31}));
  EXPECT_EQ(from_unix(INT64_MIN, -100'000).date, (Date{0, 1, 1}));
}

TEST(Dates, EveryDayOfFourHundredYears) {
  Date before = from_unix(-86400, 0).date;
  for (int64_t day = 0; day < 146097; day++) {
    const Date d = from_unix(day * 86400, 0).date;
    ASSERT_LT(before, d);
    ASSERT_EQ(to_unix({.date = d}), day * 86400);
    before = d;
  }
  EXPECT_EQ(before, (Date{2369, 12, 31}));
}

}  // namespace
}  // namespace rims::imap
