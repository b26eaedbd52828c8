// imapd/imap/command_table.h - the commands of a logged-in client, and what each of them may do
//
//   RFC     3501 §3 (states), §7.4.1 (when EXPUNGE may be sent), §6.3.2 (EXAMINE changes nothing)
//   Rule    one row per command of the grammar; the session's loop reads the row before the
//           handler runs, so no handler checks states, read-only mailboxes or post-only sessions.
//   Tests   tests/imapd/imap/command_table_test.cc fails when a command has no row or no transcript
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "common/async/task.h"
#include "common/base/result.h"
#include "common/imap/command.h"

namespace rims::imapd {

class Session;

// The tagged answer. `code` stands in brackets when it is not empty.
struct Reply {
  std::string text;
  std::string code;
  bool names_modseq = false;  // must name HIGHESTMODSEQ
};

using Handler = Task<Result<Reply>> (*)(Session& session, imap::Command command);

// In which state a command is allowed.
enum class Needs : uint8_t {
  nothing,    // any state
  login,      // authenticated or selected
  selected,   // a selected mailbox
  logged_out  // only before login: answered BAD here
};

struct CommandRow {
  std::string_view name;
  Needs needs;
  // The command has sequence numbers, so no EXPUNGE may be sent meanwhile (RFC 3501 §7.4.1). Its
  // UID form has UIDs, so there it may be sent.
  bool uses_numbers;
  bool changes_messages;  // refused when the mailbox was opened by EXAMINE
  bool post_only;         // open to the delivery user, too
  Handler run;            // none: answered as a command that is not known
};

// Never fails: the table has a row for each alternative of imap::Arguments.
[[nodiscard]] const CommandRow& row_of(const imap::Command& command);
[[nodiscard]] const CommandRow& row_at(size_t index);
inline constexpr size_t kCommandRows = std::variant_size_v<imap::Arguments>;

// Not in UID SEARCH with sequence numbers among its keys (RFC 7162 §3.2.10.2).
[[nodiscard]] bool may_tell_expunges(const CommandRow& row, const imap::Command& command);

// Whether it has or wants message numbers, so that it is refused with UIDONLY (RFC 9586 §3.1).
[[nodiscard]] bool uses_numbers(const imap::Command& command);

// The handlers, one file each in imapd/imap/commands/.
namespace commands {
Task<Result<Reply>> append(Session& session, imap::Command command);
Task<Result<Reply>> capability(Session& session, imap::Command command);
Task<Result<Reply>> check(Session& session, imap::Command command);
Task<Result<Reply>> close(Session& session, imap::Command command);
Task<Result<Reply>> compress(Session& session, imap::Command command);
Task<Result<Reply>> copy(Session& session, imap::Command command);
Task<Result<Reply>> create(Session& session, imap::Command command);
Task<Result<Reply>> enable(Session& session, imap::Command command);
Task<Result<Reply>> examine(Session& session, imap::Command command);
Task<Result<Reply>> expunge(Session& session, imap::Command command);
Task<Result<Reply>> fetch(Session& session, imap::Command command);
Task<Result<Reply>> get_metadata(Session& session, imap::Command command);
Task<Result<Reply>> get_quota(Session& session, imap::Command command);
Task<Result<Reply>> get_quota_root(Session& session, imap::Command command);
Task<Result<Reply>> id(Session& session, imap::Command command);
Task<Result<Reply>> idle(Session& session, imap::Command command);
Task<Result<Reply>> list(Session& session, imap::Command command);
Task<Result<Reply>> logout(Session& session, imap::Command command);
Task<Result<Reply>> lsub(Session& session, imap::Command command);
Task<Result<Reply>> move(Session& session, imap::Command command);
Task<Result<Reply>> name_space(Session& session, imap::Command command);
Task<Result<Reply>> noop(Session& session, imap::Command command);
Task<Result<Reply>> notify(Session& session, imap::Command command);
Task<Result<Reply>> remove(Session& session, imap::Command command);
Task<Result<Reply>> rename(Session& session, imap::Command command);
Task<Result<Reply>> replace(Session& session, imap::Command command);
Task<Result<Reply>> search(Session& session, imap::Command command);
Task<Result<Reply>> select(Session& session, imap::Command command);
Task<Result<Reply>> set_metadata(Session& session, imap::Command command);
Task<Result<Reply>> set_quota(Session& session, imap::Command command);
Task<Result<Reply>> sort(Session& session, imap::Command command);
Task<Result<Reply>> status(Session& session, imap::Command command);
Task<Result<Reply>> store(Session& session, imap::Command command);
Task<Result<Reply>> subscribe(Session& session, imap::Command command);
Task<Result<Reply>> thread(Session& session, imap::Command command);
Task<Result<Reply>> uid_batches(Session& session, imap::Command command);
Task<Result<Reply>> unauthenticate(Session& session, imap::Command command);
Task<Result<Reply>> unselect(Session& session, imap::Command command);
Task<Result<Reply>> unsubscribe(Session& session, imap::Command command);
Task<Result<Reply>> xlist(Session& session, imap::Command command);
}  // namespace commands

}  // namespace rims::imapd
