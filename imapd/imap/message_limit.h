// imapd/imap/message_limit.h - how many messages one command may work on
//
//   RFC   9738 §3.1 (MESSAGELIMIT), §3.3 (SORT, THREAD)
//   Rule  a command that may be done in part works on the messages with the highest UIDs and is OK,
//         with the limit and the lowest UID that it has worked on; one that must be done as a whole
//         is refused. EXPUNGE, CLOSE and STATUS have no limit.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "common/base/result.h"
#include "imapd/imap/session.h"

namespace rims::imapd {

// "MESSAGELIMIT 1000 23221", or without the UID.
[[nodiscard]] std::string message_limit_code(uint32_t limit, std::optional<Uid> lowest);

// limit MESSAGELIMIT; `what` is "copy".
[[nodiscard]] std::unexpected<Error> too_many(uint32_t limit, std::string_view what,
                                              std::optional<Uid> lowest = {});

// Leaves of messages, in the order of their UIDs, those that the session's commands may work on.
// The lowest UID among them when there were more: `uid_of` gives it.
template <class Message, class UidOf>
[[nodiscard]] std::optional<Uid> cut_to_limit(const Session& session,
                                              std::vector<Message>& messages, UidOf uid_of) {
  const auto limit = session.message_limit();
  if (!limit || messages.size() <= *limit) return std::nullopt;
  messages.erase(messages.begin(), messages.end() - *limit);
  return uid_of(messages.front());
}

// Tells, in the tagged OK or before it, that the command ended at `lowest`, if it did.
void tell_limit(Session& session, Reply& reply, std::optional<Uid> lowest);
// The same for a command that ends with NO, because some of its messages were gone.
void tell_limit(Session& session, std::optional<Uid> lowest);

}  // namespace rims::imapd
