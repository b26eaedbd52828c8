// cli/time_point.cc - see time_point.h

#include "cli/time_point.h"

#include <ctime>

#include <fmt/format.h>

namespace rims::cli {
namespace {

struct Cursor {
  std::string_view text;
  bool good = true;

  int digits(size_t count) {
    int value = 0;
    if (text.size() < count) good = false;
    for (size_t i = 0; good && i < count; i++) {
      if (text[i] < '0' || text[i] > '9') good = false;
      value = value * 10 + (text[i] - '0');
    }
    if (good) text.remove_prefix(count);
    return value;
  }
  bool take(std::string_view any) {
    if (text.empty() || !any.contains(text[0])) return false;
    text.remove_prefix(1);
    return true;
  }
  void need(std::string_view any) { good = take(any) && good; }
};

}  // namespace

// RFC 3339 §5.6.
Result<int64_t> parse_time_point(std::string_view text) {
  const auto wrong = [&] {
    return fail(
        Fault::syntax,
        fmt::format("\"{}\" is not a time such as 2026-11-21T22:00:00Z or \"2026-11-21 22:00\"",
                    text));
  };
  Cursor in{text};
  tm parts{};
  parts.tm_year = in.digits(4) - 1900;
  in.need("-");
  parts.tm_mon = in.digits(2) - 1;
  in.need("-");
  parts.tm_mday = in.digits(2);
  in.need("Tt ");
  parts.tm_hour = in.digits(2);
  in.need(":");
  parts.tm_min = in.digits(2);
  const bool seconds = in.take(":");
  if (seconds) parts.tm_sec = in.digits(2);
  if (seconds && in.take(".")) {
    in.digits(1);
    while (in.good && !in.text.empty() && in.text[0] >= '0' && in.text[0] <= '9') in.digits(1);
  }
  if (!in.good || parts.tm_hour > 23 || parts.tm_min > 59 || parts.tm_sec > 60) return wrong();
  const tm asked = parts;
  int64_t offset = 0;
  const bool local = in.text.empty();
  if (!local && !in.take("Zz")) {
    const bool east = in.take("+");
    if (!east) in.need("-");
    const int hours = in.digits(2);
    in.need(":");
    const int minutes = in.digits(2);
    if (!in.good || hours > 23 || minutes > 59) return wrong();
    offset = (hours * 60 + minutes) * (east ? 60 : -60);
  }
  if (!in.text.empty()) return wrong();
  // timegm() turns a day that does not exist, such as 31 April, into another one.
  tm check = asked;
  if (timegm(&check) < 0 || check.tm_mday != asked.tm_mday || check.tm_mon != asked.tm_mon)
    return wrong();
  if (!local) return int64_t{timegm(&parts)} - offset;
  parts.tm_isdst = -1;
  const time_t time = mktime(&parts);
  if (time < 0) return wrong();
  return int64_t{time};
}

}  // namespace rims::cli
