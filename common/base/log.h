// common/base/log.h - one event, one line, no control bytes, no secrets
//
// A program installs a Sink at start (the controller: syslog and stderr; all others: the link
// to rims-log). Until then lines go to stderr. Lines are made printable here, once: control and
// format characters (also those that turn the direction of text) and invalid UTF-8 become \xNN, and
// a line is cut at kMaxLine with "...".
// Single-threaded: call it from the loop's thread only.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <utility>

#include <fmt/core.h>

namespace rims::log {

// The levels of the original's log_level.
enum class Level : unsigned char { debug, info, warn, error, fatal };

inline constexpr size_t kMaxLine = 2048;  // bytes, with everything
inline constexpr size_t kMaxField = 200;  // bytes of a quoted text

// Receives finished lines, "session: text" or "text", without time and newline.
struct Sink {
  virtual ~Sink() = default;
  virtual void write(Level level, std::string_view line) = 0;
  // Last words before the process ends; may block briefly.
  virtual void flush() {}
};

// `sink` must outlive its use; nullptr restores stderr.
void set_sink(Sink* sink);
void set_level(Level least);
[[nodiscard]] Level level();
[[nodiscard]] const char* name(Level level);  // "INFO"
// "rims-imapd: ERROR text", with its end of line: how a line is written to stderr.
[[nodiscard]] std::string stderr_line(Level level, std::string_view text);

// The name that stderr lines start with, e.g. "rims-imapd".
void set_program(std::string_view program);

// `session` names a client session ("s17") or is empty.
void line(Level level, std::string_view session, std::string_view text);
void flush();

template <class... Args>
void debug(std::string_view session, fmt::format_string<Args...> format, Args&&... args) {
  if (level() <= Level::debug)
    line(Level::debug, session, fmt::format(format, std::forward<Args>(args)...));
}
template <class... Args>
void info(std::string_view session, fmt::format_string<Args...> format, Args&&... args) {
  if (level() <= Level::info)
    line(Level::info, session, fmt::format(format, std::forward<Args>(args)...));
}
template <class... Args>
void warn(std::string_view session, fmt::format_string<Args...> format, Args&&... args) {
  line(Level::warn, session, fmt::format(format, std::forward<Args>(args)...));
}
template <class... Args>
void error(std::string_view session, fmt::format_string<Args...> format, Args&&... args) {
  line(Level::error, session, fmt::format(format, std::forward<Args>(args)...));
}

// What line() does to hostile text; exposed for tests and for replies that quote input.
[[nodiscard]] std::string printable(std::string_view text, size_t max_bytes = kMaxLine);

// What others chose (the name of a user or mailbox, an address), as one field of a line: in quotes,
// which it can not leave, and cut with "..." so that the fields after it remain.
[[nodiscard]] std::string quoted(std::string_view text);

}  // namespace rims::log
