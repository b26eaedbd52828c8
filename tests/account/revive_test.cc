// tests/account/revive_test.cc - what was expunged is listed, and comes back

#include "common/maintenance/expunged.h"
#include "tests/account/file_fixture.h"

namespace rims::store {
namespace {

class ReviveTest : public FileTest {
 protected:
  std::vector<Expunged> list() {
    auto base = open_base(base_);
    auto reader = JournalReader::open(*base, "foo");
    EXPECT_TRUE(reader);
    auto found = list_expunged(*reader);
    EXPECT_TRUE(found) << (found ? "" : found.error().detail());
    return *std::move(found);
  }
  std::vector<Revival> revivals() {
    std::vector<Revival> all;
    for (auto& gone : list()) all.push_back(std::move(gone.message));
    return all;
  }
};

TEST_F(ReviveTest, ExpungedMessagesComeBackAsTheyWere) {
  auto account = open();
  std::vector<NewMessage> three;
  three.push_back(message("one", kSeen, {"$Work", "late"}));
  three.push_back(message("two", kFlagged));
  three.push_back(message("three"));
  must(account->append(inbox(account), std::move(three)));
  EXPECT_TRUE(list().empty());
  now_ += 100;
  must(account->expunge(inbox(account), uids({1, 2})));
  const auto gone = list();
  ASSERT_EQ(gone.size(), 2U);
  EXPECT_EQ(gone[0].mailbox, "INBOX");
  EXPECT_EQ(gone[0].time, now_);
  EXPECT_EQ(gone[0].message.uid, Uid(1));
  EXPECT_EQ(gone[0].message.size, 3U);
  EXPECT_EQ(gone[0].message.keywords, (std::vector<std::string>{"$Work", "late"}));

  const auto modseq = account->modseq();
  const auto back = must(account->revive(inbox(account), revivals()));
  EXPECT_EQ(numbers(back.uids), (std::vector<uint32_t>{4, 5}));
  EXPECT_EQ(back.uidvalidity, account->find("INBOX")->uidvalidity);
  EXPECT_EQ(account->modseq().value, modseq.value + 1) << "one record for both";
  const auto mailbox = must(account->open_mailbox(inbox(account)));
  const auto* e = mailbox->find(Uid(4));
  ASSERT_NE(e, nullptr);
  EXPECT_EQ(e->flags, kSeen);
  EXPECT_EQ(mailbox->keywords_of(*e), (std::vector<std::string>{"$Work", "late"}));
  EXPECT_EQ(e->date, 1'000'000'000);
  EXPECT_EQ(e->zone, 540);
  EXPECT_EQ(must(account->read(e->message)), "one");
  EXPECT_EQ(must(account->read_structure(e->message)), "structure of one");
  EXPECT_TRUE(list().empty()) << "what is back is not offered again";
  account.reset();
  reopen();
  EXPECT_EQ(must(open()->open_mailbox(inbox(open())))->messages().size(), 3U);
}

TEST_F(ReviveTest, KeywordsGetTheBitsOfTheOtherMailbox) {
  auto account = open();
  must(account->create("other"));
  const auto other = account->find("other")->id;
  std::vector<NewMessage> first;
  first.push_back(message("x", 0, {"b"}));
  must(account->append(other, std::move(first)));
  std::vector<NewMessage> second;
  second.push_back(message("y", 0, {"a", "b"}));
  must(account->append(inbox(account), std::move(second)));
  must(account->expunge(inbox(account), uids({1})));
  must(account->revive(other, revivals()));
  const auto mailbox = must(account->open_mailbox(other));
  ASSERT_EQ(mailbox->messages().size(), 2U);
  EXPECT_EQ(mailbox->keywords().names(), (std::vector<std::string>{"b", "a"}));
  EXPECT_EQ(mailbox->keywords_of(mailbox->messages()[1]), (std::vector<std::string>{"b", "a"}));
}

TEST_F(ReviveTest, AMovedMessageIsNotGoneAndADeletedMailboxesMessagesAre) {
  auto account = open();
  must(account->append(inbox(account), messages({"moved", "moved and gone"})));
  must(account->create("a"));
  const auto a = account->find("a")->id;
  must(account->move(inbox(account), uids({1, 2}), a));
  EXPECT_TRUE(list().empty());
  must(account->expunge(a, uids({2})));
  auto gone = list();
  ASSERT_EQ(gone.size(), 2U) << "where it was first, and where it was last";
  EXPECT_EQ(gone[0].mailbox + gone[1].mailbox, "INBOXa");
  must(account->remove("a"));
  gone = list();
  ASSERT_EQ(gone.size(), 4U);
  EXPECT_EQ(gone[3].mailbox, "a");
  EXPECT_EQ(gone[3].message.message, MessageId(1));
  const auto back = must(account->revive(inbox(account), {gone[3].message}));
  EXPECT_EQ(numbers(back.uids), (std::vector<uint32_t>{3}));
  account.reset();
  kill();  // from the journal
  account = open();
  EXPECT_EQ(must(account->open_mailbox(inbox(account)))->messages().size(), 1U);
}

TEST_F(ReviveTest, WhatCanNotBeReadStaysGone) {
  sound_at_end_ = false;
  auto account = open();
  must(account->append(inbox(account), messages({"sound", std::string(5000, 'd')})));
  must(account->expunge(inbox(account), uids({1, 2})));
  account.reset();
  stop();
  const fs::path segment = dir() / "journal/00000001";
  std::string bytes = slurp(segment);
  bytes[bytes.find("dddd") + 2000] ^= 1;
  spew(segment, bytes);
  make_store();
  account = open();
  auto all = revivals();
  ASSERT_EQ(all.size(), 2U);
  all.push_back(all[0]);
  all.back().message = MessageId(77);
  const auto back = must(account->revive(inbox(account), std::move(all)));
  EXPECT_EQ(numbers(back.uids), (std::vector<uint32_t>{3, 0, 0}));
  EXPECT_EQ(back.problems[0], "");
  EXPECT_NE(back.problems[1].find("journal/00000001 at offset"), std::string::npos)
      << back.problems[1];
  EXPECT_NE(back.problems[2], "");
  EXPECT_EQ(code(account->revive(MailboxId(99), {})), "TRYCREATE");
}

}  // namespace
}  // namespace rims::store
