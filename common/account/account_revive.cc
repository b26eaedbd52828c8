// common/account/account_revive.cc - messages that were expunged, brought back
//
// History stays as it is: a copy record gives the old bytes new entries.

#include <algorithm>

#include "common/account/account.h"

namespace rims::store {

struct Account::ReviveJob {
  MailboxId mailbox;
  std::vector<Revival> messages;
  std::vector<bool> readable;
  Revived result;
  uint64_t replaced = 0;  // Account::replaced_ when the bytes were looked at
  bool outdated = false;
};

Task<Result<Revived>> Account::revive(MailboxId mailbox, std::vector<Revival> messages,
                                      const void* origin) {
  if (failure_ || closing_) co_return unusable();
  if (const auto* info = find(mailbox); !info || info->noselect)
    co_return fail(Fault::not_found, "no such mailbox", {}, "TRYCREATE");
  std::vector<std::shared_ptr<Mailbox>> pins;
  CO_TRY(auto pin, co_await load(mailbox));
  pins.push_back(std::move(pin));

  // Shared with the builder: it may outlive this call when the caller is destroyed.
  const auto job = std::make_shared<ReviveJob>();
  job->mailbox = mailbox;
  job->messages = std::move(messages);
  do {
    CO_TRY_STATUS(co_await try_to_revive(job, pins, origin));
  } while (job->outdated);
  co_return std::move(job->result);
}

Task<Status> Account::try_to_revive(std::shared_ptr<ReviveJob> job,
                                    std::vector<std::shared_ptr<Mailbox>> pins,
                                    const void* origin) {
  job->readable.clear();
  job->result.problems.clear();
  job->outdated = false;
  job->replaced = replaced_;
  for (auto& m : job->messages) {
    if ((m.flags & ~kAllSystemFlags) != 0)
      co_return fail(Fault::bug, "internal error", "revive: unknown flags");
    // An entry promises bytes: they are looked at before it is made.
    const auto bytes = co_await read_part(m.message, Part::message, 0, UINT64_MAX);
    if (failure_) co_return unusable();
    if (bytes) m.size = static_cast<uint32_t>(bytes->size());
    job->readable.push_back(bytes.has_value());
    job->result.problems.push_back(bytes ? "" : bytes.error().detail());
  }
  CO_TRY_STATUS(co_await commit(
      [this, job](Plan& plan) -> Result<Built> {
        const auto to = state_.mailbox(job->mailbox);
        if (!to || to->info().noselect)
          return fail(Fault::not_found, "no such mailbox", {}, "TRYCREATE");
        job->outdated = job->replaced != replaced_;
        if (job->outdated) return Built::nothing;
        for (size_t i = 0; i < job->messages.size(); i++) {
          if (!std::ranges::binary_search(dropping_, job->messages[i].message)) continue;
          job->readable[i] = false;
          job->result.problems[i] = "its bytes are being given back";
        }
        Plan::Coming coming;
        for (size_t i = 0; i < job->messages.size(); i++) {
          if (!job->readable[i]) continue;
          coming.messages++;
          coming.bytes += job->messages[i].size;
        }
        job->result.uidvalidity = to->info().uidvalidity;
        job->result.uids.assign(job->messages.size(), Uid(0));
        if (coming.messages == 0) return Built::nothing;
        TRY_STATUS(plan.room_for(*to, coming, limits_));
        // One record for each run of messages from the same mailbox. A mailbox that is gone can
        // not be named any more.
        Copy record;
        const auto finish = [&] {
          if (!record.items.empty()) plan.add(record);
          record.items.clear();
        };
        for (size_t i = 0; i < job->messages.size(); i++) {
          if (!job->readable[i]) continue;
          const auto& m = job->messages[i];
          const MailboxId from = state_.mailbox(m.from) ? m.from : job->mailbox;
          if (record.from != from) finish();
          record.from = from;
          record.to = job->mailbox;
          MessageEntry entry;
          TRY(KeywordList keywords,
              plan.keywords(*to, m.keywords, limits_, Plan::NoRoom::leave_out));
          entry.message = m.message;
          entry.uid = plan.take_uid(*to, m.size);
          entry.flags = m.flags;
          entry.date = m.date;
          entry.zone = m.zone;
          entry.size = m.size;
          record.items.push_back({m.uid, entry, std::move(keywords)});
          job->result.uids[i] = entry.uid;
        }
        finish();
        return Built::records;
      },
      std::move(pins), origin));
  co_return Status();
}

}  // namespace rims::store
