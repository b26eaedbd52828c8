// imapd/imap/commands/store.cc - STORE and UID STORE: change the flags of messages
//
//   RFC         3501 §6.4.6 (STORE), §6.4.8 (UID STORE); 5530 §3 (EXPUNGEISSUED); 2180 §4.2 (over
//               expunged messages); 7162 §3.1.3 (UNCHANGEDSINCE, MODIFIED); 9738 §3.1
//               (MESSAGELIMIT)
//   Parsed by   common/imap (pure: bytes in, imap::Store out)
//   Talks to    the store's Account; no file or socket of its own
//
// Invariants
//   1. Nothing is written to the client before the store has committed.
//   2. One command is one change of the account: all messages, or none when the store fails.
//   3. The client gets the current flags, not those that it asked for: another session's change
//      that came before is included, and is not sent again afterwards.

#include <algorithm>
#include <utility>
#include <variant>
#include <vector>

#include "imapd/imap/message_limit.h"
#include "imapd/imap/render.h"
#include "imapd/imap/session.h"

namespace rims::imapd::commands {
namespace {

using Verdict = rims::store::FlagOutcome::Verdict;

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
  CO_TRY(std::vector<uint32_t> indexes, session.resolve(args.messages, command.by_uid));

  Selected& selected = session.selected();
  const auto lowest =
      cut_to_limit(session, indexes, [&](uint32_t index) { return selected.view.uid_at(index); });
  rims::store::FlagChange change;
  change.uids.reserve(indexes.size());
  for (const uint32_t index : indexes) change.uids.push_back(selected.view.uid_at(index));
  change.op = op_of(args.how);
  change.flags = args.flags.system;
  change.keywords = std::move(args.flags.keywords);
  if (args.unchanged_since) {
    change.unchanged_since = ModSeq(*args.unchanged_since);
    session.enable(Extension::condstore);
  }
  bool some_gone = false;
  imap::NumberSet<Uid> modified;  // UIDs or message numbers
  if (!change.uids.empty()) {
    CO_TRY(auto outcomes, co_await session.account().change_flags(selected.id(), std::move(change),
                                                                  session.origin()));
    if (!args.silent || args.unchanged_since) session.tell_keywords();
    TimeSlice slice(session.host().loop());
    for (const rims::store::FlagOutcome& outcome : outcomes) {
      if (outcome.verdict == Verdict::too_new)
        modified.add(command.by_uid ? outcome.uid : Uid(selected.view.seq_of(outcome.uid).value));
      if (slice.step()) co_await slice.spend();
    }
    if (lowest) std::ranges::reverse(outcomes);  // RFC 9738 §3.1
    for (const rims::store::FlagOutcome& outcome : outcomes) {
      if (outcome.verdict == Verdict::gone) {
        some_gone = true;
        continue;
      }
      // Why it failed the client learns at once (RFC 7162 §3.1.3 recommends it).
      if (!args.silent || outcome.verdict == Verdict::too_new)
        session.tell_flags(outcome.uid, command.by_uid);
      else if (args.unchanged_since ||
               (outcome.verdict == Verdict::changed && session.enabled(Extension::condstore)))
        session.tell_flags(outcome.uid, true, Session::Tell::modseq_only);
      if (session.drain_is_due()) {
        CO_TRY_STATUS(co_await session.drain());
      }
      if (slice.step()) co_await slice.spend();
    }
  }
  std::string code;
  if (!modified.empty()) {
    code = "MODIFIED ";
    imap::append_number_set(code, modified);
  }
  // A UID that names nothing is ignored (RFC 3501 §6.4.8); a number always named a message. A
  // client that wants no answer is not told NO (RFC 2180 §4.2.1).
  if (some_gone && !command.by_uid && !args.silent && !args.messages.saved) {
    tell_limit(session, lowest);
    if (code.empty()) co_return some_are_gone();
    co_return fail(Fault::not_found, "some of the messages were expunged by another session", {},
                   std::move(code));
  }
  Reply reply{.text = command.by_uid ? "UID STORE completed" : "STORE completed",
              .code = std::move(code)};
  tell_limit(session, reply, lowest);
  co_return reply;
}

}  // namespace rims::imapd::commands
