// tests/store/takeover_test.cc - a tool takes an account from a server, and gives it back

#include "common/store/takeover.h"

#include <atomic>
#include <fcntl.h>
#include <sys/stat.h>
#include <thread>

#include "common/store/offline.h"
#include "tests/store/file_fixture.h"

namespace rims::store {
namespace {

class TakeoverTest : public FileTest {
 protected:
  struct Told : Listener {
    void account_failed(const Error& error) override { errors.push_back(error.code()); }
    std::vector<std::string> errors;
  };
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
};

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
  EXPECT_NE(second.error().detail().find("not let go of it within 100 ms"), std::string::npos);
  EXPECT_FALSE(fs::exists(dir() / "release")) << "a tool that gives up keeps nobody away";
  taken.reset();
  EXPECT_NE(open(), nullptr);
}

TEST_F(TakeoverTest, AFreshRequestKeepsTheServerAwayAndAStaleOneIsRemoved) {
  make_account();
  make_store();
  spew(dir() / "release", "");
  EXPECT_EQ(code(store_->open("foo")), "INUSE");
  const timespec old[2] = {{.tv_sec = time(nullptr) - 60}, {.tv_sec = time(nullptr) - 60}};
  ASSERT_EQ(utimensat(AT_FDCWD, (dir() / "release").c_str(), old, 0), 0);
  EXPECT_NE(open(), nullptr);
  EXPECT_FALSE(fs::exists(dir() / "release"));
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
