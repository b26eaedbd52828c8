// tests/account/large_test.cc - changes of so many messages that they are several records

#include <algorithm>

#include "tests/account/fixture.h"

namespace rims::store {
namespace {

constexpr uint32_t kMany = 2 * Plan::kPiece + 1000;

// What is told.
class Heard : public Listener {
 public:
  void appended(MailboxId, std::span<const Uid> uids, const void*) override { hear(uids); }
  void flags_changed(MailboxId, std::span<const Uid> uids, ModSeq, const void*) override {
    hear(uids);
  }
  void expunged(MailboxId, std::span<const Uid> uids, ModSeq, const void*) override { hear(uids); }

  void forget() { messages = largest = pieces = 0; }
  size_t messages = 0, largest = 0, pieces = 0;

 private:
  void hear(std::span<const Uid> uids) {
    messages += uids.size();
    largest = std::max(largest, uids.size());
    pieces++;
    EXPECT_TRUE(std::ranges::is_sorted(uids));
  }
};

class Large : public StoreTest {
 protected:
  std::vector<Uid> all(const std::shared_ptr<Account>& account, const char* name) {
    const auto mailbox = must(account->open_mailbox(account->find(name)->id));
    std::vector<Uid> list;
    for (const auto& e : mailbox->messages()) list.push_back(e.uid);
    return list;
  }
  // INBOX with kMany messages.
  std::shared_ptr<Account> filled() {
    const auto account = open();
    must(account->append(inbox(account), messages({"1"})));
    while (account->find("INBOX")->messages < kMany) {
      auto some = all(account, "INBOX");
      some.resize(std::min<size_t>(some.size(), kMany - some.size()));
      must(account->copy(inbox(account), some, inbox(account)));
    }
    return account;
  }
  uint64_t appends() { return journals_.disk("foo").appends; }
};

TEST_F(Large, OneCommitOfSeveralRecordsToldInPieces) {
  const auto account = filled();
  Heard heard;
  account->listen(&heard);
  const auto trash = account->find("Trash")->id;
  const auto from = all(account, "INBOX");
  uint64_t commits = appends();
  const auto expect_one_commit = [&](size_t count) {
    EXPECT_EQ(appends(), commits + 1);
    EXPECT_EQ(heard.messages, count);
    EXPECT_LE(heard.largest, Plan::kPiece);
    EXPECT_GE(heard.pieces, 3U);
    commits = appends();
    heard.forget();
  };

  const auto copied = must(account->copy(inbox(account), from, trash));
  expect_one_commit(kMany);
  ASSERT_EQ(copied.uids.size(), kMany);
  EXPECT_EQ(copied.uids.back(), std::pair(from.back(), Uid(kMany)));

  const auto outcomes = must(account->change_flags(
      trash,
      {.uids = all(account, "Trash"), .op = FlagOp::add, .flags = kSeen, .keywords = {"k"}}));
  expect_one_commit(kMany);
  EXPECT_TRUE(std::ranges::all_of(outcomes, [](const FlagOutcome& o) {
    return o.verdict == FlagOutcome::Verdict::changed && o.flags == kSeen && o.keywords.value != 0;
  }));

  // All but each hundredth.
  std::vector<Uid> doomed;
  for (const Uid uid : all(account, "Trash"))
    if (uid.value % 100 != 0) doomed.push_back(uid);
  EXPECT_EQ(must(account->expunge(trash, doomed)), doomed);
  expect_one_commit(doomed.size());

  must(account->rename("INBOX", "old"));
  EXPECT_EQ(appends(), commits + 1);
  EXPECT_LE(heard.largest, Plan::kPiece);
  EXPECT_EQ(heard.messages, 2U * kMany);  // come, and gone
  account->unlisten(&heard);

  // The same from the journal.
  const auto left = all(account, "Trash"), old = all(account, "old");
  EXPECT_EQ(left.size(), kMany - doomed.size());
  EXPECT_EQ(old.size(), kMany);
  kill();
  const auto again = open();
  EXPECT_EQ(all(again, "Trash"), left);
  EXPECT_EQ(all(again, "old"), old);
  EXPECT_EQ(again->find("INBOX")->messages, 0U);
}

TEST_F(Large, AMoveIsOneCommit) {
  const auto account = filled();
  const uint64_t commits = appends();
  const auto trash = account->find("Trash")->id;
  EXPECT_EQ(must(account->move(inbox(account), all(account, "INBOX"), trash)).uids.size(), kMany);
  EXPECT_EQ(appends(), commits + 1);
  EXPECT_EQ(account->find("INBOX")->messages, 0U);
  EXPECT_EQ(account->find("Trash")->messages, kMany);
}

TEST_F(Large, NothingOfItIsSeenWhenItCanNotBeWritten) {
  auto account = filled();
  const auto from = inbox(account);
  journals_.fate = [](const std::string&, std::span<const Draft> drafts) {
    return drafts.size() > 2 ? MemoryJournals::Fate::fail : MemoryJournals::Fate::commit;
  };
  EXPECT_FALSE(run(loop_, account->copy(from, all(account, "INBOX"), from)));
  journals_.fate = {};
  account = open();
  EXPECT_EQ(account->find("INBOX")->messages, kMany);
}

TEST_F(Large, ItIsPlannedAgainAfterALostRace) {
  const auto account = filled();
  const auto from = all(account, "INBOX");
  journals_.intrude("foo", Expunge{inbox(account), {{1, 10}}});
  const auto copied = must(account->copy(inbox(account), from, account->find("Trash")->id));
  EXPECT_EQ(copied.uids.size(), kMany - 10);
  EXPECT_EQ(copied.uids.front(), std::pair(Uid(11), Uid(1)));
  EXPECT_EQ(account->find("Trash")->messages, kMany - 10);
}

// Of what is durable: another task may run between two pieces.
TEST_F(Large, OthersSeeWholePiecesOnly) {
  const auto account = filled();
  const auto trash = account->find("Trash")->id;
  std::vector<uint32_t> seen;
  bool done = false;
  {
    Scope scope(loop_);
    const auto look = [](Loop* loop, std::shared_ptr<Account> a, std::vector<uint32_t>* out,
                         const bool* end) -> Task<void> {
      while (!*end) {
        out->push_back(a->find("Trash")->messages);
        co_await sleep_for(*loop, Milliseconds(0));
      }
    };
    const auto copy = [](std::shared_ptr<Account> a, MailboxId from, std::vector<Uid> uids,
                         MailboxId to, bool* end) -> Task<void> {
      EXPECT_TRUE(co_await a->copy(from, std::move(uids), to));
      *end = true;
    };
    scope.spawn(look(&loop_, account, &seen, &done));
    scope.spawn(copy(account, inbox(account), all(account, "INBOX"), trash, &done));
    run(loop_, scope.join());
  }
  const std::set<uint32_t> states(seen.begin(), seen.end());
  for (const uint32_t n : states) EXPECT_TRUE(n == kMany || n % Plan::kPiece == 0) << n;
}

}  // namespace
}  // namespace rims::store
