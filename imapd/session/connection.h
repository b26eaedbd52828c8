// imapd/session/connection.h - the connection of a session: the client's bytes as they are, or,
// from compress() on, in DEFLATE both ways
//
//   RFC     4978 (IMAP COMPRESS=DEFLATE). TLS is rims-login's, so what is compressed here is
//           encrypted there, as §3 wants it
//   Trust   the client's bytes are an attacker's: of what a few compressed bytes mean, no more than
//           kAtOnce is held at a time, the rest stays compressed
//   Memory  a connection that waits holds no buffers, and of the compression what rest() says
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "common/async/stream.h"
#include "common/deflate/deflate.h"

namespace rims::imapd {

class Connection {
 public:
  // As for Stream.
  Connection(Loop& loop, Fd fd, Milliseconds write_limit)
      : stream_(loop, std::move(fd), write_limit) {}

  // What the client said and nobody has consumed. Valid until the next fill_now() or consume().
  [[nodiscard]] std::string_view input() const;
  void consume(size_t count);
  // Takes what is there without waiting, perhaps nothing. Error: peer_gone; syntax, with a reply
  // for BYE, when compressed data is damaged.
  Status fill_now();
  // fill_now() has something to give although the descriptor may not be readable.
  [[nodiscard]] bool has_more() const;
  // Puts bytes in front, as if they had been read. Not after compress().
  void unread(std::string_view bytes) { stream_.unread(bytes); }

  // Takes some milliseconds for a MiB of `bytes` when compressed.
  void put(std::string_view bytes);
  // See Stream. What is compressed may be held back until flush().
  Task<Status> drain() { return stream_.drain(); }
  Task<Status> flush();

  // From the next byte on, both ways: what is in input() is compressed as well. Only once, and
  // after flush().
  void compress();
  [[nodiscard]] bool compressed() const { return compression_ != nullptr; }
  // Before a wait: gives back what compression does not need meanwhile. Costs some microseconds.
  void rest();

  [[nodiscard]] int fd() const { return stream_.fd(); }
  [[nodiscard]] Loop& loop() const { return stream_.loop(); }

 private:
  static constexpr size_t kAtOnce = 16 * 1024;
  struct Compression {
    Deflater out;
    Inflater in;
    std::string input;  // what `in` gave
    size_t consumed = 0;
  };

  Stream stream_;
  std::unique_ptr<Compression> compression_;
};

}  // namespace rims::imapd
