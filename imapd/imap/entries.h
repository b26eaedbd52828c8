// imapd/imap/entries.h - annotations as a client asks for them, and the METADATA response
//
//   RFC  5464 §4.2 (MAXSIZE, DEPTH), §4.4.1; 6154 §4; 9590 §3
//
// The names that are meant are collected at once; each value is looked up when its turn has come,
// as the client may read slowly. So what is held does not grow with the values.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "common/imap/command.h"
#include "imapd/imap/session.h"

namespace rims::imapd {

// The special use of a mailbox, as LIST tells it (RFC 6154 §4).
inline constexpr const char* kSpecialUseEntry = "/private/specialuse";

struct WantedEntries {
  std::vector<std::string> names;  // as the client has written them
  imap::GetMetadata::Depth depth = imap::GetMetadata::Depth::zero;
  std::optional<uint32_t> max_size;  // bytes of a value
};

// Writes `* METADATA name (entry value ...)` of a mailbox, or with MailboxId() of the server;
// nothing when there is nothing to say. An entry without a value is NIL when it was asked for by
// its name alone, or when nothing else is there. Returns the size of the largest value that was
// left out for its size, or 0.
Task<Result<uint64_t>> write_entries(Session& session, MailboxId mailbox, std::string name,
                                     const WantedEntries& wanted);

}  // namespace rims::imapd
