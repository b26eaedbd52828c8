// login/proxy.cc - two coroutines, one for each direction

#include "login/proxy.h"

#include <sys/socket.h>

#include "common/async/scope.h"

namespace rims::login {
namespace {

constexpr size_t kBuffer = size_t{16} * 1024;

// `last`: what was put into the worker's stream at last, and may not be with the kernel yet.
Task<void> upward(Channel& channel, Stream& worker, std::string& last) {
  while (true) {
    if (channel.input().empty()) {
      const auto filled = co_await channel.fill(kNoLimit, kBuffer);
      if (!filled) break;
    }
    last = channel.input();
    worker.put(last);
    channel.consume(channel.input().size());
    const auto flushed = co_await worker.flush();
    if (!flushed) co_return;
    std::string().swap(last);
  }
  // The worker may still send something.
  ::shutdown(worker.fd(), SHUT_WR);
}

Task<void> downward(Stream& worker, Channel& channel, const bool& returned) {
  while (true) {
    const auto filled = co_await worker.fill(kNoLimit, kBuffer);
    if (!filled) break;
    channel.put(worker.input());
    worker.consume(worker.input().size());
    const auto flushed = co_await channel.flush();
    if (!flushed) co_return;
  }
  if (returned) co_return;
  channel.close_notify();
  (void)co_await channel.flush();
}

}  // namespace

Task<std::string> carry(Channel& channel, Fd inside, Milliseconds write_limit,
                        const bool& returned) {
  Stream worker(channel.loop(), std::move(inside), write_limit);
  std::string last;
  {
    Scope up(channel.loop());  // at its end the other direction is cancelled
    up.spawn(upward(channel, worker, last));
    co_await downward(worker, channel, returned);
  }
  co_return last.substr(last.size() - worker.waiting_output());
}

}  // namespace rims::login
