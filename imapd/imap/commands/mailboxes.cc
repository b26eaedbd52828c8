// imapd/imap/commands/mailboxes.cc - CREATE, DELETE, RENAME, SUBSCRIBE, UNSUBSCRIBE, STATUS
//
//   RFC  3501 §6.3.3 to §6.3.7, §6.3.10; 5530 §3 (ALREADYEXISTS, NONEXISTENT, CANNOT, LIMIT)
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
Result<store::SpecialUse> special_use_of(uint8_t bits) {
  switch (static_cast<imap::SpecialUse>(bits)) {
    case imap::SpecialUse::archive:
      return store::SpecialUse::archive;
    case imap::SpecialUse::drafts:
      return store::SpecialUse::drafts;
    case imap::SpecialUse::junk:
      return store::SpecialUse::junk;
    case imap::SpecialUse::sent:
      return store::SpecialUse::sent;
    case imap::SpecialUse::trash:
      return store::SpecialUse::trash;
    default:
      break;
  }
  if (bits == 0) return store::SpecialUse::none;
  return fail(Fault::refused, "that special use is not possible", {}, "USEATTR");
}

}  // namespace

Task<Result<Reply>> create(Session& session, imap::Command command) {
  auto& args = std::get<imap::Create>(command.args);
  CO_TRY(const store::SpecialUse use, special_use_of(args.special_use));
  CO_TRY([[maybe_unused]] const MailboxId made,
         co_await session.account().create(std::move(args.mailbox), use));
  co_return done("CREATE completed");
}

// Other sessions that have it selected get BYE; this session only has no selected mailbox any more.
Task<Result<Reply>> remove(Session& session, imap::Command command) {
  auto& args = std::get<imap::Delete>(command.args);
  const store::MailboxInfo* info = session.account().find(args.mailbox);
  const bool ours = info && session.has_selected() && session.selected().id() == info->id;
  CO_TRY_STATUS(co_await session.account().remove(std::move(args.mailbox)));
  if (ours) session.unselect();
  co_return done("DELETE completed");
}

Task<Result<Reply>> rename(Session& session, imap::Command command) {
  auto& args = std::get<imap::Rename>(command.args);
  CO_TRY_STATUS(co_await session.account().rename(std::move(args.from), std::move(args.to)));
  co_return done("RENAME completed");
}

Task<Result<Reply>> subscribe(Session& session, imap::Command command) {
  auto& args = std::get<imap::Subscribe>(command.args);
  CO_TRY_STATUS(co_await session.account().subscribe(std::move(args.mailbox)));
  co_return done("SUBSCRIBE completed");
}

Task<Result<Reply>> unsubscribe(Session& session, imap::Command command) {
  auto& args = std::get<imap::Unsubscribe>(command.args);
  CO_TRY_STATUS(co_await session.account().unsubscribe(std::move(args.mailbox)));
  co_return done("UNSUBSCRIBE completed");
}

// Counts are kept by the store, so a mailbox is not loaded for them.
Task<Result<Reply>> status(Session& session, imap::Command command) {
  const auto& args = std::get<imap::StatusQuery>(command.args);
  const store::MailboxInfo* info = session.account().find(args.mailbox);
  if (!info) co_return no_such_mailbox();
  if (info->noselect)
    co_return fail(Fault::refused, "the name holds other mailboxes, and no messages", {}, "CANNOT");
  uint64_t recent = info->recent;
  // What this session has claimed is recent for it alone (RFC 3501 §2.3.2).
  if (session.has_selected() && session.selected().id() == info->id &&
      !session.selected().read_only)
    recent += session.selected().view.recent_count();
  const struct {
    imap::StatusQuery::Item item;
    std::string_view name;
    uint64_t value;
  } rows[] = {
      {imap::StatusQuery::messages, "MESSAGES", info->messages},
      {imap::StatusQuery::recent, "RECENT", recent},
      {imap::StatusQuery::uidnext, "UIDNEXT", info->uidnext.value},
      {imap::StatusQuery::uidvalidity, "UIDVALIDITY", info->uidvalidity.value},
      {imap::StatusQuery::unseen, "UNSEEN", info->unseen},
  };
  std::string& out = session.out();
  out += "* STATUS ";
  imap::append_mailbox(out, info->name);
  char before = '(';
  out += ' ';
  for (const auto& row : rows) {
    if ((args.items & row.item) == 0) continue;
    out += before;
    before = ' ';
    out += row.name;
    out += ' ';
    imap::append_number(out, row.value);
  }
  if (before == '(') out += '(';
  out += ")\r\n";
  co_return done("STATUS completed");
}

}  // namespace rims::imapd::commands
