// cli/formats/date_in_message.cc - the Received and Date fields

#include "cli/formats/date_in_message.h"

#include "common/message/date.h"
#include "common/message/header.h"

namespace rims::cli {

SubstituteDate date_in_message(std::string_view message, int64_t file_time) {
  const std::string received = message::first_value(message, "Received");
  const size_t semicolon = received.rfind(';');
  if (semicolon != std::string::npos) {
    if (const auto date = message::parse_date(std::string_view(received).substr(semicolon + 1)))
      return {date->utc_seconds(), static_cast<int16_t>(date->zone_minutes), "the Received field"};
  }
  if (const auto date = message::parse_date(message::first_value(message, "Date")))
    return {date->utc_seconds(), static_cast<int16_t>(date->zone_minutes), "the Date field"};
  return {file_time, 0, "the time of the file"};
}

}  // namespace rims::cli
