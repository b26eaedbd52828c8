// imapd/imap/commands/search.cc - SEARCH and UID SEARCH
//
//   RFC  3501 §6.4.4, §7.2.5; 5530 §3 (BADCHARSET); 4731 (ESEARCH); 5182 (SEARCHRES);
//        5032 (WITHIN); 7162 §3.1.5, §3.1.6, §3.1.10 (MODSEQ); 9051 §6.4.4 (always ESEARCH);
//        9394 §3.1, §3.2 (PARTIAL); 9738 §3.1, §3.4 (MESSAGELIMIT)
//
// How messages are tested: searching.h.

#include <algorithm>
#include <span>
#include <utility>
#include <variant>

#include "common/imap/response.h"
#include "imapd/imap/message_limit.h"
#include "imapd/imap/searching.h"
#include "imapd/imap/session.h"

namespace rims::imapd::commands {
namespace {

// Calls fn(first, last) with each run of numbers that follow each other, as the client named them.
template <class Fn>
Task<Status> for_each_run(Searching& search, const Found& found, bool by_uid, Fn fn) {
  const View& view = search.session.selected().view;
  for (const Found::Range& range : found.ranges()) {
    if (!by_uid) fn(range.first.value, range.last.value);
    for (uint32_t number = range.first.value; by_uid && number <= range.last.value;) {
      const uint32_t first = view.uid_at(number - 1).value;
      uint32_t last = first;
      for (number++; number <= range.last.value; number++, last++)
        if (view.uid_at(number - 1).value != last + 1) break;
      fn(first, last);
      if (search.slice.step()) co_await search.slice.spend();
      if (search.session.drain_is_due()) {
        CO_TRY_STATUS(co_await search.session.drain());
      }
    }
    if (search.slice.step()) co_await search.slice.spend();
    if (search.session.drain_is_due()) {
      CO_TRY_STATUS(co_await search.session.drain());
    }
  }
  co_return Status();
}

// SEARCH: every number by itself (RFC 3501 §7.2.5); the highest first where a limit has ended the
// search (RFC 9738 §3.1).
Task<Status> answer_plainly(Searching& search, const Found& found, bool by_uid) {
  std::string& out = search.session.out();
  const View& view = search.session.selected().view;
  out += "* SEARCH";
  const bool down = search.lowest.has_value();
  const std::span ranges(found.ranges());
  for (size_t i = 0; i < ranges.size(); i++) {
    const Found::Range& range = ranges[down ? ranges.size() - 1 - i : i];
    for (uint32_t n = 0; n <= range.last.value - range.first.value; n++) {
      const uint32_t number = down ? range.last.value - n : range.first.value + n;
      out += ' ';
      imap::append_number(out, by_uid ? view.uid_at(number - 1).value : number);
      if (search.session.drain_is_due()) {
        CO_TRY_STATUS(co_await search.session.drain());
      }
      if (search.slice.step()) co_await search.slice.spend();
    }
  }
  if (search.program.looks_at_modseq() && !found.empty()) {
    out += " (MODSEQ ";
    imap::append_number(out, search.highest.value);
    out += ')';
  }
  out += "\r\n";
  co_return Status();
}

// What an ESEARCH tells of.
struct Results {
  Found found;  // for MIN, MAX, ALL and COUNT
  Found page;   // for PARTIAL
  [[nodiscard]] bool empty() const { return found.empty() && page.empty(); }
};

// ESEARCH (RFC 4731 §3.1; RFC 4466 §2.6.2; RFC 9394 §3.1).
Task<Status> answer_extended(Searching& search, const Results& results,
                             const imap::Command& command, const imap::Search& args) {
  const View& view = search.session.selected().view;
  const Found& found = results.found;
  const auto asks = [&](imap::Search::Return what) { return (args.returns & what) != 0; };
  const auto named = [&](SeqNum number) {
    return command.by_uid ? view.uid_at(number.value - 1).value : number.value;
  };
  std::string& out = search.session.out();
  append_esearch_head(out, command);
  const auto item = [&](std::string_view name, uint64_t number) {
    out += name;
    imap::append_number(out, number);
  };
  if (!found.empty() && asks(imap::Search::min)) item(" MIN ", named(found.ranges().front().first));
  if (!found.empty() && asks(imap::Search::max)) item(" MAX ", named(found.ranges().back().last));
  if (asks(imap::Search::count)) item(" COUNT ", found.count());
  bool comma = false;
  const auto range = [&](uint32_t first, uint32_t last) {
    imap::append_range(out, first, last, std::exchange(comma, true));
  };
  if (!found.empty() && asks(imap::Search::all)) {
    out += " ALL ";
    CO_TRY_STATUS(co_await for_each_run(search, found, command.by_uid, range));
  }
  if (asks(imap::Search::partial)) {
    append_partial_head(out, args.page);
    if (results.page.empty()) out += "NIL";
    CO_TRY_STATUS(co_await for_each_run(search, results.page, command.by_uid, range));
    out += ')';
  }
  // RFC 7162 §3.1.10: of the messages that are named, or else of all that were found.
  if (search.program.looks_at_modseq() && !results.empty()) item(" MODSEQ ", search.highest.value);
  out += "\r\n";
  co_return Status();
}

// No more is looked for than the answer tells.
Task<Status> find(Searching& search, const imap::Search& args, Results& results) {
  constexpr uint8_t kEnds = imap::Search::min | imap::Search::max;
  constexpr uint8_t kWhole = imap::Search::all | imap::Search::count;
  const bool pages = (args.returns & imap::Search::partial) != 0;
  if ((args.returns & kWhole) != 0 || (args.returns & (kEnds | imap::Search::partial)) == 0) {
    CO_TRY_STATUS(co_await find_all(search, results.found));
    if (pages) results.page = page_of(results.found, args.page);
    co_return Status();
  }
  CO_TRY_STATUS(co_await find_ends(search, args.returns, results.found));
  if (pages) {
    CO_TRY_STATUS(co_await find_page(search, args.page, results.page));
  }
  co_return Status();
}

// The UIDs, with those between them that the view does not have.
imap::NumberSet<Uid> uids_of(const Found& found, const View& view) {
  imap::NumberSet<Uid> uids;
  for (const Found::Range& range : found.ranges())
    uids.add_range(view.uid_at(range.first.value - 1), view.uid_at(range.last.value - 1));
  return uids;
}

// RFC 5182 §2.4, RFC 9394 §3.2: what the answer names, or with COUNT all that were found.
Found to_save(const Results& results) {
  Found all = results.page;
  for (const Found::Range& range : results.found.ranges()) all.add_range(range.first, range.last);
  all.sort_and_merge();
  return all;
}

Task<Result<Reply>> search_and_answer(Session& session, const imap::Command& command) {
  const auto& args = std::get<imap::Search>(command.args);
  Selected& selected = session.selected();
  CO_TRY(const SearchProgram program, program_of(session, args));
  if (program.looks_at_modseq()) session.enable(Extension::condstore);
  Searching searching(session, program, "SEARCH");
  co_await limit_search(searching);
  Results results;
  CO_TRY_STATUS(co_await find(searching, args, results));
  if ((args.returns & imap::Search::save) != 0) {
    CO_TRY_STATUS(session.save_result(uids_of(to_save(results), selected.view)));
  }

  tell_unreadable(session, searching.unreadable, "searched");
  if (args.returns == 0) {
    CO_TRY_STATUS(co_await answer_plainly(searching, results.found, command.by_uid));
  } else if (args.returns != imap::Search::save) {
    CO_TRY_STATUS(co_await answer_extended(searching, results, command, args));
  }
  Reply reply{.text = command.by_uid ? "UID SEARCH completed" : "SEARCH completed", .code = {}};
  tell_limit(session, reply, searching.lowest);
  co_return reply;
}

}  // namespace

Task<Result<Reply>> search(Session& session, imap::Command command) {
  auto& args = std::get<imap::Search>(command.args);
  // RFC 9051 §6.4.4: without RETURN it is ALL.
  if (args.returns == 0 && session.enabled(Extension::imap4rev2)) args.returns = imap::Search::all;
  Result<Reply> reply = co_await search_and_answer(session, command);
  // RFC 5182 §2.1: with NO, nothing was found.
  if ((args.returns & imap::Search::save) != 0 && !reply) session.selected().saved = {};
  co_return reply;
}

}  // namespace rims::imapd::commands
