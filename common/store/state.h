// common/store/state.h - folding the records of a journal into the state of an account
//
// Pure and deterministic: no I/O, no clock; knows neither journal nor index. The same records
// give the same state on every machine and in every run. A record that contradicts the state
// (because records before it were lost) changes what can be changed and is counted in orphans().
//
// Invariants (numbered; verified by broken_invariants() and listed in doc/storage-format.md)
//   1. seq() is the number of the last record applied, and grows
//   2. the name index and the mailboxes name each other; ids are below next_mailbox()
//   3. INBOX exists and can be selected, once the account has a record
//   4. messages are sorted by uid, each uid once, all below uidnext
//   5. message ids are not zero and below next_message()
//   6. messages, unseen, recent, bytes are what counting the messages gives
//   7. a modseq is not zero and at most highest_modseq, that at most seq()
//   8. keyword bits have a name; names differ, case-insensitively; at most kMaxKeywords
//   9. uidvalidities differ, are not zero and at most last_uidvalidity()
//  10. a \Noselect name has no messages
#pragma once

#include <algorithm>
#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "common/store/deliveries.h"
#include "common/store/records.h"
#include "common/store/types.h"

namespace rims::store {

// What a record changed, for listeners.
struct Change {
  enum class Kind : uint8_t { appended, flags, expunged, mailboxes };
  Kind kind = Kind::mailboxes;
  MailboxId mailbox;
  std::vector<Uid> uids;
};

class AccountState {
 public:
  using Mailboxes = std::map<MailboxId, std::shared_ptr<Mailbox>>;

  // The mailboxes that mailboxes_needed() names must be loaded. storage: `meta` does not decode
  // or the type is unknown; nothing has changed then. Changes are added to `changes` if given.
  // `time` is the record's.
  Status apply(RecordType type, uint64_t seq, uint32_t time, std::string_view meta,
               std::vector<Change>* changes = nullptr);

  [[nodiscard]] uint64_t seq() const { return seq_; }
  [[nodiscard]] MailboxId next_mailbox() const { return next_mailbox_; }
  [[nodiscard]] MessageId next_message() const { return next_message_; }
  [[nodiscard]] UidValidity last_uidvalidity() const { return last_uidvalidity_; }
  [[nodiscard]] const Mailboxes& mailboxes() const { return mailboxes_; }
  [[nodiscard]] std::shared_ptr<Mailbox> mailbox(MailboxId id) const;
  [[nodiscard]] std::shared_ptr<Mailbox> mailbox(std::string_view name) const;
  [[nodiscard]] const std::map<std::string, MailboxId, std::less<>>& names() const {
    return names_;
  }
  [[nodiscard]] const std::set<std::string, std::less<>>& subscriptions() const {
    return subscriptions_;
  }
  [[nodiscard]] const Deliveries& deliveries() const { return deliveries_; }
  [[nodiscard]] uint64_t orphans() const { return orphans_; }
  // What the gap records of a whole fold answer for; not kept in the index.
  [[nodiscard]] uint64_t damage_answered() const { return damage_answered_; }

  // The journal is further than its last readable record: numbers are not given out twice.
  void advance(uint64_t seq) { seq_ = std::max(seq_, seq); }
  // \Recent, ahead of its record: see Account::claim_recent.
  void claim_recent(MailboxId id, Uid first);
  // Gives the memory of the messages back; the index has them.
  static void unload(Mailbox& mailbox);
  [[nodiscard]] static bool loaded(const Mailbox& mailbox) { return mailbox.loaded_; }
  // Takes the messages of the same mailbox of `other`, which must be at the same seq.
  void take_messages(MailboxId id, const AccountState& other);

  // Empty when all is well. Mailboxes that are not loaded are looked at as far as possible.
  [[nodiscard]] std::vector<std::string> broken_invariants() const;
  // The first difference in words, or empty. Both must be loaded fully.
  [[nodiscard]] std::string difference(const AccountState& other) const;

 private:
  friend class IndexCodec;
  Mailbox* reach(MailboxId id);
  void add_message(Mailbox& mailbox, MessageEntry entry, uint64_t seq);
  static void uncount(MailboxInfo& info, const MessageEntry& entry);
  void recover_mailbox(MailboxId id);

  uint64_t seq_ = 0;
  MailboxId next_mailbox_{1};
  MessageId next_message_{1};
  UidValidity last_uidvalidity_;
  Mailboxes mailboxes_;
  std::map<std::string, MailboxId, std::less<>> names_;
  std::set<std::string, std::less<>> subscriptions_;
  Deliveries deliveries_;
  uint64_t orphans_ = 0;
  uint64_t damage_answered_ = 0;
};

// "inbox/x" -> "INBOX/x": the first level is INBOX in any case (RFC 3501 §5.1).
[[nodiscard]] std::string canonical_name(std::string_view name);
// refused CANNOT or limit LIMIT when a mailbox may not be called so. The name is canonical.
[[nodiscard]] Status check_name(std::string_view name, const Limits& limits);

}  // namespace rims::store
