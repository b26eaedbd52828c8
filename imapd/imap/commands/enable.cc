// imapd/imap/commands/enable.cc - ENABLE (RFC 5161)
//
// Names that ENABLE does not know are ignored (RFC 5161 §3.1). It is let through with a mailbox
// selected, too: clients do that, and the RFC leaves it to the server.

#include <utility>
#include <variant>

#include "common/imap/response.h"
#include "imapd/imap/session.h"

namespace rims::imapd::commands {

Task<Result<Reply>> enable(Session& session, imap::Command command) {
  const auto& args = std::get<imap::Enable>(command.args);
  std::string enabled = "ENABLED";
  for (const std::string& name : args.capabilities) {
    const auto extension = extension_of(name);
    if (!extension || !session.announces(imapd::name(*extension))) continue;
    session.enable(*extension);
    if (session.announce_enabled(*extension)) {
      enabled += ' ';
      enabled += imapd::name(*extension);
    }
  }
  imap::append_untagged(session.out(), enabled);
  co_return Reply{.text = "ENABLE completed", .code = {}};
}

}  // namespace rims::imapd::commands
