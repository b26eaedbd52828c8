// imapd/imap/render.h - lines that several commands write, and errors that several return
#pragma once

#include <string>
#include <string_view>

#include "common/base/result.h"
#include "common/mail/types.h"

namespace rims::imapd {

class Session;
struct Selected;

// "(\Seen $Forwarded)", with \Recent as this session sees it.
void append_message_flags(std::string& out, const Selected& selected,
                          const store::MessageEntry& message);
// `* FLAGS (...)` and `* OK [PERMANENTFLAGS (...)]` (RFC 3501 §7.2.6, §7.1). `limits`: of the
// account.
void append_flags_lines(std::string& out, const Selected& selected, const store::Limits& limits);

// "MAILBOXID (id)" (RFC 8474 §4).
[[nodiscard]] std::string mailbox_id_code(const std::string& id);
// The STATUS response with these items (StatusQuery::Item).
void append_status_response(std::string& out, Session& session, const store::MailboxInfo& info,
                            uint16_t items);

// NO [NONEXISTENT] (RFC 5530 §3).
[[nodiscard]] std::unexpected<Error> no_such_mailbox();
// NO [TRYCREATE] (RFC 3501 §7.1), for APPEND and COPY.
[[nodiscard]] std::unexpected<Error> try_create();
// NO [EXPUNGEISSUED] (RFC 5530 §3), for commands with sequence numbers.
[[nodiscard]] std::unexpected<Error> some_are_gone();

}  // namespace rims::imapd
