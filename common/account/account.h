// common/account/account.h - one user's mail: mailboxes, messages, flags
//
//   Runs in   rims-imapd (one account, one worker; no locks), and the offline tools
//   Promise   what a call reports as done is durable; what did not get durable was never seen
//
// Every change is a record (or several: one batch) of the account's journal. Changes that wait
// together share one write and one flush. A call resumes its caller after the change is durable,
// visible and told to the listeners.
//
// Who calls holds the shared_ptr<Account> during the call. Destroying a waiting caller does not
// take its change back: it may become durable or not.
//
// After a failed write or flush the account is lost to its holders: every pending and later call
// gets Fault::storage; Store::open() reads it again from the disk. See Listener::account_failed.
//
// The way of a change: a builder (a function) is queued; when no commit is under way, all queued
// builders add their records to one Plan; the journal appends them; the state folds them; the
// listeners are told; the callers are resumed. When another node was faster, its records are
// folded first and the builders run again on the newer state.
//
// What changes many messages becomes several records of one commit, which a crash leaves all or
// none of. Planning and folding them gives way to the loop (Plan::kPiece); until the caller is
// resumed others see a part of the change, and never one that is not durable.
//
// Tests: tests/account/
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "common/account/compaction.h"
#include "common/account/plan.h"
#include "common/account/structures.h"
#include "common/async/event.h"
#include "common/async/io_pool.h"
#include "common/async/scope.h"
#include "common/async/task.h"
#include "common/base/result.h"
#include "common/index/index.h"
#include "common/index/structure_files.h"
#include "common/journal/journal.h"
#include "common/mail/deliveries.h"
#include "common/mail/locations.h"
#include "common/mail/projection.h"
#include "common/mail/state.h"
#include "common/mail/types.h"
#include "common/message/structure.h"

namespace rims::store {

// Told of each durable change, in order, on the loop, once the state shows it. Must not destroy
// or unlisten another listener, nor wait; reading the state is fine. `origin` is what the caller
// of the change passed, so that a session knows its own changes.
class Listener {
 public:
  virtual ~Listener() = default;
  virtual void appended(MailboxId, std::span<const Uid>, const void* /*origin*/) {}
  virtual void flags_changed(MailboxId, std::span<const Uid>, ModSeq, const void* /*origin*/) {}
  virtual void expunged(MailboxId, std::span<const Uid>, ModSeq, const void* /*origin*/) {}
  // Which mailbox, and how: a Change that is neither of messages nor of annotations. A removed
  // mailbox that is open says so by Mailbox::deleted().
  virtual void mailbox_changed(const Change&, const void* /*origin*/) {}
  // Annotations of a mailbox or of the account itself: Change::entries names them.
  virtual void annotated(const Change&, const void* /*origin*/) {}
  // No further call on this account will work; drop it, and Store::open() again.
  virtual void account_failed(const Error&) {}
};

class Account {
 public:
  Account(const Account&) = delete;
  Account& operator=(const Account&) = delete;

  [[nodiscard]] const std::string& user() const { return user_; }
  [[nodiscard]] const Limits& limits() const { return limits_; }
  // All is the mail of `user` from now on, whose place is elsewhere: close it, then move it there.
  Task<Status> give_to(std::string user);

  // Its names for ever, and those of its mailboxes and messages: object_id.h.
  [[nodiscard]] std::string object_id() const;
  [[nodiscard]] std::string object_id(MailboxId mailbox) const;
  [[nodiscard]] std::string object_id(MessageId message) const;
  // The message with this id, whether it still exists or not; nullopt when it is none of ours.
  [[nodiscard]] std::optional<MessageId> message_of(std::string_view object_id) const;

  // --- mailboxes ---
  // All that exist, sorted by name (bytes), INBOX first. Valid until the next await.
  [[nodiscard]] std::vector<const MailboxInfo*> mailboxes() const;
  // INBOX in any case (RFC 3501 §5.1); nullptr when there is none. Valid until the next await.
  [[nodiscard]] const MailboxInfo* find(std::string_view name) const;
  [[nodiscard]] const MailboxInfo* find(MailboxId id) const;
  // Is there a mailbox below this name?
  [[nodiscard]] bool has_inferiors(std::string_view name) const;
  // Names, existing or not (RFC 3501 §6.3.6), sorted.
  [[nodiscard]] const std::set<std::string, std::less<>>& subscriptions() const {
    return state_.subscriptions();
  }

  // Makes missing parents too. A trailing separator is dropped (RFC 3501 §6.3.3). refused
  // ALREADYEXISTS, CANNOT (bad name); limit LIMIT. A \Noselect name becomes a mailbox.
  Task<Result<MailboxId>> create(std::string name, SpecialUse special_use = SpecialUse::none,
                                 const void* origin = nullptr);
  // A name that is \Noselect from the beginning, for the mailboxes below it. Errors as create().
  Task<Status> create_noselect(std::string name);
  // The mailbox has this use from now on, and no other has. not_found NONEXISTENT.
  Task<Status> set_special_use(MailboxId mailbox, SpecialUse use);
  // With inferiors the name stays as \Noselect (RFC 3501 §6.3.4). not_found NONEXISTENT;
  // refused CANNOT for INBOX, and for a \Noselect name with inferiors (HASCHILDREN is the code).
  Task<Status> remove(std::string name, const void* origin = nullptr);
  // Inferiors move along; missing parents of `to` are made. INBOX: its messages move to the new
  // mailbox and INBOX stays (RFC 3501 §6.3.5). Subscriptions stay as they are.
  Task<Status> rename(std::string from, std::string to, const void* origin = nullptr);
  // The name need not exist. Doing it twice is fine.
  Task<Status> subscribe(std::string name, const void* origin = nullptr);
  Task<Status> unsubscribe(std::string name, const void* origin = nullptr);

  // Of a mailbox, also a \Noselect one; MailboxId(): of the account itself. Valid until the next
  // await.
  [[nodiscard]] const Annotations& annotations(MailboxId mailbox) const {
    return state_.annotations(mailbox);
  }
  // All of these, in their order, or none. not_found NONEXISTENT; limit "METADATA MAXSIZE n" or
  // "METADATA TOOMANY" (RFC 5464 §4.3). What a lower limit has left can be removed, or made
  // smaller. `use`: the mailbox has this special use from now on, too (RFC 6154 §4).
  Task<Status> annotate(MailboxId mailbox, std::vector<AnnotationChange> changes,
                        const void* origin = nullptr, std::optional<SpecialUse> use = {});

  // Loads the messages if nobody has them open. refused for \Noselect; not_found NONEXISTENT.
  Task<Result<std::shared_ptr<const Mailbox>>> open_mailbox(MailboxId id);

  // From the next command on. What is beyond a lower limit stays.
  void set_limits(const Limits& limits);
  // What Limits::quota is about, as the durable state has it; costs nothing.
  [[nodiscard]] Usage usage() const { return state_.usage(); }

  // --- messages ---
  // All or nothing. not_found TRYCREATE when the mailbox is gone or \Noselect; limit LIMIT for a
  // message above Limits::message_bytes, or when mailbox or account would hold too many messages. A
  // keyword that finds no room is left out.
  Task<Result<Appended>> append(MailboxId mailbox, std::vector<NewMessage> messages,
                                const void* origin = nullptr);
  // `message` comes into `to`, and `old` leaves `from`, as one change; nothing of the one is in the
  // other (RFC 8508 §3). The room that `old` leaves counts. not_found NONEXISTENT when `old` is not
  // there (any more); other errors as append().
  Task<Result<Appended>> replace(MailboxId from, Uid old, MailboxId to, NewMessage message,
                                 const void* origin = nullptr);
  // The delivery with this key that was stored at most `window` seconds ago, if there is one: also
  // when its message, or the mailbox, is gone since. append() asks this for itself.
  [[nodiscard]] std::optional<Delivery> delivered(const DeliveryKey& key, uint32_t window) const;
  // All that still exist, or nothing. No bytes are copied. Flags, keywords and dates come along.
  // Errors as append().
  Task<Result<Copied>> copy(MailboxId from, std::vector<Uid> uids, MailboxId to,
                            const void* origin = nullptr);
  // copy and expunge as one change (RFC 6851 §3).
  Task<Result<Copied>> move(MailboxId from, std::vector<Uid> uids, MailboxId to,
                            const void* origin = nullptr);
  // Gives messages that were expunged, and whose bytes are there, new entries in `mailbox`: new
  // UIDs, all else as it was. Whose bytes can not be read is left out. Errors as append(). What
  // can be brought back: expunged.h.
  Task<Result<Revived>> revive(MailboxId mailbox, std::vector<Revival> messages,
                               const void* origin = nullptr);
  // One outcome per uid asked for, ascending, each once.
  Task<Result<std::vector<FlagOutcome>>> change_flags(MailboxId mailbox, FlagChange change,
                                                      const void* origin = nullptr);
  // Removes these messages, whatever their flags: the caller chooses those with \Deleted.
  // Returns those that were really removed, ascending.
  Task<Result<std::vector<Uid>>> expunge(MailboxId mailbox, std::vector<Uid> uids,
                                         const void* origin = nullptr);
  // The uids that were expunged (or moved away) after `since`, merged and ascending, also of
  // messages whose bytes are gone; reads about as much as it returns. not_found NONEXISTENT.
  Task<Result<std::vector<UidRange>>> vanished(MailboxId mailbox, ModSeq since);
  // False: records were lost, and a client with this MODSEQ may have seen what they said. What has
  // changed since then can not be told; all that there is can.
  [[nodiscard]] bool can_tell_since(ModSeq since) const { return state_.can_tell_since(since); }
  // \Recent: the first uid that no session has claimed before; from now on all present messages
  // count as claimed. For one read-write SELECT, or for new arrivals in a selected mailbox. Does
  // not wait for the disk: after a crash messages may be recent once more (RFC 3501 §2.3.2).
  Uid claim_recent(MailboxId mailbox);

  // --- mail that was elsewhere before (an import) ---
  // A mailbox with the uidvalidity it had there; missing parents are made. One of this name
  // without messages is replaced and keeps its special use; one that is so already is left alone.
  // refused ALREADYEXISTS when it has messages; refused CANNOT when the account has given this
  // uidvalidity out before; limit LIMIT.
  Task<Result<MailboxId>> adopt(std::string name, UidValidity uidvalidity);
  // Smaller uids will not be given out. Nothing happens if none would be.
  Task<Status> raise_uidnext(MailboxId mailbox, Uid uidnext);
  // The delivery id of each message that was ever appended, expunged ones too, in order; reads
  // the whole journal.
  Task<Status> each_delivery_id(std::function<void(std::string_view)> f);

  // `known`, of the journal with this account id, was in use, and this is an older copy of it: no
  // number that it has given out is given out again, nor as many more as are `unseen`. Each mailbox
  // gets a higher HIGHESTMODSEQ than clients can have seen. False: it is no older copy; nothing was
  // done. For tools, before any other change.
  Task<Result<bool>> pass_over(AccountState known, std::string account_id, Unseen unseen);

  // --- bytes ---
  // At most `length` bytes from `offset`; fewer only at the end of the message. Works for
  // expunged messages too as long as their bytes are there. storage: damaged; the detail names
  // file and offset. not_found: no such message.
  Task<Result<std::string>> read(MessageId message, uint64_t offset = 0,
                                 uint64_t length = UINT64_MAX);
  Task<Result<std::string>> read_structure(MessageId message);
  // Of the first ones of these messages, as many as are handy (at least one). Where they lie
  // together in the index (structure_files.h) these are a few large reads; else, and when only few
  // of a chunk are wanted, each is read from the journal, and the chunk is made behind. What can
  // not be read is empty: read the message. storage only when no further call will work.
  Task<Result<Structures>> read_structures(std::span<const MessageId> messages, Wanted wanted);

  // --- news ---
  void listen(Listener* listener) { listeners_.push_back(listener); }
  void unlisten(Listener* listener);

  // The number of the last durable record; HIGHESTMODSEQ is per mailbox.
  [[nodiscard]] ModSeq modseq() const { return ModSeq(state_.seq()); }
  // True after a failed write: see above.
  [[nodiscard]] bool failed() const { return failure_.has_value(); }
  // True when failed() is because a tool has asked for the account (takeover.h).
  [[nodiscard]] bool given_away() const { return given_away_; }

  // Verifies the numbered invariants of doc/storage-format.md against the journal: an empty list
  // is a healthy account. Reads everything; for tests and tools.
  Task<Result<std::vector<std::string>>> check();

  // --- its life: the calls of Store (and of tests) ---
  // `clock`: seconds since 1970 (UTC), for the records.
  Account(Loop& loop, IoPool& pool, std::string user, const Limits& limits,
          std::function<int64_t()> clock, std::unique_ptr<Journal> journal,
          std::unique_ptr<Index> index, std::unique_ptr<StructureFiles> structures,
          const message::Limits& structure_limits);
  ~Account();

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

  // For tools: all that these records of the journal, which are lost, had said is there again.
  Task<Status> note_restored(std::vector<Restored::Range> lost);

  // For tests and tools: the whole state, all mailboxes loaded.
  Task<Result<const AccountState*>> whole_state();
  // For tests: what read_structures() and tidy() have begun behind is done.
  Task<void> structures_kept();

 private:
  using Builder = std::function<Result<Built>(Plan&)>;
  // For a change of many messages: spends the slice on the way. The state is the same meanwhile,
  // because only commits change it. It is no coroutine itself, but calls one.
  using LongBuilder = std::function<Task<Result<Built>>(Plan&, TimeSlice&)>;
  using AnyBuilder = std::variant<Builder, LongBuilder>;
  struct Op;

  // --- account.cc: opening, closing, listeners, reading ---
  Task<Status> rebuild();
  [[nodiscard]] Status is_of_user(const AccountState& state) const;
  Task<Status> fold_journal(AccountState& state, Locations& locations, ExpungeHistory& history);
  std::string id() const;
  Task<Status> reach_chunk(uint64_t number);
  // Does a mailbox that is loaded have it?
  [[nodiscard]] bool is_listed(MessageId message) const;
  Task<Status> locate(MessageId message, Location& at, bool& verified);
  Task<Result<std::string>> read_part(MessageId message, Part part, uint64_t offset,
                                      uint64_t length);
  Task<Result<std::shared_ptr<Mailbox>>> load(MailboxId id);
  // Every mailbox; they stay loaded as long as the caller holds them.
  Task<Result<std::vector<std::shared_ptr<Mailbox>>>> load_all();
  Task<Status> write_index();
  void tell(const Change& change, const void* origin);

  // --- account_evidence.cc ---
  [[nodiscard]] bool lost_something() const;
  static std::string place_aside(uint64_t seq);
  // What the journal has lost and the index knows: into owed_. Where in quarantine/ the index is to
  // be kept; empty: nowhere.
  Task<std::string> heed_evidence(AccountState& fresh, Locations& places,
                                  const ExpungeHistory& history);
  Task<Status> pay_owed(uint32_t unanswered);

  // --- account_life.cc ---
  Task<Status> compact_segments(CompactionRules rules, int64_t now);
  Task<Status> compact_segment(uint32_t number, std::vector<MessageId> dead, CompactionRules rules);

  // --- commit.cc ---
  // `pins` keeps the mailboxes loaded that the builder looks into.
  Task<Status> pay();
  Task<Status> commit(AnyBuilder build, std::vector<std::shared_ptr<Mailbox>> pins,
                      const void* origin = nullptr);
  Task<void> run_commits();
  Task<Status> enqueue(AnyBuilder build, std::vector<std::shared_ptr<Mailbox>> pins,
                       const void* origin);
  static Task<Result<Built>> build(Op& op, Plan& plan, TimeSlice& slice);
  Task<Status> write_one_commit();
  Task<Status> catch_up();
  void fold(const JournalEvent& event, const void* origin);
  void note_revived(const Copy& copy);
  // Who sees every record of the account that is open.
  [[nodiscard]] std::array<Projection*, 2> followers() { return {&locations_, index_.get()}; }
  void poison(const Error& error);
  uint32_t now() const;
  std::unexpected<Error> unusable() const;

  // --- account_messages.cc ---
  Status check(const NewMessage& message) const;
  Task<Result<Copied>> copy_or_move(MailboxId from, std::vector<Uid> uids, MailboxId to, bool move,
                                    const void* origin);

  // --- account_revive.cc ---
  struct ReviveJob;
  Task<Status> try_to_revive(std::shared_ptr<ReviveJob> job,
                             std::vector<std::shared_ptr<Mailbox>> pins, const void* origin);

  // --- account_mailboxes.cc ---
  Task<Status> make_standard_mailboxes();
  Task<Result<Built>> plan_inbox_move(Plan& plan, std::string to, TimeSlice& slice);
  // Those that are missing above `name`. `also`: how many other mailboxes are to be made.
  Status plan_parents(Plan& plan, std::string_view name, size_t also,
                      std::map<std::string, MailboxId>& made);

  // --- account_annotations.cc ---
  // Of one mailbox. The limits, in the order of annotate().
  [[nodiscard]] Status room_for_annotations(MailboxId mailbox, const Annotated& record) const;
  // The annotations of `from`, for the new mailbox `to`.
  [[nodiscard]] Annotated annotations_for(MailboxId from, MailboxId to) const;

  // --- account_structures.cc ---
  [[nodiscard]] bool complete(uint64_t chunk) const;
  void keep_structures(uint64_t chunk);
  void keep_new_structures();
  Task<void> run_keeping();
  Task<void> keep_chunk(uint64_t chunk);

  // --- account_import.cc ---
  Task<Status> each_record(const std::function<void(const JournalEvent&)>& f);

  Loop& loop_;
  IoPool& pool_;
  std::string user_;
  Limits limits_;
  std::function<int64_t()> clock_;
  std::unique_ptr<Journal> journal_;
  std::unique_ptr<Index> index_;
  std::unique_ptr<StructureFiles> structures_;
  message::Limits structure_limits_;

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
  Mutex sealing_;  // of the last segment, against the commit that is being written
  // What lost records said of messages of one mailbox whose bytes are there.
  struct Regained {
    struct Message {
      MessageEntry entry;
      std::vector<std::string> keywords;
    };
    MailboxId mailbox;
    std::vector<Message> missing, reflagged;  // ascending by uid
  };
  static Regained compare(const Mailbox& folded, const Mailbox& known, Locations& places,
                          const ExpungeHistory& history);
  Task<std::vector<Regained>> regain(IndexEvidence& found, const AccountState& fresh,
                                     Locations& places, const ExpungeHistory& history);
  static void write_again(Plan& plan, const Mailbox& mailbox, const Regained& regained,
                          const Limits& limits);
  // What the opening has found and is to be written before anything else.
  struct Owed {
    uint32_t skip = 0;
    uint32_t unanswered = 0;  // see Gap::damage
    std::optional<Snapshot> known;
    std::optional<Annotated> annotations;
    std::vector<Regained> regained;
  };
  std::optional<Owed> owed_;  // when there was no room for it, the next commit begins with it
  Mutex paying_;
  bool partial_ = false;  // made of a journal of which a part can not be used now
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
  // Structures.
  std::set<uint64_t> unkept_;          // chunks that are to be written
  std::optional<uint64_t> kept_from_;  // chunks from here on were not complete when we looked last
  bool keeping_ = false;
  Event kept_;  // set while none is written
  bool shut_ = false;
  Scope scope_;  // last: its tasks use all of the above
};

}  // namespace rims::store
