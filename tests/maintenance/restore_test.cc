// tests/maintenance/restore_test.cc - accounts as they were: from a backup, from their own journal,
// against a model of what they were

#include "tests/maintenance/restore_fixture.h"

namespace rims::store {
namespace {

// A history with a model of every minute; the account is set back to one of them again and again.
TEST_F(RestoreTest, AnAccountSetBackEqualsTheModelOfThatTime) {
  for (const unsigned seed : {1U, 2U, 3U, 4U, 5U, 6U}) {
    SCOPED_TRACE(seed);
    segment_bytes_ = seed % 2 == 0 ? 3000 : 64 << 20;
    stop();
    fs::remove_all(fs::path(base_) / "mailbox.3");
    fs::remove_all(backups());
    make_store();
    std::mt19937 random(seed);
    auto account = open();
    std::vector<std::pair<int64_t, Model>> history;
    for (int i = 0; i < 60; i++) {
      change(account, random);
      history.emplace_back(now_, show(account));
      if (i == 45) backup();
    }
    for (int i = 0; i < 4; i++) {
      const size_t at = random() % (i % 2 == 0 ? 46 : history.size());
      const auto& [time, model] = history[at];
      now_ += 60;
      RestoreScope scope;
      scope.exact = true;
      const FoldUntil until{.time = static_cast<uint32_t>(time)};
      // From the backup, the ids are not trusted: contents are compared.
      const auto done =
          restore(account, i % 2 == 0 ? from_backup() : own(), until, scope, i % 2 != 0, i == 0);
      EXPECT_EQ(done.outcome.problems, std::vector<std::string>());
      EXPECT_EQ(show(account), model) << "set back to change " << at;
      const auto again =
          restore(account, i % 2 == 0 ? from_backup() : own(), until, scope, i % 2 != 0, i == 0);
      EXPECT_TRUE(again.plan.nothing_to_do());
    }
  }
}

TEST_F(RestoreTest, WhatCameLaterIsKeptUnlessExactIsWanted) {
  auto account = open();
  must(account->append(inbox(account), messages({"one", "two", "three"})));
  const int64_t then = now_;
  now_ += 60;
  must(account->expunge(inbox(account), uids({2})));
  must(account->change_flags(inbox(account), {.uids = uids({3}), .flags = kSeen}));
  must(account->append(inbox(account), messages({"later"})));
  now_ += 60;
  const auto done = restore(account, own(), {.time = static_cast<uint32_t>(then)}, {}, true);
  EXPECT_EQ(done.outcome.restored, 1U);
  EXPECT_EQ(done.outcome.reflagged, 1U);
  EXPECT_EQ(done.outcome.expunged, 0U);
  const auto list = must(account->open_mailbox(inbox(account)))->messages();
  ASSERT_EQ(list.size(), 4U);
  EXPECT_EQ(list[1].flags, 0) << "as it was";
  EXPECT_EQ(list[3].uid, Uid(5)) << "a new uid: nothing is rewritten";
  EXPECT_EQ(must(account->read(list[3].message)), "two");
  EXPECT_EQ(done.outcome.bytes, 0U) << "its bytes are in the journal still";
}

TEST_F(RestoreTest, AnnotationsComeBack) {
  auto account = open();
  must(account->create("Work"));
  must(account->annotate(account->find("Work")->id, {{"/private/a", "1"}, {"/private/b", "2"}}));
  must(account->annotate(MailboxId(), {{"/private/c", "3"}}));
  const auto before = show(account);
  const int64_t then = now_;
  now_ += 60;
  must(account->remove("Work"));
  must(account->create("Work"));
  must(account->annotate(account->find("Work")->id, {{"/private/a", "x"}, {"/private/n", "new"}}));
  must(account->annotate(MailboxId(), {{"/private/c", {}}}));
  must(account->annotate(inbox(account), {{"/private/d", "later"}}));
  now_ += 60;
  const FoldUntil until{.time = static_cast<uint32_t>(then)};
  auto done = restore(account, own(), until, {.mailbox = "Work"}, true);
  EXPECT_EQ(done.outcome.annotations, 2U);
  EXPECT_EQ(account->annotations(account->find("Work")->id),
            (Annotations{{"/private/a", "1"}, {"/private/b", "2"}, {"/private/n", "new"}}));
  EXPECT_TRUE(account->annotations(MailboxId()).empty());
  done = restore(account, own(), until, {.exact = true}, true);
  EXPECT_EQ(done.outcome.problems, std::vector<std::string>());
  EXPECT_EQ(show(account), before);
  EXPECT_TRUE(restore(account, own(), until, {.exact = true}, true).plan.nothing_to_do());
}

// A mailbox that was made anew without what it had gets it back, without losing a uid.
TEST_F(RestoreTest, SpecialUsesComeBackUnlessTheyWereGivenAway) {
  auto account = open();
  const int64_t then = now_;
  now_ += 60;
  for (const char* name : {"Sent", "Trash", "Junk"}) must(account->remove(name));
  must(account->create("Sent"));
  must(account->append(account->find("Sent")->id, messages({"a mail"})));
  must(account->create("Bin", SpecialUse::trash));
  now_ += 60;
  const auto before = account->find("Sent")->uidvalidity;
  restore(account, own(), {.time = static_cast<uint32_t>(then)}, {}, true);
  EXPECT_EQ(account->find("Sent")->special_use, SpecialUse::sent);
  EXPECT_EQ(account->find("Sent")->uidvalidity, before);
  EXPECT_EQ(account->find("Sent")->messages, 1U);
  EXPECT_EQ(account->find("Junk")->special_use, SpecialUse::junk);
  EXPECT_EQ(account->find("Bin")->special_use, SpecialUse::trash) << "what came later stays";
  EXPECT_EQ(account->find("Trash")->special_use, SpecialUse::none);
  EXPECT_TRUE(restore(account, own(), {.time = static_cast<uint32_t>(then)}, {}, true)
                  .plan.nothing_to_do());
  RestoreScope exact;
  exact.exact = true;
  restore(account, own(), {.time = static_cast<uint32_t>(then)}, exact, true);
  EXPECT_EQ(account->find("Bin"), nullptr);
  EXPECT_EQ(account->find("Trash")->special_use, SpecialUse::trash);
  // One mailbox alone has its own again; one of another name has none.
  must(account->remove("Drafts"));
  now_ += 60;
  const FoldUntil until{.time = static_cast<uint32_t>(then)};
  restore(account, own(), until, {.mailbox = "Drafts", .into = "Other"}, true);
  EXPECT_EQ(account->find("Other")->special_use, SpecialUse::none);
  restore(account, own(), until, {.mailbox = "Drafts"}, true);
  EXPECT_EQ(account->find("Drafts")->special_use, SpecialUse::drafts);
  // Nothing of it is lost by a kill, or hidden by the index.
  for (const bool clean : {true, false}) {
    account.reset();
    clean ? reopen() : kill();
    account = open();
    EXPECT_EQ(account->find("Sent")->special_use, SpecialUse::sent);
    EXPECT_EQ(account->find("Trash")->special_use, SpecialUse::trash);
  }
}

TEST_F(RestoreTest, AMessageIsKnownByItsBytesAndItsDate) {
  auto account = open();
  must(account->append(inbox(account), messages({"same size 1", "date", "zone", "keyword"})));
  const auto keyword = [&](const char* name) {
    must(account->change_flags(inbox(account),
                               {.uids = uids({4}), .op = FlagOp::replace, .keywords = {name}}));
  };
  keyword("was");
  backup();
  must(account->expunge(inbox(account), uids({1, 2, 3})));
  std::vector<NewMessage> others;
  others.push_back(message("same size 2"));
  others.push_back(message("date"));
  others.back().date++;
  others.push_back(message("zone"));
  others.back().zone += 60;
  must(account->append(inbox(account), std::move(others)));
  keyword("is");
  const auto done = restore(account, from_backup(), {}, {}, false);
  EXPECT_EQ(done.outcome.restored, 3U);
  EXPECT_EQ(done.outcome.reflagged, 1U);
  const auto box = must(account->open_mailbox(inbox(account)));
  EXPECT_EQ(box->messages().size(), 7U);
  EXPECT_EQ(box->keywords_of(*box->find(Uid(4))), std::vector<std::string>{"was"});
  EXPECT_TRUE(restore(account, from_backup(), {}, {}, false).plan.nothing_to_do());
}

// A message that nobody can read is not there. It comes back as it was, and the damaged one goes.
TEST_F(RestoreTest, ADamagedMessageIsReplaced) {
  sound_at_end_ = false;  // its record stays in the journal
  for (const bool same : {true, false}) {
    for (const bool interrupted : {false, true}) {
      SCOPED_TRACE(fmt::format("{} {}", same, interrupted));
      begin_anew();
      auto account = open();
      std::vector<NewMessage> list;
      for (int i = 0; i < 12; i++)
        list.push_back(message(fmt::format("message {:02}", i), static_cast<uint8_t>(i),
                               {"k" + std::to_string(i % 3)}));
      list[5] = message("message 06", 5, {"twin"});  // of the same bytes and date as the next one
      for (auto& m : list) m.date = 1'000'000'000;
      must(account->append(inbox(account), std::move(list)));
      must(account->create("Copies"));
      must(account->copy(inbox(account), uids({4, 7}), account->find("Copies")->id));
      const Model before = show(account);
      backup();
      // What came later stays, and what is copied later is replaced, too, where the ids say which
      // message it is.
      must(account->create("Later"));
      must(account->copy(inbox(account), uids({4, 8}), account->find("Later")->id));
      must(account->change_flags(account->find("Later")->id,
                                 {.uids = uids({1}), .op = FlagOp::replace, .flags = kFlagged}));
      must(account->append(inbox(account), messages({"later"})));
      Model wanted = show(account);
      account.reset();
      stop();
      for (const char* text : {"message 03", "message 10"}) damage(dir(), text);
      damage(dir(), "message 06", 1);  // the second one: uid 7
      make_store();
      account = open();
      EXPECT_FALSE(run(loop_, account->read(MessageId(4))));

      auto done = restore(account, from_backup(), {}, {}, same, true, interrupted);
      const size_t damaged = same ? 6 : 5;
      EXPECT_EQ(done.outcome.problems, std::vector<std::string>());
      EXPECT_EQ(done.outcome.restored, damaged);
      EXPECT_EQ(done.outcome.reflagged, 0U);
      EXPECT_EQ(done.outcome.replaced, interrupted ? 0 : damaged);
      if (interrupted) {
        done = restore(account, from_backup(), {}, {}, same, true);
        EXPECT_EQ(done.outcome.restored, 0U) << "they are there already";
        EXPECT_EQ(done.outcome.replaced, damaged);
      }
      if (!same) {
        const auto later = account->find("Later")->id;
        EXPECT_FALSE(run(loop_, account->read(MessageId(4)))) << "nobody knows what it was";
        must(account->expunge(later, uids({1})));
        auto& shown = wanted.mailboxes["Later"];
        std::erase_if(shown, [](const Shown& m) { return m.bytes == "message 03"; });
      }
      EXPECT_EQ(show(account), wanted);
      EXPECT_TRUE(restore(account, from_backup(), {}, {}, same, true).plan.nothing_to_do());
      const auto box = must(account->open_mailbox(inbox(account)));
      EXPECT_EQ(box->find(Uid(4)), nullptr);
      ASSERT_NE(box->find(Uid(14)), nullptr) << "a new uid";
      EXPECT_EQ(must(account->check()), std::vector<std::string>());
      // It survives: nothing of it is in the memory only.
      account.reset();
      kill();
      account = open();
      EXPECT_EQ(show(account), wanted);
    }
  }
  const auto report = check_account(base(), account_path("foo"), "FOO");
  ASSERT_TRUE(report);
  size_t told = 0;
  for (const auto& f : report->findings) {
    if (f.remedy.find("no mailbox has this message any more") == std::string::npos) continue;
    told++;
    EXPECT_FALSE(f.damage) << to_string(f);
  }
  EXPECT_EQ(told, 3U);
  EXPECT_TRUE(report->sound());
}

TEST_F(RestoreTest, AMessageThatIsDamagedInBothStaysAndIsNamed) {
  sound_at_end_ = false;
  auto account = open();
  must(account->append(inbox(account), messages({"message 01", "message 02"})));
  backup();
  account.reset();
  stop();
  for (const auto& where : {dir(), fs::path(backups()) / id()}) damage(where, "message 02");
  make_store();
  account = open();
  must(account->change_flags(inbox(account), {.uids = uids({2}), .flags = kSeen}));
  for (const bool same : {true, false}) {
    const auto done = restore(account, from_backup(), {}, {}, same, true);
    for (const auto& m : done.plan.mailboxes)
      EXPECT_EQ(m.hopeless, m.name == "INBOX" ? uids({2}) : uids({})) << m.name;
    EXPECT_EQ(done.outcome.reflagged, same ? 1U : 0U) << "all else of it is as it was";
    EXPECT_EQ(done.outcome.restored, 0U);
    EXPECT_EQ(done.outcome.replaced, 0U);
    EXPECT_NE(must(account->open_mailbox(inbox(account)))->find(Uid(2)), nullptr);
    EXPECT_TRUE(restore(account, from_backup(), {}, {}, same, true).plan.nothing_to_do());
  }
  // A system that is out of something says nothing of a message.
  const AccountState now = snapshot(account);
  const auto none = [](const MessageEntry&) -> Result<std::string> {
    return fail_errno("open", EMFILE);
  };
  EXPECT_FALSE(plan_restore({.then = now,
                             .now = now,
                             .same_ids = true,
                             .replace_damaged = true,
                             .then_digest = none,
                             .now_digest = none},
                            {}));
  check_at_end_.clear();
}

// The index of a closed account knows messages and flags that the journal has lost.
TEST_F(RestoreTest, WhatALostSegmentHeldComesBackOnce) {
  sound_at_end_ = false;
  segment_bytes_ = 3000;
  make_store();
  make_account();
  backup();
  fs::remove(dir() / "journal/00000002");
  make_store();
  auto account = open();
  // Copies of what it held are listed, and can not be read; the rest is not listed.
  size_t lost = 0;
  for (const auto* info : account->mailboxes())
    for (const auto& e : must(account->open_mailbox(info->id))->messages())
      lost += run(loop_, account->read(e.message)) ? 0 : 1;
  ASSERT_GT(lost, 2U);
  const auto done = restore(account, from_backup(), {}, {}, true, true);
  EXPECT_GT(done.outcome.restored, lost);
  EXPECT_EQ(done.outcome.replaced, lost);
  EXPECT_EQ(done.outcome.reflagged, 0U);
  EXPECT_TRUE(restore(account, from_backup(), {}, {}, true, true).plan.nothing_to_do());
  check_at_end_.clear();
}

TEST_F(RestoreTest, NamesThatOnlyHeldOthersAreThatAgain) {
  auto account = open();
  must(account->create("Lists/2026/one"));
  must(account->remove("Lists"));
  must(account->remove("Lists/2026"));
  ASSERT_TRUE(account->find("Lists/2026")->noselect);
  const int64_t then = now_;
  now_ += 60;
  must(account->remove("Lists/2026/one"));
  ASSERT_EQ(account->find("Lists"), nullptr);
  now_ += 60;
  const FoldUntil until{.time = static_cast<uint32_t>(then)};
  const auto all_noselect = [&] {
    return account->find("Lists")->noselect && account->find("Lists/2026")->noselect &&
           !account->find("Lists/2026/one")->noselect;
  };
  restore(account, own(), until, {.mailbox = "Lists/2026/one"}, true);
  EXPECT_TRUE(all_noselect());
  // A mailbox of that name stays one, unless all is to be as it was.
  must(account->create("Lists"));
  EXPECT_TRUE(restore(account, own(), until, {}, true).plan.nothing_to_do());
  RestoreScope exact;
  exact.exact = true;
  restore(account, own(), until, exact, true);
  EXPECT_TRUE(all_noselect());
  must(account->remove("Lists/2026/one"));
  restore(account, own(), until, {}, true);
  EXPECT_TRUE(all_noselect());
}

TEST_F(RestoreTest, OneMailboxOrMessageIntoAnother) {
  auto account = open();
  must(account->create("Work"));
  must(account->append(account->find("Work")->id, messages({"a", "b", "c", "d"})));
  const int64_t then = now_;
  now_ += 60;
  must(account->remove("Work"));
  now_ += 60;
  RestoreScope scope{.mailbox = "Work", .uids = *parse_uid_set("2:3"), .into = "Found/again"};
  restore(account, own(), {.time = static_cast<uint32_t>(then)}, scope, true);
  EXPECT_EQ(account->find("Work"), nullptr);
  const auto found = must(account->open_mailbox(account->find("Found/again")->id));
  ASSERT_EQ(found->messages().size(), 2U);
  EXPECT_EQ(must(account->read(found->messages()[0].message)), "b");
  EXPECT_EQ(must(account->read(found->messages()[1].message)), "c");
  EXPECT_FALSE(account->subscriptions().contains("Found/again"));
}

TEST(RestorePlanTest, RefusesWhatWasNotThere) {
  AccountState then, now;
  const RestoreStates states{.then = then, .now = now};
  EXPECT_EQ(plan_restore(states, {.mailbox = "x"}).error().reply(),
            "there was no mailbox \"x\" at that time");
  then.apply(
      {.seq = 1,
       .time = 1,
       .location = {},
       .record = MailboxCreated{.id = MailboxId(1), .uidvalidity = UidValidity(1), .name = "x"}});
  EXPECT_EQ(plan_restore(states, {.mailbox = "x", .uids = {{3, 4}}}).error().reply(),
            "mailbox \"x\" had no message with uid 3:4 at that time");
  EXPECT_TRUE(plan_restore(states, {.mailbox = "x", .uids = {{3, UINT32_MAX}}}));
}

TEST(RestorePlanTest, UidSets) {
  using Ranges = std::vector<UidRange>;
  EXPECT_EQ(*parse_uid_set("8,5:1,20:*"), (Ranges{{1, 5}, {8, 8}, {20, UINT32_MAX}}));
  for (const char* text : {"", ",", "1,", "0", "1:", ":1", "a", "1 2", "-1", "*", "4294967296"})
    EXPECT_FALSE(parse_uid_set(text)) << text;
}

// Where not all that was there before can be restored, what came later stays; the rest is done.
TEST_F(RestoreTest, AnExactRestoreWithAProblemInAMailboxTakesNothingFromThatOne) {
  auto account = open();
  must(account->append(inbox(account), messages({"message 01", "message 02"})));
  const auto other = must(account->create("other"));
  must(account->append(other, messages({"message 03"})));
  backup();
  must(account->expunge(inbox(account), uids({1, 2})));
  must(account->expunge(other, uids({1})));
  must(account->append(inbox(account), messages({"later 1"})));
  must(account->append(other, messages({"later 2"})));
  damage(fs::path(backups()) / id(), "message 02");
  const auto done = restore(account, from_backup(), {}, {.exact = true}, false);
  ASSERT_EQ(done.outcome.problems.size(), 2U);
  EXPECT_NE(done.outcome.problems[0].find("INBOX: the message that had uid 2 is not restored"),
            std::string::npos);
  EXPECT_NE(done.outcome.problems[1].find("INBOX: 1 messages that came later stay"),
            std::string::npos);
  EXPECT_EQ(done.outcome.restored, 2U);
  EXPECT_EQ(done.outcome.expunged, 1U);
  const auto shown = show(account);
  const auto texts = [&](const char* name) {
    std::string all;
    for (const auto& m : shown.mailboxes.at(name)) all += m.bytes + ";";
    return all;
  };
  EXPECT_EQ(texts("INBOX"), "later 1;message 01;");
  EXPECT_EQ(texts("other"), "message 03;");
}

}  // namespace
}  // namespace rims::store
