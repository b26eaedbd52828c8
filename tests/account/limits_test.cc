// tests/account/limits_test.cc - how many messages a mailbox and an account may hold

#include "tests/account/fixture.h"

namespace rims::store {
namespace {

class FewMessages : public StoreTest {
 protected:
  Options options() override {
    Options o = StoreTest::options();
    o.limits.mailbox_messages = most_in_mailbox_;
    o.limits.account_messages = most_in_account_;
    return o;
  }
  // The text of the refusal; it is one of Fault::limit with the code LIMIT.
  template <class T>
  std::string refusal(Task<Result<T>> task) {
    auto result = run(loop_, std::move(task));
    if (result) return "taken";
    EXPECT_EQ(result.error().fault(), Fault::limit);
    EXPECT_EQ(result.error().code(), "LIMIT");
    return result.error().reply();
  }
  static size_t count(const std::shared_ptr<Account>& account, const char* name) {
    return account->find(name)->messages;
  }
  static constexpr const char* kMailboxFull = "no room: a mailbox may hold 4 messages";
  static constexpr const char* kAccountFull =
      "no room: all mailboxes together may hold 10 messages";
  size_t most_in_mailbox_ = 4, most_in_account_ = 10;
};

TEST_F(FewMessages, AFullMailboxRefusesAndChangesNothing) {
  const auto account = open();
  must(account->append(inbox(account), messages({"1", "2", "3"})));
  const auto before = account->modseq();
  EXPECT_EQ(refusal(account->append(inbox(account), messages({"4", "5"}))), kMailboxFull);
  EXPECT_EQ(refusal(account->copy(inbox(account), uids({1, 2}), inbox(account))), kMailboxFull);
  EXPECT_EQ(account->modseq(), before);
  must(account->copy(inbox(account), uids({1}), inbox(account)));
  EXPECT_EQ(refusal(account->append(inbox(account), messages({"5"}))), kMailboxFull);
  // What is changed and what leaves needs no room; then there is room.
  must(account->change_flags(inbox(account), {.uids = uids({1}), .flags = kDeleted}));
  must(account->expunge(inbox(account), uids({1})));
  EXPECT_EQ(must(account->append(inbox(account), messages({"5"}))).uids, uids({5}));
}

TEST_F(FewMessages, AllMailboxesOfAnAccountAreCounted) {
  const auto account = open();
  const auto id = [&](const char* name) { return account->find(name)->id; };
  for (const char* name : {"INBOX", "Junk"})
    must(account->append(id(name), messages({"1", "2", "3", "4"})));
  must(account->append(id("Sent"), messages({"1"})));
  EXPECT_EQ(refusal(account->copy(inbox(account), uids({1, 2}), id("Trash"))), kAccountFull);
  must(account->copy(inbox(account), uids({1}), id("Trash")));
  EXPECT_EQ(refusal(account->append(id("Trash"), messages({"x"}))), kAccountFull);
  // A move makes none more. Nor does it into its own mailbox, though that is full.
  must(account->move(inbox(account), uids({1, 2}), id("Trash")));
  must(account->move(id("Junk"), uids({1, 2, 3, 4}), id("Junk")));
  EXPECT_EQ(refusal(account->move(inbox(account), uids({3, 4}), id("Trash"))), kMailboxFull);
  must(account->rename("INBOX", "old"));
  EXPECT_EQ(count(account, "old"), 2U);
  EXPECT_EQ(refusal(account->append(inbox(account), messages({"x"}))), kAccountFull);
  must(account->remove("Junk"));
  must(account->append(inbox(account), messages({"1", "2", "3", "4"})));
}

TEST_F(FewMessages, WhatIsCountedIsKnownAfterAnOpening) {
  must(open()->append(inbox(open()), messages({"1", "2", "3", "4"})));
  const auto full = [&] {
    const auto account = open();
    EXPECT_EQ(refusal(account->append(inbox(account), messages({"5"}))), kMailboxFull);
    EXPECT_EQ(must(account->whole_state())->messages(), 4U);
  };
  reopen();  // from the index
  full();
  kill();  // from the journal
  full();
}

TEST_F(FewMessages, ChangesThatAreWrittenTogetherAreCountedTogether) {
  const auto account = open();
  const auto to = inbox(account);
  std::string said;
  {
    Scope scope(loop_);
    const auto one = [](std::shared_ptr<Account> a, MailboxId id, std::string* out) -> Task<void> {
      const auto made = co_await a->append(id, messages({"x"}));
      *out += made ? "+" : "-";
    };
    for (int i = 0; i < 7; i++) scope.spawn(one(account, to, &said));
    run(loop_, scope.join());
  }
  EXPECT_EQ(std::ranges::count(said, '+'), 4);
  EXPECT_EQ(count(account, "INBOX"), 4U);
}

TEST_F(FewMessages, ALowerLimitLeavesWhatIsThere) {
  must(open()->append(inbox(open()), messages({"1", "2", "3", "4"})));
  most_in_mailbox_ = 2;
  most_in_account_ = 3;
  reopen();
  const auto account = open();
  EXPECT_EQ(must(account->open_mailbox(inbox(account)))->messages().size(), 4U);
  EXPECT_EQ(must(account->read(MessageId(1))), "1");
  must(account->change_flags(inbox(account), {.uids = uids({1, 2}), .flags = kSeen}));
  EXPECT_EQ(refusal(account->append(inbox(account), messages({"5"}))),
            "no room: a mailbox may hold 2 messages");
  must(account->rename("INBOX", "old"));
  EXPECT_EQ(count(account, "old"), 4U);
  must(account->expunge(account->find("old")->id, uids({1, 2})));
  must(account->append(inbox(account), messages({"5"})));
}

TEST_F(FewMessages, ANewLimitIsOfOpenAccountsToo) {
  const auto account = open();
  must(account->append(inbox(account), messages({"1", "2", "3", "4"})));
  EXPECT_EQ(refusal(account->append(inbox(account), messages({"5"}))), kMailboxFull);
  Limits limits;
  limits.mailbox_messages = 5;
  store_->set_limits(limits);
  must(account->append(inbox(account), messages({"5"})));
  limits.mailbox_messages = 2;
  store_->set_limits(limits);
  EXPECT_EQ(refusal(account->append(inbox(account), messages({"6"}))),
            "no room: a mailbox may hold 2 messages");
  EXPECT_EQ(refusal(open("bar")->append(inbox(open("bar")), messages({"1", "2", "3"}))),
            "no room: a mailbox may hold 2 messages");
}

TEST_F(FewMessages, ADeliveryThatIsRepeatedNeedsNoRoom) {
  const auto account = open();
  const auto deliver = [&](uint8_t key) {
    std::vector<NewMessage> one = messages({"x"});
    one[0].delivery_key[0] = key;
    one[0].duplicate_window = 1000;
    return account->append(inbox(account), std::move(one));
  };
  for (uint8_t key = 1; key <= 4; key++) must(deliver(key));
  EXPECT_EQ(must(deliver(2)).repeated, 1U);
  EXPECT_EQ(refusal(deliver(5)), kMailboxFull);
}

TEST_F(FewMessages, WhatIsBroughtBackNeedsRoom) {
  const auto account = open();
  must(account->append(inbox(account), messages({"1", "2", "3", "4"})));
  must(account->expunge(inbox(account), uids({1, 2})));
  must(account->append(inbox(account), messages({"5"})));
  const auto back = [&](std::vector<uint32_t> which) {
    std::vector<Revival> list;
    for (const uint32_t n : which)
      list.push_back({.message = MessageId(n), .from = inbox(account), .uid = Uid(n)});
    return account->revive(inbox(account), std::move(list));
  };
  EXPECT_EQ(refusal(back({1, 2})), kMailboxFull);
  EXPECT_EQ(must(back({2})).uids, uids({6}));
}

// A quota of 100 bytes, 5 messages, 8 mailboxes: a new account has six.
class Quota : public StoreTest {
 protected:
  Options options() override {
    Options o = StoreTest::options();
    o.limits.quota = quota_;
    return o;
  }
  void set(const Usage& quota) {
    quota_ = quota;
    store_->set_limits(options().limits);
  }
  // The text of the refusal, with the code OVERQUOTA.
  template <class T>
  std::string refusal(Task<T> task) {
    auto result = run(loop_, std::move(task));
    if (result) return "taken";
    EXPECT_EQ(result.error().fault(), Fault::limit);
    EXPECT_EQ(result.error().code(), "OVERQUOTA");
    return result.error().reply();
  }
  static std::string text(size_t bytes) { return std::string(bytes, 'x'); }
  static constexpr const char* kBytes = "over quota: you may have 100 bytes of mail";
  static constexpr const char* kMessages = "over quota: you may have 5 messages";
  static constexpr const char* kMailboxes = "over quota: you may have 8 mailboxes";
  Usage quota_{.bytes = 100, .messages = 5, .mailboxes = 8};
};

TEST_F(Quota, EachByteCountsAndEachCopy) {
  const auto account = open();
  EXPECT_EQ(account->usage(), (Usage{.bytes = 0, .messages = 0, .mailboxes = 6}));
  EXPECT_EQ(refusal(account->append(inbox(account), messages({text(101)}))), kBytes);
  EXPECT_EQ(refusal(account->append(inbox(account), messages({text(50), text(51)}))), kBytes);
  must(account->append(inbox(account), messages({text(34), text(0)})));
  must(account->copy(inbox(account), uids({1, 2}), inbox(account)));
  EXPECT_EQ(account->usage(), (Usage{.bytes = 68, .messages = 4, .mailboxes = 6}));
  EXPECT_EQ(refusal(account->copy(inbox(account), uids({1}), account->find("Junk")->id)), kBytes);
  EXPECT_EQ(refusal(account->append(inbox(account), messages({"x", "x"}))), kMessages);
  must(account->append(inbox(account), messages({text(32)})));
  EXPECT_EQ(account->usage(), (Usage{.bytes = 100, .messages = 5, .mailboxes = 6}));
  EXPECT_EQ(refusal(account->append(inbox(account), messages({""}))), kMessages);
  // What is expunged gives its room back; bringing it back needs it again.
  must(account->expunge(inbox(account), uids({1, 5})));
  EXPECT_EQ(account->usage(), (Usage{.bytes = 34, .messages = 3, .mailboxes = 6}));
  const auto back = [&] {
    std::vector<Revival> list;
    list.push_back({.message = MessageId(3), .from = inbox(account), .uid = Uid(5)});
    return account->revive(inbox(account), std::move(list));
  };
  set({.bytes = 65, .messages = 0, .mailboxes = 0});
  EXPECT_EQ(refusal(back()), "over quota: you may have 65 bytes of mail");
  set({.bytes = 66, .messages = 0, .mailboxes = 0});
  EXPECT_EQ(must(back()).uids, uids({6}));
}

TEST_F(Quota, WhatMovesWithinTheAccountNeedsNone) {
  const auto account = open();
  must(account->append(inbox(account), messages({text(60), text(40)})));
  // Lowered below what is there: all stays.
  set({.bytes = 10, .messages = 1, .mailboxes = 2});
  EXPECT_EQ(must(account->read(MessageId(1))), text(60));
  must(account->move(inbox(account), uids({1, 2}), account->find("Trash")->id));
  must(account->rename("Trash", "Old"));
  EXPECT_EQ(account->usage(), (Usage{.bytes = 100, .messages = 2, .mailboxes = 6}));
  EXPECT_EQ(refusal(account->append(inbox(account), messages({"x"}))),
            "over quota: you may have 1 messages");
  must(account->remove("Old"));
  EXPECT_EQ(account->usage(), (Usage{.bytes = 0, .messages = 0, .mailboxes = 5}));
  must(account->append(inbox(account), messages({"x"})));
}

TEST_F(Quota, MailboxesAreCountedButForNamesThatHoldNone) {
  const auto account = open();
  EXPECT_EQ(refusal(account->create("a/b/c")), kMailboxes);
  EXPECT_EQ(account->find("a"), nullptr) << "all of it or nothing";
  must(account->create("a/b"));
  EXPECT_EQ(account->usage().mailboxes, 8U);
  EXPECT_EQ(refusal(account->create("c")), kMailboxes);
  EXPECT_EQ(refusal(account->rename("INBOX", "c")), kMailboxes);
  EXPECT_EQ(refusal(account->rename("a", "new/a")), kMailboxes) << "its parent is one more";
  must(account->rename("a", "c"));
  must(account->remove("c"));
  EXPECT_TRUE(account->find("c")->noselect);
  EXPECT_EQ(account->usage().mailboxes, 7U);
  must(account->create("c"));
  EXPECT_EQ(account->usage().mailboxes, 8U);
  must(account->remove("c"));
  must(account->rename("INBOX", "d"));
  EXPECT_EQ(account->usage().mailboxes, 8U);
}

TEST_F(Quota, IsKnownAfterAnOpening) {
  must(open()->append(inbox(open()), messages({text(60), text(30)})));
  must(open()->create("a/b"));
  must(open()->remove("a"));
  const Usage used{.bytes = 90, .messages = 2, .mailboxes = 7};
  reopen();  // from the index
  EXPECT_EQ(open()->usage(), used);
  kill();  // from the journal
  EXPECT_EQ(open()->usage(), used);
  EXPECT_EQ(refusal(open()->append(inbox(open()), messages({text(11)}))), kBytes);
}

TEST_F(Quota, ChangesThatAreWrittenTogetherAreCountedTogether) {
  const auto account = open();
  const auto to = inbox(account);
  std::string said;
  Scope scope(loop_);
  const auto one = [](std::shared_ptr<Account> a, MailboxId id, std::string* out) -> Task<void> {
    const auto made = co_await a->append(id, messages({text(30)}));
    *out += made ? "+" : "-";
  };
  for (int i = 0; i < 5; i++) scope.spawn(one(account, to, &said));
  run(loop_, scope.join());
  EXPECT_EQ(std::ranges::count(said, '+'), 3);
  EXPECT_EQ(account->usage().bytes, 90U);
}

}  // namespace
}  // namespace rims::store
