// imapd/imap/commands/copy.cc - COPY and UID COPY
//
//   RFC  3501 §6.4.7, §6.4.8; 4315 §3 (COPYUID); 5530 §3 (EXPUNGEISSUED)
//
// All or nothing: the store copies in one change. When a number names a message that is gone,
// nothing is copied, since the client may go on to delete what it believes was copied.

#include <utility>
#include <variant>
#include <vector>

#include "common/imap/response.h"
#include "imapd/imap/render.h"
#include "imapd/imap/session.h"

namespace rims::imapd::commands {

Task<Result<Reply>> copy(Session& session, imap::Command command) {
  auto& args = std::get<imap::Copy>(command.args);
  CO_TRY(const std::vector<uint32_t> indexes, session.resolve(args.messages, command.by_uid));
  Selected& selected = session.selected();
  const store::MailboxInfo* target = session.account().find(args.mailbox);
  if (!target || target->noselect) co_return try_create();

  const MailboxId to_mailbox = target->id;
  TimeSlice slice(session.host().loop());
  std::vector<Uid> uids;
  uids.reserve(indexes.size());
  for (const uint32_t index : indexes) {
    if (slice.step()) co_await slice.spend();
    const Uid uid = selected.view.uid_at(index);
    if (selected.mailbox->find(uid))
      uids.push_back(uid);
    else if (!command.by_uid && !args.messages.saved)
      co_return some_are_gone();
  }
  Reply reply{.text = command.by_uid ? "UID COPY completed" : "COPY completed", .code = {}};
  if (uids.empty()) co_return reply;
  CO_TRY(const store::Copied copied, co_await session.account().copy(selected.id(), std::move(uids),
                                                                     to_mailbox, session.origin()));
  imap::NumberSet<Uid> from, to;
  for (const auto& [source, made] : copied.uids) {
    if (slice.step()) co_await slice.spend();
    from.add(source);
    to.add(made);
  }
  reply.code = imap::copy_uid_code(copied.uidvalidity, from, to);
  co_return reply;
}

}  // namespace rims::imapd::commands
