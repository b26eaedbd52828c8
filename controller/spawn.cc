// controller/spawn.cc - fork, tidy up, execute

#include "controller/spawn.h"

#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <string_view>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>
#include <vector>

#include <fmt/core.h>

#include "common/base/errno_text.h"
#include "common/ipc/control_link.h"
#include "common/ipc/link.h"

namespace rims::controller {
namespace {

std::vector<char*> environment(bool clean) {
  std::vector<char*> kept;
  for (char** e = environ; *e; e++) {
    const std::string_view entry = *e;
    if (!clean || entry.starts_with("TZ=") || entry.starts_with("LANG=") ||
        entry.starts_with("LC_"))
      kept.push_back(*e);
  }
  kept.push_back(nullptr);
  return kept;
}

// Between fork and exec: only calls that are safe there, and no way back but _exit.
[[noreturn]] void become(const char* path, char* const* argv, char* const* envp, int control,
                         int null, int words, pid_t parent) {
  sigset_t none;
  sigemptyset(&none);
  for (const int number : {SIGCHLD, SIGTERM, SIGPIPE}) std::signal(number, SIG_DFL);
  // Signals of the terminal are for the controller only; ignore them before the program starts.
  for (const int number : {SIGINT, SIGHUP}) std::signal(number, SIG_IGN);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  const bool ready = prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) == 0 && getppid() == parent &&
                     dup2(null, STDIN_FILENO) >= 0 && dup2(words, STDERR_FILENO) >= 0 &&
                     (control == ipc::kControlFd ? fcntl(control, F_SETFD, 0) == 0
                                                 : dup2(control, ipc::kControlFd) >= 0) &&
                     close_range(ipc::kControlFd + 1, ~0u, 0) == 0;
  if (ready) execve(path, argv, envp);
  const char* why = errno_text(errno);
  for (const char* part : {path, ": cannot be executed: ", why, "\n"})
    if (::write(STDERR_FILENO, part, std::strlen(part)) < 0) break;
  _exit(71);  // EX_OSERR
}

}  // namespace

Result<Spawned> spawn(const std::string& binary, bool clean_environment) {
  TRY(auto ends, ipc::make_pair());
  const Fd null(open("/dev/null", O_RDONLY | O_CLOEXEC));
  if (!null) return fail_errno("open /dev/null", errno);
  // Neither side waits for the other: words that do not fit into the pipe are lost.
  int words[2];
  if (pipe2(words, O_CLOEXEC | O_NONBLOCK) != 0) return fail_errno("pipe", errno);
  Fd heard(words[0]);
  const Fd spoken(words[1]);
  std::string name = binary.substr(binary.rfind('/') + 1);
  char* const argv[] = {name.data(), nullptr};
  const std::vector<char*> envp = environment(clean_environment);
  const pid_t parent = getpid();
  // A signal must not call our handlers in the child.
  sigset_t all, before;
  sigfillset(&all);
  sigprocmask(SIG_SETMASK, &all, &before);
  const pid_t pid = fork();
  if (pid == 0)
    become(binary.c_str(), argv, envp.data(), ends[1].get(), null.get(), spoken.get(), parent);
  const int error = errno;
  sigprocmask(SIG_SETMASK, &before, nullptr);
  if (pid < 0) return fail_errno("fork", error);
  return Spawned{.pid = pid, .control = std::move(ends[0]), .words = std::move(heard)};
}

std::string describe_end(int status) {
  if (WIFSIGNALED(status)) {
    const int number = WTERMSIG(status);
    if (number == SIGSYS)
      return "was killed by signal 31: it made a forbidden system call (a bug, or an attack)";
    return fmt::format("was killed by signal {} ({})", number, strsignal(number));
  }
  const int code = WEXITSTATUS(status);
  const char* meaning = code == 0    ? " (nobody asked it to end)"
                        : code == 70 ? " (it gave up; the reason is in the log)"
                        : code == 71 ? " (it could not be executed)"
                                     : "";
  return fmt::format("ended with status {}{}", code, meaning);
}

}  // namespace rims::controller
