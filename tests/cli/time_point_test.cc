// tests/cli/time_point_test.cc - points in time as a person writes them

#include "cli/time_point.h"

#include <cstdlib>
#include <ctime>

#include <gtest/gtest.h>

namespace rims::cli {
namespace {

int64_t read(std::string_view text) {
  const auto time = parse_time_point(text);
  return time ? *time : -1;
}

TEST(TimePoint, InUtcAndWithAnOffset) {  // RFC 3339 §5.8
  EXPECT_EQ(read("2023-11-14T22:13:20Z"), 1'700'000'000);
  EXPECT_EQ(read("2023-11-14t22:13:20.75z"), 1'700'000'000);
  EXPECT_EQ(read("2023-11-15T07:13:20+09:00"), 1'700'000'000);
  EXPECT_EQ(read("2023-11-14 16:43:20-05:30"), 1'700'000'000);
  EXPECT_EQ(read("2024-02-29T00:00:00Z"), 1'709'164'800);
}

TEST(TimePoint, InLocalTime) {
  const char* before = std::getenv("TZ");
  const std::string saved = before ? before : "";
  setenv("TZ", "XYZ-3", 1);
  tzset();
  EXPECT_EQ(read("2023-11-15 01:13:20"), 1'700'000'000);
  EXPECT_EQ(read("2023-11-15 01:13"), 1'699'999'980);
  EXPECT_EQ(read("2023-11-15T01:13:20"), 1'700'000'000);
  if (before)
    setenv("TZ", saved.c_str(), 1);
  else
    unsetenv("TZ");
  tzset();
}

TEST(TimePoint, RefusesWhatIsNoTime) {
  for (const char* text :
       {"", "yesterday", "2023-11-14", "2023-11-14T22", "2023-11-14T22:13:20X", "2023-13-01 00:00",
        "2023-02-29 00:00", "2023-11-14T24:00:00Z", "2023-11-14T22:60:00Z", "2023-11-14T22:13:20+9",
        "2023-11-14T22:13:20+25:00", "23-11-14T22:13:20Z", " 2023-11-14T22:13:20Z", "1700000000"})
    EXPECT_EQ(read(text), -1) << text;
  EXPECT_EQ(parse_time_point("x").error().reply(),
            "\"x\" is not a time such as 2026-11-21T22:00:00Z or \"2026-11-21 22:00\"");
}

}  // namespace
}  // namespace rims::cli
