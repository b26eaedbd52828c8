// tests/tls/client.h - a TLS client in a thread of its own, over one end of a socket pair
//
// OpenSSL's blocking calls, so that nothing of ours tests itself. The thread is joined by the
// destructor; close the other end first when the client might still wait.
#pragma once

#include <functional>
#include <string>
#include <sys/socket.h>
#include <thread>

#include <openssl/err.h>
#include <openssl/ssl.h>

#include "common/base/fd.h"

namespace rims::test {

class TlsClient {
 public:
  struct Options {
    int max_version = 0;            // 0: any
    const char* ciphers = nullptr;  // of TLS 1.2
    bool renegotiate = false;
    const char* name = nullptr;  // that it asks for
    std::string protocols;       // of ALPN, each with its length before it
    bool asks_for_ocsp = false;
  };
  // `talk` runs in the thread after a good handshake; it may read and write.
  TlsClient(Fd fd, Options options, std::function<void(TlsClient&)> talk)
      : fd_(std::move(fd)), options_(options), talk_(std::move(talk)), thread_([this] { run(); }) {}
  TlsClient(const TlsClient&) = delete;
  TlsClient& operator=(const TlsClient&) = delete;
  ~TlsClient() { join(); }

  void join() {
    if (thread_.joinable()) thread_.join();
  }
  // After join().
  [[nodiscard]] bool connected() const { return connected_; }
  [[nodiscard]] const std::string& version() const { return version_; }

  // In the thread.
  bool write(std::string_view bytes) {
    return SSL_write(ssl_, bytes.data(), static_cast<int>(bytes.size())) > 0;
  }
  // What comes until `count` bytes or the end.
  std::string read(size_t count) {
    std::string out;
    char buffer[4096];
    while (out.size() < count) {
      const int got =
          SSL_read(ssl_, buffer, static_cast<int>(std::min(sizeof buffer, count - out.size())));
      if (got <= 0) break;
      out.append(buffer, static_cast<size_t>(got));
    }
    return out;
  }
  std::string read_line() {
    std::string out;
    char c = 0;
    while (!out.ends_with("\r\n") && SSL_read(ssl_, &c, 1) == 1) out += c;
    return out;
  }
  // The server has said, within TLS, that it writes no more.
  bool closed_cleanly() {
    char c = 0;
    const int got = SSL_read(ssl_, &c, 1);
    return got <= 0 && SSL_get_error(ssl_, got) == SSL_ERROR_ZERO_RETURN;
  }
  void shutdown() { SSL_shutdown(ssl_); }
  [[nodiscard]] int fd() const { return fd_.get(); }
  [[nodiscard]] SSL* ssl() const { return ssl_; }

 private:
  void run() {
    SSL_CTX* context = SSL_CTX_new(TLS_client_method());
    SSL_CTX_set_security_level(context, 0);  // else OpenSSL itself would not try TLS 1.1
    SSL_CTX_set_min_proto_version(context, TLS1_VERSION);
    if (options_.max_version != 0) SSL_CTX_set_max_proto_version(context, options_.max_version);
    if (options_.ciphers) SSL_CTX_set_cipher_list(context, options_.ciphers);
    ssl_ = SSL_new(context);
    SSL_set_fd(ssl_, fd_.get());
    if (options_.name) SSL_set_tlsext_host_name(ssl_, options_.name);
    if (!options_.protocols.empty())
      SSL_set_alpn_protos(ssl_, reinterpret_cast<const unsigned char*>(options_.protocols.data()),
                          static_cast<unsigned>(options_.protocols.size()));
    if (options_.asks_for_ocsp) SSL_set_tlsext_status_type(ssl_, TLSEXT_STATUSTYPE_ocsp);
    connected_ = SSL_connect(ssl_) == 1;
    version_ = SSL_get_version(ssl_);
    if (connected_ && talk_) talk_(*this);
    SSL_free(ssl_);
    SSL_CTX_free(context);
    ::shutdown(fd_.get(), SHUT_RDWR);
    ERR_clear_error();
  }

  Fd fd_;
  Options options_;
  std::function<void(TlsClient&)> talk_;
  SSL* ssl_ = nullptr;
  bool connected_ = false;
  std::string version_;
  std::thread thread_;
};

}  // namespace rims::test
