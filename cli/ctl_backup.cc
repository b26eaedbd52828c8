// cli/ctl_backup.cc - rims-ctl backup: copy accounts to a directory, and verify such backups

#include <algorithm>
#include <cstdio>
#include <ctime>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "cli/ctl_account.h"
#include "cli/options.h"
#include "cli/progress.h"
#include "common/account/store.h"
#include "common/base/encoding.h"
#include "common/base/json.h"
#include "common/maintenance/backup.h"
#include "common/names/names.h"

namespace rims::ctl {
namespace {

using cli::size_text;

struct Wanted {
  bool all = false, verify = false, json = false, quiet = false;
  std::string user, directory;
};

// What became of one account.
struct Outcome {
  Account account;
  std::string where;  // of the backup
  store::BackupManifest manifest;
  uint64_t copied = 0, bytes = 0, segments_copied = 0, segments_kept = 0;
  std::vector<std::string> notes, damages, problems;
  [[nodiscard]] bool good() const { return damages.empty() && problems.empty(); }
};

Json to_json(const Outcome& o, bool verify) {
  const auto& m = o.manifest;
  Json members{{"user", o.account.user.empty() ? Json() : Json(o.account.user)},
               {"account", o.account.id},
               {"backup", o.where},
               {"good", o.good()},
               {"bytes", o.bytes},
               {"last_record", m.end.seq},
               {"last_time", m.end.time ? Json(store::utc_text(m.end.time)) : Json()}};
  if (!verify) {
    members["copied_bytes"] = o.copied;
    members["segments_copied"] = o.segments_copied;
    members["segments_kept"] = o.segments_kept;
    members["damages"] = o.damages;
  }
  members["notes"] = o.notes;
  members["problems"] = o.problems;
  return members;
}

void print(const Outcome& o, const Wanted& wanted) {
  for (const auto& text : o.notes) complain("note: " + text, kDone);
  for (const auto& text : o.damages) complain("damaged in the account: " + text, kFailed);
  for (const auto& text : o.problems) complain(text, kFailed);
  if (wanted.quiet || (o.manifest.segments.empty() && !o.problems.empty())) return;
  const auto& end = o.manifest.end;
  const std::string upto = end.seq == 0
                               ? "nothing is in it yet"
                               : fmt::format("up to record {}{}", end.seq,
                                             end.time ? " of " + store::utc_text(end.time) : "");
  if (wanted.verify)
    std::printf("%s: %s, %s, %s\n", o.account.shown().c_str(), size_text(o.bytes).c_str(),
                upto.c_str(), o.problems.empty() ? "good" : "NOT GOOD");
  else
    std::printf("%s: %s new, %s in all, %s\n", o.account.shown().c_str(),
                size_text(o.copied).c_str(), size_text(o.bytes).c_str(), upto.c_str());
}

// Prints all outcomes as one JSON text if that is wanted. Returns the exit status.
int report(const std::vector<Outcome>& outcomes, const Wanted& wanted) {
  const bool good = std::ranges::all_of(outcomes, [](const auto& o) { return o.good(); });
  if (wanted.json) {
    Json accounts = Json::array();
    for (const auto& o : outcomes) accounts.push_back(to_json(o, wanted.verify));
    const Json all = {
        {"directory", wanted.directory}, {"good", good}, {"accounts", std::move(accounts)}};
    std::printf("%s\n", json_text(all, true).c_str());
  }
  return good ? kDone : kFailed;
}

int make_backups(const Invocation& how, const Wanted& wanted) {
  Accounts found;
  if (const int failed = find_accounts(how, wanted.user, wanted.all, found); failed != kDone)
    return failed;
  const auto& accounts = found.list;

  cli::Progress progress(!wanted.quiet);
  std::vector<Outcome> outcomes;
  for (const auto& account : accounts) {
    const std::string count =
        accounts.size() > 1 ? fmt::format("[{}/{}] ", outcomes.size() + 1, accounts.size()) : "";
    const store::BackupJob job{
        .directory = wanted.directory,
        .account = account.id,
        .user = account.user,
        .progress =
            [&](uint64_t done, uint64_t total) {
              progress.show(fmt::format("{}{}: {} of {}", count, account.shown(), size_text(done),
                                        size_text(total)));
            },
        .clock = [] { return int64_t{time(nullptr)}; }};
    auto done = store::back_up(found.base, job);
    progress.clear();
    Outcome o;
    o.account = account;
    o.where = wanted.directory + "/" + account.id;
    if (done) {
      o.manifest = std::move(done->manifest);
      if (o.account.user.empty()) o.account.user = o.manifest.user;
      o.copied = done->copied;
      o.segments_copied = done->segments_copied;
      o.segments_kept = done->segments_kept;
      for (const auto& s : o.manifest.segments) o.bytes += s.size;
      o.notes = std::move(done->notes);
      o.damages = std::move(done->damages);
    } else if (done.error().fault() == Fault::not_found) {
      o.problems.push_back(account.shown() + " has no account: " + done.error().detail());
    } else if (done.error().fault() == Fault::limit) {
      o.problems.push_back(account.shown() +
                           ": not enough space for the backup: " + done.error().detail() +
                           "; what was copied is kept, and the next run continues there");
    } else {
      o.problems.push_back(account.shown() + ": " + done.error().detail());
    }
    const bool full = !done && done.error().fault() == Fault::limit;
    print(o, wanted);
    outcomes.push_back(std::move(o));
    if (full) break;
  }
  return report(outcomes, wanted);
}

int verify_backups(const Wanted& wanted) {
  auto names = store::list_backups(wanted.directory);
  if (!names) return complain(names.error());
  if (!wanted.user.empty())
    std::erase_if(*names,
                  [id = unique_user_id(names::account_name(wanted.user).value_or(wanted.user))](
                      const std::string& name) { return !name.empty() && !name.starts_with(id); });
  if (names->empty())
    return complain(wanted.directory + ": no backup is here" +
                        (wanted.user.empty() ? "" : " of " + wanted.user),
                    kFailed);
  cli::Progress progress(!wanted.quiet);
  std::vector<Outcome> outcomes;
  for (const auto& name : *names) {
    Outcome o;
    o.where = name.empty() ? wanted.directory : wanted.directory + "/" + name;
    auto checked = store::verify_backup(o.where, [&](uint64_t done, uint64_t total) {
      progress.show(fmt::format("[{}/{}] {} of {}", outcomes.size() + 1, names->size(),
                                size_text(done), size_text(total)));
    });
    progress.clear();
    if (checked) {
      o.manifest = std::move(checked->manifest);
      o.bytes = checked->bytes;
      o.problems = std::move(checked->problems);
      for (const auto& text : checked->damages)
        o.notes.push_back("was damaged when it was copied: " + text);
    } else {
      o.problems.push_back(checked.error().detail());
    }
    o.account = {o.manifest.account.empty() ? name : o.manifest.account, o.manifest.user};
    // It was put aside because something is wrong with it, and the backup beside it took its place.
    const std::string whole = name.substr(0, name.find(".aside-"));
    if (whole.size() < name.size() && std::ranges::find(*names, whole) != names->end())
      for (auto& text : std::exchange(o.problems, {}))
        o.notes.push_back(
            fmt::format("{}; {} was put aside, remove it when nobody needs it", text, o.where));
    print(o, wanted);
    outcomes.push_back(std::move(o));
  }
  return report(outcomes, wanted);
}

}  // namespace

int backup(const Invocation& how, std::span<char*> args) {
  Invocation with = how;
  Wanted wanted;
  cli::OptionParser parser(
      "rims-ctl backup [options] USER DIR\n"
      "       rims-ctl backup [options] --all DIR\n"
      "       rims-ctl backup [options] --verify [USER] DIR");
  add_common(parser, with);
  parser.add_flag('a', "all", "Every account.", wanted.all);
  parser.add_flag(0, "verify", "Check every checksum of the backups in DIR; copy nothing.",
                  wanted.verify);
  parser.add_flag(0, "json", "Report as JSON on standard output.", wanted.json);
  parser.add_flag('q', "quiet", "Report problems only.", wanted.quiet);
  const auto operands = parser.parse(args);
  if (!operands) return complain("backup: " + operands.error().reply(), kUsage);
  if (parser.answer()) return kDone;
  const size_t least = wanted.all || wanted.verify ? 1 : 2, most = wanted.all ? 1 : 2;
  if (operands->size() < least || operands->size() > most || (wanted.all && wanted.verify))
    return complain("backup: need USER and DIR, --all and DIR, or --verify and DIR", kUsage);
  if (operands->size() == 2) wanted.user = operands->front();
  wanted.directory = operands->back();
  while (wanted.directory.size() > 1 && wanted.directory.ends_with('/'))
    wanted.directory.pop_back();
  if (wanted.json) wanted.quiet = true;
  return wanted.verify ? verify_backups(wanted) : make_backups(with, wanted);
}

}  // namespace rims::ctl
