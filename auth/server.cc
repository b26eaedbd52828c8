// auth/server.cc - the dispatcher of rims-auth

#include "auth/server.h"

#include <algorithm>

#include <fmt/core.h>

#include "auth/user_changes.h"
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

constexpr const char* kShadowed =
    "{} is a user of the directory and of the configuration: the one of the configuration is used";
constexpr Milliseconds kPurgePause{3'600'000};
constexpr size_t kPurgeTogether = 1000;

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

Server::Server(Loop& loop, config::AuthPart part, uint32_t workers, std::function<Time()> now,
               Directory* directory)
    : loop_(loop),
      workers_(workers),
      now_(std::move(now)),
      turns_(loop, kHashThreads, kWaitingHashes),
      directory_(directory),
      keep_removed_(part.keep_removed_s),
      attached_(loop),
      pool_(loop, kHashThreads),
      scope_(loop) {
  users_ = std::make_shared<Users>(std::move(part));
  if (!directory_) return;
  for (const std::string& name : shadowed_by(*users_)) log::warn({}, kShadowed, log::quoted(name));
  scope_.spawn(purge_removed());
}

void Server::reload(config::AuthPart part) {
  keep_removed_ = std::chrono::seconds(part.keep_removed_s);
  auto fresh = std::make_shared<Users>(std::move(part));
  auto changed = users_->revoked_by(*fresh);
  for (const std::string& name : shadowed_by(*fresh)) {
    if (users_->takes(names::folded(name).value_or(name))) continue;
    log::warn({}, kShadowed, log::quoted(name));
    changed.emplace_back(name, ipc::Revoked::password);
  }
  if (fresh->end_sessions_on_change() && !changed.empty()) scope_.spawn(revoke(std::move(changed)));
  users_ = std::move(fresh);
  log::info({}, "{} users", users_->size());
}

std::vector<std::string> Server::shadowed_by(const Users& configured) const {
  std::vector<std::string> names;
  if (!directory_) return names;
  for (const std::string& name : configured.account_names()) {
    const auto folded = names::folded(name);
    const users::User* user = folded ? directory_->state().find(*folded) : nullptr;
    if (user && user->removed == 0) names.push_back(user->name.value);
  }
  return names;
}

Server::Subject Server::subject(std::string_view name) const {
  Subject found;
  found.users = users_;
  found.candidate = users_->find(name);
  found.exists = found.candidate.exists;
  if (found.exists) {
    found.account = users_->name_of(found.candidate);
    return found;
  }
  if (!directory_ || directory_->state().size() == 0) return found;
  const auto take = [&found](const users::User& user) {
    found.id = user.id;
    found.hash = user.hash.value.clone();
    found.account = user.name.value;
  };
  const users::State& state = directory_->state();
  if (const users::User* user = state.find(name); user && !user->hash.value.empty()) {
    take(*user);
    found.exists = user->may_log_in();
    return found;
  }
  // One of all users stands in for who does not exist, so the work is that for one who does.
  const uint64_t number = users_->number_of(name);
  if (number % (users_->size() + state.size()) < users_->size()) return found;
  if (const users::User& user = state.any(number); !user.hash.value.empty()) take(user);
  return found;
}

bool Server::outdated(const Subject& subject) const {
  if (subject.id == 0)
    return subject.users != users_ && users_->end_sessions_on_change() &&
           subject.users->revoked(subject.candidate, *users_).has_value();
  const users::User* user = directory_->state().find_id(subject.id);
  return !user || !user->may_log_in() || user->name.value != subject.account ||
         user->hash.value.reveal() != subject.hash.reveal() ||
         users_->takes(names::folded(subject.account).value_or(subject.account));
}

Users::Proof Server::prove_fast(const Subject& subject, std::string_view password) const {
  if (subject.id == 0) {
    Users::Candidate candidate = subject.candidate;
    candidate.exists = subject.exists;
    return subject.users->prove_fast(candidate, password, now_());
  }
  const bool known = proven_.has(subject.id, subject.hash.reveal(), password, now_());
  return known && subject.exists ? Users::Proof::right : Users::Proof::needs_hash;
}

// Takes a turn's time.
Task<bool> Server::matches(const Subject& subject, std::string_view password) {
  const std::string stored = subject.id == 0 ? subject.users->stored_hash(subject.candidate)
                                             : std::string(subject.hash.reveal());
  bool right = false;
  co_await pool_.run([&] { right = password::matches(stored, password); });
  if (!right || !subject.exists) co_return false;
  if (subject.id == 0)
    subject.users->remember(subject.candidate, password, now_());
  else if (const auto lifetime = users_->cache_lifetime(); lifetime.count() != 0)
    proven_.remember(subject.id, stored, password, now_() + lifetime);
  co_return true;
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
  if (role == ipc::Role::imapd && directory_) scope_.spawn(tell_all_quotas(peer));
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
  reply.user =
      users_->recipient(request.recipient.value, directory_ ? &directory_->state() : nullptr);
  reply.exists = !reply.user.value.empty();
  // No answer: who asks takes that for a temporary failure. "No such user" would be for good.
  if (!reply.exists && directory_ && !directory_->known()) co_return;
  if (reply.exists) reply.worker = ipc::home_worker(reply.user.value, workers_);
  (void)co_await peer->link.send(std::move(reply));
}

Task<Server::Proof> Server::prove(Peer& peer, const Subject& subject, std::string name,
                                  const ipc::LoginRequest& request) {
  const auto proven = [](bool right) { return right ? Proof::right : Proof::wrong; };
  if (request.mechanism == ipc::Mechanism::cram_md5) {
    // A user of the directory has only a hash, so the entry of the configuration is a stand-in.
    Users::Candidate candidate = subject.candidate;
    candidate.exists = subject.exists && subject.id == 0;
    co_return proven(
        subject.users->prove_cram_md5(candidate, request.challenge.value, request.digest.value));
  }
  const std::string_view password = request.password.value.reveal();
  const Users::Proof fast = prove_fast(subject, password);
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
  const bool right = co_await matches(subject, password);
  co_return proven(right);
}

void Server::cancel(Peer& peer, uint64_t request) {
  const auto found = peer.places.find(request);
  if (found != peer.places.end()) found->second->leave();
}

// The user directory ------------------------------------------------------------------------------

void Server::attach_admin(ipc::End end) {
  scope_.spawn(administer(
      std::make_shared<ipc::Link>(loop_, std::move(end), "rims-ctl", ipc::kAuthAcceptsFromCtl)));
}

Task<void> Server::administer(SharedLink link) {
  using ipc::UsersMsg;
  using Over = std::vector<std::pair<std::string, ipc::Revoked>>;
  while (true) {
    auto packet = co_await link->receive();
    if (!packet) co_return;
    const std::shared_ptr<Users> users = users_;
    const Configured configured = [users](std::string_view folded) { return users->takes(folded); };
    const uint64_t now = directory_ ? directory_->now() : 0;
    switch (static_cast<UsersMsg>(packet->type)) {
      case UsersMsg::add_user: {
        auto opened = ipc::open_packet<ipc::AddUser>(*link, *packet);
        wipe(packet->body);
        if (!opened) co_return;
        const auto add = std::make_shared<const ipc::AddUser>(std::move(*opened));
        scope_.spawn(change(
            link, add->request,
            [add, now, configured](const users::State& state, uint64_t id) {
              return plan(*add, state, id, now, configured);
            },
            {}, add->user.value));
        break;
      }
      case UsersMsg::edit_user: {
        auto opened = ipc::open_packet<ipc::EditUser>(*link, *packet);
        wipe(packet->body);
        if (!opened) co_return;
        const auto edit = std::make_shared<const ipc::EditUser>(std::move(*opened));
        Over over;
        if (edit->edit == ipc::UserEdit::password)
          over.emplace_back(edit->user.value, ipc::Revoked::password);
        else if (edit->edit == ipc::UserEdit::disable)
          over.emplace_back(edit->user.value, ipc::Revoked::disabled);
        else if (edit->edit == ipc::UserEdit::remove || edit->edit == ipc::UserEdit::purge)
          over.emplace_back(edit->user.value, ipc::Revoked::removed);
        scope_.spawn(change(
            link, edit->request,
            [edit, now, configured](const users::State& state, uint64_t) {
              return plan(*edit, state, now, configured);
            },
            std::move(over), edit->edit == ipc::UserEdit::quota ? edit->user.value : ""));
        break;
      }
      case UsersMsg::edit_domain: {
        auto opened = ipc::open_packet<ipc::EditDomain>(*link, *packet);
        if (!opened) co_return;
        const auto edit = std::make_shared<const ipc::EditDomain>(std::move(*opened));
        scope_.spawn(change(
            link, edit->request,
            [edit](const users::State& state, uint64_t) { return plan(*edit, state); }, {}, ""));
        break;
      }
      case UsersMsg::list_users: {
        auto question = ipc::open_packet<ipc::ListUsers>(*link, *packet);
        if (!question) co_return;
        const bool told = co_await list_users(link, std::move(*question));
        if (!told) co_return;
        break;
      }
      case UsersMsg::list_domains: {
        const auto question = ipc::open_packet<ipc::ListDomains>(*link, *packet);
        if (!question) co_return;
        const bool told = co_await list_domains(link, question->request);
        if (!told) co_return;
        break;
      }
      default:
        co_return;
    }
  }
}

Task<void> Server::change(SharedLink link, uint64_t request, Directory::Plan plan,
                          std::vector<std::pair<std::string, ipc::Revoked>> over,
                          std::string quota_of) {
  ipc::ChangeDone done;
  done.request = request;
  // As the account is called, for the workers; a user who is gone after the change has a name now.
  for (auto& [user, why] : over) {
    const auto folded = names::folded(user);
    const users::User* known = folded && directory_ ? directory_->state().find(*folded) : nullptr;
    if (known) user = known->name.value;
  }
  Status changed = fail(Fault::refused, "there is no user directory");
  if (directory_) changed = co_await directory_->change(std::move(plan));
  if (changed) {
    co_await revoke(std::move(over));
    if (!quota_of.empty()) co_await tell_quota(names::folded(quota_of).value_or(quota_of));
  } else {
    done.outcome = changed.error().fault() == Fault::refused ? ipc::ChangeOutcome::refused
                                                             : ipc::ChangeOutcome::unavailable;
    done.text = changed.error().reply().substr(0, decltype(done.text)::kMax);
  }
  (void)co_await link->send(std::move(done));
}

Task<void> Server::tell_quota(std::string folded) {
  const users::User* user = directory_->state().find(folded);
  if (!user) co_return;
  ipc::UserQuota quota;
  quota.user = user->name.value;
  quota.bytes = user->quota_bytes;
  quota.messages = user->quota_messages;
  // One that is not there is told when it comes.
  const auto home = peers_.find({ipc::Role::imapd, ipc::home_worker(quota.user.value, workers_)});
  if (home == peers_.end()) co_return;
  const PeerPtr worker = home->second;
  (void)co_await worker->link.send(std::move(quota));
}

Task<void> Server::tell_all_quotas(PeerPtr worker) {
  std::string last;
  for (size_t looked = 1;; looked++) {
    constexpr size_t kPiece = 1000;  // before others get a turn
    if (looked % kPiece == 0) co_await sleep_for(loop_, Milliseconds(0));
    const auto& all = directory_->state().names();
    const auto next = all.upper_bound(last);
    if (next == all.end()) co_return;
    last = next->first;
    const users::User& user = *directory_->state().find_id(next->second);
    if (user.quota_bytes == users::kAsConfigured && user.quota_messages == users::kAsConfigured)
      continue;
    if (ipc::home_worker(user.name.value, workers_) != worker->index) continue;
    ipc::UserQuota quota;
    quota.user = user.name.value;
    quota.bytes = user.quota_bytes;
    quota.messages = user.quota_messages;
    const Status sent = co_await worker->link.send(std::move(quota));
    if (!sent) co_return;
  }
}

Task<bool> Server::list_users(SharedLink link, ipc::ListUsers question) {
  const std::string only = names::folded(question.user.value).value_or(question.user.value);
  const std::shared_ptr<Users> users = users_;
  for (const std::string& name : users->account_names()) {
    if (!only.empty() && names::folded(name) != only) continue;
    ipc::UserTold told;
    told.request = question.request;
    told.user = name;
    told.configured = true;
    told.has_password = true;
    const Status sent = co_await link->send(std::move(told));
    if (!sent) co_return false;
  }
  // The directory may change while rims-ctl reads: each step begins at the name of the last one.
  std::string last;
  bool first = true;
  while (directory_) {
    const auto& all = directory_->state().names();
    const auto next = !only.empty() ? all.find(only) : first ? all.begin() : all.upper_bound(last);
    if (next == all.end() || (!first && !only.empty())) break;
    first = false;
    last = next->first;
    const users::User& user = *directory_->state().find_id(next->second);
    ipc::UserTold told;
    told.request = question.request;
    told.user = user.name.value;
    told.shadowed = users->takes(last);
    told.has_password = !user.hash.value.empty();
    if (question.with_hashes) told.hash.value = user.hash.value.clone();
    told.disabled = user.disabled;
    told.quota_bytes = user.quota_bytes;
    told.quota_messages = user.quota_messages;
    told.created = user.created;
    told.removed = user.removed;
    told.addresses.value = user.addresses.value;
    const Status sent = co_await link->send(std::move(told));
    if (!sent) co_return false;
  }
  ipc::ChangeDone done;
  done.request = question.request;
  if (directory_ && !directory_->known()) {
    done.outcome = ipc::ChangeOutcome::unavailable;
    done.text = "the user directory can not be read now; the log says why";
  }
  const Status sent = co_await link->send(std::move(done));
  co_return sent.has_value();
}

Task<bool> Server::list_domains(SharedLink link, uint64_t request) {
  std::string last;
  while (directory_) {
    const auto& all = directory_->state().domains();
    const auto next = all.upper_bound(last);
    if (next == all.end()) break;
    last = next->first;
    ipc::DomainTold told;
    told.request = request;
    told.domain = next->first;
    told.alias_of = next->second.alias_of.value;
    if (const users::User* user = directory_->state().find_id(next->second.catch_all))
      told.catch_all = user->name.value;
    const Status sent = co_await link->send(std::move(told));
    if (!sent) co_return false;
  }
  ipc::ChangeDone done;
  done.request = request;
  const Status sent = co_await link->send(std::move(done));
  co_return sent.has_value();
}

Task<void> Server::purge_removed() {
  while (true) {
    const uint64_t now = directory_->now(), kept = static_cast<uint64_t>(keep_removed_.count());
    const uint64_t until = now > kept ? now - kept : 0;
    while (directory_->known() &&
           !plan_purge(directory_->state(), until, kPurgeTogether).records.empty()) {
      const Status purged =
          co_await directory_->change([until](const users::State& state, uint64_t) {
            return Result<Directory::Planned>(plan_purge(state, until, kPurgeTogether));
          });
      if (!purged) break;
    }
    co_await sleep_for(loop_, kPurgePause);
  }
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

Task<Server::Granted> Server::grant(const Subject& subject, uint64_t request) {
  const std::string& user = subject.account;
  ipc::LoginReply reply;
  reply.request = request;
  reply.verdict = ipc::Verdict::try_later;
  const uint32_t worker = ipc::home_worker(user, workers_);
  const PeerPtr home = co_await home_of(worker);
  constexpr const char* kNoWorker = "login postponed, its rims-imapd is not connected";
  if (!home) co_return Granted{std::move(reply), kNoWorker};
  // A change came while the password was checked. No waiting from here to the ticket.
  if (outdated(subject))
    co_return Granted{std::move(reply), "login postponed, its user was changed meanwhile"};
  const Secret secret(random_bytes(ipc::kTicketSize));
  ipc::Ticket ticket;
  ticket.ticket.value = secret.clone();
  ticket.user = user;
  ticket.post_only = subject.id == 0 && subject.users->is_delivery_user(subject.candidate);
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

  // What is no name is looked up, too: it finds the stand-in of a missing user.
  Subject whom = subject(name);
  const std::shared_ptr<Users> users = whom.users;
  if (!whom.exists && directory_ && !directory_->known()) {
    log_attempt(request, "login postponed, the user directory can not be read", false);
    ipc::LoginReply reply;
    reply.request = request.request;
    reply.verdict = ipc::Verdict::try_later;
    (void)co_await peer->link.send(std::move(reply));
    co_return;
  }
  // RFC 4616 §2: acting as another user is not supported.
  const bool other =
      !request.authzid.value.empty() && names::folded(request.authzid.value) != folded;
  if (!folded || other || request.impossible) whom.exists = false;

  const Proof proof = co_await prove(*peer, whom, name, request);
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
      Granted granted = co_await grant(whom, request.request);
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
