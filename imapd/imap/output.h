// imapd/imap/output.h - the output of a session to a client that may read slowly
//
// Holds no more than the stream's high-water mark and one piece; nothing while the session waits.
#pragma once

#include <cstdint>
#include <string>

#include "common/async/task.h"
#include "imapd/session/connection.h"

namespace rims::imapd {

class Output {
 public:
  explicit Output(Connection& connection) : connection_(connection) {}

  // Lines for the client, to be passed on by drain() or at the end of the command.
  [[nodiscard]] std::string& text() { return text_; }
  // Cheap, so that a loop over messages asks before it awaits.
  [[nodiscard]] bool drain_is_due() const;
  // Passes text on when there is enough of it; waits while the client does not read.
  Task<Status> drain();
  // All of it, to the last byte.
  Task<Status> flush();
  // A piece of a response that is too large for text(): follows what is in text().
  Task<Status> pass(std::string bytes);
  // How often pass() was called: what was in text() before it cannot be taken back.
  [[nodiscard]] uint64_t passed() const { return passed_; }

 private:
  Task<Status> send(std::string& bytes);

  Connection& connection_;
  std::string text_;
  uint64_t passed_ = 0;
};

}  // namespace rims::imapd
