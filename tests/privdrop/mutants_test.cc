// tests/privdrop/mutants_test.cc - is each change of the table of system calls noticed?
//
// Each mutant is the list of one program with one change; it is noticed when one of the probes of
// verdicts.h has another verdict than it should. The changes:
//   add      a call that the program may not make, whatever its arguments are
//   remove   an entry
//   any      one condition of an entry is left out
//   value    a condition names another value, or one bit less or more
//   error    what is answered with an error ends the process, or is done

#include <algorithm>
#include <array>
#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "tests/privdrop/verdicts.h"

namespace rims::privdrop {
namespace {

struct Mutant {
  std::string what;
  std::string call;  // the one whose verdicts may change
  std::vector<Call> calls;
};

std::vector<Mutant> mutants_of(const Row& row) {
  const std::vector<Call> whole(row.calls.begin(), row.calls.end());
  std::vector<Mutant> all;
  static std::set<std::string> names;  // keeps what a Call points to
  std::set<std::string> plain;
  for (const Call& call : whole)
    if (call.args[0].test == Arg::Test::any) plain.insert(call.name);
  for (long number = 0; number <= kLastCall; number++) {
    const std::string name = name_of(number);
    if (passes_by_filters(number) || name.starts_with("call ") || plain.contains(name)) continue;
    auto with = whole;
    with.emplace_back(names.insert(name).first->c_str());
    all.push_back({"add " + name, name, std::move(with)});
  }
  for (size_t i = 0; i < whole.size(); i++) {
    const std::string name = whole[i].name;
    // Nothing depends on the conditions of a call that is also there without any.
    if (whole[i].args[0].test != Arg::Test::any && plain.contains(name)) continue;
    const std::string at = fmt::format("{} (entry {})", name, i);
    auto without = whole;
    without.erase(without.begin() + static_cast<std::ptrdiff_t>(i));
    all.push_back({"remove " + at, name, std::move(without)});
    const auto change = [&](const std::string& how, const auto& edit) {
      auto changed = whole;
      edit(changed[i]);
      all.push_back({how + " " + at, name, std::move(changed)});
    };
    if (whole[i].error != 0) change("error", [](Call& call) { call.error = 0; });
    for (size_t a = 0; a < whole[i].args.size(); a++) {
      const Arg& arg = whole[i].args[a];
      if (arg.test == Arg::Test::any) continue;
      const std::string which = fmt::format("of argument {}", arg.index);
      change("any " + which, [a](Call& call) {
        // Conditions end at the first that is none.
        std::move(call.args.begin() + static_cast<std::ptrdiff_t>(a) + 1, call.args.end(),
                  call.args.begin() + static_cast<std::ptrdiff_t>(a));
        call.args.back() = Arg{};
      });
      if (arg.test != Arg::Test::is && arg.test != Arg::Test::without) continue;
      for (unsigned bit = 0; bit < 32; bit++)
        change(fmt::format("value bit {} {}", bit, which),
               [a, bit](Call& call) { call.args[a].value ^= 1U << bit; });
    }
  }
  return all;
}

TEST(Mutants, EachChangeOfTheTableIsNoticed) {
  size_t tried = 0, noticed = 0;
  for (const Row* row : confined_rows()) {
    std::map<std::string, std::vector<Probe>> probes;
    for (const auto& list : {probes_of_names(*row), probes_of_arguments(*row),
                             std::vector<Probe>{probe_of_clone3(*row)}})
      for (const Probe& probe : list) probes[probe.what].push_back(probe);
    const auto unchanged = program_of(row->calls);
    const auto differs = [&](const std::vector<sock_filter>& program, const std::string& call) {
      return std::ranges::any_of(probes[call], [&](const Probe& probe) {
        return verdict(program, probe) != probe.wanted();
      });
    };
    for (const auto& [call, list] : probes) ASSERT_FALSE(differs(unchanged, call)) << call;
    const auto mutants = mutants_of(*row);
    EXPECT_GT(mutants.size(), 500U);
    for (const Mutant& mutant : mutants) {
      tried++;
      const bool seen = differs(program_of(mutant.calls), mutant.call);
      if (seen) noticed++;
      EXPECT_TRUE(seen) << row->binary << ": " << mutant.what;
    }
  }
  fmt::print("MUTANTS privdrop: {}/{} noticed\n", noticed, tried);
}

}  // namespace
}  // namespace rims::privdrop
