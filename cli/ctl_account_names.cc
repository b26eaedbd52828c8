// cli/ctl_account_names.cc - rims-ctl account list|rename|remove

#include <cstdio>
#include <set>
#include <string>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "cli/ctl_account.h"
#include "cli/options.h"
#include "common/base/encoding.h"
#include "common/base/json.h"
#include "common/base/log.h"
#include "common/maintenance/account_names.h"
#include "common/names/names.h"

namespace rims::ctl {
namespace {

constexpr Milliseconds kTakeOver{30'000};

int list(const Accounts& accounts, bool json) {
  std::set<std::string> configured;
  for (const auto& known : accounts.loaded.config->users)
    if (const auto name = names::account_name(known.name)) configured.insert(unique_user_id(*name));
  const std::set<std::string> directory = ids_of_directory(*accounts.loaded.config);
  const auto found = store::name_accounts(accounts.base);
  if (!found) return complain(found.error());
  int status = kDone;
  Json all = Json::array();
  for (const auto& a : *found) {
    const bool known = configured.contains(a.id);
    if (json)
      all.push_back(Json{{"user", a.user},
                         {"account", a.id},
                         {"bytes", a.bytes},
                         {"configured", known},
                         {"in_directory", directory.contains(a.id)},
                         {"misplaced", a.misplaced()},
                         {"problem", a.problem}});
    else
      std::printf("%15llu  %s  %s%s\n", static_cast<unsigned long long>(a.bytes), a.id.c_str(),
                  a.user.empty() ? "?" : log::printable(a.user).c_str(),
                  known || directory.contains(a.id) ? "" : "  (not in the configuration)");
    if (a.misplaced())
      status =
          complain(fmt::format("{} holds the mail of \"{}\", whose place is {}",
                               store::account_path_of(a.id), a.user, store::account_path(a.user)),
                   kFailed);
    if (!a.problem.empty()) status = complain(a.problem, kFailed);
  }
  if (json) std::printf("%s\n", json_text({{"accounts", std::move(all)}}, true).c_str());
  return status;
}

int tell(const Status& done) {
  if (done) return kDone;
  if (done.error().code() == "INUSE")
    return complain(done.error().detail() + "; try again, or stop the suite", kFailed);
  return complain(done.error());
}

int rename(const Accounts& accounts, const std::string& new_name) {
  const std::string& from = accounts.list.front().user;
  const auto name = names::account_name(new_name);
  if (!name) return complain("account: no user can be called " + log::quoted(new_name), kUsage);
  const std::string& to = *name;
  const bool is_user = account_of_user(*accounts.loaded.config, to).has_value();
  if (const Status now = become_owner(accounts.base); !now) return complain(now.error());
  const int status = tell(store::rename_account(store_options(accounts), from, to, kTakeOver));
  if (status == kDone)
    std::printf("the mail of %s is that of %s now\n", log::printable(from).c_str(),
                log::printable(to).c_str());
  if (status == kDone && !is_user)
    complain(
        fmt::format("note: {} is not in user_list of {}: nobody can log in as this user, and no "
                    "mail is taken for it, until it is there",
                    log::quoted(to), accounts.loaded.file),
        kDone);
  return status;
}

int remove(const Accounts& accounts) {
  const std::string& user = accounts.list.front().user;
  if (const Status now = become_owner(accounts.base); !now) return complain(now.error());
  const int status = tell(store::remove_account(accounts.base, user, kTakeOver));
  if (status == kDone) std::printf("the mail of %s is removed\n", log::printable(user).c_str());
  return status;
}

}  // namespace

int account(const Invocation& how, std::span<char*> args) {
  Invocation with = how;
  bool json = false, yes = false;
  cli::OptionParser parser(
      "rims-ctl account list [options]\n"
      "       rims-ctl account rename [options] USER NEW-NAME\n"
      "       rims-ctl account remove --yes [options] USER");
  add_common(parser, with);
  parser.add_flag(0, "json", "list: report as JSON on standard output.", json);
  parser.add_flag(0, "yes", "remove: the mail is to be removed; only a backup brings it back.",
                  yes);
  const auto operands = parser.parse(args);
  if (!operands) return complain("account: " + operands.error().reply(), kUsage);
  if (parser.answer()) return kDone;
  const std::string what = operands->empty() ? "" : operands->front();
  const size_t users = operands->size() - (operands->empty() ? 0 : 1);
  if (!(what == "list" && users == 0) && !(what == "rename" && users == 2) &&
      !(what == "remove" && users == 1))
    return complain("account: need list, rename USER NEW-NAME, or remove USER", kUsage);
  for (const auto& name : *operands)
    if (name.empty()) return complain("account: a user has a name", kUsage);
  if (what == "remove" && !yes)
    return complain("account: remove takes all mail of " + operands->back() +
                        " away; --yes says that this is meant",
                    kUsage);
  Accounts accounts;
  const std::string user = users == 0 ? std::string() : (*operands)[1];
  if (const int failed = find_accounts(with, user, false, accounts); failed != kDone) return failed;
  if (what == "list") return list(accounts, json);
  return what == "rename" ? rename(accounts, (*operands)[2]) : remove(accounts);
}

}  // namespace rims::ctl
