// tests/process/child_test.cc - a child's life, from its control link to Stop
//
// The test is the controller: it forks a process that runs `Child` on a real fd 3.

#include "common/process/child.h"

#include <csignal>
#include <cstdlib>
#include <fcntl.h>
#include <grp.h>
#include <string>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <gtest/gtest.h>

#include "common/base/log.h"
#include "common/ipc/log_link.h"
#include "common/privdrop/process_table.h"

namespace rims::process {
namespace {

using ipc::Channel;
using ipc::Role;

// What the child does when it is asked to, for the test to see.
int child_main() {
  Loop loop;
  Child child(loop, privdrop::kLoginRow);
  Start start = child.wait_for_start();
  if (start.index != 3 || start.workers != 5 || start.config != "the part") return 11;
  if (start.attached.size() != 1 || start.attached[0].peer != Role::auth) return 12;
  child.enter();
  log::info({}, "started with {} links", start.attached.size());
  child.ready({.attach = [](Attached a) { log::info({}, "attached {}", a.index); },
               .reload = [](std::string part) { log::info({}, "reload {}", part); },
               .stop =
                   [&loop] {
                     log::info({}, "stop");
                     loop.stop();
                   }});
  loop.run();
  return 7;
}

Fd memfd(std::string_view text) {
  Fd fd(memfd_create("config", MFD_CLOEXEC));
  EXPECT_EQ(write(fd.get(), text.data(), text.size()), static_cast<ssize_t>(text.size()));
  return fd;
}

class ChildTest : public testing::Test {
 protected:
  void SetUp() override {
    auto control = ipc::make_pair();
    auto log = ipc::make_pair();
    ASSERT_TRUE(control && log);
    pid_ = fork();
    if (pid_ == 0) {
      if (geteuid() == 0 && (setgroups(0, nullptr) != 0 || setresgid(65534, 65534, 65534) != 0 ||
                             setresuid(65534, 65534, 65534) != 0))
        std::_Exit(99);
      dup2((*control)[1].get(), ipc::kControlFd);
      close_range(ipc::kControlFd + 1, ~0u, 0);
      std::_Exit(child_main());
    }
    control_ = std::make_unique<ipc::Link>(loop_, std::move((*control)[0]), "child",
                                           ipc::kControllerAccepts);
    log_ = std::make_unique<ipc::Link>(loop_, std::move((*log)[0]), "child", ipc::kLogAccepts);
    their_log_ = std::move((*log)[1]);
  }
  void TearDown() override {
    if (pid_ > 0) {
      kill(pid_, SIGKILL);
      waitpid(pid_, nullptr, 0);
    }
  }

  template <class Message>
  void send(Message message, Fd fd = {}) {
    std::vector<Fd> fds;
    if (fd) fds.push_back(std::move(fd));
    ASSERT_TRUE(run(loop_, control_->send(std::move(message), std::move(fds))));
  }
  std::string line() {
    auto packet = run(loop_, log_->receive());
    if (!packet) return "(end)";
    auto message = ipc::open_packet<ipc::LogLine>(*log_, *packet);
    return message ? message->text.value : "(bad)";
  }
  // `early`: a reload that comes before the start.
  void begin(const char* part = "the part", const char* early = nullptr) {
    auto link = ipc::make_pair();
    ASSERT_TRUE(link);
    peer_ = std::move((*link)[0]);
    send(
        ipc::Configure{
            .index = 3, .workers = 5, .privileged = false, .uid = 0, .gid = 0, .chroot = ""},
        memfd(part));
    if (early) send(ipc::Reload{}, memfd(early));
    send(ipc::Attach{Channel::link, Role::log, 0}, std::move(their_log_));
    send(ipc::Attach{Channel::link, Role::auth, 0}, std::move((*link)[1]));
    send(ipc::Begin{});
    auto ready = run(loop_, control_->receive());
    ASSERT_TRUE(ready);
    ASSERT_EQ(ready->type, static_cast<uint16_t>(ipc::ControlMsg::ready));
  }
  int wait() {
    int status = 0;
    waitpid(std::exchange(pid_, -1), &status, 0);
    return status;
  }

  Loop loop_;
  std::unique_ptr<ipc::Link> control_, log_;
  Fd their_log_, peer_;
  pid_t pid_ = -1;
};

TEST_F(ChildTest, StartsReloadsAttachesAndStops) {
  begin();
  EXPECT_EQ(line(), "started with 1 links");
  send(ipc::Attach{Channel::link, Role::auth, 9}, memfd(""));
  EXPECT_EQ(line(), "attached 9");
  send(ipc::Reload{}, memfd("new part"));
  EXPECT_EQ(line(), "reload new part");
  const auto told = run(loop_, control_->receive());
  ASSERT_TRUE(told);
  EXPECT_EQ(told->type, static_cast<uint16_t>(ipc::ControlMsg::reloaded)) << "it is in force";
  send(ipc::Stop{});
  EXPECT_EQ(line(), "stop");
  EXPECT_EQ(WEXITSTATUS(wait()), 7);
}

TEST_F(ChildTest, AReloadThatComesBeforeTheStartIsNotLost) {
  begin("the old part", "the part");  // child_main() looks for it
  EXPECT_EQ(line(), "started with 1 links");
  const auto told = run(loop_, control_->receive());
  ASSERT_TRUE(told);
  EXPECT_EQ(told->type, static_cast<uint16_t>(ipc::ControlMsg::reloaded));
}

TEST_F(ChildTest, TheEndOfTheControlLinkIsAStop) {
  begin();
  EXPECT_EQ(line(), "started with 1 links");
  control_.reset();
  EXPECT_EQ(line(), "the link to the controller ended; this process ends, too");
  EXPECT_EQ(line(), "stop");
  EXPECT_EQ(WEXITSTATUS(wait()), 7);
}

TEST_F(ChildTest, SigtermIsAStopAndTheTerminalsSignalsAreNot) {
  begin();
  EXPECT_EQ(line(), "started with 1 links");
  kill(pid_, SIGINT);
  kill(pid_, SIGHUP);
  kill(pid_, SIGTERM);
  EXPECT_EQ(line(), "stop");
  EXPECT_EQ(WEXITSTATUS(wait()), 7);
}

TEST_F(ChildTest, EndsWhenTheControllerGivesUpBeforeTheStart) {
  control_.reset();
  EXPECT_EQ(wait(), 0);
}

// A log process that died must not end, block or silence the others.
TEST_F(ChildTest, LivesOnWithoutRimsLogAndUsesTheNextOne) {
  begin();
  EXPECT_EQ(line(), "started with 1 links");
  log_.reset();
  send(ipc::Reload{}, memfd("lost"));
  auto fresh = ipc::make_pair();
  ASSERT_TRUE(fresh);
  log_ = std::make_unique<ipc::Link>(loop_, std::move((*fresh)[0]), "child", ipc::kLogAccepts);
  send(ipc::Attach{Channel::link, Role::log, 0}, std::move((*fresh)[1]));
  send(ipc::Reload{}, memfd("kept"));
  EXPECT_EQ(line(), "1 log lines were lost: rims-log did not read");
  EXPECT_EQ(line(), "reload kept");
}

TEST_F(ChildTest, AFullLogLinkDropsLinesAndSaysHowMany) {
  begin();
  EXPECT_EQ(line(), "started with 1 links");
  constexpr int kMany = 3000;  // more than any socket buffer holds
  const std::string text(1500, 'x');
  for (int i = 0; i < kMany; i++) send(ipc::Reload{}, memfd(text));
  send(ipc::Stop{});  // handled after all of these, so nothing blocked
  EXPECT_EQ(WEXITSTATUS(wait()), 7);
  int got = 0;
  while (line() != "(end)") got++;
  EXPECT_GT(got, 0);
  EXPECT_LT(got, kMany);
}

TEST(ChildStart, WithoutAControlLinkItSaysWhoStartsIt) {
  const pid_t pid = fork();
  if (pid == 0) {
    dup2(open("/dev/null", O_RDWR | O_CLOEXEC), STDERR_FILENO);
    close(ipc::kControlFd);
    std::_Exit(child_main());
  }
  int status = 0;
  waitpid(pid, &status, 0);
  EXPECT_EQ(WEXITSTATUS(status), 64);
}

}  // namespace
}  // namespace rims::process
