// common/maintenance/expunged.cc - finds expunged messages in the journal of an account

#include "common/maintenance/expunged.h"

#include <algorithm>
#include <unordered_set>

namespace rims::store {
namespace {

void add(std::vector<Expunged>& list, const Mailbox& mailbox, const MessageEntry& e,
         uint32_t time) {
  Expunged gone{.mailbox = mailbox.info().name,
                .message = {.message = e.message,
                            .from = mailbox.info().id,
                            .uid = e.uid,
                            .flags = e.flags,
                            .keywords = mailbox.keywords_of(e),
                            .date = e.date,
                            .zone = e.zone,
                            .size = e.size},
                .place = {},
                .time = time};
  list.push_back(std::move(gone));
}

}  // namespace

Result<std::vector<Expunged>> list_expunged(
    JournalReader& reader, const std::function<void(const JournalDamage&)>& damage) {
  std::vector<Expunged> list;
  TRY(const Folded now,
      reader.fold({}, damage, [&](const JournalEvent& event, const AccountState& before) {
        if (const auto* expunge = std::get_if<Expunge>(&event.record)) {
          const auto mailbox = before.mailbox(expunge->mailbox);
          if (!mailbox) return;
          const auto all = mailbox->messages();
          for (const auto& range : expunge->ranges) {
            auto it = std::ranges::lower_bound(all, Uid(range.first), {}, &MessageEntry::uid);
            for (; it != all.end() && it->uid.value <= range.last; ++it)
              add(list, *mailbox, *it, event.time);
          }
        } else if (const auto* removed = std::get_if<MailboxRemoved>(&event.record)) {
          const auto mailbox = before.mailbox(removed->id);
          if (!mailbox) return;
          for (const auto& e : mailbox->messages()) add(list, *mailbox, e, event.time);
        }
      }));
  std::unordered_set<MessageId> alive;
  for (const auto& [id, mailbox] : now.state.mailboxes()) {
    for (const auto& e : mailbox->messages()) alive.insert(e.message);
  }
  std::erase_if(list, [&](const Expunged& gone) {
    return alive.contains(gone.message.message) || !now.places.contains(gone.message.message);
  });
  for (auto& gone : list) gone.place = now.places.at(gone.message.message);
  return list;
}

}  // namespace rims::store
