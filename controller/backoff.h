// controller/backoff.h - how long to wait before a process that ended is started again
//
// At once after a death that stands alone; 0.5 s after the second in a row, then twice as long
// each time, up to a minute. A process that was ready and lived a while, or that somebody killed
// from outside after it was ready, stands alone: no crash loop of its own. Pure, one per process.
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

  // It has lived a while: true when that ends a crash loop.
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
