// cli/formats/date_in_message.h - when a message came, where its source does not say
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace rims::cli {

struct SubstituteDate {
  int64_t seconds = 0;  // since 1970 (UTC)
  int16_t zone = 0;     // minutes east of UTC
  std::string from;     // "the Received field", "the Date field" or "the time of the file"
};
// What the topmost Received field says, which the receiving server wrote; else the Date field,
// which the sender wrote; else `file_time`.
[[nodiscard]] SubstituteDate date_in_message(std::string_view message, int64_t file_time);

}  // namespace rims::cli
