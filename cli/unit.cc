// cli/unit.cc - control groups and systemctl

#include "cli/unit.h"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <fcntl.h>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <sys/wait.h>
#include <unistd.h>
#include <vector>

#include <fmt/core.h>

#include "common/base/errno_text.h"
#include "common/base/fd.h"

namespace rims::cli {
namespace {

// Runs it and waits. With `out`, its output goes there, and what it complains of nowhere.
Result<int> systemctl(const Unit& unit, std::vector<std::string> words, std::string* out) {
  words.insert(words.begin(), "systemctl");
  if (unit.user) words.emplace_back("--user");
  words.insert(words.end(), {"--", unit.name});
  std::vector<char*> argv;
  argv.reserve(words.size() + 1);
  for (std::string& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) return fail_errno("pipe", errno);
  const Fd in(ends[0]);
  Fd told(ends[1]);
  const pid_t pid = fork();
  if (pid < 0) return fail_errno("fork", errno);
  if (pid == 0) {
    if (out) {
      dup2(told.get(), STDOUT_FILENO);
      const Fd null(open("/dev/null", O_WRONLY | O_CLOEXEC));
      if (null) dup2(null.get(), STDERR_FILENO);
    }
    execvp(argv[0], argv.data());
    _exit(127);
  }
  told.reset();
  char buffer[512];
  for (ssize_t got = 0; (got = read(in.get(), buffer, sizeof buffer)) > 0;)
    if (out) out->append(buffer, static_cast<size_t>(got));
  int status = 0;
  while (waitpid(pid, &status, 0) < 0)
    if (errno != EINTR) return fail_errno("waitpid", errno);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 127;
}

constexpr const char* kUnit = "rims.service";

pid_t parent_of(pid_t pid) {
  std::ifstream in(fmt::format("/proc/{}/status", pid));
  for (std::string line; std::getline(in, line);) {
    pid_t parent = 0;
    if (std::sscanf(line.c_str(), "PPid: %d", &parent) == 1) return parent;
  }
  return 0;
}

std::string cgroup_of(const std::string& process) {
  std::ifstream in("/proc/" + process + "/cgroup");
  return std::string{std::istreambuf_iterator<char>(in), {}};
}

// Is this process, or one above it, what systemd runs now to start, stop or reload a unit?
bool called_by_systemd() {
  const auto own = unit_in(cgroup_of("self"));
  if (!own) return false;
  std::string control;
  const auto status = systemctl(*own, {"show", "--property=ControlPID", "--value"}, &control);
  if (!status || *status != 0) return false;
  const pid_t caller = std::atoi(control.c_str());
  for (pid_t pid = getpid(); caller > 0 && pid > 1; pid = parent_of(pid))
    if (pid == caller) return true;
  return false;
}

}  // namespace

UnitState unit_state_in(std::string_view shown) {
  UnitState state;
  while (!shown.empty()) {
    const size_t end = std::min(shown.find('\n'), shown.size());
    const std::string_view line = shown.substr(0, end);
    shown.remove_prefix(std::min(end + 1, shown.size()));
    const size_t equal = std::min(line.find('='), line.size());
    const std::string_view key = line.substr(0, equal);
    const std::string_view value = line.substr(std::min(equal + 1, line.size()));
    if (key == "LoadState") state.load = value;
    if (key == "ActiveState") state.active = value;
    if (key == "SubState") state.sub = value;
    if (key == "Result") state.result = value;
    if (key != "ExecStart") continue;
    // "{ path=/usr/libexec/rims/rims-controller ; argv[]=/usr/... -F -c FILE ; ignore_errors=no
    // ..."
    const size_t words = value.find("argv[]=");
    const std::string_view arguments = words == std::string_view::npos
                                           ? ""
                                           : value.substr(words, value.find(" ; ", words) - words);
    const size_t option = arguments.find(" -c ");
    if (option == std::string_view::npos || !arguments.contains("/rims-controller ")) continue;
    const std::string_view rest = arguments.substr(option + 4);
    state.config = rest.substr(0, rest.find(' '));
  }
  return state;
}

std::string OwnerUnit::text() const {
  if (state.waits()) return "is about to start it again";
  if (state.active == "failed") return "has failed (" + state.result + ")";
  if (state.active == "inactive") return "is inactive";
  return "is " + state.active + " (" + state.sub + ")";
}

std::optional<OwnerUnit> unit_for(const std::string& config_file) {
  std::error_code error;
  if (!std::filesystem::exists("/run/systemd/system", error)) return std::nullopt;
  OwnerUnit owner{.unit = {.name = kUnit}, .state = {}};
  std::string shown;
  const auto status = systemctl(
      owner.unit, {"show", "--property=LoadState,ActiveState,SubState,Result,ExecStart"}, &shown);
  if (!status || *status != 0) return std::nullopt;
  owner.state = unit_state_in(shown);
  if (owner.state.load != "loaded" || owner.state.config.empty() ||
      !std::filesystem::equivalent(owner.state.config, config_file, error) || called_by_systemd())
    return std::nullopt;
  return owner;
}

std::optional<Unit> unit_in(std::string_view cgroup) {
  while (!cgroup.empty()) {
    const size_t end = std::min(cgroup.find('\n'), cgroup.size());
    const std::string_view line = cgroup.substr(0, end);
    cgroup.remove_prefix(std::min(end + 1, cgroup.size()));
    // "0::/system.slice/rims.service", and with version 1 "1:name=systemd:/..."
    const size_t colon = line.rfind(":/");
    if (colon == std::string_view::npos ||
        (!line.starts_with("0::") && !line.contains(":name=systemd:")))
      continue;
    const std::string_view path = line.substr(colon + 1);
    const std::string_view name = path.substr(path.rfind('/') + 1);
    if (!name.ends_with(".service") || name.starts_with('-')) continue;
    return Unit{.name = std::string(name), .user = path.contains("/user@")};
  }
  return std::nullopt;
}

std::optional<Unit> unit_of(pid_t pid) {
  auto unit = unit_in(cgroup_of(fmt::format("{}", pid)));
  if (!unit) return std::nullopt;
  const auto own = unit_in(cgroup_of("self"));
  if (own && own->name == unit->name && own->user == unit->user) return std::nullopt;
  // It may have been started by hand from within another service, such as cron or sshd.
  std::string main_pid;
  const auto status = systemctl(*unit, {"show", "--property=MainPID", "--value"}, &main_pid);
  if (!status || *status != 0 || main_pid != fmt::format("{}\n", pid)) return std::nullopt;
  return unit;
}

Status through_systemd(const Unit& unit, const std::string& verb) {
  TRY(const int status, systemctl(unit, {verb}, nullptr));
  if (status == 0) return {};
  return fail(Fault::refused,
              fmt::format("\"systemctl {}{} {}\" failed with status {}; \"systemctl status {}\" "
                          "tells more",
                          verb, unit.user ? " --user" : "", unit.name, status, unit.name));
}

}  // namespace rims::cli
