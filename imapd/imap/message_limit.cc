// imapd/imap/message_limit.cc - what a client is told of the limit

#include "imapd/imap/message_limit.h"

#include "common/imap/response.h"

namespace rims::imapd {

std::string message_limit_code(uint32_t limit, std::optional<Uid> lowest) {
  std::string code = "MESSAGELIMIT " + std::to_string(limit);
  if (lowest) code += ' ' + std::to_string(lowest->value);
  return code;
}

std::unexpected<Error> too_many(uint32_t limit, std::string_view what, std::optional<Uid> lowest) {
  return fail(
      Fault::limit,
      "too many messages to " + std::string(what) + ": " + std::to_string(limit) + " at a time", {},
      message_limit_code(limit, lowest));
}

void tell_limit(Session& session, Reply& reply, std::optional<Uid> lowest) {
  if (!lowest) return;
  if (reply.code.empty())
    reply.code = message_limit_code(*session.message_limit(), lowest);
  else
    tell_limit(session, lowest);
}

void tell_limit(Session& session, std::optional<Uid> lowest) {
  if (!lowest) return;
  imap::append_status(session.out(), "*", imap::Condition::no,
                      message_limit_code(*session.message_limit(), lowest),
                      "only the last messages were worked on");
}

}  // namespace rims::imapd
