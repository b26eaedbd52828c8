// deliver/lmtp/session.cc - what may follow what, and what is said

#include "deliver/lmtp/session.h"

#include <algorithm>
#include <utility>

#include "common/base/utf8.h"

namespace rims::lmtp {
namespace {

// Text that was read from somewhere becomes a part of one line.
std::string printable(std::string_view text) {
  std::string out(text);
  const bool good = utf8::is_valid(text);
  for (char& c : out)
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f ||
        (!good && static_cast<unsigned char>(c) >= 0x80))
      c = '?';
  return out;
}

template <class... F>
struct Overloaded : F... {
  using F::operator()...;
};

}  // namespace

Session::Session(Settings settings) : settings_(std::move(settings)) {
  say(Reply(220, "", settings_.hostname + " RIMS LMTP"));
}

Step Session::step(std::string_view input) {
  switch (mode_) {
    case Mode::command:
    case Mode::skipping:
      return command_line(input);
    case Mode::data:
      return data(input);
    case Mode::chunk:
      return chunk(input);
    case Mode::closed:
      return {.event = Event::close};
    case Mode::asking:
    case Mode::delivering:
      break;  // the driver owes an answer
  }
  return {.event = Event::need_input};
}

// A line ends with CR LF and with nothing else (RFC 5321 §2.3.8). At a bare LF reading goes on
// behind it, so that a person with a terminal is told.
Step Session::command_line(std::string_view input) {
  const size_t lf = input.find('\n');
  if (mode_ == Mode::skipping) {
    if (lf == std::string_view::npos) return {.event = Event::need_input, .consumed = input.size()};
    mode_ = Mode::command;
    wrong({500, "5.5.2", "expected a line of at most " + std::to_string(kMaxLine) + " bytes"});
    return {.consumed = lf + 1};
  }
  if (lf >= kMaxLine) {  // also npos
    if (lf == std::string_view::npos && input.size() < kMaxLine)
      return {.event = Event::need_input};
    mode_ = Mode::skipping;
    return {.consumed = lf == std::string_view::npos ? input.size() : lf};
  }
  std::string_view line = input.substr(0, lf);
  const bool ended_well = line.ends_with('\r');
  if (ended_well) line.remove_suffix(1);
  if (!ended_well || line.contains('\r') || line.contains('\0')) {
    wrong({500, "5.5.2", "expected CR LF at the end of the line, and no other CR, LF or NUL"});
    return {.consumed = lf + 1};
  }
  return command(line, lf + 1, lf + 1 < input.size());
}

Step Session::command(std::string_view line, size_t consumed, bool more_input) {
  auto parsed = parse(line);
  if (!parsed) {
    wrong(parsed.error());
    return {.consumed = consumed};
  }
  const Step done{.consumed = consumed};
  return std::visit(Overloaded{
                        [&](const Lhlo& c) {
                          const Step step = after_reset(consumed);
                          lhlo(c);
                          return step;
                        },
                        [&](Mail& c) {
                          mail(std::move(c));
                          return done;
                        },
                        [&](Rcpt& c) {
                          if (!takes_recipient(c)) return done;
                          pending_ = std::move(c);
                          mode_ = Mode::asking;
                          return Step{.event = Event::recipient, .consumed = consumed};
                        },
                        [&](const Data&) {
                          if (takes_data(more_input)) mode_ = Mode::data;
                          return done;
                        },
                        [&](const Bdat& c) { return bdat(c, consumed); },
                        [&](Xforward& c) {
                          xforward(std::move(c));
                          return done;
                        },
                        [&](const Rset&) {
                          const Step step = after_reset(consumed);
                          say(250, "2.0.0", "ok");
                          return step;
                        },
                        [&](const Noop&) {
                          say(250, "2.0.0", "ok");
                          return done;
                        },
                        [&](const Vrfy&) {
                          say(252, "2.5.2", "try RCPT: it is answered at once");
                          return done;
                        },
                        [&](const Help&) {
                          say(214, "2.0.0",
                              "LHLO MAIL RCPT DATA BDAT RSET NOOP VRFY QUIT; see rims-deliverd(8)");
                          return done;
                        },
                        [&](const Quit&) {
                          say(221, "2.0.0", "goodbye");
                          mode_ = Mode::closed;
                          return done;
                        },
                    },
                    *parsed);
}

void Session::lhlo(const Lhlo& command) {
  client_ = command.name;
  output_ += "250-" + settings_.hostname + "\r\n";
  for (const char* line : {"PIPELINING", "ENHANCEDSTATUSCODES", "8BITMIME", "SMTPUTF8", "CHUNKING",
                           "BINARYMIME", "DSN", "XFORWARD NAME ADDR PORT PROTO HELO IDENT SOURCE"})
    output_ += std::string("250-") + line + "\r\n";
  output_ += "250-LIMITS RCPTMAX=" + std::to_string(kMaxRecipients) + "\r\n";
  output_ += "250 SIZE " + std::to_string(settings_.message_size_max) + "\r\n";
}

void Session::mail(Mail command) {
  if (client_.empty()) return wrong({503, "5.5.1", "begin with LHLO"});
  if (transaction_.mail) return wrong({503, "5.5.1", "there is a sender already"});
  if (!command.sender.ascii && !command.smtputf8)  // RFC 6531 §3.5
    return wrong({553, "5.6.7", "an address in UTF-8 needs SMTPUTF8"});
  if (command.size.value_or(0) > settings_.message_size_max)  // RFC 1870 §6.1
    return say(552, "5.3.4",
               "the message is too large: the limit is " +
                   std::to_string(settings_.message_size_max) + " bytes");
  transaction_.mail = std::move(command);
  say(250, "2.1.0", "ok");
}

bool Session::takes_recipient(const Rcpt& command) {
  if (!transaction_.mail || chunked_) {
    wrong({503, "5.5.1", chunked_ ? "the message has begun" : "there is no sender yet"});
    return false;
  }
  if (!command.recipient.ascii && !transaction_.mail->smtputf8) {
    wrong({553, "5.6.7", "an address in UTF-8 needs SMTPUTF8"});
    return false;
  }
  if (transaction_.recipients.size() >= kMaxRecipients) {  // RFC 5321 §4.5.3.1.10
    say(452, "4.5.3", "too many recipients of one message");
    return false;
  }
  return true;
}

void Session::accept_recipient(std::string user, uint32_t worker) {
  mode_ = Mode::command;
  transaction_.recipients.push_back(
      {.command = std::move(pending_), .user = std::move(user), .worker = worker});
  say(250, "2.1.5", "ok");
}

void Session::refuse_recipient(const Reply& why) {
  mode_ = Mode::command;
  say(why);
}

bool Session::takes_data(bool more_input) {
  if (!transaction_.mail) {
    wrong({503, "5.5.1", "there is no sender yet"});
    return false;
  }
  if (chunked_ || transaction_.mail->body == Body::binary) {  // RFC 3030 §2, §3
    wrong({503, "5.5.1", "this message needs BDAT"});
    return false;
  }
  if (transaction_.recipients.empty()) {  // RFC 2033 §4.2
    say(503, "5.5.1", "no valid recipient");
    return false;
  }
  // RFC 2920 §3.1: the client waits for the 354. One that does not may send the text of a mail as
  // commands, if this DATA is refused; so nothing more is read from it.
  if (more_input) {
    end({421, "4.5.0", "the message was sent before it was asked for"});
    return false;
  }
  end_of_data_ = {};
  output_ += "354 end with a line that is a dot\r\n";
  return true;
}

void Session::xforward(Xforward command) {
  if (transaction_.mail) return wrong({503, "5.5.1", "not within a transaction"});
  const auto take = [](auto& to, auto& from) {
    if (from) to = std::move(from);
  };
  take(forwarded_.name, command.name);
  take(forwarded_.address, command.address);
  take(forwarded_.ident, command.ident);
  take(forwarded_.helo, command.helo);
  say(250, "2.0.0", "ok");
}

// The message's bytes
// ------------------------------------------------------------------------------

Step Session::content(std::string_view bytes, size_t consumed) {
  if (failure_ || orphan_ || bytes.empty()) return {.consumed = consumed};
  size_ += bytes.size();
  if (size_ > settings_.message_size_max) {
    failure_ = Reply(552, "5.3.4",
                     "the message is too large: the limit is " +
                         std::to_string(settings_.message_size_max) + " bytes");
    return {.event = std::exchange(kept_, false) ? Event::dropped : Event::progress,
            .consumed = consumed};
  }
  kept_ = true;
  return {.event = Event::body, .consumed = consumed, .bytes = bytes};
}

void Session::body_failed(Reply why) {
  failure_ = std::move(why);
  kept_ = false;
}

Step Session::data(std::string_view input) {
  if (input.empty()) return {.event = Event::need_input};
  const EndOfData::Piece piece = end_of_data_.next(input);
  if (piece.end) return ended(piece.consumed, true);
  return content(piece.bytes, piece.consumed);
}

Step Session::bdat(const Bdat& command, size_t consumed) {
  // Its bytes follow, whatever the answer is (RFC 3030 §4.2).
  mode_ = Mode::chunk;
  left_ = chunk_size_ = command.size;
  last_chunk_ = command.last;
  orphan_ = !transaction_.mail || transaction_.recipients.empty();
  chunked_ = !orphan_;
  if (left_ == 0) return ended(consumed, last_chunk_);
  return {.consumed = consumed};
}

Step Session::chunk(std::string_view input) {
  const auto bytes = input.substr(0, std::min<uint64_t>(left_, input.size()));
  if (!bytes.empty()) {
    left_ -= bytes.size();
    const Step step = content(bytes, bytes.size());
    if (left_ > 0 || step.event != Event::progress) return step;
    return ended(step.consumed, last_chunk_);
  }
  return left_ == 0 ? ended(0, last_chunk_) : Step{.event = Event::need_input};
}

Step Session::ended(size_t consumed, bool last) {
  mode_ = Mode::command;
  if (orphan_) {
    orphan_ = false;
    // RFC 2033 §4.3: BDAT LAST has one reply for each recipient, also when there is none.
    if (!transaction_.mail)
      wrong({503, "5.5.1", "there is no sender yet"});
    else if (!last)
      say(503, "5.5.1", "no valid recipient");
    return last ? after_reset(consumed) : Step{.consumed = consumed};
  }
  if (!last) {
    if (failure_)
      say(*failure_);
    else
      say(250, "2.0.0", std::to_string(chunk_size_) + " bytes");
    return {.consumed = consumed};
  }
  if (!failure_ && size_ == 0) failure_ = Reply(554, "5.6.0", "the message is empty");
  if (failure_) {
    for (size_t i = 0; i < transaction_.recipients.size(); i++) say(*failure_);
    return after_reset(consumed);
  }
  mode_ = Mode::delivering;
  return {.event = Event::complete, .consumed = consumed};
}

void Session::delivered(std::span<const Reply> replies) {
  for (Reply reply : replies) {
    reply.text = printable(reply.text);
    say(reply);
  }
  mode_ = Mode::command;
  kept_ = false;  // the driver knows
  reset();
}

// What is over
// -------------------------------------------------------------------------------------

bool Session::reset() {
  const bool had = std::exchange(kept_, false);
  if (std::exchange(transaction_.mail, std::nullopt)) forwarded_ = {};
  transaction_.recipients.clear();
  size_ = left_ = chunk_size_ = 0;
  chunked_ = orphan_ = last_chunk_ = false;
  failure_.reset();
  return had;
}

Step Session::after_reset(size_t consumed) {
  return {.event = reset() ? Event::dropped : Event::progress, .consumed = consumed};
}

void Session::wrong(const Reply& reply) {
  if (++errors_ < kMaxErrors) return say(reply);
  end({421, "4.7.0", "too many errors"});
}

void Session::end(const Reply& why) {
  say(why);
  mode_ = Mode::closed;
}

}  // namespace rims::lmtp
