// login/proxy.cc - two coroutines, one for each direction

#include "login/proxy.h"

#include <sys/socket.h>

#include "common/async/scope.h"

namespace rims::login {
namespace {

constexpr size_t kBuffer = size_t{16} * 1024;

Task<void> upward(Channel& channel, Stream& worker) {
  while (true) {
    if (channel.input().empty()) {
      const auto filled = co_await channel.fill(kNoLimit, kBuffer);
      if (!filled) break;
    }
    worker.put(channel.input());
    channel.consume(channel.input().size());
    const auto flushed = co_await worker.flush();
    if (!flushed) co_return;
  }
  // The worker may still send something.
  ::shutdown(worker.fd(), SHUT_WR);
}

Task<void> downward(Stream& worker, Channel& channel) {
  while (true) {
    const auto filled = co_await worker.fill(kNoLimit, kBuffer);
    if (!filled) break;
    channel.put(worker.input());
    worker.consume(worker.input().size());
    const auto flushed = co_await channel.flush();
    if (!flushed) co_return;
  }
  channel.close_notify();
  (void)co_await channel.flush();
}

}  // namespace

Task<void> carry(Channel& channel, Fd inside, Milliseconds write_limit) {
  Stream worker(channel.loop(), std::move(inside), write_limit);
  Scope up(channel.loop());  // destroyed first, and with it the other direction
  up.spawn(upward(channel, worker));
  co_await downward(worker, channel);
}

}  // namespace rims::login
