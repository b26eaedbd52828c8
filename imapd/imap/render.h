// imapd/imap/render.h - lines that several commands write, and errors that several return
#pragma once

#include <string>
#include <string_view>

#include "common/async/task.h"
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
// Of a mailbox, for STATUS (RFC 9208 §4.1.4): what EXPUNGE would remove.
struct Deleted {
  uint64_t messages = 0;
  uint64_t bytes = 0;
};
// Nothing, unless `items` (StatusQuery::Item) asks for it: then all messages are looked at.
// not_found NONEXISTENT.
Task<Result<Deleted>> count_deleted(Session& session, MailboxId mailbox, uint16_t items);
// The STATUS response with these items.
void append_status_response(std::string& out, Session& session, const store::MailboxInfo& info,
                            uint16_t items, const Deleted& deleted);
// `* NO [OVERQUOTA]`, once in a session, when the account has more than its quota (RFC 9208
// §4.3.1): mail does not come in any more. It was lowered, or an administrator has brought mail.
void warn_of_quota(Session& session);

// "\HasChildren \Sent" (RFC 3501 §7.2.2, RFC 5258 §3, RFC 6154 §2). `info` is nullptr for a name
// that does not exist.
[[nodiscard]] std::string list_attributes(std::string_view name, const store::MailboxInfo* info,
                                          bool has_children, bool subscribed);
// The LIST response that no LIST asked for (RFC 9051 §6.3.2, §6.3.4, §6.3.6; RFC 5465 §5.4, §5.5):
// what the name is now, whether it exists or not. `old_name`, or "": as what the client knows it,
// for OLDNAME.
void append_list_response(Session& session, std::string_view name, std::string_view old_name);

// Of the mailbox; a MODSEQ is never 0 (RFC 7162 §3.1).
[[nodiscard]] ModSeq highest_modseq(const store::MailboxInfo& info);
// "MODSEQ (12)"
void append_modseq(std::string& out, ModSeq modseq);
// "HIGHESTMODSEQ 12", and `* OK [HIGHESTMODSEQ 12] ...` (RFC 7162 §3.1.2.1).
[[nodiscard]] std::string highest_modseq_code(ModSeq modseq);
void append_highest_modseq(std::string& out, ModSeq modseq);

// NO [NONEXISTENT] (RFC 5530 §3).
[[nodiscard]] std::unexpected<Error> no_such_mailbox();
// NO [TRYCREATE] (RFC 3501 §7.1), for APPEND and COPY.
[[nodiscard]] std::unexpected<Error> try_create();
// NO [EXPUNGEISSUED] (RFC 5530 §3), for commands with sequence numbers.
[[nodiscard]] std::unexpected<Error> some_are_gone();

}  // namespace rims::imapd
