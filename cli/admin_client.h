// cli/admin_client.h - asks the running suite's processes who is there, and to end sessions; waits
// for the end of a reload (common/ipc/admin_link.h)
//
// All processes are asked at once; each has a time limit. Blocks until all have answered or failed.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "common/async/task.h"
#include "common/base/result.h"
#include "common/ipc/admin_link.h"
#include "common/ipc/link.h"

namespace rims::cli {

struct ToldSession {
  ipc::SessionEntry entry;
  std::string process;  // "rims-imapd 1"
};

struct Told {
  std::vector<ToldSession> sessions;  // of who(): by user, the oldest first
  uint64_t ended = 0;                 // of kick()
  std::vector<std::string> problems;  // "rims-imapd 1 does not run": nothing is known from there
  std::set<std::string> silent;       // the names of those processes
};

// `run_dir`: paths.run_dir of the suite. Errors: not_found, nobody listens there; refused, this
// user may not ask.
[[nodiscard]] Result<Told> who(const std::string& run_dir);
// Ends the sessions of `users`, as accounts are called, and those with the ids `sessions`, and
// waits until they have ended: about 20 s at most. `but_not`: processes that are not asked.
[[nodiscard]] Result<Told> kick(const std::string& run_dir, const std::vector<std::string>& users,
                                const std::vector<std::string>& sessions,
                                const std::set<std::string>& but_not);

// A link to rims-auth, for the user directory (common/ipc/users_link.h). Errors: as of who().
Task<Result<std::shared_ptr<ipc::Link>>> reach_auth(Loop& loop, std::string run_dir);

// The next packet of a link. Errors: timeout, none came within `limit`, and the link is closed;
// peer_gone, the other side has ended it.
Task<Result<ipc::Packet>> receive_within(Loop& loop, std::shared_ptr<ipc::Link> link,
                                         Milliseconds limit);

struct ReloadTold {
  ipc::ReloadEnd end = ipc::ReloadEnd::in_force;
  std::vector<std::string> remarks;
};
// Calls `begin`, which lets the suite read its configuration again, and waits for the end of that.
// Errors: of who(); of `begin`; timeout, when the controller does not answer.
[[nodiscard]] Result<ReloadTold> reload(const std::string& run_dir,
                                        const std::function<Status()>& begin);

}  // namespace rims::cli
