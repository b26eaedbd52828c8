// auth/user_changes.h - what a question of rims-ctl would change in the user directory, and whether
// it may; pure
//
// A refusal says why in words for the administrator. See Directory::change().
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "auth/directory.h"
#include "common/base/result.h"
#include "common/ipc/users_link.h"
#include "common/users/state.h"

namespace rims::auth {

// Does the configuration have a user, or the delivery user, of this folded name?
using Configured = std::function<bool(std::string_view folded)>;

[[nodiscard]] Result<Directory::Planned> plan(const ipc::AddUser& add, const users::State& state,
                                              uint64_t id, uint64_t now,
                                              const Configured& configured);
[[nodiscard]] Result<Directory::Planned> plan(const ipc::EditUser& edit, const users::State& state,
                                              uint64_t now, const Configured& configured);
[[nodiscard]] Result<Directory::Planned> plan(const ipc::EditDomain& edit,
                                              const users::State& state);
// Users that were removed at or before `until` are gone for good; at most `most` of them.
[[nodiscard]] Directory::Planned plan_purge(const users::State& state, uint64_t until, size_t most);

}  // namespace rims::auth
