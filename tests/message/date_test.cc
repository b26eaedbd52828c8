// tests/message/date_test.cc - Date: fields of RFC 5322, RFC 850 and of no RFC

#include "common/message/date.h"

#include <string>

#include <gtest/gtest.h>

namespace rims::message {
namespace {

TEST(Date, CountsDays) {
  EXPECT_EQ(day_number(1970, 1, 1), 0);
  EXPECT_EQ(day_number(1969, 12, 31), -1);
  EXPECT_EQ(day_number(2000, 2, 29), 11016);
  EXPECT_EQ(day_number(2026, 11, 21), 20778);
  EXPECT_EQ(day_number(1, 1, 1), -719162);
  int32_t expected = day_number(1890, 1, 1);
  for (int year = 1890; year < 2110; year++) {
    for (int month = 1; month <= 12; month++) {
      constexpr int kDays[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
      const bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
      for (int day = 1; day <= kDays[month - 1] + (leap && month == 2 ? 1 : 0); day++)
        ASSERT_EQ(day_number(year, month, day), expected++) << year << '-' << month << '-' << day;
    }
  }
}

TEST(Date, ReadsCurrentObsoleteAndCarelessForms) {
  const int64_t noon = 1795262400;  // 2026-11-21 12:00:00 UTC
  const struct {
    const char* value;
    int64_t utc;
  } table[] = {
      {"Sat, 21 Nov 2026 12:00:00 +0000", noon},
      {"21 Nov 2026 12:00 +0000", noon},
      {"Sat,21 Nov 2026 12:00:00 GMT", noon},
      {"Sat, 21 Nov 2026 07:00:00 EST", noon},
      {"Sat, 21 Nov 2026 04:00:00 PST (Pacific)", noon},
      {"Sat, 21 Nov 2026 13:00:00 +0100 (CET)", noon},
      {"Sat, 21 Nov 2026 06:30:00 -0530", noon},
      {"Saturday, 21-Nov-26 12:00:00 GMT", noon},
      {"Sat Nov 21 12:00:00 2026", noon},
      {"Nov 21, 2026 12:00:00", noon},
      {"2026-11-21T12:00:00Z", noon},
      {"2026-11-21 12:00:00", noon},
      {"21 november 2026 12:00:00", noon},
      {"Sat (day), 21 (x) Nov\r\n 2026 12 : 00 : 00 Z", noon},
      {"Sat, 21 Nov 2026 12.00.00 +0000", noon},
      {"1 Jan 70 00:00:00 +0000", 0},
      {"1 Jan 100 00:00:00 +0000", 946684800},
      {"31 Dec 98 23:59:60 +0000", 915148800},
      {"29 Feb 2000", 951782400},
  };
  for (const auto& row : table) {
    const auto date = parse_date(row.value);
    ASSERT_TRUE(date) << row.value;
    EXPECT_EQ(date->utc_seconds(), row.utc) << row.value;
  }
}

// RFC 3501 §6.4.4: SENTON compares the date "disregarding time and timezone".
TEST(Date, DayIsTheOneThatWasWritten) {
  const auto late = parse_date("Sat, 21 Nov 2026 23:30:00 -1200");
  const auto early = parse_date("Sat, 21 Nov 2026 00:30:00 +1400");
  ASSERT_TRUE(late && early);
  EXPECT_EQ(late->day_number(), day_number(2026, 11, 21));
  EXPECT_EQ(early->day_number(), day_number(2026, 11, 21));
}

TEST(Date, RefusesWhatIsNoDate) {
  for (const char* value : {"",
                            " ",
                            "x",
                            "yesterday",
                            "Sat,",
                            "21",
                            "21 Nov",
                            "32 Nov 2026",
                            "0 Nov 2026",
                            "30 Feb 2026",
                            "29 Feb 1900",
                            "21 Foo 2026",
                            "21 Nov 20266",
                            "21 Nov x",
                            "Nov",
                            "+",
                            "(",
                            "2026-13-01",
                            "2026-00-01",
                            "99999999999999999999 Nov 2026",
                            "21 Nov 0000"})
    EXPECT_FALSE(parse_date(value)) << value;
}

TEST(Date, LooksAtALimitedStretch) {
  EXPECT_FALSE(parse_date(std::string(1000, ' ') + "21 Nov 2026"));
  EXPECT_TRUE(parse_date("21 Nov 2026" + std::string(1 << 20, '(')));
}

}  // namespace
}  // namespace rims::message
