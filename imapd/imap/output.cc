// imapd/imap/output.cc - pieces for the connection

#include "imapd/imap/output.h"

#include <algorithm>

namespace rims::imapd {
namespace {

// Output is handed to the connection in pieces of about this size.
constexpr size_t kPiece = 32 * 1024;

}  // namespace

bool Output::drain_is_due() const { return text_.size() >= kPiece; }

// `bytes` is empty afterwards. To copy them is cheap; to compress many of them gives way to others.
Task<Status> Output::send(std::string& bytes) {
  if (!connection_.compressed()) {
    connection_.put(bytes);
    bytes.clear();
    co_return co_await connection_.drain();
  }
  TimeSlice slice(connection_.loop());
  Status sent;
  for (size_t at = 0; sent && at < bytes.size(); at += kPiece) {
    connection_.put(std::string_view(bytes).substr(at, kPiece));
    sent = co_await connection_.drain();
    co_await slice.spend();
  }
  bytes.clear();
  co_return sent;
}

Task<Status> Output::drain() {
  if (!drain_is_due()) co_return Status();
  co_return co_await send(text_);
}

Task<Status> Output::flush() {
  const Status sent = co_await send(text_);
  // A session that waits holds no buffer.
  std::string().swap(text_);
  CO_TRY_STATUS(sent);
  co_return co_await connection_.flush();
}

Task<Status> Output::pass(std::string bytes) {
  passed_++;
  CO_TRY_STATUS(co_await send(text_));
  co_return co_await send(bytes);
}

}  // namespace rims::imapd
