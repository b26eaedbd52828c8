// imapd/imap/resync.h - what has changed in the selected mailbox since a client was connected last
//
//   RFC   7162 §3.1.4.1 (CHANGEDSINCE), §3.2.5 (QRESYNC), §3.2.6 (UID FETCH VANISHED), §3.2.10.1
//   Cost  one look at each message in memory; what is read, held and sent follows the changes
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "common/async/task.h"
#include "common/base/result.h"
#include "common/imap/command.h"
#include "imapd/imap/session.h"

namespace rims::imapd {

// What has changed since is not known when records were lost (Account::can_tell_since). Then both
// tell of all messages, and of every UID that is not one.

// Those of `indexes` (into the view, ascending) whose messages are there and have changed after
// `since`.
[[nodiscard]] std::vector<uint32_t> changed_since(Session& session,
                                                  std::span<const uint32_t> indexes, ModSeq since);

// `* VANISHED (EARLIER) ...` for those of `known` that were expunged after `since`. What the client
// still counts is left out: it is told of that by VANISHED.
Task<Status> tell_vanished(Session& session, ModSeq since, const imap::SequenceSet& known);

// Right after SELECT or EXAMINE has told the state of the mailbox.
Task<Status> resynchronize(Session& session, const imap::Resync& resync);

}  // namespace rims::imapd
