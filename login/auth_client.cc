// login/auth_client.cc - the one link of rims-login to rims-auth

#include "login/auth_client.h"

#include "common/ipc/roles.h"

namespace rims::login {

AuthClient::AuthClient(Loop& loop)
    : loop_(loop), peer_(loop, ipc::role_name(ipc::Role::auth)), scope_(loop) {
  peer_.on_given_up([this](AuthPeer::SharedLink link, uint64_t request) {
    scope_.spawn(cancel(std::move(link), request));
  });
}

// If rims-auth has not begun with it, it need not.
Task<void> AuthClient::cancel(AuthPeer::SharedLink link, uint64_t request) {
  (void)co_await link->send(ipc::LoginCancel{.request = request});
}

void AuthClient::attach(ipc::End end) {
  const auto link = std::make_shared<ipc::Link>(
      loop_, std::move(end), ipc::role_name(ipc::Role::auth), ipc::kLoginAcceptsFromAuth);
  peer_.replace(link);
  scope_.spawn(peer_.read(link));
}

Task<Result<ipc::LoginReply>> AuthClient::ask(ipc::LoginRequest request) {
  return peer_.ask(std::move(request), std::vector<Fd>(), kAttachLimit, kReplyLimit);
}

}  // namespace rims::login
