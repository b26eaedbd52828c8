// login/auth_client.h - asking rims-auth, over a link that may be replaced at any time
#pragma once

#include "common/async/scope.h"
#include "common/ipc/auth_link.h"
#include "common/ipc/peer.h"

namespace rims::login {

class AuthClient {
 public:
  // rims-auth answers within seconds; after this limit it is considered dead.
  static constexpr Milliseconds kReplyLimit{30'000};
  // A restart takes less. Many clients treat any NO as a wrong password and ask their user for
  // another one, so waiting is better.
  static constexpr Milliseconds kAttachLimit{2000};

  explicit AuthClient(Loop& loop);
  AuthClient(const AuthClient&) = delete;
  AuthClient& operator=(const AuthClient&) = delete;

  // Requests on the link before this one are lost.
  void attach(ipc::End end);
  // The request's number is set here. Waits a little for a rims-auth that is not connected. Error:
  // peer_gone or timeout with code UNAVAILABLE; the client may try again.
  Task<Result<ipc::LoginReply>> ask(ipc::LoginRequest request);

 private:
  using AuthPeer = ipc::Peer<ipc::LoginReply>;
  Task<void> cancel(AuthPeer::SharedLink link, uint64_t request);

  Loop& loop_;
  AuthPeer peer_;
  Scope scope_;  // last: its tasks use all of the above
};

}  // namespace rims::login
