// common/mail/state.h - folding the records of a journal into the state of an account
//
// Pure and deterministic: no I/O, no clock; knows neither journal nor index. The same records give
// the same state on every machine and in every run. A record that contradicts the state (because
// records before it were lost) changes what can be changed and is counted in orphans(). A snapshot
// corrects what it can.
//
// Invariants (numbered; verified by broken_invariants() and listed in doc/storage-format.md)
//   1. seq() is the number of the last record applied, and grows
//   2. the name index and the mailboxes name each other; ids are below next_mailbox()
//   3. INBOX exists and can be selected, once the account has a record
//   4. messages are sorted by uid, each uid once, all below uidnext
//   5. message ids are not zero and below next_message()
//   6. messages, unseen, recent, bytes are what counting the messages gives; usage() is their sum
//   7. a modseq is not zero and at most highest_modseq, that at most seq()
//   8. keyword bits have a name; names differ, case-insensitively; at most kMaxKeywords
//   9. uidvalidities differ, are not zero and at most last_uidvalidity()
//  10. a \Noselect name has no messages
//  15. only mailboxes and the account itself have annotations; annotation_bytes() is their sum
#pragma once

#include <algorithm>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "common/mail/deliveries.h"
#include "common/mail/id_ranges.h"
#include "common/mail/lost_numbers.h"
#include "common/mail/projection.h"
#include "common/mail/records.h"
#include "common/mail/types.h"

namespace rims::store {

class AccountState {
 public:
  using Mailboxes = std::map<MailboxId, std::shared_ptr<Mailbox>>;

  // The mailboxes that mailboxes_needed() names must be loaded. Changes are added to `changes` if
  // given.
  void apply(const JournalEvent& event, std::vector<Change>* changes = nullptr);

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
  // Ids of removed mailboxes.
  [[nodiscard]] const IdRanges& removed() const { return removed_; }
  // Empty until a record has set it.
  [[nodiscard]] const AccountNamed& named() const { return named_; }
  // Everything but messages, as of now. Mailboxes need not be loaded.
  [[nodiscard]] Snapshot snapshot() const;
  // The same of one mailbox.
  [[nodiscard]] static Snapshot::OfMailbox of(const Mailbox& mailbox);
  // Of a mailbox; MailboxId(): of the account itself.
  [[nodiscard]] const Annotations& annotations(MailboxId id) const;
  // Of all, their names and values.
  [[nodiscard]] uint64_t annotation_bytes() const { return annotation_bytes_; }
  // All of them, as of now; nullopt while no record has set any.
  [[nodiscard]] std::optional<Annotated> all_annotations(bool whole) const;
  // In all mailboxes; a message in two of them counts twice.
  [[nodiscard]] uint64_t messages() const { return messages_; }
  [[nodiscard]] Usage usage() const {
    return {.bytes = bytes_, .messages = messages_, .mailboxes = mailboxes_.size() - noselect_};
  }
  [[nodiscard]] uint64_t orphans() const { return orphans_; }
  // The sum of Gap::damage over the whole journal; not kept in the index.
  [[nodiscard]] uint64_t damage_answered() const { return damage_answered_; }

  // Whether all that changed after `since` is known to have a greater MODSEQ. Not so where records
  // were lost: then a client with `since` may have seen anything.
  [[nodiscard]] bool can_tell_since(ModSeq since) const { return !lost_.contains(since.value); }
  [[nodiscard]] const LostNumbers& lost_numbers() const { return lost_; }

  // `other` is of the same account and has given out numbers (of records, messages, mailboxes, or
  // UIDs of a mailbox of the same UIDVALIDITY) that are not given out here yet: this is an older
  // copy.
  [[nodiscard]] bool is_behind(const AccountState& other) const;
  // The mailbox of this UIDVALIDITY; nullptr: none has it.
  [[nodiscard]] std::shared_ptr<Mailbox> mailbox_of(UidValidity uidvalidity) const;

  // The journal has records after the last readable one: their numbers must not be given out again.
  void advance(uint64_t seq) { seq_ = std::max(seq_, seq); }
  // \Recent, ahead of its record: see Account::claim_recent.
  void claim_recent(MailboxId id, Uid first);
  // Frees the memory of the messages; the index has them.
  static void unload(Mailbox& mailbox);
  [[nodiscard]] static bool loaded(const Mailbox& mailbox) { return mailbox.loaded_; }
  // Takes the messages of the same mailbox of `other`, which must be at the same seq.
  void take_messages(MailboxId id, const AccountState& other);

  // Empty when all is well. Mailboxes that are not loaded are looked at as far as possible.
  [[nodiscard]] std::vector<std::string> broken_invariants() const;
  // The first difference in words, or empty; not that of lost_numbers(). Both must be loaded fully.
  [[nodiscard]] std::string difference(const AccountState& other) const;

 private:
  friend class IndexCodec;
  // The record that is applied, and where its changes go.
  struct Now {
    uint64_t seq = 0;
    uint32_t time = 0;
    std::vector<Change>* changes = nullptr;
    void tell(Change::Kind kind, MailboxId mailbox, std::vector<Uid> uids) const;
    void tell(Change::Kind kind, MailboxId mailbox, std::string name, std::string old_name) const;
    void tell_annotated(MailboxId mailbox, std::string name,
                        std::vector<std::string> entries) const;
  };
  void apply(const Ignored&, const Now&) {}
  void apply(const PieceSums&, const Now&) {}
  void apply(const OfUserDirectory&, const Now&) {}
  void apply(const Restored&, const Now&) {}
  void apply(const MailboxCreated& r, const Now& now);
  void apply(const MailboxRemoved& r, const Now& now);
  void apply(const MailboxRenamed& r, const Now& now);
  void apply(const Subscription& r, const Now& now);
  void apply(const Keyword& r, const Now& now);
  void apply(const Append& r, const Now& now);
  void apply(const Copy& r, const Now& now);
  void apply(const Flags& r, const Now& now);
  void apply(const Expunge& r, const Now& now);
  void apply(const Recent& r, const Now& now);
  void apply(const Clean&, const Now&) {}
  void apply(const Gap& r, const Now& now);
  void apply(const Compacted&, const Now&) {}
  void apply(const UidNext& r, const Now& now);
  void apply(const SpecialUseSet& r, const Now& now);
  void apply(const Snapshot& r, const Now& now);
  void apply(const AccountNamed& r, const Now& now);
  void apply(const Annotated& r, const Now& now);

  Mailbox* reach(MailboxId id, const Now& now);
  Uid add_message(Mailbox& mailbox, MessageEntry entry, const KeywordList& keywords,
                  const Now& now);
  void uncount(MailboxInfo& info, const MessageEntry& entry);
  Mailbox& recover_mailbox(MailboxId id, const Now& now);
  void take_special_use(MailboxId from_all_but, SpecialUse use, const Now& now);
  bool mend(const Snapshot::OfMailbox& right, const Now& now);
  void remove(MailboxId id, const Now& now);
  bool annotate(const Annotated::Item& item);

  uint64_t seq_ = 0;
  uint64_t applied_ = 0;  // the number of the last record itself: see advance()
  LostNumbers lost_;
  MailboxId next_mailbox_{1};
  MessageId next_message_{1};
  UidValidity last_uidvalidity_;
  Mailboxes mailboxes_;
  std::map<std::string, MailboxId, std::less<>> names_;
  std::set<std::string, std::less<>> subscriptions_;
  IdRanges removed_;
  AccountNamed named_;
  Deliveries deliveries_;
  uint64_t messages_ = 0;                         // the sum of MailboxInfo::messages
  uint64_t bytes_ = 0;                            // and of MailboxInfo::bytes
  uint64_t noselect_ = 0;                         // how many of mailboxes_ are \Noselect
  std::map<MailboxId, Annotations> annotations_;  // of those that have any
  bool annotated_ = false;                        // a record has set some
  uint64_t annotation_bytes_ = 0;
  uint64_t orphans_ = 0;
  uint64_t damage_answered_ = 0;
  bool incomplete_ = false;  // records are known to be lost
};

// "inbox/x" -> "INBOX/x": the first level is INBOX in any case (RFC 3501 §5.1).
[[nodiscard]] std::string canonical_name(std::string_view name);
// refused CANNOT or limit LIMIT when a mailbox may not have this name. The name is canonical.
[[nodiscard]] Status check_name(std::string_view name, const Limits& limits);

}  // namespace rims::store
