// imapd/imap/commands/expunge.cc - EXPUNGE and UID EXPUNGE
//
//   RFC  3501 §6.4.3; 4315 §2.1 (UID EXPUNGE); 7162 §3.2.7, §3.2.9 (HIGHESTMODSEQ);
//        9738 §3.1 (MESSAGELIMIT, of UID EXPUNGE only)
//
// The command loop sends the EXPUNGE responses, as for expunges by other sessions. For a message
// that the client does not know of yet, nothing is sent.

#include <utility>
#include <variant>
#include <vector>

#include "imapd/imap/message_limit.h"
#include "imapd/imap/session.h"

namespace rims::imapd::commands {

Task<Result<Reply>> expunge(Session& session, imap::Command command) {
  const auto& args = std::get<imap::Expunge>(command.args);
  Selected& selected = session.selected();
  std::vector<Uid> doomed;
  const auto consider = [&](Uid uid) {
    const store::MessageEntry* message = selected.mailbox->find(uid);
    if (message && (message->flags & store::kDeleted) != 0) doomed.push_back(uid);
  };
  if (args.uids) {
    CO_TRY(const std::vector<uint32_t> indexes, session.resolve(*args.uids, true));
    TimeSlice slice(session.host().loop());
    for (const uint32_t index : indexes) {
      consider(selected.view.uid_at(index));
      if (slice.step()) co_await slice.spend();
    }
  } else {
    for (const store::MessageEntry& message : selected.mailbox->messages())
      if ((message.flags & store::kDeleted) != 0) doomed.push_back(message.uid);
  }
  std::optional<Uid> lowest;
  if (args.uids) lowest = cut_to_limit(session, doomed, [](Uid uid) { return uid; });
  Reply reply{.text = args.uids ? "UID EXPUNGE completed" : "EXPUNGE completed", .code = {}};
  if (!doomed.empty()) {
    CO_TRY(const auto gone,
           co_await session.account().expunge(selected.id(), std::move(doomed), session.origin()));
    reply.names_modseq = !gone.empty() && session.enabled(Extension::qresync);
  }
  tell_limit(session, reply, lowest);
  co_return reply;
}

}  // namespace rims::imapd::commands
