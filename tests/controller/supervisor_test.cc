// tests/controller/supervisor_test.cc - lives and deaths, with a program that does as it is told
//
// The suite is 1 log, 1 auth, 2 imapd, 1 deliverd, 2 login: seven processes of fake_child.cc, in
// a directory that is theirs. They say in the file "events" what happens to them.

#include "controller/supervisor.h"

#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <dirent.h>
#include <fcntl.h>
#include <filesystem>
#include <fstream>
#include <netinet/in.h>
#include <string>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/base/log.h"
#include "common/privdrop/process_table.h"
#include "controller/spawn.h"

namespace rims::controller {
namespace {

namespace fs = std::filesystem;
using ipc::Role;
using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::IsSupersetOf;

struct Lines final : log::Sink {
  std::vector<std::string> all;
  void write(log::Level, std::string_view line) override { all.emplace_back(line); }
  [[nodiscard]] int count(std::string_view part) const {
    return static_cast<int>(std::ranges::count_if(
        all, [&](const auto& line) { return line.find(part) != std::string::npos; }));
  }
};

class SupervisorTest : public testing::Test {
 protected:
  void SetUp() override {
    char name[] = "/tmp/rims_supervisor_XXXXXX";
    dir_ = mkdtemp(name);
    before_ = fs::current_path();
    fs::current_path(dir_);
    for (const privdrop::Row* row : privdrop::kProcessTable)
      fs::create_symlink(FAKE_CHILD, dir_ + "/" + row->binary);
    log::set_sink(&lines_);
    loop_.on_signal(SIGCHLD, [this] {
      if (supervisor_) supervisor_->reap();
    });
  }
  void TearDown() override {
    if (supervisor_) run(loop_, supervisor_->stop());
    supervisor_.reset();
    log::set_sink(nullptr);
    fs::current_path(before_);
    fs::remove_all(dir_);
  }

  static Fd listening() {
    Fd fd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in any{};
    any.sin_family = AF_INET;
    any.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    EXPECT_EQ(bind(fd.get(), reinterpret_cast<const sockaddr*>(&any), sizeof any), 0);
    EXPECT_EQ(listen(fd.get(), 1), 0);
    return fd;
  }
  void behave(Role role, std::string what) { parts_.of[static_cast<size_t>(role)] = what; }
  void from_now_on(Role role, const std::string& what) {
    Parts fresh;
    fresh.of[static_cast<size_t>(role)] = what;
    supervisor_->reload(std::move(fresh), "imap.log");
  }
  Status start() {
    Plan plan;
    plan.programs = dir_;
    plan.log_file = "imap.log";
    plan.imapd_workers = 2;
    plan.login_workers = 2;
    for (size_t i = 0; i < kRoles; i++) plan.parts.of[i] = parts_.of[i];
    for (const auto channel :
         {ipc::Channel::listen_imap, ipc::Channel::listen_imaps, ipc::Channel::listen_deliver})
      plan.listeners.push_back(
          {.channel = channel, .index = 0, .name = "test", .port = 0, .fd = listening()});
    supervisor_.emplace(loop_, std::move(plan));
    return run(loop_, supervisor_->start());
  }

  std::vector<std::string> events() const {
    std::vector<std::string> all;
    std::ifstream in("events");
    for (std::string line; std::getline(in, line);) all.push_back(line);
    return all;
  }
  int count(std::string_view part) const {
    return static_cast<int>(std::ranges::count_if(
        events(), [&](const auto& line) { return line.find(part) != std::string::npos; }));
  }
  // The newest process with this name, from its start event.
  pid_t pid_of(const std::string& who) const {
    pid_t pid = -1;
    for (const std::string& line : events())
      if (line.starts_with(who + " start pid ")) pid = std::stoi(line.substr(who.size() + 11));
    return pid;
  }

  Task<void> give_up_when_mute() {
    while (count("mute") == 0) co_await sleep_for(loop_, Milliseconds(5));
    supervisor_->give_up_start();
  }

  static Task<bool> poll(Loop* loop, std::function<bool()> done, Milliseconds limit) {
    const auto until = Loop::now() + limit;
    while (!done()) {
      if (Loop::now() > until) co_return false;
      co_await sleep_for(*loop, Milliseconds(5));
    }
    co_return true;
  }
  bool wait(std::function<bool()> done, int ms = 10'000) {
    return run(loop_, poll(&loop_, std::move(done), Milliseconds(ms)));
  }

  std::string dir_;
  fs::path before_;
  Lines lines_;
  Loop loop_;
  Parts parts_;
  std::optional<Supervisor> supervisor_;
};

TEST_F(SupervisorTest, StartsEverythingWithTheLinksOfTheTable) {
  ASSERT_TRUE(start());
  const auto all = events();
  ASSERT_EQ(all.size(), 7u);
  std::vector<std::string> shapes;
  for (const std::string& line : all) {
    const size_t pid = line.find("pid "), links = line.find("links");
    shapes.push_back(line.substr(0, pid) + line.substr(links));
  }
  EXPECT_THAT(
      shapes,
      IsSupersetOf({"rims-log/0 start links auth.0 imapd.0 imapd.1 deliverd.0 login.0 login.1",
                    "rims-auth/0 start links imapd.0 imapd.1 deliverd.0 login.0 login.1",
                    "rims-imapd/1 start links auth.0 deliverd.0 login.0 login.1",
                    "rims-deliverd/0 start links socket3 auth.0 imapd.0 imapd.1",
                    "rims-login/1 start links socket1 socket2 auth.0 imapd.0 imapd.1"}));
}

TEST_F(SupervisorTest, AKilledProcessIsBackWithinASecondAndItsPeersGetFreshLinks) {
  ASSERT_TRUE(start());
  for (const char* who : {"rims-imapd/1", "rims-log/0", "rims-auth/0", "rims-login/0"}) {
    SCOPED_TRACE(who);
    const pid_t old = pid_of(who);
    ASSERT_GT(old, 0);
    const auto began = Loop::now();
    kill(old, SIGKILL);
    EXPECT_TRUE(wait([&] { return pid_of(who) != old; }, 1000));
    EXPECT_LT(Loop::now() - began, Milliseconds(1000));
  }
  EXPECT_TRUE(wait([&] { return count("rims-auth/0 attach imapd.1") == 1; }));
  EXPECT_TRUE(wait([&] { return count("rims-login/1 attach imapd.1") == 1; }));
  EXPECT_TRUE(wait([&] { return count("rims-deliverd/0 attach imapd.1") == 1; }));
  EXPECT_EQ(lines_.count("rims-imapd 1 (process"), 1);
  EXPECT_GE(lines_.count("was killed by signal 9 (Killed)"), 4);
  EXPECT_EQ(lines_.count("crash loop"), 0);
}

// A test harness, or an administrator, may kill one process many times: that is no crash loop.
TEST_F(SupervisorTest, ALostLinkBetweenTwoThatLiveIsMadeAgain) {
  ASSERT_TRUE(start());
  from_now_on(Role::auth, "lose imapd.1");
  ASSERT_TRUE(wait([&] {
    return count("rims-auth/0 attach imapd.1") == 1 && count("rims-imapd/1 attach auth.0") == 1;
  }));
  EXPECT_EQ(count("attach"), 2) << "no other link, and no process, has changed";
  EXPECT_EQ(count("start"), 7);
  EXPECT_EQ(lines_.count("the link between rims-imapd 1 and rims-auth was lost"), 1);
  // The other end tells as well, of a link that is not in use any more: that is no news.
  from_now_on(Role::imapd, "lose auth.0");
  ASSERT_TRUE(wait([&] { return count("rims-auth/0 attach imapd.0") == 1; }));
  ASSERT_TRUE(wait([&] { return count("rims-auth/0 attach imapd.1") == 2; }));
  EXPECT_EQ(count("start"), 7);
}

TEST_F(SupervisorTest, ALinkThatDoesNotHoldIsMadeAgainMoreAndMoreSlowly) {
  ASSERT_TRUE(start());
  for (int i = 1; i <= 4; i++) {
    from_now_on(Role::auth, "lose imapd.1");
    ASSERT_TRUE(wait([&] { return count("rims-auth/0 attach imapd.1") == i; }));
    from_now_on(Role::auth, "");
  }
  for (const char* wait : {"0.1 s", "0.2 s", "0.4 s", "0.8 s"})
    EXPECT_EQ(lines_.count(std::string("lost; it is made again after ") + wait), 1) << wait;
}

TEST_F(SupervisorTest, AProcessMayLoseALinkOnlyOnce) {
  ASSERT_TRUE(start());
  const pid_t pid = pid_of("rims-deliverd/0");
  from_now_on(Role::deliverd, "lose twice");
  ASSERT_TRUE(wait([&] { return count("rims-deliverd/0 start") == 2; }));
  EXPECT_EQ(kill(pid, 0), -1);
  EXPECT_GE(lines_.count("LinkLost of a link that it does not have"), 1);
}

TEST_F(SupervisorTest, APortThatAProcessHasShutDownIsOpenForTheNext) {
  ASSERT_TRUE(start());
  const int port = supervisor_->listeners()[0].fd.get();
  const auto listens = [&] {
    int yes = 0;
    socklen_t size = sizeof yes;
    EXPECT_EQ(getsockopt(port, SOL_SOCKET, SO_ACCEPTCONN, &yes, &size), 0);
    return yes == 1;
  };
  EXPECT_EQ(shutdown(port, SHUT_RDWR), 0);  // what the process does with its copy
  ASSERT_FALSE(listens());
  kill(pid_of("rims-login/0"), SIGKILL);
  ASSERT_TRUE(wait([&] { return count("rims-login/0 start") == 2; }));
  EXPECT_TRUE(listens());
}

TEST_F(SupervisorTest, KillsFromOutsideDoNotSlowTheRestart) {
  ASSERT_TRUE(start());
  for (int i = 0; i < 6; i++) {
    const pid_t old = pid_of("rims-imapd/0");
    const int back = lines_.count("rims-imapd 0 is back");
    kill(old, SIGKILL);
    ASSERT_TRUE(wait([&] { return lines_.count("rims-imapd 0 is back") > back; }, 1000)) << i;
  }
  EXPECT_EQ(lines_.count("crash loop"), 0);
}

TEST_F(SupervisorTest, ACrashLoopBacksOffAndSaysSoOnce) {
  ASSERT_TRUE(start());
  from_now_on(Role::deliverd, "crash");
  EXPECT_TRUE(wait([&] { return lines_.count("in 1.0 s") == 1; }));
  EXPECT_EQ(lines_.count("started again at once"), 1);
  EXPECT_EQ(lines_.count("in 0.5 s"), 1);
  EXPECT_EQ(lines_.count("crash loop: rims-deliverd ended 3 times"), 1);
  EXPECT_EQ(lines_.count("signal 11"), 3);
  EXPECT_TRUE(wait([&] { return lines_.count("in 2.0 s") == 1; }));
  EXPECT_EQ(lines_.count("crash loop"), 1) << "once";
  EXPECT_EQ(count("rims-auth/0 start"), 1) << "the others live on";
}

TEST_F(SupervisorTest, AProcessThatEndsByItselfIsStartedAgain) {
  ASSERT_TRUE(start());
  from_now_on(Role::auth, "once " + dir_ + "/ended");
  EXPECT_TRUE(wait([&] { return count("rims-auth/0 start") == 2; }));
  EXPECT_EQ(lines_.count("ended with status 3"), 1);
}

TEST_F(SupervisorTest, ABreachEndsTheProcess) {
  for (const char* sin : {"lie", "babble", "reloaded"}) {
    SCOPED_TRACE(sin);
    ASSERT_TRUE(start());
    from_now_on(Role::deliverd, sin);
    EXPECT_TRUE(wait([&] { return count("rims-deliverd/0 start") >= 2; }));
    EXPECT_GE(lines_.count("breach"), 1);
    EXPECT_GE(lines_.count("is killed: it broke the rules of its link"), 1);
    run(loop_, supervisor_->stop());
    supervisor_.reset();
    fs::remove("events");
    lines_.all.clear();
  }
}

TEST_F(SupervisorTest, AStartThatFailsSaysWhoAndLeavesNothing) {
  behave(Role::imapd, "exit 70");
  const auto started = start();
  ASSERT_FALSE(started);
  EXPECT_THAT(started.error().detail(), HasSubstr("rims-imapd"));
  EXPECT_THAT(started.error().detail(), HasSubstr("ended with status 70"));
  EXPECT_EQ(waitpid(-1, nullptr, WNOHANG), -1) << "no child is left";
}

TEST_F(SupervisorTest, AStartCanBeGivenUp) {
  behave(Role::auth, "mute");
  Scope scope(loop_);
  scope.spawn(give_up_when_mute());
  const auto started = start();
  ASSERT_FALSE(started);
  EXPECT_THAT(started.error().detail(), HasSubstr("stopped while it started"));
  EXPECT_EQ(waitpid(-1, nullptr, WNOHANG), -1) << "no child is left";
}

TEST_F(SupervisorTest, AProgramThatIsMissingIsNamed) {
  fs::remove(dir_ + "/rims-auth");
  const auto started = start();
  ASSERT_FALSE(started);
  EXPECT_THAT(started.error().detail(), HasSubstr("rims-auth ended with status 71"));
}

TEST_F(SupervisorTest, ReloadReachesThoseWhosePartChangedAndAlwaysRimsLog) {
  behave(Role::imapd, "one");
  ASSERT_TRUE(start());
  Parts fresh;
  fresh.of[static_cast<size_t>(Role::imapd)] = "two";
  supervisor_->reload(std::move(fresh), "imap.log");
  EXPECT_TRUE(wait([&] { return count("reload") == 3; }));
  const auto all = events();
  EXPECT_THAT(all, IsSupersetOf({"rims-log/0 reload ", "rims-imapd/0 reload two",
                                 "rims-imapd/1 reload two"}));
}

TEST_F(SupervisorTest, AReloadHasEndedWhenEveryProcessHasItAndNamesThoseThatHaveNot) {
  behave(Role::imapd, "one");
  ASSERT_TRUE(start());
  const auto reload = [&](const char* part) {
    Parts fresh;
    fresh.of[static_cast<size_t>(Role::imapd)] = part;
    supervisor_->reload(std::move(fresh), "imap.log");
  };
  reload("two");
  EXPECT_THAT(run(loop_, supervisor_->reloaded()), IsEmpty());
  EXPECT_EQ(count("reload"), 3) << "they had it before";
  const pid_t stopped = pid_of("rims-imapd/1");
  ASSERT_EQ(kill(stopped, SIGSTOP), 0);
  reload("three");
  EXPECT_THAT(run(loop_, supervisor_->reloaded(Milliseconds(200))),
              ElementsAre(fmt::format("rims-imapd 1 (process {})", stopped)));
  ASSERT_EQ(kill(stopped, SIGCONT), 0);
  EXPECT_THAT(run(loop_, supervisor_->reloaded()), IsEmpty());
  // One that is started again gets it from the beginning.
  ASSERT_EQ(kill(stopped, SIGKILL), 0);
  ASSERT_TRUE(wait([&] { return lines_.count("is back") == 1; }));
  EXPECT_THAT(run(loop_, supervisor_->reloaded()), IsEmpty());
}

TEST_F(SupervisorTest, StopsInOrderAndLeavesNothing) {
  ASSERT_TRUE(start());
  run(loop_, supervisor_->stop());
  supervisor_.reset();
  const auto all = events();
  const auto place = [&](const char* who) {
    return std::ranges::find(all, std::string(who) + " stop") - all.begin();
  };
  const auto end = static_cast<long>(all.size());
  for (const char* who : {"rims-login/0", "rims-login/1", "rims-deliverd/0"}) {
    EXPECT_LT(place(who), place("rims-imapd/0")) << who;
    EXPECT_LT(place(who), place("rims-imapd/1")) << who;
  }
  EXPECT_LT(place("rims-imapd/0"), place("rims-auth/0"));
  EXPECT_LT(place("rims-imapd/1"), place("rims-auth/0"));
  EXPECT_LT(place("rims-auth/0"), place("rims-log/0"));
  EXPECT_LT(place("rims-log/0"), end);
  EXPECT_EQ(waitpid(-1, nullptr, WNOHANG), -1) << "no child is left";
}

TEST_F(SupervisorTest, WhoeverDoesNotStopIsKilledInTime) {
  behave(Role::imapd, "stubborn");
  ASSERT_TRUE(start());
  const auto began = Loop::now();
  run(loop_, supervisor_->stop());
  EXPECT_LT(Loop::now() - began, Milliseconds(10'000));
  supervisor_.reset();
  EXPECT_EQ(lines_.count("is killed: it did not stop in time"), 2);
  EXPECT_EQ(count("rims-log/0 stop"), 1) << "the others still end in order";
}

TEST_F(SupervisorTest, AChildStartsWithItsControlLinkAndTheStandardDescriptorsOnly) {
  // Many descriptors of ours that no child may see, some without close-on-exec.
  std::vector<Fd> ours;
  for (int i = 0; i < 20; i++) ours.emplace_back(open("/dev/null", O_RDONLY));
  ASSERT_TRUE(start());
  const std::string where = "/proc/" + std::to_string(pid_of("rims-auth/0")) + "/fd";
  DIR* dir = opendir(where.c_str());
  if (!dir) GTEST_SKIP() << "needs root: the child is not dumpable";
  int nulls = 0;
  while (const dirent* entry = readdir(dir)) {
    char target[64] = {};
    if (readlink((where + "/" + entry->d_name).c_str(), target, sizeof target - 1) > 0 &&
        std::string_view(target) == "/dev/null")
      nulls++;
  }
  closedir(dir);
  EXPECT_LE(nulls, 3);
}

TEST(Backoff, DoublesUpToAMinuteAndForgets) {
  using D = Backoff::Duration;
  Backoff b;
  EXPECT_EQ(b.died(D(5), false, false).wait, D(0));
  EXPECT_EQ(b.died(D(5), false, false).wait, D(500));
  const auto third = b.died(D(5), true, false);
  EXPECT_EQ(third.wait, D(1000));
  EXPECT_TRUE(third.announce);
  EXPECT_FALSE(b.died(D(5), true, false).announce);
  for (int i = 0; i < 20; i++) EXPECT_LE(b.died(D(5), false, false).wait, D(60'000));
  EXPECT_EQ(b.died(D(5), false, false).wait, D(60'000));
  EXPECT_EQ(b.died(D(20'000), true, false).wait, D(0)) << "it had lived a while";
  EXPECT_EQ(b.died(D(5), false, true).wait, D(500)) << "killed before it was ready";
  EXPECT_EQ(b.died(D(5), true, true).wait, D(0)) << "killed from outside";
}

TEST(DescribeEnd, SaysWhatHappened) {
  EXPECT_THAT(describe_end(SIGSEGV), HasSubstr("signal 11 (Segmentation fault)"));
  EXPECT_THAT(describe_end(SIGSYS), HasSubstr("forbidden system call"));
  EXPECT_THAT(describe_end(70 << 8), HasSubstr("status 70"));
}

// The strings for people say what the edges say.
TEST(ProcessTable, LinksAreTheEdges) {
  for (const privdrop::Row* row : privdrop::kProcessTable) {
    if (row->role == Role::controller) continue;
    for (const privdrop::Row* other : privdrop::kProcessTable) {
      if (other == row || other->role == Role::controller) continue;
      const bool edge = std::ranges::any_of(privdrop::kEdges, [&](const privdrop::Edge& e) {
        return (e.a == row->role && e.b == other->role) || (e.b == row->role && e.a == other->role);
      });
      EXPECT_EQ(std::string_view(row->links).find(other->binary) != std::string_view::npos, edge)
          << row->binary << " " << other->binary;
    }
  }
}

}  // namespace
}  // namespace rims::controller
