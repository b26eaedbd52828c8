// imapd/imap/commands/search.cc - SEARCH and UID SEARCH
//
//   RFC  3501 §6.4.4, §7.2.5; 5530 §3 (BADCHARSET); 4731 (ESEARCH); 5182 (SEARCHRES);
//        5032 (WITHIN); 7162 §3.1.5, §3.1.6, §3.1.10 (MODSEQ)
//
// Each message is first tested with what is in memory. Its kept fields, its structure, its header
// and the whole message are read, in this order, only as long as the keys are undecided. What is
// large is searched on the pool. The command yields to the loop every few milliseconds, also within
// one message: a thousand keys that look through one header take a second.
//
// A message that is damaged costs no other one its place in the answer: it is no match, and a
// warning tells how many there were. RFC 3501 §7.1.2 has the untagged NO for this.

#include <algorithm>
#include <ctime>
#include <optional>
#include <utility>
#include <variant>
#include <vector>

#include "common/imap/response.h"
#include "imapd/imap/message_reader.h"
#include "imapd/imap/search_program.h"
#include "imapd/imap/session.h"

namespace rims::imapd::commands {
namespace {

// No more than this is searched of a header: as much as the structure has parsed.
constexpr uint32_t kHeaderLimit = 1 << 20;
// How far to look for messages of which to read more, and how many keys to test for it: a few
// milliseconds.
constexpr size_t kMostAhead = 4 * StructuresAhead::kMost;
constexpr size_t kLeastAhead = 16;
constexpr size_t kKeysAhead = 100'000;
// The clock is asked at each message when there are more keys than this.
constexpr size_t kManyKeys = 100;

// Sequence numbers, sorted.
using Found = imap::NumberSet<SeqNum>;

// What one search uses for each of its messages.
struct Searching {
  Session& session;
  const SearchProgram& program;
  StructuresAhead ahead;
  Unreadable unreadable;
  SearchTrial trial;
  TimeSlice slice;
  ModSeq highest;  // of those found
};

// Tests what `subject` has got now, which includes `bytes`, in steps.
Task<Match> test_in_steps(Searching& search, const SearchSubject& subject, std::string_view bytes) {
  Match match = Match::unknown;
  const auto step = [&] { match = search.program.test(subject, search.trial); };
  do {
    co_await search.slice.spend();
    co_await search.session.host().work_on(bytes, step);
  } while (match == Match::unknown && search.trial.stopped());
  co_return match;
}

// The stages that cost reading.
Task<Result<bool>> read_and_test(Searching& search, MessageReader& reader, SearchSubject subject) {
  CO_TRY(subject.structure, co_await reader.structure());
  Match match = co_await test_in_steps(search, subject, {});
  if (match != Match::unknown) co_return match == Match::yes;

  message::Range range = subject.structure->header();
  range.length = std::min(range.length, kHeaderLimit);
  CO_TRY(const std::string header, co_await reader.bytes(range));
  subject.header = header;
  match = co_await test_in_steps(search, subject, header);
  if (match != Match::unknown) co_return match == Match::yes;

  CO_TRY(const std::string whole, co_await reader.whole());
  subject.message = whole;
  match = co_await test_in_steps(search, subject, whole);
  co_return match == Match::yes;
}

// What is in memory of the message at `index`; no entry when it is gone.
SearchSubject subject_at(const Selected& selected, size_t index) {
  const Uid uid = selected.view.uid_at(index);
  return {.entry = selected.mailbox->find(uid),
          .number = static_cast<uint32_t>(index + 1),
          .recent = selected.view.is_recent(uid)};
}

// In which order messages are tested.
enum class Way : uint8_t { up, down };

// The index that is tested as the `n`th one.
size_t nth(Way way, size_t n, const View& view) { return way == Way::up ? n : view.size() - 1 - n; }

// Messages from the `n`th one on for which the data in memory does not decide.
std::vector<MessageId> coming(const Selected& selected, const SearchProgram& program, Way way,
                              size_t n) {
  std::vector<MessageId> messages;
  SearchTrial trial;
  const size_t most = std::clamp(kKeysAhead / program.size(), kLeastAhead, kMostAhead);
  const size_t end = std::min(selected.view.size(), n + most);
  for (; n < end && messages.size() < StructuresAhead::kMost; n++) {
    const SearchSubject subject = subject_at(selected, nth(way, n, selected.view));
    if (!subject.entry) continue;
    program.begin(trial);
    if (program.test(subject, trial) == Match::unknown) messages.push_back(subject.entry->message);
  }
  return messages;
}

enum class Until : uint8_t { first, last };

// Tests the messages one by one, until one matches or to the end.
Task<Status> test_all(Searching& search, Way way, Until until, Found& found) {
  const Selected& selected = search.session.selected();
  const SearchProgram& program = search.program;
  // The view does not change while the command runs; the mailbox may.
  for (size_t n = 0; n < selected.view.size(); n++) {
    SearchSubject subject = subject_at(selected, nth(way, n, selected.view));
    if (!subject.entry) continue;
    const store::MessageEntry entry = *subject.entry;
    subject.entry = &entry;
    program.begin(search.trial);
    Match match = program.test(subject, search.trial);
    const bool quick = match != Match::unknown;
    if (!quick) {
      const store::Structures::One* kept = search.ahead.find(entry.message);
      if (!kept) {
        CO_TRY_STATUS(co_await search.ahead.read(coming(selected, program, way, n)));
        kept = search.ahead.find(entry.message);
      }
      MessageReader reader(search.session.host(), search.session.account(), entry,
                           kept ? *kept : store::Structures::One());
      subject.fields = reader.fields();
      match = program.test(subject, search.trial);
      if (match == Match::unknown && search.trial.stopped())
        match = co_await test_in_steps(search, subject, {});
      if (match == Match::unknown) {
        const Result<bool> tested = co_await read_and_test(search, reader, subject);
        // A message that another session removed meanwhile is no match and no error.
        if (!tested && selected.mailbox->find(entry.uid) && !search.unreadable.take(tested.error()))
          co_return std::unexpected(tested.error());
        match = tested && *tested ? Match::yes : Match::no;
      }
    }
    if (match == Match::yes) {
      found.add(SeqNum(subject.number));
      search.highest = std::max(search.highest, entry.modseq);
    }
    if (match == Match::yes && until == Until::first) break;
    if (!quick || program.size() > kManyKeys || search.slice.step()) co_await search.slice.spend();
  }
  co_return Status();
}

// Only MIN and MAX are wanted: so much is found, and no more is looked for (RFC 4731 §3.1).
Task<Status> test_ends(Searching& search, uint8_t returns, Found& found) {
  Found largest;
  if ((returns & imap::Search::min) != 0) {
    CO_TRY_STATUS(co_await test_all(search, Way::up, Until::first, found));
    if (found.empty()) co_return Status();
  }
  if ((returns & imap::Search::max) != 0) {
    CO_TRY_STATUS(co_await test_all(search, Way::down, Until::first, largest));
    for (const auto& range : largest.ranges()) found.add_range(range.first, range.last);
  }
  co_return Status();
}

// Calls fn(first, last) with each run of numbers that follow each other, as the client named them.
template <class Fn>
Task<Status> for_each_run(Searching& search, const Found& found, bool by_uid, Fn fn) {
  const View& view = search.session.selected().view;
  for (const Found::Range& range : found.ranges()) {
    if (!by_uid) fn(range.first.value, range.last.value);
    for (uint32_t number = range.first.value; by_uid && number <= range.last.value;) {
      const uint32_t first = view.uid_at(number - 1).value;
      uint32_t last = first;
      while (++number <= range.last.value && view.uid_at(number - 1).value == last + 1) last++;
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

// SEARCH: every number by itself (RFC 3501 §7.2.5).
Task<Status> answer_plainly(Searching& search, const Found& found, bool by_uid) {
  std::string& out = search.session.out();
  const View& view = search.session.selected().view;
  out += "* SEARCH";
  for (const Found::Range& range : found.ranges()) {
    for (uint32_t number = range.first.value; number <= range.last.value; number++) {
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

// ESEARCH (RFC 4731 §3.1; RFC 4466 §2.6.2).
Task<Status> answer_extended(Searching& search, const Found& found, const imap::Command& command,
                             uint8_t returns) {
  const View& view = search.session.selected().view;
  const auto named = [&](SeqNum number) {
    return command.by_uid ? view.uid_at(number.value - 1).value : number.value;
  };
  std::string& out = search.session.out();
  out += "* ESEARCH (TAG ";
  imap::append_string(out, command.tag);
  out += command.by_uid ? ") UID" : ")";
  const auto item = [&](std::string_view name, uint64_t number) {
    out += name;
    imap::append_number(out, number);
  };
  if (!found.empty() && (returns & imap::Search::min) != 0)
    item(" MIN ", named(found.ranges().front().first));
  if (!found.empty() && (returns & imap::Search::max) != 0)
    item(" MAX ", named(found.ranges().back().last));
  if ((returns & imap::Search::count) != 0) item(" COUNT ", found.count());
  if (!found.empty() && (returns & imap::Search::all) != 0) {
    out += " ALL ";
    bool comma = false;
    CO_TRY_STATUS(
        co_await for_each_run(search, found, command.by_uid, [&](uint32_t first, uint32_t last) {
          imap::append_range(out, first, last, comma);
          comma = true;
        }));
  }
  // RFC 7162 §3.1.10: of the messages that are named, or else of all that were found.
  if (search.program.looks_at_modseq() && !found.empty()) item(" MODSEQ ", search.highest.value);
  out += "\r\n";
  co_return Status();
}

// The UIDs, with those between them that the view does not have.
imap::NumberSet<Uid> uids_of(const Found& found, const View& view) {
  imap::NumberSet<Uid> uids;
  for (const Found::Range& range : found.ranges())
    uids.add_range(view.uid_at(range.first.value - 1), view.uid_at(range.last.value - 1));
  return uids;
}

Task<Result<Reply>> search_and_answer(Session& session, const imap::Command& command) {
  const auto& args = std::get<imap::Search>(command.args);
  Selected& selected = session.selected();
  CO_TRY(const SearchProgram program, SearchProgram::make(args, {.mailbox = *selected.mailbox,
                                                                 .view = selected.view,
                                                                 .saved = selected.saved,
                                                                 .now = std::time(nullptr),
                                                                 .account = &session.account()}));
  if (program.looks_at_modseq()) session.enable(Extension::condstore);
  Searching searching{.session = session,
                      .program = program,
                      .ahead{session.account(), program.wanted()},
                      .unreadable{session.account(), session.id(), "SEARCH"},
                      .trial = {},
                      .slice = TimeSlice(session.host().loop()),
                      .highest = {}};
  Found found;
  constexpr uint8_t kEnds = imap::Search::min | imap::Search::max;
  constexpr uint8_t kWhole = imap::Search::all | imap::Search::count;
  if ((args.returns & kEnds) != 0 && (args.returns & kWhole) == 0) {
    CO_TRY_STATUS(co_await test_ends(searching, args.returns, found));
  } else {
    CO_TRY_STATUS(co_await test_all(searching, Way::up, Until::last, found));
  }
  if ((args.returns & imap::Search::save) != 0) {
    CO_TRY_STATUS(session.save_result(uids_of(found, selected.view)));
  }

  if (searching.unreadable.any())
    imap::append_status(session.out(), "*", imap::Condition::no, "UNAVAILABLE",
                        searching.unreadable.text("searched"));
  if (args.returns == 0) {
    CO_TRY_STATUS(co_await answer_plainly(searching, found, command.by_uid));
  } else if (args.returns != imap::Search::save) {
    CO_TRY_STATUS(co_await answer_extended(searching, found, command, args.returns));
  }
  co_return Reply{.text = command.by_uid ? "UID SEARCH completed" : "SEARCH completed", .code = {}};
}

}  // namespace

Task<Result<Reply>> search(Session& session, imap::Command command) {
  const auto& args = std::get<imap::Search>(command.args);
  Result<Reply> reply = co_await search_and_answer(session, command);
  // RFC 5182 §2.1: with NO, nothing was found.
  if ((args.returns & imap::Search::save) != 0 && !reply) session.selected().saved = {};
  co_return reply;
}

}  // namespace rims::imapd::commands
