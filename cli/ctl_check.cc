// cli/ctl_check.cc - rims-ctl check USER|--all: look for damage in accounts; --repair

#include <cerrno>
#include <cstdio>
#include <fcntl.h>
#include <string>
#include <unistd.h>
#include <vector>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "cli/ctl_account.h"
#include "cli/options.h"
#include "cli/progress.h"
#include "common/account/offline.h"
#include "common/base/json.h"
#include "common/journal/takeover.h"
#include "common/maintenance/check.h"
#include "common/maintenance/inspect.h"

namespace rims::ctl {
namespace {

constexpr Milliseconds kTakeOver{15'000};

struct Wanted {
  bool all = false, repair = false, json = false, quiet = false;
};

struct Outcome {
  Account account;
  store::CheckReport report;
  std::vector<std::string> repairs, problems;  // what was done, and what could not be
  [[nodiscard]] bool good() const { return problems.empty() && report.sound(); }
};

Json to_json(const Outcome& o) {
  Json findings = Json::array();
  for (const auto& f : o.report.findings)
    findings.push_back(Json{{"damage", f.damage},
                            {"path", f.path},
                            {"offset", f.offset},
                            {"length", f.length},
                            {"what", f.what},
                            {"remedy", f.remedy}});
  return Json{{"user", o.account.user.empty() ? Json() : Json(o.account.user)},
              {"account", o.account.id},
              {"sound", o.good()},
              {"segments", o.report.segments},
              {"bytes", o.report.bytes},
              {"records", o.report.records},
              {"mailboxes", o.report.mailboxes},
              {"messages", o.report.messages},
              {"last_record", o.report.last_record},
              {"index_checked", o.report.index_checked},
              {"index_note", o.report.index_note},
              {"findings", std::move(findings)},
              {"repairs", o.repairs},
              {"problems", o.problems}};
}

void print(const Outcome& o, const Wanted& wanted) {
  for (const auto& f : o.report.findings)
    if (f.damage || !wanted.quiet)
      complain((f.damage ? "damaged: " : "note: ") + to_string(f), kDone);
  for (const auto& text : o.problems) complain(o.account.shown() + ": " + text, kDone);
  if (wanted.quiet) return;
  for (const auto& text : o.repairs)
    std::printf("%s: %s\n", o.account.shown().c_str(), text.c_str());
  if (!o.problems.empty()) return;
  const auto& r = o.report;
  std::printf("%s: %s: %llu messages in %llu mailboxes, %llu records, %s; index %s\n",
              o.account.shown().c_str(), o.good() ? "sound" : "DAMAGED",
              static_cast<unsigned long long>(r.messages),
              static_cast<unsigned long long>(r.mailboxes),
              static_cast<unsigned long long>(r.records), cli::size_text(r.bytes).c_str(),
              r.index_checked ? "checked" : r.index_note.c_str());
}

// Takes the account from the server, rewrites the records that have one wrong bit, opens the
// account as the server would, and closes it. Opening it copies what is damaged to quarantine/ and
// skips the numbers that lost records may have used. The index is rebuilt, except a sound index of
// a journal that has lost records: it may know what they said.
Status repair(const Accounts& accounts, const Account& account, Outcome& o) {
  bool keep_index = false;
  {
    // If a server has the account open, this makes the server close it in order.
    TRY(const auto dir, store::take_account(accounts.base, account.user, kTakeOver));
    if (faccessat(dir.fd(), ".", W_OK, 0) != 0)
      return fail_errno(dir.path() + " can not be written", errno);
  }
  if (const auto before = store::check_account(accounts.base, account.path(), account.path()))
    keep_index = before->lost && before->index_sound;
  {
    TRY(const auto dir, store::take_account(accounts.base, account.user, kTakeOver));
    if (!keep_index) {
      TRY_STATUS(store::set_dirty_flag(dir, true));
    }
    TRY(const size_t mended, store::mend_records(dir));
    if (mended > 0)
      o.repairs.push_back(
          fmt::format("{} records with one wrong bit were written again as they were", mended));
  }
  TRY(auto offline, store::OfflineAccount::open(store_options(accounts), account.user, kTakeOver));
  TRY(const auto broken, offline->run(offline->account().check()));
  offline->close();
  o.repairs.emplace_back(
      keep_index ? "the index was kept: it may know what the lost records of the journal said"
                 : "the index was rebuilt from the journal");
  if (!broken.empty())
    o.repairs.push_back(
        fmt::format("{} damages can not be repaired from the journal; the server "
                    "serves what is left",
                    broken.size()));
  return {};
}

}  // namespace

int check(const Invocation& how, std::span<char*> args) {
  Invocation with = how;
  Wanted wanted;
  cli::OptionParser parser(
      "rims-ctl check\n"
      "       rims-ctl check [options] USER\n"
      "       rims-ctl check [options] --all");
  add_common(parser, with);
  parser.add_flag('a', "all", "Every account.", wanted.all);
  parser.add_flag(
      0, "repair",
      "Take the account from the server, rebuild its index, quarantine what is damaged.",
      wanted.repair);
  parser.add_flag(0, "json", "Report as JSON on standard output.", wanted.json);
  parser.add_flag('q', "quiet", "Report problems only.", wanted.quiet);
  const auto operands = parser.parse(args);
  if (!operands) return complain("check: " + operands.error().reply(), kUsage);
  if (parser.answer()) return kDone;
  if (operands->empty() && !wanted.all && !wanted.repair && !wanted.json && !wanted.quiet)
    return check_configuration(with, false);
  if (operands->size() != (wanted.all ? 0 : 1))
    return complain("check: need USER or --all", kUsage);

  Accounts accounts;
  const std::string user = wanted.all ? "" : operands->front();
  if (const int failed = find_accounts(with, user, wanted.all, accounts); failed != kDone)
    return failed;
  const std::string& base_path = accounts.loaded.config->base_dir;
  if (wanted.repair) {
    if (const Status changed = become_owner(accounts.base); !changed)
      return complain(changed.error());
  }
  cli::Progress progress(!wanted.quiet && !wanted.json);
  bool good = true;
  Json reports = Json::array();
  size_t number = 0;
  for (const auto& account : accounts.list) {
    number++;
    Outcome o;
    o.account = account;
    const auto look = [&] {
      auto report = store::check_account(
          accounts.base, account.path(), base_path + "/" + account.path(), [&](uint64_t bytes) {
            progress.show(fmt::format("[{}/{}] {}: {}", number, accounts.list.size(),
                                      account.shown(), cli::size_text(bytes)));
          });
      progress.clear();
      if (report)
        o.report = *std::move(report);
      else
        o.problems.push_back(report.error().detail());
    };
    if (wanted.repair) {
      if (account.user.empty())
        o.problems.emplace_back(
            "only an account whose user is known can be repaired: name the user");
      else if (const Status repaired = repair(accounts, account, o); !repaired)
        o.problems.push_back("not repaired: " + repaired.error().detail());
    }
    look();
    good = good && o.good();
    if (wanted.json)
      reports.push_back(to_json(o));
    else
      print(o, wanted);
  }
  if (wanted.json)
    std::printf("%s\n",
                json_text({{"sound", good}, {"accounts", std::move(reports)}}, true).c_str());
  return good ? kDone : kFailed;
}

}  // namespace rims::ctl
