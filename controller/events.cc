// controller/events.cc - syslog and stderr

#include "controller/events.h"

#include <array>
#include <cstdlib>
#include <string>
#include <sys/stat.h>
#include <syslog.h>
#include <unistd.h>

#include <fmt/core.h>

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

}  // namespace

EventSink::EventSink() : stderr_(!stderr_is_journal()) {
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
