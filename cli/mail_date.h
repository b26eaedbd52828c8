// cli/mail_date.h - a date for APPEND, in IMAP's form and in the one that is shown
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <time.h>

#include "common/imap/date.h"

namespace rims::cli {

struct MailDate {
  imap::DateTime value;
  [[nodiscard]] std::string imap() const;   // " 8-Nov-2013 13:34:10 +0900"
  [[nodiscard]] std::string shown() const;  // "2013-11-08 13:34:10 +0900"
};

// A moment in the local time zone.
[[nodiscard]] std::optional<MailDate> local_date(time_t seconds);
// What the first Date: field of a message says; nullopt without a usable one.
[[nodiscard]] std::optional<MailDate> date_of_message(std::string_view message);

}  // namespace rims::cli
