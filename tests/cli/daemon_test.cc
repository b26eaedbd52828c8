// tests/cli/daemon_test.cc - whom a pid file may let root signal

#include "cli/daemon.h"

#include <csignal>
#include <cstdlib>
#include <fcntl.h>
#include <filesystem>
#include <fstream>
#include <string>
#include <sys/file.h>
#include <sys/wait.h>
#include <unistd.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/base/fd.h"

namespace rims::cli {
namespace {

class Daemon : public testing::Test {
 protected:
  Daemon() {
    char name[] = "/tmp/rims_daemon_XXXXXX";
    dir_ = mkdtemp(name);
    file_ = dir_ + "/rims.pid";
    pid_ = fork();
    if (pid_ == 0)
      for (;;) pause();
    std::ofstream(file_) << pid_ << "\n";
    lock_ = Fd(open(file_.c_str(), O_RDWR | O_CLOEXEC));
    EXPECT_EQ(flock(lock_.get(), LOCK_EX | LOCK_NB), 0);
  }
  ~Daemon() override {
    kill(pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
    std::filesystem::remove_all(dir_);
  }
  [[nodiscard]] bool lives() const { return waitpid(pid_, nullptr, WNOHANG) == 0; }

  std::string dir_, file_;
  pid_t pid_ = 0;
  Fd lock_;
};

TEST_F(Daemon, IsStoppedByTheNumberInItsFile) {
  const DaemonState now = look_for_daemon(file_);
  ASSERT_EQ(now.is, DaemonState::running);
  EXPECT_EQ(now.pid, pid_);
  EXPECT_EQ(now.owner, geteuid());
  const Status stopped = stop_daemon(now);
  EXPECT_TRUE(stopped) << stopped.error().detail();
}

// Who owns the file wrote the number in it: of any process that root may end.
TEST_F(Daemon, OfAnotherUserThanItsFileIsNotSignalled) {
  if (geteuid() != 0) GTEST_SKIP() << "needs root";
  ASSERT_EQ(fchown(lock_.get(), 4711, 4711), 0);
  const DaemonState now = look_for_daemon(file_);
  ASSERT_EQ(now.is, DaemonState::running);
  for (const Status& refused : {stop_daemon(now), signal_daemon(now, SIGHUP, "reloaded")}) {
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().fault(), Fault::refused);
    EXPECT_THAT(refused.error().detail(), testing::HasSubstr("pid file of user 4711"));
  }
  EXPECT_TRUE(lives());
}

}  // namespace
}  // namespace rims::cli
