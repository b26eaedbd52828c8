// common/account/account_annotations.cc - SETMETADATA: annotations of mailboxes and of the account
//
// A change takes the account for itself, as those of mailboxes do: so the limits are compared with
// all that there is. What changes nothing is not written.

#include <map>
#include <string>
#include <utility>

#include <fmt/format.h>

#include "common/account/account.h"
#include "common/base/ascii.h"

namespace rims::store {

Status Account::room_for_annotations(MailboxId id, const Annotated& record) const {
  const auto& before = state_.annotations(id);
  size_t count = before.size();
  const uint64_t bytes_before = state_.annotation_bytes();
  uint64_t bytes = bytes_before;
  for (const auto& item : record.items) {
    if (item.value && item.value->size() > limits_.annotation_bytes)
      return fail(
          Fault::limit,
          fmt::format("the value of an annotation may have {} bytes", limits_.annotation_bytes), {},
          fmt::format("METADATA MAXSIZE {}", limits_.annotation_bytes));
    const auto found = before.find(item.name);
    if (found != before.end()) {
      count--;
      bytes -= item.name.size() + found->second.size();
    }
    if (item.value) {
      count++;
      bytes += item.name.size() + item.value->size();
    }
  }
  if (count > limits_.annotations && count > before.size())
    return fail(Fault::limit, fmt::format("no more than {} annotations", limits_.annotations), {},
                "METADATA TOOMANY");
  if (bytes > limits_.annotations_bytes && bytes > bytes_before)
    return fail(Fault::limit,
                fmt::format("all annotations together may have {} bytes with their names",
                            limits_.annotations_bytes),
                fmt::format("limits.metadata_total: there are {} bytes of {}", bytes_before,
                            limits_.annotations_bytes),
                "METADATA TOOMANY");
  return {};
}

Annotated Account::annotations_for(MailboxId from, MailboxId to) const {
  Annotated record;
  for (const auto& [name, value] : state_.annotations(from))
    record.items.push_back({to, name, value});
  return record;
}

Task<Status> Account::annotate(MailboxId id, std::vector<AnnotationChange> changes,
                               const void* origin, std::optional<SpecialUse> use) {
  std::map<std::string, std::optional<std::string>> wanted;  // the last one counts
  for (auto& change : changes) {
    if (change.name.empty() || change.name.size() > kLongestEntryName)
      co_return fail(Fault::limit,
                     fmt::format("the name of an entry may have {} bytes", kLongestEntryName), {},
                     "LIMIT");
    wanted[ascii::lower(change.name)] = std::move(change.value);
  }
  co_return co_await commit(
      [this, id, wanted, use](Plan& plan) -> Result<Built> {
        if (!plan.empty()) return Built::later;
        plan.be_exclusive();
        const auto mailbox = state_.mailbox(id);
        if (id.value != 0 && !mailbox)
          return fail(Fault::not_found, "no such mailbox", {}, "NONEXISTENT");
        const auto& there = state_.annotations(id);
        Annotated record;
        for (const auto& [name, value] : wanted) {
          const auto found = there.find(name);
          const bool same = found == there.end() ? !value : value == found->second;
          if (!same) record.items.push_back({id, name, value});
        }
        TRY_STATUS(room_for_annotations(id, record));
        if (use && mailbox && mailbox->info().special_use != *use)
          plan.add(SpecialUseSet{id, *use});
        plan.add_unless_empty(std::move(record));
        return plan.empty() ? Built::nothing : Built::records;
      },
      {}, origin);
}

}  // namespace rims::store
