// common/account/store.h - the accounts of one process
//
//   Store store(loop, pool, {.base = ...});
//   CO_TRY(std::shared_ptr<Account> account, co_await store.open("foo"));
//
// An account belongs to one process at a time (flock on its directory). It stays open while
// somebody holds it and a while longer; then it is checkpointed and closed.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>

#include "common/account/account.h"
#include "common/account/free_space.h"
#include "common/async/io_pool.h"
#include "common/async/loop.h"
#include "common/async/scope.h"
#include "common/async/task.h"
#include "common/base/fd.h"
#include "common/base/result.h"
#include "common/message/structure.h"

namespace rims::store {

class Disk;
class JournalFactory;
class KeyValueFactory;
class OpenFiles;

struct Options {
  // The base directory (open_base); everything is opened beneath it.
  Fd base;
  bool key_value_checksum = true;        // use_key_value_store_checksum
  uint64_t segment_bytes = 64ULL << 20;  // a journal segment is sealed when it gets larger
  Milliseconds idle_close{60'000};       // an account that nobody holds is closed after this
  size_t max_open = 4096;                // held by nobody and more than this: oldest is closed
  Limits limits;
  message::Limits structure;  // of structures that are made anew
  // For tools: an account that another process has open is taken from it within this time
  // (takeover.h), and not given away. Zero, for servers: the other way round.
  Milliseconds take_over{0};
  bool create = true;  // an account that is not there is made
  // Nobody is shown what is written until the store is closed: an import. Of a commit that is cut
  // by a kill no UID is skipped then (takeover.h, kImporting).
  bool importing = false;
  // Unset: files, and GDBM. Tests put memory or faults here. Must outlive the Store.
  JournalFactory* journals = nullptr;
  KeyValueFactory* key_values = nullptr;
  Disk* disk = nullptr;
  OpenFiles* open_files = nullptr;  // unset: those of the process
  // Seconds since 1970 (UTC): what the records are stamped with. Unset: the system's clock.
  std::function<int64_t()> clock;
  // Messages that are expunged for so many seconds lose their bytes; 0: at once. Unset: never.
  std::optional<int64_t> expunge_retention;
  uint64_t compact_small = 1ULL << 20;  // see CompactionRules::small
  // Seconds that have passed, whatever `clock` does. Unset: CLOCK_BOOTTIME.
  std::function<int64_t()> uptime;
};

// Opens the base directory; it must exist, be a directory and not be writable by others.
Result<Fd> open_base(const std::string& path);

class Store {
 public:
  Store(Loop& loop, IoPool& pool, Options options);
  Store(const Store&) = delete;
  Store& operator=(const Store&) = delete;
  ~Store();

  // Opens or creates the account of `user` (as rims-auth spells it). A new one has INBOX,
  // Drafts, Sent, Junk, Trash and Archive (RFC 6154), subscribed. Calls for one account share
  // one opening. Fault::storage: locked by another process, unreadable, or of a newer format.
  // not_found: there is no such account, and `create` (or that of the options) is false.
  Task<Result<std::shared_ptr<Account>>> open(std::string user, bool create = true);

  // Before stopping: checkpoints and closes all; calls on accounts that are still held fail.
  Task<void> close_all();

  // storage UNAVAILABLE when a new message of so many bytes would leave less than `floor` of the
  // file system free. Ask before taking one.
  Task<Status> room_for(uint64_t bytes, Floor floor);

  // Of all accounts, also of those that are open.
  void set_limits(const Limits& limits);
  // What one user may have instead of Limits::quota; 0 is no limit, nullopt that of all.
  struct OwnQuota {
    std::optional<uint64_t> bytes, messages;
    bool operator==(const OwnQuota&) const = default;
  };
  void set_quota(const std::string& user, const OwnQuota& quota);

  [[nodiscard]] size_t open_accounts() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace rims::store
