// common/async/loop.h - the one event loop of a process, over libevent
//
// Order of one iteration: I/O and timers that became due, in libevent's order; then everything
// that post() put in, including what those callbacks posted. Nothing else may be assumed.
#pragma once

#include <chrono>
#include <coroutine>
#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "common/async/task.h"

struct event_base;
struct event;

namespace rims {

using Milliseconds = std::chrono::milliseconds;
inline constexpr Milliseconds kNoLimit{-1};

class Loop {
 public:
  Loop();
  Loop(const Loop&) = delete;
  Loop& operator=(const Loop&) = delete;
  ~Loop();

  // Until stop(). Dispatches what is due, waits for more.
  void run();
  void stop();
  // Runs `f` from the loop, after the current callbacks; in the order of posting.
  void post(std::function<void()> f);
  // One signal, one callback, until the loop dies. Replaces an earlier one for that signal.
  void on_signal(int signal_number, std::function<void()> f);

  [[nodiscard]] event_base* base() const { return base_; }
  // CLOCK_MONOTONIC: unaffected by changes of the wall clock.
  [[nodiscard]] static std::chrono::steady_clock::time_point now() {
    return std::chrono::steady_clock::now();
  }

 private:
  struct Signal;
  static void run_posted(int, short, void* self);

  event_base* base_;
  event* posted_event_ = nullptr;
  std::vector<std::function<void()>> posted_;
  std::vector<std::unique_ptr<Signal>> signals_;
};

// Awaits readiness of a descriptor. `co_await readable(loop, fd, limit)` is true when it is ready
// and false when the limit has passed. The descriptor must stay open until then. Destroying the
// waiting coroutine cancels the wait.
class FdReady {
 public:
  FdReady(Loop& loop, int fd, short what, Milliseconds limit);
  FdReady(const FdReady&) = delete;
  FdReady& operator=(const FdReady&) = delete;
  ~FdReady();
  [[nodiscard]] bool await_ready() const noexcept { return false; }
  void await_suspend(std::coroutine_handle<> waiter);
  bool await_resume() const noexcept { return !timed_out_; }
  // Ends the wait, as if it were ready.
  void wake();

 private:
  static void fired(int fd, short what, void* self);
  struct event* event_;
  std::coroutine_handle<> waiter_;
  Milliseconds limit_;
  bool timed_out_ = false;
};

[[nodiscard]] FdReady readable(Loop& loop, int fd, Milliseconds limit = kNoLimit);
[[nodiscard]] FdReady writable(Loop& loop, int fd, Milliseconds limit = kNoLimit);
// The peer of a connection has ended its side of it. There may be bytes left to read.
[[nodiscard]] FdReady ended(Loop& loop, int fd, Milliseconds limit = kNoLimit);

// `co_await sleep_for(loop, 20ms)`; zero gives way to whatever else is due.
class Sleep {
 public:
  Sleep(Loop& loop, Milliseconds duration);
  Sleep(const Sleep&) = delete;
  Sleep& operator=(const Sleep&) = delete;
  ~Sleep();
  [[nodiscard]] bool await_ready() const noexcept { return false; }
  void await_suspend(std::coroutine_handle<> waiter);
  void await_resume() const noexcept {}

 private:
  static void fired(int fd, short what, void* self);
  struct event* event_;
  std::coroutine_handle<> waiter_;
  Milliseconds duration_;
};
[[nodiscard]] Sleep sleep_for(Loop& loop, Milliseconds duration);

// Lets a long command give way: `co_await budget.spend()` is free until `slice` has been used
// since the last time the loop was given way to.
class TimeSlice {
 public:
  explicit TimeSlice(Loop& loop, Milliseconds slice = Milliseconds(4))
      : loop_(loop), slice_(slice), started_(Loop::now()) {}
  Task<void> spend();

  // After one of many small steps, each far below the slice: asks the clock only now and then.
  // True when it is time to spend(): `if (slice.step()) co_await slice.spend();`
  [[nodiscard]] bool step() { return ++steps_ % kStepsBetweenLooks == 0; }

 private:
  static constexpr uint32_t kStepsBetweenLooks = 256;

  Loop& loop_;
  Milliseconds slice_;
  uint32_t steps_ = 0;
  std::chrono::steady_clock::time_point started_;
};

}  // namespace rims
