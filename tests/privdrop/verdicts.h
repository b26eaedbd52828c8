// tests/privdrop/verdicts.h - what the filter of a row says to system calls, and what it should
//
// The filter's program, as it would be loaded, is run here: a call that is forbidden ends no
// process, so all can be asked. Some are asked of the kernel, too.
#pragma once

#include <array>
#include <cstdint>
#include <linux/filter.h>
#include <map>
#include <set>
#include <span>
#include <string>
#include <vector>

#include <seccomp.h>

#include "tests/privdrop/sandbox.h"

namespace rims::privdrop {

enum Verdict : int { kElse, kAllowed, kKilled, kNoSuchCall, kRefused };

struct Probe {
  std::string what;
  long number;
  std::array<uint64_t, 5> args{};
  bool allowed;
  int otherwise = kKilled;  // or kRefused, kNoSuchCall
  [[nodiscard]] int wanted() const { return allowed ? kAllowed : otherwise; }
};
inline constexpr long kLastCall = 520;  // above every number of a kernel so far

// The program that filter_calls() would load.
[[nodiscard]] std::vector<sock_filter> program_of(std::span<const Call> calls);
[[nodiscard]] int verdict(const std::vector<sock_filter>& program, const Probe& probe,
                          uint32_t architecture = seccomp_arch_native());
// Asks the kernel, in a child that has entered the row.
[[nodiscard]] int kernel_verdict(const Place& place, const Row& row, const Probe& probe);
// All by the program, a sample by the kernel.
void expect_verdicts(const Place& place, const Row& row, const std::vector<Probe>& probes);
[[nodiscard]] std::string text_of(const Row& row, const Probe& probe);

[[nodiscard]] std::string name_of(long number);
[[nodiscard]] long number_of(const std::string& name);
// The kernel lets it pass by every filter.
[[nodiscard]] bool passes_by_filters(long number);

// The names that doc/privsep.md allows a program: those without a condition, and the others.
struct Listed {
  std::set<std::string> plain, conditional;
};
[[nodiscard]] Listed listed_for(const Row& row);

// Each call of the kernel whose verdict does not depend on its arguments, from doc/privsep.md.
[[nodiscard]] std::vector<Probe> probes_of_names(const Row& row);
// Each argument that decides, with many values. Written by hand, from what the programs do, and
// from nothing in common/privdrop.
[[nodiscard]] std::vector<Probe> probes_of_arguments(const Row& row);
// Of what glibc tries and can do without.
[[nodiscard]] Probe probe_of_clone3(const Row& row);

}  // namespace rims::privdrop
