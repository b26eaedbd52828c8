// imapd/imap/found_headers.cc - kept fields read ahead, or the header itself

#include "imapd/imap/found_headers.h"

#include <algorithm>
#include <utility>
#include <vector>

namespace rims::imapd {
namespace {

// The messages from `number` on of which to read the kept fields.
std::vector<MessageId> coming(const Selected& selected, const Found& found, uint32_t number) {
  std::vector<MessageId> messages;
  auto range = std::ranges::lower_bound(found.ranges(), SeqNum(number), {}, &Found::Range::last);
  for (; range != found.ranges().end() && messages.size() < StructuresAhead::kMost; ++range) {
    for (uint64_t n = std::max(range->first.value, number);
         n <= range->last.value && messages.size() < StructuresAhead::kMost; n++)
      if (const auto* entry = selected.mailbox->find(selected.view.uid_at(n - 1)))
        messages.push_back(entry->message);
  }
  return messages;
}

// `header` holds what the returned view is of, where it had to be read.
Task<Result<std::string_view>> header_of(MessageReader& reader,
                                         const std::optional<message::KeptNames>& names,
                                         std::optional<int64_t>& sent, std::string& header) {
  const message::KeptFields* kept = reader.fields();
  if (kept && names && kept->has(*names)) {
    sent = kept->sent_time();
    co_return kept->header();
  }
  CO_TRY(const message::StructureView* structure, co_await reader.structure());
  sent = structure->sent_time();
  message::Range range = structure->header();
  range.length = std::min(range.length, kMostHeader);
  CO_TRY(header, co_await reader.bytes(range));
  co_return std::string_view(header);
}

}  // namespace

Task<Status> for_each_header(Session& session, const Found& found,
                             std::span<const std::string> fields, bool date, Unreadable& unreadable,
                             std::function<Task<void>(const FoundHeader&)> take) {
  const Selected& selected = session.selected();
  const bool reads = date || !fields.empty();
  const auto names = message::KeptNames::of(fields);
  StructuresAhead ahead(session.account(), {.structure = false, .fields = reads});
  TimeSlice slice(session.host().loop());
  for (const Found::Range& range : found.ranges()) {
    for (uint32_t number = range.first.value; number <= range.last.value; number++) {
      const auto* entry = selected.mailbox->find(selected.view.uid_at(number - 1));
      if (!entry) continue;
      FoundHeader one{.number = SeqNum(number), .entry = *entry, .sent = {}, .header = {}};
      store::Structures::One kept;
      if (reads) {
        const auto* found_kept = ahead.find(one.entry.message);
        if (!found_kept) {
          CO_TRY_STATUS(co_await ahead.read(coming(selected, found, number)));
          found_kept = ahead.find(one.entry.message);
        }
        if (found_kept) kept = *found_kept;
      }
      MessageReader reader(session.host(), session.account(), one.entry, kept);
      std::string header;
      if (reads) {
        const auto read = co_await header_of(reader, names, one.sent, header);
        // One that another session removed meanwhile is no longer to be named.
        if (!read && !selected.mailbox->find(one.entry.uid)) continue;
        if (!read && !unreadable.take(read.error())) co_return std::unexpected(read.error());
        if (read) one.header = *read;
      }
      co_await take(one);
      if (slice.step()) {
        co_await slice.spend();
        const uint64_t all = selected.view.size();
        CO_TRY_STATUS(co_await session.tell_progress(all + number, 2 * all));
      }
    }
  }
  co_return Status();
}

}  // namespace rims::imapd
