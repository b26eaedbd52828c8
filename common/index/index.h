// common/index/index.h - the index files of one account: written later than the journal, and
// verified
//
// Holds what changed since it was last written, writes it on the I/O pool, loads mailboxes.
// After an error broken() is true: nothing is written any more, and the journal will not be
// told that the index is clean. The account goes on from memory and the journal.
//
//   meta         head (dirty flag, checkpoint), mailboxes and settings, counters of each mailbox
//   mailbox_N    messages of mailbox N in chunks of 256, the sets of keywords that they have,
//                the uids that were expunged
//   message      message id -> place of its record, in chunks of 256
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "common/async/event.h"
#include "common/async/io_pool.h"
#include "common/async/task.h"
#include "common/index/index_codec.h"
#include "common/index/key_value.h"
#include "common/journal/account_dir.h"
#include "common/journal/journal.h"
#include "common/mail/expunge_history.h"
#include "common/mail/locations.h"
#include "common/mail/state.h"

namespace rims::store {

// What index files say of an account although they are not trusted.
struct IndexEvidence {
  AccountState state;  // mailboxes with their counters, not loaded; all that is not mail
  bool clean = false;  // false: it may lack the latest changes
  std::map<MailboxId, uint64_t> generations;  // of the files of the mailboxes
  std::string kept_as;                        // in quarantine/; empty: it is the one in use
};

class Index : public Projection {
 public:
  Index(Loop& loop, IoPool& pool, KeyValueFactory& factory, std::string user,
        std::shared_ptr<AccountDir> dir);

  // Fills `state` (mailboxes not loaded) when the files are those of the checkpoint in `clean`, and
  // were made of the same segments (Journal::made_of); false: rebuild. `seq` is the number of the
  // CLEAN record itself.
  Task<bool> open(Clean clean, uint64_t seq, std::string made_of, AccountState& state);
  // What the files say, whether or not they are trusted. If they say nothing, those of the latest
  // index that was put aside. Call it before reset().
  Task<std::optional<IndexEvidence>> evidence();
  // Fills a mailbox of `found` from its file; false: that does not agree with the rest.
  Task<bool> load_evidence(IndexEvidence& found, MailboxId id);
  // Is there an index that was put aside?
  Task<bool> keeps_one();
  // Deletes all files, or moves them to quarantine/<aside>, and marks everything in `state`, which
  // must be loaded, to be written again. `history` is that of the whole journal. `unpaid`: what
  // evidence() has found is not in the journal yet; until these files are written they are none.
  Task<void> reset(const AccountState& state, ExpungeHistory history, std::string aside = {},
                   bool unpaid = false);

  // True when nothing has changed since the files were written. On the loop.
  [[nodiscard]] bool clean() const {
    return entries_.empty() && counters_.empty() && removed_.empty() && !list_ && !annotations_ &&
           !head_;
  }
  // \Recent changes before its record is written: see Account::claim_recent.
  void note_counters(MailboxId id) { counters_.insert(id); }
  [[nodiscard]] bool clean(MailboxId id) const {
    return !broken_ && !writing_.locked() && !entries_.contains(id) && !counters_.contains(id);
  }
  [[nodiscard]] bool broken() const { return broken_; }
  // How many chunks wait to be written.
  [[nodiscard]] size_t waiting() const;

  // False: the files do not have it; rebuild.
  Task<bool> load(std::shared_ptr<Mailbox> mailbox);
  // What was expunged after `since`, as ExpungeHistory says it. The mailbox must be loaded.
  // nullopt: the files do not have it; rebuild.
  Task<std::optional<std::vector<UidRange>>> vanished(MailboxId id, ModSeq since);
  // `next` is the id of the next message: a chunk with ids before it must be there.
  Task<bool> load_locations(uint64_t chunk, MessageId next, Locations& into);

  // Writes what waits. Not durable.
  Task<void> flush(AccountState& state, Locations& locations);
  // After a flush that left nothing: syncs all files and marks them clean. Then a CLEAN record may
  // be written. False when that did not work.
  Task<bool> checkpoint(const AccountState& state, std::string id, std::string made_of);
  // Closes the file of a mailbox that nobody uses.
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
  std::optional<IndexEvidence> read_evidence(const std::string& kept_as);
  // On the pool. `loading` is only to be used when the result is true.
  static Result<bool> read_mailbox(KeyValueStore& store, const Mailbox& mailbox,
                                   uint64_t generation, IndexCodec::Loading& loading,
                                   uint64_t& expunged);
  // The head of files that are not to be trusted.
  [[nodiscard]] std::string dirty_head(const AccountState& state) const;
  void apply(const JournalEvent& event, std::span<const Change> changes,
             const AccountState& state) override;
  void note(const Change& change, const AccountState& state);
  void note_removed(MailboxId id);
  Task<uint64_t> put_expunged(MailboxId id);
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
  uint32_t list_bytes_ = 0, annotation_bytes_ = 0;  // of these tables in the file

  std::map<MailboxId, std::set<uint32_t>> entries_;
  std::set<MailboxId> counters_, removed_;
  bool list_ = false, annotations_ = false, head_ = false;
  bool marked_dirty_ = false;  // the file says so
  bool broken_ = false;
  uint64_t deliveries_written_ = 0;    // those with smaller numbers are in the file
  uint64_t generation_;                // counts flushes, from a random number on
  uint64_t locations_generation_ = 0;  // what message's head must say
  std::map<MailboxId, uint64_t> generations_;
  ExpungeHistory history_;                          // what the files do not have
  std::optional<ExpungeHistory> rebuilt_;           // takes its place with the next reset
  std::map<MailboxId, uint64_t> expunged_written_;  // of mailboxes that were loaded
};

}  // namespace rims::store
