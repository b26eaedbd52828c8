// imapd/imap/commands/store.cc - STORE and UID STORE: change the flags of messages
//
//   RFC         3501 §6.4.6 (STORE), §6.4.8 (UID STORE); 5530 §3 (EXPUNGEISSUED)
//   Parsed by   common/imap (pure: bytes in, imap::Store out)
//   Talks to    the store's Account; no file or socket of its own
//
// Invariants
//   1. Nothing is written to the client before the store has committed.
//   2. One command is one change of the account: all messages, or none when the store fails.
//   3. The client gets the current flags, not those that it asked for: another session's change
//      that came before is included, and is not sent again afterwards.

#include <utility>
#include <variant>
#include <vector>

#include "imapd/imap/render.h"
#include "imapd/imap/session.h"

namespace rims::imapd::commands {
namespace {

store::FlagOp op_of(imap::Store::How how) {
  switch (how) {
    case imap::Store::How::add:
      return store::FlagOp::add;
    case imap::Store::How::remove:
      return store::FlagOp::remove;
    case imap::Store::How::replace:
      break;
  }
  return store::FlagOp::replace;
}

}  // namespace

Task<Result<Reply>> store(Session& session, imap::Command command) {
  auto& args = std::get<imap::Store>(command.args);
  CO_TRY(const std::vector<uint32_t> indexes, session.resolve(args.messages, command.by_uid));

  Selected& selected = session.selected();
  rims::store::FlagChange change;
  change.uids.reserve(indexes.size());
  for (const uint32_t index : indexes) change.uids.push_back(selected.view.uid_at(index));
  change.op = op_of(args.how);
  change.flags = args.flags.system;
  change.keywords = std::move(args.flags.keywords);
  bool some_gone = false;
  if (!change.uids.empty()) {
    CO_TRY(const auto outcomes, co_await session.account().change_flags(
                                    selected.id(), std::move(change), session.origin()));
    if (!args.silent) session.tell_keywords();
    TimeSlice slice(session.host().loop());
    for (const rims::store::FlagOutcome& outcome : outcomes) {
      if (outcome.verdict == rims::store::FlagOutcome::Verdict::gone) {
        some_gone = true;
        continue;
      }
      if (args.silent) continue;
      session.tell_flags(outcome.uid, command.by_uid);
      if (session.drain_is_due()) {
        CO_TRY_STATUS(co_await session.drain());
      }
      if (slice.step()) co_await slice.spend();
    }
  }
  // A UID that names nothing is ignored (RFC 3501 §6.4.8); a number always named a message.
  if (some_gone && !command.by_uid && !args.messages.saved) co_return some_are_gone();
  co_return Reply{.text = command.by_uid ? "UID STORE completed" : "STORE completed", .code = {}};
}

}  // namespace rims::imapd::commands
