// imapd/imap/commands/sort.cc - SORT and UID SORT
//
//   RFC  5256 §3, §4 (SORT response); 5957 (DISPLAYFROM, DISPLAYTO); 5267 §3.1 (RETURN): MIN and
//        MAX are the first and the last one in the order asked for, ALL is in that order;
//        9394 §3.1 (PARTIAL): a page of that order; 9738 §3.3 (MESSAGELIMIT)

#include <algorithm>
#include <utility>
#include <variant>

#include "common/imap/response.h"
#include "imapd/imap/found_headers.h"
#include "imapd/imap/message_limit.h"
#include "imapd/imap/searching.h"
#include "imapd/imap/session.h"
#include "imapd/imap/sort_order.h"

namespace rims::imapd::commands {
namespace {

Task<Status> fill(Session& session, const Found& found, SortOrder& order, Unreadable& unreadable) {
  CO_TRY_STATUS(co_await for_each_header(session, found, order.fields(), order.looks_at_date(),
                                         unreadable, [&](const FoundHeader& one) -> Task<void> {
                                           if (order.is_full())
                                             co_await session.host().work_apart(
                                                 [&] { order.shorten(); });
                                           order.add(one.number, one.entry, one.sent, one.header);
                                         }));
  co_await session.host().work_apart([&] { order.sort(); });
  co_return Status();
}

// In the order of `numbers`, each after what `before` has appended.
template <class Before>
Task<Status> append_all(Session& session, std::span<const uint32_t> numbers, bool by_uid,
                        Before before) {
  TimeSlice slice(session.host().loop());
  for (const uint32_t number : numbers) {
    before();
    imap::append_number(session.out(),
                        by_uid ? session.selected().view.uid_at(number - 1).value : number);
    if (session.drain_is_due()) {
      CO_TRY_STATUS(co_await session.drain());
    }
    if (slice.step()) co_await slice.spend();
  }
  co_return Status();
}

std::span<const uint32_t> page_of(std::span<const uint32_t> numbers, const imap::Page& page) {
  const size_t skip = std::min<size_t>(page.skips(), numbers.size());
  const size_t size = std::min<size_t>(page.size(), numbers.size() - skip);
  return numbers.subspan(page.from_end ? numbers.size() - skip - size : skip, size);
}

Task<Status> answer(Session& session, const imap::Command& command, const imap::Search& args,
                    std::span<const uint32_t> numbers, std::optional<ModSeq> modseq) {
  const uint8_t returns = args.returns;
  std::string& out = session.out();
  if (returns == 0) {
    out += "* SORT";
    CO_TRY_STATUS(co_await append_all(session, numbers, command.by_uid, [&] { out += ' '; }));
    if (modseq) {
      out += " (MODSEQ ";
      imap::append_number(out, modseq->value);
      out += ')';
    }
    out += "\r\n";
    co_return Status();
  }
  append_esearch_head(out, command);
  const auto item = [&](std::string_view name, size_t at) {
    out += name;
    imap::append_number(
        out, command.by_uid ? session.selected().view.uid_at(numbers[at] - 1).value : numbers[at]);
  };
  if (!numbers.empty() && (returns & imap::Search::min) != 0) item(" MIN ", 0);
  if (!numbers.empty() && (returns & imap::Search::max) != 0) item(" MAX ", numbers.size() - 1);
  if ((returns & imap::Search::count) != 0) {
    out += " COUNT ";
    imap::append_number(out, numbers.size());
  }
  const auto comma = [&, before = false] mutable {
    if (std::exchange(before, true)) out += ',';
  };
  if (!numbers.empty() && (returns & imap::Search::all) != 0) {
    out += " ALL ";
    CO_TRY_STATUS(co_await append_all(session, numbers, command.by_uid, comma));
  }
  if ((returns & imap::Search::partial) != 0) {
    const std::span<const uint32_t> page = page_of(numbers, args.page);
    append_partial_head(out, args.page);
    if (page.empty()) out += "NIL";
    CO_TRY_STATUS(co_await append_all(session, page, command.by_uid, comma));
    out += ')';
  }
  if (modseq) {
    out += " MODSEQ ";
    imap::append_number(out, modseq->value);
  }
  out += "\r\n";
  co_return Status();
}

}  // namespace

Task<Result<Reply>> sort(Session& session, imap::Command command) {
  const auto& args = std::get<imap::Sort>(command.args);
  CO_TRY(const SearchProgram program, program_of(session, args.search));
  if (program.looks_at_modseq()) session.enable(Extension::condstore);
  Searching searching(session, program, "SORT");
  searching.rounds = 2;  // for_each_header() is the second
  co_await limit_search(searching);
  if (searching.lowest) co_return too_many(*session.message_limit(), "sort");
  Found found;
  CO_TRY_STATUS(co_await find_all(searching, found));
  tell_unreadable(session, searching.unreadable, "searched");

  SortOrder order(args.keys);
  Unreadable unreadable(session.account(), session.id(), "SORT");
  CO_TRY_STATUS(co_await fill(session, found, order, unreadable));
  tell_unreadable(session, unreadable, "sorted by what they say");
  std::optional<ModSeq> modseq;
  if (program.looks_at_modseq() && !found.empty()) modseq = searching.highest;
  CO_TRY_STATUS(co_await answer(session, command, args.search, order.numbers(), modseq));
  co_return Reply{.text = command.by_uid ? "UID SORT completed" : "SORT completed", .code = {}};
}

}  // namespace rims::imapd::commands
