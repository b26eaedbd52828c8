// common/store/restore_account.h - an account that does not exist, made from a backup
//
// Its segments are copied: UIDs, UIDVALIDITY, MODSEQ, flags are as they were. With a point in time
// the journal ends at it. It is made beside and renamed when it is complete, so an account is
// there whole or not at all.
//
// What the account has seen after the point that is restored is lost, but not unknown to clients:
// a gap record follows, so that no UID is given out a second time for another message.
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
#include "common/store/backup_manifest.h"
#include "common/store/disk.h"

namespace rims::store {

// How many numbers are passed over for what happened after the last backup.
inline constexpr uint32_t kRestoreSkip = 10'000;

struct RestoreJob {
  std::string account;         // 64 hex digits
  uint64_t upto = UINT64_MAX;  // the last record that is wanted
  // Numbers that the backup is known to have given out after `upto`.
  uint32_t skip = 0;
  uint32_t now = 0;  // seconds since 1970 (UTC)
  // Whom the files shall belong to; -1: who makes them.
  uid_t uid = static_cast<uid_t>(-1);
  gid_t gid = static_cast<gid_t>(-1);
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

// Does the account have a directory with a journal?
[[nodiscard]] bool account_exists(const Fd& base, const std::string& account);

}  // namespace rims::store
