// tests/async/async_test.cc - tasks, scopes, events, locks, the I/O pool and streams

#include <csignal>
#include <string>
#include <sys/socket.h>
#include <vector>

#include <gtest/gtest.h>

#include "common/async/event.h"
#include "common/async/io_pool.h"
#include "common/async/scope.h"
#include "common/async/stream.h"
#include "common/async/timer.h"

namespace rims {
namespace {

Task<int> one() { co_return 1; }

Task<int> sum(int count) {
  int total = 0;
  for (int i = 0; i < count; i++) total += co_await one();
  co_return total;
}

TEST(Task, TwoMillionAwaitsThatCompleteAtOnceNeedNoStack) {
  Loop loop;
  EXPECT_EQ(run(loop, sum(2'000'000)), 2'000'000);
}

Task<int> one_later(Loop& loop, int i) {
  if (i % 1000 == 0) co_await sleep_for(loop, Milliseconds(0));
  co_return 1;
}

Task<int> sum_later(Loop& loop, int count) {
  int total = 0;
  for (int i = 0; i < count; i++) total += co_await one_later(loop, i);
  co_return total;
}

TEST(Task, MixesAwaitsThatWaitAndAwaitsThatDoNot) {
  Loop loop;
  EXPECT_EQ(run(loop, sum_later(loop, 100'000)), 100'000);
}

struct Tracker {
  int& alive;
  explicit Tracker(int& count) : alive(count) { alive++; }
  Tracker(const Tracker&) = delete;
  ~Tracker() { alive--; }
};

Task<void> wait_for_ever(Event& event, int& alive) {
  const Tracker tracker(alive);
  co_await event.wait();
}

TEST(Scope, DestroyingItCancelsWhatWaits) {
  Loop loop;
  Event never(loop);
  int alive = 0;
  {
    Scope scope(loop);
    scope.spawn(wait_for_ever(never, alive));
    scope.spawn(wait_for_ever(never, alive));
    EXPECT_EQ(alive, 2);
  }
  EXPECT_EQ(alive, 0);
}

Task<void> cancel_and_join(Scope& scope, uint64_t id) {
  scope.cancel(id);
  co_await scope.join();
}

TEST(Scope, CancelEndsOneTaskFromTheLoop) {
  Loop loop;
  Event never(loop);
  int alive = 0;
  Scope scope(loop);
  const uint64_t id = scope.spawn(wait_for_ever(never, alive));
  run(loop, cancel_and_join(scope, id));
  EXPECT_EQ(alive, 0);
  EXPECT_EQ(scope.size(), 0U);
}

Task<void> note_turn(Loop& loop, Mutex& mutex, std::vector<int>& order, int me) {
  const Mutex::Lock lock = co_await mutex.lock();
  order.push_back(me);
  co_await sleep_for(loop, Milliseconds(1));
  order.push_back(me);
}

TEST(Mutex, ServesInOrderAndOneAtATime) {
  Loop loop;
  Mutex mutex(loop);
  std::vector<int> order;
  Scope scope(loop);
  for (int i = 0; i < 4; i++) scope.spawn(note_turn(loop, mutex, order, i));
  run(loop, scope.join());
  EXPECT_EQ(order, (std::vector{0, 0, 1, 1, 2, 2, 3, 3}));
}

Task<void> cancel_first_waiter(Loop& loop, Mutex& mutex, Scope& scope, std::vector<int>& order) {
  auto held = co_await mutex.lock();
  const uint64_t first = scope.spawn(note_turn(loop, mutex, order, 1));
  scope.spawn(note_turn(loop, mutex, order, 2));
  held.unlock();        // wakes the first waiter ...
  scope.cancel(first);  // ... which never gets to run
  co_await scope.join();
}

TEST(Mutex, AWokenWaiterThatDiesPassesItsTurnOn) {
  Loop loop;
  Mutex mutex(loop);
  Scope scope(loop);
  std::vector<int> order;
  run(loop, cancel_first_waiter(loop, mutex, scope, order));
  EXPECT_EQ(order.back(), 2);
  EXPECT_FALSE(mutex.locked());
}

Task<bool> wait_limited(Event& event) { co_return co_await event.wait(Milliseconds(5)); }

TEST(Event, SaysWhenTheLimitHasPassed) {
  Loop loop;
  Event event(loop);
  EXPECT_FALSE(run(loop, wait_limited(event)));
  event.set();
  EXPECT_TRUE(run(loop, wait_limited(event)));
}

Task<int> square_on_pool(IoPool& pool, int x) {
  int result = 0;
  co_await pool.run([&] { result = x * x; });
  co_return result;
}

Task<void> add_square(IoPool& pool, int x, int& total) {
  total += co_await square_on_pool(pool, x);
}

TEST(IoPool, RunsJobsOnThreadsAndResumesOnTheLoop) {
  Loop loop;
  IoPool pool(loop, 4);
  Scope scope(loop);
  int total = 0, expected = 0;
  for (int i = 0; i < 500; i++) {
    scope.spawn(add_square(pool, i, total));
    expected += i * i;
  }
  run(loop, scope.join());
  EXPECT_EQ(total, expected);
}

TEST(IoPool, DestroyingWaitingCoroutinesIsSafe) {
  Loop loop;
  int total = 0;
  IoPool pool(loop, 2);
  for (int round = 0; round < 50; round++) {
    Scope scope(loop);
    for (int i = 0; i < 20; i++) scope.spawn(add_square(pool, i, total));
  }
  EXPECT_EQ(total, 0) << "nobody is resumed without the loop";
}

std::pair<Fd, Fd> socket_pair() {
  int fds[2];
  EXPECT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
  return {Fd(fds[0]), Fd(fds[1])};
}

Task<void> write_much(Stream& stream, size_t bytes, bool& finished) {
  for (size_t sent = 0; sent < bytes; sent += 1000) {
    stream.put(std::string(1000, 'x'));
    const Status drained = co_await stream.drain();
    EXPECT_TRUE(drained.has_value());
    EXPECT_LE(stream.waiting_output(), 70'000U) << "the high-water mark holds";
  }
  const Status flushed = co_await stream.flush();
  EXPECT_TRUE(flushed.has_value());
  finished = true;
}

Task<size_t> read_all(Stream& stream, size_t bytes) {
  size_t got = 0;
  while (got < bytes) {
    const Status filled = co_await stream.fill(Milliseconds(1000));
    if (!filled) break;
    got += stream.input().size();
    stream.consume(stream.input().size());
  }
  co_return got;
}

TEST(Stream, ASlowReaderHoldsBackItsWriter) {
  Loop loop;
  auto [a, b] = socket_pair();
  Stream writer(loop, std::move(a), Milliseconds(1000));
  Stream reader(loop, std::move(b), Milliseconds(1000));
  bool finished = false;
  Scope scope(loop);
  scope.spawn(write_much(writer, 5'000'000, finished));
  EXPECT_FALSE(finished);
  EXPECT_EQ(run(loop, read_all(reader, 5'000'000)), 5'000'000U);
  run(loop, scope.join());
  EXPECT_TRUE(finished);
}

Task<Status> fill_once(Stream& stream, Milliseconds limit) {
  co_return co_await stream.fill(limit);
}

TEST(Stream, TellsTimeoutFromClosed) {
  Loop loop;
  auto [a, b] = socket_pair();
  Stream reader(loop, std::move(b), Milliseconds(1000));
  EXPECT_EQ(run(loop, fill_once(reader, Milliseconds(5))).error().fault(), Fault::timeout);
  a.reset();
  EXPECT_EQ(run(loop, fill_once(reader, Milliseconds(5))).error().fault(), Fault::peer_gone);
}

TEST(Loop, SignalsArriveAsCallbacks) {
  Loop loop;
  int seen = 0;
  loop.on_signal(SIGUSR1, [&] {
    seen++;
    loop.stop();
  });
  raise(SIGUSR1);
  loop.run();
  EXPECT_EQ(seen, 1);
}

Task<int> sleep_and_return(Loop& loop, Milliseconds duration) {
  co_await sleep_for(loop, duration);
  co_return 1;
}

Task<void> note_after(Loop& loop, int hours, std::string& order, char name) {
  co_await sleep_for(loop, std::chrono::hours(hours));
  order += name;
}

Task<void> wait_and_note(Event& event, std::string& order) {
  if (!co_await event.wait(std::chrono::hours(2))) order += '2';
}

TEST(SimulatedTime, HoursPassAtOnceAndEqualTimersInTheOrderInWhichTheyWereSet) {
  const SimulatedTime time;
  Loop loop;
  Event never(loop);
  std::string order;
  {
    Scope scope(loop);
    scope.spawn(wait_and_note(never, order));
    for (const char name : {'a', 'b', 'c', 'd', 'e'})
      scope.spawn(note_after(loop, name == 'c' ? 1 : 3, order, name));
    scope.spawn(note_after(loop, 100, order, 'x'));
    run(loop, sleep_and_return(loop, std::chrono::hours(4)));
  }
  EXPECT_EQ(order, "c2abde") << "and who was cancelled is not woken";
  EXPECT_EQ(time.passed(), std::chrono::hours(4));
  run(loop, sleep_and_return(loop, std::chrono::hours(200)));
  EXPECT_EQ(order, "c2abde");
}

}  // namespace
}  // namespace rims
