// cli/ctl_account.h - which accounts a command of rims-ctl is about, and as whom it works on them
#pragma once

#include <string>
#include <vector>

#include "cli/ctl.h"
#include "common/base/fd.h"
#include "common/base/result.h"
#include "common/store/store.h"

namespace rims::ctl {

struct Account {
  std::string id;    // what stands in the directory's name: rims unique-user-id
  std::string user;  // "" when nothing says whose it is
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

// The configuration, the base directory and the account of `user`, or all accounts there are. The
// store knows them by a hash of the user's name; the names are in the configuration, and for an
// account that has none there only the hash can be shown. On failure an exit status, after a
// message.
[[nodiscard]] int find_accounts(const Invocation& how, const std::string& user, bool all,
                                Accounts& found);

// For opening accounts as the server would.
[[nodiscard]] store::Options store_options(const config::Config& config, Fd base);
[[nodiscard]] store::Options store_options(const Accounts& accounts);

// Files that root makes could not be read by the server: root goes on as the user to whom the base
// directory belongs. `read_all`: it keeps the right to read everybody's files.
[[nodiscard]] Status become_owner(const Fd& base, bool read_all = false);

}  // namespace rims::ctl
