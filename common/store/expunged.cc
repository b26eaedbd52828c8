// common/store/expunged.cc - the past of an account, looked through for what went

#include "common/store/expunged.h"

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
                            .keywords = {},
                            .date = e.date,
                            .zone = e.zone,
                            .size = e.size},
                .place = {},
                .time = time};
  for (size_t i = 0; i < mailbox.keywords().size(); i++) {
    if ((e.keywords >> i & 1) != 0) gone.message.keywords.push_back(mailbox.keywords()[i]);
  }
  list.push_back(std::move(gone));
}

}  // namespace

Result<std::vector<Expunged>> list_expunged(
    JournalReader& reader, const std::function<void(const JournalDamage&)>& damage) {
  std::vector<Expunged> list;
  TRY(const Folded now,
      reader.fold({}, damage, [&](const JournalRecord& record, const AccountState& before) {
        if (record.header.type == RecordType::expunge) {
          const auto r = Expunge::decode(record.meta);
          const auto mailbox = r ? before.mailbox(r->mailbox) : nullptr;
          if (!mailbox) return;
          const auto all = mailbox->messages();
          for (const auto& range : r->ranges) {
            auto it = std::ranges::lower_bound(all, Uid(range.first), {}, &MessageEntry::uid);
            for (; it != all.end() && it->uid.value <= range.last; ++it)
              add(list, *mailbox, *it, record.header.time);
          }
        } else if (record.header.type == RecordType::mailbox_removed) {
          const auto r = MailboxRemoved::decode(record.meta);
          const auto mailbox = r ? before.mailbox(r->id) : nullptr;
          if (!mailbox) return;
          for (const auto& e : mailbox->messages()) add(list, *mailbox, e, record.header.time);
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
