// log/line.cc - one line of the log file

#include "log/line.h"

#include <cstdlib>

#include <fmt/core.h>

namespace rims::logger {

std::string format_line(const timespec& when, log::Level level, std::string_view program,
                        uint32_t pid, std::string_view text) {
  tm local{};
  localtime_r(&when.tv_sec, &local);
  const long offset = local.tm_gmtoff / 60;
  return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:06}{}{:02}:{:02} {:<5} {}[{}] {}\n",
                     local.tm_year + 1900, local.tm_mon + 1, local.tm_mday, local.tm_hour,
                     local.tm_min, local.tm_sec, when.tv_nsec / 1000, offset < 0 ? '-' : '+',
                     std::labs(offset) / 60, std::labs(offset) % 60, log::name(level), program, pid,
                     log::printable(text));
}

}  // namespace rims::logger
