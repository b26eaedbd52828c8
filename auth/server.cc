// auth/server.cc - the dispatcher of rims-auth

#include "auth/server.h"

#include <algorithm>

#include <fmt/core.h>

#include "common/base/encoding.h"
#include "common/base/log.h"
#include "common/names/names.h"
#include "common/password/password.h"

namespace rims::auth {
namespace {

std::span<const ipc::Accepts> accepted_from(ipc::Role role) {
  if (role == ipc::Role::login) return ipc::kAuthAcceptsFromLogin;
  if (role == ipc::Role::deliverd) return ipc::kAuthAcceptsFromDeliverd;
  return ipc::kAuthAcceptsFromImapd;
}

const char* name_of(ipc::Mechanism mechanism) {
  switch (mechanism) {
    case ipc::Mechanism::login:
      return "LOGIN";
    case ipc::Mechanism::plain:
      return "PLAIN";
    case ipc::Mechanism::cram_md5:
      return "CRAM-MD5";
  }
  return "?";
}

}  // namespace

Server::Peer::Peer(Loop& loop, ipc::End end, ipc::Role role_of, uint32_t index_of,
                   std::span<const ipc::Accepts> accepts)
    : link(loop, std::move(end),
           std::string(ipc::role_name(role_of)) + " " + std::to_string(index_of), accepts),
      role(role_of),
      index(index_of),
      room(loop) {}

// One request of a peer, counted until it is answered or cancelled.
struct Server::Counted {
  PeerPtr peer;
  explicit Counted(PeerPtr p) : peer(std::move(p)) { peer->pending++; }
  Counted(const Counted&) = delete;
  Counted& operator=(const Counted&) = delete;
  ~Counted() {
    peer->pending--;
    peer->room.set();
  }
};

Server::Server(Loop& loop, config::AuthPart part, uint32_t workers, std::function<Time()> now)
    : loop_(loop),
      workers_(workers),
      now_(std::move(now)),
      users_(std::make_shared<Users>(std::move(part))),
      turns_(loop, kHashThreads, kWaitingHashes),
      attached_(loop),
      pool_(loop, kHashThreads),
      scope_(loop) {}

void Server::reload(config::AuthPart part) {
  auto fresh = std::make_shared<Users>(std::move(part));
  if (fresh->end_sessions_on_change())
    if (auto changed = users_->revoked_by(*fresh); !changed.empty())
      scope_.spawn(revoke(std::move(changed)));
  users_ = std::move(fresh);
  log::info({}, "{} users", users_->size());
}

Task<void> Server::revoke(std::vector<std::pair<std::string, ipc::Revoked>> users) {
  constexpr int kTries = 3;  // a link may be lost while it is used
  for (const auto& [user, why] : users) {
    bool told = false;
    for (int i = 0; i < kTries && !told; i++) {
      const PeerPtr home = co_await home_of(ipc::home_worker(user, workers_));
      if (!home) break;
      ipc::Revoke message;
      message.user = user;
      message.why = why;
      told = (co_await home->link.send(std::move(message))).has_value();
    }
    if (!told)
      log::error({},
                 "the sessions of {} could not be ended, as its rims-imapd is not connected; "
                 "\"rims-ctl kick\" ends them",
                 log::quoted(user));
  }
}

void Server::attach(ipc::Role role, uint32_t index, ipc::End end) {
  auto peer = std::make_shared<Peer>(loop_, std::move(end), role, index, accepted_from(role));
  PeerPtr& place = peers_[{role, index}];
  if (place) place->link.close();
  place = peer;
  attached_.set();
  if (role == ipc::Role::login || role == ipc::Role::deliverd)
    scope_.spawn(serve(std::move(peer)));
  else
    scope_.spawn(drain(std::move(peer)));
}

Task<void> Server::drain(PeerPtr peer) {
  while (true) {
    const auto packet = co_await peer->link.receive();
    if (packet) continue;
    peer->link.close();
    co_return;
  }
}

Task<void> Server::serve(PeerPtr peer) {
  while (true) {
    while (peer->pending >= kPendingPerLink) {
      peer->room.clear();
      co_await peer->room.wait();
    }
    auto packet = co_await peer->link.receive();
    if (!packet) co_return;
    if (packet->type == static_cast<uint16_t>(ipc::AuthMsg::login_cancel)) {
      const auto cancelled = ipc::open_packet<ipc::LoginCancel>(peer->link, *packet);
      if (!cancelled) co_return;
      cancel(*peer, cancelled->request);
    } else if (peer->role == ipc::Role::login) {
      auto request = ipc::open_packet<ipc::LoginRequest>(peer->link, *packet);
      wipe(packet->body);
      if (!request) co_return;
      scope_.spawn(login(peer, std::move(*request)));
    } else {
      auto request = ipc::open_packet<ipc::UserQuery>(peer->link, *packet);
      if (!request) co_return;
      scope_.spawn(query(peer, std::move(*request)));
    }
  }
}

Task<void> Server::query(PeerPtr peer, ipc::UserQuery request) {
  const Counted counted(peer);
  ipc::UserReply reply;
  reply.request = request.request;
  reply.user = users_->recipient(request.recipient.value);
  reply.exists = !reply.user.value.empty();
  if (reply.exists) reply.worker = ipc::home_worker(reply.user.value, workers_);
  (void)co_await peer->link.send(std::move(reply));
}

Task<Server::Proof> Server::prove(Peer& peer, Users::Candidate candidate, std::string name,
                                  const ipc::LoginRequest& request) {
  const auto proven = [](bool right) { return right ? Proof::right : Proof::wrong; };
  const std::shared_ptr<Users> users = users_;
  if (request.mechanism == ipc::Mechanism::cram_md5)
    co_return proven(
        users->prove_cram_md5(candidate, request.challenge.value, request.digest.value));
  const std::string_view password = request.password.value.reveal();
  const Users::Proof fast = users->prove_fast(candidate, password, now_());
  if (fast != Users::Proof::needs_hash) co_return proven(fast == Users::Proof::right);

  const std::string network = network_of(request.client_address.value);
  Turns::Place place(turns_,
                     {.link = peer.index,
                      .network = network,
                      .name = std::move(name),
                      .cost = std::min(kMostCost, 1 + networks_.failures(network, now_()))});
  struct Listed {  // so that cancel() finds it
    Peer& peer;
    const uint64_t number;
    Turns::Place& place;
    Listed(Peer& p, uint64_t n, Turns::Place& pl) : peer(p), number(n), place(pl) {
      peer.places.emplace(number, &place);
    }
    Listed(const Listed&) = delete;
    Listed& operator=(const Listed&) = delete;
    ~Listed() {
      const auto found = peer.places.find(number);
      if (found != peer.places.end() && found->second == &place) peer.places.erase(found);
    }
  };
  const Listed listed(peer, request.request, place);
  co_await place.wait();
  if (place.state() == Turns::State::refused) co_return Proof::too_many;
  if (place.state() == Turns::State::left) co_return Proof::left;
  const std::string stored = users->stored_hash(candidate);
  bool right = false;
  co_await pool_.run([&] { right = password::matches(stored, password); });
  right = right && candidate.exists;
  if (right) users->remember(candidate, password, now_());
  co_return proven(right);
}

void Server::cancel(Peer& peer, uint64_t request) {
  const auto found = peer.places.find(request);
  if (found != peer.places.end()) found->second->leave();
}

Task<Server::PeerPtr> Server::home_of(uint32_t worker) {
  const auto deadline = Loop::now() + kWorkerLimit;
  while (true) {
    const auto found = peers_.find({ipc::Role::imapd, worker});
    if (found != peers_.end() && found->second->link.open()) co_return found->second;
    const auto left = std::chrono::ceil<Milliseconds>(deadline - Loop::now());
    if (left.count() <= 0) co_return nullptr;
    attached_.clear();
    (void)co_await attached_.wait(left);
  }
}

Task<Server::Granted> Server::grant(const Users& users, Users::Candidate candidate,
                                    uint64_t request) {
  const std::string& user = users.name_of(candidate);
  ipc::LoginReply reply;
  reply.request = request;
  reply.verdict = ipc::Verdict::try_later;
  const uint32_t worker = ipc::home_worker(user, workers_);
  const PeerPtr home = co_await home_of(worker);
  constexpr const char* kNoWorker = "login postponed, its rims-imapd is not connected";
  if (!home) co_return Granted{std::move(reply), kNoWorker};
  // A reload came while the password was checked. No waiting from here to the ticket.
  if (&users != users_.get() && users_->end_sessions_on_change() &&
      users.revoked(candidate, *users_))
    co_return Granted{std::move(reply), "login postponed, its user was changed meanwhile"};
  const Secret secret(random_bytes(ipc::kTicketSize));
  ipc::Ticket ticket;
  ticket.ticket.value = secret.clone();
  ticket.user = user;
  ticket.post_only = users.is_delivery_user(candidate);
  const auto sent = co_await home->link.send(std::move(ticket));
  if (!sent) co_return Granted{std::move(reply), kNoWorker};
  reply.verdict = ipc::Verdict::granted;
  reply.worker = worker;
  reply.ticket.value = secret.clone();
  co_return Granted{std::move(reply), "login"};
}

void Server::log_attempt(const ipc::LoginRequest& request, std::string_view outcome, bool granted) {
  // etc/fail2ban reads these lines. The only field that a client fills is in quotes, and the last.
  const std::string text =
      fmt::format("{}: method={} address={} tls={} user={}", outcome, name_of(request.mechanism),
                  request.client_address.value, request.over_tls ? "yes" : "no",
                  log::quoted(request.user.value));
  if (granted)
    log::info({}, "{}", text);
  else
    log::warn({}, "{}", text);
}

Task<void> Server::login(PeerPtr peer, ipc::LoginRequest request) {
  const Counted counted(peer);
  const std::string address = penalty_key(request.client_address.value);
  const bool local = is_loopback(request.client_address.value);
  const auto folded = names::folded(request.user.value);
  const std::string name = folded.value_or(request.user.value);
  const std::string pair = address + '\0' + name;

  if (const auto gate = local
                            ? Penalties::Duration(0)
                            : std::max(addresses_.gate(address, now_()), pairs_.gate(pair, now_()));
      gate.count() > 0) {
    log_attempt(request, "login refused, too many failures of the address", false);
    ipc::LoginReply reply;
    reply.request = request.request;
    reply.verdict = ipc::Verdict::try_later;
    reply.delay_ms = static_cast<uint32_t>(gate.count());
    (void)co_await peer->link.send(std::move(reply));
    co_return;
  }

  const std::shared_ptr<Users> users = users_;
  // What is no name is looked up, too: it finds the stand-in of a missing user.
  Users::Candidate candidate = users->find(name);
  // RFC 4616 §2: acting as another user is not supported.
  const bool other =
      !request.authzid.value.empty() && names::folded(request.authzid.value) != folded;
  if (!folded || other || request.impossible) candidate.exists = false;

  const Proof proof = co_await prove(*peer, candidate, name, request);
  ipc::LoginReply reply;
  reply.request = request.request;
  switch (proof) {
    case Proof::left:
      log_attempt(request, "login given up by the client while it waited", false);
      co_return;  // nobody waits for the answer
    case Proof::too_many:
      log_attempt(request, "login postponed, too many are waiting", false);
      reply.verdict = ipc::Verdict::try_later;
      break;
    case Proof::right: {
      Granted granted = co_await grant(*users, candidate, request.request);
      pairs_.forgive(pair);
      reply = std::move(granted.reply);
      log_attempt(request, granted.outcome, reply.verdict == ipc::Verdict::granted);
      break;
    }
    case Proof::wrong: {
      const auto first = Penalties::Duration(users->delay_first_ms());
      const auto most = Penalties::Duration(users->delay_max_ms());
      // A name of any length can be counted, as the tables keep only hashes.
      auto delay = names_.failed(name, now_(), first, most);
      if (!local) {
        if (pairs_.failures(pair, now_()) == 0)
          delay = std::max(delay, addresses_.failed(address, now_(), first, most));
        delay = std::max(delay, pairs_.failed(pair, now_(), first, most));
      }
      (void)networks_.failed(network_of(request.client_address.value), now_(), first, most);
      reply.verdict = ipc::Verdict::denied;
      reply.delay_ms = static_cast<uint32_t>(std::min(most, delay).count());
      log_attempt(request, "login failed", false);
      break;
    }
  }
  (void)co_await peer->link.send(std::move(reply));
}

}  // namespace rims::auth
