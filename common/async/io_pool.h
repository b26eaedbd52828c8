// common/async/io_pool.h - threads for what blocks: fdatasync, cold reads, password hashing
//
// A job sees descriptors and buffers that its coroutine owns, never objects of the loop. The
// coroutine is resumed on the loop's thread. If it is destroyed while the job is queued, the job
// is dropped; while the job runs, the destructor of the awaiter waits for its end (milliseconds),
// because the job may be writing into the frame.
#pragma once

#include <condition_variable>
#include <coroutine>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

#include "common/async/loop.h"
#include "common/base/fd.h"

namespace rims {

class IoPool {
 public:
  // Threads start on demand, up to `threads`. Signals are blocked in them.
  IoPool(Loop& loop, unsigned threads);
  IoPool(const IoPool&) = delete;
  IoPool& operator=(const IoPool&) = delete;
  // Waits for running jobs; queued ones are dropped.
  ~IoPool();

  class Job {
   public:
    Job(IoPool& pool, std::function<void()> work) : pool_(pool), work_(std::move(work)) {}
    Job(const Job&) = delete;
    Job& operator=(const Job&) = delete;
    ~Job();
    [[nodiscard]] bool await_ready() const noexcept { return false; }
    void await_suspend(std::coroutine_handle<> waiter);
    void await_resume() const noexcept {}

   private:
    friend class IoPool;
    enum class State : unsigned char { idle, queued, running, finished };
    IoPool& pool_;
    std::function<void()> work_;
    std::coroutine_handle<> waiter_;
    State state_ = State::idle;  // guarded by pool_.mutex_
  };

  // `co_await pool.run([&] { rc = fdatasync(fd); })`. Captures must outlive the await: locals of
  // the awaiting coroutine do.
  [[nodiscard]] Job run(std::function<void()> work) { return {*this, std::move(work)}; }

 private:
  void worker();
  Task<void> collect();

  Loop& loop_;
  const unsigned limit_;
  Fd wake_;  // eventfd: something is in finished_
  std::mutex mutex_;
  std::condition_variable work_ready_, job_ended_;
  std::deque<Job*> queue_, finished_;
  unsigned idle_ = 0;
  bool stopping_ = false;
  std::vector<std::thread> threads_;
  Task<void> collector_;
};

}  // namespace rims
