// cli/time_point.h - a point in time as a person writes it
#pragma once

#include <cstdint>
#include <string_view>

#include "common/base/result.h"

namespace rims::cli {

// RFC 3339 ("2026-11-21T22:00:00Z", "2026-11-21T23:00:00+01:00"), or "YYYY-MM-DD HH:MM[:SS]" in
// local time, which $TZ decides. Seconds since 1970 (UTC); a fraction of a second is cut off.
[[nodiscard]] Result<int64_t> parse_time_point(std::string_view text);

}  // namespace rims::cli
