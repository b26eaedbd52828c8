// cli/ctl.cc - messages and the configuration, for every command of rims-ctl

#include "cli/ctl.h"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <unistd.h>

#include <fmt/core.h>

#include "cli/daemon.h"
#include "common/config/locate.h"

namespace rims::ctl {

int complain(const std::string& text, Exit status) {
  for (size_t at = 0; at < text.size();) {
    const size_t end = std::min(text.find('\n', at), text.size());
    std::fprintf(stderr, "rims-ctl: %s\n", text.substr(at, end - at).c_str());
    at = end + 1;
  }
  return status;
}

int complain(const Error& error) {
  const bool denied = error.detail().contains("Permission denied");
  return complain(error.detail() + (denied ? "; run rims-ctl as root or as the mail user" : ""),
                  denied ? kNoPermission : kFailed);
}

void add_common(cli::OptionParser& parser, Invocation& how) {
  parser.add_value('c', "config", "FILE", "The configuration.", how.config);
  parser.add_value('f', "config-yaml", "FILE", "The same.", how.config);
  parser.add_value('p', "pid-file", "FILE",
                   "The pid file; with it stop and status need no configuration.", how.pid_file);
}

namespace {

// Where root's suite has its run directory differs from where that of another has it. Also who is
// not root asks about the suite of root.
Result<config::Config> load_as_started(const std::string& file, bool need_users) {
  config::Options options{
      .overrides = {}, .need_users = need_users, .by_root = config::started_by_root()};
  TRY(config::Config config, config::load(file, options));
  if (options.by_root || !cli::root_runs_on(config.base_dir)) return config;
  options.by_root = true;
  return config::load(file, options);
}

}  // namespace

Loaded load(const Invocation& how, bool need_users) {
  Loaded loaded;
  auto file = config::locate(how.config);
  if (!file) {
    loaded.status = complain(file.error().detail(), kConfig);
    return loaded;
  }
  loaded.file = *file;
  if (access(file->c_str(), R_OK) != 0 && errno == EACCES) {
    loaded.status = complain(fmt::format("{}: permission denied; run rims-ctl as the one who may "
                                         "read it (root, for a suite that root starts)",
                                         *file),
                             kNoPermission);
    return loaded;
  }
  auto config = load_as_started(*file, need_users);
  if (!config) {
    loaded.status = complain(config.error().detail(), kConfig);
    return loaded;
  }
  loaded.config.emplace(std::move(*config));
  return loaded;
}

std::optional<int> of_another(const config::Config& config) {
  const cli::DaemonState now = cli::look_for_daemon(config);
  if (now.is != cli::DaemonState::another) return std::nullopt;
  return complain(now.why, kFailed);
}

}  // namespace rims::ctl
