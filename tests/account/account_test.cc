// tests/account/account_test.cc - what an account promises, on a journal in memory

#include <algorithm>

#include "tests/account/fixture.h"

namespace rims::store {
namespace {

class AccountTest : public StoreTest {};

struct Recorder : Listener {
  std::vector<std::string> lines;
  const void* mine = nullptr;
  void add(std::string line, std::span<const Uid> uids, const void* origin) {
    for (const Uid uid : uids) line += " " + std::to_string(uid.value);
    if (origin && origin == mine) line += " (mine)";
    lines.push_back(std::move(line));
  }
  void appended(MailboxId, std::span<const Uid> uids, const void* origin) override {
    add("appended", uids, origin);
  }
  void flags_changed(MailboxId, std::span<const Uid> uids, ModSeq, const void* origin) override {
    add("flags", uids, origin);
  }
  void expunged(MailboxId, std::span<const Uid> uids, ModSeq, const void* origin) override {
    add("expunged", uids, origin);
  }
  void mailbox_changed(const Change& change, const void* origin) override {
    add("mailbox " + change.name, {}, origin);
  }
  void account_failed(const Error&) override { lines.emplace_back("failed"); }
};

TEST_F(AccountTest, ANewAccountHasTheStandardMailboxesSubscribed) {  // RFC 6154 §2
  const auto account = open();
  EXPECT_EQ(names(account), "INBOX Archive Drafts Junk Sent Trash");
  EXPECT_EQ(account->subscriptions().size(), 6U);
  EXPECT_EQ(account->find("Sent")->special_use, SpecialUse::sent);
  EXPECT_EQ(account->find("inbox")->name, "INBOX");
  EXPECT_EQ(journals_.disk("foo").appends, 1U) << "one commit makes all of them";
}

TEST_F(AccountTest, BytesComeBackExactlyAsTheyCameIn) {
  const auto account = open();
  std::string bytes = "Subject: x\r\n\r\nbody\n\0\xff tail";
  bytes += std::string(100'000, '\0') + "end";
  std::vector<NewMessage> one;
  one.push_back(message(bytes, kSeen, {"$Forwarded"}));
  const auto appended = must(account->append(inbox(account), std::move(one)));
  ASSERT_EQ(numbers(appended.uids), (std::vector<uint32_t>{1}));
  EXPECT_EQ(appended.uidvalidity, account->find("INBOX")->uidvalidity);
  const auto mailbox = must(account->open_mailbox(inbox(account)));
  const auto* e = mailbox->find(Uid(1));
  ASSERT_TRUE(e);
  EXPECT_EQ(e->size, bytes.size());
  EXPECT_EQ(e->flags, kSeen);
  EXPECT_EQ(e->zone, 540);
  EXPECT_EQ(mailbox->keywords().find("$FORWARDED"), 0U);
  EXPECT_EQ(e->modseq, mailbox->info().highest_modseq);
  const MessageId id = e->message;
  EXPECT_EQ(must(account->read(id)), bytes);
  EXPECT_EQ(must(account->read(id, 9, 4)), bytes.substr(9, 4));
  EXPECT_EQ(must(account->read(id, bytes.size() - 1, 100)), "d");
  EXPECT_EQ(must(account->read(id, bytes.size() + 5, 100)), "");
  EXPECT_EQ(must(account->read_structure(id)), "structure of " + bytes.substr(0, 20));
  const auto missing = run(loop_, account->read(MessageId(99)));
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().fault(), Fault::not_found);
}

TEST_F(AccountTest, ManyMessagesAreOneCommit) {
  const auto account = open();
  const auto before = journals_.disk("foo").appends;
  const auto appended = must(account->append(inbox(account), messages({"a", "b", "c"})));
  EXPECT_EQ(numbers(appended.uids), (std::vector<uint32_t>{1, 2, 3}));
  EXPECT_EQ(journals_.disk("foo").appends, before + 1);
}

TEST_F(AccountTest, AppendToNothingSaysTryCreate) {  // RFC 3501 §6.3.11
  const auto account = open();
  EXPECT_EQ(code(account->append(MailboxId(77), messages({"a"}))), "TRYCREATE");
  EXPECT_EQ(code(account->copy(inbox(account), uids({1}), MailboxId(77))), "TRYCREATE");
}

TEST_F(AccountTest, CreateMakesParentsAndRefusesBadNames) {  // RFC 3501 §6.3.3
  const auto account = open();
  must(account->create("a/b/c/"));
  EXPECT_TRUE(account->find("a"));
  EXPECT_TRUE(account->find("a/b"));
  EXPECT_TRUE(account->find("a/b/c"));
  EXPECT_NE(account->find("a")->uidvalidity, account->find("a/b")->uidvalidity);
  EXPECT_EQ(code(account->create("a/b")), "ALREADYEXISTS");
  EXPECT_EQ(code(account->create("iNbOx")), "ALREADYEXISTS");
  for (const char* bad :
       {"", "/", "/a", "a//b", "a\nb", "\xff", "a\xc0\xaf", "\xed\xa0\x80", "a\x7f", "\xc2\x85"})
    EXPECT_EQ(code(account->create(bad)), "CANNOT") << bad;
  EXPECT_EQ(code(account->create(std::string(1001, 'x'))), "LIMIT");
  std::string deep = "d";
  for (int i = 0; i < 32; i++) deep += "/d";
  EXPECT_EQ(code(account->create(deep)), "LIMIT");
  must(account->create("Entwürfe/日本語"));
  EXPECT_TRUE(account->find("Entwürfe/日本語"));
}

TEST_F(AccountTest, DeleteKeepsANameThatHasInferiors) {  // RFC 3501 §6.3.4
  const auto account = open();
  must(account->create("a/b/c"));
  const auto held = must(account->open_mailbox(account->find("a/b")->id));
  must(account->remove("a/b"));
  EXPECT_TRUE(held->deleted());
  EXPECT_TRUE(account->find("a/b")->noselect);
  EXPECT_EQ(code(account->remove("a/b")), "HASCHILDREN");
  EXPECT_EQ(code(account->open_mailbox(account->find("a/b")->id)), "NONEXISTENT");
  EXPECT_EQ(code(account->append(account->find("a/b")->id, messages({"x"}))), "TRYCREATE");
  const auto validity = account->find("a/b")->uidvalidity;
  must(account->create("a/b"));
  EXPECT_FALSE(account->find("a/b")->noselect);
  EXPECT_GT(account->find("a/b")->uidvalidity, validity);
  must(account->remove("a/b"));
  must(account->remove("a/b/c"));
  EXPECT_EQ(account->find("a/b"), nullptr) << "the empty name goes with its last inferior";
  EXPECT_TRUE(account->find("a"));
  EXPECT_EQ(code(account->remove("INBOX")), "CANNOT");
  EXPECT_EQ(code(account->remove("nothing")), "NONEXISTENT");
}

TEST_F(AccountTest, RenameMovesInferiorsAndKeepsMessages) {  // RFC 3501 §6.3.5
  const auto account = open();
  must(account->create("a/b/c"));
  const auto id = account->find("a/b/c")->id;
  must(account->append(id, messages({"kept"})));
  must(account->rename("a/b", "x/y"));
  EXPECT_EQ(account->find("a/b"), nullptr);
  EXPECT_EQ(account->find("x/y/c")->id, id);
  EXPECT_EQ(account->find("x/y/c")->messages, 1U);
  EXPECT_TRUE(account->find("x"));
  EXPECT_EQ(code(account->rename("x/y", "x/y/z")), "CANNOT");
  EXPECT_EQ(code(account->rename("x/y", "Sent")), "ALREADYEXISTS");
  EXPECT_EQ(code(account->rename("nothing", "n")), "NONEXISTENT");
}

TEST_F(AccountTest, RenamingInboxMovesItsMessages) {  // RFC 3501 §6.3.5
  const auto account = open();
  std::vector<NewMessage> two;
  two.push_back(message("one", kSeen, {"$k"}));
  two.push_back(message("two"));
  must(account->append(inbox(account), std::move(two)));
  must(account->expunge(inbox(account), uids({2})));
  must(account->append(inbox(account), messages({"three"})));
  must(account->rename("INBOX", "old/mail"));
  EXPECT_EQ(account->find("INBOX")->messages, 0U);
  EXPECT_EQ(account->find("INBOX")->uidnext, Uid(4)) << "UIDs are never given again";
  const auto moved = must(account->open_mailbox(account->find("old/mail")->id));
  ASSERT_EQ(moved->messages().size(), 2U);
  EXPECT_EQ(moved->messages()[0].flags, kSeen);
  EXPECT_EQ(moved->keywords().names(), std::vector<std::string>{"$k"});
  EXPECT_EQ(must(account->read(moved->messages()[1].message)), "three");
}

TEST_F(AccountTest, SubscriptionsNeedNoMailbox) {  // RFC 3501 §6.3.6
  const auto account = open();
  must(account->subscribe("not/there"));
  must(account->subscribe("not/there"));
  must(account->remove("Junk"));
  EXPECT_TRUE(account->subscriptions().contains("not/there"));
  EXPECT_TRUE(account->subscriptions().contains("Junk"));
  must(account->unsubscribe("Junk"));
  must(account->unsubscribe("never"));
  EXPECT_FALSE(account->subscriptions().contains("Junk"));
}

TEST_F(AccountTest, FlagsChangeAndSayWhatBecame) {
  const auto account = open();
  must(account->append(inbox(account), messages({"1", "2", "3"})));
  const auto mailbox = must(account->open_mailbox(inbox(account)));
  const auto old = account->modseq();
  auto outcomes = must(account->change_flags(
      inbox(account),
      {.uids = uids({3, 1, 9, 1}), .op = FlagOp::add, .flags = kSeen, .keywords = {"Work"}}));
  ASSERT_EQ(outcomes.size(), 3U);
  EXPECT_EQ(outcomes[0].verdict, FlagOutcome::Verdict::changed);
  EXPECT_EQ(outcomes[0].flags, kSeen);
  EXPECT_EQ(mailbox->keywords_of(*mailbox->find(Uid(1))), std::vector<std::string>{"Work"});
  EXPECT_EQ(outcomes[0].modseq, mailbox->info().highest_modseq);
  EXPECT_EQ(outcomes[2].verdict, FlagOutcome::Verdict::gone);
  EXPECT_EQ(mailbox->info().unseen, 1U);
  EXPECT_EQ(mailbox->find(Uid(2))->flags, 0);

  const auto appends = journals_.disk("foo").appends;
  outcomes = must(account->change_flags(
      inbox(account),
      {.uids = uids({1}), .op = FlagOp::add, .flags = kSeen, .keywords = {"work"}}));
  EXPECT_EQ(outcomes[0].verdict, FlagOutcome::Verdict::unchanged);
  EXPECT_EQ(journals_.disk("foo").appends, appends) << "nothing to write";

  outcomes = must(account->change_flags(inbox(account), {.uids = uids({1, 2}),
                                                         .op = FlagOp::replace,
                                                         .flags = kDeleted,
                                                         .keywords = {},
                                                         .unchanged_since = old}));
  EXPECT_EQ(outcomes[0].verdict, FlagOutcome::Verdict::too_new);  // RFC 7162 §3.1.3
  EXPECT_EQ(outcomes[1].verdict, FlagOutcome::Verdict::changed);
  EXPECT_EQ(mailbox->find(Uid(2))->flags, kDeleted);
  outcomes = must(account->change_flags(
      inbox(account),
      {.uids = uids({1}), .op = FlagOp::remove, .flags = kSeen, .keywords = {"WORK", "unknown"}}));
  EXPECT_EQ(outcomes[0].flags, 0);
  EXPECT_EQ(outcomes[0].keywords, KeywordSet(0));
}

class FewKeywords : public AccountTest {
 protected:
  static constexpr size_t kMost = 64;
  Options options() override {
    Options o = AccountTest::options();
    o.limits.keywords = kMost;
    return o;
  }
};

TEST_F(FewKeywords, AFullTableRefusesThemAndTakesTheMail) {
  const auto account = open();
  must(account->append(inbox(account), messages({"1", "2"})));
  for (size_t i = 0; i < kMost; i++) {
    must(account->change_flags(inbox(account), {.uids = uids({1}),
                                                .op = FlagOp::replace,
                                                .flags = 0,
                                                .keywords = {"k" + std::to_string(i)}}));
  }
  const auto change =
      run(loop_,
          account->change_flags(
              inbox(account),
              {.uids = uids({2}), .op = FlagOp::add, .flags = kSeen, .keywords = {"k3", "new"}}));
  ASSERT_FALSE(change);
  EXPECT_EQ(change.error().fault(), Fault::limit);
  EXPECT_EQ(change.error().code(), "LIMIT");
  const auto mailbox = must(account->open_mailbox(inbox(account)));
  EXPECT_EQ(mailbox->find(Uid(2))->flags, 0) << "all or nothing";
  EXPECT_EQ(mailbox->keywords().names().size(), kMost);
  std::vector<NewMessage> one;
  one.push_back(message("x", kSeen, {"another", "K7"}));
  must(account->append(inbox(account), std::move(one)));
  ASSERT_EQ(mailbox->messages().size(), 3U);
  EXPECT_EQ(mailbox->messages()[2].flags, kSeen);
  EXPECT_EQ(mailbox->keywords_of(mailbox->messages()[2]), std::vector<std::string>{"k7"});
  // Into a full mailbox from another one.
  std::vector<NewMessage> junk;
  junk.push_back(message("y", 0, {"third"}));
  must(account->append(account->find("Junk")->id, std::move(junk)));
  must(account->copy(account->find("Junk")->id, uids({1}), inbox(account)));
  ASSERT_EQ(mailbox->messages().size(), 4U);
  EXPECT_TRUE(mailbox->keywords_of(mailbox->messages()[3]).empty());
}

TEST_F(AccountTest, AMessageHasAtMostSoManyKeywords) {
  const auto account = open();
  std::vector<std::string> many;
  for (size_t i = 0; i < kMaxKeywordsOfMessage + 5; i++) many.push_back("k" + std::to_string(i));
  std::vector<NewMessage> one;
  one.push_back(message("x", 0, many));
  must(account->append(inbox(account), std::move(one)));
  const auto mailbox = must(account->open_mailbox(inbox(account)));
  EXPECT_EQ(mailbox->keywords_of(mailbox->messages()[0]).size(), kMaxKeywordsOfMessage);
  for (const auto op : {FlagOp::add, FlagOp::replace})
    EXPECT_EQ(code(account->change_flags(
                  inbox(account), {.uids = uids({1}), .op = op, .flags = 0, .keywords = many})),
              "LIMIT");
  must(account->change_flags(
      inbox(account), {.uids = uids({1}), .op = FlagOp::remove, .flags = 0, .keywords = {"k5"}}));
  must(account->change_flags(
      inbox(account), {.uids = uids({1}), .op = FlagOp::add, .flags = 0, .keywords = {"last"}}));
  EXPECT_EQ(
      code(account->change_flags(
          inbox(account), {.uids = uids({1}), .op = FlagOp::add, .flags = 0, .keywords = {"k5"}})),
      "LIMIT");
}

TEST_F(AccountTest, CopySharesTheBytes) {
  const auto account = open();
  std::vector<NewMessage> list;
  list.push_back(message("one", kSeen, {"a", "b"}));
  list.push_back(message("two", kFlagged, {"b"}));
  must(account->append(inbox(account), std::move(list)));
  const auto sent = account->find("Sent")->id;
  std::vector<NewMessage> there;
  there.push_back(message("there", 0, {"b"}));
  must(account->append(sent, std::move(there)));
  const auto copied = must(account->copy(inbox(account), uids({2, 1, 5}), sent));
  EXPECT_EQ(copied.uids, (std::vector<std::pair<Uid, Uid>>{{Uid(1), Uid(2)}, {Uid(2), Uid(3)}}));
  EXPECT_EQ(copied.uidvalidity, account->find("Sent")->uidvalidity);
  const auto from = must(account->open_mailbox(inbox(account)));
  const auto to = must(account->open_mailbox(sent));
  EXPECT_EQ(to->find(Uid(2))->message, from->find(Uid(1))->message);
  EXPECT_EQ(to->keywords().names(), (std::vector<std::string>{"b", "a"}));
  EXPECT_EQ(to->keywords_of(*to->find(Uid(2))), (std::vector<std::string>{"b", "a"}))
      << "indexes follow the names";
  EXPECT_EQ(to->keywords_of(*to->find(Uid(3))), std::vector<std::string>{"b"});
  EXPECT_EQ(to->find(Uid(3))->flags, kFlagged);
  EXPECT_EQ(must(account->read(to->find(Uid(3))->message)), "two");
  must(account->expunge(inbox(account), uids({1, 2})));
  EXPECT_EQ(must(account->read(to->find(Uid(2))->message)), "one");
  const auto moved = must(account->move(sent, uids({1, 3}), inbox(account)));
  EXPECT_EQ(moved.uids, (std::vector<std::pair<Uid, Uid>>{{Uid(1), Uid(3)}, {Uid(3), Uid(4)}}));
  EXPECT_EQ(to->messages().size(), 1U);
  EXPECT_EQ(from->messages().size(), 2U);
}

// RFC 8508 §3.2, §4.6: one message comes and another one leaves, with nothing in common.
TEST_F(AccountTest, ReplaceIsOneChange) {
  const auto account = open();
  std::vector<NewMessage> list;
  list.push_back(message("one", kSeen, {"a"}));
  list.push_back(message("two", kFlagged, {"b"}));
  must(account->append(inbox(account), std::move(list)));
  const auto box = must(account->open_mailbox(inbox(account)));
  const MessageId before = box->find(Uid(1))->message;
  const auto made =
      must(account->replace(inbox(account), Uid(1), inbox(account), message("new", kDraft, {"c"})));
  EXPECT_EQ(made.uids, uids({3}));
  EXPECT_EQ(made.uidvalidity, account->find("INBOX")->uidvalidity);
  ASSERT_EQ(box->messages().size(), 2U);
  EXPECT_EQ(box->find(Uid(1)), nullptr);
  const MessageEntry& entry = *box->find(Uid(3));
  EXPECT_NE(entry.message, before);
  EXPECT_EQ(entry.flags, kDraft);
  EXPECT_EQ(box->keywords_of(entry), std::vector<std::string>{"c"});
  EXPECT_EQ(must(account->read(entry.message)), "new");
  EXPECT_EQ(account->usage().messages, 2U);
  EXPECT_EQ(account->usage().bytes, 6U);

  const auto sent = account->find("Sent")->id;
  EXPECT_EQ(must(account->replace(inbox(account), Uid(3), sent, message("sent"))).uids, uids({1}));
  EXPECT_EQ(box->messages().size(), 1U);
  EXPECT_EQ(must(account->open_mailbox(sent))->messages().size(), 1U);
}

TEST_F(AccountTest, ReplaceOfWhatIsGoneStoresNothing) {
  const auto account = open();
  must(account->append(inbox(account), messages({"one", "two"})));
  must(account->expunge(inbox(account), uids({1})));
  EXPECT_EQ(code(account->replace(inbox(account), Uid(1), inbox(account), message("new"))),
            "NONEXISTENT");
  EXPECT_EQ(code(account->replace(inbox(account), Uid(9), inbox(account), message("new"))),
            "NONEXISTENT");
  EXPECT_EQ(code(account->replace(inbox(account), Uid(2), MailboxId(999), message("new"))),
            "TRYCREATE");
  EXPECT_EQ(account->find("INBOX")->messages, 1U);
  EXPECT_EQ(account->find("INBOX")->uidnext, Uid(3));
}

TEST_F(AccountTest, ExpungeTellsWhatReallyWent) {
  const auto account = open();
  must(account->append(inbox(account), messages({"1", "2", "3", "4", "5"})));
  EXPECT_EQ(numbers(must(account->expunge(inbox(account), uids({4, 2, 9, 2})))),
            (std::vector<uint32_t>{2, 4}));
  EXPECT_TRUE(must(account->expunge(inbox(account), uids({2, 4}))).empty());
  const auto mailbox = must(account->open_mailbox(inbox(account)));
  EXPECT_EQ(mailbox->messages().size(), 3U);
  EXPECT_EQ(mailbox->info().uidnext, Uid(6));
}

TEST_F(AccountTest, RecentIsClaimedOnce) {  // RFC 3501 §2.3.2
  const auto account = open();
  must(account->append(inbox(account), messages({"1", "2"})));
  const auto mailbox = must(account->open_mailbox(inbox(account)));
  EXPECT_EQ(mailbox->info().recent, 2U);
  const auto appends = journals_.disk("foo").appends;
  EXPECT_EQ(account->claim_recent(inbox(account)), Uid(1));
  EXPECT_EQ(account->claim_recent(inbox(account)), Uid(3));
  EXPECT_EQ(mailbox->info().recent, 0U);
  EXPECT_EQ(journals_.disk("foo").appends, appends) << "it does not cost a commit";
  must(account->append(inbox(account), messages({"3"})));
  EXPECT_EQ(mailbox->info().recent, 1U);
  EXPECT_EQ(account->claim_recent(inbox(account)), Uid(3));
}

TEST_F(AccountTest, ListenersHearDurableChangesInOrder) {
  const auto account = open();
  Recorder ear, other;
  ear.mine = &ear;
  account->listen(&ear);
  account->listen(&other);
  must(account->append(inbox(account), messages({"1", "2"}), &ear));
  must(account->change_flags(inbox(account),
                             {.uids = uids({2}), .op = FlagOp::add, .flags = kSeen, .keywords = {}},
                             &other));
  must(account->expunge(inbox(account), uids({1}), &ear));
  must(account->create("new"));
  must(account->create("own", SpecialUse::none, &ear));
  must(account->rename("own", "ours", &ear));
  must(account->subscribe("ours", &ear));
  must(account->unsubscribe("ours", &ear));
  must(account->remove("ours", &ear));
  account->unlisten(&ear);
  must(account->create("newer"));
  EXPECT_EQ(ear.lines, (std::vector<std::string>{
                           "appended 1 (mine)", "appended 2 (mine)", "flags 2", "expunged 1 (mine)",
                           "mailbox new", "mailbox own (mine)", "mailbox ours (mine)",
                           "mailbox ours (mine)", "mailbox ours (mine)", "mailbox ours (mine)"}));
  EXPECT_EQ(other.lines.size(), 11U);
  account->unlisten(&other);
}

// --- commits ---

Task<void> append_one(Account* account, MailboxId id, int* done, Uid* uid) {
  std::vector<NewMessage> one;
  one.push_back(message("m"));
  auto appended = co_await account->append(id, std::move(one));
  EXPECT_TRUE(appended);
  if (appended) *uid = appended->uids[0];
  ++*done;
}

Task<void> wait_for(Loop* loop, const int* done, int count) {
  while (*done < count) co_await sleep_for(*loop, Milliseconds(0));
}

TEST_F(AccountTest, ChangesThatWaitTogetherShareOneCommit) {
  const auto account = open();
  const auto before = journals_.disk("foo").appends;
  int done = 0;
  std::vector<Uid> got(100);
  Scope scope(loop_);
  for (int i = 0; i < 100; i++)
    scope.spawn(append_one(account.get(), inbox(account), &done, &got[static_cast<size_t>(i)]));
  run(loop_, wait_for(&loop_, &done, 100));
  EXPECT_EQ(journals_.disk("foo").appends, before + 2) << "the first alone, the others together";
  EXPECT_EQ(std::set(got.begin(), got.end()).size(), 100U);
}

Task<void> flag_one(Account* account, MailboxId id, Uid uid, FlagOp op, int* done) {
  std::vector<Uid> one{uid};
  auto outcome = co_await account->change_flags(
      id, {.uids = std::move(one), .op = op, .flags = kSeen, .keywords = {}});
  EXPECT_TRUE(outcome);
  ++*done;
}

TEST_F(AccountTest, ChangesOfOneMessageInOneMomentKeepTheirOrder) {
  const auto account = open();
  must(account->append(inbox(account), messages({"1", "2"})));
  int done = 0;
  Uid ignored;
  Scope scope(loop_);
  scope.spawn(append_one(account.get(), inbox(account), &done, &ignored));  // the disk is busy
  scope.spawn(flag_one(account.get(), inbox(account), Uid(1), FlagOp::add, &done));
  scope.spawn(flag_one(account.get(), inbox(account), Uid(2), FlagOp::add, &done));
  scope.spawn(flag_one(account.get(), inbox(account), Uid(1), FlagOp::remove, &done));
  run(loop_, wait_for(&loop_, &done, 4));
  const auto mailbox = must(account->open_mailbox(inbox(account)));
  EXPECT_EQ(mailbox->find(Uid(1))->flags, 0) << "the last word wins";
  EXPECT_EQ(mailbox->find(Uid(2))->flags, kSeen);
}

TEST_F(AccountTest, ALostRaceIsCaughtUpAndTriedAgain) {
  const auto account = open();
  must(account->append(inbox(account), messages({"mine"})));
  Recorder ear;
  account->listen(&ear);
  // Another node appends: same UID as we would take, and a keyword in the slot we would take.
  Append foreign;
  foreign.mailbox = inbox(account);
  foreign.entry.uid = Uid(2);
  foreign.entry.message = MessageId(2);
  foreign.entry.size = 0;
  journals_.intrude("foo", foreign);
  journals_.intrude("foo", Keyword{inbox(account), 0, "theirs"});
  std::vector<NewMessage> one;
  one.push_back(message("ours", 0, {"ours"}));
  const auto appended = must(account->append(inbox(account), std::move(one)));
  EXPECT_EQ(numbers(appended.uids), (std::vector<uint32_t>{3}));
  const auto mailbox = must(account->open_mailbox(inbox(account)));
  EXPECT_EQ(mailbox->keywords().names(), (std::vector<std::string>{"theirs", "ours"}));
  EXPECT_EQ(mailbox->keywords_of(*mailbox->find(Uid(3))), std::vector<std::string>{"ours"});
  EXPECT_EQ(ear.lines, (std::vector<std::string>{"appended 2", "appended 3"}));
  account->unlisten(&ear);
  // A mailbox that another node removed while we append to it.
  const auto junk = account->find("Junk")->id;
  journals_.intrude("foo", MailboxRemoved{junk});
  EXPECT_EQ(code(account->append(junk, messages({"lost race"}))), "TRYCREATE");
  EXPECT_EQ(account->find("Junk"), nullptr);
}

TEST_F(AccountTest, AFailedWriteLosesTheAccountAndNothingElse) {
  for (const auto fate : {MemoryJournals::Fate::fail, MemoryJournals::Fate::fail_written}) {
    auto account = open();
    const auto id = inbox(account);
    must(account->append(id, messages({"before"})));
    const uint32_t count = account->find("INBOX")->messages;
    Recorder ear;
    account->listen(&ear);
    journals_.fate = [&](const std::string&, std::span<const Draft>) { return fate; };
    const auto failed = run(loop_, account->append(id, messages({"x"})));
    ASSERT_FALSE(failed);
    EXPECT_EQ(failed.error().fault(), Fault::storage);
    EXPECT_EQ(ear.lines, std::vector<std::string>{"failed"}) << "nobody saw the message";
    EXPECT_EQ(account->find("INBOX")->messages, count);
    journals_.fate = nullptr;
    EXPECT_TRUE(account->failed());
    EXPECT_EQ(code(account->append(id, messages({"y"}))), "UNAVAILABLE");
    EXPECT_EQ(code(account->open_mailbox(id)), "UNAVAILABLE");
    EXPECT_EQ(code(account->read(MessageId(1))), "UNAVAILABLE");
    account = open();
    EXPECT_FALSE(account->failed());
    EXPECT_EQ(account->find("INBOX")->messages,
              count + (fate == MemoryJournals::Fate::fail_written ? 1 : 0));
    must(account->append(id, messages({"after"})));
  }
}

TEST_F(AccountTest, FailsAtEveryCommitAndComesBack) {
  for (int step = 0; step < 12; step++) {
    SCOPED_TRACE(step);
    const std::string user = "user" + std::to_string(step);
    int commits = 0;
    journals_.fate = [&](const std::string& who, std::span<const Draft>) {
      return who == user && commits++ == step ? MemoryJournals::Fate::fail
                                              : MemoryJournals::Fate::commit;
    };
    uint32_t acknowledged = 0;
    for (int i = 0; i < 12; i++) {
      auto account = run(loop_, store_->open(user));
      if (!account) continue;
      if (auto done = run(loop_, (*account)->append(inbox(*account), messages({"x"}))))
        acknowledged++;
    }
    EXPECT_EQ(acknowledged, step == 0 ? 11U : 11U);
    EXPECT_EQ(open(user)->find("INBOX")->messages, acknowledged);
  }
  journals_.fate = nullptr;
}

TEST_F(AccountTest, ADestroyedCallerDisturbsNobody) {
  const auto account = open();
  int done = 0;
  Uid ignored;
  Scope keeps(loop_);
  {
    Scope dies(loop_);
    for (int i = 0; i < 5; i++)
      dies.spawn(append_one(account.get(), inbox(account), &done, &ignored));
    keeps.spawn(append_one(account.get(), inbox(account), &done, &ignored));
  }
  run(loop_, wait_for(&loop_, &done, 1));
  EXPECT_EQ(account->find("INBOX")->messages, 6U);
}

// --- opening and closing ---

TEST_F(AccountTest, ReopenedItIsTheSame) {
  auto account = open();
  std::vector<NewMessage> list;
  for (int i = 0; i < 600; i++) list.push_back(message("m" + std::to_string(i), 0, {"k"}));
  must(account->append(inbox(account), std::move(list)));
  std::vector<Uid> gone;
  for (uint32_t i = 200; i < 500; i++) gone.emplace_back(i);
  must(account->expunge(inbox(account), gone));
  must(account->copy(inbox(account), uids({1, 2, 600}), account->find("Sent")->id));
  must(account->rename("Sent", "S/ent"));
  must(account->remove("Trash"));
  account->claim_recent(inbox(account));
  const auto before = snapshot(account);
  account.reset();

  const auto records = journals_.disk("foo").records.size();
  reopen();
  account = open();
  EXPECT_EQ(snapshot(account).mailboxes().size(), before.mailboxes().size());
  EXPECT_GE(journals_.disk("foo").records.back().seq, records);
  EXPECT_EQ(journals_.disk("foo").records.back().type, RecordType::clean);
  auto same = snapshot(account);
  for (const auto& [id, mailbox] : before.mailboxes())
    EXPECT_TRUE(*mailbox == *same.mailbox(id)) << mailbox->info().name;
  EXPECT_EQ(same.subscriptions(), before.subscriptions());
  account.reset();

  const auto clean_records = journals_.disk("foo").records.size();
  reopen();
  open();
  reopen();
  EXPECT_EQ(journals_.disk("foo").records.size(), clean_records) << "looking writes nothing";
}

TEST_F(AccountTest, AnyDamageOfTheIndexCostsTimeOnly) {
  auto account = open();
  std::vector<NewMessage> list;
  for (int i = 0; i < 300; i++) list.push_back(message("m" + std::to_string(i), 0, {"k"}));
  must(account->append(inbox(account), std::move(list)));
  must(account->copy(inbox(account), uids({1, 2, 300}), account->find("Sent")->id));
  must(account->create("x/y"));
  account.reset();
  reopen();
  account = open();
  const auto before = snapshot(account);
  account.reset();
  stop();
  // Each value removed, cut and emptied; each file removed.
  std::map<std::string, MemoryKeyValues::Map> whole;
  for (const auto& [name, map] : key_values_.files()) whole[name] = *map;
  const auto restore = [&] {
    for (auto& [name, map] : whole)
      key_values_.files()[name] = std::make_shared<MemoryKeyValues::Map>(map);
    auto& records = journals_.disk("foo").records;
    while (records.back().seq > before.seq()) records.pop_back();
  };
  int rebuilt = 0;
  for (const auto& [name, map] : whole) {
    for (int way = 0; way < 3; way++) {
      for (const auto& [key, value] : map) {
        SCOPED_TRACE(name + " " + key + " " + std::to_string(way));
        restore();
        auto& damaged = *key_values_.files()[name];
        if (way == 0) damaged.erase(key);
        if (way == 1) damaged[key].resize(value.size() / 2);
        if (way == 2) damaged[key].assign(value.size(), '\x55');
        make_store();
        account = open();
        const auto after = snapshot(account);
        EXPECT_EQ(after.difference(before), "");
        for (const auto& e : after.mailbox("INBOX")->messages())
          EXPECT_EQ(must(account->read(e.message)), "m" + std::to_string(e.uid.value - 1));
        account.reset();
        stop();
        rebuilt++;
      }
    }
    restore();
    key_values_.files().erase(name);
    make_store();
    account = open();
    EXPECT_EQ(snapshot(account).difference(before), "") << name;
    account.reset();
    stop();
  }
  EXPECT_GT(rebuilt, 30);
  make_store();
}

TEST_F(AccountTest, OneOpeningIsShared) {
  int openings = 0;
  struct Opener {
    static Task<void> go(Store* store, std::shared_ptr<Account>* account, int* done) {
      auto opened = co_await store->open("foo");
      if (opened) *account = *opened;
      ++*done;
    }
  };
  std::vector<std::shared_ptr<Account>> got(5);
  Scope scope(loop_);
  for (auto& account : got) scope.spawn(Opener::go(store_.get(), &account, &openings));
  run(loop_, wait_for(&loop_, &openings, 5));
  for (const auto& account : got) EXPECT_EQ(account, got[0]);
  EXPECT_TRUE(got[0]);
}

class IdleTest : public StoreTest {
 protected:
  Options options() override {
    Options o = StoreTest::options();
    o.idle_close = Milliseconds(1);
    return o;
  }
};

Task<void> until_closed(Loop* loop, Store* store) {
  while (store->open_accounts() != 0) co_await sleep_for(*loop, Milliseconds(5));
}

TEST_F(IdleTest, AnAccountThatNobodyHoldsIsClosedClean) {
  auto account = open();
  must(account->append(inbox(account), messages({"x"})));
  account.reset();
  run(loop_, until_closed(&loop_, store_.get()));
  EXPECT_EQ(journals_.disk("foo").records.back().type, RecordType::clean);
  EXPECT_EQ(open()->find("INBOX")->messages, 1U);
}

}  // namespace
}  // namespace rims::store
