// common/store/takeover.h - taking an account from the server that has it open
//
// An account belongs to who holds the lock on its directory. A tool that wants to change it makes
// the file `release` there. The holder sees it within half a second (store.cc), ends what it
// does, tells its sessions, closes the account; nobody but a tool opens it while the file is
// fresh. The tool removes the file when it has the lock.
//
// A tool that waits renews the file each second: its time is that of CLOCK_BOOTTIME, which jumps
// for nobody. One that is older belongs to nobody: whoever opens the account removes it.
#pragma once

#include <string>

#include "common/async/loop.h"
#include "common/base/fd.h"
#include "common/base/result.h"
#include "common/store/disk.h"

namespace rims::store {

inline constexpr const char* kRelease = "release";
inline constexpr int64_t kReleaseSeconds = 10;  // a file that was renewed before this is stale

// The file of an import. While it is there nobody was shown what the end of the journal has, so a
// commit that is not whole is cut without a trace, and the import goes on with the same UIDs.
// Removed by who opens the account next and is no import.
inline constexpr const char* kImporting = "importing";

// The account's directory, locked. Blocks, at most `timeout`; then storage "INUSE". not_found
// when there is no such account and `create` is not set.
Result<AccountDir> take_account(const Fd& base, const std::string& user, Milliseconds timeout,
                                bool create = false, Disk& disk = Disk::real());

// Makes the file of an import durable, or its absence, after the journal was opened and before it
// is written.
Status mark_importing(const AccountDir& dir, bool importing);

enum class Release : uint8_t { none, wanted, stale };
// Is somebody waiting for the account whose directory is `path` beneath `dir`?
Release release_state(Disk& disk, int dir, const std::string& path);

}  // namespace rims::store
