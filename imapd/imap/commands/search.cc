// imapd/imap/commands/search.cc - SEARCH and UID SEARCH
//
//   RFC  3501 §6.4.4, §7.2.5; 5530 §3 (BADCHARSET)
//
// Each message is first tested with what is in memory. Its kept fields, its structure, its header
// and the whole message are read, in this order, only as long as the keys are undecided. What is
// large is searched on the pool. The command yields to the loop every few milliseconds, also within
// one message: a thousand keys that look through one header take a second.
//
// A message that is damaged costs no other one its place in the answer: it is no match, and a
// warning tells how many there were. RFC 3501 §7.1.2 has the untagged NO for this.

#include <algorithm>
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

// What one search uses for each of its messages.
struct Searching {
  Session& session;
  const SearchProgram& program;
  SearchTrial trial;
  TimeSlice slice;
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

// Messages from `index` on for which the data in memory does not decide.
std::vector<MessageId> coming(const Selected& selected, const SearchProgram& program,
                              size_t index) {
  std::vector<MessageId> messages;
  SearchTrial trial;
  const size_t most = std::clamp(kKeysAhead / program.size(), kLeastAhead, kMostAhead);
  const size_t end = std::min(selected.view.size(), index + most);
  for (; index < end && messages.size() < StructuresAhead::kMost; index++) {
    const SearchSubject subject = subject_at(selected, index);
    if (!subject.entry) continue;
    program.begin(trial);
    if (program.test(subject, trial) == Match::unknown) messages.push_back(subject.entry->message);
  }
  return messages;
}

}  // namespace

Task<Result<Reply>> search(Session& session, imap::Command command) {
  const auto& args = std::get<imap::Search>(command.args);
  Selected& selected = session.selected();
  CO_TRY(const SearchProgram program, SearchProgram::make(args, *selected.mailbox, selected.view));
  Searching searching{
      .session = session, .program = program, .slice = TimeSlice(session.host().loop())};
  SearchTrial& trial = searching.trial;
  StructuresAhead ahead(session.account(), program.wanted());
  Unreadable unreadable(session.account(), session.id(), "SEARCH");
  std::vector<uint32_t> found;
  // The view does not change while the command runs; the mailbox may.
  for (size_t index = 0; index < selected.view.size(); index++) {
    SearchSubject subject = subject_at(selected, index);
    if (!subject.entry) continue;
    const store::MessageEntry entry = *subject.entry;
    subject.entry = &entry;
    program.begin(trial);
    Match match = program.test(subject, trial);
    const bool quick = match != Match::unknown;
    if (!quick) {
      const store::Structures::One* kept = ahead.find(entry.message);
      if (!kept) {
        CO_TRY_STATUS(co_await ahead.read(coming(selected, program, index)));
        kept = ahead.find(entry.message);
      }
      MessageReader reader(session.host(), session.account(), entry,
                           kept ? *kept : store::Structures::One());
      subject.fields = reader.fields();
      match = program.test(subject, trial);
      if (match == Match::unknown && trial.stopped())
        match = co_await test_in_steps(searching, subject, {});
      if (match == Match::unknown) {
        const Result<bool> tested = co_await read_and_test(searching, reader, subject);
        // A message that another session removed meanwhile is no match and no error.
        if (!tested && selected.mailbox->find(entry.uid) && !unreadable.take(tested.error()))
          co_return std::unexpected(tested.error());
        match = tested && *tested ? Match::yes : Match::no;
      }
    }
    if (match == Match::yes) found.push_back(command.by_uid ? entry.uid.value : subject.number);
    if (!quick || program.size() > kManyKeys || searching.slice.step())
      co_await searching.slice.spend();
  }
  std::string& out = session.out();
  if (unreadable.any())
    imap::append_status(out, "*", imap::Condition::no, "UNAVAILABLE", unreadable.text("searched"));
  out += "* SEARCH";
  for (const uint32_t number : found) {
    out += ' ';
    imap::append_number(out, number);
    if (session.drain_is_due()) {
      CO_TRY_STATUS(co_await session.drain());
    }
  }
  out += "\r\n";
  co_return Reply{.text = command.by_uid ? "UID SEARCH completed" : "SEARCH completed", .code = {}};
}

}  // namespace rims::imapd::commands
