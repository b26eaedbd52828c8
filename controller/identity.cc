// controller/identity.cc - the table's users as numbers

#include "controller/identity.h"

#include <cerrno>
#include <limits.h>
#include <pwd.h>
#include <unistd.h>

#include <fmt/core.h>

#include "common/privdrop/process_table.h"

namespace rims::controller {

Result<Identities> find_identities(const config::Config& config, const std::string& empty_directory,
                                   const std::string& prefix) {
  Identities found;
  found.privileged = geteuid() == 0;
  for (const privdrop::Row* row : privdrop::kProcessTable) {
    std::string& directory = found.of[static_cast<size_t>(row->role)].directory;
    switch (row->files) {
      case privdrop::FileRights::none:
        break;
      case privdrop::FileRights::append_and_rotate:
        directory = directory_of(config.log_file);
        break;
      case privdrop::FileRights::keep:
        directory = row->role == ipc::Role::auth ? config.auth_user_directory : config.base_dir;
        break;
    }
  }
  if (!found.privileged) return found;

  std::string missing;
  for (const privdrop::Row* row : privdrop::kProcessTable) {
    if (row->role == ipc::Role::controller) continue;
    privdrop::Identity& who = found.of[static_cast<size_t>(row->role)];
    who.change = true;
    if (row->root == privdrop::Root::empty) who.chroot = empty_directory;
    if (row->role == ipc::Role::imapd) {
      TRY(const config::Account account, config::privilege_account(config));
      who.uid = account.uid;
      who.gid = account.gid;
    } else if (const passwd* entry = getpwnam(row->user)) {
      who.uid = entry->pw_uid;
      who.gid = entry->pw_gid;
    } else {
      missing += (missing.empty() ? "" : ", ") + std::string(row->user);
      continue;
    }
    if (who.uid == 0 || who.gid == 0)
      return fail(
          Fault::refused,
          fmt::format("{} would run as root; its user or group must be another one", row->binary));
  }
  if (!missing.empty())
    return fail(Fault::not_found,
                fmt::format("these users are missing: {}. Make them with "
                            "\"systemd-sysusers {}/lib/sysusers.d/rims.conf\" (that file lists "
                            "them), or start the suite as an ordinary user",
                            missing, prefix));
  // Processes of the same user could send signals to each other.
  for (const privdrop::Row* a : privdrop::kProcessTable)
    for (const privdrop::Row* b : privdrop::kProcessTable)
      if (a->role < b->role && a->role != ipc::Role::controller &&
          found.of[static_cast<size_t>(a->role)].uid == found.of[static_cast<size_t>(b->role)].uid)
        return fail(Fault::refused, fmt::format("{} and {} would run as the same user; every "
                                                "program needs a user of its own",
                                                a->binary, b->binary));
  return found;
}

std::string empty_root(const config::Config& config) {
  return config.paths_run_dir + std::string(ipc::kEmptyRoot);
}

ipc::Configure configure(const Identities& identities, ipc::Role role, uint32_t index,
                         uint32_t imapd_workers) {
  const privdrop::Identity& who = identities.of[static_cast<size_t>(role)];
  ipc::Configure message;
  message.index = index;
  message.workers = imapd_workers;
  message.privileged = who.change;
  message.uid = who.uid;
  message.gid = who.gid;
  message.chroot = who.chroot;
  message.directory = who.directory;
  return message;
}

std::string directory_of(const std::string& path) {
  const size_t slash = path.rfind('/');
  return slash == std::string::npos || slash == 0 ? "/" : path.substr(0, slash);
}

Result<std::string> own_directory() {
  char path[PATH_MAX];
  const ssize_t length = readlink("/proc/self/exe", path, sizeof path);
  if (length <= 0 || length >= static_cast<ssize_t>(sizeof path))
    return fail_errno("readlink /proc/self/exe", errno);
  const std::string whole(path, static_cast<size_t>(length));
  return directory_of(whole);
}

}  // namespace rims::controller
