// cli/formats/marshal.h - reading what Ruby's Marshal.dump (format 4.8) wrote
//
// Pure; the input is not trusted. Every length is checked, depth and number of values are bounded,
// and an error names the offset. Values that the data links to several times are shared; the root
// owns them all, whatever links to what. What only a running Ruby could load (classes, procs,
// marshal_dump of unknown classes) is an error.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "common/base/result.h"

namespace rims::cli {

enum class MarshalKind : uint8_t {
  nil,
  boolean,   // integer: 0 or 1
  integer,   // beyond 64 bits is an error
  real,      // text, as it was written
  string,    // text
  symbol,    // text
  array,     // items
  hash,      // items: key, value, key, value ...
  object,    // type; members are in `ivars`
  user_data  // type; text is what its class' _dump returned
};

struct MarshalValue {
  MarshalKind kind = MarshalKind::nil;
  int64_t integer = 0;
  std::string text;
  std::string type;  // "Set", "Time"
  std::vector<const MarshalValue*> items;
  std::vector<std::pair<std::string, const MarshalValue*>> ivars;
  // nullptr when there is none of this name.
  [[nodiscard]] const MarshalValue* ivar(std::string_view name) const;
};

struct MarshalLimits {
  unsigned depth = 64;
  size_t values = 10'000'000;
};

// The root value. All values that it points to live as long as it does.
using MarshalRef = std::shared_ptr<const MarshalValue>;

// Error: syntax, "offset 12: ...".
[[nodiscard]] Result<MarshalRef> read_marshal(std::string_view bytes,
                                              const MarshalLimits& limits = {});

struct MarshalTime {
  int64_t seconds = 0;  // since 1970 (UTC)
  int16_t zone = 0;     // minutes east of UTC
};
// A dumped Time. Error: syntax, when it is none.
[[nodiscard]] Result<MarshalTime> marshal_time(const MarshalValue& value);

// The members of a Set of numbers (an object with a hash, or an array). Error: syntax.
[[nodiscard]] Result<std::vector<int64_t>> marshal_numbers(const MarshalValue& value);

}  // namespace rims::cli
