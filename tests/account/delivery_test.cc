// tests/account/delivery_test.cc - a delivery that is handed in again is stored once

#include <array>

#include "tests/account/fixture.h"

namespace rims::store {
namespace {

constexpr uint32_t kDay = 86'400;

DeliveryKey key_of(uint32_t n) {
  DeliveryKey key{};
  key[0] = 1;
  for (size_t i = 0; i < 4; i++) key[i + 4] = static_cast<uint8_t>(n >> (8 * i) & 0xff);
  return key;
}

class DeliveryTest : public StoreTest {
 protected:
  Options options() override {
    Options o = StoreTest::options();
    o.clock = [this] { return now_; };
    return o;
  }
  Task<Result<Appended>> deliver(std::shared_ptr<Account> account, uint32_t n,
                                 std::string mailbox = "INBOX") {
    std::vector<NewMessage> list;
    list.push_back(message("delivery " + std::to_string(n)));
    list[0].delivery_id = "Q" + std::to_string(n);
    list[0].delivery_key = key_of(n);
    list[0].duplicate_window = window_;
    const MailboxId id = account->find(mailbox)->id;
    co_return co_await account->append(id, std::move(list));
  }
  // "new 1": stored as uid 1; "old 1": it is there as uid 1.
  std::string say(uint32_t n) {
    const auto made = must(deliver(open(), n));
    return (made.repeated != 0 ? "old " : "new ") + std::to_string(made.uids.at(0).value);
  }
  uint32_t count() { return open()->find("INBOX")->messages; }

  int64_t now_ = 1'700'000'000;
  uint32_t window_ = 7 * kDay;
};

TEST_F(DeliveryTest, ARepeatedOneIsStoredOnce) {
  EXPECT_EQ(say(1), "new 1");
  EXPECT_EQ(say(2), "new 2");
  const auto records = journals_.disk("foo").records.size();
  EXPECT_EQ(say(1), "old 1");
  EXPECT_EQ(say(2), "old 2");
  EXPECT_EQ(count(), 2U);
  EXPECT_EQ(journals_.disk("foo").records.size(), records) << "nothing is written for it";
}

TEST_F(DeliveryTest, ItIsKnownAfterACleanStopWithoutReadingTheJournal) {
  say(1);
  say(2);
  reopen();
  open();
  // A clean opening takes the state from the index: what the journal says is not looked at.
  EXPECT_EQ(snapshot(open()).deliveries().taken(), 2U);
  EXPECT_EQ(say(2), "old 2");
  reopen();
  EXPECT_EQ(say(1), "old 1");
  EXPECT_EQ(say(3), "new 3");
}

TEST_F(DeliveryTest, ItIsKnownAfterAKill) {
  say(1);
  kill();
  EXPECT_EQ(say(1), "old 1");
  EXPECT_EQ(count(), 1U);
}

TEST_F(DeliveryTest, ItIsKnownWhenTheOutcomeWasUnknown) {
  open();
  journals_.fate = [](const std::string&, std::span<const Draft>) {
    return MemoryJournals::Fate::fail_written;
  };
  EXPECT_FALSE(run(loop_, deliver(open(), 1)));
  journals_.fate = nullptr;
  EXPECT_EQ(say(1), "old 1");
  EXPECT_EQ(count(), 1U);
}

TEST_F(DeliveryTest, WhatWasNotWrittenIsNew) {
  open();
  journals_.fate = [](const std::string&, std::span<const Draft>) {
    return MemoryJournals::Fate::fail;
  };
  EXPECT_FALSE(run(loop_, deliver(open(), 1)));
  journals_.fate = nullptr;
  EXPECT_EQ(say(1), "new 1");
  EXPECT_EQ(count(), 1U);
}

TEST_F(DeliveryTest, AnExpungedOneWasDeliveredAllTheSame) {
  say(1);
  must(open()->expunge(inbox(open()), uids({1})));
  EXPECT_EQ(say(1), "old 1");
  EXPECT_EQ(count(), 0U);
  reopen();
  EXPECT_EQ(say(1), "old 1");
}

TEST_F(DeliveryTest, TheWindowIsThatOfTheRecordsTime) {
  say(1);
  now_ += window_;
  EXPECT_EQ(say(1), "old 1");
  now_ += 1;
  EXPECT_EQ(say(1), "new 2");
  EXPECT_EQ(say(1), "old 2") << "the latest counts";
  now_ -= 365 * int64_t{kDay};  // the clock is set back
  EXPECT_EQ(say(1), "old 2");
}

TEST_F(DeliveryTest, AWindowOfNothingStoresEachOne) {
  window_ = 0;
  EXPECT_EQ(say(1), "new 1");
  EXPECT_EQ(say(1), "new 2");
  window_ = kDay;
  EXPECT_EQ(say(1), "old 2") << "they were remembered all the same";
}

TEST_F(DeliveryTest, WithoutAKeyNothingIsMerged) {
  for (int i = 0; i < 2; i++) must(open()->append(inbox(open()), messages({"same"})));
  EXPECT_EQ(count(), 2U);
}

Task<void> into(Task<Result<Appended>> delivery, std::string* said, int* waiting) {
  auto made = co_await std::move(delivery);
  EXPECT_TRUE(made);
  if (made) *said = (made->repeated != 0 ? "old " : "new ") + std::to_string(made->uids[0].value);
  --*waiting;
}

Task<void> until_none(Loop* loop, const int* waiting) {
  while (*waiting != 0) co_await sleep_for(*loop, Milliseconds(1));
}

TEST_F(DeliveryTest, TheFirstMayStillBeBeingWritten) {
  const auto account = open();
  Scope scope(loop_);
  std::array<std::string, 6> said;
  int waiting = 6;
  // All in one or two commits: the same one several times, others between.
  for (size_t i = 0; i < said.size(); i++)
    scope.spawn(into(deliver(account, i % 2 == 0 ? 1 : 2), &said[i], &waiting));
  run(loop_, until_none(&loop_, &waiting));
  EXPECT_EQ(count(), 2U);
  int fresh = 0;
  for (const auto& one : said) fresh += one.starts_with("new") ? 1 : 0;
  EXPECT_EQ(fresh, 2);
  for (size_t i = 2; i < said.size(); i++) EXPECT_EQ(said[i].substr(4), said[i % 2].substr(4));
}

TEST_F(DeliveryTest, AnotherWriterMayHaveBeenFaster) {
  now_ = 1000;  // its record is of the time 0
  const auto account = open();
  Append record;
  record.mailbox = inbox(account);
  record.entry.uid = Uid(1);
  record.entry.message = MessageId(1);
  record.delivery_key = key_of(1);
  journals_.intrude("foo", record);
  EXPECT_EQ(say(1), "old 1");
  check_at_end_.clear();  // its bytes are nowhere
}

TEST_F(DeliveryTest, ManyAreKeptInARingThatTheIndexWritesInPieces) {
  const auto fold = [](AccountState& state, uint64_t seq, uint32_t n) {
    Append record;
    record.mailbox = MailboxId(1);
    record.entry.uid = Uid(n + 1);
    record.entry.message = MessageId(n + 1);
    record.delivery_key = key_of(n);
    state.apply({.seq = seq, .time = 1'700'000'000 + n, .location = {}, .record = record});
  };
  AccountState state;
  state.apply({.seq = 1,
               .time = 1,
               .location = {},
               .record = MailboxCreated{MailboxId(1), UidValidity(1), {}, false, "INBOX"}});
  const uint32_t many = Deliveries::kKept + 200;
  for (uint32_t n = 0; n < many; n++) fold(state, n + 2, n);
  const auto& kept = state.deliveries();
  EXPECT_EQ(kept.taken(), many);
  EXPECT_EQ(kept.first_kept(), 200U);
  const uint32_t now = 1'700'000'000 + many;
  EXPECT_EQ(kept.find(key_of(199), now, kDay), nullptr);
  ASSERT_NE(kept.find(key_of(200), now, kDay), nullptr);
  EXPECT_EQ(kept.find(key_of(200), now, kDay)->uid, Uid(201));

  IndexHead head;
  head.deliveries_taken = kept.taken();
  head.deliveries_kept = static_cast<uint32_t>(kept.taken() - kept.first_kept());
  const auto get = [&](size_t chunk) { return IndexCodec::encode_deliveries(kept, chunk); };
  AccountState back;
  ASSERT_TRUE(IndexCodec::decode_deliveries(head, get, back));
  EXPECT_EQ(back.deliveries(), kept);
  // A head or a piece that does not fit: rebuild.
  head.deliveries_kept = Deliveries::kKept + 1;
  AccountState none;
  EXPECT_FALSE(IndexCodec::decode_deliveries(head, get, none));
  head.deliveries_kept = 1;
  const auto zeros = [](size_t) { return std::string(kDeliveriesPerChunk * kDeliverySlot, '\0'); };
  EXPECT_FALSE(IndexCodec::decode_deliveries(head, zeros, none));
  EXPECT_FALSE(IndexCodec::decode_deliveries(head, [](size_t) { return std::string(); }, none));
}

TEST_F(DeliveryTest, TheOldestGoFirstWhenTheRecordsSayThatTheirTimeIsOver) {
  Deliveries kept;
  kept.add({key_of(1), 1'700'000'000, MailboxId(1), Uid(1)});
  kept.add({key_of(2), 1'700'000'001, MailboxId(1), Uid(2)});
  kept.add({key_of(3), 1'700'000'000 + Deliveries::kLongestWindow + 1, MailboxId(1), Uid(3)});
  EXPECT_EQ(kept.first_kept(), 1U);
  EXPECT_EQ(kept.taken(), 3U);
}

TEST_F(DeliveryTest, AThousandLostAnswersMakeNoSecondCopy) {
  // Every delivery's answer is lost after the commit, some more than once; each is tried again
  // until it is acknowledged, with stops and kills between.
  uint32_t lost = 0;
  for (uint32_t n = 1; n <= 1000; n++) {
    const uint32_t times = 1 + n % 3;
    for (uint32_t i = 0; i < times; i++) {
      open();
      journals_.fate = [](const std::string&, std::span<const Draft> drafts) {
        return drafts[0].type == RecordType::append ? MemoryJournals::Fate::fail_written
                                                    : MemoryJournals::Fate::commit;
      };
      auto result = run(loop_, deliver(open(), n));
      lost += result ? 0 : 1;
      journals_.fate = nullptr;
      if (n % 50 == 0) kill();
      if (n % 70 == 0) reopen();
    }
    EXPECT_EQ(say(n), "old " + std::to_string(n));
  }
  EXPECT_EQ(lost, 1000U);
  EXPECT_EQ(count(), 1000U);
}

}  // namespace
}  // namespace rims::store
