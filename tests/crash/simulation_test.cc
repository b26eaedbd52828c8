// tests/crash/simulation_test.cc - thousands of runs, each from its seed; and mutants that must
// fail
//
//   RIMS_RUNS   how many (20,000; RIMS_LONG=1: 1,000,000)
//   RIMS_SEED   only this one
//
// Every fifth run is on files. A failing run prints the command that plays it again.

#include "tests/crash/simulation.h"

#include <cstdio>
#include <unistd.h>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "common/base/encoding.h"
#include "common/base/log.h"
#include "tests/crash/harness.h"

namespace rims::store {
namespace {

class SimulationTest : public ::testing::Test {
 protected:
  void SetUp() override {
    crypto_init();
    if (!getenv("RIMS_VERBOSE")) log::set_sink(&quiet_);
    std::string name = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";
    name += "/rims-sim-XXXXXX";
    base_ = mkdtemp(name.data());
  }
  void TearDown() override {
    log::set_sink(nullptr);
    rmdir(base_.c_str());
  }
  Shape shape(uint64_t seed, bool files) const {
    Shape s;
    s.seed = seed;
    s.files = files;
    s.base = base_ + "/base-" + std::to_string(seed);
    return s;
  }
  std::string play(Shape s, Tally& tally, uint64_t* trace = nullptr,
                   uint64_t* mutations = nullptr) {
    Simulation simulation(loop_, pool_, std::move(s), tally);
    std::string failure = simulation.play();
    if (trace) *trace = simulation.trace();
    if (mutations) *mutations += simulation.mutations();
    for (const auto& [kind, count] : simulation.disk().kinds) kinds_[kind] += count;
    return failure;
  }

  Quiet quiet_;
  Loop loop_;
  IoPool pool_{loop_, 0};
  std::string base_;
  std::map<std::string, uint64_t> kinds_;
};

TEST_F(SimulationTest, EverySeed) {
  const uint64_t runs = harness_size("RIMS_RUNS", 20'000, 1'000'000);
  const uint64_t only = from_environment("RIMS_SEED", 0);
  Tally tally;
  for (uint64_t seed = only ? only : 1; seed <= (only ? only : runs); seed++) {
    const std::string failure = play(shape(seed, seed % 5 == 0), tally);
    if (failure.empty()) continue;
    ADD_FAILURE() << "seed " << seed << ": " << failure << "\nplay it again: RIMS_SEED=" << seed
                  << " build/dev/tests/crash/simulation_test --gtest_filter=*EverySeed";
    if (tally.lost + tally.duplicated + tally.corrupt + tally.other > 10) break;
  }
  fmt::print(
      "HARNESS simulation: runs={} operations={} states={} in_recovery={} faults={} races={} "
      "lost={} duplicated={} corrupt={} other={}\n",
      tally.runs, tally.operations, tally.states, tally.in_recovery, tally.faults, tally.races,
      tally.lost, tally.duplicated, tally.corrupt, tally.other);
  if (getenv("RIMS_VERBOSE"))
    for (const auto& [kind, count] : kinds_) fmt::print("  {}: {}\n", kind, count);
}

// Every flush and every order constraint of the store, left out or late: the runs on files must
// fail. Those that need a rarer state than so few runs reach are tried and counted. Not among them,
// because nothing can tell: the fdatasync of a new segment's header (that of the first commit into
// the segment covers it).
TEST_F(SimulationTest, EveryMissingOrLateFlushIsNoticed) {
  struct Mutant {
    const char* what;
    std::string Shape::* way;
    bool must = false;
  };
  static const Mutant kMutants[] = {
      {"fdatasync of a commit", &Shape::ignored, true},
      {"fdatasync of the last batch again", &Shape::ignored},
      {"fsync of a sealed segment", &Shape::ignored, true},
      {"fsync of a quarantined file", &Shape::ignored},
      {"fsync of the base directory after mkdir mailbox.3", &Shape::ignored, true},
      {"fsync of mailbox.3 after mkdir <2 hex>", &Shape::ignored, true},
      {"fsync of mailbox.3/<2 hex> after mkdir <62 hex>", &Shape::ignored, true},
      {"fsync of the account's directory after mkdir journal", &Shape::ignored, true},
      {"fsync of the account's directory after mkdir quarantine", &Shape::ignored},
      {"fsync of journal after create", &Shape::ignored},
      {"fsync of quarantine after create", &Shape::ignored},
      {"fdatasync of a commit", &Shape::late},
      {"fsync of a sealed segment", &Shape::late},
      {"fsync of the account's directory after mkdir journal", &Shape::late},
      {"fsync of journal after create", &Shape::late},
      {"sync of meta", &Shape::index_mutant},
      {"sync of message", &Shape::index_mutant},
      {"sync of mailbox", &Shape::index_mutant},
      {"late sync of mailbox", &Shape::index_mutant},
      {"dirty mark", &Shape::index_mutant},
  };
  const uint64_t most = from_environment("RIMS_MUTANT_RUNS", 400);
  Tally tally;
  int noticed = 0, all = 0;
  for (const auto& mutant : kMutants) {
    all++;
    uint64_t mutations = 0;
    const uint64_t states = tally.states;
    std::string failure;
    uint64_t seed = 0;
    while (failure.empty() && ++seed <= most) {
      Shape s = shape(seed, true);
      s.*mutant.way = mutant.what;
      failure = play(std::move(s), tally, nullptr, &mutations);
    }
    const char* way = mutant.way == &Shape::late      ? "late "
                      : mutant.way == &Shape::ignored ? "no "
                                                      : "index: ";
    fmt::print("  mutant: {}{}: {} after {} states ({} times): {}\n", way, mutant.what,
               failure.empty() ? "NOT detected" : "detected", tally.states - states, mutations,
               failure.substr(0, failure.find('\n')));
    fflush(stdout);
    if (mutant.must) EXPECT_NE(failure, "") << way << mutant.what;
    noticed += !failure.empty();
  }
  // What a mutant costs is no mail of ours: only how many were noticed counts.
  fmt::print("HARNESS simulation-mutants: runs={} states={} faults={} mutants={}/{}\n", tally.runs,
             tally.states, tally.faults, noticed, all);
}

TEST_F(SimulationTest, TheSameSeedIsTheSameRun) {
  for (uint64_t seed = 1; seed <= 60; seed++) {
    uint64_t traces[2] = {};
    Tally tally;
    for (auto& trace : traces) {
      const std::string failure = play(shape(seed, seed % 2 == 0), tally, &trace);
      EXPECT_EQ(failure, "") << seed;
    }
    EXPECT_EQ(traces[0], traces[1]) << seed;
  }
}

}  // namespace
}  // namespace rims::store
