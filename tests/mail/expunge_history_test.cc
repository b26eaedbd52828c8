// tests/mail/expunge_history_test.cc - what has gone since when, from records alone

#include "common/mail/expunge_history.h"

#include <gtest/gtest.h>

#include "common/mail/state.h"

namespace rims::store {
namespace {

constexpr MailboxId kInbox{1}, kOther{2};
using Ranges = std::vector<UidRange>;

class History : public testing::Test {
 protected:
  History() {
    apply(MailboxCreated{kInbox, UidValidity(1), SpecialUse::none, false, "INBOX"});    // 1
    apply(MailboxCreated{kOther, UidValidity(2), SpecialUse::none, false, "Archive"});  // 2
  }
  template <class R>
  void apply(R record) {
    const JournalEvent event{
        .seq = ++seq_, .time = 100, .location = {}, .dropped = false, .record = std::move(record)};
    state_.apply(event);
    history_.follow(event, {}, state_);
  }
  void append(uint32_t uid, MailboxId mailbox = kInbox) {
    Append record;
    record.mailbox = mailbox;
    record.entry.uid = Uid(uid);
    record.entry.message = MessageId(seq_ + 1);
    apply(record);
  }
  [[nodiscard]] Ranges since(uint64_t modseq, MailboxId mailbox = kInbox) const {
    return history_.vanished(mailbox, ModSeq(modseq));
  }

  AccountState state_;
  ExpungeHistory history_;
  uint64_t seq_ = 0;
};

TEST_F(History, TheModseqAskedForIsNotPartOfTheAnswer) {
  for (uint32_t uid = 1; uid <= 5; uid++) append(uid);  // 3 to 7
  apply(Expunge{kInbox, {{2, 3}}});                     // 8
  apply(Expunge{kInbox, {{5, 5}}});                     // 9
  EXPECT_EQ(since(0), (Ranges{{2, 3}, {5, 5}}));
  EXPECT_EQ(since(7), (Ranges{{2, 3}, {5, 5}}));
  EXPECT_EQ(since(8), (Ranges{{5, 5}}));
  EXPECT_EQ(since(9), Ranges());
  EXPECT_EQ(since(UINT64_MAX), Ranges());
  EXPECT_EQ(since(0, kOther), Ranges());
  ASSERT_EQ(history_.of(kInbox).size(), 2U);
  EXPECT_EQ(history_.of(kInbox)[1],
            (ExpungedRange{.modseq = ModSeq(9), .time = 100, .uids = {5, 5}}));
}

TEST_F(History, AllRangesOfARecordHaveItsModseq) {
  for (uint32_t uid = 1; uid <= 9; uid++) append(uid);  // 3 to 11
  apply(Expunge{kInbox, {{1, 2}, {4, 4}, {8, 9}}});     // 12
  EXPECT_EQ(since(11), (Ranges{{1, 2}, {4, 4}, {8, 9}}));
  EXPECT_EQ(since(12), Ranges());
}

TEST_F(History, RangesAreMergedInOrder) {
  for (uint32_t uid = 1; uid <= 9; uid++) append(uid);
  apply(Expunge{kInbox, {{7, 7}}});
  apply(Expunge{kInbox, {{2, 2}, {5, 5}}});
  apply(Expunge{kInbox, {{3, 4}, {9, 9}}});
  EXPECT_EQ(since(0), (Ranges{{2, 5}, {7, 7}, {9, 9}}));
}

TEST_F(History, OnlyKnownUidsAreTold) {
  for (uint32_t uid = 1; uid <= 9; uid++) append(uid);
  apply(Expunge{kInbox, {{1, 3}, {5, 5}, {7, 9}}});
  const Ranges known{{2, 2}, {4, 4}, {6, 8}, {20, UINT32_MAX}};
  EXPECT_EQ(history_.vanished(kInbox, ModSeq(0), known), (Ranges{{2, 2}, {7, 8}}));
  EXPECT_EQ(history_.vanished(kInbox, ModSeq(0), Ranges()), Ranges());
  const Ranges all{{1, UINT32_MAX}};
  EXPECT_EQ(history_.vanished(kInbox, ModSeq(0), all), since(0));
}

TEST_F(History, AMoveTakesFromTheSourceOnly) {
  append(1);  // 3
  append(2);  // 4
  Copy copy{
      .from = kInbox, .to = kOther, .items = {{.source = Uid(2), .entry = {}, .keywords = {}}}};
  copy.items[0].entry.uid = Uid(1);
  copy.items[0].entry.message = MessageId(4);
  apply(copy);                       // 5
  apply(Expunge{kInbox, {{2, 2}}});  // 6
  EXPECT_EQ(since(5), (Ranges{{2, 2}}));
  EXPECT_EQ(since(0, kOther), Ranges());
}

TEST_F(History, GoesWithTheMailbox) {
  append(1, kOther);
  apply(Expunge{kOther, {{1, 1}}});
  EXPECT_EQ(since(0, kOther), (Ranges{{1, 1}}));
  apply(MailboxRenamed{kOther, "Elsewhere"});
  EXPECT_EQ(since(0, kOther), (Ranges{{1, 1}}));
  apply(MailboxRemoved{kOther});
  EXPECT_EQ(since(0, kOther), Ranges());
  apply(Expunge{kOther, {{1, 1}}});  // of an older time
  EXPECT_EQ(since(0, kOther), Ranges());
}

TEST_F(History, GoesWithAMailboxThatOnlyASnapshotRemoves) {
  append(1, kOther);
  apply(Expunge{kOther, {{1, 1}}});
  Snapshot part{.whole = false, .mailboxes = {}, .removed = {{2, 2}}, .subscribed = {}};
  apply(part);
  EXPECT_EQ(since(0, kOther), Ranges());
  EXPECT_FALSE(state_.mailbox(kOther));
}

TEST_F(History, GoesWithAMailboxThatAWholeSnapshotDoesNotHave) {
  append(1);
  apply(Expunge{kInbox, {{1, 1}}});
  append(1, kOther);
  apply(Expunge{kOther, {{1, 1}}});
  Snapshot all = state_.snapshot();
  std::erase_if(all.mailboxes, [](const auto& m) { return m.id == kOther; });
  apply(all);
  EXPECT_EQ(since(0, kOther), Ranges());
  EXPECT_EQ(since(0), (Ranges{{1, 1}}));
}

TEST_F(History, WhatIsKeptElsewhereIsDroppedFromTheFront) {
  for (uint32_t uid = 1; uid <= 3; uid++) append(uid);
  for (uint32_t uid = 1; uid <= 3; uid++) apply(Expunge{kInbox, {{uid, uid}}});
  history_.drop(kInbox, 2);
  EXPECT_EQ(since(0), (Ranges{{3, 3}}));
  history_.drop(kInbox, 1);
  EXPECT_TRUE(history_.of(kInbox).empty());
}

TEST(ExpungedUids, TheLastNumberHasNoSuccessor) {
  const std::vector<ExpungedRange> all{{ModSeq(1), 0, {UINT32_MAX, UINT32_MAX}},
                                       {ModSeq(2), 0, {1, 1}}};
  EXPECT_EQ(merged(all), (Ranges{{1, 1}, {UINT32_MAX, UINT32_MAX}}));
}

}  // namespace
}  // namespace rims::store
