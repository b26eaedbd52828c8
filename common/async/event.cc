// common/async/event.cc - events and locks between coroutines

#include "common/async/event.h"

#include <event2/event.h>

#include "common/async/timer.h"
#include "common/base/result.h"

namespace rims {

Event::~Event() {
  if (!waiters_.empty()) fatal("an Event was destroyed while a coroutine waits for it");
}

void Event::set() {
  set_ = true;
  for (Wait* wait : waiters_) {
    wait->queued_ = false;
    event_active(wait->timer_, EV_WRITE, 0);
  }
  waiters_.clear();
}

Event::Wait::~Wait() {
  if (queued_) event_.waiters_.erase(place_);
  free_event(timer_);
}

void Event::Wait::await_suspend(std::coroutine_handle<> waiter) {
  waiter_ = waiter;
  timer_ = event_new(event_.loop_.base(), -1, 0, &Wait::fired, this);
  if (!timer_) fatal("out of memory for an event");
  if (limit_.count() >= 0) arm(timer_, limit_);
  place_ = event_.waiters_.insert(event_.waiters_.end(), this);
  queued_ = true;
}

void Event::Wait::fired(int, short what, void* self) {
  auto* me = static_cast<Wait*>(self);
  me->timed_out_ = me->queued_ && (what & EV_TIMEOUT) != 0;
  me->waiter_.resume();  // may destroy *me: nothing may follow
}

// A place in the queue, given up however its coroutine ends; a woken waiter that is destroyed
// passes its turn on.
struct Mutex::Place {
  Mutex& mutex;
  std::list<Event*>::iterator it;
  bool taken = false;
  ~Place() {
    mutex.queue_.erase(it);
    if (!taken) mutex.wake_first();
  }
};

Task<Mutex::Lock> Mutex::lock() {
  if (held_ || !queue_.empty()) {
    Event turn(loop_);
    Place mine{*this, queue_.insert(queue_.end(), &turn)};
    while (held_ || queue_.front() != &turn) {
      turn.clear();
      co_await turn.wait();
    }
    mine.taken = true;
  }
  held_ = true;
  co_return Lock(this);
}

void Mutex::wake_first() {
  if (!held_ && !queue_.empty()) queue_.front()->set();
}

void Mutex::release() {
  held_ = false;
  wake_first();
}

}  // namespace rims
