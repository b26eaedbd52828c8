// common/journal/takeover.h - taking an account from the server that has it open
//
// The process that holds the lock on an account's directory has the account. A tool that wants to
// change it makes the file `release` there. The holder sees it within half a second (store.cc),
// ends what it does, tells its sessions, and closes the account; only tools open it while the file
// is fresh. The tool removes the file when it has the lock.
//
// A tool that waits renews the file each second, with the time of CLOCK_BOOTTIME, which can not be
// set. A file that was not renewed is stale: the next process that opens the account removes it.
#pragma once

#include <string>

#include "common/async/loop.h"
#include "common/base/fd.h"
#include "common/base/result.h"
#include "common/journal/account_dir.h"
#include "common/journal/disk.h"

namespace rims::store {

inline constexpr const char* kRelease = "release";
inline constexpr int64_t kReleaseSeconds = 10;  // a file that was renewed before this is stale

// The file of an import. While it is there, no client has seen the end of the journal: so no
// numbers are skipped for an incomplete commit that is cut off, and the import continues with the
// same UIDs. The next opening that is not by an import removes the file.
inline constexpr const char* kImporting = "importing";

// The account's directory, locked. Blocks, at most `timeout`; then storage "INUSE". not_found
// when there is no such account and `create` is not set.
Result<AccountDir> take_account(const Fd& base, const std::string& user, Milliseconds timeout,
                                bool create = false, Disk& disk = Disk::real());

// Makes the file of an import durable, or its absence, after the journal was opened and before it
// is written.
Status mark_importing(const AccountDir& dir, bool importing);
[[nodiscard]] bool is_importing(const AccountDir& dir);

enum class Release : uint8_t { none, wanted, stale };
// Is a tool waiting for the account whose directory is `path` beneath `dir`?
Release release_state(Disk& disk, int dir, const std::string& path);

}  // namespace rims::store
