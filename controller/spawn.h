// controller/spawn.h - one child process: forked, executed with its control link and nothing else
#pragma once

#include <string>
#include <sys/types.h>

#include "common/base/fd.h"
#include "common/base/result.h"

namespace rims::controller {

struct Spawned {
  pid_t pid = -1;
  Fd control;  // our end of its control link
  Fd words;    // what it writes to standard error; never waits
};

// Executes `binary` under its own name with descriptors 0 (/dev/null), 1 (ours), 2 (a pipe to us)
// and 3 (the control link); all others are closed. It dies when we do. `clean_environment` leaves
// it only the locale and the time zone.
[[nodiscard]] Result<Spawned> spawn(const std::string& binary, bool clean_environment);

// "was killed by signal 11 (Segmentation fault)", "ended with status 70 (internal error)".
[[nodiscard]] std::string describe_end(int wait_status);

}  // namespace rims::controller
