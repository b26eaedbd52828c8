// tests/imapd/imap/view_test.cc - what a client is told, and when

#include "imapd/imap/view.h"

#include <array>
#include <string>
#include <vector>

#include <gtest/gtest.h>

namespace rims::imapd {
namespace {

using Uids = std::vector<uint32_t>;

View three() {
  View view;
  view.reset({11, 12, 15});
  return view;
}

Uids uids_of(const View& view) { return {view.uids().begin(), view.uids().end()}; }

TEST(View, NumbersMessagesFromOne) {  // RFC 3501 §2.3.1.2
  const View view = three();
  EXPECT_EQ(view.seq_of(Uid(11)), SeqNum(1));
  EXPECT_EQ(view.seq_of(Uid(15)), SeqNum(3));
  EXPECT_EQ(view.seq_of(Uid(13)), SeqNum(0));
  EXPECT_EQ(view.seq_of(Uid(99)), SeqNum(0));
  EXPECT_EQ(view.lower_bound(Uid(13)), 2U);
}

TEST(View, KeepsExpungedMessagesUntilTheClientIsTold) {  // RFC 3501 §7.4.1
  View view = three();
  view.expunged(std::array{Uid(11)}, ModSeq(1));
  EXPECT_EQ(view.seq_of(Uid(12)), SeqNum(2)) << "numbers do not move before the telling";
  EXPECT_EQ(view.size(), 3U);
  std::string out;
  EXPECT_TRUE(view.tell_expunges(out, 1000, View::Expunges::as_numbers));
  EXPECT_EQ(out, "* 1 EXPUNGE\r\n");
  EXPECT_EQ(uids_of(view), Uids({12, 15}));
  EXPECT_FALSE(view.has_news());
}

TEST(View, ASetOfUidsHasTheIndexesOfWhatIsNotGone) {  // RFC 5182 §2.1
  View view;
  view.reset({1, 2, 3, 5, 8, 13});
  imap::NumberSet<Uid> set;
  set.add_range(Uid(2), Uid(4));
  set.add_range(Uid(8), Uid(20));
  EXPECT_EQ(view.indexes_of(set), Uids({1, 2, 4, 5}));
  for (const uint32_t uid : {1U, 2U, 8U}) view.expunged(std::array{Uid(uid)}, ModSeq(9));
  EXPECT_EQ(view.indexes_of(set), Uids({2, 5})) << "numbers do not move before the telling";
  view.arrived(std::array{Uid(14)}, ModSeq(10));
  EXPECT_EQ(view.indexes_of(set), Uids({2, 5})) << "what the client does not count";
  std::string out;
  EXPECT_TRUE(view.tell_expunges(out, 1000, View::Expunges::as_numbers));
  EXPECT_EQ(view.indexes_of(set), Uids({0, 2}));
  EXPECT_EQ(view.indexes_of({}), Uids());
}

TEST(View, TellsExpungesFromTheHighestNumberDown) {
  View view;
  view.reset({1, 2, 3, 4, 5});
  for (const uint32_t uid : {2U, 5U, 3U}) view.expunged(std::array{Uid(uid)}, ModSeq(1));
  std::string out;
  EXPECT_TRUE(view.tell_expunges(out, 1000, View::Expunges::as_numbers));
  EXPECT_EQ(out, "* 5 EXPUNGE\r\n* 3 EXPUNGE\r\n* 2 EXPUNGE\r\n");
  EXPECT_EQ(uids_of(view), Uids({1, 4}));
}

TEST(View, CountsArrivalsOnlyWhenTold) {
  View view = three();
  view.arrived(std::array{Uid(16)}, ModSeq(1));
  EXPECT_EQ(view.seq_of(Uid(16)), SeqNum(0));
  std::string out;
  view.add_recent(Uid(16), Uid(16));
  view.tell_arrivals(out);
  EXPECT_EQ(out, "* 4 EXISTS\r\n");
  view.tell_recent(out);
  EXPECT_EQ(out, "* 4 EXISTS\r\n* 1 RECENT\r\n");
  EXPECT_EQ(view.seq_of(Uid(16)), SeqNum(4));
}

TEST(View, SaysNothingOfAMessageThatCameAndWent) {
  View view = three();
  view.arrived(std::array{Uid(16)}, ModSeq(1));
  view.expunged(std::array{Uid(16)}, ModSeq(1));
  EXPECT_FALSE(view.has_news());
  std::string out;
  view.tell_arrivals(out);
  EXPECT_TRUE(view.tell_expunges(out, 1000, View::Expunges::as_numbers));
  EXPECT_EQ(out, "");
}

TEST(View, KeepsChangedFlagsOnceEachAndInOrder) {
  View view = three();
  for (const uint32_t uid : {15U, 11U, 15U, 12U})
    view.flags_changed(std::array{Uid(uid)}, ModSeq(1));
  view.told_flags(Uid(12));
  EXPECT_EQ(view.take_changed(), Uids({11, 15}));
  EXPECT_FALSE(view.has_news());
}

TEST(View, DropsChangedFlagsOfWhatIsGoneOrNotYetTold) {
  View view = three();
  view.flags_changed(std::array{Uid(11)}, ModSeq(1));
  view.expunged(std::array{Uid(11)}, ModSeq(1));
  view.arrived(std::array{Uid(16)}, ModSeq(1));
  view.flags_changed(std::array{Uid(16)}, ModSeq(1));
  EXPECT_EQ(view.take_changed(), Uids());
}

TEST(View, KnowsRecentByRange) {  // RFC 3501 §2.3.2
  View view = three();
  view.add_recent(Uid(12), Uid(15));
  view.arrived(std::array{Uid(16)}, ModSeq(1));
  view.arrived(std::array{Uid(20)}, ModSeq(1));
  view.add_recent(Uid(20), Uid(20));
  EXPECT_FALSE(view.is_recent(Uid(11)));
  EXPECT_TRUE(view.is_recent(Uid(12)));
  EXPECT_FALSE(view.is_recent(Uid(16)));
  EXPECT_TRUE(view.is_recent(Uid(20)));
  EXPECT_EQ(view.recent_count(), 3U);
  view.expunged(std::array{Uid(12)}, ModSeq(1));
  std::string out;
  EXPECT_TRUE(view.tell_expunges(out, 1000, View::Expunges::as_numbers));
  EXPECT_EQ(view.recent_count(), 2U);
}

TEST(View, ForgetsEverythingWhenAnotherMailboxIsSelected) {
  View view = three();
  view.add_recent(Uid(11), Uid(15));
  view.arrived(std::array{Uid(16)}, ModSeq(1));
  view.expunged(std::array{Uid(12)}, ModSeq(1));
  view.reset({3});
  EXPECT_FALSE(view.has_news());
  EXPECT_EQ(view.recent_count(), 0U);
  EXPECT_EQ(uids_of(view), Uids({3}));
}

TEST(View, TellsManyExpungesInPieces) {
  View view;
  view.reset({1, 2, 3, 4, 5});
  view.expunged(std::array{Uid(1), Uid(2), Uid(4)}, ModSeq(1));
  std::string out;
  EXPECT_FALSE(view.tell_expunges(out, 2, View::Expunges::as_numbers));
  EXPECT_EQ(out, "* 4 EXPUNGE\r\n* 2 EXPUNGE\r\n");
  EXPECT_EQ(uids_of(view), Uids({1, 3, 5}));
  view.expunged(std::array{Uid(5)}, ModSeq(1));  // meanwhile
  out.clear();
  EXPECT_TRUE(view.tell_expunges(out, 2, View::Expunges::as_numbers));
  EXPECT_EQ(out, "* 3 EXPUNGE\r\n* 1 EXPUNGE\r\n");
  EXPECT_EQ(uids_of(view), Uids({3}));
}

TEST(View, TakesManyChangesAtOnceInAnyOrderOfTheirPieces) {
  View view;
  view.reset({1, 2, 3, 4, 5, 6, 7});
  view.flags_changed(std::array{Uid(4), Uid(6), Uid(8)}, ModSeq(1));
  view.flags_changed(std::array{Uid(1), Uid(5), Uid(6), Uid(7)}, ModSeq(1));
  view.told_flags(Uid(5));
  view.told_flags(Uid(3));
  view.expunged(std::array{Uid(6), Uid(7)}, ModSeq(1));
  view.expunged(std::array{Uid(2)}, ModSeq(1));
  EXPECT_EQ(view.take_changed(), Uids({1, 4}));
  std::string out;
  EXPECT_TRUE(view.tell_expunges(out, 9, View::Expunges::as_numbers));
  EXPECT_EQ(out, "* 7 EXPUNGE\r\n* 6 EXPUNGE\r\n* 2 EXPUNGE\r\n");
}

TEST(View, FlagsThatChangeAgainAfterTheTellingAreToldAgain) {
  View view = three();
  view.flags_changed(std::array{Uid(11), Uid(12)}, ModSeq(1));
  view.told_flags(Uid(11));
  view.told_flags(Uid(12));
  EXPECT_FALSE(view.has_news());
  view.flags_changed(std::array{Uid(12)}, ModSeq(1));
  EXPECT_TRUE(view.has_news());
  EXPECT_EQ(view.take_changed(), Uids({12}));
}

TEST(View, ExpungesManyInOnePass) {
  constexpr uint32_t kMany = 100'000;
  View view;
  Uids all;
  for (uint32_t uid = 1; uid <= kMany; uid++) all.push_back(uid);
  view.reset(all);
  for (uint32_t uid = 1; uid <= kMany; uid += 2) view.expunged(std::array{Uid(uid)}, ModSeq(1));
  std::string out;
  EXPECT_TRUE(view.tell_expunges(out, kMany, View::Expunges::as_numbers));
  EXPECT_EQ(view.size(), kMany / 2);
  EXPECT_TRUE(out.starts_with("* 99999 EXPUNGE\r\n"));
  EXPECT_TRUE(out.ends_with("* 1 EXPUNGE\r\n"));
}

TEST(View, TellsExpungesByUidOfWhatIsCountedOnly) {  // RFC 7162 §3.2.10.2
  View view;
  view.reset({1, 2, 3, 5, 6, 9});
  view.arrived(std::array{Uid(10)}, ModSeq(20));
  view.expunged(std::array{Uid(2), Uid(3), Uid(6), Uid(9), Uid(10)}, ModSeq(21));
  std::string out;
  EXPECT_FALSE(view.tell_expunges(out, 2, View::Expunges::as_uids));
  EXPECT_EQ(out, "* VANISHED 6,9\r\n");
  out.clear();
  EXPECT_TRUE(view.tell_expunges(out, 2, View::Expunges::as_uids));
  EXPECT_EQ(out, "* VANISHED 2:3\r\n");
  EXPECT_EQ(uids_of(view), Uids({1, 5}));
}

TEST(View, KnowsTheFirstChangeThatWasNotTold) {  // RFC 7162 §3.2, §6
  View view = three();
  EXPECT_EQ(view.first_untold(), std::nullopt);
  view.flags_changed(std::array{Uid(12)}, ModSeq(30));
  view.expunged(std::array{Uid(11)}, ModSeq(31));
  view.arrived(std::array{Uid(16)}, ModSeq(32));
  EXPECT_EQ(view.first_untold(), ModSeq(30));
  EXPECT_TRUE(view.told_flags(Uid(12)));
  EXPECT_FALSE(view.told_flags(Uid(12))) << "once";
  EXPECT_EQ(view.first_untold(), ModSeq(31));
  std::string out;
  EXPECT_TRUE(view.tell_expunges(out, 9, View::Expunges::as_uids));
  EXPECT_EQ(view.first_untold(), ModSeq(32));
  view.tell_arrivals(out);
  EXPECT_EQ(view.first_untold(), std::nullopt);
  view.flags_changed(std::array{Uid(12)}, ModSeq(40));
  EXPECT_EQ(view.first_untold(), ModSeq(40)) << "not that of a change that was told";
}

}  // namespace
}  // namespace rims::imapd
