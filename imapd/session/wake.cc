// imapd/session/wake.cc - one libevent event for readiness, pokes and the time limit

#include "imapd/session/wake.h"

#include <event2/event.h>

#include "common/async/timer.h"
#include "common/base/result.h"

namespace rims::imapd {

void Wake::poke() {
  poked_ = true;
  if (waiting_) event_active(waiting_->event_, EV_WRITE, 0);
}

Wake::Wait::~Wait() {
  if (wake_.waiting_ == this) wake_.waiting_ = nullptr;
  free_event(event_);
}

void Wake::Wait::await_suspend(std::coroutine_handle<> waiter) {
  waiter_ = waiter;
  event_ = event_new(wake_.loop_.base(), wake_.fd_, EV_READ, &Wait::fired, this);
  if (!event_) fatal("out of memory for an event");
  arm(event_, limit_);
  wake_.waiting_ = this;
}

void Wake::Wait::fired(int, short what, void* self) {
  auto* me = static_cast<Wait*>(self);
  // What the client sent comes first: a poke is kept for the next wait.
  if ((what & EV_READ) != 0)
    me->why_ = Woken::readable;
  else
    me->why_ = me->wake_.poked_ ? Woken::poked : Woken::timed_out;
  me->waiter_.resume();  // may destroy *me: nothing may follow
}

Woken Wake::Wait::await_resume() noexcept {
  if (wake_.waiting_ == this) wake_.waiting_ = nullptr;
  if (why_ == Woken::poked) wake_.poked_ = false;
  return why_;
}

}  // namespace rims::imapd
