// common/tls/tls.h - TLS for clients of ours, as a layer over Stream
//
//   Versions  1.2 and 1.3; only AEAD ciphers with forward secrecy; no renegotiation, no
//             compression, no session cache (tickets only, so memory does not grow by names)
//   Memory    OpenSSL reads from the stream's input and writes to its output: there is no third
//             buffer, and an idle session holds none (SSL_MODE_RELEASE_BUFFERS)
//   Secrets   plaintext is wiped in OpenSSL's buffers after it was read
//
// One coroutine reads and another may write at the same time; not two of a kind.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>

#include "common/async/stream.h"
#include "common/base/result.h"

using SSL = struct ssl_st;
using SSL_CTX = struct ssl_ctx_st;

namespace rims::tls {

// Before the privileges are dropped: OpenSSL reads no configuration file, then or later.
void init();

class Context {
 public:
  // Chain and key in PEM. The error's reply says what is wrong with them.
  [[nodiscard]] static Result<Context> server(std::string_view chain_pem, std::string_view key_pem);

 private:
  friend class Session;
  struct Free {
    void operator()(SSL_CTX* context) const;
  };
  explicit Context(std::unique_ptr<SSL_CTX, Free> context) : context_(std::move(context)) {}
  std::unique_ptr<SSL_CTX, Free> context_;
};

class Session {
 public:
  // The server's side over `stream`, which must outlive the session and not move. What the
  // stream holds as input is taken as TLS. `context` may go away.
  Session(const Context& context, Stream& stream);
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;
  ~Session();

  // Within `limit` altogether. Error: timeout, or peer_gone, also when the peer
  // speaks no TLS.
  Task<Status> handshake(Milliseconds limit);

  [[nodiscard]] std::string_view input() const {
    return std::string_view(input_).substr(consumed_);
  }
  void consume(size_t count);  // wipes what it takes away
  // Waits for at least one more byte of plaintext. Error: peer_gone or timeout.
  Task<Status> fill(Milliseconds limit, size_t at_most = 16 * 1024);
  // Encrypts into the stream's output at once.
  void put(std::string_view bytes);
  Task<Status> flush() { return stream_.flush(); }
  // Says that no more will be written. Flush afterwards.
  void close_notify();

  // "TLSv1.3 TLS_AES_256_GCM_SHA384", for the log.
  [[nodiscard]] std::string description() const;

 private:
  struct Free {
    void operator()(SSL* ssl) const;
  };
  Stream& stream_;
  std::unique_ptr<SSL, Free> ssl_;
  std::string input_;
  size_t consumed_ = 0;
  bool broken_ = false;
};

}  // namespace rims::tls
