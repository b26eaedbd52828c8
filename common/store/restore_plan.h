// common/store/restore_plan.h - what an account lacks to be as it was; pure
//
// Two states are compared: `then` (of a backup, or of the account at a point in time) and `now`.
// Mailboxes are the same by name, messages by content and date: those that are there already stay
// as they are and only get the flags of then. What came later is kept, unless `exact` is wanted.
// A plan that was carried out leaves nothing to do for the same plan made again.
#pragma once

#include <cstddef>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "common/store/records.h"
#include "common/store/state.h"

namespace rims::store {

struct RestoreScope {
  std::string mailbox;         // "": all of them, and the subscriptions
  std::vector<UidRange> uids;  // of then; empty: all
  std::string into;            // the mailbox they go to; "": that of the same name
  bool exact = false;          // what came later is expunged, and mailboxes of later removed
};

struct FlagsThen {
  uint8_t flags = 0;
  std::vector<std::string> keywords;
  auto operator<=>(const FlagsThen&) const = default;
};

struct MailboxPlan {
  std::string name;  // where to
  MailboxId from;    // of then
  bool create = false;
  std::vector<MessageEntry> missing;                          // as they were, ascending by uid
  std::vector<std::vector<std::string>> keywords;             // of each of them
  std::vector<std::pair<FlagsThen, std::vector<Uid>>> flags;  // uids of now
  std::vector<Uid> later;                                     // uids of now; only with `exact`
  size_t there = 0;  // messages that need nothing but flags
};

struct RestorePlan {
  std::vector<std::string> noselect;   // names that only hold others, to be made; those above first
  std::vector<MailboxPlan> mailboxes;  // by name
  std::vector<std::string> remove;     // inferiors first; only with `exact`
  // Mailboxes that get another special use than they have, or will have by the above. Who loses
  // one stands before who gets one.
  std::vector<std::pair<std::string, SpecialUse>> uses;
  std::vector<std::string> subscribe, unsubscribe;
  [[nodiscard]] bool nothing_to_do() const;
};

// A digest of a message's bytes. An error: it can not be read, and equals nothing.
using Digest = std::function<Result<std::string>(const MessageEntry&)>;

struct RestoreStates {
  const AccountState& then;
  const AccountState& now;
  // Message ids mean the same in both: the one is a continuation of the other.
  bool same_ids = false;
  Digest then_digest, now_digest;
};

// not_found: no such mailbox or no such message then.
Result<RestorePlan> plan_restore(const RestoreStates& states, const RestoreScope& scope);

// "1:5,8,20:*" (RFC 3501 §9 sequence-set), ascending. syntax.
Result<std::vector<UidRange>> parse_uid_set(std::string_view text);

}  // namespace rims::store
