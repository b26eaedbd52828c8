// cli/ctl_sessions.cc - rims-ctl who and kick: the sessions of the suite that runs

#include <algorithm>
#include <cstdio>
#include <ctime>
#include <set>
#include <string>
#include <vector>

#include <fmt/chrono.h>
#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "cli/admin_client.h"
#include "cli/ctl.h"
#include "cli/options.h"
#include "common/base/json.h"
#include "common/base/log.h"
#include "common/names/names.h"

namespace rims::ctl {
namespace {

using cli::Told;
using cli::ToldSession;

int complain_of(const Error& error) {
  if (error.fault() == Fault::refused) return complain(error.reply(), kNoPermission);
  return complain("rims does not run, is an earlier version, or has lost its run directory (" +
                      error.reply() + "); see \"rims-ctl status\"",
                  kNotRunning);
}

int complain_of_all(const std::vector<std::string>& problems) {
  for (const std::string& problem : problems) complain(problem, kFailed);
  return problems.empty() ? kDone : kFailed;
}

// "12 s", "3 min", "4 h", "2 d"
std::string shortly(uint64_t seconds) {
  if (seconds < 60) return fmt::format("{} s", seconds);
  if (seconds < 3600) return fmt::format("{} min", seconds / 60);
  if (seconds < 86'400) return fmt::format("{} h", seconds / 3600);
  return fmt::format("{} d", seconds / 86'400);
}

std::time_t began(const ToldSession& session) {
  return static_cast<std::time_t>(session.entry.since);
}

void print(const std::vector<ToldSession>& sessions) {
  std::vector<std::vector<std::string>> rows{
      {"session", "user", "from", "tls", "since", "silent", "process", "mailbox", "client"}};
  for (const ToldSession& one : sessions) {
    const ipc::SessionEntry& entry = one.entry;
    const std::time_t since = began(one);
    std::tm local{};
    localtime_r(&since, &local);
    const auto shown = [](const std::string& text) {
      return text.empty() ? std::string("-") : log::printable(text);
    };
    rows.push_back({shown(entry.session.value),
                    entry.user.value.empty() ? "(before login)" : shown(entry.user.value),
                    shown(entry.address.value), entry.over_tls ? "yes" : "no",
                    fmt::format("{:%Y-%m-%d %H:%M:%S}", local), shortly(entry.silent_s),
                    one.process, shown(entry.mailbox.value), shown(entry.client.value)});
  }
  std::vector<size_t> widths(rows.front().size());
  for (const auto& row : rows)
    for (size_t i = 0; i < row.size(); i++) widths[i] = std::max(widths[i], row[i].size());
  for (const auto& row : rows) {
    std::string line;
    for (size_t i = 0; i < row.size(); i++)
      line += i + 1 == row.size() ? row[i] : fmt::format("{:<{}}  ", row[i], widths[i]);
    std::printf("%s\n", line.c_str());
  }
}

void print_json(const Told& told) {
  Json sessions = Json::array();
  for (const ToldSession& one : told.sessions) {
    const ipc::SessionEntry& entry = one.entry;
    std::time_t since = began(one);
    std::tm utc{};
    gmtime_r(&since, &utc);
    const auto or_null = [](const std::string& text) { return text.empty() ? Json() : Json(text); };
    sessions.push_back({{"session", entry.session.value},
                        {"user", or_null(entry.user.value)},
                        {"address", or_null(entry.address.value)},
                        {"tls", entry.over_tls},
                        {"since", fmt::format("{:%Y-%m-%dT%H:%M:%SZ}", utc)},
                        {"seconds", entry.age_s},
                        {"silent_seconds", entry.silent_s},
                        {"process", one.process},
                        {"mailbox", or_null(entry.mailbox.value)},
                        {"client", or_null(entry.client.value)}});
  }
  std::printf("%s\n", json_text({{"sessions", std::move(sessions)}}, true).c_str());
}

// "s0.17", as rims-login numbers them.
bool is_session_id(const std::string& text) {
  const size_t dot = text.find('.');
  const auto digits = [](std::string_view part) {
    return !part.empty() && part.find_first_not_of("0123456789") == std::string_view::npos;
  };
  return text.starts_with('s') && dot != std::string::npos &&
         digits(std::string_view(text).substr(1, dot - 1)) &&
         digits(std::string_view(text).substr(dot + 1));
}

}  // namespace

int who(const Invocation& how, std::span<char*> args) {
  Invocation with = how;
  bool json = false;
  cli::OptionParser parser("rims-ctl who [options] [USER]");
  add_common(parser, with);
  parser.add_flag(0, "json", "Report as JSON on standard output.", json);
  const auto operands = parser.parse(args);
  if (!operands) return complain("who: " + operands.error().reply(), kUsage);
  if (parser.answer()) return kDone;
  if (operands->size() > 1) return complain("who: needless argument: " + (*operands)[1], kUsage);
  const Loaded loaded = load(with, false);
  if (!loaded.config) return loaded.status;
  if (const auto status = of_another(*loaded.config)) return *status;
  auto told = cli::who(loaded.config->paths_run_dir);
  if (!told) return complain_of(told.error());
  if (!operands->empty()) {
    const auto wanted = names::folded(operands->front());
    std::erase_if(told->sessions, [&](const ToldSession& one) {
      return one.entry.user.value.empty() || names::folded(one.entry.user.value) != wanted;
    });
  }
  if (json)
    print_json(*told);
  else
    print(told->sessions);
  return complain_of_all(told->problems);
}

int kick(const Invocation& how, std::span<char*> args) {
  Invocation with = how;
  bool user = false;
  cli::OptionParser parser("rims-ctl kick [options] USER|SESSION...");
  add_common(parser, with);
  parser.add_flag('u', "user", "All arguments are users, also one like s0.17.", user);
  const auto operands = parser.parse(args);
  if (!operands) return complain("kick: " + operands.error().reply(), kUsage);
  if (parser.answer()) return kDone;
  if (operands->empty()) return complain("kick: need USER or SESSION", kUsage);
  const Loaded loaded = load(with, false);
  if (!loaded.config) return loaded.status;
  if (const auto status = of_another(*loaded.config)) return *status;
  const std::string& run_dir = loaded.config->paths_run_dir;
  // Users who were removed have sessions, too: their names are those of the sessions.
  const auto there = cli::who(run_dir);
  if (!there) return complain_of(there.error());
  // Those that did not answer are not asked again, and named once.
  int status = complain_of_all(there->problems);
  uint64_t ended = 0;
  for (const std::string& word : *operands) {
    std::set<std::string> users;
    std::vector<std::string> ids;
    if (!user && is_session_id(word)) {
      ids.push_back(word);
    } else {
      const auto wanted = names::folded(word);
      for (const ToldSession& one : there->sessions)
        if (wanted && !one.entry.user.value.empty() &&
            names::folded(one.entry.user.value) == wanted)
          users.insert(one.entry.user.value);
    }
    uint64_t count = 0;
    if (!users.empty() || !ids.empty()) {
      const auto told = cli::kick(run_dir, {users.begin(), users.end()}, ids, there->silent);
      if (!told) return complain_of(told.error());
      count = told->ended;
      if (complain_of_all(told->problems) != kDone) status = kFailed;
    }
    if (count == 0)
      status = complain(
          there->silent.empty()
              ? fmt::format("{} has no session", log::quoted(word))
              : fmt::format("{} has no session in the processes that answer", log::quoted(word)),
          kFailed);
    ended += count;
  }
  if (ended > 0) std::printf("sessions ended: %llu\n", static_cast<unsigned long long>(ended));
  return status;
}

}  // namespace rims::ctl
