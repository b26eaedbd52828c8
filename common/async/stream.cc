// common/async/stream.cc - buffered reads and writes on one socket

#include "common/async/stream.h"

#include <cerrno>
#include <fcntl.h>
#include <sys/socket.h>

namespace rims {

Stream::Stream(Loop& loop, Fd fd, Milliseconds write_limit, size_t high_water)
    : loop_(loop), fd_(std::move(fd)), write_limit_(write_limit), high_water_(high_water) {
  const int flags = fcntl(fd_.get(), F_GETFL);
  if (flags < 0 || fcntl(fd_.get(), F_SETFL, flags | O_NONBLOCK) < 0)
    fatal("a stream socket could not be made non-blocking");
}

void Stream::consume(size_t count) {
  consumed_ += count;
  if (consumed_ < input_.size()) return;
  consumed_ = 0;
  // An idle connection holds no buffer.
  if (input_.capacity() > 512)
    std::string().swap(input_);
  else
    input_.clear();
}

void Stream::unread(std::string_view bytes) {
  input_.erase(0, consumed_);
  consumed_ = 0;
  input_.insert(0, bytes);
}

Status Stream::fill_now(size_t at_most) {
  if (consumed_ > 0) {
    input_.erase(0, consumed_);
    consumed_ = 0;
  }
  const size_t before = input_.size();
  input_.resize(before + at_most);
  const ssize_t got = ::recv(fd_.get(), input_.data() + before, at_most, 0);
  const int error = errno;
  input_.resize(before + (got > 0 ? static_cast<size_t>(got) : 0));
  if (got == 0) return fail(Fault::peer_gone, "closed");
  if (got < 0 && error != EAGAIN && error != EINTR)
    return fail(Fault::peer_gone, "closed", fail_errno("recv", error).error().detail());
  return {};
}

Task<Status> Stream::fill(Milliseconds limit, size_t at_most) {
  const size_t before = input().size();
  while (input().size() == before) {
    // Wait first: an idle session must not hold the read buffer.
    if (!co_await readable(loop_, fd_.get(), limit)) co_return fail(Fault::timeout, "timeout");
    CO_TRY_STATUS(fill_now(at_most));
  }
  co_return Status();
}

Task<Status> Stream::write_until(size_t waiting) {
  while (waiting_output() > waiting) {
    const ssize_t sent =
        ::send(fd_.get(), output_.data() + written_, output_.size() - written_, MSG_NOSIGNAL);
    if (sent > 0) {
      written_ += static_cast<size_t>(sent);
      continue;
    }
    const int error = errno;
    if (error == EINTR) continue;
    if (error != EAGAIN)
      co_return fail(Fault::peer_gone, "closed", fail_errno("send", error).error().detail());
    if (!co_await writable(loop_, fd_.get(), write_limit_))
      co_return fail(Fault::timeout, "timeout");
  }
  if (written_ == output_.size()) {
    written_ = 0;
    if (output_.capacity() > 512)
      std::string().swap(output_);
    else
      output_.clear();
  } else if (written_ > high_water_) {
    output_.erase(0, written_);
    written_ = 0;
  }
  co_return Status();
}

Task<Status> Stream::flush() { return write_until(0); }

Task<Status> Stream::drain() {
  if (waiting_output() <= high_water_) co_return Status();
  co_return co_await write_until(high_water_ / 2);
}

}  // namespace rims
