// common/async/stream.h - a connected stream socket with buffers and time limits
//
// Reading: fill() waits for bytes and appends them to input(); consume() takes them away.
// Writing: put() appends to a buffer; flush() waits until all of it is with the kernel;
// drain() waits only when more than the high-water mark is waiting, so that a slow reader
// suspends its own coroutine and nothing else. The buffer gives its memory back when empty.
#pragma once

#include <string>
#include <string_view>

#include "common/async/loop.h"
#include "common/base/fd.h"
#include "common/base/result.h"

namespace rims {

class Stream {
 public:
  // Makes `fd` non-blocking. `loop` must outlive the stream.
  Stream(Loop& loop, Fd fd, Milliseconds write_limit, size_t high_water = 64 * 1024);

  // Unconsumed input. The view is valid until the next fill() or consume().
  [[nodiscard]] std::string_view input() const {
    return std::string_view(input_).substr(consumed_);
  }
  void consume(size_t count);
  // Waits for at least one more byte, reads at most `at_most`. Error: timeout when
  // the limit passed, peer_gone at end of file.
  Task<Status> fill(Milliseconds limit, size_t at_most = 16 * 1024);
  // Takes what is there without waiting, perhaps nothing; for who waited for the descriptor itself.
  Status fill_now(size_t at_most = 16 * 1024);
  // Puts bytes in front, as if they had been read (what came along with a hand-over).
  void unread(std::string_view bytes);

  void put(std::string_view bytes) { output_.append(bytes); }
  Task<Status> flush();
  Task<Status> drain();
  [[nodiscard]] size_t waiting_output() const { return output_.size() - written_; }

  [[nodiscard]] int fd() const { return fd_.get(); }
  [[nodiscard]] Loop& loop() const { return loop_; }
  // For hand-over to another process; the stream is dead afterwards.
  [[nodiscard]] Fd release() { return std::move(fd_); }

 private:
  Task<Status> write_until(size_t waiting);

  Loop& loop_;
  Fd fd_;
  Milliseconds write_limit_;
  size_t high_water_;
  std::string input_, output_;
  size_t consumed_ = 0, written_ = 0;
};

}  // namespace rims
