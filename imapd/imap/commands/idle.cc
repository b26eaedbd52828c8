// imapd/imap/commands/idle.cc - IDLE: news as it comes (RFC 2177)

#include "imapd/imap/session.h"

namespace rims::imapd::commands {

Task<Result<Reply>> idle(Session& session, imap::Command) { co_return co_await session.idle(); }

}  // namespace rims::imapd::commands
