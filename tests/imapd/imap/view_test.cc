// tests/imapd/imap/view_test.cc - what a client is told, and when

#include "imapd/imap/view.h"

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
  view.expunged(Uid(11));
  EXPECT_EQ(view.seq_of(Uid(12)), SeqNum(2)) << "numbers do not move before the telling";
  EXPECT_EQ(view.size(), 3U);
  std::string out;
  view.tell_expunges(out);
  EXPECT_EQ(out, "* 1 EXPUNGE\r\n");
  EXPECT_EQ(uids_of(view), Uids({12, 15}));
  EXPECT_FALSE(view.has_news());
}

TEST(View, TellsExpungesFromTheHighestNumberDown) {
  View view;
  view.reset({1, 2, 3, 4, 5});
  for (const uint32_t uid : {2U, 5U, 3U}) view.expunged(Uid(uid));
  std::string out;
  view.tell_expunges(out);
  EXPECT_EQ(out, "* 5 EXPUNGE\r\n* 3 EXPUNGE\r\n* 2 EXPUNGE\r\n");
  EXPECT_EQ(uids_of(view), Uids({1, 4}));
}

TEST(View, CountsArrivalsOnlyWhenTold) {
  View view = three();
  view.arrived(Uid(16));
  EXPECT_EQ(view.seq_of(Uid(16)), SeqNum(0));
  std::string out;
  view.add_recent(Uid(16), Uid(16));
  view.tell_arrivals(out);
  EXPECT_EQ(out, "* 4 EXISTS\r\n* 1 RECENT\r\n");
  EXPECT_EQ(view.seq_of(Uid(16)), SeqNum(4));
}

TEST(View, SaysNothingOfAMessageThatCameAndWent) {
  View view = three();
  view.arrived(Uid(16));
  view.expunged(Uid(16));
  EXPECT_FALSE(view.has_news());
  std::string out;
  view.tell_arrivals(out);
  view.tell_expunges(out);
  EXPECT_EQ(out, "");
}

TEST(View, KeepsChangedFlagsOnceEachAndInOrder) {
  View view = three();
  for (const uint32_t uid : {15U, 11U, 15U, 12U}) view.flags_changed(Uid(uid));
  view.told_flags(Uid(12));
  EXPECT_EQ(view.take_changed(), Uids({11, 15}));
  EXPECT_FALSE(view.has_news());
}

TEST(View, DropsChangedFlagsOfWhatIsGoneOrNotYetTold) {
  View view = three();
  view.flags_changed(Uid(11));
  view.expunged(Uid(11));
  view.arrived(Uid(16));
  view.flags_changed(Uid(16));
  EXPECT_EQ(view.take_changed(), Uids());
}

TEST(View, KnowsRecentByRange) {  // RFC 3501 §2.3.2
  View view = three();
  view.add_recent(Uid(12), Uid(15));
  view.arrived(Uid(16));
  view.arrived(Uid(20));
  view.add_recent(Uid(20), Uid(20));
  EXPECT_FALSE(view.is_recent(Uid(11)));
  EXPECT_TRUE(view.is_recent(Uid(12)));
  EXPECT_FALSE(view.is_recent(Uid(16)));
  EXPECT_TRUE(view.is_recent(Uid(20)));
  EXPECT_EQ(view.recent_count(), 3U);
  view.expunged(Uid(12));
  std::string out;
  view.tell_expunges(out);
  EXPECT_EQ(view.recent_count(), 2U);
}

TEST(View, ForgetsEverythingWhenAnotherMailboxIsSelected) {
  View view = three();
  view.add_recent(Uid(11), Uid(15));
  view.arrived(Uid(16));
  view.expunged(Uid(12));
  view.reset({3});
  EXPECT_FALSE(view.has_news());
  EXPECT_EQ(view.recent_count(), 0U);
  EXPECT_EQ(uids_of(view), Uids({3}));
}

TEST(View, ExpungesManyInOnePass) {
  constexpr uint32_t kMany = 100'000;
  View view;
  Uids all;
  for (uint32_t uid = 1; uid <= kMany; uid++) all.push_back(uid);
  view.reset(all);
  for (uint32_t uid = 1; uid <= kMany; uid += 2) view.expunged(Uid(uid));
  std::string out;
  view.tell_expunges(out);
  EXPECT_EQ(view.size(), kMany / 2);
  EXPECT_TRUE(out.starts_with("* 99999 EXPUNGE\r\n"));
  EXPECT_TRUE(out.ends_with("* 1 EXPUNGE\r\n"));
}

}  // namespace
}  // namespace rims::imapd
