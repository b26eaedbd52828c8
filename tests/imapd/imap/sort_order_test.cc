// tests/imapd/imap/sort_order_test.cc - the keys of SORT (RFC 5256 §1, §3; RFC 5957 §3), and their
// memory

#include "imapd/imap/sort_order.h"

#include <string>
#include <vector>

#include <fmt/format.h>
#include <gtest/gtest.h>

namespace rims::imapd {
namespace {

using Kind = imap::SortKey::Kind;
using Numbers = std::vector<uint32_t>;

struct Mail {
  std::string header;
  std::optional<int64_t> sent = std::nullopt;
  int64_t arrival = 0;
  uint32_t size = 0;
};

Numbers sorted(std::vector<imap::SortKey> keys, const std::vector<Mail>& mails) {
  SortOrder order(keys);
  uint32_t number = 0;
  for (const Mail& mail : mails) {
    store::MessageEntry entry;
    entry.date = mail.arrival;
    entry.size = mail.size;
    order.add(SeqNum(++number), entry, mail.sent, mail.header);
  }
  order.sort();
  return {order.numbers().begin(), order.numbers().end()};
}

Numbers by_field(Kind kind, const std::string& name, const std::vector<std::string>& values) {
  std::vector<Mail> mails;
  for (const std::string& value : values)
    mails.push_back({value.empty() ? "\r\n" : name + ": " + value + "\r\n\r\n"});
  return sorted({{kind}}, mails);
}

TEST(SortOrder, ByNumbersAndTimes) {
  const std::vector<Mail> mails{{"", -5, 30, 100}, {"", {}, 10, 300}, {"", 20, 20, 200}};
  EXPECT_EQ(sorted({{Kind::size}}, mails), (Numbers{1, 3, 2}));
  EXPECT_EQ(sorted({{Kind::size, true}}, mails), (Numbers{2, 3, 1}));
  EXPECT_EQ(sorted({{Kind::arrival}}, mails), (Numbers{2, 3, 1}));
  // Without a date of its own it has that of its arrival (RFC 5256 §2.2).
  EXPECT_EQ(sorted({{Kind::date}}, mails), (Numbers{1, 2, 3}));
}

// What is equal stays in the order of the numbers, also in reverse (RFC 5256 §3).
TEST(SortOrder, KeysDecideOneAfterTheOther) {
  const std::vector<Mail> mails{{"", {}, 2, 7}, {"", {}, 1, 7}, {"", {}, 1, 7}, {"", {}, 1, 5}};
  EXPECT_EQ(sorted({{Kind::size}, {Kind::arrival}}, mails), (Numbers{4, 2, 3, 1}));
  EXPECT_EQ(sorted({{Kind::size}, {Kind::arrival, true}}, mails), (Numbers{4, 1, 2, 3}));
  EXPECT_EQ(sorted({{Kind::size, true}}, mails), (Numbers{1, 2, 3, 4}));
}

TEST(SortOrder, SubjectsWithoutWhatRepliesAdd) {
  EXPECT_EQ(by_field(Kind::subject, "Subject",
                     {"Re: b", "[list] a", "C", "", "=?utf-8?q?=C3=84pfel?=", "_"}),
            (Numbers{4, 2, 5, 1, 3, 6}));
}

// RFC 5256 §3: the mailbox of the first address; RFC 5957: its display name.
TEST(SortOrder, Addresses) {
  const std::vector<std::string> values{"zoe@a, adam@b", "\"Adam Z\" <mike@x>", "",
                                        "=?utf-8?q?=C3=84nne?= <bob@x>", "Friends: x@y;"};
  EXPECT_EQ(by_field(Kind::from, "From", values), (Numbers{3, 4, 5, 2, 1}));
  EXPECT_EQ(by_field(Kind::display_from, "From", values), (Numbers{3, 2, 4, 5, 1}));
  EXPECT_EQ(by_field(Kind::to, "To", values), (Numbers{3, 4, 5, 2, 1}));
  EXPECT_EQ(by_field(Kind::display_to, "To", values), (Numbers{3, 2, 4, 5, 1}));
  EXPECT_EQ(by_field(Kind::cc, "Cc", values), (Numbers{3, 4, 5, 2, 1}));
  EXPECT_EQ(by_field(Kind::display_from, "From", {"b@y", "b@x", "<b@w>"}), (Numbers{3, 2, 1}));
}

TEST(SortOrder, ReadsOnlyWhatItsKeysLookAt) {
  EXPECT_EQ(SortOrder(std::vector<imap::SortKey>{{Kind::arrival}, {Kind::size}}).fields().size(),
            0U);
  const std::vector<imap::SortKey> keys{{Kind::date}, {Kind::display_to}, {Kind::subject}};
  EXPECT_EQ(SortOrder(keys).fields(), (std::vector<std::string>{"to", "subject"}));
  EXPECT_TRUE(SortOrder(keys).looks_at_date());
}

// Long texts by many messages are cut shorter, and stay in the order of what is left of them.
TEST(SortOrder, HoldsNoMoreThanItMay) {
  constexpr size_t kMost = 300'000;
  SortOrder order(std::vector<imap::SortKey>{{Kind::subject, true}, {Kind::from}}, kMost);
  const std::string longest(300, 'x');
  constexpr uint32_t kMany = 4000;
  size_t shortened = 0;
  for (uint32_t i = 1; i <= kMany; i++) {
    if (order.is_full()) {
      order.shorten();
      shortened++;
      ASSERT_FALSE(order.is_full());
    }
    order.add(SeqNum(i), {}, {},
              fmt::format("Subject: {:08} {}\r\nFrom: {}@x\r\n\r\n", i / 2, longest, longest));
  }
  EXPECT_GT(shortened, 0U);
  order.sort();
  for (uint32_t i = 0; i < kMany; i++) {
    // By pairs with the same subject, from the end; a pair in the order of its numbers.
    const uint32_t number = order.numbers()[i];
    const uint32_t next = i + 1 < kMany ? order.numbers()[i + 1] : 0;
    ASSERT_TRUE(next / 2 < number / 2 || next == number + 1 || next == 0) << number << ' ' << next;
  }
}

}  // namespace
}  // namespace rims::imapd
