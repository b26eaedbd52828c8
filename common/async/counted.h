// common/async/counted.h - how many of something are under way, and who waits for their end
#pragma once

#include <cstddef>

#include "common/async/event.h"

namespace rims {

// Adds one to `count` now and takes it away at the end of the scope. `when_zero` is set exactly
// while the count is zero; `when_less` is set each time one has ended. Both may be absent; all
// outlive the scope.
class Counted {
 public:
  explicit Counted(size_t& count, Event* when_zero = nullptr, Event* when_less = nullptr)
      : count_(count), when_zero_(when_zero), when_less_(when_less) {
    count_++;
    if (when_zero_) when_zero_->clear();
  }
  Counted(const Counted&) = delete;
  Counted& operator=(const Counted&) = delete;
  ~Counted() {
    count_--;
    if (when_less_) when_less_->set();
    if (when_zero_ && count_ == 0) when_zero_->set();
  }

 private:
  size_t& count_;
  Event *when_zero_, *when_less_;
};

}  // namespace rims
