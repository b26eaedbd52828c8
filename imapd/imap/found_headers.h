// imapd/imap/found_headers.h - the header fields of messages that a search has found
//
// For SORT and THREAD. What is kept of a message's header (common/message/kept_fields.h) is used
// as it is; other messages' headers are read. A message whose header cannot be read is given
// without fields.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "common/async/task.h"
#include "common/base/result.h"
#include "common/base/strong.h"
#include "common/mail/types.h"
#include "imapd/imap/searching.h"

namespace rims::imapd {

struct FoundHeader {
  SeqNum number;
  store::MessageEntry entry;
  std::optional<int64_t> sent;  // see message::StructureView::sent_time()
  std::string_view header;      // has at least the fields that were asked for
};

// Calls `take`, and waits for it, with each of `found` that is still there, in the order of their
// numbers. `fields` are names in lower case; without any, and without `date`, nothing is read.
Task<Status> for_each_header(Session& session, const Found& found,
                             std::span<const std::string> fields, bool date, Unreadable& unreadable,
                             std::function<Task<void>(const FoundHeader&)> take);

}  // namespace rims::imapd
