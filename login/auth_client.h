// login/auth_client.h - asking rims-auth, over a link that may be replaced at any time
#pragma once

#include <cstdint>
#include <memory>
#include <unordered_map>

#include "common/async/event.h"
#include "common/async/scope.h"
#include "common/ipc/auth_link.h"
#include "common/ipc/link.h"
#include "common/ipc/roles.h"

namespace rims::login {

class AuthClient {
 public:
  // rims-auth answers within seconds; a process that hangs is as good as dead.
  static constexpr Milliseconds kReplyLimit{30'000};
  // A restart takes less. Many clients take a NO for a wrong password and ask their user for
  // another one, so it is worth waiting.
  static constexpr Milliseconds kAttachLimit{2000};

  explicit AuthClient(Loop& loop) : loop_(loop), attached_(loop), scope_(loop) {}
  AuthClient(const AuthClient&) = delete;
  AuthClient& operator=(const AuthClient&) = delete;

  // Requests on the link before this one are lost.
  void attach(Fd fd);
  // The request's number is set here. Waits a little for a rims-auth that is away. Error:
  // peer_gone with code UNAVAILABLE when it stays or goes away; the client may try again.
  Task<Result<ipc::LoginReply>> ask(ipc::LoginRequest request);

 private:
  struct Pending;
  // Owned here, by its reader and by those who send on it.
  using LinkPtr = std::shared_ptr<ipc::Link>;
  Task<void> serve(LinkPtr link);

  Loop& loop_;
  LinkPtr link_;
  Event attached_;
  uint64_t next_ = 1;
  std::unordered_map<uint64_t, Pending*> pending_;
  Scope scope_;  // last: its tasks use all of the above
};

}  // namespace rims::login
