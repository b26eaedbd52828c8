// controller/places.cc - looking before a start, and making directories

#include "controller/places.h"

#include <cerrno>
#include <fcntl.h>
#include <fstream>
#include <grp.h>
#include <pwd.h>
#include <set>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fmt/core.h>

#include "common/base/errno_text.h"
#include "common/base/fd.h"
#include "common/config/root_paths.h"
#include "controller/identity.h"
#include "controller/parts.h"
#include "controller/sockets.h"

namespace rims::controller {
namespace {

std::unexpected<Error> refused(std::string why) { return fail(Fault::refused, std::move(why)); }
std::unexpected<Error> refused_errno(std::string what, int error) {
  return refused(std::move(what) + ": " + errno_text(error));
}

std::string name_of(const std::string& path) { return path.substr(path.rfind('/') + 1); }

// Asks with the rights of `who`, in a child process that becomes that user. A file that is missing
// is no obstacle. Returns an errno, 0 when it is possible.
int can_write(const std::string& directory, const std::string& file,
              const privdrop::Identity& who) {
  // The programs open their directory before they change their user (privdrop.h), so what is above
  // it does not matter.
  const Fd fd(open(directory.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!fd) return errno;
  const pid_t pid = fork();
  if (pid < 0) return errno;
  if (pid == 0) {
    if (who.change) privdrop::become(who.uid, who.gid);
    int error = faccessat(fd.get(), ".", W_OK | X_OK, 0) == 0 ? 0 : errno;
    if (error == 0 && !file.empty() && faccessat(fd.get(), file.c_str(), W_OK, 0) != 0 &&
        errno != ENOENT)
      error = errno;
    std::_Exit(error);
  }
  int status = 0;
  while (waitpid(pid, &status, 0) < 0)
    if (errno != EINTR) return errno;
  return WIFEXITED(status) ? WEXITSTATUS(status) : ECHILD;
}

std::string name_of_user(uid_t id) {
  const passwd* entry = getpwuid(id);
  return entry ? entry->pw_name : fmt::format("{}", id);
}

std::string name_of_group(gid_t id) {
  const group* entry = getgrgid(id);
  return entry ? entry->gr_name : fmt::format("{}", id);
}

// The directory of all accounts in base_dir.
constexpr const char* kAccounts = "mailbox.3";

// What an administrator can do about it.
std::string remedy(const config::Config& config, std::string_view key, const std::string& path,
                   const privdrop::Identity& who, int error, bool there) {
  if (error == EROFS)
    return fmt::format(
        "; for a unit of systemd, {}let it write there: make "
        "/etc/systemd/system/rims.service.d/{}.conf with the lines \"[Service]\" and "
        "\"ReadWritePaths={}\", and run \"systemctl daemon-reload\"",
        there ? "" : "make the directory and ", key, path);
  // That directory must stay root's (common/config/root_paths.h).
  if (error == EACCES && who.change && key == "base_dir" && path == config.directory)
    return "; mail can not be kept beside the configuration when root starts the suite: set "
           "base_dir to another directory, such as /var/lib/rims or \"base_dir: mail\"";
  struct stat st{};
  if (error == EACCES && who.change && key == "base_dir" &&
      (stat((path + "/" + kAccounts).c_str(), &st) == 0 || stat(path.c_str(), &st) == 0) &&
      st.st_uid != 0 && st.st_uid != who.uid)
    return fmt::format(
        "; the mail there belongs to user {0} and group {1}, and rims-imapd would be user {2}: "
        "set \"process_privilege_user: {0}\" and \"process_privilege_group: {1}\", or give all of "
        "it away by \"chown -R {2}:{3} {4}\"",
        name_of_user(st.st_uid), name_of_group(st.st_gid), who.uid, who.gid, path);
  if (error == EACCES && who.change)
    return fmt::format(
        "; user {} must be able to write it, and to make files in it: \"chown {}:{} "
        "{}\"",
        who.uid, who.uid, who.gid, path);
  if (error == ENOENT) return "; make the directory above it";
  return {};
}

// Could this process make it?
Status could_make(const std::string& path, int& error) {
  const std::string parent = directory_of(path);
  struct stat st{};
  error = 0;
  if (stat(parent.c_str(), &st) != 0 || access(parent.c_str(), W_OK | X_OK) != 0)
    error = errno;
  else if (!S_ISDIR(st.st_mode))
    error = ENOTDIR;
  if (error == 0) return {};
  return refused_errno("cannot make " + path, error);
}

// `own`: its parent is the mail user's, as for a log in base_dir.
Status make_data_directory(const std::string& path, const privdrop::Identity& who, bool own,
                           int& error) {
  error = 0;
  // Whoever may change the parent could let root make a directory elsewhere, and give it away.
  if (who.change && !own) {
    TRY_STATUS(config::only_root_may_change(directory_of(path)));
  }
  if (mkdir(path.c_str(), 0750) != 0) {
    error = errno;
    return refused_errno("cannot make " + path, error);
  }
  if (!who.change) return {};
  // By descriptor: a user who may write to the parent could have replaced it by a link.
  const Fd fd(open(path.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (!fd || fchown(fd.get(), who.uid, who.gid) != 0) return refused_errno("chown " + path, errno);
  return {};
}

// The ports in RUN_DIR/ports: those of the suite that runs.
std::set<uint16_t> ports_in_use(const std::string& run_dir) {
  std::set<uint16_t> ports;
  std::ifstream in(run_dir + "/ports");
  std::string name;
  unsigned port = 0;
  while (in >> name >> port) ports.insert(static_cast<uint16_t>(port));
  return ports;
}

}  // namespace

Status data_directory(const config::Config& config, std::string_view key, const std::string& path,
                      const std::string& file, const privdrop::Identity& who, Missing missing) {
  const std::string where = fmt::format("{}{}: ", config::where(config, key), key);
  struct stat st{};
  if (stat(path.c_str(), &st) != 0) {
    if (errno != ENOENT) return refused_errno(where + path, errno);
    int error = 0;
    const Status made =
        missing == Missing::make
            ? make_data_directory(path, who, directory_of(path) == config.base_dir, error)
            : could_make(path, error);
    if (!made)
      return refused(where + made.error().reply() + remedy(config, key, path, who, error, false));
    if (missing == Missing::could_be_made) return {};
  } else if (!S_ISDIR(st.st_mode)) {
    return refused(fmt::format("{}{} is not a directory", where, path));
  }
  const bool named =
      !file.empty() && (file != kAccounts || stat((path + "/" + file).c_str(), &st) == 0);
  if (const int error = can_write(path, file, who); error != 0)
    return refused(fmt::format("{}cannot write {}{}: {}{}", where, path,
                               named ? " or " + file + " in it" : "", errno_text(error),
                               remedy(config, key, path, who, error, true)));
  return {};
}

Status data_directories(const config::Config& config, const Identities& who, Missing missing) {
  const auto& of = who.of;
  const privdrop::Identity& mail_user = of[static_cast<size_t>(ipc::Role::imapd)];
  const privdrop::Identity& auth_user = of[static_cast<size_t>(ipc::Role::auth)];
  const privdrop::Identity& log_user = of[static_cast<size_t>(ipc::Role::log)];
  TRY_STATUS(data_directory(config, "base_dir", config.base_dir, kAccounts, mail_user, missing));
  const auto in_missing_base = [&](const std::string& directory) {
    struct stat st{};
    return missing == Missing::could_be_made && directory_of(directory) == config.base_dir &&
           stat(config.base_dir.c_str(), &st) != 0;
  };
  if (!in_missing_base(config.auth_user_directory)) {
    TRY_STATUS(data_directory(config, "auth.user_directory", config.auth_user_directory, "",
                              auth_user, missing));
  }
  const std::string log_directory = directory_of(config.log_file);
  // It may lie in a base_dir that is not there yet.
  if (in_missing_base(log_directory)) return {};
  return data_directory(config, "log_file", log_directory, name_of(config.log_file), log_user,
                        missing);
}

Status make_directory(const std::string& path, mode_t mode) {
  if (mkdir(path.c_str(), mode) != 0) {
    if (errno == EEXIST) return {};
    return refused_errno("cannot make " + path, errno);
  }
  const Fd fd(open(path.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (!fd || fchmod(fd.get(), mode) != 0) return refused_errno("chmod " + path, errno);
  return {};
}

Status run_directory(const std::string& path, bool privileged, Missing missing) {
  // Before anything is done there, and again when it is.
  if (privileged) {
    TRY_STATUS(config::only_root_may_change(path));
  }
  struct stat st{};
  if (stat(path.c_str(), &st) != 0 && errno == ENOENT) {
    if (missing == Missing::could_be_made) {
      int error = 0;
      if (const Status possible = could_make(path, error); !possible)
        return refused("paths.run_dir: " + possible.error().reply());
      return {};
    }
    if (const Status made = make_directory(path, 0755); !made)
      return refused("paths.run_dir: " + made.error().reply());
  }
  if (privileged) return config::only_root_may_change(path);
  if (access(path.c_str(), W_OK | X_OK) != 0)
    return refused_errno("paths.run_dir: cannot write " + path, errno);
  return {};
}

Status foresee(const config::Config& config, bool running, std::set<std::string>& remarks) {
  std::string problems;
  const auto note = [&problems](const Status& found) {
    if (!found) problems += (problems.empty() ? "" : "\n") + found.error().detail();
  };
  // What root may not open is not read, either.
  const Status safe = geteuid() == 0 ? config::check_paths_of_root(config) : Status();
  note(safe);
  if (safe)
    if (const auto parts = make_parts(config); !parts) note(std::unexpected(parts.error()));
  if (const auto group = config::deliver_socket_gid(config); !group)
    note(std::unexpected(group.error()));
  const auto own = own_directory();
  const auto who = find_identities(config, "", own ? directory_of(*own) : std::string("/usr"));
  if (who)
    note(data_directories(config, *who, Missing::could_be_made));
  else
    note(std::unexpected(who.error()));
  // It may lie in a base_dir that is not there yet, and will be made first.
  struct stat st{};
  if (directory_of(config.paths_run_dir) != config.base_dir ||
      stat(config.base_dir.c_str(), &st) == 0)
    note(run_directory(config.paths_run_dir, false, Missing::could_be_made));
  if (!admin_socket_fits(config.paths_run_dir))
    remarks.insert(
        fmt::format("{}paths.run_dir: {}", config::where(config, "paths.run_dir"), kNoAdminSocket));
  const auto in = [&config](std::string_view key, const std::string& path) -> Status {
    const std::string directory = directory_of(path);
    if (directory == config.paths_run_dir) return {};
    if (access(directory.c_str(), W_OK | X_OK) == 0) return {};
    return refused_errno(
        fmt::format("{}{}: cannot write {}", config::where(config, key), key, directory), errno);
  };
  note(in("paths.pid_file", config.paths_pid_file));
  note(in("listen.deliver_socket", config.listen_deliver_socket));
  if (!running) note(deliver_socket_is_free(config.listen_deliver_socket));
  for (const config::ListenPlace& place : config.lmtp_listen)
    if (!place.path.empty()) note(in("lmtp.listen", place.path));
  // Its own ports are no obstacle. When the list of them is gone, nobody knows which those are.
  const auto own_ports = running ? ports_in_use(config.paths_run_dir) : std::set<uint16_t>();
  if (!running || !own_ports.empty()) note(ports_are_free(config, own_ports, remarks));
  note(lmtp_is_free(config, running, own_ports));
  if (problems.empty()) return {};
  return refused(std::move(problems));
}

}  // namespace rims::controller
