// tests/support/numbers.h - sets of numbers as a server writes them
#pragma once

#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace rims::test {

// "1:3,7", and also the "1 2 3 7" of SEARCH.
inline std::vector<uint32_t> numbers_in(std::string_view set) {
  std::vector<uint32_t> numbers;
  while (!set.empty()) {
    const size_t end = std::min(set.find_first_of(", "), set.size());
    const std::string range(set.substr(0, end));
    set.remove_prefix(std::min(end + 1, set.size()));
    if (range.empty()) continue;
    const size_t colon = range.find(':');
    const uint64_t first = std::stoull(range);
    const uint64_t last = colon == std::string::npos ? first : std::stoull(range.substr(colon + 1));
    for (uint64_t n = first; n <= last; n++) numbers.push_back(static_cast<uint32_t>(n));
  }
  return numbers;
}

}  // namespace rims::test
