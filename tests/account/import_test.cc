// Mailboxes that bring their uidvalidity and their uids along: Account::adopt, NewMessage::uid,
// raise_uidnext, each_delivery_id.

#include "tests/account/fixture.h"

namespace rims::store {
namespace {

class ImportTest : public StoreTest {
 protected:
  static NewMessage with_uid(uint32_t uid, std::string bytes, std::string delivery_id = {}) {
    NewMessage m = message(std::move(bytes));
    m.uid = Uid(uid);
    m.delivery_id = std::move(delivery_id);
    return m;
  }
  static std::vector<NewMessage> list(NewMessage a) {
    std::vector<NewMessage> all;
    all.push_back(std::move(a));
    return all;
  }
  static std::vector<NewMessage> list(NewMessage a, NewMessage b) {
    auto all = list(std::move(a));
    all.push_back(std::move(b));
    return all;
  }
};

TEST_F(ImportTest, AMailboxKeepsItsUidvalidityAndItsUids) {
  auto account = open();
  const MailboxId id = must(account->adopt("Work/2026", UidValidity(77)));
  EXPECT_EQ(account->find("Work/2026")->uidvalidity, UidValidity(77));
  EXPECT_NE(account->find("Work"), nullptr);
  EXPECT_EQ(numbers(must(account->append(id, list(with_uid(5, "a"), with_uid(90, "b")))).uids),
            (std::vector<uint32_t>{5, 90}));
  EXPECT_EQ(numbers(must(account->append(id, messages({"c"}))).uids), (std::vector<uint32_t>{91}));
  EXPECT_EQ(numbers(must(account->append(id, list(message("d"), with_uid(100, "e")))).uids),
            (std::vector<uint32_t>{92, 100}));
  const Mailbox before = *snapshot(account).mailbox(id);
  account.reset();
  reopen();
  EXPECT_TRUE(*snapshot(open()).mailbox(id) == before);
  kill();
  EXPECT_TRUE(*snapshot(open()).mailbox(id) == before);
}

TEST_F(ImportTest, AUidIsNotUsedTwice) {
  auto account = open();
  const MailboxId id = must(account->adopt("a", UidValidity(77)));
  must(account->append(id, list(with_uid(5, "a"))));
  EXPECT_EQ(code(account->append(id, list(with_uid(5, "b")))), "CANNOT");
  EXPECT_EQ(code(account->append(id, list(with_uid(7, "b"), with_uid(6, "c")))), "CANNOT");
  EXPECT_EQ(code(account->append(id, list(with_uid(UINT32_MAX, "b")))), "LIMIT");
  EXPECT_EQ(code(account->append(id, list(with_uid(UINT32_MAX - 1, "b")))), "LIMIT");
  EXPECT_EQ(account->find(id)->uidnext, Uid(6)) << "what was refused took nothing";
  EXPECT_EQ(account->find(id)->messages, 1U);
}

TEST_F(ImportTest, AnEmptyMailboxIsReplacedAndOneWithMessagesIsNot) {
  auto account = open();
  const MailboxId old = inbox(account);
  const MailboxId fresh = must(account->adopt("inbox", UidValidity(3)));
  EXPECT_NE(fresh, old);
  EXPECT_EQ(inbox(account), fresh);
  EXPECT_EQ(must(account->adopt("INBOX", UidValidity(3))), fresh) << "it is so already";
  const MailboxId sent = must(account->adopt("Sent", UidValidity(4)));
  EXPECT_EQ(account->find(sent)->special_use, SpecialUse::sent);
  must(account->append(fresh, messages({"x"})));
  EXPECT_EQ(must(account->adopt("INBOX", UidValidity(3))), fresh);
  EXPECT_EQ(code(account->adopt("INBOX", UidValidity(5))), "ALREADYEXISTS");
}

TEST_F(ImportTest, AUidvalidityIsNotGivenOutTwice) {
  auto account = open();
  const UidValidity junk = account->find("Junk")->uidvalidity;
  EXPECT_EQ(code(account->adopt("a", junk)), "CANNOT");
  must(account->adopt("a", UidValidity(77)));
  must(account->remove("a"));
  EXPECT_EQ(code(account->adopt("a", UidValidity(77))), "CANNOT");
  account.reset();
  reopen();
  account = open();
  EXPECT_EQ(code(account->adopt("a", UidValidity(77))), "CANNOT");
  must(account->create("b"));
  EXPECT_EQ(code(account->adopt("c", account->find("b")->uidvalidity)), "CANNOT");
  EXPECT_EQ(code(account->adopt("c", UidValidity(0))), "CANNOT");
  EXPECT_EQ(code(account->adopt("c", UidValidity(UINT32_MAX))), "CANNOT");
  EXPECT_EQ(code(account->adopt("a//b", UidValidity(78))), "CANNOT");
}

TEST_F(ImportTest, ALargeUidvalidityIsCountedOnFrom) {
  auto account = open();
  must(account->adopt("x/y", UidValidity(0xf000'0000)));
  must(account->create("z"));
  EXPECT_GT(account->find("x")->uidvalidity, UidValidity(0xf000'0000));
  EXPECT_GT(account->find("z")->uidvalidity, account->find("x")->uidvalidity);
}

// From the largest that can be adopted on, mailboxes come and go: each number is new and larger.
TEST_F(ImportTest, AfterTheLargestUidvalidityNoneIsZeroNorComesAgain) {
  auto account = open();
  EXPECT_EQ(code(account->adopt("x", UidValidity(0xff00'0001))), "CANNOT");
  must(account->adopt("x", UidValidity(0xff00'0000)));
  uint32_t last = 0xff00'0000;
  for (int i = 0; i < 6; i++) {
    if (i == 3) {
      account.reset();
      reopen();
      account = open();
    }
    if (i == 4) must(account->rename("x", "was-x"));
    if (i != 4) must(account->remove("x"));
    must(account->create("x"));
    const uint32_t now = account->find("x")->uidvalidity.value;
    EXPECT_EQ(now, last + 1);
    last = now;
  }
  EXPECT_EQ(account->find("was-x")->uidvalidity, UidValidity(last - 2));
}

// A mailbox whose numbers are used up takes nothing more, by whatever way, and stays readable.
TEST_F(ImportTest, AMailboxWithoutUidsRefusesWhatComes) {
  for (const uint32_t next : {UINT32_MAX - 1, UINT32_MAX}) {
    SCOPED_TRACE(next);
    auto account = open();
    const std::string name = "full-" + std::to_string(next);
    const MailboxId id = must(account->adopt(name, UidValidity(next - 0xff00'0000)));
    must(account->append(id, list(with_uid(UINT32_MAX - 3, "a"))));
    must(account->append(inbox(account), messages({"b"})));
    const auto others = uids({account->find("INBOX")->uidnext.value - 1});
    must(account->raise_uidnext(id, Uid(next)));
    for (int i = 0; i < 2; i++) {
      EXPECT_EQ(code(account->append(id, messages({"c"}))), "LIMIT");
      EXPECT_EQ(code(account->copy(inbox(account), others, id)), "LIMIT");
      EXPECT_EQ(code(account->move(inbox(account), others, id)), "LIMIT");
      EXPECT_EQ(account->find(id)->uidnext, Uid(next));
      EXPECT_EQ(account->find(id)->messages, 1U);
      account.reset();
      reopen();
      account = open();
    }
    EXPECT_EQ(must(account->move(id, uids({UINT32_MAX - 3}), inbox(account))).uids.size(), 1U);
  }
}

TEST_F(ImportTest, UidnextIsRaisedAndNeverLowered) {
  auto account = open();
  const MailboxId id = must(account->adopt("a", UidValidity(77)));
  must(account->append(id, list(with_uid(5, "a"))));
  must(account->raise_uidnext(id, Uid(90)));
  must(account->raise_uidnext(id, Uid(20)));
  EXPECT_EQ(account->find(id)->uidnext, Uid(90));
  account.reset();
  reopen();
  account = open();
  EXPECT_EQ(account->find(id)->uidnext, Uid(90));
  EXPECT_EQ(numbers(must(account->append(id, messages({"b"}))).uids), (std::vector<uint32_t>{90}));
  auto missing = run(loop_, account->raise_uidnext(MailboxId(999), Uid(2)));
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().code(), "NONEXISTENT");
}

TEST_F(ImportTest, DeliveryIdsAreTold) {
  auto account = open();
  const MailboxId id = inbox(account);
  must(account->append(id, list(with_uid(5, "a", "one"), with_uid(6, "b", "two"))));
  must(account->expunge(id, uids({5})));
  must(account->append(id, messages({"no id"})));
  std::vector<std::string> told;
  must(account->each_delivery_id([&](std::string_view d) { told.emplace_back(d); }));
  EXPECT_EQ(told, (std::vector<std::string>{"one", "two", ""}));
}

}  // namespace
}  // namespace rims::store
