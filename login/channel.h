// login/channel.h - a client's connection, with or without TLS over it
//
// Before login its bytes may hold passwords: what is consumed is wiped.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "common/async/stream.h"
#include "common/tls/tls.h"

namespace rims::login {

class Channel {
 public:
  Channel(Loop& loop, Fd fd, Milliseconds write_limit)
      : stream_(loop, std::move(fd), write_limit) {}
  Channel(const Channel&) = delete;
  Channel& operator=(const Channel&) = delete;

  [[nodiscard]] std::string_view input() const {
    if (unread_at_ < unread_.size()) return std::string_view(unread_).substr(unread_at_);
    return tls_ ? tls_->input() : stream_.input();
  }
  // Puts bytes in front, as if they had been read; only when no such bytes are left.
  void unread(std::string bytes);
  void consume(size_t count);
  // As Stream::fill.
  Task<Status> fill(Milliseconds limit, size_t at_most) {
    return tls_ ? tls_->fill(limit, at_most) : stream_.fill(limit, at_most);
  }
  void put(std::string_view bytes) { tls_ ? tls_->put(bytes) : stream_.put(bytes); }
  Task<Status> flush() { return stream_.flush(); }

  // The bytes that are in the stream now belong to the client's handshake.
  Task<Status> start_tls(const tls::Context& context, Milliseconds limit);
  [[nodiscard]] bool over_tls() const { return tls_.has_value(); }
  [[nodiscard]] std::string tls_description() const { return tls_ ? tls_->description() : ""; }

  // Returns when the client has left while it is not read: its end of the connection is closed, and
  // nothing from it waits. One that said all at once and then closed its side only (RFC 9293 §3.6)
  // still waits for its answers; without TLS, what it said shows that.
  Task<void> left();

  // Sends a last line, as far as the kernel accepts it at once; the caller ends the connection.
  void farewell(std::string_view bytes);
  // Ends TLS in order; then flush().
  void close_notify() {
    if (tls_) tls_->close_notify();
  }
  [[nodiscard]] int fd() const { return stream_.fd(); }
  [[nodiscard]] Loop& loop() const { return stream_.loop(); }

 private:
  Stream stream_;
  std::optional<tls::Session> tls_;
  std::string unread_;  // with TLS, too: they are plain
  size_t unread_at_ = 0;
};

}  // namespace rims::login
