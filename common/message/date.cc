// common/message/date.cc - see date.h
//
//   date-time = [day-name ","] day month year [time] [zone]     RFC 5322 §3.3, §4.3
//
// Also read: "Nov 21 2026", dashes between the parts, ISO "2026-11-21", text after the zone: real
// mail has them.

#include "common/message/date.h"

#include <array>
#include <cctype>
#include <string>
#include <vector>

#include "common/base/ascii.h"
#include "common/message/header.h"
#include "common/message/lexer.h"

namespace rims::message {
namespace {

constexpr std::array<std::string_view, 12> kMonths = {"jan", "feb", "mar", "apr", "may", "jun",
                                                      "jul", "aug", "sep", "oct", "nov", "dec"};
struct Zone {
  std::string_view name;
  int minutes;
};
constexpr Zone kZones[] = {
    {"UT", 0},     {"GMT", 0},    {"UTC", 0},    {"EST", -300}, {"EDT", -240},
    {"CST", -360}, {"CDT", -300}, {"MST", -420}, {"MDT", -360}, {"PST", -480},
    {"PDT", -420}, {"MET", 60},   {"CET", 60},   {"CEST", 120}, {"MEST", 120},
    {"EET", 120},  {"EEST", 180}, {"BST", 60},   {"JST", 540},
};
constexpr size_t kMaxDate = 256;  // bytes looked at

bool is_digit(char c) { return c >= '0' && c <= '9'; }

int month_by_name(std::string_view word) {
  if (word.size() < 3) return 0;
  for (size_t m = 0; m < kMonths.size(); m++)
    if (ascii::equal(word.substr(0, 3), kMonths[m])) return static_cast<int>(m) + 1;
  return 0;
}

// A run of at most nine digits, or nothing.
std::optional<int> number(std::string_view word) {
  if (word.empty() || word.size() > 9) return std::nullopt;
  int value = 0;
  for (const char c : word) {
    if (!is_digit(c)) return std::nullopt;
    value = value * 10 + (c - '0');
  }
  return value;
}

bool is_leap(int year) { return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0); }

int days_in(int month, int year) {
  constexpr int kDays[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
  return month == 2 && is_leap(year) ? 29 : kDays[month - 1];
}

// RFC 5322 §4.3: two digits from 50 and all three-digit years count from 1900.
int full_year(int year, size_t digits) {
  if (digits == 2) return year < 50 ? year + 2000 : year + 1900;
  if (digits == 3) return year + 1900;
  return year;
}

// Words and single marks, comments left out. "21-Nov-2026" is five tokens.
std::vector<std::string_view> tokens(std::string_view value) {
  std::vector<std::string_view> out;
  Lexer in(value.substr(0, kMaxDate));
  for (;;) {
    in.skip_cfws();
    if (in.at_end()) return out;
    const size_t start = in.position();
    const bool digits = is_digit(in.peek());
    const bool letters = std::isalpha(static_cast<unsigned char>(in.peek())) != 0;
    in.skip();
    while (digits && is_digit(in.peek())) in.skip();
    while (letters && std::isalpha(static_cast<unsigned char>(in.peek())) != 0) in.skip();
    out.push_back(in.since(start));
  }
}

// hh:mm[:ss] at `i`; moves behind it. The old "hh.mm" is read as well.
void read_time(const std::vector<std::string_view>& words, size_t& i, DateTime& out) {
  const auto mark = [&](size_t at) {
    return at < words.size() && (words[at] == ":" || words[at] == ".");
  };
  const auto field = [&](size_t at, int most) {
    const auto value =
        at < words.size() && words[at].size() <= 2 ? number(words[at]) : std::nullopt;
    return value && *value <= most ? value : std::nullopt;
  };
  const auto hour = field(i, 23);
  const auto minute = field(i + 2, 59);
  if (!hour || !mark(i + 1) || !minute) return;
  out.hour = *hour;
  out.minute = *minute;
  i += 3;
  const auto second = field(i + 1, 60);
  if (!mark(i) || !second) return;
  out.second = *second;
  i += 2;
}

void read_zone(const std::vector<std::string_view>& words, size_t i, DateTime& out) {
  if (i >= words.size()) return;
  if (words[i] == "+" || words[i] == "-") {
    if (i + 1 >= words.size() || words[i + 1].size() != 4) return;
    const auto value = number(words[i + 1]);
    if (!value || *value % 100 > 59) return;
    const int minutes = *value / 100 * 60 + *value % 100;
    out.zone_minutes = words[i] == "-" ? -minutes : minutes;
    return;
  }
  for (const Zone& zone : kZones) {
    if (!ascii::equal(words[i], zone.name)) continue;
    out.zone_minutes = zone.minutes;
    return;
  }
}

}  // namespace

int32_t day_number(int year, int month, int day) {
  // The year starts in March, so that the leap day is its last.
  const int64_t y = static_cast<int64_t>(year) - (month <= 2 ? 1 : 0);
  const int64_t era = (y >= 0 ? y : y - 399) / 400;
  const int64_t year_of_era = y - era * 400;
  const int64_t day_of_year = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1;
  const int64_t day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
  return static_cast<int32_t>(era * 146097 + day_of_era - 719468);
}

int32_t DateTime::day_number() const { return message::day_number(year, month, day); }

int64_t DateTime::utc_seconds() const {
  return int64_t{day_number()} * 86400 + hour * 3600 + minute * 60 + second - zone_minutes * 60;
}

std::optional<DateTime> parse_date(std::string_view value) {
  const std::vector<std::string_view> words = tokens(value);
  size_t i = 0;
  // The name of the day is not needed.
  if (i < words.size() && !is_digit(words[i].front()) && month_by_name(words[i]) == 0) i++;
  while (i < words.size() && (words[i] == "," || words[i] == ".")) i++;

  const auto skip_marks = [&] {
    while (i < words.size() &&
           (words[i] == "-" || words[i] == "," || words[i] == "." || words[i] == "/"))
      i++;
  };
  const auto take_number = [&]() -> std::optional<int> {
    skip_marks();
    return i < words.size() ? number(words[i++]) : std::nullopt;
  };

  DateTime out;
  std::optional<int> day, year;
  size_t year_digits = 4;
  if (i < words.size() && words[i].size() == 4 && number(words[i])) {  // ISO 8601
    year = take_number();
    out.month = take_number().value_or(0);
    day = take_number();
    if (i < words.size() && ascii::equal(words[i], "T")) i++;
  } else {
    const bool month_first = i < words.size() && month_by_name(words[i]) != 0;
    if (month_first) out.month = month_by_name(words[i++]);
    day = take_number();
    if (!month_first) {
      skip_marks();
      out.month = i < words.size() ? month_by_name(words[i++]) : 0;
    }
    // ctime() puts the time in front of the year.
    skip_marks();
    if (month_first && i + 1 < words.size() && words[i + 1] == ":") read_time(words, i, out);
    skip_marks();
    if (i < words.size()) year_digits = words[i].size();
    year = take_number();
  }
  if (!day || !year || out.month < 1 || out.month > 12 || year_digits > 4) return std::nullopt;
  out.year = full_year(*year, year_digits);
  out.day = *day;
  if (out.year < 1 || out.day < 1 || out.day > days_in(out.month, out.year)) return std::nullopt;
  if (i < words.size() && words[i] == ",") i++;
  read_time(words, i, out);
  read_zone(words, i, out);
  return out;
}

}  // namespace rims::message
