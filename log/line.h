// log/line.h - one line of the log file
//
//   2026-11-21T19:25:10.123456+01:00 INFO  rims-imapd[4711] s17: logged in as foo
#pragma once

#include <cstdint>
#include <ctime>
#include <string>
#include <string_view>

#include "common/base/log.h"

namespace rims::logger {

// Local time with its offset. `text` is made printable here once more, whoever sent it.
[[nodiscard]] std::string format_line(const timespec& when, log::Level level,
                                      std::string_view program, uint32_t pid,
                                      std::string_view text);

}  // namespace rims::logger
