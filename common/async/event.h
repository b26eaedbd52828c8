// common/async/event.h - waiting for something another coroutine of this process does
//
//   Event   a manual-reset flag; many may wait; set() wakes all
//   Mutex   one holder, the others wait in order
//
// Waiters are woken through the loop, never from inside set() or unlock(): the caller's state
// cannot change under its feet. Destroying a waiting coroutine takes it out of the queue.
#pragma once

#include <coroutine>
#include <list>

#include "common/async/loop.h"

namespace rims {

class Event {
 public:
  explicit Event(Loop& loop) : loop_(loop) {}
  Event(const Event&) = delete;
  Event& operator=(const Event&) = delete;
  ~Event();

  void set();
  void clear() { set_ = false; }
  [[nodiscard]] bool is_set() const { return set_; }

  class Wait {
   public:
    Wait(Event& event, Milliseconds limit) : event_(event), limit_(limit) {}
    Wait(const Wait&) = delete;
    Wait& operator=(const Wait&) = delete;
    ~Wait();
    [[nodiscard]] bool await_ready() const noexcept { return event_.set_; }
    void await_suspend(std::coroutine_handle<> waiter);
    bool await_resume() const noexcept { return !timed_out_; }

   private:
    friend class Event;
    static void fired(int fd, short what, void* self);
    Event& event_;
    Milliseconds limit_;
    std::coroutine_handle<> waiter_;
    struct event* timer_ = nullptr;  // woken by it, with or without a limit
    std::list<Wait*>::iterator place_;
    bool queued_ = false;
    bool timed_out_ = false;
  };
  // True when the event was set, false when the limit has passed.
  [[nodiscard]] Wait wait(Milliseconds limit = kNoLimit) { return {*this, limit}; }

 private:
  Loop& loop_;
  bool set_ = false;
  std::list<Wait*> waiters_;
};

// Mutual exclusion across awaits, first come first served.
class Mutex {
 public:
  explicit Mutex(Loop& loop) : loop_(loop) {}

  class [[nodiscard]] Lock {
   public:
    explicit Lock(Mutex* mutex) : mutex_(mutex) {}
    Lock(Lock&& other) noexcept : mutex_(std::exchange(other.mutex_, nullptr)) {}
    Lock& operator=(Lock&&) = delete;
    ~Lock() { unlock(); }
    void unlock() {
      if (mutex_) mutex_->release();
      mutex_ = nullptr;
    }

   private:
    Mutex* mutex_;
  };
  Task<Lock> lock();
  [[nodiscard]] bool locked() const { return held_; }

 private:
  struct Place;
  void release();
  void wake_first();
  Loop& loop_;
  bool held_ = false;
  std::list<Event*> queue_;
};

}  // namespace rims
