// imapd/commands/search.cc - SEARCH and UID SEARCH
//
//   RFC  3501 §6.4.4, §7.2.5; 5530 §3 (BADCHARSET)
//
// Each message is tried with what is in memory first; its structure, its header, all of it are
// read only when the keys leave it open. Large messages are searched on the pool, and the loop
// is given way to every few milliseconds.

#include <optional>
#include <utility>
#include <variant>
#include <vector>

#include "common/imap/response.h"
#include "imapd/message_reader.h"
#include "imapd/search_program.h"
#include "imapd/session.h"
#include "imapd/worker.h"

namespace rims::imapd::commands {
namespace {

// Of a header, no more than this is searched: as much as the structure took apart.
constexpr uint32_t kHeaderLimit = 1 << 20;
// A search in more bytes than this is done by the pool.
constexpr uint32_t kSmall = 256 * 1024;

// The stages that cost reading.
Task<Result<bool>> read_and_test(Session& session, const SearchProgram& program,
                                 SearchSubject subject) {
  Worker& worker = session.worker();
  MessageReader reader(worker, session.account(), *subject.entry);
  CO_TRY(subject.structure, co_await reader.structure());
  Match match = program.test(subject);
  if (match != Match::unknown) co_return match == Match::yes;

  message::Range range = subject.structure->header();
  range.length = std::min(range.length, kHeaderLimit);
  CO_TRY(const std::string header, co_await reader.bytes(range));
  subject.header = header;
  match = program.test(subject);
  if (match != Match::unknown) co_return match == Match::yes;

  CO_TRY(const std::string whole, co_await reader.whole());
  subject.message = whole;
  if (whole.size() > kSmall)
    co_await worker.pool().run([&] { match = program.test(subject); });
  else
    match = program.test(subject);
  co_return match == Match::yes;
}

}  // namespace

Task<Result<Reply>> search(Session& session, imap::Command command) {
  const auto& args = std::get<imap::Search>(command.args);
  Selected& selected = session.selected();
  CO_TRY(const SearchProgram program, SearchProgram::make(args, *selected.mailbox, selected.view));
  TimeSlice slice(session.worker().loop());
  std::vector<uint32_t> found;
  // The view does not change while the command runs; the mailbox may.
  for (size_t index = 0; index < selected.view.size(); index++) {
    const Uid uid = selected.view.uid_at(index);
    const store::MessageEntry* present = selected.mailbox->find(uid);
    if (!present) continue;
    const store::MessageEntry entry = *present;
    SearchSubject subject;
    subject.entry = &entry;
    subject.number = static_cast<uint32_t>(index + 1);
    subject.recent = selected.view.is_recent(uid);
    bool matched = false;
    const Match quick = program.test(subject);
    if (quick == Match::unknown) {
      Result<bool> tested = co_await read_and_test(session, program, subject);
      // A message that another session removed meanwhile is no match and no error.
      if (!tested && selected.mailbox->find(uid)) co_return std::unexpected(tested.error());
      matched = tested && *tested;
    } else {
      matched = quick == Match::yes;
    }
    if (matched) found.push_back(command.by_uid ? uid.value : subject.number);
    if (quick == Match::unknown || index % 256 == 255) co_await slice.spend();
  }
  std::string& out = session.out();
  out += "* SEARCH";
  for (const uint32_t number : found) {
    out += ' ';
    imap::append_number(out, number);
    if (session.drain_is_due()) {
      CO_TRY_STATUS(co_await session.drain());
    }
  }
  out += "\r\n";
  co_return Reply{.text = command.by_uid ? "UID SEARCH done" : "SEARCH done", .code = {}};
}

}  // namespace rims::imapd::commands
