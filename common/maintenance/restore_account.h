// common/maintenance/restore_account.h - an account that does not exist, made from a backup
//
// Its segments are copied: UIDs, UIDVALIDITY, MODSEQ, flags are as they were. With a point in time
// the journal ends there. The account is made under another name and renamed when it is complete,
// so it is there completely or not at all.
//
// Changes after the restored point are lost, but clients may have seen them: so a gap record
// follows, and no UID is given out a second time for another message. Under a new name it gets an
// id of its own too: it is another account than the one that was backed up.
//
//   Blocking; for tools.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <sys/types.h>
#include <vector>

#include "common/base/fd.h"
#include "common/base/result.h"
#include "common/journal/account_dir.h"
#include "common/journal/disk.h"
#include "common/journal/reader.h"
#include "common/maintenance/backup_manifest.h"

namespace rims::store {

// What an account in the state `known` may have given out between `made`, when the backup was made,
// and `now` (seconds since 1970): it was in use, and the same backup may have been restored before.
// `chance`: 32 random bits, because mail also comes in bursts. At most a quarter of the UIDs that
// are left in any mailbox.
[[nodiscard]] Unseen unseen_since(const AccountState& known, int64_t made, int64_t now,
                                  uint32_t chance);

struct RestoreJob {
  std::string account;         // 64 hex digits
  std::string new_user;        // empty: that of the backup; else whose mail it is from now on
  uint64_t upto = UINT64_MAX;  // the last record that is wanted
  // Numbers that the backup is known to have given out after `upto`.
  uint32_t skip = 0;
  Unseen unseen;                     // and those that may have followed
  std::vector<MailboxId> mailboxes;  // whose HIGHESTMODSEQ must be above what clients may know
  uint32_t now = 0;                  // seconds since 1970 (UTC)
  std::function<void(uint64_t done, uint64_t total)> progress;
  Disk* disk = nullptr;  // unset: the system's
};

struct RestoredAccount {
  uint64_t bytes = 0;
  uint64_t last_seq = 0;              // without the gap record
  std::vector<std::string> problems;  // in the backup; the rest is restored
};

// `backup`: DIR/<account>. refused: the account exists. limit: not enough space.
Result<RestoredAccount> restore_account(const Fd& base, const AccountDir& backup,
                                        const BackupManifest& manifest, const RestoreJob& job);

// Does the account have a directory with a journal? An empty journal/, with nothing beside it, is
// none. An error: something is there that can not be
// opened, such as a symbolic link.
Result<bool> account_exists(const Fd& base, const std::string& account);

// refused: this backup (at `path`, for messages) is of another user's mail. What its journal says
// counts more than the manifest: directories may have been swapped when it was made.
Status is_backup_of(const std::string& user, JournalReader& journal, const BackupManifest& manifest,
                    const std::string& path);

}  // namespace rims::store
