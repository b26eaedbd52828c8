// tests/crash/harness.h - what harnesses in C++ share: sizes, silence, and the line that is counted
//
// See doc/testing.md; tests/crash/count.py is the same for Python.
#pragma once

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string_view>

#include <fmt/format.h>

#include "common/base/log.h"

namespace rims::store {

struct Quiet final : log::Sink {
  void write(log::Level, std::string_view) override {}
};

inline uint64_t from_environment(const char* name, uint64_t otherwise) {
  const char* value = getenv(name);
  return value && *value ? std::strtoull(value, nullptr, 10) : otherwise;
}

// How much to do: what the environment says, else the size for CI or that of `make check-long`.
inline uint64_t harness_size(const char* name, uint64_t brief, uint64_t full) {
  return from_environment(name, from_environment("RIMS_LONG", 0) != 0 ? full : brief);
}

struct Count {
  uint64_t runs = 0, states = 0, faults = 0, lost = 0, duplicated = 0, corrupt = 0;
  uint64_t noticed = 0, mutants = 0;

  [[nodiscard]] uint64_t wrong() const { return lost + duplicated + corrupt; }
  void tell(std::string_view harness) const {
    fmt::print(
        "HARNESS {}: runs={} states={} faults={} lost={} duplicated={} corrupt={} mutants={}/{}\n",
        harness, runs, states, faults, lost, duplicated, corrupt, noticed, mutants);
    fflush(stdout);
  }
};

}  // namespace rims::store
