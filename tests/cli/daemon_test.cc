// tests/cli/daemon_test.cc - whom a pid file may let root signal

#include "cli/daemon.h"

#include <csignal>
#include <cstdlib>
#include <fcntl.h>
#include <filesystem>
#include <fstream>
#include <string>
#include <sys/file.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cli/unit.h"
#include "common/base/fd.h"
#include "common/config/running.h"
#include "controller/base_lock.h"

namespace rims::cli {
namespace {

class Daemon : public testing::Test {
 protected:
  Daemon() {
    char name[] = "/tmp/rims_daemon_XXXXXX";
    dir_ = mkdtemp(name);
    file_ = dir_ + "/rims.pid";
    config_.file = dir_ + "/config.yml";
    config_.base_dir = config_.paths_run_dir = dir_;
    config_.paths_pid_file = file_;
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
  config::Config config_;
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

TEST_F(Daemon, IsAnothersWhereItRunsWithAnotherConfiguration) {
  EXPECT_EQ(look_for_daemon(config_).is, DaemonState::running) << "an earlier version says nothing";
  ASSERT_TRUE(config::write_running(dir_, config_.file));
  EXPECT_EQ(look_for_daemon(config_).is, DaemonState::running);
  // A link to the same file, by which somebody else calls it.
  std::ofstream(config_.file) << "x: y\n";
  std::filesystem::create_symlink(config_.file, dir_ + "/link.yml");
  config_.file = dir_ + "/link.yml";
  EXPECT_EQ(look_for_daemon(config_).is, DaemonState::running);
  config_.file = dir_ + "/other.yml";
  const DaemonState now = look_for_daemon(config_);
  EXPECT_EQ(now.is, DaemonState::another);
  EXPECT_EQ(now.why, fmt::format("process {} is a suite with the configuration {}/config.yml, not "
                                 "{}/other.yml; both have the run directory {}: give one of them "
                                 "another paths.run_dir",
                                 pid_, dir_, dir_, dir_));
  config::remove_running(dir_);
  EXPECT_EQ(look_for_daemon(config_).is, DaemonState::running);
}

TEST_F(Daemon, IsFoundByItsLockOnTheMailWhereItsFileWasRemoved) {
  std::filesystem::remove(file_);
  EXPECT_EQ(look_for_daemon(config_).is, DaemonState::none);
  const auto held = controller::lock_base(dir_);
  ASSERT_TRUE(held && *held);
  const DaemonState now = look_for_daemon(config_);
  ASSERT_EQ(now.is, DaemonState::running);
  EXPECT_EQ(now.pid, getpid());
  EXPECT_EQ(now.owner, geteuid());
  EXPECT_TRUE(now.no_file);
  EXPECT_EQ(look_for_daemon(file_).is, DaemonState::none) << "nobody knows where to look";
  const auto second = controller::lock_base(dir_);
  ASSERT_FALSE(second);
  EXPECT_THAT(second.error().detail(),
              testing::HasSubstr("with process " + std::to_string(getpid())));
}

TEST(BaseLock, IsReadAsTheKernelWritesIt) {
  const std::string locks =
      "1: POSIX  ADVISORY  WRITE 11 fe:00:131 0 EOF\n"
      "2: FLOCK  ADVISORY  READ  12 fe:00:131 0 EOF\n"
      "3: FLOCK  ADVISORY  WRITE 13 fe:01:131 0 EOF\n"
      "4: FLOCK  ADVISORY  WRITE -1 fe:00:131 0 EOF\n"
      "5: FLOCK  ADVISORY  WRITE 15 fe:00:131 0 EOF\n"
      "5: -> FLOCK  ADVISORY  WRITE 16 fe:00:131 0 EOF\n";
  EXPECT_EQ(controller::holder_in(locks, makedev(0xfe, 0), 131), 15);
  EXPECT_EQ(controller::holder_in(locks, makedev(0xfe, 1), 131), 13);
  EXPECT_EQ(controller::holder_in(locks, makedev(0xfe, 0), 132), std::nullopt);
}

TEST(UnitIn, IsTheServiceThatTheControlGroupNames) {
  const auto name = [](std::string_view text) {
    const auto unit = unit_in(text);
    return unit ? unit->name + (unit->user ? " of a user" : "") : "none";
  };
  EXPECT_EQ(name("0::/system.slice/rims.service\n"), "rims.service");
  EXPECT_EQ(name("0::/system.slice/system-rims.slice/rims@one.service\n"), "rims@one.service");
  EXPECT_EQ(name("0::/user.slice/user-7.slice/user@7.service/app.slice/mail.service\n"),
            "mail.service of a user");
  EXPECT_EQ(name("0::/user.slice/user-0.slice/session-3.scope\n"), "none");
  EXPECT_EQ(name("4:memory:/x.service\n1:name=systemd:/system.slice/rims.service\n0::/\n"),
            "rims.service");
  EXPECT_EQ(name("0::/\n"), "none");
  EXPECT_EQ(name("0::/system.slice/--now.service"), "none");
  EXPECT_EQ(name(""), "none");
}

TEST(UnitState, IsWhatSystemctlShows) {
  const auto at_rest = [](const char* active, const char* sub, const char* result) {
    return OwnerUnit{.unit = {.name = "rims.service"},
                     .state = unit_state_in(fmt::format(
                         "Result={}\nExecStart={{ path=/usr/libexec/rims/rims-controller ; "
                         "argv[]=/usr/libexec/rims/rims-controller -F -c /etc/rims/config.yml ; "
                         "ignore_errors=no ; start_time=[n/a] ; pid=0 }}\n"
                         "LoadState=loaded\nActiveState={}\nSubState={}\n",
                         result, active, sub))};
  };
  const OwnerUnit inactive = at_rest("inactive", "dead", "success");
  EXPECT_EQ(inactive.state.load, "loaded");
  EXPECT_EQ(inactive.state.config, "/etc/rims/config.yml");
  EXPECT_FALSE(inactive.state.waits());
  EXPECT_EQ(inactive.text(), "is inactive");
  EXPECT_EQ(at_rest("failed", "failed", "exit-code").text(), "has failed (exit-code)");
  EXPECT_TRUE(at_rest("activating", "auto-restart", "signal").state.waits());
  EXPECT_EQ(at_rest("deactivating", "stop-sigterm", "success").text(),
            "is deactivating (stop-sigterm)");
  // Another program's; and one that is not there.
  EXPECT_EQ(
      unit_state_in("ExecStart={ path=/bin/x ; argv[]=/bin/x -c /etc/rims/config.yml ; }\n").config,
      "");
  EXPECT_EQ(unit_state_in("LoadState=not-found\nActiveState=inactive\n").config, "");
  EXPECT_EQ(unit_state_in("").load, "");
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
