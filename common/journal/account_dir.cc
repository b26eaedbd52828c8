// common/journal/account_dir.cc - an account's directory, made durable from the top down

#include "common/journal/account_dir.h"

#include <cerrno>
#include <fcntl.h>
#include <sys/file.h>
#include <utility>

#include "common/base/encoding.h"

namespace rims::store {

std::string account_path_of(std::string_view hash) {
  std::string path = "mailbox.3/";
  path.append(hash.substr(0, 2)).append("/").append(hash.substr(2));
  return path;
}

std::string account_path(std::string_view user) { return account_path_of(unique_user_id(user)); }

std::unexpected<Error> fail_to_open(const std::string& path, int error_number) {
  if (error_number != ELOOP) return fail_errno("open " + path, error_number);
  return fail(Fault::storage, "temporary failure",
              path +
                  " is, or is beneath, a symbolic link, which is not followed: put the directory "
                  "itself there, or a bind mount (mount --bind), or let base_dir name where it is",
              "UNAVAILABLE");
}

std::unexpected<Error> fail_owner(const std::string& path, const std::string& owner,
                                  const std::string& user) {
  return fail(Fault::refused, "the mail is another user's",
              path + " holds the mail of \"" + owner + "\", whose place is " + account_path(owner) +
                  "; nothing was changed. If two directories were swapped, put each back in its "
                  "place (rims-ctl account list). If the account was renamed, and the record that "
                  "says so is lost, \"rims-ctl account rename " +
                  owner + " " + (user.empty() ? "NEW-NAME" : user) + "\" writes it again");
}

Result<AccountDir> AccountDir::open(Disk& disk, int base, const std::string& user, bool create) {
  const std::string path = account_path(user);
  const size_t slash = path.rfind('/');
  const std::string levels[] = {path.substr(0, path.find('/')), path.substr(0, slash), path};
  Fd dir;
  for (const auto& level : levels) {
    Fd next(disk.open(base, level.c_str(), O_RDONLY | O_DIRECTORY, 0));
    if (!next && errno == ENOENT && create) {
      if (disk.mkdir(base, level.c_str(), 0700) != 0 && errno != EEXIST)
        return fail_errno("mkdir " + level, errno);
      next = Fd(disk.open(base, level.c_str(), O_RDONLY | O_DIRECTORY, 0));
    }
    if (!next) {
      if (errno == ENOENT) return fail(Fault::not_found, "no such account", level + " is missing");
      return fail_to_open(level, errno);
    }
    dir = std::move(next);
  }
  // The journal's directory is made when all above it is durable. While there is none, the process
  // that made these may have been killed before they were durable.
  if (create && !Fd(disk.open(base, (levels[2] + "/journal").c_str(), O_RDONLY | O_DIRECTORY, 0))) {
    TRY_STATUS(sync_above(disk, base, user));
  }
  return lock(disk, std::move(dir), levels[2]);
}

Status AccountDir::make_above(Disk& disk, int base, const std::string& path) {
  std::string above = ".";
  for (size_t slash = path.find('/'); slash != path.npos; slash = path.find('/', slash + 1)) {
    const std::string level = path.substr(0, slash);
    if (disk.mkdir(base, level.c_str(), 0700) != 0 && errno != EEXIST)
      return fail_errno("mkdir " + level, errno);
    // Also when it exists: the process that made it may have been killed before the fsync.
    const Fd fd(disk.open(base, above.c_str(), O_RDONLY | O_DIRECTORY, 0));
    if (!fd || disk.fsync(fd.get()) != 0) return fail_errno("fsync " + above, errno);
    above = level;
  }
  return {};
}

Status AccountDir::sync_above(Disk& disk, int base, const std::string& user) {
  const std::string path = account_path(user);
  for (const std::string& level :
       {path.substr(0, path.rfind('/')), path.substr(0, path.find('/')), std::string(".")}) {
    const Fd above(disk.open(base, level.c_str(), O_RDONLY | O_DIRECTORY, 0));
    if (!above || disk.fsync(above.get()) != 0) return fail_errno("fsync " + level, errno);
  }
  return {};
}

Result<AccountDir> AccountDir::beneath(Disk& disk, int base, const std::string& path,
                                       const std::string& above) {
  Fd dir(disk.open(base, path.c_str(), O_RDONLY | O_DIRECTORY, 0));
  if (!dir) return fail_to_open(above + path, errno);
  // "users/", and not "users/.", for messages.
  const bool itself = path == "." && above.ends_with('/');
  return lock(disk, std::move(dir), itself ? above.substr(0, above.size() - 1) : above + path);
}

Result<AccountDir> AccountDir::at(Disk& disk, const std::string& path) {
  Fd dir(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!dir) return fail_errno("open " + path, errno);
  return lock(disk, std::move(dir), path);
}

Result<AccountDir> AccountDir::lock(Disk& disk, Fd dir, std::string path) {
  while (flock(dir.get(), LOCK_EX | LOCK_NB) != 0) {
    if (errno == EINTR) continue;
    if (errno == EWOULDBLOCK)
      return fail(Fault::storage, "the mailboxes are in use by another program, try again later",
                  path + " is locked by another process", "INUSE");
    return fail_errno("flock " + path, errno);
  }
  return AccountDir(disk, std::move(dir), std::move(path));
}

Result<Fd> AccountDir::open_file(const std::string& name, int flags) const {
  Fd fd(disk_->open(dir_.get(), name.c_str(), flags, 0600));
  if (!fd) return fail_errno("open " + path_ + "/" + name, errno);
  return fd;
}

Status AccountDir::make_directory(const std::string& name) const {
  if (disk_->mkdir(dir_.get(), name.c_str(), 0700) != 0) {
    if (errno == EEXIST) return {};
    return fail_errno("mkdir " + path_ + "/" + name, errno);
  }
  return sync_directory(".");
}

Result<std::vector<std::string>> AccountDir::list(const std::string& name) const {
  return list_directory(*disk_, dir_.get(), name, path_ + "/" + name);
}

Status AccountDir::sync_directory(const std::string& name) const {
  TRY(const Fd fd, open_file(name, O_RDONLY | O_DIRECTORY));
  if (disk_->fsync(fd.get()) != 0) return fail_errno("fsync " + path_ + "/" + name, errno);
  return {};
}

Status AccountDir::replace_file(const std::string& name, std::string_view bytes) const {
  const std::string made = name + ".new", path = path_ + "/" + made;
  TRY(const Fd fd, open_file(made, O_WRONLY | O_CREAT | O_TRUNC));
  TRY_STATUS(
      write_all(*disk_, fd.get(), {{const_cast<char*>(bytes.data()), bytes.size()}}, 0, path));
  if (disk_->fsync(fd.get()) != 0) return fail_errno("fsync " + path, errno);
  if (disk_->replace(dir_.get(), made.c_str(), name.c_str()) != 0)
    return fail_errno("rename " + path, errno);
  return sync_directory(".");
}

Status AccountDir::quarantine(const std::string& name, std::string_view bytes) const {
  TRY_STATUS(make_directory("quarantine"));
  TRY_STATUS(sync_directory("."));  // its maker may have been killed before this
  const std::string file = "quarantine/" + name;
  const Fd fd(disk_->open(dir_.get(), file.c_str(), O_WRONLY | O_CREAT | O_EXCL, 0600));
  if (!fd && errno == EEXIST) return {};
  if (!fd) return fail_errno("open " + path_ + "/" + file, errno);
  std::vector<iovec> pieces{{const_cast<char*>(bytes.data()), bytes.size()}};
  TRY_STATUS(write_all(*disk_, fd.get(), std::move(pieces), 0, path_ + "/" + file));
  if (disk_->fsync(fd.get()) != 0) return fail_errno("fsync " + path_ + "/" + file, errno);
  return sync_directory("quarantine");
}

}  // namespace rims::store
