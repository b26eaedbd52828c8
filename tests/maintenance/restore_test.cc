// tests/maintenance/restore_test.cc - accounts as they were: from a backup, from their own journal,
// against a model of what they were

#include <bit>
#include <random>

#include "common/journal/account_dir.h"
#include "common/journal/reader.h"
#include "common/maintenance/backup.h"
#include "common/maintenance/backup_files.h"
#include "common/maintenance/restore_account.h"
#include "common/maintenance/restore_plan.h"
#include "common/maintenance/restore_run.h"
#include "tests/account/file_fixture.h"

namespace rims::store {
namespace {

// A message as a client sees it, without its uid.
struct Shown {
  std::string bytes, structure;
  uint8_t flags = 0;
  std::vector<std::string> keywords;
  int64_t date = 0;
  auto operator<=>(const Shown&) const = default;
};
struct Model {
  std::map<std::string, std::multiset<Shown>> mailboxes;
  std::map<std::string, std::string> attributes;
  std::map<std::string, Annotations> annotations;  // "": of the account itself
  std::set<std::string> subscriptions;
  bool operator==(const Model&) const = default;
};

class RestoreTest : public FileTest {
 protected:
  void SetUp() override {
    quick_ = true;
    FileTest::SetUp();
    fs::create_directory(fs::path(base_) / "other");
  }
  Fd base() const { return *open_base(base_); }
  static std::string id() { return unique_user_id("foo"); }
  std::string backups() const { return base_ + "/backup"; }
  BackupManifest backup() {
    auto done = back_up(
        base(),
        {.directory = backups(), .account = id(), .user = "foo", .progress = {}, .clock = [this] {
           return now_;
         }});
    EXPECT_TRUE(done) << done.error().detail();
    return done ? done->manifest : BackupManifest();
  }
  Model show(const std::shared_ptr<Account>& account) {
    Model model;
    model.annotations[""] = account->annotations(MailboxId());
    for (const auto* info : account->mailboxes()) {
      model.annotations[info->name] = account->annotations(info->id);
      auto& shown = model.mailboxes[info->name];
      model.attributes[info->name] = info->noselect ? "\\Noselect" : name(info->special_use);
      if (info->noselect) continue;
      const auto mailbox = must(account->open_mailbox(info->id));
      for (const auto& e : mailbox->messages()) {
        Shown one{must(account->read(e.message)),
                  must(account->read_structure(e.message)),
                  e.flags,
                  {},
                  e.date};
        one.keywords = mailbox->keywords_of(e);
        std::ranges::sort(one.keywords);
        shown.insert(std::move(one));
      }
    }
    model.subscriptions = {account->subscriptions().begin(), account->subscriptions().end()};
    return model;
  }
  struct Done {
    RestorePlan plan;
    RestoreOutcome outcome;
  };
  // What rims-ctl restore does to an account that exists.
  Done restore(const std::shared_ptr<Account>& account, JournalReader from, FoldUntil until,
               RestoreScope scope, bool same, bool replace = false, bool interrupted = false) {
    auto then = from.fold(until);
    EXPECT_TRUE(then) << then.error().detail();
    const AccountState now = snapshot(account);
    auto plan = plan_restore(
        {.then = then->state,
         .now = now,
         .same_ids = same,
         .replace_damaged = replace,
         .then_digest = [&](const MessageEntry& e) -> Result<std::string> {
           const auto place = then->places.find(e.message);
           if (place == then->places.end()) return fail(Fault::not_found, "no such message");
           return from.read(place->second, e.message, Part::message);
         },
         .now_digest = [&](const MessageEntry& e) { return run(loop_, account->read(e.message)); }},
        scope);
    EXPECT_TRUE(plan) << plan.error().detail();
    Done done{*plan, {}};
    for (auto& m : plan->mailboxes)
      if (interrupted)
        std::ranges::fill(m.damaged, Uid(0));  // before the damaged ones are expunged
    done.outcome =
        must(carry_out(*account, *plan,
                       {.read = [&](const MessageEntry& e) -> Result<MessageParts> {
                          const auto& place = then->places.at(e.message);
                          TRY(auto bytes, from.read(place, e.message, Part::message));
                          TRY(auto structure, from.read(place, e.message, Part::structure));
                          return MessageParts{std::move(bytes), std::move(structure)};
                        },
                        .same_ids = same}));
    return done;
  }
  void begin_anew() {
    if (store_) stop();
    fs::remove_all(fs::path(base_) / "mailbox.3");
    fs::remove_all(backups());
    make_store();
  }
  // Changes 4 bytes of the message with this text, or of the n-th one after it.
  static void damage(const fs::path& account, const std::string& text, int n = 0) {
    std::set<fs::path> segments;
    for (const auto& file : fs::directory_iterator(account / "journal"))
      segments.insert(file.path());
    for (const auto& path : segments) {
      std::string bytes = slurp(path);
      for (size_t at = bytes.find(text); at != bytes.npos; at = bytes.find(text, at + 1)) {
        // The structure has these words, too.
        if (bytes.substr(at - 13, 13) == "structure of " || n-- > 0) continue;
        for (size_t i = 0; i < 4; i++) bytes[at + i] ^= 1;
        spew(path, bytes);
        return;
      }
    }
    ADD_FAILURE() << text << " is nowhere in " << account;
  }
  JournalReader own() { return *JournalReader::open(base(), "foo"); }
  JournalReader from_backup() { return *JournalReader::at(backups() + "/" + id() + "/journal"); }

  // Some change or other, a minute later.
  void change(const std::shared_ptr<Account>& account, std::mt19937& random) {
    now_ += 60;
    const auto pick = [&](size_t n) { return static_cast<size_t>(random() % n); };
    std::vector<const MailboxInfo*> boxes;
    for (const auto* info : account->mailboxes())
      if (!info->noselect) boxes.push_back(info);
    const MailboxId box = boxes[pick(boxes.size())]->id, other = boxes[pick(boxes.size())]->id;
    std::vector<Uid> some;
    for (const auto& e : must(account->open_mailbox(box))->messages())
      if (random() % 3 == 0) some.push_back(e.uid);
    switch (pick(9)) {
      case 0:
      case 1:
      case 2: {
        auto m = message("mail " + std::to_string(random() % 40) + std::string(random() % 300, 'x'),
                         static_cast<uint8_t>(random() % 32), {"k" + std::to_string(random() % 3)});
        m.date = static_cast<int64_t>(1'000'000'000 + random() % 2);
        std::vector<NewMessage> list;
        list.push_back(std::move(m));
        must(account->append(box, std::move(list)));
        break;
      }
      case 3:
        must(account->change_flags(box, {.uids = some,
                                         .op = FlagOp::replace,
                                         .flags = static_cast<uint8_t>(random() % 32),
                                         .keywords = {"k" + std::to_string(random() % 5)}}));
        break;
      case 4:
        must(account->expunge(box, some));
        break;
      case 5:
        must(account->copy(box, some, other));
        break;
      case 6:
        must(account->move(box, some, other));
        break;
      case 7: {
        const char* const some_names[] = {"box0",    "box1",     "box2", "box0/in", "box1/in",
                                          "box2/in", "box2/out", "Sent", "Trash",   "Drafts"};
        const std::string name = some_names[pick(std::size(some_names))];
        const auto* info = account->find(name);
        const std::string to = "box" + std::to_string(random() % 9);
        if (!info) {
          auto use = static_cast<SpecialUse>(pick(6));
          for (const auto* present : account->mailboxes())
            if (present->special_use == use) use = SpecialUse::none;
          must(account->create(name, use));
        } else if (random() % 2 == 0) {
          if (!info->noselect) must(account->remove(name));
        } else if (!account->find(to)) {
          must(account->rename(name, to));
        }
        break;
      }
      default:
        must(account->annotate(
            box, {{"/private/" + std::to_string(random() % 3),
                   random() % 3 == 0 ? std::optional<std::string>() : std::to_string(random())}}));
        must(random() % 2 == 0 ? account->subscribe("box" + std::to_string(random() % 5))
                               : account->unsubscribe("box" + std::to_string(random() % 5)));
    }
  }
};

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
