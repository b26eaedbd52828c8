// controller/backoff.h - how long to wait before a process that ended is started again
//
// After a single death it is started at once; after the second in a row, 0.5 s later, then twice as
// long each time, up to a minute. The death of a process that was ready and ran for some time, or
// that somebody killed from outside after it was ready, counts as single: it is no crash loop.
// Pure, one per process.
#pragma once

#include <chrono>

namespace rims::controller {

class Backoff {
 public:
  using Duration = std::chrono::milliseconds;
  static constexpr Duration kLivedAWhile{10'000};
  static constexpr Duration kFirst{500}, kMost{60'000};
  static constexpr unsigned kLoop = 3;  // deaths in a row that make a crash loop

  struct Verdict {
    Duration wait{0};
    bool announce = false;  // the crash loop begins here: say so, once
  };

  Verdict died(Duration lifetime, bool was_ready, bool killed_from_outside) {
    if (was_ready && (killed_from_outside || lifetime >= kLivedAWhile)) deaths_ = 0;
    deaths_++;
    Verdict verdict{.wait = Duration(0), .announce = deaths_ == kLoop};
    if (deaths_ > 1) {
      verdict.wait = kFirst;
      for (unsigned i = 2; i < deaths_ && verdict.wait < kMost; i++) verdict.wait *= 2;
      if (verdict.wait > kMost) verdict.wait = kMost;
    }
    return verdict;
  }

  // Called when it has run for some time. True when that ends a crash loop.
  bool lives() {
    const bool looped = deaths_ >= kLoop;
    deaths_ = 0;
    return looped;
  }

  [[nodiscard]] unsigned deaths() const { return deaths_; }

 private:
  unsigned deaths_ = 0;
};

}  // namespace rims::controller
