// common/async/io_pool.cc - a bounded pool; results come back through one eventfd
//
// A pool of 0 threads, for simulations: jobs run on the loop's thread, one after another, so that
// all goes the same way every time. The loop must not run any more when such a pool is gone.

#include "common/async/io_pool.h"

#include <cerrno>
#include <csignal>
#include <sys/eventfd.h>

#include "common/base/result.h"

namespace rims {

IoPool::IoPool(Loop& loop, unsigned threads)
    : loop_(loop), limit_(threads), wake_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
  if (!wake_) fatal("eventfd for the I/O pool failed");
  collector_ = collect();
  collector_.start();
}

IoPool::~IoPool() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
    queue_.clear();
  }
  work_ready_.notify_all();
  for (auto& thread : threads_) thread.join();
}

void IoPool::Job::await_suspend(std::coroutine_handle<> waiter) {
  waiter_ = waiter;
  const std::lock_guard lock(pool_.mutex_);
  state_ = State::queued;
  pool_.queue_.push_back(this);
  if (pool_.limit_ == 0) {
    pool_.loop_.post([pool = &pool_] {
      if (pool->queue_.empty()) return;  // its coroutine was destroyed
      Job* job = pool->queue_.front();
      pool->queue_.pop_front();
      job->state_ = State::idle;
      job->work_();
      job->waiter_.resume();  // may destroy the job
    });
    return;
  }
  if (pool_.idle_ < pool_.queue_.size() && pool_.threads_.size() < pool_.limit_) {
    // Signals belong to the loop's thread.
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    pool_.threads_.emplace_back(&IoPool::worker, &pool_);
    pthread_sigmask(SIG_SETMASK, &before, nullptr);
  }
  pool_.work_ready_.notify_one();
}

IoPool::Job::~Job() {
  std::unique_lock lock(pool_.mutex_);
  if (state_ == State::queued) std::erase(pool_.queue_, this);
  pool_.job_ended_.wait(lock, [&] { return state_ != State::running; });
  if (state_ == State::finished) std::erase(pool_.finished_, this);
}

void IoPool::worker() {
  std::unique_lock lock(mutex_);
  while (true) {
    idle_++;
    work_ready_.wait(lock, [&] { return stopping_ || !queue_.empty(); });
    idle_--;
    if (stopping_) return;
    Job* job = queue_.front();
    queue_.pop_front();
    job->state_ = Job::State::running;
    lock.unlock();
    job->work_();
    lock.lock();
    job->state_ = Job::State::finished;
    finished_.push_back(job);
    job_ended_.notify_all();
    const uint64_t one = 1;
    // Fails only when 2^64 - 2 results wait; the collector is awake then.
    [[maybe_unused]] auto ignored = ::write(wake_.get(), &one, sizeof one);
  }
}

Task<void> IoPool::collect() {
  while (true) {
    co_await readable(loop_, wake_.get());
    uint64_t count = 0;
    if (::read(wake_.get(), &count, sizeof count) < 0 && errno != EAGAIN)
      fatal("read from the I/O pool's eventfd failed");
    while (true) {
      Job* job = nullptr;
      {
        const std::lock_guard lock(mutex_);
        if (finished_.empty()) break;
        job = finished_.front();
        finished_.pop_front();
        job->state_ = Job::State::idle;
      }
      job->waiter_.resume();  // may destroy the job, and others that wait in finished_
    }
  }
}

}  // namespace rims
