// imapd/imap/commands/select.cc - SELECT, EXAMINE, CLOSE, UNSELECT
//
//   RFC  3501 §6.3.1, §6.3.2, §6.4.2; 3691 (UNSELECT); 5530 (NONEXISTENT); 7162 §3.1.2
//        (HIGHESTMODSEQ), §3.1.8 (CONDSTORE), §3.2.5 (QRESYNC), §3.2.8 (CLOSE), §3.2.11 (CLOSED);
//        8474 §4.2 (MAILBOXID); 9208 §4.3.1 (OVERQUOTA); 9051 §6.3.2 (LIST, and no UNSEEN)
//
// A failed SELECT leaves no mailbox selected (RFC 3501 §6.3.1).

#include <utility>
#include <variant>
#include <vector>

#include "common/imap/response.h"
#include "imapd/imap/render.h"
#include "imapd/imap/resync.h"
#include "imapd/imap/session.h"

namespace rims::imapd::commands {
namespace {

// The number of the first message without \Seen, 0 for none.
uint32_t first_unseen(const store::Mailbox& mailbox) {
  uint32_t number = 0;
  for (const store::MessageEntry& message : mailbox.messages()) {
    number++;
    if ((message.flags & store::kSeen) == 0) return number;
  }
  return 0;
}

void append_ok(std::string& out, std::string_view code, uint64_t number, std::string_view text) {
  out += "* OK [";
  out += code;
  out += ' ';
  imap::append_number(out, number);
  out += "] ";
  out += text;
  out += "\r\n";
}

Task<Result<Reply>> open(Session& session, std::string name, imap::SelectParameters parameters,
                         bool read_only) {
  if (parameters.resync && !session.enabled(Extension::qresync))
    co_return fail(Fault::syntax, "QRESYNC must be enabled before it is used");
  if (session.has_selected()) {
    session.unselect();
    imap::append_status(session.out(), "*", imap::Condition::ok, "CLOSED",
                        "what follows is not of the mailbox that was selected");
  }
  if (parameters.condstore) session.enable(Extension::condstore);
  const store::MailboxInfo* info = session.account().find(name);
  if (!info) co_return no_such_mailbox();
  if (info->noselect)
    co_return fail(Fault::refused, "the name holds other mailboxes, and no messages", {}, "CANNOT");
  CO_TRY(auto mailbox, co_await session.account().open_mailbox(info->id));
  CO_TRY_STATUS(session.room_to_view(mailbox->messages().size()));

  // No co_await until all of it is told, so the client gets one state of the mailbox.
  std::vector<uint32_t> uids;
  uids.reserve(mailbox->messages().size());
  for (const store::MessageEntry& message : mailbox->messages()) uids.push_back(message.uid.value);
  const uint32_t last = uids.empty() ? 0 : uids.back();

  Selected selected;
  selected.mailbox = mailbox;
  selected.read_only = read_only;
  selected.told_keywords = mailbox->keywords().names().size();
  selected.known_modseq = highest_modseq(mailbox->info());
  selected.view.reset(std::move(uids));
  session.select(std::move(selected));
  session.claim_recent(Uid(1), Uid(last));

  const Selected& now = session.selected();
  std::string& out = session.out();
  append_flags_lines(out, now, session.account().limits());
  imap::append_untagged(out, static_cast<uint32_t>(now.view.size()), "EXISTS");
  if (session.enabled(Extension::imap4rev2)) {
    append_list_response(session, mailbox->info().name, session.old_name().value_or(""));
  } else {
    now.view.tell_recent(out);
    // A message number (RFC 9586 §3).
    const uint32_t unseen = session.enabled(Extension::uidonly) ? 0 : first_unseen(*mailbox);
    if (unseen != 0) append_ok(out, "UNSEEN", unseen, "first unseen message");
  }
  out += "* OK [" + mailbox_id_code(session.account().object_id(now.id())) + "] permanent id\r\n";
  append_ok(out, "UIDVALIDITY", mailbox->info().uidvalidity.value, "UIDs are valid");
  append_ok(out, "UIDNEXT", mailbox->info().uidnext.value, "predicted next UID");
  append_ok(out, "HIGHESTMODSEQ", now.known_modseq.value, "of the mailbox");
  warn_of_quota(session);
  if (parameters.resync) {
    CO_TRY_STATUS(co_await resynchronize(session, *parameters.resync));
  }
  co_return Reply{.text = read_only ? "EXAMINE completed" : "SELECT completed",
                  .code = read_only ? "READ-ONLY" : "READ-WRITE"};
}

}  // namespace

Task<Result<Reply>> select(Session& session, imap::Command command) {
  auto& args = std::get<imap::Select>(command.args);
  co_return co_await open(session, std::move(args.mailbox), std::move(args.parameters), false);
}

Task<Result<Reply>> examine(Session& session, imap::Command command) {
  auto& args = std::get<imap::Examine>(command.args);
  co_return co_await open(session, std::move(args.mailbox), std::move(args.parameters), true);
}

// Removes the \Deleted messages, without EXPUNGE responses (RFC 3501 §6.4.2). HIGHESTMODSEQ must
// not be told: it would hide them from the next resynchronization (RFC 7162 §3.2.8).
Task<Result<Reply>> close(Session& session, imap::Command) {
  Selected& selected = session.selected();
  if (!selected.read_only) {
    std::vector<Uid> doomed;
    for (const store::MessageEntry& message : selected.mailbox->messages())
      if ((message.flags & store::kDeleted) != 0) doomed.push_back(message.uid);
    if (!doomed.empty()) {
      CO_TRY([[maybe_unused]] auto gone, co_await session.account().expunge(
                                             selected.id(), std::move(doomed), session.origin()));
    }
  }
  session.unselect();
  co_return Reply{.text = "CLOSE completed", .code = {}};
}

Task<Result<Reply>> unselect(Session& session, imap::Command) {
  session.unselect();
  co_return Reply{.text = "UNSELECT completed", .code = {}};
}

}  // namespace rims::imapd::commands
