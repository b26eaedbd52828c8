// tests/account/takeover_test.cc - a tool takes an account from a server, and gives it back

#include "common/journal/takeover.h"

#include <atomic>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <thread>

#include "common/account/offline.h"
#include "common/journal/account_dir.h"
#include "common/maintenance/inspect.h"
#include "tests/account/file_fixture.h"

namespace rims::store {
namespace {

class TakeoverTest : public FileTest {
 protected:
  struct Told : Listener {
    void account_failed(const Error& error) override { errors.push_back(error.code()); }
    std::vector<std::string> errors;
  };
  Options options() override {
    Options o = FileTest::options();
    o.importing = importing_;
    return o;
  }
  static Options tool_options(const std::string& base) {
    Options o;
    o.base = *open_base(base);
    return o;
  }
  // Runs `f` in a thread, as another process would, and the server's loop until it is done.
  void beside(std::function<void()> f) {
    std::atomic<bool> done = false;
    std::thread tool([&] {
      f();
      done = true;
    });
    run(loop_, [](Loop& loop, std::atomic<bool>& end) -> Task<void> {
      while (!end) co_await sleep_for(loop, Milliseconds(5));
    }(loop_, done));
    tool.join();
  }
  // By the clock that counts from the start of the machine.
  void date_request(int64_t seconds_ago) {
    timespec now{};
    clock_gettime(CLOCK_BOOTTIME, &now);
    now.tv_sec -= seconds_ago;
    const timespec times[2] = {now, now};
    ASSERT_EQ(utimensat(AT_FDCWD, (dir() / "release").c_str(), times, 0), 0);
  }
  bool importing_ = false;
};

// Nobody has seen the UIDs of a commit that a kill has cut: they are given again. Once the account
// was opened for somebody who shows them, they are skipped as ever.
TEST_F(TakeoverTest, AnImportThatWasKilledGoesOnWithTheSameUids) {
  make_account();
  importing_ = true;
  make_store();
  auto account = open();
  EXPECT_TRUE(fs::exists(dir() / "importing"));
  const auto batch = [](const char* text) {
    auto list = messages(std::vector<std::string>(6, text + std::string(200, 'x')));
    list[0].uid = Uid(100);
    return list;
  };
  must(account->append(inbox(account), messages({"one"})));
  const auto whole = account->find("INBOX")->uidnext;
  const fs::path file = dir() / "journal/00000001";
  const std::string before = slurp(file);
  must(account->append(inbox(account), batch("two")));
  account.reset();
  crash();
  const std::string after = slurp(file);
  ASSERT_EQ(before.size(), after.size()) << "both are in the room ahead";
  const auto first = static_cast<size_t>(std::ranges::mismatch(before, after).in1 - before.begin());
  const auto end = after.find_last_not_of('\0') + 1;
  size_t cuts = 0;
  for (size_t cut = first + 1; cut < end; cut += 61) {
    SCOPED_TRACE(cut);
    spew(file, after.substr(0, cut) + before.substr(cut));
    make_store();
    account = open();
    EXPECT_EQ(account->find("INBOX")->uidnext, whole);
    account.reset();
    crash();
    cuts++;
  }
  EXPECT_GT(cuts, 25U);
  spew(file, after.substr(0, (first + end) / 2) + before.substr((first + end) / 2));
  make_store();
  account = open();
  EXPECT_EQ(must(account->append(inbox(account), batch("two"))).uids.front(), Uid(100));
  account.reset();
  crash();
  // A server, also after a kill of the import: it removes the file, and its own commits count.
  importing_ = false;
  spew(file, after.substr(0, end - 20) + before.substr(end - 20));
  make_store();
  account = open();
  EXPECT_FALSE(fs::exists(dir() / "importing"));
  EXPECT_EQ(account->find("INBOX")->uidnext, whole);
  const auto there = account->find("INBOX")->messages;
  must(account->append(inbox(account), messages({"seen by somebody"})));
  account.reset();
  crash();
  const std::string later = slurp(file);
  const auto last = later.find_last_not_of('\0') + 1;
  spew(file, later.substr(0, last - 9) + std::string(later.size() - last + 9, '\0'));
  make_store();
  account = open();
  EXPECT_EQ(account->find("INBOX")->messages, there) << "it is cut";
  EXPECT_GT(account->find("INBOX")->uidnext, whole) << "and its UID is not given again";
}

// Another thing of that name says nothing.
TEST_F(TakeoverTest, ADirectoryWithTheNameOfTheMarkMarksNothing) {
  make_account();
  fs::create_directory(dir() / "importing");
  own(dir() / "importing");
  for (const bool orderly : {true, false}) {
    make_store();
    auto account = open();
    must(account->append(inbox(account), messages({"one"})));
    account.reset();
    orderly ? stop() : crash();
  }
  const std::string whole = slurp(dir() / "journal/00000001");
  const auto last = whole.find_last_not_of('\0') + 1;
  spew(dir() / "journal/00000001",
       whole.substr(0, last - 9) + std::string(whole.size() - last + 9, '\0'));
  make_store();
  auto account = open();
  EXPECT_EQ(account->find("INBOX")->messages, 20U) << "it is cut";
  EXPECT_EQ(account->find("INBOX")->uidnext, Uid(23)) << "and its UID is not given again";
}

TEST_F(TakeoverTest, WhoHoldsAnAccountIsToldWhyItIsTaken) {
  auto account = open();
  EXPECT_FALSE(account->given_away());
  beside([&] {
    const auto tool = OfflineAccount::open(tool_options(base_), "foo", Milliseconds(20'000));
    EXPECT_TRUE(tool);
  });
  EXPECT_TRUE(account->given_away());
  const auto refused = run(loop_, account->append(inbox(account), messages({"late"})));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().reply(), "the mailboxes are being maintained, try again later");
  EXPECT_EQ(refused.error().code(), "UNAVAILABLE");
}

TEST_F(TakeoverTest, AServerLetsGoAndGoesOnAfterwards) {
  auto account = open();
  Told told;
  account->listen(&told);
  must(account->append(inbox(account), messages({"before"})));
  std::string problem;
  beside([&] {
    auto tool = OfflineAccount::open(tool_options(base_), "foo", Milliseconds(20'000));
    if (!tool) {
      problem = tool.error().detail();
      return;
    }
    auto& mine = (*tool)->account();
    auto changed = (*tool)->run(mine.append(mine.find("INBOX")->id, messages({"by the tool"})));
    if (!changed) problem = changed.error().detail();
    (*tool)->close();
  });
  EXPECT_EQ(problem, "");
  EXPECT_EQ(told.errors, (std::vector<std::string>{"UNAVAILABLE"}));
  EXPECT_TRUE(account->failed());
  const auto refused = run(loop_, account->append(inbox(account), messages({"lost"})));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().fault(), Fault::storage);
  EXPECT_EQ(refused.error().code(), "UNAVAILABLE");
  account->unlisten(&told);
  account.reset();
  EXPECT_FALSE(fs::exists(dir() / "release"));
  account = open();
  const auto& list = must(account->open_mailbox(inbox(account)))->messages();
  ASSERT_EQ(list.size(), 2U);
  EXPECT_EQ(must(account->read(list[1].message)), "by the tool");
}

TEST_F(TakeoverTest, WhileAToolHasItTheServerIsToldInUse) {
  auto account = open();
  account.reset();
  auto base = open_base(base_);
  std::optional<AccountDir> taken;
  beside([&] {
    auto dir = take_account(*base, "foo", Milliseconds(20'000));
    if (dir) taken.emplace(*std::move(dir));
  });
  ASSERT_TRUE(taken);
  EXPECT_EQ(store_->open_accounts(), 0U);
  EXPECT_EQ(code(store_->open("foo")), "INUSE");
  // A second tool waits, and says why when it gets nothing.
  const auto second = take_account(*base, "foo", Milliseconds(100));
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code(), "INUSE");
  EXPECT_NE(second.error().detail().find("did not release it within 100 ms"), std::string::npos);
  EXPECT_FALSE(fs::exists(dir() / "release")) << "a tool that gives up keeps nobody away";
  taken.reset();
  EXPECT_NE(open(), nullptr);
}

TEST_F(TakeoverTest, AFreshRequestKeepsTheServerAwayAndAStaleOneIsRemoved) {
  make_account();
  make_store();
  spew(dir() / "release", "");
  date_request(2);
  EXPECT_EQ(code(store_->open("foo")), "INUSE");
  date_request(60);
  EXPECT_NE(open(), nullptr);
  EXPECT_FALSE(fs::exists(dir() / "release"));
}

// Whatever the time of day is set to, meanwhile or between two starts: no request says anything by
// it.
TEST_F(TakeoverTest, ARequestIsNotDatedByTheTimeOfDay) {
  make_account();
  make_store();
  spew(dir() / "release", "");  // now, by the time of day
  EXPECT_NE(open(), nullptr);
  EXPECT_FALSE(fs::exists(dir() / "release"));
  // One that waits.
  auto base = open_base(base_);
  const auto held = AccountDir::open(Disk::real(), base->get(), "bar", true);
  ASSERT_TRUE(held);
  std::atomic<bool> given_up = false;
  std::thread tool([&] { given_up = !take_account(*base, "bar", Milliseconds(20'000)); });
  while (!given_up &&
         release_state(Disk::real(), base->get(), account_path("bar")) != Release::wanted)
    std::this_thread::yield();
  flock(held->fd(), LOCK_UN);
  tool.join();
  EXPECT_FALSE(given_up);
  EXPECT_FALSE(fs::exists(fs::path(base_) / account_path("bar") / "release"));
}

TEST_F(TakeoverTest, AToolMakesAnAccountOnlyWhenItIsToldTo) {
  const auto missing = OfflineAccount::open(tool_options(base_), "foo", Milliseconds(1000));
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().fault(), Fault::not_found);
  EXPECT_FALSE(fs::exists(dir()));
  auto made = OfflineAccount::open(tool_options(base_), "foo", Milliseconds(1000), true);
  ASSERT_TRUE(made);
  EXPECT_NE((*made)->account().find("Trash"), nullptr);
}

}  // namespace
}  // namespace rims::store
