// imapd/imap/searching.h - the messages of the selected mailbox that match a search program
//
//   RFC  3501 §6.4.4; 4731 §3.1 (MIN and MAX); 5256 §3 (SORT and THREAD search first);
//        9394 §3.1 (PARTIAL); 9585 (INPROGRESS); 9738 §3.1, §3.3 (MESSAGELIMIT)
//
// Each message is first tested with what is in memory. Its kept fields, its structure, its header
// and the whole message are read, in this order, only as long as the keys are undecided. What is
// large is searched on the pool. The search yields to the loop every few milliseconds, also within
// one message: a thousand keys that look through one header take a second.
//
// A message that is damaged costs no other one its place in the answer: it is no match, and a
// warning tells how many there were. RFC 3501 §7.1.2 has the untagged NO for this.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "common/async/task.h"
#include "common/base/result.h"
#include "common/imap/numbers.h"
#include "imapd/imap/message_reader.h"
#include "imapd/imap/search_program.h"
#include "imapd/imap/session.h"

namespace rims::imapd {

// No more than this is looked at of a header: as much as the structure has parsed.
inline constexpr uint32_t kMostHeader = 1 << 20;

// Sequence numbers, sorted.
using Found = imap::NumberSet<SeqNum>;

// What one search uses for each of its messages.
struct Searching {
  // `command` is for the log. All must outlive the search.
  Searching(Session& in, const SearchProgram& what, std::string_view command)
      : session(in),
        program(what),
        ahead(in.account(), what.wanted()),
        unreadable(in.account(), in.id(), command),
        slice(in.host().loop()) {}

  Session& session;
  const SearchProgram& program;
  StructuresAhead ahead;
  Unreadable unreadable;
  SearchTrial trial;
  TimeSlice slice;
  ModSeq highest;  // of those found
  // For the client that waits: how often all messages are gone through, and how many have been.
  uint32_t rounds = 1;
  uint64_t tested = 0;
  // The search begins here in the view. What is before it was cut off, if `lowest` is set.
  size_t from = 0;
  std::optional<Uid> lowest;
};

// The program of a command, for the selected mailbox; `search` must outlive it. Errors: refused
// BADCHARSET.
[[nodiscard]] Result<SearchProgram> program_of(Session& session, const imap::Search& search);

// Leaves only so many messages to be searched as the session's commands may work on: the last ones
// of those that the sets of numbers and UIDs among the keys allow.
Task<void> limit_search(Searching& search);
// All that match. The numbers stay right until the command has answered: its view does not change.
Task<Status> find_all(Searching& search, Found& found);
// Only the first and the last, as `returns` (imap::Search::min, max) asks for them: no more is
// looked for.
Task<Status> find_ends(Searching& search, uint8_t returns, Found& found);
// Only the page: it ends with the last match that is in it, from the side where the page begins.
Task<Status> find_page(Searching& search, const imap::Page& page, Found& found);
// The page of all that were found.
[[nodiscard]] Found page_of(const Found& all, const imap::Page& page);
// "* ESEARCH (TAG ...)", with UID where the command has it (RFC 4731 §2.1).
void append_esearch_head(std::string& out, const imap::Command& command);
// " PARTIAL (-1:-100 ": a set or NIL, and ")", are to follow.
void append_partial_head(std::string& out, const imap::Page& page);
// Tells of the messages that could not be read, if any: `what` is "searched".
void tell_unreadable(Session& session, const Unreadable& unreadable, std::string_view what);

}  // namespace rims::imapd
