// common/async/scope.h - the owner of coroutines that nobody awaits
//
// Every detached task belongs to a Scope. A finished task leaves it by itself. Destroying the
// Scope cancels what is left; it must not happen from inside one of its own tasks.
#pragma once

#include <cstdint>
#include <memory>
#include <unordered_map>

#include "common/async/event.h"
#include "common/async/loop.h"

namespace rims {

class Scope {
 public:
  explicit Scope(Loop& loop) : loop_(loop), empty_(loop) { empty_.set(); }
  Scope(const Scope&) = delete;
  Scope& operator=(const Scope&) = delete;
  ~Scope();

  // Starts `task` now, up to its first wait. Returns a number for cancel().
  uint64_t spawn(Task<void> task);
  // Ends one task, from the loop, not now. Unknown numbers are ignored: it may have finished.
  void cancel(uint64_t id);
  void cancel_all();
  // Waits until no task is left.
  Task<void> join();
  [[nodiscard]] size_t size() const { return tasks_.size(); }

 private:
  Task<void> carry(uint64_t id, Task<void> task);
  void forget(uint64_t id);

  Loop& loop_;
  Event empty_;
  uint64_t next_ = 1;
  std::unordered_map<uint64_t, Task<void>> tasks_;
  // Outlived by posted cancels, which look here before they touch the Scope.
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

// Runs the loop until `task` is done and returns what it gives; for main functions and tests.
template <class T>
T run(Loop& loop, Task<T> task) {
  struct Driver {
    static Task<void> drive(Loop& loop, Task<T>& task, std::optional<T>& result) {
      result.emplace(co_await std::move(task));
      loop.stop();
    }
  };
  std::optional<T> result;
  Task<void> driver = Driver::drive(loop, task, result);
  driver.start();
  if (!result) loop.run();
  if (!result) std::abort();  // somebody stopped the loop first
  return std::move(*result);
}

inline void run(Loop& loop, Task<void> task) {
  struct Driver {
    static Task<bool> drive(Task<void> task) {
      co_await std::move(task);
      co_return true;
    }
  };
  run(loop, Driver::drive(std::move(task)));
}

}  // namespace rims
