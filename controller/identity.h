// controller/identity.h - the user of each process, and the directory of its program
#pragma once

#include <array>
#include <string>

#include "common/base/result.h"
#include "common/config/config.h"
#include "common/ipc/control_link.h"
#include "common/ipc/roles.h"
#include "common/privdrop/privdrop.h"

namespace rims::controller {

inline constexpr size_t kRoles = static_cast<size_t>(ipc::Role::last) + 1;

// By role. Without privilege (the controller was not started as root) no process changes its user.
struct Identities {
  bool privileged = false;
  std::array<privdrop::Identity, kRoles> of;
};

// `prefix` is where the suite is installed; the error for a missing user names the sysusers file
// there.
[[nodiscard]] Result<Identities> find_identities(const config::Config& config,
                                                 const std::string& empty_directory,
                                                 const std::string& prefix);

// The directory that is the root of those who see no file.
[[nodiscard]] std::string empty_root(const config::Config& config);

// What the process number `index` of `role` is told first.
[[nodiscard]] ipc::Configure configure(const Identities& identities, ipc::Role role, uint32_t index,
                                       uint32_t imapd_workers);

// "/a/b" of "/a/b/c".
[[nodiscard]] std::string directory_of(const std::string& path);

// The directory of the running program, by /proc/self/exe. The other programs of the suite are
// there, too.
[[nodiscard]] Result<std::string> own_directory();

}  // namespace rims::controller
