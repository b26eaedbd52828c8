// common/async/loop.cc - libevent behind a small RAII layer

#include "common/async/loop.h"

#include <algorithm>

#include <event2/event.h>

#include "common/async/timer.h"
#include "common/base/result.h"

namespace rims {
namespace {

SimulatedTime* simulated = nullptr;

timeval to_timeval(Milliseconds limit) {
  return {.tv_sec = limit.count() / 1000, .tv_usec = limit.count() % 1000 * 1000};
}

event* make_event(Loop& loop, int fd, short what, event_callback_fn fired, void* self) {
  event* made = event_new(loop.base(), fd, what, fired, self);
  if (!made) fatal("out of memory for an event");
  return made;
}

}  // namespace

void arm(event* e, Milliseconds limit) {
  const timeval tv = to_timeval(limit);
  const bool limited = limit.count() >= 0;
  if (simulated && limited) simulated->timers_.emplace(simulated->now_ + limit, e);
  if (event_add(e, limited && !simulated ? &tv : nullptr) != 0) fatal("event_add failed");
}

void free_event(event* e) {
  if (!e) return;
  if (simulated)
    std::erase_if(simulated->timers_, [e](const auto& timer) { return timer.second == e; });
  event_free(e);
}

SimulatedTime::SimulatedTime() {
  if (std::exchange(simulated, this)) fatal("time is simulated twice");
}
SimulatedTime::~SimulatedTime() { simulated = nullptr; }

void SimulatedTime::run(event_base* base) {
  while (true) {
    // All that can be done now.
    event_base_loop(base, EVLOOP_NONBLOCK | EVLOOP_NO_EXIT_ON_EMPTY);
    if (event_base_got_break(base)) return;
    if (timers_.empty()) fatal("a loop waits for what can not come in simulated time");
    now_ = std::max(now_, timers_.begin()->first);
    while (!timers_.empty() && timers_.begin()->first <= now_) {
      event_active(timers_.begin()->second, EV_TIMEOUT, 0);
      timers_.erase(timers_.begin());
    }
  }
}

struct Loop::Signal {
  int number;
  std::function<void()> f;
  event* e = nullptr;
  ~Signal() {
    if (e) event_free(e);
  }
};

Loop::Loop() {
  event_config* config = event_config_new();
  if (!config) fatal("out of memory for the event loop");
  // Timers must not follow the wall clock; precise ones keep back-off and IDLE honest.
  event_config_set_flag(config, EVENT_BASE_FLAG_PRECISE_TIMER | EVENT_BASE_FLAG_NOLOCK);
  base_ = event_base_new_with_config(config);
  event_config_free(config);
  if (!base_) fatal("the event loop could not be made");
  posted_event_ = make_event(*this, -1, 0, &Loop::run_posted, this);
}

Loop::~Loop() {
  signals_.clear();
  event_free(posted_event_);
  event_base_free(base_);
}

void Loop::run() {
  if (simulated) return simulated->run(base_);
  event_base_loop(base_, EVLOOP_NO_EXIT_ON_EMPTY);
}
void Loop::stop() { event_base_loopbreak(base_); }

void Loop::post(std::function<void()> f) {
  if (posted_.empty()) event_active(posted_event_, 0, 0);
  posted_.push_back(std::move(f));
}

void Loop::run_posted(int, short, void* self) {
  auto* loop = static_cast<Loop*>(self);
  // What these post runs in the next round, so that a loop of posts cannot starve I/O.
  std::vector<std::function<void()>> batch;
  batch.swap(loop->posted_);
  for (auto& f : batch) f();
}

void Loop::on_signal(int signal_number, std::function<void()> f) {
  std::erase_if(signals_, [&](const auto& s) { return s->number == signal_number; });
  auto signal = std::make_unique<Signal>(Signal{signal_number, std::move(f)});
  signal->e = make_event(
      *this, signal_number, EV_SIGNAL | EV_PERSIST,
      [](int, short, void* s) { static_cast<Signal*>(s)->f(); }, signal.get());
  arm(signal->e, kNoLimit);
  signals_.push_back(std::move(signal));
}

FdReady::FdReady(Loop& loop, int fd, short what, Milliseconds limit)
    : event_(make_event(loop, fd, what, &FdReady::fired, this)), limit_(limit) {}
FdReady::~FdReady() { free_event(event_); }

void FdReady::await_suspend(std::coroutine_handle<> waiter) {
  waiter_ = waiter;
  arm(event_, limit_);
}

void FdReady::wake() {
  if (waiter_) event_active(event_, 0, 0);
}

void FdReady::fired(int, short what, void* self) {
  auto* me = static_cast<FdReady*>(self);
  me->timed_out_ = (what & EV_TIMEOUT) != 0;
  me->waiter_.resume();  // may destroy *me: nothing may follow
}

FdReady readable(Loop& loop, int fd, Milliseconds limit) { return {loop, fd, EV_READ, limit}; }
FdReady writable(Loop& loop, int fd, Milliseconds limit) { return {loop, fd, EV_WRITE, limit}; }
FdReady ended(Loop& loop, int fd, Milliseconds limit) { return {loop, fd, EV_CLOSED, limit}; }

Sleep::Sleep(Loop& loop, Milliseconds duration)
    : event_(make_event(loop, -1, 0, &Sleep::fired, this)), duration_(duration) {}
Sleep::~Sleep() { free_event(event_); }

void Sleep::await_suspend(std::coroutine_handle<> waiter) {
  waiter_ = waiter;
  arm(event_, duration_);
}

void Sleep::fired(int, short, void* self) {
  static_cast<Sleep*>(self)->waiter_.resume();  // may destroy it: nothing may follow
}

Sleep sleep_for(Loop& loop, Milliseconds duration) { return {loop, duration}; }

Task<void> TimeSlice::spend() {
  if (simulated || Loop::now() - started_ < slice_) co_return;
  co_await sleep_for(loop_, Milliseconds(0));
  started_ = Loop::now();
}

}  // namespace rims
