// common/tls/tls.cc - OpenSSL over a BIO whose two ends are the stream's buffers

#include "common/tls/tls.h"

#include <algorithm>
#include <climits>

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <sodium.h>

#include "common/base/secret.h"
#include "common/tls/reason.h"

namespace rims::tls {
namespace {

// More than any handshake of ours needs; a client that sends more before it is done is ended.
constexpr size_t kMaxHandshake = size_t{64} * 1024;

Stream& stream_of(BIO* bio) { return *static_cast<Stream*>(BIO_get_data(bio)); }

int read_bytes(BIO* bio, char* out, int size) {
  BIO_clear_retry_flags(bio);
  Stream& stream = stream_of(bio);
  const std::string_view have = stream.input();
  if (have.empty()) {
    BIO_set_retry_read(bio);
    return -1;
  }
  const size_t count = have.copy(out, static_cast<size_t>(size));
  stream.consume(count);
  return static_cast<int>(count);
}

int write_bytes(BIO* bio, const char* bytes, int size) {
  BIO_clear_retry_flags(bio);
  stream_of(bio).put(std::string_view(bytes, static_cast<size_t>(size)));
  return size;
}

long control(BIO*, int command, long, void*) { return command == BIO_CTRL_FLUSH ? 1 : 0; }

int create(BIO* bio) {
  BIO_set_init(bio, 1);
  return 1;
}

const BIO_METHOD* stream_method() {
  static BIO_METHOD* const method = [] {
    BIO_METHOD* made = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "rims stream");
    if (!made) fatal("out of memory for TLS");
    BIO_meth_set_read(made, &read_bytes);
    BIO_meth_set_write(made, &write_bytes);
    BIO_meth_set_ctrl(made, &control);
    BIO_meth_set_create(made, &create);
    return made;
  }();
  return method;
}

}  // namespace

void init() { OPENSSL_init_ssl(OPENSSL_INIT_NO_LOAD_CONFIG, nullptr); }

void Session::Free::operator()(SSL* ssl) const { SSL_free(ssl); }

Session::Session(const Context& context, Stream& stream)
    : stream_(stream), ssl_(SSL_new(context.context_.get())) {
  BIO* bio = BIO_new(stream_method());
  if (!ssl_ || !bio) fatal("out of memory for a TLS session");
  BIO_set_data(bio, &stream_);
  SSL_set_bio(ssl_.get(), bio, bio);
  SSL_set_accept_state(ssl_.get());
}

Session::~Session() { wipe(input_); }

Task<Status> Session::handshake(Milliseconds limit) {
  const auto deadline = Loop::now() + limit;
  size_t taken = 0;
  while (true) {
    ERR_clear_error();
    const size_t before = stream_.input().size();
    const int done = SSL_do_handshake(ssl_.get());
    taken += before - stream_.input().size();
    const int why = done == 1 ? SSL_ERROR_NONE : SSL_get_error(ssl_.get(), done);
    // Also when it failed: the alert tells the client why.
    const Status flushed = co_await stream_.flush();
    if (done == 1) co_return flushed;
    if (why != SSL_ERROR_WANT_READ || taken > kMaxHandshake) {
      broken_ = true;
      co_return fail(Fault::peer_gone, "closed", "TLS handshake: " + reason());
    }
    if (!flushed) co_return flushed;
    const auto left = std::chrono::duration_cast<Milliseconds>(deadline - Loop::now());
    if (left.count() <= 0) co_return fail(Fault::timeout, "timeout", "TLS handshake: timeout");
    CO_TRY_STATUS(co_await stream_.fill(left, 4096));
  }
}

void Session::consume(size_t count) {
  sodium_memzero(input_.data() + consumed_, count);
  consumed_ += count;
  if (consumed_ < input_.size()) return;
  consumed_ = 0;
  // An idle connection holds no buffer.
  if (input_.capacity() > 512)
    std::string().swap(input_);
  else
    input_.clear();
}

Task<Status> Session::fill(Milliseconds limit, size_t at_most) {
  if (consumed_ > 0) {
    input_.erase(0, consumed_);
    consumed_ = 0;
  }
  while (!broken_) {
    const size_t before = input_.size();
    const size_t room = std::min<size_t>(at_most, INT_MAX);
    int got = 0;
    // An idle session must not hold the read buffer.
    if (!stream_.input().empty() || SSL_has_pending(ssl_.get()) == 1) {
      ERR_clear_error();
      input_.resize(before + room);
      got = SSL_read(ssl_.get(), input_.data() + before, static_cast<int>(room));
      const int why = got > 0 ? SSL_ERROR_NONE : SSL_get_error(ssl_.get(), got);
      input_.resize(before + (got > 0 ? static_cast<size_t>(got) : 0));
      if (got > 0) co_return Status();
      if (before == 0) std::string().swap(input_);
      if (why != SSL_ERROR_WANT_READ) {
        broken_ = why != SSL_ERROR_ZERO_RETURN;
        (void)co_await stream_.flush();  // the alert, if there is one
        if (why == SSL_ERROR_ZERO_RETURN) co_return fail(Fault::peer_gone, "closed");
        co_return fail(Fault::peer_gone, "closed", "TLS: " + reason());
      }
      // A key update or the like may want an answer.
      if (stream_.waiting_output() > 0) {
        CO_TRY_STATUS(co_await stream_.flush());
      }
    }
    CO_TRY_STATUS(co_await stream_.fill(limit));
  }
  co_return fail(Fault::peer_gone, "closed");
}

void Session::put(std::string_view bytes) {
  while (!bytes.empty() && !broken_) {
    ERR_clear_error();
    const int size = static_cast<int>(std::min<size_t>(bytes.size(), INT_MAX));
    const int done = SSL_write(ssl_.get(), bytes.data(), size);
    if (done <= 0) {
      broken_ = true;  // the next fill() or flush() tells
      ERR_clear_error();
      return;
    }
    bytes.remove_prefix(static_cast<size_t>(done));
  }
}

void Session::close_notify() {
  if (broken_) return;
  ERR_clear_error();
  SSL_shutdown(ssl_.get());
  ERR_clear_error();
}

std::string Session::description() const {
  return std::string(SSL_get_version(ssl_.get())) + " " + SSL_get_cipher_name(ssl_.get());
}

}  // namespace rims::tls
