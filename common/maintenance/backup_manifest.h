// common/maintenance/backup_manifest.h - what a backup of one account says about itself; pure
//
//   DIR/<account>/manifest.json    this, 0600
//   DIR/<account>/journal/00000001 ...    segments, as in the account
//
// The manifest is replaced as a whole after each segment, so it never names bytes that are not
// there. Bytes behind `size`, and files that it does not name, are what an interrupted backup left:
// they are ignored. Its last member is the SHA-256 of all that stands before it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/result.h"
#include "common/journal/segment.h"

namespace rims::store {

inline constexpr int64_t kBackupVersion = 1;
inline constexpr const char* kManifestName = "manifest.json";

// Bytes that were damaged in the source already.
struct BackupDamage {
  uint64_t offset = 0, length = 0;
  std::string what;
  bool operator==(const BackupDamage&) const = default;
};

struct BackupSegment {
  uint32_t number = 0;
  Id id{};         // of the copy; its key
  Id source_id{};  // of the source when it was last compared: another one after a compaction
  uint64_t size = 0;
  std::string sha256;         // 32 bytes, of these `size` bytes
  uint64_t from = 0, to = 0;  // numbers of its first and last record; 0: it has none
  uint64_t records = 0;
  bool sealed = false;
  std::vector<BackupDamage> damages;
  bool operator==(const BackupSegment&) const = default;
};

// The last record of a backup: where the next one goes on.
struct BackupEnd {
  uint64_t seq = 0;
  Id id{};            // of the record
  uint32_t time = 0;  // when it was written; 0: not known
  uint32_t segment = 0;
  uint64_t offset = 0;
  bool operator==(const BackupEnd&) const = default;
};

struct BackupManifest {
  std::string user;     // empty: it was not known, only the account
  std::string account;  // 64 hex digits: unique_user_id(user)
  Id account_id{};      // of its journal
  int64_t made = 0;     // seconds since 1970 (UTC)
  BackupEnd end;
  std::vector<BackupSegment> segments;  // ascending
  // A segment that is about to take the place of the one with the same number. Which of the two
  // counts is said by the id in the file.
  std::optional<BackupSegment> replacing;
  bool operator==(const BackupManifest&) const = default;
};

[[nodiscard]] std::string encode(const BackupManifest& manifest);
// storage: damaged, or (code VERSION) written by a newer version. `name` is for the message.
Result<BackupManifest> decode_manifest(std::string_view text, const std::string& name);

// "2026-11-21T22:00:00Z"
[[nodiscard]] std::string utc_text(int64_t time);

}  // namespace rims::store
