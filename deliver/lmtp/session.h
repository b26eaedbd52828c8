// deliver/lmtp/session.h - one LMTP connection as a state machine: bytes in, events and replies out
//
//   Pure     no socket, no clock, no file: whoever drives it does what its events say
//   Bounded  a command line has kMaxLine bytes, a transaction kMaxRecipients recipients; the bytes
//            of a message are passed on as they come and never kept
//   RFC      2033; 5321 for what that takes over; 2920 (PIPELINING), 3030 (CHUNKING, BINARYMIME),
//            1870 (SIZE), 2034 (ENHANCEDSTATUSCODES), 6152, 6531, 3461 (DSN), 9422 (LIMITS)
//
//     driver:  Step s = session.step(input)    consume s.consumed of the input; then, by s.event:
//       progress     go on
//       need_input   send take_output(), read more
//       recipient    is there such a user? accept_recipient() or refuse_recipient()
//       body         s.bytes are the next of the message; body_failed() when they can not be kept
//       complete     deliver to transaction().recipients; delivered(), a reply for each of them
//       dropped      what was kept of the message is not wanted any more
//       close        send take_output(), close
//
//   Tests    tests/deliver/lmtp/session_test.cc, tests/fuzz/lmtp_fuzz.cc
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "deliver/lmtp/command.h"
#include "deliver/lmtp/end_of_data.h"
#include "deliver/lmtp/reply.h"

namespace rims::lmtp {

inline constexpr size_t kMaxRecipients = 100;  // RFC 5321 §4.5.3.1.8 asks for as many
// Commands that are wrong. An unknown recipient is no error: an MTA may have many.
inline constexpr unsigned kMaxErrors = 20;

struct Settings {
  std::string hostname;
  uint64_t message_size_max = 0;  // bytes, of what is stored
};

struct Recipient {
  Rcpt command;
  std::string user;     // the account, as the driver was told
  uint32_t worker = 0;  // its home
};

struct Transaction {
  std::optional<Mail> mail;  // there is one after MAIL
  std::vector<Recipient> recipients;
};

enum class Event : unsigned char {
  progress,
  need_input,
  recipient,
  body,
  complete,
  dropped,
  close
};

struct Step {
  Event event = Event::progress;
  size_t consumed = 0;
  std::string_view bytes;  // of the message; lie in the input, or live for ever
};

class Session {
 public:
  // Says its greeting at once.
  explicit Session(Settings settings);

  [[nodiscard]] Step step(std::string_view input);

  // Answers to Event::recipient: exactly one of them.
  void accept_recipient(std::string user, uint32_t worker);
  void refuse_recipient(const Reply& why);
  [[nodiscard]] const Rcpt& pending() const { return pending_; }
  // After Event::body: the driver drops what it has; the rest is read and not passed on, and every
  // recipient is told this.
  void body_failed(Reply why);
  // The answer to Event::complete, in the order of the recipients.
  void delivered(std::span<const Reply> replies);
  // The last reply of all: the server ends the connection. Event::close comes next.
  void end(const Reply& why);

  // What was said since the last call.
  [[nodiscard]] std::string take_output() { return std::exchange(output_, {}); }
  [[nodiscard]] const Transaction& transaction() const { return transaction_; }
  [[nodiscard]] const std::string& client_name() const { return client_; }
  [[nodiscard]] const Xforward& forwarded() const { return forwarded_; }
  // A message is being read: between DATA and its end, or within a chunk.
  [[nodiscard]] bool in_message() const { return mode_ == Mode::data || mode_ == Mode::chunk; }

 private:
  enum class Mode : unsigned char { command, skipping, data, chunk, asking, delivering, closed };

  Step command_line(std::string_view input);
  Step command(std::string_view line, size_t consumed, bool more_input);
  Step data(std::string_view input);
  Step chunk(std::string_view input);
  // The message or chunk has ended.
  Step ended(size_t consumed, bool last);
  Step content(std::string_view bytes, size_t consumed);

  void lhlo(const Lhlo& command);
  void mail(Mail command);
  [[nodiscard]] bool takes_recipient(const Rcpt& command);
  [[nodiscard]] bool takes_data(bool more_input);
  Step bdat(const Bdat& command, size_t consumed);
  void xforward(Xforward command);

  void say(const Reply& reply) { output_ += reply.line(); }
  void say(uint16_t code, const char* enhanced, std::string text) {
    say(Reply(code, enhanced, std::move(text)));
  }
  // A mistake of the client's, which is counted.
  void wrong(const Reply& reply);
  // True when there was something to drop.
  bool reset();
  // The event for what reset() has found.
  Step after_reset(size_t consumed);

  Settings settings_;
  Mode mode_ = Mode::command;
  std::string output_, client_;
  Transaction transaction_;
  Xforward forwarded_;
  Rcpt pending_;
  unsigned errors_ = 0;
  // Of the message in progress.
  EndOfData end_of_data_;
  uint64_t size_ = 0;  // bytes of it so far
  uint64_t left_ = 0;  // of the chunk
  uint64_t chunk_size_ = 0;
  bool last_chunk_ = false;
  bool chunked_ = false;  // a BDAT has begun it
  bool orphan_ = false;   // a chunk that belongs to no message: read over, refused or unanswered
  bool kept_ = false;     // the driver has bytes of it
  std::optional<Reply> failure_;  // for every recipient
};

}  // namespace rims::lmtp
