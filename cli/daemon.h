// cli/daemon.h - the suite in the background: whether it runs, starting it, ending it
//
// For rims-ctl and `rims daemon`. Whether it runs is asked of the lock on its pid file, never of
// the number in it alone: a number may have been given to somebody else.
#pragma once

#include <string>
#include <sys/types.h>
#include <vector>

#include "common/base/result.h"

namespace rims::cli {

struct DaemonState {
  enum Is : unsigned char {
    running,
    dead,  // it left its pid file
    none,
    hidden,  // not to be seen by this user
  };
  Is is = none;
  pid_t pid = 0;
  std::string why;  // hidden: why
};

[[nodiscard]] DaemonState look_for_daemon(const std::string& pid_file);

// Runs `controller` with -d and `arguments`; returns when the suite serves or has failed. The
// value is its exit status. What it says goes to standard error, with `quiet` only when it failed.
[[nodiscard]] Result<int> start_daemon(const std::string& controller,
                                       std::vector<std::string> arguments, bool quiet = false);

// Sends a signal to the process itself, even if its number changes hands meanwhile. Errors:
// not_found when it has just ended, refused when it may not be done.
Status signal_daemon(pid_t pid, int number, const char* participle);
// SIGTERM, then waits for the end. Errors also: limit, when it takes longer than that.
Status stop_daemon(pid_t pid);

}  // namespace rims::cli
