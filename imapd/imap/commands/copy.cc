// imapd/imap/commands/copy.cc - COPY, MOVE and their UID forms
//
//   RFC  3501 §6.4.7, §6.4.8; 4315 §3 (COPYUID); 5530 §3 (EXPUNGEISSUED); 6851 §3.3 (MOVE), §4.3
//        (COPYUID comes before EXPUNGE), §4.4 (HIGHESTMODSEQ); 9738 §3.1 (MESSAGELIMIT)
//
// All or nothing: the store copies or moves in one change, also when it crashes. When a number
// names a message that is gone, nothing is copied, since the client may go on to delete what it
// believes was copied. The command loop sends the EXPUNGE responses of MOVE.

#include <utility>
#include <variant>
#include <vector>

#include "common/imap/response.h"
#include "imapd/imap/message_limit.h"
#include "imapd/imap/render.h"
#include "imapd/imap/session.h"

namespace rims::imapd::commands {
namespace {

Task<std::string> copy_uid_code(Session& session, const store::Copied& copied) {
  TimeSlice slice(session.host().loop());
  imap::NumberSet<Uid> from, to;
  for (const auto& [source, made] : copied.uids) {
    if (slice.step()) co_await slice.spend();
    from.add(source);
    to.add(made);
  }
  co_return imap::copy_uid_code(copied.uidvalidity, from, to);
}

enum class How : uint8_t { copy, move };

Task<Result<Reply>> copy_or_move(Session& session, const imap::SequenceSet& messages,
                                 std::string mailbox, bool by_uid, How how) {
  CO_TRY(std::vector<uint32_t> indexes, session.resolve(messages, by_uid));
  Selected& selected = session.selected();
  const auto uid_of = [&](uint32_t index) { return selected.view.uid_at(index); };
  std::optional<Uid> lowest;
  if (how == How::move) {
    lowest = cut_to_limit(session, indexes, uid_of);
  } else if (const auto limit = session.save_limit(); limit && indexes.size() > *limit) {
    co_return too_many(*limit, "copy", uid_of(indexes[indexes.size() - *limit]));
  }
  const store::MailboxInfo* target = session.account().find(mailbox);
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
    else if (!by_uid && !messages.saved)
      co_return some_are_gone();
  }
  const bool moves = how == How::move;
  Reply reply{.text = std::string(by_uid ? "UID " : "") + (moves ? "MOVE" : "COPY") + " completed",
              .code = {}};
  tell_limit(session, reply, lowest);
  if (uids.empty()) co_return reply;
  store::Account& account = session.account();
  auto copied =
      moves ? co_await account.move(selected.id(), std::move(uids), to_mailbox, session.origin())
            : co_await account.copy(selected.id(), std::move(uids), to_mailbox, session.origin());
  if (!copied) co_return std::unexpected(copied.error());
  std::string code = co_await copy_uid_code(session, *copied);
  if (!moves) {
    reply.code = std::move(code);
  } else if (!code.empty()) {
    imap::append_status(session.out(), "*", imap::Condition::ok, code, "moved");
    reply.names_modseq = true;
  }
  co_return reply;
}

}  // namespace

Task<Result<Reply>> copy(Session& session, imap::Command command) {
  auto& args = std::get<imap::Copy>(command.args);
  co_return co_await copy_or_move(session, args.messages, std::move(args.mailbox), command.by_uid,
                                  How::copy);
}

Task<Result<Reply>> move(Session& session, imap::Command command) {
  auto& args = std::get<imap::Move>(command.args);
  co_return co_await copy_or_move(session, args.messages, std::move(args.mailbox), command.by_uid,
                                  How::move);
}

}  // namespace rims::imapd::commands
