// tests/crash/simulation_test.cc - thousands of runs, each from its seed; and mutants that must
// fail
//
//   RIMS_RUNS   how many (20,000; RIMS_LONG=1: 1,000,000)
//   RIMS_SEED   only this one
//   RIMS_REPLAYS how many are played twice (300; RIMS_LONG=1: 5,000)
//   RIMS_MUTANT only those mutants whose names contain it, with RIMS_MUTANT_RUNS (1,000) seeds at
//   most
//
// Every fifth run is on files, of each style in turn, half of them with an aim. A failing run
// prints the command that plays it again.

#include "tests/crash/simulation.h"

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <sched.h>
#include <thread>
#include <unistd.h>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "common/async/timer.h"
#include "common/base/encoding.h"
#include "common/base/log.h"
#include "tests/crash/harness.h"
#include "tests/crash/sim_checksum.h"

#ifdef RIMS_SANITIZED
// Half of the time would go into stacks of allocations and into memory that is kept from being used
// again; other tests look as closely as they can.
extern "C" const char* __asan_default_options();
extern "C" const char* __asan_default_options() {
  return "malloc_context_size=2:quarantine_size_mb=16:max_malloc_fill_size=64:"
         "detect_stack_use_after_return=0";
}
#endif

namespace rims::store {
namespace {

// What the power aims at: all flushes that matter.
constexpr const char* kAims[] = {
    "fdatasync of a commit",
    "fdatasync of the last batch again",
    "fdatasync of a new segment",
    "fsync of a sealed segment",
    "fsync of journal after create",
    "fsync of the account's directory after mkdir journal",
    "fdatasync of a compacted record",
    "fsync of a rewritten segment",
    "fsync of journal after rename",
    "fsync of a quarantined file",
    "fsync of quarantine after create",
    "fsync of the account's directory after mkdir quarantine",
};

// Says nothing, unless it is asked to; but keeps what tells of damage.
struct Listening final : log::Sink {
  void write(log::Level, std::string_view line) override {
    if (aloud) fmt::print(stderr, "{}\n", line);
    if (damaged.empty() && line.contains("damaged:")) damaged = line;
  }
  const bool aloud = getenv("RIMS_VERBOSE") != nullptr;
  std::string damaged;
};

class SimulationTest : public ::testing::Test {
 protected:
  void SetUp() override {
    crypto_init();
    log::set_sink(&log_);
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
  // One of many in a row.
  Shape any_shape(uint64_t seed) const {
    Shape s = shape(seed, seed % 5 == 0);
    if (!s.files) {
      s.style = seed % 4 == 0 ? Style::churn : Style::mixed;
      return s;
    }
    const uint64_t n = seed / 5;
    s.style = static_cast<Style>(n % 5);
    if (n / 5 % 2 == 0) s.aim = kAims[n / 10 % std::size(kAims)];
    return s;
  }
  std::string play(Shape s, Tally& tally, uint64_t* trace = nullptr,
                   uint64_t* mutations = nullptr) {
    const bool harmed = s.harm != Harm::none;
    log_.damaged.clear();
    // New ones each time: nothing of another run waits in them.
    const SimulatedTime time;
    Loop loop;
    IoPool pool(loop, 0);
    Simulation simulation(loop, pool, std::move(s), tally);
    std::string failure = simulation.play();
    // No crash and no failing call may leave what is taken for damage later.
    if (failure.empty() && !harmed) failure = log_.damaged;
    if (trace) *trace = simulation.trace();
    if (mutations) *mutations += simulation.mutations();
    for (const auto& [kind, count] : simulation.disk().kinds) kinds_[kind] += count;
    return failure;
  }

  Listening log_;
  std::string base_;
  std::map<std::string, uint64_t> kinds_;
};

TEST_F(SimulationTest, EverySeed) {
  const uint64_t runs = harness_size("RIMS_RUNS", 20'000, 1'000'000);
  const uint64_t only = from_environment("RIMS_SEED", 0);
  Tally tally;
  for (uint64_t seed = only ? only : 1; seed <= (only ? only : runs); seed++) {
    const std::string failure = play(any_shape(seed), tally);
    if (failure.empty()) continue;
    ADD_FAILURE() << "seed " << seed << ": " << failure << "\nplay it again: RIMS_SEED=" << seed
                  << " build/dev/tests/crash/simulation_test --gtest_filter=*EverySeed";
    if (tally.lost + tally.duplicated + tally.corrupt + tally.other > 10) break;
  }
  fmt::print(
      "HARNESS simulation: runs={} operations={} states={} in_recovery={} faults={} races={} "
      "sealed={} compacted={} freed={} lost={} duplicated={} corrupt={} other={}\n",
      tally.runs, tally.operations, tally.states, tally.in_recovery, tally.faults, tally.races,
      kinds_["fsync of a sealed segment"], kinds_["fsync of journal after rename"], tally.freed,
      tally.lost, tally.duplicated, tally.corrupt, tally.other);
  if (!only && runs >= 1000) {
    EXPECT_GT(kinds_["fsync of journal after rename"], runs / 50);
    EXPECT_GT(tally.freed, runs * 10);
  }
  if (getenv("RIMS_VERBOSE"))
    for (const auto& [kind, count] : kinds_) fmt::print("  {}: {}\n", kind, count);
}

// Every flush and every order constraint of the store, left out or late: the runs on files must
// fail. Not among them, because nothing can tell:
//   fdatasync of a rewritten piece       the fsync at the end covers it
//   fsync of a cut segment               the flush of the next batch, or of the last one again,
//   does fsync of journal after unlink        what was never used is removed once more order of the
//   index files' syncs      none counts before the CLEAN record that comes last mark of a dirty
//   index                the same record tells; the mark is for those who look on
TEST_F(SimulationTest, EveryMissingOrLateFlushIsNoticed) {
  struct Mutant {
    const char* what;
    std::string Shape::* way;
    Style style;
  };
  static const Mutant kMutants[] = {
      {"fdatasync of a commit", &Shape::ignored, Style::mixed},
      {"fdatasync of the last batch again", &Shape::ignored, Style::kills},
      {"fdatasync of a new segment", &Shape::ignored, Style::churn},
      {"fsync of a sealed segment", &Shape::ignored, Style::churn},
      {"fdatasync of a compacted record", &Shape::ignored, Style::churn},
      {"fsync of a rewritten segment", &Shape::ignored, Style::churn},
      {"fsync of a quarantined file", &Shape::ignored, Style::cuts},
      {"fsync of the base directory after mkdir mailbox.3", &Shape::ignored, Style::mixed},
      {"fsync of mailbox.3 after mkdir <2 hex>", &Shape::ignored, Style::mixed},
      {"fsync of mailbox.3/<2 hex> after mkdir <62 hex>", &Shape::ignored, Style::mixed},
      {"fsync of the account's directory after mkdir journal", &Shape::ignored, Style::mixed},
      {"fsync of the account's directory after mkdir quarantine", &Shape::ignored, Style::cuts},
      {"fsync of journal after create", &Shape::ignored, Style::churn},
      {"fsync of journal after rename", &Shape::ignored, Style::churn},
      {"fsync of quarantine after create", &Shape::ignored, Style::cuts},
      {"fdatasync of a commit", &Shape::late, Style::mixed},
      {"fsync of a sealed segment", &Shape::late, Style::churn},
      {"fsync of a rewritten segment", &Shape::late, Style::churn},
      {"fsync of journal after create", &Shape::late, Style::churn},
      {"fsync of journal after rename", &Shape::late, Style::churn},
      {"fsync of the account's directory after mkdir journal", &Shape::late, Style::kills},
      {"sync of meta", &Shape::index_mutant, Style::stops},
      {"sync of message", &Shape::index_mutant, Style::stops},
      {"sync of mailbox", &Shape::index_mutant, Style::stops},
      {"late sync of mailbox", &Shape::index_mutant, Style::stops},
      {"put of annotations", &Shape::index_mutant, Style::stops},
  };
  const uint64_t most = from_environment("RIMS_MUTANT_RUNS", 3000);
  Tally tally;
  int noticed = 0, all = 0;
  const char* only = getenv("RIMS_MUTANT");
  for (const auto& mutant : kMutants) {
    if (only && !strstr(mutant.what, only)) continue;
    all++;
    uint64_t mutations = 0;
    const uint64_t states = tally.states;
    std::string failure;
    uint64_t seed = 0;
    while (failure.empty() && ++seed <= most) {
      Shape s = shape(seed, true);
      s.*mutant.way = mutant.what;
      s.style = mutant.style;
      if (mutant.way != &Shape::index_mutant) s.aim = mutant.what;
      failure = play(std::move(s), tally, nullptr, &mutations);
    }
    const char* way = mutant.way == &Shape::late      ? "late "
                      : mutant.way == &Shape::ignored ? "no "
                                                      : "index: ";
    fmt::print("  mutant: {}{}: {} after {} runs, {} states ({} times): {}\n", way, mutant.what,
               failure.empty() ? "NOT detected" : "detected", seed, tally.states - states,
               mutations, failure.substr(0, failure.find('\n')));
    fflush(stdout);
    EXPECT_NE(failure, "") << way << mutant.what;
    noticed += !failure.empty();
  }
  // What a mutant costs is no mail of ours: only how many were noticed counts.
  fmt::print("HARNESS simulation-mutants: runs={} states={} faults={} mutants={}/{}\n", tally.runs,
             tally.states, tally.faults, noticed, all);
}

// Every check of what is read, left out: what somebody has altered is then served.
TEST_F(SimulationTest, EveryMissingCheckIsNoticed) {
  struct Mutant {
    const char* what;
    Harm harm;
    bool alone = true;  // no other check notices it
  };
  // Not among them: the trailer's checksum. What it points to is a whole footer, or nothing. Nor
  // the number of a segment: one in a wrong place is out of order, too.
  static const Mutant kMutants[] = {
      {"record header", Harm::bit}, {"record meta", Harm::bit}, {"message", Harm::bit},
      {"structure", Harm::bit},     {"footer", Harm::bit},      {"segment header", Harm::bit},
      {"account", Harm::account},   {"key", Harm::record},      {"number", Harm::number, false},
  };
  constexpr uint64_t kSound = 25, kMost = 600;
  Tally tally;
  int noticed = 0, all = 0;
  for (const auto& mutant : kMutants) {
    std::string failure;
    uint64_t seed = 0;
    const bool sums = mutant.harm == Harm::bit || mutant.harm == Harm::record;
    for (const bool sound : {true, false}) {
      if (!sound && !mutant.alone) continue;
      if (sums) checksum_mutant = sound ? "" : mutant.what;
      for (seed = 1; failure.empty() && seed <= (sound ? kSound : kMost); seed++) {
        Shape s = shape(seed, true);
        s.style = Style::churn;
        s.harm = mutant.harm;
        if (s.harm == Harm::bit) s.harm_in = mutant.what;
        if (!sound && !sums) s.blind = true;
        failure = play(std::move(s), tally);
      }
      if (sound) EXPECT_EQ(failure, "") << mutant.what << ", seed " << seed - 1;
      if (sound) failure.clear();
    }
    checksum_mutant.clear();
    if (!mutant.alone) continue;
    all++;
    fmt::print("  mutant: no check of {}: {} after {} runs: {}\n", mutant.what,
               failure.empty() ? "NOT detected" : "detected", seed - 1, failure);
    fflush(stdout);
    EXPECT_NE(failure, "") << mutant.what;
    noticed += !failure.empty();
  }
  fmt::print("HARNESS simulation-harm: runs={} faults={} mutants={}/{}\n", tally.runs, tally.faults,
             noticed, all);
}

// The second time beside a thread that keeps a processor busy, and with pauses at any place: longer
// than a slice of time (loop.h), and longer than what the store does twice a second can wait.
TEST_F(SimulationTest, TheSameSeedIsTheSameRun) {
  const uint64_t runs = harness_size("RIMS_REPLAYS", 300, 5000);
  Tally tally;
  std::atomic<bool> end = false;
  const auto play_all = [&](const std::function<void()>& disturb) {
    std::vector<uint64_t> traces;
    for (uint64_t n = 1; n <= runs; n++) {
      Shape s = any_shape(n % 2 == 0 ? n : 5 * n);
      s.disturb = disturb;
      EXPECT_EQ(play(std::move(s), tally, &traces.emplace_back()), "") << n;
    }
    return traces;
  };
  const auto calm = play_all(nullptr);
  std::thread busy([&] {
    while (!end) sched_yield();
  });
  uint64_t calls = 0;
  const auto disturbed = play_all([&] {
    if (++calls % 4001 == 0) std::this_thread::sleep_for(Milliseconds(600));
    if (calls % 97 == 0) std::this_thread::sleep_for(Milliseconds(5));
  });
  end = true;
  busy.join();
  EXPECT_GT(calls, runs * 20);
  for (uint64_t n = 1; n <= runs; n++) EXPECT_EQ(calm[n - 1], disturbed[n - 1]) << n;
}

}  // namespace
}  // namespace rims::store
