// cli/daemon.h - the suite in the background: whether it runs, starting it, ending it
//
// For rims-ctl and `rims daemon`. The lock on its pid file says whether it runs, and where that
// file is gone, the lock on base_dir (controller/base_lock.h). The number in the file does not:
// another process may have that number by now. Whose suite it is, RUN_DIR/configuration says
// (common/config/running.h).
#pragma once

#include <string>
#include <sys/types.h>
#include <vector>

#include "common/base/result.h"
#include "common/config/config.h"

namespace rims::cli {

struct DaemonState {
  enum Is : unsigned char {
    running,
    dead,  // not running, but its pid file is there
    none,
    hidden,   // this user may not read the pid file
    another,  // a suite runs there, but with another configuration
  };
  Is is = none;
  pid_t pid = 0;
  uid_t owner = 0;       // of the pid file; without it, of the process
  bool no_file = false;  // running, but somebody has removed the pid file
  std::string why;       // hidden, another: one line for the user
};

[[nodiscard]] DaemonState look_for_daemon(const config::Config& config);
// Where nothing but the pid file is known.
[[nodiscard]] DaemonState look_for_daemon(const std::string& pid_file);

// A process of root has the lock on this base_dir.
[[nodiscard]] bool root_runs_on(const std::string& base_dir);

// Runs `controller` with -d and `arguments`; returns when the suite serves or has failed. The
// value is its exit status. What it says goes to standard error, with `quiet` only when it failed.
[[nodiscard]] Result<int> start_daemon(const std::string& controller,
                                       std::vector<std::string> arguments, bool quiet = false);

// Sends a signal to the process. Errors: not_found when it has just ended, refused when this user
// may not signal it, or when the pid file is not of the user of the process: then somebody else
// wrote the number, to let root end it.
Status signal_daemon(const DaemonState& running, int number, const char* participle);
// SIGTERM, then waits for the end. Errors also: timeout, when it has not ended after 15 s.
Status stop_daemon(const DaemonState& running);

}  // namespace rims::cli
