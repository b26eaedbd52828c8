// imapd/worker/administration.h - what the administrator may ask of a worker's sessions, and their
// end before the client wants it
//
//   Trust   links of rims-ctl come from the controller, who gave them to root or the suite's user
//   Cut     a session that has not said BYE within kEndLimit (its client does not read, a command
//           takes long) is cut; what it has acknowledged is durable, as ever
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "common/async/scope.h"
#include "common/ipc/admin_link.h"
#include "common/ipc/auth_link.h"
#include "imapd/worker/sessions.h"

namespace rims::imapd {

class Administration {
 public:
  static constexpr Milliseconds kEndLimit{10'000};

  // `cut` ends the coroutine of a session, from the loop, not now. `sessions` must outlive it.
  Administration(Loop& loop, Sessions& sessions, std::function<void(Sessions::Number)> cut)
      : loop_(loop), sessions_(sessions), cut_(std::move(cut)), scope_(loop) {}

  void attach(ipc::End end);
  // rims-auth has said so: the user's sessions end, each with a line in the log.
  void revoke(const std::string& user, ipc::Revoked why);
  // Ends the links, and the waiting for sessions.
  Task<void> stop();

 private:
  using SharedLink = std::shared_ptr<ipc::Link>;
  Task<void> serve(SharedLink link);
  Task<bool> tell_all(ipc::Link& link);
  // BYE to all of them now. Returns when they have ended.
  Task<void> end(std::vector<Sessions::Number> numbers, std::string bye, std::string why);

  Loop& loop_;
  Sessions& sessions_;
  std::function<void(Sessions::Number)> cut_;
  std::vector<std::weak_ptr<ipc::Link>> links_;
  Scope scope_;  // last: its tasks use the others
};

}  // namespace rims::imapd
