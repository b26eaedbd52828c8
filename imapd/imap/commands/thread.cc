// imapd/imap/commands/thread.cc - THREAD and UID THREAD
//
//   RFC  5256 §3, §4 (THREAD response); 9738 §3.3 (MESSAGELIMIT)

#include <variant>

#include "imapd/imap/found_headers.h"
#include "imapd/imap/message_limit.h"
#include "imapd/imap/searching.h"
#include "imapd/imap/session.h"
#include "imapd/imap/threads.h"

namespace rims::imapd::commands {
namespace {

Task<Status> answer(Session& session, Threads& threads, bool by_uid) {
  const View& view = session.selected().view;
  const auto named = [&](SeqNum number) {
    return by_uid ? view.uid_at(number.value - 1).value : number.value;
  };
  TimeSlice slice(session.host().loop());
  std::string& out = session.out();
  out += "* THREAD";
  bool first = true;
  for (std::string piece; threads.write(piece, named); piece.clear()) {
    if (first) out += ' ';
    first = false;
    out += piece;
    if (session.drain_is_due()) {
      CO_TRY_STATUS(co_await session.drain());
    }
    if (slice.step()) co_await slice.spend();
  }
  out += "\r\n";
  co_return Status();
}

}  // namespace

Task<Result<Reply>> thread(Session& session, imap::Command command) {
  const auto& args = std::get<imap::Thread>(command.args);
  CO_TRY(const SearchProgram program, program_of(session, args.search));
  if (program.looks_at_modseq()) session.enable(Extension::condstore);
  Searching searching(session, program, "THREAD");
  searching.rounds = 2;  // for_each_header() is the second
  co_await limit_search(searching);
  if (searching.lowest) co_return too_many(*session.message_limit(), "thread");
  Found found;
  CO_TRY_STATUS(co_await find_all(searching, found));
  tell_unreadable(session, searching.unreadable, "searched");

  Threads threads(args.algorithm);
  Unreadable unreadable(session.account(), session.id(), "THREAD");
  CO_TRY_STATUS(co_await for_each_header(
      session, found, Threads::fields(args.algorithm), true, unreadable,
      [&](const FoundHeader& one) -> Task<void> {
        threads.add(one.number, one.sent.value_or(one.entry.date), one.header);
        co_return;
      }));
  tell_unreadable(session, unreadable, "threaded by what they say");
  co_await session.host().work_apart([&] { threads.build(); });
  CO_TRY_STATUS(co_await answer(session, threads, command.by_uid));
  co_return Reply{.text = command.by_uid ? "UID THREAD completed" : "THREAD completed", .code = {}};
}

}  // namespace rims::imapd::commands
