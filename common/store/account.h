// common/store/account.h - one user's mail: mailboxes, messages, flags
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
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "common/async/task.h"
#include "common/base/result.h"
#include "common/store/deliveries.h"
#include "common/store/types.h"

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
  // Created, deleted, renamed, subscribed, unsubscribed: look again. A deleted mailbox that is
  // open says so by Mailbox::deleted().
  virtual void mailboxes_changed() {}
  // No further call on this account will work; drop it, and Store::open() again.
  virtual void account_failed(const Error&) {}
};

class AccountState;

class Account {
 public:
  Account() = default;
  Account(const Account&) = delete;
  Account& operator=(const Account&) = delete;
  virtual ~Account() = default;

  [[nodiscard]] virtual const std::string& user() const = 0;

  // --- mailboxes ---
  // All that exist, sorted by name (bytes), INBOX first. Valid until the next await.
  [[nodiscard]] virtual std::vector<const MailboxInfo*> mailboxes() const = 0;
  // INBOX in any case (RFC 3501 §5.1); nullptr when there is none. Valid until the next await.
  [[nodiscard]] virtual const MailboxInfo* find(std::string_view name) const = 0;
  [[nodiscard]] virtual const MailboxInfo* find(MailboxId id) const = 0;
  // Names, existing or not (RFC 3501 §6.3.6), sorted.
  [[nodiscard]] virtual const std::set<std::string, std::less<>>& subscriptions() const = 0;

  // Makes missing parents too. A trailing separator is dropped (RFC 3501 §6.3.3). refused
  // ALREADYEXISTS, CANNOT (bad name); limit LIMIT. A \Noselect name becomes a mailbox.
  virtual Task<Result<MailboxId>> create(std::string name,
                                         SpecialUse special_use = SpecialUse::none) = 0;
  // A name that is \Noselect from the beginning, for the mailboxes below it. Errors as create().
  virtual Task<Status> create_noselect(std::string name) = 0;
  // The mailbox has this use from now on, and no other has. not_found NONEXISTENT.
  virtual Task<Status> set_special_use(MailboxId mailbox, SpecialUse use) = 0;
  // With inferiors the name stays as \Noselect (RFC 3501 §6.3.4). not_found NONEXISTENT;
  // refused CANNOT for INBOX, and for a \Noselect name with inferiors (HASCHILDREN is the code).
  virtual Task<Status> remove(std::string name) = 0;
  // Inferiors move along; missing parents of `to` are made. INBOX: its messages move to the new
  // mailbox and INBOX stays (RFC 3501 §6.3.5). Subscriptions stay as they are.
  virtual Task<Status> rename(std::string from, std::string to) = 0;
  // The name need not exist. Doing it twice is fine.
  virtual Task<Status> subscribe(std::string name) = 0;
  virtual Task<Status> unsubscribe(std::string name) = 0;

  // Loads the messages if nobody has them open. refused for \Noselect; not_found NONEXISTENT.
  virtual Task<Result<std::shared_ptr<const Mailbox>>> open_mailbox(MailboxId id) = 0;

  // --- messages ---
  // All or nothing. not_found TRYCREATE when the mailbox is gone or \Noselect; limit LIMIT for a
  // 65th keyword, LIMIT for a message above Limits::message_bytes.
  virtual Task<Result<Appended>> append(MailboxId mailbox, std::vector<NewMessage> messages,
                                        const void* origin = nullptr) = 0;
  // The delivery with this key that was stored at most `window` seconds ago, if there is one: also
  // when its message, or the mailbox, is gone since. append() asks this for itself.
  [[nodiscard]] virtual std::optional<Delivery> delivered(const DeliveryKey& key,
                                                          uint32_t window) const = 0;
  // All that still exist, or nothing. No bytes are copied. Flags, keywords and dates come along.
  virtual Task<Result<Copied>> copy(MailboxId from, std::vector<Uid> uids, MailboxId to,
                                    const void* origin = nullptr) = 0;
  // copy and expunge as one change (RFC 6851 §3).
  virtual Task<Result<Copied>> move(MailboxId from, std::vector<Uid> uids, MailboxId to,
                                    const void* origin = nullptr) = 0;
  // Gives messages that were expunged, and whose bytes are there, new entries in `mailbox`: new
  // UIDs, all else as it was. Whose bytes can not be read is left out. Errors as append(). What
  // can be brought back: expunged.h.
  virtual Task<Result<Revived>> revive(MailboxId mailbox, std::vector<Revival> messages,
                                       const void* origin = nullptr) = 0;
  // One outcome per uid asked for, ascending, each once.
  virtual Task<Result<std::vector<FlagOutcome>>> change_flags(MailboxId mailbox, FlagChange change,
                                                              const void* origin = nullptr) = 0;
  // Removes these messages, whatever their flags: the caller chooses those with \Deleted.
  // Returns those that were really removed, ascending.
  virtual Task<Result<std::vector<Uid>>> expunge(MailboxId mailbox, std::vector<Uid> uids,
                                                 const void* origin = nullptr) = 0;
  // \Recent: the first uid that no session has claimed before; from now on all present messages
  // count as claimed. For one read-write SELECT, or for new arrivals in a selected mailbox. Does
  // not wait for the disk: after a crash messages may be recent once more (RFC 3501 §2.3.2).
  virtual Uid claim_recent(MailboxId mailbox) = 0;

  // --- mail that was elsewhere before (an import) ---
  // A mailbox with the uidvalidity it had there; missing parents are made. One of this name
  // without messages is replaced and keeps its special use; one that is so already is left alone.
  // refused ALREADYEXISTS when it has messages; refused CANNOT when the account has given this
  // uidvalidity out before; limit LIMIT.
  virtual Task<Result<MailboxId>> adopt(std::string name, UidValidity uidvalidity) = 0;
  // Smaller uids will not be given out. Nothing happens if none would be.
  virtual Task<Status> raise_uidnext(MailboxId mailbox, Uid uidnext) = 0;
  // The delivery id of each message that was ever appended, expunged ones too, in order; reads
  // the whole journal.
  virtual Task<Status> each_delivery_id(std::function<void(std::string_view)> f) = 0;

  // --- bytes ---
  // At most `length` bytes from `offset`; fewer only at the end of the message. Works for
  // expunged messages too as long as their bytes are there. storage: damaged; the detail names
  // file and offset. not_found: no such message.
  virtual Task<Result<std::string>> read(MessageId message, uint64_t offset = 0,
                                         uint64_t length = UINT64_MAX) = 0;
  virtual Task<Result<std::string>> read_structure(MessageId message) = 0;

  // --- news ---
  virtual void listen(Listener* listener) = 0;
  virtual void unlisten(Listener* listener) = 0;

  // The number of the last durable record; HIGHESTMODSEQ is per mailbox.
  [[nodiscard]] virtual ModSeq modseq() const = 0;
  // True after a failed write: see above.
  [[nodiscard]] virtual bool failed() const = 0;
  // True when failed() is because a tool has asked for the account (takeover.h).
  [[nodiscard]] virtual bool given_away() const = 0;

  // Verifies the numbered invariants of doc/storage-format.md against the journal: an empty list
  // is a healthy account. Reads everything; for tests and tools.
  virtual Task<Result<std::vector<std::string>>> check() = 0;
};

}  // namespace rims::store
