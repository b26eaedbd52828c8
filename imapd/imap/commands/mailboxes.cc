// imapd/imap/commands/mailboxes.cc - CREATE, DELETE, RENAME, SUBSCRIBE, UNSUBSCRIBE, STATUS
//
//   RFC  3501 §6.3.3 to §6.3.7, §6.3.10; 5530 §3 (ALREADYEXISTS, NONEXISTENT, CANNOT, LIMIT);
//        7162 §3.1.7 (HIGHESTMODSEQ); 9051 §6.3.9.7 (OLDNAME); 8474 §4 (MAILBOXID); 9208 §4.1.4
//        (DELETED)
//
// The store knows the rules of names (INBOX, inferiors, \Noselect) and returns the codes.

#include <utility>
#include <variant>

#include "common/imap/mailbox_name.h"
#include "common/imap/response.h"
#include "imapd/imap/render.h"
#include "imapd/imap/session.h"

namespace rims::imapd::commands {
namespace {

Reply done(std::string text) { return {.text = std::move(text), .code = {}}; }

// A mailbox has one special use; \All and \Flagged are views that we do not offer (RFC 6154 §3).
Result<store::SpecialUse> special_use_of(uint16_t bits) {
  switch (static_cast<imap::SpecialUse>(bits)) {
    case imap::SpecialUse::archive:
      return store::SpecialUse::archive;
    case imap::SpecialUse::drafts:
      return store::SpecialUse::drafts;
    case imap::SpecialUse::important:
      return store::SpecialUse::important;
    case imap::SpecialUse::junk:
      return store::SpecialUse::junk;
    case imap::SpecialUse::memos:
      return store::SpecialUse::memos;
    case imap::SpecialUse::scheduled:
      return store::SpecialUse::scheduled;
    case imap::SpecialUse::sent:
      return store::SpecialUse::sent;
    case imap::SpecialUse::snoozed:
      return store::SpecialUse::snoozed;
    case imap::SpecialUse::trash:
      return store::SpecialUse::trash;
    default:
      break;
  }
  if (bits == 0) return store::SpecialUse::none;
  return fail(Fault::refused, "that special use is not possible", {}, "USEATTR");
}

// A client of IMAP4rev2 learns which name it got for the one that it wrote (RFC 9051 §6.3.4,
// §6.3.6).
void tell_new_name(Session& session, const store::MailboxInfo* info) {
  if (info && session.enabled(Extension::imap4rev2))
    append_list_response(session, info->name, *session.old_name());
}

}  // namespace

Task<Result<Reply>> create(Session& session, imap::Command command) {
  auto& args = std::get<imap::Create>(command.args);
  CO_TRY(const store::SpecialUse use, special_use_of(args.special_use));
  CO_TRY(const MailboxId made,
         co_await session.account().create(std::move(args.mailbox), use, session.origin()));
  if (session.old_name()) tell_new_name(session, session.account().find(made));
  co_return Reply{.text = "CREATE completed",
                  .code = mailbox_id_code(session.account().object_id(made))};
}

// Other sessions that have it selected get BYE; this session only has no selected mailbox any more.
Task<Result<Reply>> remove(Session& session, imap::Command command) {
  auto& args = std::get<imap::Delete>(command.args);
  const store::MailboxInfo* info = session.account().find(args.mailbox);
  const bool ours = info && session.has_selected() && session.selected().id() == info->id;
  CO_TRY_STATUS(co_await session.account().remove(std::move(args.mailbox), session.origin()));
  if (ours) session.unselect();
  co_return done("DELETE completed");
}

Task<Result<Reply>> rename(Session& session, imap::Command command) {
  auto& args = std::get<imap::Rename>(command.args);
  const std::string name = args.to;
  CO_TRY_STATUS(co_await session.account().rename(std::move(args.from), std::move(args.to),
                                                  session.origin()));
  if (session.old_name()) tell_new_name(session, session.account().find(name));
  co_return done("RENAME completed");
}

Task<Result<Reply>> subscribe(Session& session, imap::Command command) {
  auto& args = std::get<imap::Subscribe>(command.args);
  CO_TRY_STATUS(co_await session.account().subscribe(std::move(args.mailbox), session.origin()));
  co_return done("SUBSCRIBE completed");
}

Task<Result<Reply>> unsubscribe(Session& session, imap::Command command) {
  auto& args = std::get<imap::Unsubscribe>(command.args);
  CO_TRY_STATUS(co_await session.account().unsubscribe(std::move(args.mailbox), session.origin()));
  co_return done("UNSUBSCRIBE completed");
}

Task<Result<Reply>> status(Session& session, imap::Command command) {
  const auto& args = std::get<imap::StatusQuery>(command.args);
  const store::MailboxInfo* info = session.account().find(args.mailbox);
  if (!info) co_return no_such_mailbox();
  if (info->noselect)
    co_return fail(Fault::refused, "the name holds other mailboxes, and no messages", {}, "CANNOT");
  if ((args.items & imap::StatusQuery::highestmodseq) != 0) session.enable(Extension::condstore);
  const MailboxId id = info->id;
  CO_TRY(const Deleted deleted, co_await count_deleted(session, id, args.items));
  info = session.account().find(id);  // it was awaited
  if (!info) co_return no_such_mailbox();
  append_status_response(session.out(), session, *info, args.items, deleted);
  co_return done("STATUS completed");
}

}  // namespace rims::imapd::commands
