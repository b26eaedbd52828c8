// tests/fuzz/lmtp_fuzz.cc - what a client of LMTP may send, cut into pieces
//
// The first byte is the size of the pieces; then follow the bytes of the client. Every recipient
// whose name does not begin with "n" is known.
//
// Promises   what is said and stored does not depend on how the input is cut, but where a DATA
//            may have come with its message; every reply is one line of a code and text;
//            a session holds no input beyond a line; a message that is complete is within the
//            limit and has a recipient; one reply for each of them

#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include "deliver/lmtp/session.h"

namespace rims::lmtp {
namespace {

constexpr uint64_t kSizeMax = 300;

void insist(bool promise) {
  if (!promise) std::abort();
}

struct Heard {
  std::string said;
  std::vector<std::string> stored;
  bool closed = false;
  bool operator==(const Heard&) const = default;
};

void check_lines(std::string_view said) {
  while (!said.empty()) {
    const size_t end = said.find("\r\n");
    insist(end != said.npos);
    const auto line = said.substr(0, end);
    insist(line.size() >= 4 && line[0] >= '2' && line[0] <= '5' && line.find('\n') == line.npos);
    said.remove_prefix(end + 2);
  }
}

Heard hear(std::string_view input, size_t piece) {
  Session session({.hostname = "mx", .message_size_max = kSizeMax});
  Heard heard;
  std::string pending, message;
  while (!heard.closed && !input.empty()) {
    pending += input.substr(0, piece);
    input.remove_prefix(std::min(piece, input.size()));
    for (bool more = true; more && !heard.closed;) {
      const Step step = session.step(pending);
      insist(step.consumed <= pending.size());
      const std::string bytes(step.bytes);
      pending.erase(0, step.consumed);
      switch (step.event) {
        case Event::progress:
          break;
        case Event::need_input:
          more = false;
          insist(pending.size() < kMaxLine);
          break;
        case Event::recipient:
          if (session.pending().recipient.address.starts_with('n'))
            session.refuse_recipient({550, "5.1.1", "no such user"});
          else
            session.accept_recipient(session.pending().recipient.address, 0);
          break;
        case Event::body:
          message += bytes;
          insist(message.size() <= kSizeMax);
          break;
        case Event::dropped:
          insist(!message.empty());
          message.clear();
          break;
        case Event::complete: {
          const auto& to = session.transaction().recipients;
          insist(!message.empty() && !to.empty() && to.size() <= kMaxRecipients);
          std::vector<Reply> replies;
          for (const Recipient& r : to) replies.emplace_back(250, "2.0.0", r.user);
          session.delivered(replies);
          heard.stored.push_back(std::move(message));
          message.clear();
          break;
        }
        case Event::close:
          heard.closed = true;
          break;
      }
      heard.said += session.take_output();
    }
  }
  check_lines(heard.said);
  return heard;
}

}  // namespace
}  // namespace rims::lmtp

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace rims::lmtp;
  if (size < 2 || size > 16 * 1024) return 0;
  const std::string input(data + 1, data + size);
  const Heard byte_by_byte = hear(input, 1), cut = hear(input, data[0] + size_t{1});
  const bool early =
      cut.said.ends_with("421 4.5.0 the message was sent before it was asked for\r\n");
  if (!early) insist(cut == byte_by_byte);
  return 0;
}
