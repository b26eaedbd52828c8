// common/journal/account_dir.h - where an account is stored, and the lock on it
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "common/base/fd.h"
#include "common/base/result.h"
#include "common/journal/disk.h"

namespace rims::store {

// Where the account of `user` is beneath the base directory: "mailbox.3/2c/26b4...". Only this
// function knows it.
[[nodiscard]] std::string account_path(std::string_view user);
// The same by the account's name on the disk, SHA-256 of the user's in hex.
[[nodiscard]] std::string account_path_of(std::string_view hash);

// The error for a directory of an account, or one in it, that can not be opened: what to do about a
// symbolic link is said.
std::unexpected<Error> fail_to_open(const std::string& path, int error_number);
// refused: the account in `path` (beneath the base directory), the place of `user`, names another
// user.
std::unexpected<Error> fail_owner(const std::string& path, const std::string& owner,
                                  const std::string& user);

// The directory of one account: mailbox.3/<2 hex>/<62 hex> beneath the base directory, made when
// missing, locked (flock) as long as this object lives.
class AccountDir {
 public:
  // storage "locked": another process has it.
  static Result<AccountDir> open(Disk& disk, int base, const std::string& user, bool create = true);
  // Makes the directories above the account's at `path` beneath `base`, durably.
  static Status make_above(Disk& disk, int base, const std::string& path);
  // Makes the account's own name durable, and those of the directories above it.
  static Status sync_above(Disk& disk, int base, const std::string& user);
  // An existing one by its path, beneath `base` or of the system; for offline tools.
  // `above`: what messages put before `path`.
  static Result<AccountDir> beneath(Disk& disk, int base, const std::string& path,
                                    const std::string& above = "");
  static Result<AccountDir> at(Disk& disk, const std::string& path);

  [[nodiscard]] int fd() const { return dir_.get(); }
  [[nodiscard]] Disk& disk() const { return *disk_; }
  // For messages: "mailbox.3/2c/26b4...".
  [[nodiscard]] const std::string& path() const { return path_; }
  // Opens a file or directory in it.
  [[nodiscard]] Result<Fd> open_file(const std::string& name, int flags) const;
  Status make_directory(const std::string& name) const;
  // Names in the directory `name`, sorted.
  [[nodiscard]] Result<std::vector<std::string>> list(const std::string& name) const;
  // Makes what was created, renamed or removed in the directory `name` durable.
  Status sync_directory(const std::string& name) const;
  // Replaces the file `name` by one with `bytes`, atomically and durably.
  Status replace_file(const std::string& name, std::string_view bytes) const;
  // Saves bytes that were found damaged: quarantine/<name>; an existing file stays.
  Status quarantine(const std::string& name, std::string_view bytes) const;

 private:
  static Result<AccountDir> lock(Disk& disk, Fd dir, std::string path);
  AccountDir(Disk& disk, Fd dir, std::string path)
      : disk_(&disk), dir_(std::move(dir)), path_(std::move(path)) {}
  Disk* disk_;
  Fd dir_;
  std::string path_;
};

}  // namespace rims::store
