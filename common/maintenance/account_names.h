// common/maintenance/account_names.h - to whom accounts belong; renaming and removing them
//
// An account's directory is named by a hash of the user's name, and its journal names the user. A
// rename changes both: first the journal, then the directory. Between the two nobody can open the
// account; a rename that was interrupted there goes on when it is called again.
//
//   Blocking; for tools.
#pragma once

#include <string>
#include <vector>

#include "common/account/store.h"
#include "common/base/fd.h"
#include "common/base/result.h"
#include "common/journal/disk.h"

namespace rims::store {

struct NamedAccount {
  std::string id;      // 64 hex digits; see unique_user_id()
  std::string user;    // whom the journal names; empty: none, or `problem` says why not
  uint64_t bytes = 0;  // of the journal
  std::string problem;
  // The journal names another user than the directory.
  [[nodiscard]] bool misplaced() const;
};
// All accounts beneath `base`, by their ids. What can not be read is a `problem` of that account.
Result<std::vector<NamedAccount>> name_accounts(const Fd& base, Disk& disk = Disk::real());
NamedAccount name_account(const Fd& base, const std::string& id, Disk& disk = Disk::real());

// All mail of `from` becomes that of `to`, as it is: UIDs, UIDVALIDITY and flags stay. `options`:
// as for the server; its base names both. not_found: `from` has no account. refused: `to` has one,
// or the account is another user's. storage INUSE: a server did not give it up in time.
Status rename_account(Options options, const std::string& from, const std::string& to,
                      Milliseconds timeout);

// Removes the account, its backups not. It is there whole, or not at all; when what was removed
// could not be unlinked yet, the next call does that. not_found, refused, INUSE: as above.
Status remove_account(const Fd& base, const std::string& user, Milliseconds timeout,
                      Disk& disk = Disk::real());

}  // namespace rims::store
