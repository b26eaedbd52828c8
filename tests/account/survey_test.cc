// tests/account/survey_test.cc - which messages of a journal are dead and since when

#include <memory>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "common/account/compaction.h"
#include "common/mail/records.h"

namespace rims::store {
namespace {

class SurveyTest : public ::testing::Test {
 protected:
  static constexpr int64_t kNow = 1'000'000;
  template <class Record>
  void add(uint32_t time, const Record& record, bool dropped = false) {
    survey_.add({.seq = ++seq_,
                 .time = time,
                 .location = {.segment = 1 + static_cast<uint32_t>(seq_ / 100), .body = 10},
                 .dropped = dropped,
                 .record = record});
  }
  void mailbox(uint32_t id) {
    add(100, MailboxCreated{MailboxId(id), UidValidity(id), SpecialUse::none, false,
                            "m" + std::to_string(id)});
  }
  static MessageEntry entry(uint32_t uid, uint64_t message) {
    MessageEntry e;
    e.uid = Uid(uid);
    e.message = MessageId(message);
    e.size = 10;
    return e;
  }
  void append(uint32_t id, uint32_t uid, uint64_t message) {
    add(100, Append{MailboxId(id), entry(uid, message), {}, ""});
  }
  std::vector<uint64_t> dead(int64_t retention) {
    std::vector<uint64_t> ids;
    for (const auto& [segment, waste] : survey_.waste(retention)) {
      for (const MessageId message : waste.messages) ids.push_back(message.value);
    }
    return ids;
  }
  using Ids = std::vector<uint64_t>;
  uint64_t seq_ = 0;
  Survey survey_{kNow};
};

TEST_F(SurveyTest, AMessageIsDeadWhenItsLastEntryWentLongEnoughAgo) {
  mailbox(1);
  mailbox(2);
  for (uint32_t i = 1; i <= 5; i++) append(1, i, i);
  add(200,
      Copy{MailboxId(1), MailboxId(2), {{Uid(1), entry(1, 1), {}}, {Uid(2), entry(2, 2), {}}}});
  add(300, Expunge{MailboxId(1), {{1, 3}}});
  EXPECT_EQ(dead(0), Ids{3}) << "1 and 2 have a copy";
  add(400, Expunge{MailboxId(2), {{2, 2}}});
  EXPECT_EQ(dead(0), (Ids{2, 3}));
  EXPECT_EQ(dead(kNow - 300), Ids{3});
  EXPECT_EQ(dead(kNow - 299), Ids{});
  add(500, MailboxRemoved{MailboxId(1)});
  EXPECT_EQ(dead(kNow - 500), (Ids{2, 3, 4, 5})) << "4 and 5 went with their mailbox";
  EXPECT_EQ(dead(kNow - 499), (Ids{2, 3}));
}

TEST_F(SurveyTest, AMoveKeepsTheBytes) {
  mailbox(1);
  mailbox(2);
  append(1, 1, 1);
  add(200, Copy{MailboxId(1), MailboxId(2), {{Uid(1), entry(1, 1), {}}}});
  add(200, Expunge{MailboxId(1), {{1, 1}}});
  EXPECT_EQ(dead(0), Ids{});
}

TEST_F(SurveyTest, AMessageThatCameBackAndWentAgainCountsFromThen) {
  mailbox(1);
  append(1, 1, 1);
  add(200, Expunge{MailboxId(1), {{1, 1}}});
  add(300, Copy{MailboxId(1), MailboxId(1), {{Uid(1), entry(2, 1), {}}}});
  EXPECT_EQ(dead(0), Ids{});
  add(900, Expunge{MailboxId(1), {{2, 2}}});
  EXPECT_EQ(dead(kNow - 900), Ids{1});
  EXPECT_EQ(dead(kNow - 899), Ids{});
}

TEST_F(SurveyTest, WhatWasDroppedIsNotDeadOnceMore) {
  mailbox(1);
  add(100, Append{MailboxId(1), entry(1, 1), {}, ""}, true);
  add(200, Expunge{MailboxId(1), {{1, 1}}});
  EXPECT_EQ(dead(0), Ids{});
}

TEST_F(SurveyTest, AClockThatGoesBackMakesNothingOlder) {
  mailbox(1);
  append(1, 1, 1);
  add(900'000, Flags{MailboxId(1), FlagOp::add, kSeen, {}, {{1, 1}}});
  add(5, Expunge{MailboxId(1), {{1, 1}}});
  EXPECT_EQ(dead(kNow - 900'000 + 1), Ids{});
  EXPECT_EQ(dead(kNow - 900'000), Ids{1});
}

TEST_F(SurveyTest, ATimeThatCanNotBeIsThatOfTheNextRecord) {
  for (const uint32_t wrong : {0U, static_cast<uint32_t>(kNow) + 1}) {
    survey_ = Survey(kNow);
    seq_ = 0;
    mailbox(1);
    append(1, 1, 1);
    add(wrong, Expunge{MailboxId(1), {{1, 1}}});
    EXPECT_EQ(dead(1), Ids{}) << "nobody knows when";
    EXPECT_EQ(dead(0), Ids{1}) << "it does not matter";
    add(700, Recent{MailboxId(1), Uid(1)});
    EXPECT_EQ(dead(kNow - 699), Ids{});
    EXPECT_EQ(dead(kNow - 700), Ids{1});
  }
}

TEST_F(SurveyTest, AMessageThatNeverHadAnEntryIsDeadFromItsTime) {
  mailbox(1);
  add(150, MailboxRemoved{MailboxId(1)});
  add(200, Append{MailboxId(1), entry(1, 1), {}, ""});
  EXPECT_EQ(dead(kNow - 200), Ids{1});
  EXPECT_EQ(dead(kNow - 199), Ids{});
}

TEST(Worth, MoreThanHalfMustBeDead) {
  const CompactionRules rules{.retention = 0, .small = 1000};
  EXPECT_FALSE(worth({1, 100, true}, {50, {}}, rules));
  EXPECT_TRUE(worth({1, 100, true}, {51, {}}, rules));
  EXPECT_FALSE(worth({1, 1500, false}, {1000, {}}, rules)) << "too little to seal it";
  EXPECT_TRUE(worth({1, 1500, false}, {1001, {}}, rules));
  EXPECT_FALSE(worth({1, 4000, false}, {1001, {}}, rules));
}

}  // namespace
}  // namespace rims::store
