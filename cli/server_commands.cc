// cli/server_commands.cc - rims server and rims daemon: the whole suite, in the foreground or in
// the background

#include <cerrno>
#include <cstdio>
#include <optional>
#include <string>
#include <unistd.h>
#include <vector>

#include "cli/command.h"
#include "cli/daemon.h"
#include "cli/options.h"
#include "cli/server_options.h"
#include "cli/unit.h"
#include "common/base/errno_text.h"

namespace rims::cli {
namespace {

// Replaces this process by the controller, so that ^C and signals reach the process that has to
// stop the others.
int become_controller(const char* command, const ServerOptions& options) {
  const auto config = make_server_config(options);
  if (!config) return complain(command, config.error().reply(), kFailed);
  const auto controller = program_path("rims-controller");
  if (!controller) return complain(command, controller.error().detail(), kFailed);
  std::vector<std::string> words = config->controller_arguments();
  words.insert(words.begin(), "rims-controller");
  std::vector<char*> argv;
  argv.reserve(words.size() + 1);
  for (std::string& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);
  execv(controller->c_str(), argv.data());
  return complain(command, *controller + ": " + errno_text(errno), kFailed);
}

int start(const ServerOptions& options) {
  const auto config = make_server_config(options);
  if (!config) return complain("daemon", config.error().reply(), kFailed);
  const auto controller = program_path("rims-controller");
  if (!controller) return complain("daemon", controller.error().detail(), kFailed);
  const auto status = start_daemon(*controller, config->controller_arguments(), true);
  if (!status) return complain("daemon", status.error().detail(), kFailed);
  return *status == 0 ? kDone : kFailed;  // the controller has said why
}

// The unit of a suite that does not run. With options for the server it is another suite.
std::optional<OwnerUnit> unit_at_rest(const ServerOptions& options) {
  const auto config = make_server_config(options);
  if (!config || config->file.empty() || config->overrides) return std::nullopt;
  return unit_for(config->file);
}

int by_unit(const Unit& unit, const char* verb) {
  const Status done = through_systemd(unit, verb);
  return done ? kDone : complain("daemon", done.error().reply(), kFailed);
}

int stop(const DaemonState& now) {
  if (const auto unit = unit_of(now.pid)) return by_unit(*unit, "stop");
  const Status stopped = stop_daemon(now);
  if (stopped || stopped.error().fault() == Fault::not_found) return kDone;
  return complain("daemon", stopped.error().reply(), kFailed);
}

}  // namespace

int server(std::span<char*> args) {
  ServerOptions options;
  OptionParser parser("rims server [options]");
  add_server_options(parser, options, 'v');
  const auto operands = parser.parse(args);
  if (!operands) return complain("server", operands.error().reply(), kUsage);
  if (parser.answer()) return kDone;
  if (!operands->empty())
    return complain("server", "needless argument: " + operands->front(), kUsage);
  return become_controller("server", options);
}

int daemon(std::span<char*> args) {
  bool verbose = true, quiet = false, background = true, syslog = true;
  ServerOptions options;
  OptionParser parser("rims daemon start/stop/restart/status [options]");
  parser.add_negatable('v', "verbose", "Enable verbose messages. default is verbose.", verbose);
  parser.add_negatable('q', "quiet", "Disable verbose messages. default is verbose.", quiet);
  parser.add_negatable(0, "daemon", "Start in the background. default is enabled.", background);
  parser.add_negatable(0, "syslog", "Obsoleted: in the background syslog is always used.", syslog);
  add_server_options(parser, options, 0);
  const auto operands = parser.parse(args);
  if (!operands) return complain("daemon", operands.error().reply(), kUsage);
  if (parser.answer()) return kDone;
  if (operands->empty()) return complain("daemon", "need for daemon operation.", kUsage);
  const std::string& operation = operands->front();
  if (operands->size() > 1)
    return complain("daemon", "needless argument: " + (*operands)[1], kUsage);
  if (operation != "start" && operation != "stop" && operation != "restart" &&
      operation != "status")
    return complain("daemon", "unknown daemon operation: " + operation, kUsage);

  // A restart reads all of it first: a mistake must not take a running server down.
  const bool starts = operation == "start" || operation == "restart";
  const auto config = load_server_config(options, starts);
  if (!config) return complain("daemon", config.error().reply(), kFailed);
  const DaemonState now = look_for_daemon(*config);
  if (now.is == DaemonState::hidden || now.is == DaemonState::another)
    return complain("daemon", now.why, kFailed);
  const bool running = now.is == DaemonState::running;
  if (operation == "status") {
    if (verbose && !quiet) std::puts(running ? "daemon is running." : "daemon is stopped.");
    return running ? kDone : kFailed;
  }
  if (operation == "start") {
    if (running) return complain("daemon", "daemon is running.", kFailed);
    if (!background) return become_controller("daemon", options);
    // Else the unit would not know of it, and it would not be confined.
    const auto owner = unit_at_rest(options);
    return owner ? by_unit(owner->unit, "start") : start(options);
  }
  if (!running) {
    // systemd is about to start it again.
    const auto owner = unit_at_rest(options);
    if (owner && owner->state.waits()) return by_unit(owner->unit, operation.c_str());
    return complain("daemon", "No daemon.", kFailed);
  }
  if (operation == "restart")
    if (const auto unit = unit_of(now.pid)) return by_unit(*unit, "restart");
  const int stopped = stop(now);
  return operation == "stop" || stopped != kDone ? stopped : start(options);
}

}  // namespace rims::cli
