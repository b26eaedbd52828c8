// common/maintenance/restore_plan.h - the changes that make an account as it was; pure
//
// Two states are compared: `then` (of a backup, or of the account at a point in time) and `now`.
// Mailboxes correspond by name, messages by content and date. Those that are there already are
// kept, and only get the flags that they had then. What came later is kept, unless `exact` is
// wanted. With `replace_damaged` a message is there only when its bytes can be read: one that is
// damaged gets a new entry, and the old one is expunged after that. After a plan was carried out,
// the same comparison finds nothing to do.
#pragma once

#include <cstddef>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "common/mail/records.h"
#include "common/mail/state.h"

namespace rims::store {

struct RestoreScope {
  std::string mailbox;         // "": all of them, and the subscriptions
  std::vector<UidRange> uids;  // in `then`; empty: all
  std::string into;            // the mailbox they go to; "": that of the same name
  bool exact = false;          // what came later is expunged, and later mailboxes are removed
};

struct FlagsThen {
  uint8_t flags = 0;
  std::vector<std::string> keywords;
  auto operator<=>(const FlagsThen&) const = default;
};

struct MailboxPlan {
  std::string name;  // of the mailbox in `now`
  MailboxId from;    // of the mailbox in `then`
  bool create = false;
  std::vector<MessageEntry> missing;               // as they were, ascending by uid
  std::vector<std::vector<std::string>> keywords;  // of each of them
  std::vector<Uid> damaged;   // of each of them: its uid in `now`, where it can not be read; or 0
  std::vector<Uid> doubled;   // uids in `now`: damaged, and there a second time in good order
  std::vector<Uid> hopeless;  // uids in `now`: damaged in `then` as well
  std::vector<std::pair<FlagsThen, std::vector<Uid>>> flags;  // uids in `now`
  std::vector<Uid> later;                                     // uids in `now`; only with `exact`
  size_t there = 0;  // messages that need nothing but flags
};

struct RestorePlan {
  std::vector<std::string> noselect;   // \Noselect names to be made; superior names first
  std::vector<MailboxPlan> mailboxes;  // by name
  std::vector<std::string> remove;     // inferior names first; only with `exact`
  // Mailboxes whose special use changes after the steps above. Those that lose one are before those
  // that get one.
  std::vector<std::pair<std::string, SpecialUse>> uses;
  // By mailbox; "": the account itself. What came later is removed only with `exact`.
  std::vector<std::pair<std::string, std::vector<AnnotationChange>>> annotations;
  std::vector<std::string> subscribe, unsubscribe;
  [[nodiscard]] bool nothing_to_do() const;
};

// A digest of a message's bytes. An error: it can not be read, and equals nothing. With
// `replace_damaged` an error of the system, other than that the disk can not read it or has no such
// file, ends the planning.
using Digest = std::function<Result<std::string>(const MessageEntry&)>;

struct RestoreStates {
  const AccountState& then;
  const AccountState& now;
  // Message ids mean the same in both: the one is a continuation of the other.
  bool same_ids = false;
  // `then` is elsewhere, and every segment of `now` is in use: what can not be read in `now` is
  // lost. Every message of `now` is read.
  bool replace_damaged = false;
  Digest then_digest, now_digest;
};

// not_found: no such mailbox or no such message then. Errors of the digests.
Result<RestorePlan> plan_restore(const RestoreStates& states, const RestoreScope& scope);

// "1:5,8,20:*" (RFC 3501 §9 sequence-set), ascending. syntax.
Result<std::vector<UidRange>> parse_uid_set(std::string_view text);

}  // namespace rims::store
