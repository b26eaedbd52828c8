// cli/ctl_check.cc - rims-ctl check USER|--all: are the accounts sound? And --repair

#include <cstdio>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "cli/ctl_account.h"
#include "cli/options.h"
#include "cli/progress.h"
#include "common/base/json.h"
#include "common/store/check.h"
#include "common/store/inspect.h"
#include "common/store/offline.h"
#include "common/store/takeover.h"

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
  Json::List findings, repairs, problems;
  for (const auto& f : o.report.findings)
    findings.emplace_back(Json::Object{{"damage", Json(f.damage)},
                                       {"path", Json(f.path)},
                                       {"offset", Json(f.offset)},
                                       {"length", Json(f.length)},
                                       {"what", Json(f.what)},
                                       {"remedy", Json(f.remedy)}});
  for (const auto& text : o.repairs) repairs.emplace_back(text);
  for (const auto& text : o.problems) problems.emplace_back(text);
  return Json(Json::Object{{"user", o.account.user.empty() ? Json() : Json(o.account.user)},
                           {"account", Json(o.account.id)},
                           {"sound", Json(o.good())},
                           {"segments", Json(o.report.segments)},
                           {"bytes", Json(o.report.bytes)},
                           {"records", Json(o.report.records)},
                           {"mailboxes", Json(o.report.mailboxes)},
                           {"messages", Json(o.report.messages)},
                           {"last_record", Json(o.report.last_record)},
                           {"index_checked", Json(o.report.index_checked)},
                           {"index_note", Json(o.report.index_note)},
                           {"findings", Json(std::move(findings))},
                           {"repairs", Json(std::move(repairs))},
                           {"problems", Json(std::move(problems))}});
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

// Takes the account, writes again what is known of it, opens it as the server would (what is
// damaged is copied to quarantine/, the numbers that it may have used are skipped) with an index
// that is not trusted, and closes it.
Status repair(const Accounts& accounts, const Account& account, Outcome& o) {
  {
    TRY(const auto dir, store::take_account(accounts.base, account.user, kTakeOver));
    TRY_STATUS(store::set_dirty_flag(dir, true));
    TRY(const size_t mended, store::mend_headers(dir));
    if (mended > 0)
      o.repairs.push_back(fmt::format(
          "{} record headers with one wrong bit were written again as they were", mended));
  }
  TRY(auto offline, store::OfflineAccount::open(store_options(accounts), account.user, kTakeOver));
  TRY(const auto broken, offline->run(offline->account().check()));
  offline->close();
  o.repairs.emplace_back("the index was rebuilt from the journal");
  if (!broken.empty())
    o.repairs.push_back(
        fmt::format("{} things can not be repaired from the journal; what is left "
                    "is served",
                    broken.size()));
  return {};
}

}  // namespace

int check(const Invocation& how, std::span<char*> args) {
  Invocation with = how;
  Wanted wanted;
  bool help = false;
  cli::OptionParser parser(
      "rims-ctl check\n"
      "       rims-ctl check [options] USER\n"
      "       rims-ctl check [options] --all");
  parser.add_flag('h', "help", "Show this message.", help);
  parser.add_value('c', "config", "FILE", "The configuration.", with.config);
  parser.add_value('p', "pid-file", "FILE", "No effect.", with.pid_file);
  parser.add_flag('a', "all", "Every account.", wanted.all);
  parser.add_flag(
      0, "repair",
      "Take the account from the server, rebuild its index, quarantine what is damaged.",
      wanted.repair);
  parser.add_flag(0, "json", "Report as JSON on standard output.", wanted.json);
  parser.add_flag('q', "quiet", "Say only what is not well.", wanted.quiet);
  const auto operands = parser.parse(args);
  if (!operands) return complain("check: " + operands.error().reply(), kUsage);
  if (help) {
    std::fputs(parser.help().c_str(), stdout);
    return kDone;
  }
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
  Json::List reports;
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
                Json(Json::Object{{"sound", Json(good)}, {"accounts", Json(std::move(reports))}})
                    .dump(true)
                    .c_str());
  return good ? kDone : kFailed;
}

}  // namespace rims::ctl
