// cli/ctl_account.h - which accounts a command of rims-ctl works on, and as which user
#pragma once

#include <optional>
#include <set>
#include <string>
#include <vector>

#include "cli/ctl.h"
#include "common/account/store.h"
#include "common/base/fd.h"
#include "common/base/result.h"
#include "common/journal/reader.h"
#include "common/privdrop/privdrop.h"

namespace rims::ctl {

struct Account {
  std::string id;    // names its directory; see rims unique-user-id
  std::string user;  // "" when it is not known
  [[nodiscard]] std::string shown() const { return user.empty() ? "account " + id : user; }
  // Beneath the base directory.
  [[nodiscard]] std::string path() const {
    return "mailbox.3/" + id.substr(0, 2) + "/" + id.substr(2);
  }
};

struct Accounts {
  Loaded loaded;
  Fd base;
  std::vector<Account> list;
};

// Fills `found` with the configuration, the base directory and the account of `user`, or all
// accounts. The store names an account by a hash of the user's name; the names are in the
// configuration and in the journals, and an account whose user neither knows is shown by its hash.
// On failure an exit status, after a message.
[[nodiscard]] int find_accounts(const Invocation& how, const std::string& user, bool all,
                                Accounts& found);

// What the account is called that `user` means: the one of exactly this name, if there is one (its
// user may be spelled in another way now, or be gone); else as the configuration spells this user.
[[nodiscard]] Result<std::string> account_name(const config::Config& config, const Fd& base,
                                               const std::string& user);

// The account of a user of the configuration or, where the suite runs and answers, of its user
// directory (rims-users(7)); nullopt: there is no such user, as far as is known. Before
// become_owner(): not everybody may ask.
[[nodiscard]] std::optional<std::string> account_of_user(const config::Config& config,
                                                         const std::string& user);
// The ids of all accounts of users of that directory.
[[nodiscard]] std::set<std::string> ids_of_directory(const config::Config& config);

// A line for each account that only another spelling of the name in the configuration leaves
// behind: the server does not find that mail.
[[nodiscard]] Result<std::vector<std::string>> old_spellings(const config::Config& config,
                                                             const Fd& base);

// For reading only; a server may have the account open. not_found: `user` has no account.
// refused: the directory holds another user's mail, and the command does not just look for that.
[[nodiscard]] Result<store::JournalReader> open_journal(const Fd& base, const std::string& user,
                                                        store::Owner wanted = store::Owner::user);

// For opening accounts as the server would.
[[nodiscard]] store::Options store_options(const config::Config& config, Fd base);
[[nodiscard]] store::Options store_options(const Accounts& accounts);

// The server could not read files that root makes. So if the process is root, it becomes the owner
// of the base directory, permanently. Call it before any thread is started.
[[nodiscard]] Status become_owner(const Fd& base, privdrop::Keep keep = privdrop::Keep::nothing);

}  // namespace rims::ctl
