// common/async/timer.h - how awaiters set libevent's timers; and time that is simulated
//
// In simulated time a loop depends on nothing but what is done with it: a timer is due only when
// there is nothing else to do, timers of the same moment in the order in which they were set, and
// then the clock goes on at once. The same program is the same run, however busy the machine is.
#pragma once

#include <map>

#include "common/async/loop.h"

namespace rims {

// `e` is watched, and active with EV_TIMEOUT after `limit`; kNoLimit: never.
void arm(event* e, Milliseconds limit);
// Takes back a timer, too. nullptr is ignored.
void free_event(event* e);

// As long as it lives, for tests: one at most, and no loop in another thread. Loop::now() is what
// it always is; a TimeSlice never ends.
class SimulatedTime {
 public:
  SimulatedTime();
  SimulatedTime(const SimulatedTime&) = delete;
  SimulatedTime& operator=(const SimulatedTime&) = delete;
  ~SimulatedTime();
  [[nodiscard]] Milliseconds passed() const { return now_; }

 private:
  friend class Loop;
  friend void arm(event* e, Milliseconds limit);
  friend void free_event(event* e);
  void run(event_base* base);

  Milliseconds now_{0};
  std::multimap<Milliseconds, event*> timers_;  // those of the same moment keep their order
};

}  // namespace rims
