// tests/maintenance/restore_account_test.cc - accounts that are gone or older than their backup,
// what their place holds, and backups that are damaged themselves

#include "tests/maintenance/restore_fixture.h"

namespace rims::store {
namespace {

// Everything as it was: uids, modseqs, flags. Only what is given out next is further on.
TEST_F(RestoreTest, AMissingAccountIsMadeFromTheBackup) {
  for (const uint64_t segment : {uint64_t{2000}, uint64_t{64} << 20}) {
    segment_bytes_ = segment;
    if (store_) stop();
    fs::remove_all(fs::path(base_) / "mailbox.3");
    fs::remove_all(backups());
    make_store();
    make_account();
    make_store();
    auto account = open();
    now_ += 60;
    const auto then = own().fold()->state;
    must(account->append(inbox(account), messages(std::vector<std::string>(30, "later"))));
    now_ += 60;
    must(account->expunge(inbox(account), uids({4, 7})));
    const auto end = own().fold()->state;
    account.reset();
    kill();
    const auto manifest = backup();
    for (const uint64_t upto : {end.seq(), then.seq()}) {
      SCOPED_TRACE(upto);
      if (store_) stop();
      fs::remove_all(fs::path(base_) / "mailbox.3");
      const auto dir = AccountDir::at(Disk::real(), backups() + "/" + id());
      ASSERT_TRUE(dir) << dir.error().detail();
      const auto made = restore_account(
          base(), *dir, manifest,
          {.account = id(), .upto = upto, .skip = 30, .now = static_cast<uint32_t>(now_)});
      ASSERT_TRUE(made) << made.error().detail();
      EXPECT_EQ(made->problems, std::vector<std::string>());
      EXPECT_EQ(made->last_seq, upto);
      EXPECT_TRUE(*account_exists(base(), id()));
      // The first records are those of the backup, byte by byte.
      const auto folded = own().fold({.seq = upto});
      EXPECT_EQ(folded->state.difference(upto == end.seq() ? end : then), "");
      EXPECT_EQ(own().fold()->state.mailbox("INBOX")->info().uidnext.value,
                folded->state.mailbox("INBOX")->info().uidnext.value + 30 + Unseen().numbers);
      make_store();
      account = open();
      // What clients saw after the backup is not taken for what comes now, with an index or not.
      for (const char* how : {"from the journal", "from the index"}) {
        SCOPED_TRACE(how);
        EXPECT_TRUE(account->can_tell_since(ModSeq(upto)));
        EXPECT_FALSE(account->can_tell_since(ModSeq(upto + 1)));
        EXPECT_FALSE(account->can_tell_since(ModSeq(end.seq() + Unseen().records)));
        EXPECT_TRUE(account->can_tell_since(account->modseq()));
        account.reset();
        reopen();
        account = open();
      }
      for (const auto& [box, was] : folded->state.mailboxes()) {
        const auto is = must(account->open_mailbox(box));
        EXPECT_TRUE(std::ranges::equal(is->messages(), was->messages())) << was->info().name;
        EXPECT_EQ(is->info().uidvalidity, was->info().uidvalidity);
        for (const auto& e : is->messages()) must(account->read(e.message));
      }
      account.reset();
      // It is not made over one that is there.
      const auto twice = restore_account(base(), *dir, manifest, {.account = id()});
      ASSERT_FALSE(twice);
      EXPECT_EQ(twice.error().fault(), Fault::refused);
    }
  }
}

// An older copy of the account is in its place, and a newer backup is restored into it: clients
// know numbers that only the backup knows.
TEST_F(RestoreTest, AnOlderCopyGivesNoNumberOutThatTheBackupKnows) {
  for (const uint64_t segment : {uint64_t{2000}, uint64_t{64} << 20}) {
    SCOPED_TRACE(segment);
    segment_bytes_ = segment;
    begin_anew();
    make_account();
    fs::remove_all(base_ + "/older");
    fs::copy(dir(), base_ + "/older", fs::copy_options::recursive);
    make_store();
    auto account = open();
    must(account->append(inbox(account), messages({"later 1", "later 2", "later 3"})));
    must(account->copy(inbox(account), uids({21, 22}), account->find("a/b")->id));
    must(account->create("new"));
    must(account->append(account->find("new")->id, messages({"later 4"})));
    must(account->expunge(inbox(account), uids({22})));
    const AccountState known = snapshot(account);
    account.reset();
    stop();
    const auto manifest = backup();
    fs::remove_all(dir());
    fs::copy(base_ + "/older", dir(), fs::copy_options::recursive);
    store::own(dir());
    make_store();
    account = open();
    const std::string of(manifest.account_id.begin(), manifest.account_id.end());
    const auto then = from_backup().fold()->state;
    EXPECT_FALSE(must(account->pass_over(then, std::string(16, 'x'), {}))) << "another journal";
    EXPECT_TRUE(must(account->pass_over(then, of, {.numbers = 50, .records = 500})));
    EXPECT_FALSE(must(account->pass_over(then, of, {.numbers = 50, .records = 500})));
    for (const char* how : {"at once", "from the index", "from the journal"}) {
      SCOPED_TRACE(how);
      for (const auto* info : account->mailboxes()) {
        if (info->noselect) continue;
        EXPECT_GT(info->highest_modseq.value, known.seq() + 500) << info->name;
        EXPECT_GE(info->uidnext.value, known.mailbox(info->name)->info().uidnext.value + 50);
      }
      EXPECT_FALSE(account->can_tell_since(ModSeq(known.seq())));
      EXPECT_FALSE(account->can_tell_since(ModSeq(known.seq() + 500)));
      EXPECT_TRUE(account->can_tell_since(account->modseq()));
      EXPECT_EQ(must(account->check()), std::vector<std::string>());
      account.reset();
      how == std::string_view("at once") ? reopen() : kill();
      account = open();
    }
    const auto done = restore(account, from_backup(), {}, {}, false, true);
    EXPECT_EQ(done.outcome.restored, 5U);
    for (const auto& [id, mailbox] : snapshot(account).mailboxes()) {
      const auto was = known.mailbox(mailbox->info().name);
      if (mailbox->info().name == "new")
        EXPECT_GT(mailbox->info().uidvalidity, known.last_uidvalidity());
      else
        EXPECT_EQ(mailbox->info().uidvalidity, was->info().uidvalidity);
      for (const auto& e : mailbox->messages())
        if (e.message.value > 20)
          EXPECT_GE(e.message.value, known.next_message().value + 50) << mailbox->info().name;
        else
          EXPECT_LT(e.uid, was->info().uidnext);
    }
    EXPECT_TRUE(restore(account, from_backup(), {}, {}, false, true).plan.nothing_to_do());
  }
}

// The account was in use after the backup, and may have been made from it before.
TEST_F(RestoreTest, WhatFollowedTheBackupIsNotGivenOutAgain) {
  AccountState none;
  const auto unseen = [&](int64_t made, int64_t now, uint32_t chance) {
    return unseen_since(none, made, now, chance);
  };
  EXPECT_EQ(unseen(now_, now_, 0).numbers, Unseen().numbers);
  // Whatever chance gave to the one before: HIGHESTMODSEQ never goes back.
  EXPECT_GT(unseen(now_, now_ + 1, 0).records, unseen(now_, now_, UINT32_MAX).records + 900'000);
  EXPECT_EQ(unseen(now_, now_ - 1000, 0).records, Unseen().records) << "a clock was set back";
  EXPECT_GE(unseen(0, 86'400, 0).numbers - unseen(0, 0, 0).numbers, 4 * 86'400U);
  EXPECT_GE(unseen(0, 86'400, 0).records - unseen(0, 0, 0).records, 1000U * 86'400);
  EXPECT_GE(unseen(0, 0, UINT32_MAX).numbers, 1U << 24) << "a burst";
  EXPECT_LE(unseen(0, INT64_MAX / 4000, UINT32_MAX).numbers, UINT32_MAX / 4);

  make_account();
  now_ += 60;
  const auto manifest = backup();
  const auto end = from_backup().fold()->state;
  const auto from = AccountDir::at(Disk::real(), backups() + "/" + id());
  const MailboxId box = end.mailbox("INBOX")->info().id;
  std::map<Uid, std::string> seen;
  ModSeq highest = end.mailbox("INBOX")->info().highest_modseq;
  for (int time = 0; time < 3; time++) {
    SCOPED_TRACE(time);
    fs::remove_all(dir());
    now_ += 60;
    const auto made = restore_account(base(), *from, manifest,
                                      {.account = id(),
                                       .unseen = unseen_since(end, manifest.made, now_, 0),
                                       .mailboxes = {box},
                                       .now = static_cast<uint32_t>(now_)});
    ASSERT_TRUE(made) << made.error().detail();
    make_store();
    auto account = open();
    EXPECT_GT(account->find("INBOX")->highest_modseq, highest) << "before anything is changed";
    must(account->append(inbox(account),
                         messages(std::vector<std::string>(200, fmt::format("mail {}", time)))));
    highest = account->find("INBOX")->highest_modseq;
    for (const auto& e : must(account->open_mailbox(inbox(account)))->messages()) {
      const std::string bytes = must(account->read(e.message));
      EXPECT_EQ(seen.emplace(e.uid, bytes).first->second, bytes) << e.uid.value;
    }
    EXPECT_EQ(must(account->check()), std::vector<std::string>());
    account.reset();
    stop();
  }
  make_store();
  // Some are left, however long ago it was.
  AccountState full;
  full.apply(
      {.seq = 1, .record = MailboxCreated{MailboxId(1), UidValidity(1), {}, false, "INBOX"}});
  full.apply({.seq = 2, .record = UidNext{MailboxId(1), Uid(UINT32_MAX - 100'000)}});
  EXPECT_LE(unseen_since(full, 0, now_, UINT32_MAX).numbers, 25'000U);
}

// Two directories change places: no tool may take the one user's mail for the other's.
TEST_F(RestoreTest, MailInAnotherUsersPlaceIsRefusedByEveryTool) {
  for (const char* user : {"foo", "bar"}) {
    auto account = open(user);
    must(account->append(inbox(account), messages({std::string("mail of ") + user})));
  }
  stop();
  backup();
  const std::string good = slurp(backups() + "/" + id() + "/manifest.json");
  fs::rename(dir("foo"), base_ + "/aside");
  fs::rename(dir("bar"), dir("foo"));
  fs::rename(base_ + "/aside", dir("bar"));
  check_at_end_.clear();
  const auto refused = JournalReader::open(base(), "foo");
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().fault(), Fault::refused);
  EXPECT_NE(refused.error().detail().find("holds the mail of \"bar\", whose place is " +
                                          account_path("bar") +
                                          "; nothing was changed. If two directories were "
                                          "swapped, put each back in its place"),
            std::string::npos)
      << refused.error().detail();
  EXPECT_TRUE(JournalReader::open(base(), "foo", disk_, Owner::anybody)) << "to look at it";
  // Its backup stays what it is. The name of the user need not be known.
  for (const char* user : {"foo", ""}) {
    const auto none = back_up(
        base(),
        {.directory = backups(), .account = id(), .user = user, .progress = {}, .clock = [this] {
           return now_;
         }});
    ASSERT_FALSE(none);
    const std::string detail = none.error().detail();
    EXPECT_EQ(detail.substr(0, detail.find("rims-ctl account rename")),
              refused.error().detail().substr(0, detail.find("rims-ctl account rename")));
  }
  EXPECT_EQ(slurp(backups() + "/" + id() + "/manifest.json"), good);
  EXPECT_EQ(std::distance(fs::directory_iterator(backups()), {}), 1) << "nothing was put aside";

  // A backup that an earlier version made meanwhile: of bar's mail, in foo's name.
  fs::rename(dir("bar"), dir("foo") += "-bar");
  fs::rename(dir("foo"), dir("bar"));
  ASSERT_TRUE(back_up(base(), {.directory = base_ + "/other",
                               .account = unique_user_id("bar"),
                               .user = "foo",
                               .progress = {},
                               .clock = [this] { return now_; }}));
  const std::string wrong = base_ + "/other/" + id();
  fs::rename(base_ + "/other/" + unique_user_id("bar"), wrong);
  auto manifest = *read_manifest(*AccountDir::at(Disk::real(), wrong));
  manifest.account = id();
  spew(wrong + "/manifest.json", encode(manifest));
  auto journal = *JournalReader::at(wrong + "/journal");
  const Status foos = is_backup_of("foo", journal, manifest, "DIR");
  ASSERT_FALSE(foos);
  EXPECT_NE(foos.error().detail().find("DIR holds the mail of \"bar\", not of foo: "),
            std::string::npos)
      << foos.error().detail();
  EXPECT_TRUE(is_backup_of("bar", journal, manifest, "DIR")) << "it can still be restored";
  const auto verified = verify_backup(wrong, {});
  ASSERT_EQ(verified->problems.size(), 1U);
  EXPECT_NE(verified->problems[0].find("rims-ctl restore bar --from " + wrong), std::string::npos)
      << verified->problems[0];
  auto own = from_backup();
  const auto of_foo = *read_manifest(*AccountDir::at(Disk::real(), backups() + "/" + id()));
  EXPECT_TRUE(is_backup_of("foo", own, of_foo, "DIR"));
  EXPECT_EQ(is_backup_of("bar", own, of_foo, "DIR").error().detail(),
            "DIR is a backup of foo, not of bar");
  EXPECT_TRUE(verify_backup(backups() + "/" + id(), {})->problems.empty());
}

TEST_F(RestoreTest, ThePlaceOfAMissingAccountMustBeFree) {
  make_account();
  const auto manifest = backup();
  const auto from = AccountDir::at(Disk::real(), backups() + "/" + id());
  const auto why = [&] {
    const auto made = restore_account(base(), *from, manifest, {.account = id()});
    return made ? std::string("made") : made.error().detail();
  };
  EXPECT_NE(why().find("was created meanwhile; run the command again"), std::string::npos);
  fs::rename(dir(), base_ + "/elsewhere");
  for (const std::string target : {"/elsewhere", "/nowhere"}) {
    fs::create_directory_symlink(base_ + target, dir());
    const auto there = account_exists(base(), id());
    ASSERT_FALSE(there);
    EXPECT_NE(there.error().detail().find("is, or is beneath, a symbolic link"), std::string::npos);
    EXPECT_NE(why().find(account_path("foo") + " is, or is beneath, a symbolic link"),
              std::string::npos)
        << why();
    fs::remove(dir());
  }
  fs::create_directory(dir());
  EXPECT_FALSE(*account_exists(base(), id()));
  EXPECT_NE(why().find("has no journal; move it elsewhere"), std::string::npos) << why();
  // Never used: nothing is in it.
  fs::create_directory(dir() / "journal");
  store::own(dir());
  EXPECT_FALSE(*account_exists(base(), id()));
  const auto report = check_account(base(), account_path("foo"), "FOO");
  ASSERT_EQ(report->findings.size(), 1U);
  EXPECT_NE(report->findings[0].what.find("has no segment"), std::string::npos);
  EXPECT_FALSE(report->findings[0].damage);
  spew(dir() / "meta.gdbm", "an index may know what was lost");
  EXPECT_TRUE(*account_exists(base(), id()));
  EXPECT_NE(why().find("was created meanwhile"), std::string::npos) << why();
  fs::remove(dir() / "meta.gdbm");
  EXPECT_EQ(why(), "made");
  EXPECT_TRUE(*account_exists(base(), id()));
}

TEST_F(RestoreTest, WithoutTheManifestTheSegmentsSayTheSame) {
  segment_bytes_ = 2000;
  make_store();
  make_account();
  auto manifest = backup();
  const auto dir = AccountDir::at(Disk::real(), backups() + "/" + id());
  auto salvaged = salvage_manifest(*dir, id());
  ASSERT_TRUE(salvaged) << salvaged.error().detail();
  manifest.user.clear();
  manifest.made = 0;
  EXPECT_EQ(*salvaged, manifest);
  fs::remove_all(backups() + "/" + id() + "/journal");
  fs::create_directory(backups() + "/" + id() + "/journal");
  EXPECT_EQ(salvage_manifest(*dir, id()).error().fault(), Fault::not_found);
  make_store();
}

TEST_F(RestoreTest, DamageInTheBackupIsToldAndTheRestRestored) {
  make_account();
  const auto manifest = backup();
  const fs::path file = backups() + "/" + id() + "/journal/00000001";
  std::string bytes = slurp(file);
  // The structure has these words, too; the body comes after it.
  bytes[bytes.find("message 7", bytes.find("message 7") + 1)] ^= 1;
  spew(file, bytes);
  fs::remove_all(fs::path(base_) / "mailbox.3");
  const auto dir = AccountDir::at(Disk::real(), backups() + "/" + id());
  const auto made = restore_account(base(), *dir, manifest, {.account = id()});
  ASSERT_TRUE(made) << made.error().detail();
  ASSERT_EQ(made->problems.size(), 2U);
  EXPECT_NE(made->problems[0].find("SHA-256"), std::string::npos);
  EXPECT_NE(made->problems[1].find("aux or body"), std::string::npos);
  make_store();
  auto account = open();
  size_t good = 0, bad = 0;
  for (const auto& e : must(account->open_mailbox(inbox(account)))->messages())
    run(loop_, account->read(e.message)) ? good++ : bad++;
  EXPECT_EQ(bad, 1U);
  EXPECT_EQ(good, 18U);
  check_at_end_.clear();
}

}  // namespace
}  // namespace rims::store
