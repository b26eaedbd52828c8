// controller/events.cc - syslog and stderr

#include "controller/events.h"

#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <string>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <syslog.h>
#include <unistd.h>

#include <fmt/core.h>

#include "common/base/fd.h"

namespace rims::controller {

namespace {

// Is stderr the journal of systemd (systemd.exec(5), $JOURNAL_STREAM)? The journal gets the lines
// of syslog anyway.
bool stderr_is_journal() {
  const char* named = getenv("JOURNAL_STREAM");
  struct stat st{};
  return named && fstat(STDERR_FILENO, &st) == 0 &&
         named == fmt::format("{}:{}", st.st_dev, st.st_ino);
}

bool somebody_listens(const char* path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::strncpy(address.sun_path, path, sizeof address.sun_path - 1);
  for (const int type : {SOCK_DGRAM, SOCK_STREAM}) {
    const Fd fd(socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (!fd) return true;  // it can not be known
    if (connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0 ||
        errno == EAGAIN)
      return true;
  }
  return false;
}

}  // namespace

EventSink::EventSink(const char* syslog_socket)
    : has_syslog_(somebody_listens(syslog_socket)), stderr_(!stderr_is_journal() || !has_syslog_) {
  openlog("rims-controller", LOG_PID, LOG_MAIL);
}
EventSink::~EventSink() { closelog(); }

void EventSink::set_file(File file) {
  file_ = std::move(file);
  if (!file_) return;
  for (const auto& [level, line] : std::exchange(early_, {})) file_(level, line);
}

void EventSink::write(log::Level level, std::string_view line) {
  constexpr size_t kMostEarly = 256;
  write_outside(level, line, true);
  if (file_)
    file_(level, line);
  else if (early_.size() < kMostEarly)
    early_.emplace_back(level, line);
}

void EventSink::write_outside(log::Level level, std::string_view line, bool to_stderr) const {
  static constexpr std::array priorities{LOG_DEBUG, LOG_INFO, LOG_WARNING, LOG_ERR, LOG_CRIT};
  syslog(priorities[static_cast<size_t>(level)], "%.*s", static_cast<int>(line.size()),
         line.data());
  if (!stderr_ || !to_stderr) return;
  const std::string out = log::stderr_line(level, line);
  // When stderr fails, there is nowhere to report it.
  [[maybe_unused]] auto ignored = ::write(STDERR_FILENO, out.data(), out.size());
}

}  // namespace rims::controller
