// imapd/imap/output.cc - pieces for the stream

#include "imapd/imap/output.h"

namespace rims::imapd {
namespace {

// Output is handed to the stream in pieces of about this size.
constexpr size_t kPiece = 32 * 1024;

}  // namespace

bool Output::drain_is_due() const { return text_.size() >= kPiece; }

Task<Status> Output::drain() {
  if (!drain_is_due()) co_return Status();
  stream_.put(text_);
  text_.clear();
  co_return co_await stream_.drain();
}

Task<Status> Output::flush() {
  if (!text_.empty()) stream_.put(text_);
  // A session that waits holds no buffer.
  std::string().swap(text_);
  co_return co_await stream_.flush();
}

Task<Status> Output::pass(std::string bytes) {
  passed_++;
  stream_.put(text_);
  text_.clear();
  stream_.put(bytes);
  co_return co_await stream_.drain();
}

}  // namespace rims::imapd
