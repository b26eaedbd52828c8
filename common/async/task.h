// common/async/task.h - a coroutine that is awaited by exactly one owner
//
//   Task<T>    lazy: it starts when it is awaited (or when start() is called by a root owner)
//
// Rules
//   1. One owner: the coroutine that awaits it, or a Scope (scope.h). Destroying a Task cancels
//      it: every awaiter unregisters in its destructor. Nobody destroys a coroutine from inside
//      itself or its callee; Scope::cancel() goes through the loop.
//   2. Stack depth follows call depth, never message count: a child that completes at once
//      returns into the parent's await_suspend instead of resuming the parent on top of it.
//      This holds at -O0 and does not rest on tail calls.
//   3. A capturing lambda must not be a coroutine; parameters by value, or references to
//      something documented to outlive the call.
//   4. Single-threaded: a Task is created, resumed and destroyed on the loop's thread.
#pragma once

#include <coroutine>
#include <cstdlib>
#include <optional>
#include <utility>

namespace rims {

template <class T>
class Task;

namespace detail {

struct PromiseBase {
  std::coroutine_handle<> waiter;  // empty while the coroutine still runs inside its starter

  struct Final {
    [[nodiscard]] bool await_ready() const noexcept { return false; }
    template <class Promise>
    void await_suspend(std::coroutine_handle<Promise> self) const noexcept {
      // After resume() the frame may be gone.
      if (auto next = self.promise().waiter) next.resume();
    }
    void await_resume() const noexcept {}
  };

  [[nodiscard]] std::suspend_always initial_suspend() const noexcept { return {}; }
  [[nodiscard]] Final final_suspend() const noexcept { return {}; }
  // Exceptions do not cross our interfaces; bad_alloc ends the process.
  void unhandled_exception() noexcept { std::abort(); }
};

template <class T>
struct Promise : PromiseBase {
  std::optional<T> value;
  Task<T> get_return_object();
  template <class U>
  void return_value(U&& result) {
    value.emplace(std::forward<U>(result));
  }
};

template <>
struct Promise<void> : PromiseBase {
  Task<void> get_return_object();
  void return_void() {}
};

}  // namespace detail

template <class T = void>
class [[nodiscard]] Task {
 public:
  using promise_type = detail::Promise<T>;
  using Handle = std::coroutine_handle<promise_type>;

  Task() = default;
  explicit Task(Handle handle) : handle_(handle) {}
  Task(Task&& other) noexcept : handle_(std::exchange(other.handle_, {})) {}
  Task& operator=(Task&& other) noexcept {
    if (this != &other) {
      reset();
      handle_ = std::exchange(other.handle_, {});
    }
    return *this;
  }
  Task(const Task&) = delete;
  Task& operator=(const Task&) = delete;
  ~Task() { reset(); }

  [[nodiscard]] bool valid() const { return static_cast<bool>(handle_); }
  [[nodiscard]] bool done() const { return handle_ && handle_.done(); }

  // For root owners (Scope, run()): runs until the first wait.
  void start() { handle_.resume(); }
  // The result of a done Task; once.
  T take() {
    if constexpr (!std::is_void_v<T>) return std::move(*handle_.promise().value);
  }

  auto operator co_await() && noexcept {
    struct Awaiter {
      Handle handle;
      [[nodiscard]] bool await_ready() const noexcept { return false; }
      [[nodiscard]] bool await_suspend(std::coroutine_handle<> parent) const {
        const Handle child = handle;  // *this lives in the parent's frame
        child.resume();
        if (child.done()) return false;
        child.promise().waiter = parent;
        return true;
      }
      T await_resume() const {
        if constexpr (!std::is_void_v<T>) return std::move(*handle.promise().value);
      }
    };
    return Awaiter{handle_};
  }

 private:
  void reset() {
    if (handle_) handle_.destroy();
    handle_ = {};
  }
  Handle handle_;
};

namespace detail {
template <class T>
Task<T> Promise<T>::get_return_object() {
  return Task<T>(std::coroutine_handle<Promise>::from_promise(*this));
}
inline Task<void> Promise<void>::get_return_object() {
  return Task<void>(std::coroutine_handle<Promise>::from_promise(*this));
}
}  // namespace detail

}  // namespace rims
