// common/tls/tls.h - TLS for clients of ours, as a layer over Stream
//
//   Versions  1.2 and 1.3; only AEAD ciphers with forward secrecy; no renegotiation, no
//             compression, no session cache
//   Names     a client that asks for one (RFC 6066 §3) gets the certificate that has it
//   ALPN      "imap", or nothing (RFC 7301): a client that wants another protocol is refused, so
//             that nobody can lead its bytes here (ALPACA)
//   Memory    OpenSSL reads from the stream's input and writes to its output: there is no third
//             buffer, and an idle session holds none (SSL_MODE_RELEASE_BUFFERS)
//   Secrets   plaintext is wiped in OpenSSL's buffers after it was read
//
// One coroutine reads and another may write at the same time; not two of a kind.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "common/async/stream.h"
#include "common/base/result.h"

using SSL = struct ssl_st;
using SSL_CTX = struct ssl_ctx_st;

namespace rims::tls {

// Before the privileges are dropped: OpenSSL reads no configuration file, then or later.
void init();

// Views: nothing of it is kept by address.
struct Certificate {
  std::string_view chain_pem, key_pem;
  std::string_view ocsp;  // RFC 6960, in DER; "": nothing is stapled
};

enum class Version : uint8_t { v1_2, v1_3 };

class Context {
 public:
  // The first certificate, of which there must be one, is for clients that ask for no name, or for
  // one that is in none. The error's reply says what is wrong; `wrong`, if it is given, gets the
  // number of the certificate.
  [[nodiscard]] static Result<Context> server(std::span<const Certificate> certificates,
                                              Version oldest = Version::v1_2,
                                              size_t* wrong = nullptr);

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
