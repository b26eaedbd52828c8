// common/store/index.h - the index files of one account: written behind, never trusted blindly
//
// Holds what changed since it was last written, writes it on the I/O pool, loads mailboxes.
// After an error broken() is true: nothing is written any more, and the journal will not be
// told that the index is clean. The account goes on from memory and the journal.
//
//   meta         head (dirty flag, checkpoint), list of mailboxes, counters of each
//   mailbox_N    messages of mailbox N in chunks of 256, its keywords
//   message      message id -> place of its record, in chunks of 256
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "common/async/event.h"
#include "common/async/io_pool.h"
#include "common/async/task.h"
#include "common/store/index_codec.h"
#include "common/store/journal.h"
#include "common/store/key_value.h"
#include "common/store/locations.h"
#include "common/store/state.h"

namespace rims::store {

class Index {
 public:
  Index(Loop& loop, IoPool& pool, KeyValueFactory& factory, std::string user,
        std::shared_ptr<AccountDir> dir);

  // Fills `state` (mailboxes not loaded) when the files are those that `clean` vouches for;
  // false: rebuild. `seq` is the number of the CLEAN record itself.
  Task<bool> open(Clean clean, uint64_t seq, AccountState& state);
  // Throws all files away; everything in `state` is to be written again. It must be loaded.
  Task<void> reset(const AccountState& state);

  // What changed. All on the loop.
  void note(const Change& change);
  void note_counters(MailboxId id) { counters_.insert(id); }
  void note_keywords(MailboxId id) { keywords_.insert(id); }
  void note_removed(MailboxId id);
  [[nodiscard]] bool clean() const {
    return entries_.empty() && counters_.empty() && keywords_.empty() && removed_.empty() &&
           !list_ && !head_;
  }
  [[nodiscard]] bool clean(MailboxId id) const {
    return !broken_ && !writing_.locked() && !entries_.contains(id) && !counters_.contains(id) &&
           !keywords_.contains(id);
  }
  [[nodiscard]] bool broken() const { return broken_; }
  // How many chunks wait to be written.
  [[nodiscard]] size_t waiting() const;

  // False: the files do not have it; rebuild.
  Task<bool> load(std::shared_ptr<Mailbox> mailbox);
  // `next` is the id of the next message: a chunk with ids before it must be there.
  Task<bool> load_locations(uint64_t chunk, MessageId next, Locations& into);

  // Writes what waits. Not durable.
  Task<void> flush(AccountState& state, Locations& locations);
  // After a flush that left nothing: all files synced, marked clean. Then the journal may be
  // told. False when that did not work.
  Task<bool> checkpoint(const AccountState& state, std::string id);
  // Gives the file of a mailbox back that nobody uses.
  Task<void> release(MailboxId id);
  Task<void> close();

 private:
  struct File {
    std::unique_ptr<KeyValueStore> store;
    bool unsynced = false;
  };
  struct Put {
    std::string key, value;  // an empty value removes
  };
  Status write(const std::string& name, const std::vector<Put>& puts);  // on the pool
  Result<KeyValueStore*> file(const std::string& name);                 // on the pool
  Task<void> put(std::string name, std::vector<Put> puts);
  void fail_with(const Error& error);

  IoPool& pool_;
  KeyValueFactory& factory_;
  std::string user_;
  std::shared_ptr<AccountDir> dir_;  // shared with the journal: both live in it
  Mutex writing_;                    // one user of the files at a time
  std::map<std::string, File> files_;

  std::map<MailboxId, std::set<uint32_t>> entries_;
  std::set<MailboxId> counters_, keywords_, removed_;
  bool list_ = false, head_ = false;
  bool marked_dirty_ = false;  // the file says so
  bool broken_ = false;
  uint64_t deliveries_written_ = 0;    // those with smaller numbers are in the file
  uint64_t generation_;                // counts flushes, from a random number on
  uint64_t locations_generation_ = 0;  // what message's head must say
  std::map<MailboxId, uint64_t> generations_;
};

}  // namespace rims::store
