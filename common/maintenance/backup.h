// common/maintenance/backup.h - copying accounts to a backup while they are used, and checking it
//
//   DIR/<account>/    as an account: journal/NNNNNNNN, and a manifest (backup_manifest.h)
//
// A journal only grows, so a backup is the first part of it, up to the end of a batch: a state that
// the account really had. It asks nothing of a running server and does not lock the account. A
// segment is copied when it is new or has grown. When a compaction has made the source smaller, the
// copy is kept, because it still has messages that were expunged long ago.
//
// Before an earlier copy is continued, its last record must be in the source. If it is not, the
// source went back (restored, or another account): the whole copy is renamed and a new one is made.
// Each file is written under another name, flushed, renamed, and the directory is flushed; the next
// run continues a backup that was interrupted.
//
// Damage in the source is copied as it is, reported, and noted in the manifest.
//
//   Blocking; for tools. Directories 0700, files 0600.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "common/base/fd.h"
#include "common/base/result.h"
#include "common/journal/account_dir.h"
#include "common/journal/disk.h"
#include "common/maintenance/backup_manifest.h"

namespace rims::store {

struct BackupJob {
  std::string directory;  // DIR; made when missing
  std::string account;    // 64 hex digits
  std::string user;       // "" when it is not known
  // Bytes of this account that are done and that are to do.
  std::function<void(uint64_t done, uint64_t total)> progress;
  std::function<int64_t()> clock;  // seconds since 1970 (UTC)
  // Unset: the system's. Tests give one with faults.
  Disk* disk = nullptr;
};

struct BackupReport {
  BackupManifest manifest;
  uint64_t copied = 0;           // bytes taken from the source
  uint64_t segments_copied = 0;  // new or grown
  uint64_t segments_kept = 0;    // not touched
  // Unusual events, for the administrator: an earlier copy put aside, a copy made again.
  std::vector<std::string> notes;
  // Damage in the source; empty: what this run has read of it is sound.
  std::vector<std::string> damages;
};

// not_found: no such account. refused: it is another user's. limit: the disk of DIR is full.
// storage: DIR is being written by another backup (code INUSE), is of a newer version (VERSION), or
// a system call failed.
Result<BackupReport> back_up(const Fd& base, const BackupJob& job);

// The accounts in a base directory: 64 hex digits each, sorted.
Result<std::vector<std::string>> list_accounts(const Fd& base);

struct BackupCheck {
  BackupManifest manifest;
  uint64_t bytes = 0;
  std::vector<std::string> problems;  // what can not be trusted, or is not there, by file
  std::vector<std::string> damages;   // was damaged in the source already
};

// The backup of one account, at `path` (DIR/<account>): every checksum, without the source.
Result<BackupCheck> verify_backup(
    const std::string& path, const std::function<void(uint64_t done, uint64_t total)>& progress);

// The backups beneath DIR, also those that were put aside; "" when DIR itself is a backup.
Result<std::vector<std::string>> list_backups(const std::string& directory);

// The manifest of the backup in `dir`, `replacing` resolved. not_found: there is none.
Result<BackupManifest> read_manifest(const AccountDir& dir);

// Makes a manifest from the segments that are there, for when it is damaged or missing and the
// source is gone. `account`: the one that the backup should be of. not_found: there is no segment.
Result<BackupManifest> salvage_manifest(const AccountDir& dir, const std::string& account);

}  // namespace rims::store
