// common/store/account_impl.h - the account behind account.h: journal, state, index together
//
// The way of a change: a builder (a function) is queued; when no commit is under way, all queued
// builders add their records to one Plan; the journal appends them; the state folds them; the
// listeners are told; the callers are resumed. When another node was faster, its records are
// folded first and the builders run again on the newer state.
//
// Tests: tests/store/
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "common/async/event.h"
#include "common/async/io_pool.h"
#include "common/async/scope.h"
#include "common/store/account.h"
#include "common/store/compaction.h"
#include "common/store/index.h"
#include "common/store/journal.h"
#include "common/store/locations.h"
#include "common/store/plan.h"
#include "common/store/state.h"

namespace rims::store {

class AccountImpl final : public Account {
 public:
  // `clock`: seconds since 1970 (UTC), for the records.
  AccountImpl(Loop& loop, IoPool& pool, std::string user, const Limits& limits,
              std::function<int64_t()> clock, std::unique_ptr<Journal> journal,
              std::unique_ptr<Index> index);
  ~AccountImpl() override;

  // Reads what is there, or makes a new account. Once, before anything else.
  Task<Status> start();
  // Finishes what is queued, writes the index, marks it clean, closes. Later calls fail.
  Task<void> shut();
  // Before shut(): it is for a tool, and who holds it will be told so.
  void give_away() { given_away_ = true; }
  // After shut(): tells those who still hold it.
  void tell_closed();
  // Now and then: writes the index behind, gives memory back.
  Task<void> tidy();
  // Frees the bytes of messages that are expunged for longer than the retention, by `now`. In
  // the background; ends early when the account is closed. See compaction.h.
  Task<void> compact(CompactionRules rules, int64_t now);
  // Was so much expunged since the last time, and long enough ago, that it may be worth it?
  [[nodiscard]] bool expunged_enough(const CompactionRules& rules, int64_t now) const;

  const std::string& user() const override { return user_; }
  std::vector<const MailboxInfo*> mailboxes() const override;
  const MailboxInfo* find(std::string_view name) const override;
  const MailboxInfo* find(MailboxId id) const override;
  const std::set<std::string, std::less<>>& subscriptions() const override {
    return state_.subscriptions();
  }
  Task<Result<MailboxId>> create(std::string name, SpecialUse special_use) override;
  Task<Status> create_noselect(std::string name) override;
  Task<Status> set_special_use(MailboxId mailbox, SpecialUse use) override;
  Task<Status> remove(std::string name) override;
  Task<Status> rename(std::string from, std::string to) override;
  Task<Status> subscribe(std::string name) override;
  Task<Status> unsubscribe(std::string name) override;
  Task<Result<std::shared_ptr<const Mailbox>>> open_mailbox(MailboxId id) override;
  Task<Result<Appended>> append(MailboxId mailbox, std::vector<NewMessage> messages,
                                const void* origin) override;
  std::optional<Delivery> delivered(const DeliveryKey& key, uint32_t window) const override;
  Task<Result<Copied>> copy(MailboxId from, std::vector<Uid> uids, MailboxId to,
                            const void* origin) override;
  Task<Result<Copied>> move(MailboxId from, std::vector<Uid> uids, MailboxId to,
                            const void* origin) override;
  Task<Result<Revived>> revive(MailboxId mailbox, std::vector<Revival> messages,
                               const void* origin) override;
  Task<Result<std::vector<FlagOutcome>>> change_flags(MailboxId mailbox, FlagChange change,
                                                      const void* origin) override;
  Task<Result<std::vector<Uid>>> expunge(MailboxId mailbox, std::vector<Uid> uids,
                                         const void* origin) override;
  Uid claim_recent(MailboxId mailbox) override;
  Task<Result<MailboxId>> adopt(std::string name, UidValidity uidvalidity) override;
  Task<Status> raise_uidnext(MailboxId mailbox, Uid uidnext) override;
  Task<Status> each_delivery_id(std::function<void(std::string_view)> f) override;
  Task<Result<std::string>> read(MessageId message, uint64_t offset, uint64_t length) override;
  Task<Result<std::string>> read_structure(MessageId message) override;
  void listen(Listener* listener) override { listeners_.push_back(listener); }
  void unlisten(Listener* listener) override;
  ModSeq modseq() const override { return ModSeq(state_.seq()); }
  bool failed() const override { return failure_.has_value(); }
  bool given_away() const override { return given_away_; }
  Task<Result<std::vector<std::string>>> check() override;

  // For tests and tools: the whole state, all mailboxes loaded.
  Task<Result<const AccountState*>> whole_state();

 private:
  using Builder = std::function<Result<Built>(Plan&)>;
  struct Op;

  // --- account.cc: opening, closing, listeners, reading ---
  Task<Status> rebuild();
  Task<Status> fold_journal(AccountState& state, Locations& locations);
  Task<Status> reach_chunk(uint64_t number);
  Task<Status> locate(MessageId message, Location& at, bool& verified);
  Task<Result<std::string>> read_part(MessageId message, Part part, uint64_t offset,
                                      uint64_t length);
  Task<Result<std::shared_ptr<Mailbox>>> load(MailboxId id);
  Task<Status> write_index();
  void tell(const Change& change, const void* origin);

  // --- account_life.cc ---
  Task<Status> compact_segments(CompactionRules rules, int64_t now);
  Task<Status> compact_segment(uint32_t number, std::vector<MessageId> dead, CompactionRules rules);

  // --- commit.cc ---
  // `pins` keeps the mailboxes loaded that the builder looks into.
  Task<Status> commit(Builder build, std::vector<std::shared_ptr<Mailbox>> pins,
                      const void* origin = nullptr);
  Task<void> run_commits();
  Task<Status> write_one_commit();
  Task<Status> catch_up();
  Status fold(const Stored& record, const void* origin);
  void note_revived(std::string_view copy);
  void poison(const Error& error);
  uint32_t now() const;
  std::unexpected<Error> unusable() const;

  // --- account_messages.cc ---
  Task<Result<Copied>> copy_or_move(MailboxId from, std::vector<Uid> uids, MailboxId to, bool move,
                                    const void* origin);

  // --- account_revive.cc ---
  struct ReviveJob;
  Task<Status> try_to_revive(std::shared_ptr<ReviveJob> job,
                             std::vector<std::shared_ptr<Mailbox>> pins, const void* origin);

  // --- account_mailboxes.cc ---
  Task<Status> make_standard_mailboxes();
  Status plan_parents(Plan& plan, std::string_view name, std::map<std::string, MailboxId>& made);
  Status room_for(size_t more) const;

  // --- account_import.cc ---
  Task<Status> each_record(const std::function<void(const Stored&)>& f);

  Loop& loop_;
  IoPool& pool_;
  std::string user_;
  Limits limits_;
  std::function<int64_t()> clock_;
  std::unique_ptr<Journal> journal_;
  std::unique_ptr<Index> index_;

  AccountState state_;
  Locations locations_;
  std::optional<std::set<UidValidity>> validities_;  // all ever given out, once adopt() asked
  std::map<MailboxId, Uid> recent_claims_;           // in state_, not in the journal yet
  std::vector<Listener*> listeners_;                 // nullptr: left while being told
  bool telling_ = false;

  std::deque<std::shared_ptr<Op>> queue_;  // shared with the caller that waits, if it still does
  bool committing_ = false;
  Event idle_;  // set while no commit runs
  Mutex rebuilding_;
  std::optional<Error> failure_;
  bool closing_ = false;
  bool given_away_ = false;
  bool places_doubted_ = false;
  // Compaction.
  bool compacting_ = false;
  Event compacted_;                  // set while none runs
  uint64_t replaced_ = 0;            // segments that compactions have put in place
  std::vector<MessageId> dropping_;  // ascending: their bytes are about to go
  bool spoiled_ = false;             // one of them has an entry again
  Mutex settling_;                   // held while a segment is replaced, or checked
  struct {
    int64_t since = 0;  // the first of them
    uint64_t bytes = 0;
  } expunged_;  // since the last compaction
  bool shut_ = false;
  Scope scope_;  // last: its tasks use all of the above
};

}  // namespace rims::store
