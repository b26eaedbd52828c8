// cli/server_options.cc - from options to a configuration that a controller can read

#include "cli/server_options.h"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <fcntl.h>
#include <limits.h>
#include <unistd.h>

#include "cli/earlier_options.h"
#include "common/config/locate.h"
#include "common/ipc/sealed.h"

namespace rims::cli {
namespace {

std::string current_directory() {
  char path[PATH_MAX];
  return getcwd(path, sizeof path) ? path : "/";
}

std::string absolute(const std::string& path, const std::string& directory) {
  return path.starts_with('/') ? path : directory + "/" + path;
}

std::string directory_of(const std::string& file) {
  const std::string path = absolute(file, current_directory());
  const size_t slash = path.rfind('/');
  return slash == 0 ? "/" : path.substr(0, slash);
}

bool says(const ServerOptions& options, std::string_view key) {
  return std::ranges::any_of(options.overrides,
                             [key](const auto& entry) { return entry.first == key; });
}

// "" when there is no file, only the command line.
Result<std::string> file_of(const ServerOptions& options) {
  if (options.config_file.empty() && says(options, "username")) return std::string();
  TRY(const std::string file, config::locate(options.config_file));
  return absolute(file, current_directory());
}

using Overrides = std::vector<std::pair<std::string, std::string>>;

Overrides all_overrides(const ServerOptions& options) {
  Overrides all = options.overrides;
  if (options.config_file.empty() && says(options, "username") && !says(options, "base_dir"))
    all.emplace_back("base_dir", current_directory());
  if (!options.password.empty()) all.emplace_back("password", options.password.reveal());
  return all;
}

}  // namespace

void add_server_options(OptionParser& parser, ServerOptions& o, char log_stdout) {
  // What an option does: it overrides the setting `key`.
  const auto setting = [&o](const char* key) {
    return [&o, key](std::string_view value) -> Status {
      o.overrides.emplace_back(key, value);
      return {};
    };
  };
  const auto fixed = [&o](const char* key, const char* value) {
    return [&o, key, value](std::string_view) -> Status {
      o.overrides.emplace_back(key, value);
      return {};
    };
  };
  const auto renamed = [&o](const char* key, const char* old_name, const char* new_name) {
    return [&o, key, old_name, new_name](std::string_view value) -> Status {
      std::fprintf(stderr, "warning: `--%s' is obsoleted option and should use `--%s'.\n", old_name,
                   new_name);
      o.overrides.emplace_back(key, value);
      return {};
    };
  };
  using enum OptionKind;
  parser.add_value('f', "config-yaml", "CONFIG_FILE", "Load parameters from CONFIG_FILE.",
                   o.config_file);
  parser.add_value('c', "config", "CONFIG_FILE", "The same.", o.config_file);
  parser.add({'d', "base-dir", value, "DIR",
              "Directory of log file, mailbox database, etc. default is the directory of the "
              "configuration, or the current one.",
              [&o](std::string_view v) -> Status {
                o.overrides.emplace_back("base_dir", absolute(std::string(v), current_directory()));
                return {};
              }});
  parser.add({log_stdout, "log-stdout", value, "LEVEL",
              "Stdout logging level (debug info warn error fatal quiet). default is `info'.",
              setting("log_stdout")});
  parser.add({0, "log-file", value, "FILE", "Name of log file. default is `imap.log'.",
              setting("log_file")});
  parser.add({'l', "log-level", value, "LEVEL",
              "Logging level (debug info warn error fatal). default is `info'.",
              setting("log_level")});
  parser.add({0, "log-shift-age", value, "NUMBER", "Number of old log files to keep.",
              setting("log_shift_age")});
  parser.add({0, "log-shift-age-daily", flag, "", "Rotate the log file daily.",
              fixed("log_shift_age", "daily")});
  parser.add({0, "log-shift-age-weekly", flag, "", "Rotate the log file weekly.",
              fixed("log_shift_age", "weekly")});
  parser.add({0, "log-shift-age-monthly", flag, "", "Rotate the log file monthly.",
              fixed("log_shift_age", "monthly")});
  parser.add(
      {0, "log-shift-size", value, "SIZE", "Maximum log file size.", setting("log_shift_size")});
  parser.add({0, "kvs-type", value, "TYPE",
              "Key-value store type of the mailbox database. default is `gdbm'.",
              setting("key_value_store_type")});
  parser.add({0, "use-kvs-cksum", negatable, "",
              "Data checksum at key-value store. default is enabled.",
              setting("use_key_value_store_checksum")});
  parser.add(
      {'u', "username", value, "NAME", "Username to login IMAP server.", setting("username")});
  parser.add({'w', "password", secret, "PASS",
              "Password to login IMAP server. Other users can see it while the command starts.",
              [&o](std::string_view v) -> Status {
                o.password = Secret(v);
                return {};
              }});
  parser.add({0, "imap-host", value, "HOSTNAME",
              "Hostname or IP address to bind. default is `0.0.0.0'.", setting("imap_host")});
  parser.add({0, "imap-port", value, "PORT",
              "Port number or service name to bind. default is 1430.", setting("imap_port")});
  parser.add({0, "privilege-user", value, "NAME", "User name or ID of the server processes.",
              setting("process_privilege_user")});
  parser.add({0, "privilege-group", value, "NAME", "Group name or ID of the server processes.",
              setting("process_privilege_group")});
  parser.add({0, "ip-addr", value, "IP_ADDR", "obsoleted.",
              renamed("imap_host", "ip-addr=IP_ADDR", "imap-host=HOSTNAME")});
  parser.add({0, "ip-port", value, "PORT", "obsoleted.",
              renamed("imap_port", "ip-port=PORT", "imap-port=PORT")});
  add_earlier_options(parser, o);
}

std::vector<std::string> ServerConfig::controller_arguments() const {
  std::vector<std::string> words;
  if (!file.empty()) words.insert(words.end(), {"-c", file});
  if (overrides) words.insert(words.end(), {"-O", std::to_string(overrides.get())});
  return words;
}

Result<ServerConfig> make_server_config(const ServerOptions& options) {
  ServerConfig result;
  TRY(result.file, file_of(options));
  std::string pairs;
  for (auto& [key, value] : all_overrides(options)) {
    pairs.append(key).append(1, '\0').append(value).append(1, '\0');
    wipe(value);
  }
  if (pairs.empty()) return result;

  auto memfd = ipc::sealed_copy(pairs, "options");
  wipe(pairs);
  if (!memfd) return std::unexpected(memfd.error());
  if (fcntl(memfd->get(), F_SETFD, 0) < 0 || lseek(memfd->get(), 0, SEEK_SET) < 0)
    return fail_errno("the options of the server", errno);
  result.overrides = *std::move(memfd);
  return result;
}

Result<config::Config> load_server_config(const ServerOptions& options, bool need_users) {
  TRY(const std::string file, file_of(options));
  const config::Options how{.overrides = all_overrides(options),
                            .need_users = need_users,
                            .by_root = config::started_by_root()};
  return file.empty() ? config::parse("", "the command line", "/", how) : config::load(file, how);
}

Result<std::string> program_path(const std::string& name) {
  char self[PATH_MAX];
  const ssize_t size = readlink("/proc/self/exe", self, sizeof self);
  if (size <= 0 || static_cast<size_t>(size) == sizeof self)
    return fail_errno("/proc/self/exe", errno);
  const std::string bin = directory_of(std::string(self, static_cast<size_t>(size)));
  std::string path = directory_of(bin) + "/libexec/rims/" + name;
  if (access(path.c_str(), X_OK) < 0) return fail_errno(path, errno);
  return path;
}

}  // namespace rims::cli
