// common/imap/date.h - the grammar's dates: date, date-time, and the way to seconds and back
//
//   RFC  3501 §9 date, date-time; §2.3.3 (internal date)
//
// Proleptic Gregorian calendar, years 0000 to 9999 (the grammar has four digits). A zone is kept in
// minutes east of UTC, so what APPEND brought is what FETCH gives back.
#pragma once

#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace rims::imap {

// Ordered by the calendar. SEARCH compares dates "disregarding time and timezone".
struct Date {
  int16_t year = 1970;
  uint8_t month = 1;  // 1 to 12
  uint8_t day = 1;    // 1 to 31, valid for the month
  auto operator<=>(const Date&) const = default;
};

struct DateTime {
  Date date;
  uint8_t hour = 0, minute = 0, second = 0;  // second 60 is a leap second
  int16_t zone = 0;                          // minutes east of UTC, -1439 to 1439
  bool operator==(const DateTime&) const = default;
};

// `1-Feb-1994`, `01-Feb-1994`, without quotes.
[[nodiscard]] std::optional<Date> parse_date(std::string_view text);
// `17-Jul-1996 02:44:25 -0700` or ` 7-Jul-...`, without quotes; 7-Jul-... as well.
[[nodiscard]] std::optional<DateTime> parse_date_time(std::string_view text);

void append_date(std::string& out, Date date);  // 1-Feb-1994
void append_date_time(std::string& out,
                      const DateTime& t);  // " 1-Feb-1994 02:44:25 -0700", no quotes

// Seconds since 1970-01-01 00:00:00 UTC.
[[nodiscard]] int64_t to_unix(const DateTime& t);
// Seconds outside of the years 0000 to 9999 become the nearest end.
[[nodiscard]] DateTime from_unix(int64_t seconds, int zone_minutes);

}  // namespace rims::imap
