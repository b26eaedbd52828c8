// cli/users_client.h - asks rims-auth of the running suite about the user directory, and changes it
// (common/ipc/users_link.h)
//
// Each call blocks until rims-auth has answered. `run_dir`: paths.run_dir of the suite. Errors:
// not_found, nobody listens there; refused, this user may not ask, or rims-auth says no (and the
// reply why); storage, not now; peer_gone, timeout.
#pragma once

#include <string>
#include <vector>

#include "common/base/result.h"
#include "common/ipc/users_link.h"

namespace rims::cli {

[[nodiscard]] Status change_user(const std::string& run_dir, ipc::EditUser edit);
[[nodiscard]] Status change_domain(const std::string& run_dir, ipc::EditDomain edit);
// One outcome for each. Many are on their way at once, and what one flush makes durable is many of
// them. An error: the link was lost, and it is not known which of them were added.
[[nodiscard]] Result<std::vector<Status>> add_users(const std::string& run_dir,
                                                    std::vector<ipc::AddUser> users);
// `user`: only this one; "": all.
[[nodiscard]] Result<std::vector<ipc::UserTold>> told_users(const std::string& run_dir,
                                                            const std::string& user,
                                                            bool with_hashes);
[[nodiscard]] Result<std::vector<ipc::DomainTold>> told_domains(const std::string& run_dir);

}  // namespace rims::cli
