// common/message/date.h - the Date: field, RFC 5322 §3.3 with the obsolete forms of §4.3
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace rims::message {

struct DateTime {
  int year = 1970, month = 1, day = 1;   // as written; month 1..12
  int hour = 0, minute = 0, second = 0;  // second 60 is allowed
  int zone_minutes = 0;                  // east of UTC; unknown zones are 0
  // Days since 1970-01-01 of the date as written: what SENTBEFORE, SENTON, SENTSINCE compare
  // (RFC 3501 §6.4.4).
  [[nodiscard]] int32_t day_number() const;
  [[nodiscard]] int64_t utc_seconds() const;
};

// Days since 1970-01-01 in the Gregorian calendar; for the dates in SEARCH keys.
[[nodiscard]] int32_t day_number(int year, int month, int day);

// nullopt when there is no sensible day, month and year in it. The time may be missing.
[[nodiscard]] std::optional<DateTime> parse_date(std::string_view value);

}  // namespace rims::message
