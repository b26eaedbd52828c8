// controller/events.cc - syslog and stderr

#include "controller/events.h"

#include <array>
#include <string>
#include <syslog.h>
#include <unistd.h>

#include <fmt/core.h>

namespace rims::controller {

EventSink::EventSink() { openlog("rims-controller", LOG_PID, LOG_MAIL); }
EventSink::~EventSink() { closelog(); }

void EventSink::write(log::Level level, std::string_view line) {
  static constexpr std::array priorities{LOG_DEBUG, LOG_INFO, LOG_WARNING, LOG_ERR, LOG_CRIT};
  syslog(priorities[static_cast<size_t>(level)], "%.*s", static_cast<int>(line.size()),
         line.data());
  if (!stderr_) return;
  const std::string out = fmt::format("rims-controller: {} {}\n", log::name(level), line);
  // Nobody is left to tell when stderr fails.
  [[maybe_unused]] auto ignored = ::write(STDERR_FILENO, out.data(), out.size());
}

}  // namespace rims::controller
