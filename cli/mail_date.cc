// cli/mail_date.cc - dates of files and of messages

#include "cli/mail_date.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>

#include "common/base/ascii.h"
#include "common/message/date.h"

namespace rims::cli {
namespace {

bool is_date_field(std::string_view line) { return ascii::equal(line.substr(0, 5), "date:"); }

}  // namespace

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
  while (!message.empty()) {
    size_t end = message.find('\n');
    if (end == std::string_view::npos) end = message.size();
    std::string_view line = message.substr(0, end);
    if (line.empty() || line == "\r") return std::nullopt;  // the end of the header
    if (is_date_field(line)) {
      // With its folded lines.
      while (end < message.size() && end + 1 < message.size() &&
             (message[end + 1] == ' ' || message[end + 1] == '\t')) {
        end = message.find('\n', end + 1);
        if (end == std::string_view::npos) end = message.size();
      }
      std::string value(message.substr(5, end - 5));
      std::erase_if(value, [](char c) { return c == '\r' || c == '\n'; });
      const auto date = message::parse_date(value);
      if (!date) return std::nullopt;
      return MailDate{imap::from_unix(date->utc_seconds(), date->zone_minutes)};
    }
    message.remove_prefix(std::min(message.size(), end + 1));
  }
  return std::nullopt;
}

}  // namespace rims::cli
