// imapd/session/wake.h - waiting for the client and for news at the same time
//
// A session that waits for its next command, or sits in IDLE (RFC 2177), is woken by whichever
// comes first: bytes from the client, a poke (news of the mailbox, the end of the process), or
// the time limit. One coroutine does all of it, so its output never needs a lock.
#pragma once

#include <coroutine>

#include "common/async/loop.h"

namespace rims::imapd {

enum class Woken : unsigned char { readable, poked, timed_out };

class Wake {
 public:
  Wake(Loop& loop, int fd) : loop_(loop), fd_(fd) {}
  Wake(const Wake&) = delete;
  Wake& operator=(const Wake&) = delete;

  // Ends the present wait, or the next one at once. The coroutine is resumed by the loop, not by
  // this call.
  void poke();
  // A poke that nobody waited for is forgotten.
  void forget() { poked_ = false; }

  class Wait {
   public:
    Wait(Wake& wake, Milliseconds limit) : wake_(wake), limit_(limit) {}
    Wait(const Wait&) = delete;
    Wait& operator=(const Wait&) = delete;
    ~Wait();
    [[nodiscard]] bool await_ready() const noexcept { return wake_.poked_; }
    void await_suspend(std::coroutine_handle<> waiter);
    Woken await_resume() noexcept;

   private:
    friend class Wake;
    static void fired(int fd, short what, void* self);
    Wake& wake_;
    Milliseconds limit_;
    std::coroutine_handle<> waiter_;
    struct event* event_ = nullptr;
    Woken why_ = Woken::poked;
  };
  // One wait at a time.
  [[nodiscard]] Wait wait(Milliseconds limit) { return {*this, limit}; }

 private:
  Loop& loop_;
  int fd_;
  bool poked_ = false;
  Wait* waiting_ = nullptr;
};

}  // namespace rims::imapd
