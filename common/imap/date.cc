// common/imap/date.cc - reading, printing and counting of dates

#include "common/imap/date.h"

#include <algorithm>

#include "common/base/ascii.h"
#include "common/imap/chars.h"

namespace rims::imap {
namespace {

constexpr std::string_view kMonths = "JanFebMarAprMayJunJulAugSepOctNovDec";

bool two_digits(std::string_view text, size_t at, uint8_t& out) {
  if (!is(text[at], kDigit) || !is(text[at + 1], kDigit)) return false;
  out = static_cast<uint8_t>((text[at] - '0') * 10 + (text[at + 1] - '0'));
  return true;
}

constexpr bool leap(int year) { return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0; }

constexpr int days_in(int year, int month) {
  constexpr int kDays[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
  return month == 2 && leap(year) ? 29 : kDays[month - 1];
}

// date-month "-" date-year, e.g. "Feb-1994"
bool month_and_year(std::string_view text, Date& out) {
  if (text.size() != 8 || text[3] != '-') return false;
  out.month = 0;
  for (size_t m = 0; m < 12; m++)
    if (ascii::equal(text.substr(0, 3), kMonths.substr(m * 3, 3)))
      out.month = static_cast<uint8_t>(m + 1);
  uint8_t century = 0, year = 0;
  if (out.month == 0 || !two_digits(text, 4, century) || !two_digits(text, 6, year)) return false;
  out.year = static_cast<int16_t>(century * 100 + year);
  return out.day >= 1 && out.day <= days_in(out.year, out.month);
}

void append_digits(std::string& out, unsigned value, int width) {
  char digits[4];
  for (int i = width; i-- > 0; value /= 10) digits[i] = static_cast<char>('0' + value % 10);
  out.append(digits, static_cast<size_t>(width));
}

// Days since 1970-01-01. The year is taken to begin in March, so that the leap day is its last;
// 146097 days are 400 years.
constexpr int64_t days_since_1970(Date d) {
  const int64_t year = d.year - (d.month <= 2 ? 1 : 0);
  const int64_t era = (year >= 0 ? year : year - 399) / 400;
  const int64_t of_era = year - era * 400;
  const int64_t month = (d.month + 9) % 12;  // March is 0
  const int64_t of_year = (153 * month + 2) / 5 + d.day - 1;
  return era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719468;
}

constexpr Date date_of(int64_t days_1970) {
  const int64_t days = days_1970 + 719468;
  const int64_t era = (days >= 0 ? days : days - 146096) / 146097;
  const int64_t of_era = days - era * 146097;
  const int64_t year = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
  const int64_t of_year = of_era - (365 * year + year / 4 - year / 100);
  const int64_t month = (5 * of_year + 2) / 153;
  Date d;
  d.day = static_cast<uint8_t>(of_year - (153 * month + 2) / 5 + 1);
  d.month = static_cast<uint8_t>(month < 10 ? month + 3 : month - 9);
  d.year = static_cast<int16_t>(year + era * 400 + (d.month <= 2 ? 1 : 0));
  return d;
}

constexpr int64_t kDay = 86400;
constexpr int64_t kFirst = days_since_1970({0, 1, 1}) * kDay;
constexpr int64_t kLast = days_since_1970({9999, 12, 31}) * kDay + kDay - 1;
static_assert(days_since_1970({1970, 1, 1}) == 0 && days_since_1970({2000, 3, 1}) == 11017);

}  // namespace

// date = date-text = date-day "-" date-month "-" date-year;  date-day = 1*2DIGIT
std::optional<Date> parse_date(std::string_view text) {
  Date d;
  const size_t dash = text.find('-');
  if (dash == 1 && is(text[0], kDigit)) {
    d.day = static_cast<uint8_t>(text[0] - '0');
  } else if (dash != 2 || !two_digits(text, 0, d.day)) {
    return std::nullopt;
  }
  if (!month_and_year(text.substr(dash + 1), d)) return std::nullopt;
  return d;
}

// date-time = DQUOTE date-day-fixed "-" date-month "-" date-year SP time SP zone DQUOTE
// date-day-fixed = (SP DIGIT) / 2DIGIT. A single digit without the space is harmless.
std::optional<DateTime> parse_date_time(std::string_view text) {
  DateTime t;
  const size_t dash = text.find('-');
  if (dash == 0 || dash > 2 || text.size() != dash + 24) return std::nullopt;
  if (dash == 2 && text[0] != ' ') {
    if (!two_digits(text, 0, t.date.day)) return std::nullopt;
  } else {
    if (!is(text[dash - 1], kDigit)) return std::nullopt;
    t.date.day = static_cast<uint8_t>(text[dash - 1] - '0');
  }
  text.remove_prefix(dash);
  if (text[9] != ' ' || text[12] != ':' || text[15] != ':' || text[18] != ' ') return std::nullopt;
  uint8_t zone_hours = 0, zone_minutes = 0;
  const char sign = text[19];
  if (!month_and_year(text.substr(1, 8), t.date) || !two_digits(text, 10, t.hour) ||
      !two_digits(text, 13, t.minute) || !two_digits(text, 16, t.second) ||
      (sign != '+' && sign != '-') || !two_digits(text, 20, zone_hours) ||
      !two_digits(text, 22, zone_minutes))
    return std::nullopt;
  if (t.hour > 23 || t.minute > 59 || t.second > 60 || zone_hours > 23 || zone_minutes > 59)
    return std::nullopt;
  const int zone = zone_hours * 60 + zone_minutes;
  t.zone = static_cast<int16_t>(sign == '-' ? -zone : zone);
  return t;
}

void append_date(std::string& out, Date date) {
  if (date.day >= 10) out += static_cast<char>('0' + date.day / 10);
  out += static_cast<char>('0' + date.day % 10);
  out += '-';
  out += kMonths.substr((date.month - 1U) * 3, 3);
  out += '-';
  append_digits(out, static_cast<unsigned>(date.year), 4);
}

void append_date_time(std::string& out, const DateTime& t) {
  if (t.date.day < 10) out += ' ';
  append_date(out, t.date);
  out += ' ';
  append_digits(out, t.hour, 2);
  out += ':';
  append_digits(out, t.minute, 2);
  out += ':';
  append_digits(out, t.second, 2);
  out += t.zone < 0 ? " -" : " +";
  const auto zone = static_cast<unsigned>(t.zone < 0 ? -t.zone : t.zone);
  append_digits(out, zone / 60 * 100 + zone % 60, 4);
}

int64_t to_unix(const DateTime& t) {
  return days_since_1970(t.date) * kDay + t.hour * 3600 + t.minute * 60 + t.second - t.zone * 60;
}

DateTime from_unix(int64_t seconds, int zone_minutes) {
  const int zone = std::clamp(zone_minutes, -1439, 1439);
  // Clamped before the zone is added, too: a wild value may not overflow.
  const int64_t local = std::clamp(
      std::clamp(seconds, kFirst - 2 * kDay, kLast + 2 * kDay) + zone * 60, kFirst, kLast);
  const int64_t days = (local - kFirst) / kDay;
  const int64_t rest = (local - kFirst) % kDay;
  DateTime t;
  t.date = date_of(days + kFirst / kDay);
  t.hour = static_cast<uint8_t>(rest / 3600);
  t.minute = static_cast<uint8_t>(rest / 60 % 60);
  t.second = static_cast<uint8_t>(rest % 60);
  t.zone = static_cast<int16_t>(zone);
  return t;
}

}  // namespace rims::imap
