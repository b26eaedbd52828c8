// common/ipc/log_link.h - what every process says to rims-log
//
//   Trust   rims-log treats every byte as written by an attacker: it checks the text again and
//           takes the peer's role, number and pid from the link, never from the message.
//   Flow    one way. A full link drops lines at the sender, which counts them and says so when
//           there is room again; logging never blocks a process that serves others.
#pragma once

#include <tuple>

#include "common/base/log.h"
#include "common/ipc/link.h"

namespace rims::ipc {

enum class LogMsg : uint16_t { line = 1 };

enum class LogLevel : uint8_t { debug, info, warn, error, fatal, last = fatal };

struct LogLine {
  static constexpr LogMsg kType = LogMsg::line;
  static constexpr const char* kAbout = "one line for the log";
  LogLevel level = LogLevel::info;
  uint32_t pid = 0;  // for the reader of the log only
  Text<0, log::kMaxLine> text;
  static constexpr auto kFields = std::tuple(&LogLine::level, &LogLine::pid, &LogLine::text);
};

struct AnyToLog : Says<LogLine> {
  static constexpr const char *kFrom = "rims-auth, rims-login, rims-imapd, rims-deliverd",
                              *kTo = "rims-log";
  static constexpr const char* kTrust =
      "no; the name of the sender is taken from the link, never from the message";
};

inline constexpr std::span<const Accepts> kLogAccepts = AnyToLog::kAccepts;

}  // namespace rims::ipc
