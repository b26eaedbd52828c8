// common/store/backup.h - copying accounts to a backup while they are used, and checking it
//
//   DIR/<account>/    as an account: journal/NNNNNNNN, and a manifest (backup_manifest.h)
//
// A journal only grows, so a backup is a beginning of it that ends between two batches: a state
// that the account really had. Nothing is asked of a running server and nothing is locked in
// the account. A segment is copied when it is new or has grown. A copy that a compaction of the
// source has overtaken is kept, because it has more: messages that were expunged long ago.
//
// Before an earlier copy is continued, its last record must be in the source. If it is not, the
// source went back (restored, or another account): the copy is put aside whole and a new one is
// made. Each file is written beside, flushed, renamed, and the directory flushed; a backup that
// was interrupted goes on with the next run.
//
// Damage in the source is copied as it is, told, and written down in the manifest.
//
//   Blocking; for tools. Directories 0700, files 0600.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "common/base/fd.h"
#include "common/base/result.h"
#include "common/store/backup_manifest.h"
#include "common/store/disk.h"

namespace rims::store {

struct BackupJob {
  std::string directory;  // DIR; made when missing
  std::string account;    // 64 hex digits
  std::string user;       // "" when nobody knows
  // Bytes of this account that are done and that are to do.
  std::function<void(uint64_t done, uint64_t total)> progress;
  std::function<int64_t()> clock;  // seconds since 1970 (UTC)
  // Unset: the system's. Tests do something between two of its calls, or cut its power.
  Disk* disk = nullptr;
};

struct BackupReport {
  BackupManifest manifest;
  uint64_t copied = 0;           // bytes taken from the source
  uint64_t segments_copied = 0;  // new or grown
  uint64_t segments_kept = 0;    // not touched
  // What went not as always, in words: an earlier copy put aside, a copy made anew.
  std::vector<std::string> notes;
  // In the source; empty: it is sound, as far as it was read by this run.
  std::vector<std::string> damages;
};

// not_found: no such account. limit: the disk of DIR is full. storage: DIR is being written by
// another backup (code INUSE), is of a newer version (VERSION), or a system call failed.
Result<BackupReport> back_up(const Fd& base, const BackupJob& job);

// The accounts in a base directory: 64 hex digits each, sorted.
Result<std::vector<std::string>> list_accounts(const Fd& base);

struct BackupCheck {
  BackupManifest manifest;
  uint64_t bytes = 0;
  std::vector<std::string> problems;  // what can not be trusted, by file
  std::vector<std::string> damages;   // was damaged in the source already
};

// The backup of one account, at `path` (DIR/<account>): every checksum, without the source.
Result<BackupCheck> verify_backup(
    const std::string& path, const std::function<void(uint64_t done, uint64_t total)>& progress);

// Beneath DIR: those that are, and were put aside; "" itself when DIR is one of them.
Result<std::vector<std::string>> list_backups(const std::string& directory);

// The manifest of the backup that `dir` is, `replacing` resolved. not_found: there is none.
Result<BackupManifest> read_manifest(const AccountDir& dir);

// What it would say, from the segments that are there: when it is damaged or missing and the
// source is gone. `account`: whose it is said to be. not_found: there is no segment.
Result<BackupManifest> salvage_manifest(const AccountDir& dir, const std::string& account);

}  // namespace rims::store
