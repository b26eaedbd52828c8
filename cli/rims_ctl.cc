// cli/rims_ctl.cc - rims-ctl: start, stop, restart, reload, status, check; tools for accounts

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <optional>
#include <set>
#include <string>
#include <unistd.h>
#include <vector>

#include <fmt/core.h>

#include "cli/admin_client.h"
#include "cli/ctl.h"
#include "cli/ctl_account.h"
#include "cli/daemon.h"
#include "cli/unit.h"
#include "common/base/encoding.h"
#include "common/base/log.h"
#include "common/config/config.h"
#include "common/tls/tls.h"
#include "controller/identity.h"
#include "controller/places.h"

namespace rims::ctl {
namespace {

cli::DaemonState look(const config::Config& config) { return cli::look_for_daemon(config); }

void warn_of_spellings(const config::Config& config) {
  const auto base = store::open_base(config.base_dir);
  if (!base) return;
  const auto lines = old_spellings(config, *base);
  if (!lines) return;
  for (const std::string& line : *lines) complain("warning: " + line, kDone);
}

}  // namespace

int check_configuration(const Invocation& how, bool quiet) {
  Loaded loaded = load(how, true);
  if (!loaded.config) return loaded.status;
  for (const std::string& warning : loaded.config->warnings) complain("warning: " + warning, kDone);
  const cli::DaemonState now = look(*loaded.config);
  if (now.is == cli::DaemonState::another) return complain(now.why, kConfig);
  const bool running = now.is == cli::DaemonState::running;
  std::set<std::string> remarks;
  const Status good = controller::foresee(*loaded.config, running, remarks);
  for (const std::string& remark : remarks) complain("warning: " + remark, kDone);
  if (!good) return complain(good.error().detail(), kConfig);
  warn_of_spellings(*loaded.config);
  if (!quiet) std::printf("%s: no mistakes\n", loaded.file.c_str());
  return kDone;
}

namespace {

using State = cli::DaemonState;

// Where the suite is: by the pid file of -p, or by the configuration.
std::optional<State> find_suite(const Invocation& how, std::string& pid_file, int& status) {
  if (!how.pid_file.empty()) {
    pid_file = how.pid_file;
    return cli::look_for_daemon(pid_file);
  }
  Loaded loaded = load(how, false);
  status = loaded.status;
  if (!loaded.config) {
    if (status == kConfig) complain("\"rims-ctl -p PIDFILE\" needs no configuration", kConfig);
    return std::nullopt;
  }
  pid_file = loaded.config->paths_pid_file;
  return look(*loaded.config);
}

// The exit status, after a message, where nothing can or should be done with it.
std::optional<int> out_of_reach(const State& now) {
  if (now.is == State::hidden) return complain(now.why, kNoPermission);
  if (now.is == State::another) return complain(now.why, kFailed);
  return std::nullopt;
}

// ", which is rims.service of systemd", or "".
std::string owner_of(const State& running) {
  const auto unit = cli::unit_of(running.pid);
  return unit ? fmt::format(", which is {} of systemd", unit->name) : "";
}

int by_unit(const cli::Unit& unit, const std::string& verb, const char* participle) {
  if (const Status done = cli::through_systemd(unit, verb); !done)
    return complain(done.error().reply(), kFailed);
  std::printf("rims is %s, by \"systemctl %s %s\"\n", participle, verb.c_str(), unit.name.c_str());
  return kDone;
}

// The unit of a suite that does not run, where the configuration is known: with -p it is not.
std::optional<cli::OwnerUnit> unit_at_rest(const Invocation& how) {
  if (!how.pid_file.empty()) return std::nullopt;
  const Loaded loaded = load(how, false);
  return loaded.config ? cli::unit_for(loaded.file) : std::nullopt;
}

int start(const Invocation& how) {
  Loaded loaded = load(how, true);
  if (!loaded.config) return loaded.status;
  const State now = look(*loaded.config);
  if (const auto status = out_of_reach(now)) return *status;
  if (now.is == State::running) {
    std::printf("rims runs already, with process %d%s\n", now.pid, owner_of(now).c_str());
    return kDone;
  }
  warn_of_spellings(*loaded.config);
  if (const auto owner = cli::unit_for(loaded.file))
    return by_unit(owner->unit, "start", "started");
  const auto own = controller::own_directory();
  if (!own) return complain(own.error().detail(), kFailed);
  const std::string program = own->substr(0, own->rfind('/')) + "/libexec/rims/rims-controller";
  const std::string file = std::filesystem::absolute(loaded.file).string();
  const auto status = cli::start_daemon(program, {"-c", file});
  if (!status) return complain(status.error().detail(), kFailed);
  if (*status == 0) {
    std::printf("rims is started, with process %d\n", look(*loaded.config).pid);
    return kDone;
  }
  return complain("rims was not started; the reason is above", *status == 78 ? kConfig : kFailed);
}

int does_not_run(const std::optional<cli::OwnerUnit>& owner, int status) {
  if (owner)
    std::printf("rims does not run; %s of systemd %s\n", owner->unit.name.c_str(),
                owner->text().c_str());
  else
    std::printf("rims does not run\n");
  return status;
}

int stop_now(const Invocation& how, const State& now) {
  if (const auto status = out_of_reach(now)) return *status;
  if (now.is != State::running) {
    const auto owner = unit_at_rest(how);
    // It would be started again.
    if (owner && owner->state.waits()) return by_unit(owner->unit, "stop", "stopped");
    return does_not_run(owner, kDone);
  }
  if (const auto unit = cli::unit_of(now.pid)) return by_unit(*unit, "stop", "stopped");
  const Status stopped = cli::stop_daemon(now);
  if (!stopped && stopped.error().fault() == Fault::not_found) return kDone;  // it ended just now
  if (!stopped)
    return complain(stopped.error().reply(),
                    stopped.error().fault() == Fault::timeout ? kFailed : kNoPermission);
  std::printf("rims is stopped\n");
  return kDone;
}

int stop(const Invocation& how) {
  int status = kDone;
  std::string path;
  const auto now = find_suite(how, path, status);
  return now ? stop_now(how, *now) : status;
}

int restart(const Invocation& how, bool only_if_running) {
  // A mistake in the file must not take a running suite down.
  if (const int status = check_configuration(how, true); status != kDone)
    return complain("nothing was restarted", static_cast<Exit>(status));
  int status = kDone;
  std::string path;
  const auto now = find_suite(how, path, status);
  if (!now) return status;
  if (const auto out = out_of_reach(*now)) return *out;
  if (now->is != State::running) {
    const auto owner = unit_at_rest(how);
    if (owner && owner->state.waits()) return by_unit(owner->unit, "restart", "started again");
    return only_if_running ? does_not_run(owner, kDone) : start(how);
  }
  if (const auto unit = cli::unit_of(now->pid)) return by_unit(*unit, "restart", "started again");
  if (const int stopped = stop_now(how, *now); stopped != kDone) return stopped;
  return start(how);
}

int reload(const Invocation& how) {
  if (const int status = check_configuration(how, true); status != kDone)
    return complain("nothing was reloaded", static_cast<Exit>(status));
  int status = kDone;
  std::string path;
  const auto now = find_suite(how, path, status);
  if (!now) return status;
  if (const auto out = out_of_reach(*now)) return *out;
  if (now->is != State::running)
    return complain("rims does not run; \"rims-ctl start\" starts it", kFailed);
  // Not by systemctl: the unit's own reload comes here.
  bool signalled = false;
  const auto signal = [&]() -> Status {
    TRY_STATUS(cli::signal_daemon(*now, SIGHUP, "reloaded"));
    signalled = true;
    return {};
  };
  const Loaded loaded = load(how, false);
  if (!loaded.config) return loaded.status;
  auto told = cli::reload(loaded.config->paths_run_dir, signal);
  if (!told && !signalled && told.error().fault() == Fault::not_found) {
    // Nobody tells how it ends: an earlier version, or a run directory that is gone.
    if (const Status sent = signal(); sent) {
      std::printf("rims reads its configuration again; its log says when it is in force (%s)\n",
                  told.error().reply().c_str());
      return kDone;
    } else {
      told = std::unexpected(sent.error());
    }
  }
  if (!told)
    return complain(told.error().reply(),
                    told.error().fault() == Fault::refused ? kNoPermission : kFailed);
  for (const std::string& remark : told->remarks) complain(log::printable(remark), kFailed);
  switch (told->end) {
    case ipc::ReloadEnd::in_force:
      std::printf("the new configuration is in force\n");
      return kDone;
    case ipc::ReloadEnd::refused:
      return complain("nothing was reloaded", kConfig);
    case ipc::ReloadEnd::late:
      return complain(
          "the new configuration is in force in all other processes; it will be in "
          "these when they go on, or are started again",
          kFailed);
  }
  return kFailed;
}

// The children of the controller, from /proc: "rims-imapd 4712".
void print_children(pid_t parent) {
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator("/proc", error)) {
    const std::string name = entry.path().filename().string();
    if (name.find_first_not_of("0123456789") != std::string::npos) continue;
    std::ifstream in(entry.path() / "stat");
    std::string text;
    std::getline(in, text);
    const size_t open = text.find('('), close = text.rfind(')');
    if (open == std::string::npos || close == std::string::npos) continue;
    char state = 0;
    int parent_pid = 0;
    if (std::sscanf(text.c_str() + close + 1, " %c %d", &state, &parent_pid) == 2 &&
        parent_pid == parent)
      std::printf("  %-14s %s\n", text.substr(open + 1, close - open - 1).c_str(), name.c_str());
  }
}

int status(const Invocation& how) {
  int failed = kDone;
  std::string path;
  const auto now = find_suite(how, path, failed);
  if (!now) return failed;
  switch (now->is) {
    case State::hidden:
    case State::another:
      return *out_of_reach(*now);
    case State::none:
      return does_not_run(unit_at_rest(how), kNotRunning);
    case State::dead:
      if (const auto owner = unit_at_rest(how)) return does_not_run(owner, kFailed);
      std::printf("rims does not run, but did not end in order: %s is left\n", path.c_str());
      return kFailed;
    case State::running:
      break;
  }
  std::printf("rims runs, with process %d%s\n", now->pid, owner_of(*now).c_str());
  print_children(now->pid);
  if (now->no_file)
    return complain(
        fmt::format("{} is gone, and with it perhaps its sockets: mail and rims-ctl may "
                    "not reach it; \"rims-ctl restart\" makes them again",
                    path),
        kFailed);
  return kDone;
}

// A command without operands, which does `Run`.
template <auto Run>
int simple(const Invocation& how, std::span<char*> args) {
  Invocation with = how;
  cli::OptionParser parser("rims-ctl COMMAND [options]");
  add_common(parser, with);
  const auto operands = parser.parse(args);
  if (!operands) return complain(operands.error().reply(), kUsage);
  if (parser.answer()) return kDone;
  if (!operands->empty()) return complain("needless argument: " + operands->front(), kUsage);
  return Run(with);
}

int restart_always(const Invocation& how) { return restart(how, false); }
int restart_running(const Invocation& how) { return restart(how, true); }

struct Command {
  std::string_view name;
  const char* description;  // "" for another name of the one before
  int (*run)(const Invocation& how, std::span<char*> args);
};

constexpr Command kCommands[] = {
    {"start", "start the suite in the background; returns when it serves", simple<start>},
    {"stop", "end it; returns when it has ended", simple<stop>},
    {"restart", "stop and start it, unless the configuration has a mistake",
     simple<restart_always>},
    {"try-restart", "restart it if it runs", simple<restart_running>},
    {"reload", "let it read its configuration again and reopen its log", simple<reload>},
    {"force-reload", "", simple<reload>},
    {"status", "say whether it runs, and its processes", simple<status>},
    {"who", "list the sessions: whose, from where, since when", who},
    {"kick", "end the sessions of a user, or one session", kick},
    {"user", "add, change, list and remove users", user},
    {"domain", "mail domains, their aliases and catch-all", domain},
    {"check", "look for mistakes in the configuration, or for damage in accounts", check},
    {"cert", "show the certificates, or make a first one", cert},
    {"backup", "copy accounts to a directory, or verify it", backup},
    {"export", "write the mail of a user as Maildirs or mbox files", export_account},
    {"import", "take the mail of another program", import_account},
    {"restore", "accounts, mailboxes or messages as they were", restore},
    {"mailbox", "list the mailboxes of an account, or their numbers", mailbox},
    {"account", "list accounts, give one another user, or remove one", account},
    {"undelete", "list expunged messages, or bring them back", undelete},
    {"dump", "show the records of an account", dump},
};

std::string usage() {
  std::string text = "rims-ctl [options] COMMAND [...]\n";
  for (const Command& command : kCommands)
    if (*command.description)
      text += fmt::format("  {:<12} {}\n", command.name, command.description);
  return text + "\"rims-ctl COMMAND -h\" says more. Options:";
}

int run(std::span<char*> args) {
  crypto_init();
  tls::init();
  Invocation how;
  cli::OptionParser parser(usage());
  add_common(parser, how);
  const auto rest = parser.parse_until_operand(args);
  if (!rest) return complain(rest.error().reply(), kUsage);
  if (parser.answer()) return kDone;
  if (rest->empty()) {
    std::fputs(parser.help().c_str(), stderr);
    return kUsage;
  }
  const std::string_view name = rest->front();
  for (const Command& command : kCommands)
    if (command.name == name) return command.run(how, rest->subspan(1));
  return complain(fmt::format("unknown command {}; \"rims-ctl -h\" lists them", log::quoted(name)),
                  kUsage);
}

}  // namespace
}  // namespace rims::ctl

int main(int argc, char** argv) {
  const std::span<char*> args(argv, static_cast<size_t>(argc));
  return rims::ctl::run(args.empty() ? args : args.subspan(1));
}
