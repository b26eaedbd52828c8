// cli/terminal.cc - /dev/tty with ECHO off

#include "cli/terminal.h"

#include <cerrno>
#include <fcntl.h>
#include <signal.h>
#include <termios.h>
#include <unistd.h>

#include "common/base/fd.h"

namespace rims::cli {
namespace {

constexpr size_t kMaxPassword = 1024;

// What an interrupt has to undo.
int restore_fd = -1;
termios restore_state;

extern "C" void restore_and_end(int number) {
  tcsetattr(restore_fd, TCSAFLUSH, &restore_state);
  signal(number, SIG_DFL);
  raise(number);
}

class WithoutEcho {
 public:
  explicit WithoutEcho(int fd) : fd_(fd) {
    if (tcgetattr(fd, &restore_state) < 0) return;
    restore_fd = fd;
    struct sigaction action{};
    action.sa_handler = restore_and_end;
    for (size_t i = 0; i < std::size(kSignals); i++) sigaction(kSignals[i], &action, &old_[i]);
    termios quiet = restore_state;
    quiet.c_lflag &= ~static_cast<tcflag_t>(ECHO | ECHONL);
    off_ = tcsetattr(fd, TCSAFLUSH, &quiet) == 0;
  }
  WithoutEcho(const WithoutEcho&) = delete;
  WithoutEcho& operator=(const WithoutEcho&) = delete;
  ~WithoutEcho() {
    if (restore_fd != fd_) return;
    tcsetattr(fd_, TCSAFLUSH, &restore_state);
    for (size_t i = 0; i < std::size(kSignals); i++) sigaction(kSignals[i], &old_[i], nullptr);
    restore_fd = -1;
  }
  [[nodiscard]] bool off() const { return off_; }

 private:
  static constexpr int kSignals[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT};
  int fd_;
  bool off_ = false;
  struct sigaction old_[std::size(kSignals)];
};

}  // namespace

Result<Secret> ask_password(const std::string& prompt) {
  const Fd tty(open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY));
  if (!tty) return fail(Fault::refused, "there is no terminal to ask for the password");
  const WithoutEcho quiet(tty.get());
  if (!quiet.off()) return fail(Fault::refused, "the terminal's echo can not be turned off");
  if (write(tty.get(), prompt.data(), prompt.size()) < 0)
    return fail_errno("writing to the terminal", errno);
  std::string typed;
  typed.reserve(kMaxPassword);
  char c = 0;
  ssize_t got = 0;
  while ((got = read(tty.get(), &c, 1)) == 1 && c != '\n' && typed.size() < kMaxPassword)
    typed += c;
  Secret password(typed);
  wipe(typed);
  if (write(tty.get(), "\n", 1) < 0 || got < 0) return fail_errno("reading the terminal", errno);
  if (password.empty()) return fail(Fault::refused, "the password is empty");
  return password;
}

Result<Secret> ask_new_password() {
  TRY(Secret first, ask_password("Password: "));
  TRY(const Secret again, ask_password("Again: "));
  if (!equal_constant_time(first.reveal(), again.reveal()))
    return fail(Fault::refused, "the two passwords are not the same");
  return first;
}

}  // namespace rims::cli
