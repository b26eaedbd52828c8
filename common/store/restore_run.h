// common/store/restore_run.h - carrying out a restore plan on an open account
//
// Everything is an ordinary change of the account: new UIDs, a growing MODSEQ, nothing rewritten.
// Interrupted at any point, the same command plans and does what is left.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "common/async/task.h"
#include "common/store/account.h"
#include "common/store/restore_plan.h"

namespace rims::store {

struct RestoreOutcome {
  // `bytes`: of the messages that had to be written; the others were in the journal still.
  uint64_t created = 0, restored = 0, bytes = 0, reflagged = 0, expunged = 0, removed = 0;
  uint64_t subscriptions = 0, uses = 0;
  std::vector<std::string> problems;  // what could not be restored; the rest was
};

struct MessageParts {
  std::string bytes, structure;
};
// The message as it was, from where it is kept. Blocking.
using ReadMessage = std::function<Result<MessageParts>(const MessageEntry&)>;

struct RestoreSteps {
  ReadMessage read;
  // Message ids of then are those of the account: what its journal still has is given new entries
  // there (Account::revive), and only the rest is read.
  bool same_ids = false;
  std::function<void(uint64_t done, uint64_t total)> progress;  // messages
};

// An error: the account has failed, or has no room; what was done until then is durable.
Task<Result<RestoreOutcome>> carry_out(Account& account, RestorePlan plan, RestoreSteps steps);

}  // namespace rims::store
