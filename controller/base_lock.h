// controller/base_lock.h - one suite for one store
//
// The controller holds a lock (flock) on base_dir itself for as long as it lives. So a second suite
// on the same mail is refused whatever its pid file is called, and a suite whose pid file and
// directory were removed is found again. The kernel says who holds the lock; nothing is written.
#pragma once

#include <optional>
#include <string>
#include <sys/types.h>

#include "common/base/fd.h"
#include "common/base/result.h"

namespace rims::controller {

// Held by the descriptor. Error: refused when another process holds it, with its number if it is
// known. Empty where the file system has no such locks, or root may not open the directory there.
[[nodiscard]] Result<Fd> lock_base(const std::string& base_dir);

// The process that holds it; nullopt when there is none, or the kernel does not say.
[[nodiscard]] std::optional<pid_t> holder_of_base(const std::string& base_dir);

// The same in a text like /proc/locks.
[[nodiscard]] std::optional<pid_t> holder_in(const std::string& locks, dev_t device, ino_t inode);

}  // namespace rims::controller
