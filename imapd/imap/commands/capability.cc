// imapd/imap/commands/capability.cc - CAPABILITY, NOOP, CHECK, LOGOUT, UNAUTHENTICATE, ID,
// NAMESPACE: commands that say something about the server or end the session, and touch no mailbox
//
//   RFC  3501 §6.1.1, §6.1.2, §6.1.3, §6.4.1; 2971 (ID); 2342 (NAMESPACE); 8437 (UNAUTHENTICATE)

#include "common/imap/response.h"
#include "imapd/imap/session.h"

namespace rims::imapd::commands {

Task<Result<Reply>> capability(Session& session, imap::Command) {
  imap::append_untagged(session.out(), "CAPABILITY " + session.capabilities());
  co_return Reply{.text = "CAPABILITY completed", .code = {}};
}

// The command loop sends what is new (RFC 3501 §6.1.2).
Task<Result<Reply>> noop(Session&, imap::Command) {
  co_return Reply{.text = "NOOP completed", .code = {}};
}

// Every change is durable before it is told, so there is nothing to do (RFC 3501 §6.4.1).
Task<Result<Reply>> check(Session&, imap::Command) {
  co_return Reply{.text = "CHECK completed", .code = {}};
}

Task<Result<Reply>> logout(Session& session, imap::Command) {
  session.bye("logging out");
  co_return Reply{.text = "LOGOUT completed", .code = {}};
}

// rims-login answers, and all that the session knew ends with it.
Task<Result<Reply>> unauthenticate(Session& session, imap::Command command) {
  CO_TRY_STATUS(co_await session.unauthenticate(std::move(command.tag)));
  co_return Reply{};
}

// What the client calls itself may take capabilities away from it. Our answer has no version, which
// could help an attacker.
Task<Result<Reply>> id(Session& session, imap::Command command) {
  const std::string before = session.capabilities();
  session.call_client(imap::client_name(std::get<imap::Id>(command.args)));
  if (const std::string now = session.capabilities(); now != before)
    imap::append_untagged(session.out(), "CAPABILITY " + now);
  imap::append_untagged(session.out(), "ID (\"name\" \"RIMS\")");
  co_return Reply{.text = "ID completed", .code = {}};
}

// One personal namespace without a prefix, no others (RFC 2342 §5).
Task<Result<Reply>> name_space(Session& session, imap::Command) {
  imap::append_untagged(session.out(), "NAMESPACE ((\"\" \"/\")) NIL NIL");
  co_return Reply{.text = "NAMESPACE completed", .code = {}};
}

}  // namespace rims::imapd::commands
