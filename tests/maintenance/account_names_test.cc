// tests/maintenance/account_names_test.cc - accounts get another user, and are removed

#include "common/maintenance/account_names.h"

#include "common/journal/account_dir.h"
#include "common/journal/reader.h"
#include "common/maintenance/backup.h"
#include "common/maintenance/check.h"
#include "common/maintenance/restore_account.h"
#include "tests/account/file_fixture.h"

namespace rims::store {
namespace {

constexpr Milliseconds kWait{200};

class AccountNamesTest : public FileTest {
 protected:
  void SetUp() override {
    quick_ = true;
    FileTest::SetUp();
    segment_bytes_ = 3000;
    make_store();
  }
  Fd base() const { return *open_base(base_); }
  // An account with several segments, closed; its state.
  AccountState fill(const std::string& user, const std::string& text = "mail ") {
    auto account = open(user);
    for (int i = 0; i < 20; i++)
      must(account->append(inbox(account), messages({text + std::string(300, 'x')})));
    auto state = snapshot(account);
    account.reset();
    stop();
    make_store();
    check_at_end_.clear();
    return state;
  }
  Status rename(const std::string& from, const std::string& to) {
    stop();
    auto renamed = rename_account(options(), from, to, kWait);
    make_store();
    return renamed;
  }
  Status remove(const std::string& user) { return remove_account(base(), user, kWait); }
  std::string why(const Status& done) { return done ? "done" : done.error().detail(); }
  std::map<std::string, std::string> named() {
    std::map<std::string, std::string> users;
    for (const auto& a : *name_accounts(base())) users[a.id] = a.user + a.problem;
    return users;
  }
  // All mail of `was` is there, byte for byte, under this name and no other.
  void expect_all(const std::string& user, const AccountState& was) {
    auto account = open(user);
    ASSERT_TRUE(account);
    const auto mailbox = must(account->open_mailbox(inbox(account)));
    const auto before = was.mailbox("INBOX");
    EXPECT_EQ(mailbox->info().uidvalidity, before->info().uidvalidity);
    EXPECT_TRUE(std::ranges::equal(mailbox->messages(), before->messages()));
    for (const auto& e : mailbox->messages()) must(account->read(e.message));
    must(account->append(inbox(account), messages({"more"})));
    account.reset();
    stop();
    make_store();
    const auto report = check_account(base(), account_path(user), user);
    for (const auto& f : report->findings) ADD_FAILURE() << to_string(f);
  }
};

TEST_F(AccountNamesTest, TheMailGoesToTheNewName) {
  const auto was = fill("foo");
  const std::string id = must(store_->open("foo"))->object_id();
  ASSERT_EQ(why(rename("foo", "bar")), "done");
  EXPECT_FALSE(fs::exists(dir("foo")));
  EXPECT_EQ(named(), (std::map<std::string, std::string>{{unique_user_id("bar"), "bar"}}));
  EXPECT_EQ(must(store_->open("bar"))->object_id(), id) << "clients know it by that";
  expect_all("bar", was);
  // Backups are of bar's mail, and its first segments still name foo.
  const auto made = back_up(base(), {.directory = base_ + "/backup",
                                     .account = unique_user_id("bar"),
                                     .user = "bar",
                                     .progress = {},
                                     .clock = [this] { return now_; }});
  ASSERT_TRUE(made) << made.error().detail();
  EXPECT_EQ(made->damages, std::vector<std::string>());
  const auto verified = verify_backup(base_ + "/backup/" + unique_user_id("bar"), {});
  ASSERT_TRUE(verified);
  EXPECT_EQ(verified->problems, std::vector<std::string>());
  // And back.
  ASSERT_EQ(why(rename("bar", "foo")), "done");
  EXPECT_EQ(named(), (std::map<std::string, std::string>{{unique_user_id("foo"), "foo"}}));
  expect_all("foo", snapshot(open("foo")));
}

TEST_F(AccountNamesTest, ARenameThatWasInterruptedGoesOn) {
  const auto was = fill("foo");
  // Killed after the journal named the new user.
  {
    auto account = open();
    must(account->give_to("bar"));
    account.reset();
    kill();
    check_at_end_.clear();
  }
  EXPECT_EQ(code(store_->open("foo")), "UNAVAILABLE");
  const auto found = *name_accounts(base());
  ASSERT_EQ(found.size(), 1U);
  EXPECT_TRUE(found[0].misplaced());
  ASSERT_EQ(why(rename("foo", "bar")), "done");
  expect_all("bar", was);
  // Killed before the journal named him, after it was there once: the directory alone is in its old
  // place.
  fs::rename(dir("bar"), dir("foo"));
  ASSERT_EQ(why(rename("foo", "bar")), "done");
  expect_all("bar", snapshot(open("bar")));
}

TEST_F(AccountNamesTest, ADirectoryThatWasMovedByHandGetsItsName) {
  const auto was = fill("foo");
  fs::create_directories(dir("bar").parent_path());
  fs::rename(dir("foo"), dir("bar"));
  EXPECT_EQ(code(store_->open("bar")), "UNAVAILABLE");
  ASSERT_EQ(why(rename("foo", "bar")), "done");
  expect_all("bar", was);
}

TEST_F(AccountNamesTest, NoNameTakesTheMailOfAnother) {
  fill("foo", "foo's ");
  fill("bar", "bar's ");
  EXPECT_NE(why(rename("foo", "bar")).find("bar has an account already"), std::string::npos);
  EXPECT_NE(why(rename("nobody", "new")).find("nobody has no account"), std::string::npos);
  EXPECT_NE(why(rename("nobody", "bar")).find("bar has an account already"), std::string::npos);
  EXPECT_EQ(why(rename("foo", "foo")), "both names are the same user's");
  EXPECT_EQ(named().size(), 2U);
  EXPECT_EQ(must(store_->open("bar"))->find("INBOX")->messages, 20U);
  EXPECT_EQ(must(store_->open("foo"))->find("INBOX")->messages, 20U);
  // While a server has it.
  auto account = open();
  const Status busy = rename_account(options(), "foo", "new", kWait);
  EXPECT_EQ(busy ? "" : busy.error().code(), "INUSE");
  EXPECT_EQ(remove("foo") ? "" : remove("foo").error().code(), "INUSE");
  account.reset();
  stop();
  make_store();
  // Two that were swapped.
  fs::rename(dir("foo"), base_ + "/aside");
  fs::rename(dir("bar"), dir("foo"));
  fs::rename(base_ + "/aside", dir("bar"));
  EXPECT_EQ(code(store_->open("foo")), "UNAVAILABLE");
  EXPECT_NE(why(remove("foo")).find("holds the mail of \"bar\""), std::string::npos);
  EXPECT_NE(why(rename("foo", "new")), "done");
  check_at_end_.clear();
}

TEST_F(AccountNamesTest, AnAccountIsRemovedWhole) {
  fill("foo");
  const auto was = fill("bar");
  fs::create_directories(dir("foo") / "quarantine/index-1");
  spew(dir("foo") / "quarantine/index-1/meta.gdbm", "x");
  fs::create_symlink(base_ + "/elsewhere", dir("foo") / "link");
  fs::create_directory(base_ + "/elsewhere");
  spew(base_ + "/elsewhere/file", "stays");
  ASSERT_EQ(why(remove("foo")), "done");
  EXPECT_FALSE(fs::exists(dir("foo")));
  EXPECT_EQ(slurp(base_ + "/elsewhere/file"), "stays");
  EXPECT_NE(why(remove("foo")).find("foo has no account"), std::string::npos);
  // Killed while the files were unlinked.
  const fs::path going = dir("foo").parent_path() / ("removing-" + dir("foo").filename().string());
  fs::create_directories(going / "journal");
  spew(going / "journal/00000001", "x");
  EXPECT_EQ(named().size(), 1U);
  ASSERT_EQ(why(remove("foo")), "done");
  EXPECT_FALSE(fs::exists(going));
  expect_all("bar", was);
}

TEST_F(AccountNamesTest, ABackupBecomesTheMailOfAnotherUser) {
  const auto was = fill("foo");
  const std::string id = must(store_->open("foo"))->object_id();
  const std::string source = unique_user_id("foo");
  ASSERT_TRUE(back_up(base(), {.directory = base_ + "/backup",
                               .account = source,
                               .user = "foo",
                               .progress = {},
                               .clock = [this] { return now_; }}));
  const auto from = AccountDir::at(Disk::real(), base_ + "/backup/" + source);
  const auto manifest = read_manifest(*from);
  ASSERT_TRUE(restore_account(base(), *from, *manifest,
                              {.account = unique_user_id("bar"), .new_user = "bar"}));
  EXPECT_EQ(named(),
            (std::map<std::string, std::string>{{source, "foo"}, {unique_user_id("bar"), "bar"}}));
  EXPECT_NE(must(store_->open("bar"))->object_id(), id) << "both are there";
  auto account = open("bar");
  EXPECT_EQ(account->find("INBOX")->messages, was.mailbox("INBOX")->info().messages);
  account.reset();
  stop();
  make_store();
  const auto report = check_account(base(), account_path("bar"), "bar");
  for (const auto& f : report->findings) ADD_FAILURE() << to_string(f);
}

// One damaged record does not give a renamed account back to the user whom it had.
TEST_F(AccountNamesTest, ARenamedAccountStandsTheLossOfOneRecord) {
  fill("foo");
  ASSERT_EQ(why(rename("foo", "bar")), "done");
  stop();
  std::vector<Place> named;
  auto reader = JournalReader::open(*open_base(base_), "bar");
  ASSERT_TRUE(reader && reader->visit({.segment = {},
                                       .record =
                                           [&](const JournalRecord& r) {
                                             if (r.header.type == RecordType::account)
                                               named.push_back(r.place);
                                             return true;
                                           },
                                       .damage = {},
                                       .foreign = {}}));
  ASSERT_GE(named.size(), 3U) << "foo, bar, and bar where the next segment begins";
  const fs::path kept = base_ + "/kept";
  fs::copy(dir("bar"), kept, fs::copy_options::recursive);
  for (const Place& place : named) {
    const auto& at = place.location;
    SCOPED_TRACE(fmt::format("{}+{}", at.segment, at.offset));
    fs::remove_all(dir("bar"));
    fs::copy(kept, dir("bar"), fs::copy_options::recursive);
    own(dir("bar"));
    for (const auto& file : fs::directory_iterator(kept))
      if (file.path().extension() == ".gdbm") fs::remove(dir("bar") / file.path().filename());
    const fs::path segment = dir("bar") / fmt::format("journal/{:08}", at.segment);
    std::string bytes = slurp(segment);
    bytes.replace(at.offset, kRecordHeader + at.meta, std::string(kRecordHeader + at.meta, '\0'));
    spew(segment, bytes);
    make_store();
    const auto opened = run(loop_, store_->open("bar"));
    EXPECT_TRUE(opened) << opened.error().detail();
    if (opened) EXPECT_EQ((*opened)->find("INBOX")->messages, 20U);
    stop();
  }
  make_store();
}

}  // namespace
}  // namespace rims::store
