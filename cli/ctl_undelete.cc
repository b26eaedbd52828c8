// cli/ctl_undelete.cc - rims-ctl undelete: expunged messages, listed and brought back

#include <algorithm>
#include <cstdio>
#include <map>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "cli/ctl_account.h"
#include "cli/options.h"
#include "cli/time_point.h"
#include "common/account/offline.h"
#include "common/base/json.h"
#include "common/base/log.h"
#include "common/imap/numbers.h"
#include "common/maintenance/backup_manifest.h"
#include "common/maintenance/expunged.h"

namespace rims::ctl {
namespace {

constexpr Milliseconds kTakeOver{15'000};
constexpr size_t kAtOnce = 1000;  // messages of one commit

struct Wanted {
  bool list = false, json = false;
  std::string mailbox, into;
  int64_t since = 0;
  imap::SequenceSet uids;
};

bool chosen(const Wanted& wanted, const store::Expunged& gone) {
  if (gone.time < wanted.since) return false;
  if (!wanted.mailbox.empty() && gone.mailbox != wanted.mailbox) return false;
  if (wanted.uids.ranges.empty()) return true;
  return std::ranges::any_of(wanted.uids.ranges, [&](const imap::SeqRange& range) {
    uint32_t first = range.first == imap::kStar ? UINT32_MAX : range.first;
    uint32_t last = range.last == imap::kStar ? UINT32_MAX : range.last;
    if (first > last) std::swap(first, last);
    return gone.message.uid.value >= first && gone.message.uid.value <= last;
  });
}

// The expunged messages that match. A message that was in several mailboxes comes once, from the
// one where it was last. Damage is told once, and added to `damages`.
Result<std::vector<store::Expunged>> choose(store::JournalReader& reader, const Wanted& wanted,
                                            std::set<std::string>& damages) {
  TRY(auto all, store::list_expunged(reader, [&](const store::JournalDamage& damage) {
        if (auto text = to_string(damage); damages.insert(text).second)
          complain("damaged: " + text, kFailed);
      }));
  std::vector<store::Expunged> list;
  std::unordered_map<MessageId, size_t> places;
  for (auto& gone : all) {
    if (!chosen(wanted, gone)) continue;
    const auto [at, fresh] = places.emplace(gone.message.message, list.size());
    if (fresh)
      list.push_back(std::move(gone));
    else
      list[at->second] = std::move(gone);
  }
  return list;
}

std::string time_text(int64_t time) { return time == 0 ? "-" : store::utc_text(time); }

void show(const std::vector<store::Expunged>& list, bool json) {
  if (json) {
    Json messages = Json::array();
    for (const auto& gone : list)
      messages.emplace_back(
          Json{{"mailbox", gone.mailbox},
               {"uid", gone.message.uid.value},
               {"message", gone.message.message.value},
               {"bytes", gone.message.size},
               {"date", store::utc_text(gone.message.date)},
               {"expunged", gone.time ? Json(store::utc_text(gone.time)) : Json()}});
    std::printf("%s\n", json_text({{"messages", std::move(messages)}}, true).c_str());
    return;
  }
  std::printf("%-20s %10s %10s %10s  %-20s  %s\n", "expunged", "uid", "message", "bytes", "date",
              "mailbox");
  for (const auto& gone : list)
    std::printf("%-20s %10u %10llu %10u  %-20s  %s\n", time_text(gone.time).c_str(),
                gone.message.uid.value, static_cast<unsigned long long>(gone.message.message.value),
                gone.message.size, store::utc_text(gone.message.date).c_str(),
                log::printable(gone.mailbox).c_str());
}

// The mailbox of --into. Without it, the mailbox where the message was, even if it was renamed
// since; if that is gone, one with its last name, which is made if need be.
Result<MailboxId> target(store::OfflineAccount& offline, const Wanted& wanted,
                         const store::Expunged& gone) {
  auto& account = offline.account();
  if (wanted.into.empty()) {
    if (const auto* same = account.find(gone.message.from); same && !same->noselect)
      return same->id;
  }
  const std::string& name = wanted.into.empty() ? gone.mailbox : wanted.into;
  if (const auto* found = account.find(name); found && !found->noselect) return found->id;
  return offline.run(account.create(name));
}

struct Back {
  std::vector<Uid> uids;
  size_t failed = 0;
};

Status bring_back(store::OfflineAccount& offline, const Wanted& wanted,
                  std::vector<store::Expunged> list, std::map<std::string, Back>& done) {
  std::map<MailboxId, std::vector<store::Expunged>> groups;
  for (auto& gone : list) {
    TRY(const MailboxId to, target(offline, wanted, gone));
    groups[to].push_back(std::move(gone));
  }
  for (auto& [to, group] : groups) {
    Back& back = done[offline.account().find(to)->name];
    for (size_t first = 0; first < group.size(); first += kAtOnce) {
      std::vector<store::Revival> messages;
      const size_t end = std::min(group.size(), first + kAtOnce);
      for (size_t i = first; i < end; i++) {
        messages.push_back(group[i].message);
        // With \Deleted the next EXPUNGE would remove it again.
        messages.back().flags &= static_cast<uint8_t>(~store::kDeleted);
      }
      TRY(const auto revived, offline.run(offline.account().revive(to, std::move(messages))));
      for (size_t i = first; i < end; i++) {
        if (revived.uids[i - first].value != 0) {
          back.uids.push_back(revived.uids[i - first]);
          continue;
        }
        back.failed++;
        complain(fmt::format("\"{}\" uid {} can not be brought back: {}",
                             log::printable(group[i].mailbox), group[i].message.uid.value,
                             revived.problems[i - first]),
                 kFailed);
      }
    }
  }
  return {};
}

std::string set_text(const std::vector<Uid>& uids) {
  std::string text;
  for (const auto& range : store::to_ranges(uids)) {
    text += (text.empty() ? "" : ",") + std::to_string(range.first);
    if (range.last != range.first) text += ":" + std::to_string(range.last);
  }
  return text;
}

// The exit status. `sound`: no damage was told.
int report(const std::map<std::string, Back>& done, bool json, bool sound) {
  size_t failed = 0;
  Json mailboxes = Json::array();
  for (const auto& [name, back] : done) {
    failed += back.failed;
    if (json)
      mailboxes.push_back(Json{{"mailbox", name},
                               {"messages", back.uids.size()},
                               {"uids", set_text(back.uids)},
                               {"failed", back.failed}});
    else if (!back.uids.empty())
      std::printf("%zu %s back in %s: uids %s\n", back.uids.size(),
                  back.uids.size() == 1 ? "message is" : "messages are",
                  log::printable(name).c_str(), set_text(back.uids).c_str());
  }
  if (json)
    std::printf("%s\n", json_text({{"mailboxes", std::move(mailboxes)}}, true).c_str());
  else if (done.empty())
    std::printf("nothing that was asked for can be brought back\n");
  return failed == 0 && sound ? kDone : kFailed;
}

int work(const Accounts& accounts, const Wanted& wanted) {
  const Account& account = accounts.list.front();
  std::set<std::string> damages;
  auto reader = open_journal(accounts.base, account.user);
  if (!reader) return complain(reader.error());
  auto list = choose(*reader, wanted, damages);
  if (!list) return complain(list.error());
  if (wanted.list) {
    show(*list, wanted.json);
    return damages.empty() ? kDone : kFailed;
  }
  // Do not take the account from the server when there is nothing to do.
  if (list->empty()) return report({}, wanted.json, damages.empty());
  if (const Status changed = become_owner(accounts.base); !changed)
    return complain(changed.error());
  auto offline = store::OfflineAccount::open(store_options(accounts), account.user, kTakeOver);
  if (!offline) return complain(offline.error());
  // Choose again: the account may have changed until it was taken from the server.
  auto now = choose(*reader, wanted, damages);
  if (!now) return complain(now.error());
  std::map<std::string, Back> done;
  const Status back = bring_back(**offline, wanted, *std::move(now), done);
  (*offline)->close();
  const int status = report(done, wanted.json, damages.empty());
  return back ? status : complain(back.error());
}

}  // namespace

int undelete(const Invocation& how, std::span<char*> args) {
  Invocation with = how;
  Wanted wanted;
  std::string since, uids;
  cli::OptionParser parser("rims-ctl undelete [options] USER");
  add_common(parser, with);
  parser.add_value('m', "mailbox", "NAME", "Only what was in this mailbox.", wanted.mailbox);
  parser.add_value(0, "since", "TIME", "Only what was expunged then or later.", since);
  parser.add_value(0, "uid", "SET", "Only these UIDs of --mailbox, such as 3,7:9.", uids);
  parser.add_value(0, "into", "NAME", "Bring all back into this mailbox.", wanted.into);
  parser.add_flag('l', "list", "Show what can be brought back; change nothing.", wanted.list);
  parser.add_flag(0, "json", "Report as JSON on standard output.", wanted.json);
  const auto operands = parser.parse(args);
  if (!operands) return complain("undelete: " + operands.error().reply(), kUsage);
  if (parser.answer()) return kDone;
  if (operands->size() != 1) return complain("undelete: need USER", kUsage);
  wanted.mailbox = store::canonical_name(wanted.mailbox);
  if (!since.empty()) {
    const auto time = cli::parse_time_point(since);
    if (!time) return complain("undelete: --since: " + time.error().reply(), kUsage);
    wanted.since = *time;
  }
  if (!uids.empty()) {
    if (wanted.mailbox.empty()) return complain("undelete: --uid needs --mailbox", kUsage);
    const auto set = imap::parse_sequence_set(uids, 10'000);
    if (!set) return complain("undelete: --uid: " + set.error().reply(), kUsage);
    wanted.uids = *set;
  }
  Accounts accounts;
  if (const int failed = find_accounts(with, operands->front(), false, accounts); failed != kDone)
    return failed;
  return work(accounts, wanted);
}

}  // namespace rims::ctl
