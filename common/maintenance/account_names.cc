// common/maintenance/account_names.cc - to whom accounts belong; renaming and removing them

#include "common/maintenance/account_names.h"

#include <cerrno>
#include <fcntl.h>
#include <sys/stat.h>
#include <utility>

#include "common/account/offline.h"
#include "common/base/encoding.h"
#include "common/journal/account_dir.h"
#include "common/journal/reader.h"
#include "common/journal/takeover.h"
#include "common/maintenance/backup.h"

namespace rims::store {
namespace {

Result<bool> is_there(Disk& disk, const Fd& base, const std::string& path) {
  const Fd there(disk.open(base.get(), path.c_str(), O_PATH | O_NOFOLLOW, 0));
  if (!there && errno != ENOENT) return fail_to_open(path, errno);
  return there.valid();
}

std::string above(const std::string& path) { return path.substr(0, path.rfind('/')); }

Status sync(Disk& disk, const Fd& base, const std::string& path) {
  const Fd fd(disk.open(base.get(), path.c_str(), O_RDONLY | O_DIRECTORY, 0));
  if (!fd || disk.fsync(fd.get()) != 0) return fail_errno("fsync " + path, errno);
  return {};
}

// The account's directory gets another name. One that exists is never replaced.
Status move_directory(Disk& disk, const Fd& base, const std::string& from, const std::string& to) {
  TRY_STATUS(AccountDir::make_above(disk, base.get(), to));
  if (disk.rename(base.get(), from.c_str(), to.c_str()) != 0)
    return fail_errno("rename " + from + " to " + to, errno);
  TRY_STATUS(sync(disk, base, above(to)));
  return sync(disk, base, above(from));
}

Result<std::string> owner_of(const Fd& base, const std::string& user, Disk& disk) {
  TRY(auto reader, JournalReader::open(base, user, disk, Owner::anybody));
  return reader.owner();
}

Status write_name(Options options, const std::string& from, const std::string& to,
                  Milliseconds timeout) {
  TRY(const auto offline, OfflineAccount::open(std::move(options), from, timeout));
  const Status renamed = offline->run(offline->account().give_to(to));
  offline->close();
  return renamed;
}

}  // namespace

bool NamedAccount::misplaced() const { return !user.empty() && unique_user_id(user) != id; }

NamedAccount name_account(const Fd& base, const std::string& id, Disk& disk) {
  NamedAccount found{.id = id, .user = {}, .bytes = 0, .problem = {}};
  const std::string path = account_path_of(id) + "/journal";
  Fd fd(disk.open(base.get(), path.c_str(), O_RDONLY | O_DIRECTORY, 0));
  if (!fd) {
    found.problem = fail_to_open(path, errno).error().detail();
    return found;
  }
  if (const auto names = list_directory(disk, fd.get(), ".", path)) {
    for (const auto& name : *names) {
      const Fd file(disk.open(fd.get(), name.c_str(), O_PATH | O_NOFOLLOW, 0));
      struct stat st{};
      if (file && fstat(file.get(), &st) == 0 && S_ISREG(st.st_mode))
        found.bytes += static_cast<uint64_t>(st.st_size);
    }
  }
  JournalReader reader(std::move(fd), path, disk);
  reader.expect([&id](const std::string& user) { return unique_user_id(user) == id; });
  auto owner = reader.owner();
  if (owner)
    found.user = *std::move(owner);
  else
    found.problem = owner.error().detail();
  return found;
}

Result<std::vector<NamedAccount>> name_accounts(const Fd& base, Disk& disk) {
  TRY(const auto ids, list_accounts(base));
  std::vector<NamedAccount> accounts;
  accounts.reserve(ids.size());
  for (const auto& id : ids) accounts.push_back(name_account(base, id, disk));
  return accounts;
}

Status rename_account(Options options, const std::string& from, const std::string& to,
                      Milliseconds timeout) {
  Disk& disk = options.disk ? *options.disk : Disk::real();
  const Fd base(fcntl(options.base.get(), F_DUPFD_CLOEXEC, 0));
  const std::string old_path = account_path(from), new_path = account_path(to);
  if (old_path == new_path) return fail(Fault::refused, "both names are the same user's");
  TRY(const bool taken, is_there(disk, base, new_path));
  TRY(const bool here, is_there(disk, base, old_path));
  if (taken) {
    // The newest records, which said that it is of `to` now, may be lost since.
    TRY(const std::string owner, owner_of(base, to, disk));
    if (here || owner != from)
      return fail(Fault::refused, "the new name has an account",
                  to + " has an account already, " + new_path +
                      "; export one of the two and import it into the other, or remove the one "
                      "that has no mail (rims-ctl account remove)");
    TRY(const AccountDir locked, take_account(base, to, timeout, false, disk));
    TRY_STATUS(move_directory(disk, base, new_path, old_path));
  } else if (!here) {
    return fail(Fault::not_found, "no such account",
                from + " has no account: " + old_path + " is missing");
  }
  TRY(const std::string owner, owner_of(base, from, disk));
  if (owner != to) {
    TRY_STATUS(write_name(std::move(options), from, to, timeout));
  }
  TRY(const AccountDir locked, take_account(base, from, timeout, false, disk));
  return move_directory(disk, base, old_path, new_path);
}

Status remove_account(const Fd& base, const std::string& user, Milliseconds timeout, Disk& disk) {
  const std::string path = account_path(user);
  const std::string going = above(path) + "/removing-" + path.substr(path.rfind('/') + 1);
  TRY(const bool interrupted, is_there(disk, base, going));
  if (interrupted) {
    TRY_STATUS(remove_directory(disk, base.get(), going));
  }
  TRY(const bool here, is_there(disk, base, path));
  if (!here && interrupted) return {};
  if (!here)
    return fail(Fault::not_found, "no such account",
                user + " has no account: " + path + " is missing");
  TRY(const AccountDir locked, take_account(base, user, timeout, false, disk));
  const NamedAccount named = name_account(base, unique_user_id(user), disk);
  if (named.misplaced()) return fail_owner(path, named.user, user);
  TRY_STATUS(move_directory(disk, base, path, going));
  TRY_STATUS(remove_directory(disk, base.get(), going));
  return sync(disk, base, above(path));
}

}  // namespace rims::store
