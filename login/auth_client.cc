// login/auth_client.cc - replies find their requests by number

#include "login/auth_client.h"

#include "common/base/log.h"

namespace rims::login {
namespace {

std::unexpected<Error> unavailable(const char* why) {
  return fail(Fault::peer_gone, "try again later", why, "UNAVAILABLE");
}

}  // namespace

// Lives in the frame of ask(), in the table as long as that frame.
struct AuthClient::Pending {
  AuthClient& client;
  uint64_t number;
  const ipc::Link* link;
  Event done;
  std::optional<ipc::LoginReply> reply;
  Pending(AuthClient& c, const ipc::Link* l)
      : client(c), number(c.next_++), link(l), done(c.loop_) {
    client.pending_.emplace(number, this);
  }
  Pending(const Pending&) = delete;
  Pending& operator=(const Pending&) = delete;
  ~Pending() { client.pending_.erase(number); }
};

void AuthClient::attach(Fd fd) {
  if (link_) link_->close();
  link_ = std::make_shared<ipc::Link>(loop_, std::move(fd), ipc::role_name(ipc::Role::auth),
                                      ipc::kLoginAcceptsFromAuth);
  scope_.spawn(serve(link_));
  attached_.set();
}

Task<void> AuthClient::serve(LinkPtr link) {
  while (true) {
    auto packet = co_await link->receive();
    if (!packet) break;
    auto reply = ipc::open_packet<ipc::LoginReply>(*link, *packet);
    wipe(packet->body);
    if (!reply) break;
    // A reply that nobody waits for belongs to a client that left.
    const auto found = pending_.find(reply->request);
    if (found == pending_.end() || found->second->link != link.get()) continue;
    found->second->reply = std::move(*reply);
    found->second->done.set();
  }
  for (const auto& [number, pending] : pending_)
    if (pending->link == link.get()) pending->done.set();
}

Task<Result<ipc::LoginReply>> AuthClient::ask(ipc::LoginRequest request) {
  if (!link_ || !link_->open()) {
    attached_.clear();
    (void)co_await attached_.wait(kAttachLimit);
  }
  const LinkPtr link = link_;
  if (!link || !link->open()) co_return unavailable("rims-auth is away");
  Pending pending(*this, link.get());
  request.request = pending.number;
  const auto sent = co_await link->send(std::move(request));
  if (!sent) co_return unavailable("rims-auth went away");
  const bool answered = co_await pending.done.wait(kReplyLimit);
  if (!answered) co_return unavailable("rims-auth does not answer");
  if (!pending.reply) co_return unavailable("rims-auth went away");
  co_return std::move(*pending.reply);
}

}  // namespace rims::login
