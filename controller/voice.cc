// controller/voice.cc - lines of another process

#include "controller/voice.h"

#include <cerrno>
#include <unistd.h>

#include <fmt/core.h>

namespace rims::controller {

bool Voice::hear(std::chrono::steady_clock::time_point now) {
  char buffer[4096];
  for (;;) {
    const ssize_t got = ::read(fd_.get(), buffer, sizeof buffer);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0 && errno == EAGAIN) return true;
    if (got <= 0) {
      if (!unfinished_.empty()) take(std::exchange(unfinished_, {}), now);
      return false;
    }
    unfinished_.append(buffer, static_cast<size_t>(got));
    for (size_t end = 0; (end = unfinished_.find('\n')) != std::string::npos;) {
      take(std::string_view(unfinished_).substr(0, end), now);
      unfinished_.erase(0, end + 1);
    }
    if (unfinished_.size() > log::kMaxLine) take(std::exchange(unfinished_, {}), now);
  }
}

void Voice::take(std::string_view line, std::chrono::steady_clock::time_point now) {
  if (line.empty()) return;
  if (now - period_ >= kPeriod) {
    if (left_out_ > 0)
      say_(log::Level::warn, fmt::format("{}: {} lines more were not shown", name_, left_out_),
           false);
    period_ = now;
    passed_on_ = left_out_ = 0;
  }
  if (passed_on_ >= kMost) {
    left_out_++;
    return;
  }
  passed_on_++;
  // "rims-imapd: ERROR text", as the log's sinks write it.
  log::Level level = log::Level::error;
  bool known = false;
  for (const log::Level each : {log::Level::warn, log::Level::error, log::Level::fatal}) {
    const std::string prefix = fmt::format("{}: {} ", program_, log::name(each));
    if (!line.starts_with(prefix)) continue;
    line.remove_prefix(prefix.size());
    level = each;
    known = true;
  }
  say_(level, fmt::format("{}: {}", name_, line), known);
}

}  // namespace rims::controller
