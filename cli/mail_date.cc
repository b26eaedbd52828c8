// cli/mail_date.cc - dates of files and of messages

#include "cli/mail_date.h"

#include <cstdio>
#include <cstdlib>

#include "common/message/date.h"
#include "common/message/header.h"

namespace rims::cli {
std::string MailDate::imap() const {
  std::string text;
  imap::append_date_time(text, value);
  return text;
}

std::string MailDate::shown() const {
  const int zone = std::abs(value.zone);
  char text[64];
  std::snprintf(text, sizeof text, "%04d-%02d-%02d %02d:%02d:%02d %c%02d%02d", value.date.year,
                value.date.month, value.date.day, value.hour, value.minute, value.second,
                value.zone < 0 ? '-' : '+', zone / 60, zone % 60);
  return text;
}

std::optional<MailDate> local_date(time_t seconds) {
  tm local{};
  if (!localtime_r(&seconds, &local)) return std::nullopt;
  return MailDate{imap::from_unix(seconds, static_cast<int>(local.tm_gmtoff / 60))};
}

std::optional<MailDate> date_of_message(std::string_view message) {
  const auto date = message::parse_date(message::first_value(message, "Date"));
  if (!date) return std::nullopt;
  return MailDate{imap::from_unix(date->utc_seconds(), date->zone_minutes)};
}

}  // namespace rims::cli
