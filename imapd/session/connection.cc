// imapd/session/connection.cc - the stream, and what compression puts in front of it

#include "imapd/session/connection.h"

namespace rims::imapd {

std::string_view Connection::input() const {
  if (!compression_) return stream_.input();
  return std::string_view(compression_->input).substr(compression_->consumed);
}

void Connection::consume(size_t count) {
  if (!compression_) return stream_.consume(count);
  Compression& c = *compression_;
  c.consumed += count;
  if (c.consumed < c.input.size()) return;
  c.consumed = 0;
  std::string().swap(c.input);
}

bool Connection::has_more() const {
  return compression_ && (compression_->in.has_more() || !stream_.input().empty());
}

Status Connection::fill_now() {
  if (!compression_) return stream_.fill_now();
  if (!has_more()) {
    TRY_STATUS(stream_.fill_now());
  }
  Compression& c = *compression_;
  c.input.erase(0, c.consumed);
  c.consumed = 0;
  std::string_view compressed = stream_.input();
  const size_t before = compressed.size();
  Status taken = c.in.take(compressed, c.input, kAtOnce);
  stream_.consume(before - compressed.size());
  return taken;
}

void Connection::put(std::string_view bytes) {
  if (!compression_) return stream_.put(bytes);
  compression_->out.add(bytes, [this](std::string_view piece) { stream_.put(piece); });
}

Task<Status> Connection::flush() {
  if (compression_) compression_->out.flush([this](std::string_view piece) { stream_.put(piece); });
  return stream_.flush();
}

void Connection::compress() { compression_ = std::make_unique<Compression>(); }

void Connection::rest() {
  if (!compression_) return;
  compression_->out.rest();
  compression_->in.rest();
}

}  // namespace rims::imapd
