// cli/ctl_mailbox.cc - rims-ctl mailbox list|status, also while the server runs

#include <cstdio>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "cli/ctl_account.h"
#include "cli/options.h"
#include "common/base/json.h"
#include "common/base/log.h"
#include "common/journal/reader.h"

namespace rims::ctl {
namespace {

// INBOX first, as the server lists them.
std::vector<const store::MailboxInfo*> in_order(const store::AccountState& state) {
  std::vector<const store::MailboxInfo*> list;
  for (const bool inbox : {true, false}) {
    for (const auto& [name, id] : state.names()) {
      if ((name == "INBOX") == inbox) list.push_back(&state.mailbox(id)->info());
    }
  }
  return list;
}

Json to_json(const store::AccountState& state, const Account& account, const store::Usage& quota,
             bool with_numbers) {
  Json mailboxes = Json::array();
  for (const auto* info : in_order(state)) {
    Json members{{"name", info->name},
                 {"special_use", store::name(info->special_use)},
                 {"noselect", info->noselect},
                 {"subscribed", state.subscriptions().contains(info->name)}};
    if (with_numbers) {
      members["messages"] = info->messages;
      members["unseen"] = info->unseen;
      members["bytes"] = info->bytes;
      members["uidnext"] = info->uidnext.value;
      members["uidvalidity"] = info->uidvalidity.value;
      members["highestmodseq"] = info->highest_modseq.value;
    }
    mailboxes.push_back(std::move(members));
  }
  Json all{{"user", account.user},
           {"account", account.id},
           {"last_record", state.seq()},
           {"mailboxes", std::move(mailboxes)}};
  if (with_numbers) {
    const auto members = [](const store::Usage& of) {
      return Json{{"messages", of.messages}, {"bytes", of.bytes}, {"mailboxes", of.mailboxes}};
    };
    all["usage"] = members(state.usage());
    all["quota"] = members(quota);
  }
  return all;
}

void print_quota(const store::Usage& used, const store::Usage& quota) {
  const auto line = [](const char* what, uint64_t there, uint64_t most) {
    if (most != 0)
      std::printf("quota: %llu %s of %llu\n", static_cast<unsigned long long>(there), what,
                  static_cast<unsigned long long>(most));
  };
  line("messages", used.messages, quota.messages);
  line("bytes", used.bytes, quota.bytes);
  line("mailboxes", used.mailboxes, quota.mailboxes);
}

void print(const store::AccountState& state, const store::Usage& quota, bool with_numbers) {
  if (with_numbers)
    std::printf("%9s %9s %13s %10s %11s %13s  %s\n", "messages", "unseen", "bytes", "uidnext",
                "uidvalidity", "highestmodseq", "mailbox");
  uint64_t messages = 0, unseen = 0, bytes = 0;
  for (const auto* info : in_order(state)) {
    const std::string shown = log::printable(info->name);
    const std::string marks = fmt::format("{}{}{}", info->noselect ? " \\Noselect" : "",
                                          info->special_use == store::SpecialUse::none ? "" : " ",
                                          store::name(info->special_use));
    if (with_numbers)
      std::printf("%9u %9u %13llu %10u %11u %13llu  %s%s\n", info->messages, info->unseen,
                  static_cast<unsigned long long>(info->bytes), info->uidnext.value,
                  info->uidvalidity.value,
                  static_cast<unsigned long long>(info->highest_modseq.value), shown.c_str(),
                  marks.c_str());
    else
      std::printf("%s%s%s\n", shown.c_str(), marks.c_str(),
                  state.subscriptions().contains(info->name) ? " \\Subscribed" : "");
    messages += info->messages;
    unseen += info->unseen;
    bytes += info->bytes;
  }
  if (!with_numbers) return;
  std::printf("%9llu %9llu %13llu  in all\n", static_cast<unsigned long long>(messages),
              static_cast<unsigned long long>(unseen), static_cast<unsigned long long>(bytes));
  print_quota(state.usage(), quota);
}

}  // namespace

int mailbox(const Invocation& how, std::span<char*> args) {
  Invocation with = how;
  bool json = false;
  cli::OptionParser parser(
      "rims-ctl mailbox list [options] USER\n"
      "       rims-ctl mailbox status [options] USER");
  add_common(parser, with);
  parser.add_flag(0, "json", "Report as JSON on standard output.", json);
  const auto operands = parser.parse(args);
  if (!operands) return complain("mailbox: " + operands.error().reply(), kUsage);
  if (parser.answer()) return kDone;
  if (operands->size() != 2 || (operands->front() != "list" && operands->front() != "status"))
    return complain("mailbox: need list or status, and USER", kUsage);
  const bool numbers = operands->front() == "status";
  Accounts accounts;
  if (const int failed = find_accounts(with, operands->back(), false, accounts); failed != kDone)
    return failed;
  const Account& account = accounts.list.front();
  auto reader = open_journal(accounts.base, account.user);
  if (!reader) return complain(reader.error());
  bool damaged = false;
  const auto folded = reader->fold({}, [&](const store::JournalDamage& damage) {
    complain("damaged: " + to_string(damage), kFailed);
    damaged = true;
  });
  if (!folded) return complain(folded.error());
  const config::Config& config = *accounts.loaded.config;
  const store::Usage quota{.bytes = config.quota_storage,
                           .messages = config.quota_messages,
                           .mailboxes = config.quota_mailboxes};
  if (json)
    std::printf("%s\n", json_text(to_json(folded->state, account, quota, numbers), true).c_str());
  else
    print(folded->state, quota, numbers);
  if (damaged)
    return complain("the account is damaged, this is what is left; \"rims-ctl check " +
                        account.user + "\" tells more",
                    kFailed);
  return kDone;
}

}  // namespace rims::ctl
