// login/channel.cc - plain or encrypted, with one interface

#include "login/channel.h"

#include <sys/socket.h>
#include <utility>

#include <sodium.h>

#include "common/async/event.h"

namespace rims::login {

void Channel::unread(std::string bytes) {
  unread_ = std::move(bytes);
  unread_at_ = 0;
}

void Channel::consume(size_t count) {
  if (unread_at_ < unread_.size()) {
    sodium_memzero(unread_.data() + unread_at_, count);
    unread_at_ += count;
    if (unread_at_ == unread_.size()) {
      std::string().swap(unread_);
      unread_at_ = 0;
    }
    return;
  }
  if (tls_) return tls_->consume(count);
  // The view is into the stream's own buffer, which is not const.
  sodium_memzero(const_cast<char*>(stream_.input().data()), count);
  stream_.consume(count);
}

Task<Status> Channel::start_tls(const tls::Context& context, Milliseconds limit) {
  tls_.emplace(context, stream_);
  return tls_->handshake(limit);
}

Task<void> Channel::left() {
  co_await ended(loop(), fd());
  char byte = 0;
  const bool said_more =
      !tls_ && (!input().empty() || recv(fd(), &byte, 1, MSG_PEEK | MSG_DONTWAIT) > 0);
  if (!said_more) co_return;
  Event never(loop());
  co_await never.wait();
}

void Channel::farewell(std::string_view bytes) {
  put(bytes);
  close_notify();
  Task<Status> attempt = stream_.flush();
  attempt.start();  // up to its first wait, where it is dropped
}

}  // namespace rims::login
