// common/maintenance/restore_run.h - carrying out a restore plan on an open account
//
// Everything is an ordinary change of the account: new UIDs, a growing MODSEQ, nothing rewritten.
// If it is interrupted at any point, the same command does the rest.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "common/account/account.h"
#include "common/async/task.h"
#include "common/maintenance/restore_plan.h"

namespace rims::store {

struct RestoreOutcome {
  // `bytes`: of the messages that were written; the others were still in the journal.
  uint64_t created = 0, restored = 0, bytes = 0, reflagged = 0, expunged = 0, removed = 0;
  uint64_t replaced = 0;  // damaged messages that were expunged because the restored ones are there
  uint64_t subscriptions = 0, uses = 0, annotations = 0;
  std::vector<std::string> problems;  // what could not be restored; the rest was
};

struct MessageParts {
  std::string bytes, structure;
};
// The message as it was, from where it is kept. Blocking.
using ReadMessage = std::function<Result<MessageParts>(const MessageEntry&)>;

struct RestoreSteps {
  ReadMessage read;
  // Message ids of `then` are valid in the account: a message that its journal still has gets a new
  // entry (Account::revive); only the others are read.
  bool same_ids = false;
  std::function<void(uint64_t done, uint64_t total)> progress;  // messages
};

// An error: the account has failed, or has no room; what was done until then is durable.
Task<Result<RestoreOutcome>> carry_out(Account& account, RestorePlan plan, RestoreSteps steps);

}  // namespace rims::store
