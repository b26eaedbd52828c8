// cli/daemon.cc - pid file, controller, signals

#include "cli/daemon.h"

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <fcntl.h>
#include <fstream>
#include <optional>
#include <poll.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fmt/core.h>

#include "common/base/errno_text.h"
#include "common/base/fd.h"
#include "common/config/running.h"
#include "controller/base_lock.h"

namespace rims::cli {
namespace {

constexpr int kStopMilliseconds = 15'000;  // more than the controller gives its children

// The user that a process belongs to, as its files in /proc do only while it is dumpable.
std::optional<uid_t> user_of(pid_t pid) {
  std::ifstream in(fmt::format("/proc/{}/status", pid));
  for (std::string line; std::getline(in, line);) {
    uid_t user = 0;
    if (std::sscanf(line.c_str(), "Uid: %u", &user) == 1) return user;
  }
  return std::nullopt;
}

// A pidfd: it means this process, even when another one gets its number later.
Result<Fd> open_process(const DaemonState& running, const char* participle) {
  const pid_t pid = running.pid;
  Fd process(static_cast<int>(syscall(SYS_pidfd_open, pid, 0)));
  if (process) {
    // Asked while the pidfd is held: if it ended meanwhile, no signal goes anywhere.
    const auto user = user_of(pid);
    if (!user || *user == running.owner) return process;
    return fail(Fault::refused,
                fmt::format("process {} cannot be {}: it is of user {}, but its number is in a pid "
                            "file of user {}, who may have written anything",
                            pid, participle, *user, running.owner));
  }
  const int error = errno;
  if (error == ESRCH) return fail(Fault::not_found, fmt::format("process {} has ended", pid));
  return fail(Fault::refused,
              fmt::format("process {} cannot be {}: {}", pid, participle, errno_text(error)));
}

Status send_signal(const Fd& process, pid_t pid, int number, const char* participle) {
  if (syscall(SYS_pidfd_send_signal, process.get(), number, nullptr, 0) == 0) return {};
  const int error = errno;
  if (error == ESRCH) return fail(Fault::not_found, fmt::format("process {} has ended", pid));
  return fail(Fault::refused,
              fmt::format("process {} cannot be {}: {}", pid, participle, errno_text(error)));
}

}  // namespace

namespace {

DaemonState look_at_file(const std::string& pid_file) {
  DaemonState state;
  const Fd fd(open(pid_file.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
  if (!fd) {
    if (errno == ENOENT || errno == ENOTDIR) return state;
    state.is = DaemonState::hidden;
    state.why = pid_file + ": " + errno_text(errno);
    return state;
  }
  struct stat st{};
  if (fstat(fd.get(), &st) == 0) state.owner = st.st_uid;
  char text[16] = {};
  if (pread(fd.get(), text, sizeof text - 1, 0) > 0) state.pid = std::atoi(text);
  state.is = flock(fd.get(), LOCK_SH | LOCK_NB) == 0 ? DaemonState::dead : DaemonState::running;
  return state;
}

}  // namespace

DaemonState look_for_daemon(const std::string& pid_file) { return look_at_file(pid_file); }

DaemonState look_for_daemon(const config::Config& config) {
  DaemonState state = look_at_file(config.paths_pid_file);
  if (state.is == DaemonState::running) {
    const auto with = config::running_with(config.paths_run_dir);
    if (!with || config.file.empty() || config::is_same_file(*with, config.file)) return state;
    state.is = DaemonState::another;
    state.why = fmt::format(
        "process {} is a suite with the configuration {}, not {}; both have the run directory {}: "
        "give one of them another paths.run_dir",
        state.pid, *with, config.file, config.paths_run_dir);
    return state;
  }
  if (state.is == DaemonState::hidden) return state;
  const auto holder = controller::holder_of_base(config.base_dir);
  const auto user = holder ? user_of(*holder) : std::nullopt;
  if (user) state = {.is = DaemonState::running, .pid = *holder, .owner = *user, .no_file = true};
  return state;
}

bool root_runs_on(const std::string& base_dir) {
  const auto holder = controller::holder_of_base(base_dir);
  return holder && user_of(*holder) == uid_t{0};
}

Result<int> start_daemon(const std::string& controller, std::vector<std::string> arguments,
                         bool quiet) {
  arguments.insert(arguments.begin(), {"rims-controller", "-d"});
  std::vector<char*> argv;
  argv.reserve(arguments.size() + 1);
  for (std::string& word : arguments) argv.push_back(word.data());
  argv.push_back(nullptr);
  int said[2];
  if (pipe2(said, O_CLOEXEC) < 0) return fail_errno("pipe", errno);
  const Fd out(said[0]);
  Fd in(said[1]);
  const pid_t pid = fork();
  if (pid < 0) return fail_errno("fork", errno);
  if (pid == 0) {
    if (quiet) dup2(in.get(), STDERR_FILENO);
    execv(controller.c_str(), argv.data());
    std::fprintf(stderr, "%s: %s\n", controller.c_str(), errno_text(errno));
    _exit(71);
  }
  in.reset();
  // The process in the background closes its end of the pipe as soon as it serves.
  std::string text;
  char buffer[4096];
  ssize_t got = 0;
  while ((got = read(out.get(), buffer, sizeof buffer)) > 0 || (got < 0 && errno == EINTR))
    if (got > 0) text.append(buffer, static_cast<size_t>(got));
  int status = 0;
  while (waitpid(pid, &status, 0) < 0)
    if (errno != EINTR) return fail_errno("waitpid", errno);
  if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) std::fputs(text.c_str(), stderr);
  if (WIFEXITED(status)) return WEXITSTATUS(status);
  return fail(Fault::bug, "rims-controller was ended by a signal");
}

Status signal_daemon(const DaemonState& running, int number, const char* participle) {
  TRY(const Fd process, open_process(running, participle));
  return send_signal(process, running.pid, number, participle);
}

Status stop_daemon(const DaemonState& running) {
  const pid_t pid = running.pid;
  TRY(const Fd process, open_process(running, "stopped"));
  TRY_STATUS(send_signal(process, pid, SIGTERM, "stopped"));
  pollfd ended{.fd = process.get(), .events = POLLIN, .revents = 0};
  int rc = 0;
  while ((rc = poll(&ended, 1, kStopMilliseconds)) < 0 && errno == EINTR) continue;
  if (rc > 0) return {};
  return fail(Fault::timeout,
              fmt::format("process {} has not ended after {} s; \"kill -9 {}\" ends it and all of "
                          "its children, and loses nothing that was acknowledged",
                          pid, kStopMilliseconds / 1000, pid));
}

}  // namespace rims::cli
