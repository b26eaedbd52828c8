// imapd/worker/worker.cc - links, tickets and handovers, the end

#include "imapd/worker/worker.h"

#include <algorithm>
#include <ctime>
#include <utility>

#include "common/base/log.h"
#include "common/ipc/session_link.h"

namespace rims::imapd {
namespace {

constexpr const char* kDeliverd = "rims-deliverd";
// How long rims-deliverd and the account's worker may take for a message of the delivery user.
constexpr Milliseconds kSubmitLimit{300'000};

// How long clients and deliveries have to come to an end when the process stops.
constexpr Milliseconds kStopLimit{4'000};

store::Annotations server_entries_of(const config::ImapdPart& settings) {
  store::Annotations entries;
  for (const auto& entry : settings.server_entries.value)
    entries[entry.name.value] = entry.value.value;
  return entries;
}

}  // namespace

Worker::Worker(Loop& loop, IoPool& pool, store::Store& store, const config::ImapdPart& settings,
               Protocol protocol)
    : loop_(loop),
      settings_(settings),
      capabilities_disabled_(config::texts(settings.capabilities_disabled)),
      server_entries_(server_entries_of(settings)),
      protocol_(protocol),
      accounts_(pool, store, settings_),
      sessions_(loop),
      deliveries_(loop, accounts_, settings_),
      deliverd_(loop, kDeliverd),
      links_(loop),
      clients_(loop),
      administration_(loop, sessions_, [this](Sessions::Number number) {
        if (const auto task = tasks_.find(number); task != tasks_.end())
          clients_.cancel(task->second);
      }) {}

Worker::~Worker() = default;

void Worker::reload(const config::ImapdPart& settings) {
  settings_ = settings;
  capabilities_disabled_ = config::texts(settings.capabilities_disabled);
  const auto before = std::exchange(server_entries_, server_entries_of(settings_));
  std::vector<std::string> changed;
  for (const auto& [name, value] : before) {
    if (!server_entries_.contains(name)) changed.push_back(name);
  }
  for (const auto& [name, value] : server_entries_) {
    const auto old = before.find(name);
    if (old == before.end() || old->second != value) changed.push_back(name);
  }
  if (!changed.empty()) sessions_.tell_all_of_server_entries(changed);
}

// ---------------------------------------------------------------- links

void Worker::replace(SharedLink& slot, SharedLink link) {
  if (slot) slot->close();  // its coroutine sees the end and leaves
  slot = std::move(link);
}

void Worker::attach_auth(ipc::End end) {
  replace(auth_, std::make_shared<ipc::Link>(loop_, std::move(end), "rims-auth",
                                             ipc::kImapdAcceptsFromAuth));
  links_.spawn(serve_auth(auth_));
}

void Worker::attach_login(uint32_t index, ipc::End end) {
  SharedLink& slot = logins_[index];
  replace(slot, std::make_shared<ipc::Link>(loop_, std::move(end), "rims-login",
                                            ipc::kImapdAcceptsFromLogin));
  links_.spawn(serve_login(slot, index));
}

void Worker::attach_deliverd(ipc::End end) {
  const auto link =
      std::make_shared<ipc::Link>(loop_, std::move(end), kDeliverd, ipc::kImapdAcceptsFromDeliverd);
  deliverd_.replace(link);
  links_.spawn(serve_deliverd(link));
}

Task<void> Worker::serve_auth(SharedLink link) {
  while (true) {
    auto packet = co_await link->receive();
    if (!packet) break;
    take_word_of_auth(*link, *packet);
  }
}

void Worker::take_word_of_auth(ipc::Link& link, const ipc::Packet& packet) {
  if (packet.type == static_cast<uint16_t>(ipc::AuthMsg::revoke)) {
    const auto revoke = ipc::open_packet<ipc::Revoke>(link, packet);
    if (!revoke) return;
    tickets_.revoke(revoke->user.value);
    administration_.revoke(revoke->user.value, revoke->why);
    return;
  }
  if (packet.type == static_cast<uint16_t>(ipc::AuthMsg::user_quota)) {
    const auto quota = ipc::open_packet<ipc::UserQuota>(link, packet);
    if (quota) accounts_.set_quota(*quota);
    return;
  }
  const auto ticket = ipc::open_packet<ipc::Ticket>(link, packet);
  if (ticket) tickets_.add(*ticket, Loop::now());
}

// What rims-auth sent and nobody has read yet.
void Worker::drain_auth() {
  while (auth_ && auth_->open()) {
    auto packet = auth_->receive_now();
    if (!packet || !*packet) return;
    take_word_of_auth(*auth_, **packet);
  }
}

Task<void> Worker::serve_login(SharedLink link, uint32_t index) {
  while (true) {
    auto packet = co_await link->receive();
    if (!packet) break;
    take_handover(*link, std::move(*packet), index);
  }
}

void Worker::take_handover(ipc::Link& link, ipc::Packet packet, uint32_t index) {
  auto handover = ipc::open_packet<ipc::Handover>(link, packet);
  if (!handover) return;
  const std::string& tag = handover->tag.value;
  if (!protocol_.is_tag(tag)) {
    link.breach("a handover with a tag that is none");
    return;
  }
  if (stopping_) return;            // the socket closes with the packet
  if (!packet.fds.front()) return;  // no room for it: it is closed already
  auto grant = tickets_.take(handover->ticket.value.reveal(), Loop::now());
  if (!grant) {
    // rims-auth sends the ticket to us before it tells rims-login, so it is here by now.
    drain_auth();
    grant = tickets_.take(handover->ticket.value.reveal(), Loop::now());
  }
  if (!grant) {
    log::warn(handover->session.value,
              "a client was handed over with a ticket that is unknown, used or too old; refused");
    return;
  }
  start_session({.socket = std::move(packet.fds.front()),
                 .user = std::move(grant->user),
                 .post_only = grant->post_only,
                 .tag = tag,
                 .unread = std::move(handover->unread.value),
                 .address = std::move(handover->client_address.value),
                 .over_tls = handover->over_tls,
                 .id = std::move(handover->session.value),
                 .client = std::move(handover->client.value),
                 .login = index});
}

// ---------------------------------------------------------------- deliveries

Task<void> Worker::serve_deliverd(SharedLink link) {
  while (true) {
    auto packet = co_await link->receive();
    if (!packet) break;
    if (packet->type == static_cast<uint16_t>(ipc::DeliverMsg::submit_reply)) {
      auto reply = ipc::open_packet<ipc::SubmitReply>(*link, *packet);
      if (!reply) break;
      deliverd_.answer(link, *std::move(reply));
      continue;
    }
    co_await deliveries_.turn();
    links_.spawn(serve_delivery(link, std::move(*packet)));
  }
  deliverd_.lose(link);
}

Task<void> Worker::serve_delivery(SharedLink link, ipc::Packet packet) {
  auto order = ipc::open_packet<ipc::Deliver>(*link, packet);
  if (!order) co_return;
  drain_auth();  // the user's quota may have changed
  ipc::DeliverReply reply = co_await deliver(std::move(*order), std::move(packet.fds.front()));
  const Status sent = co_await link->send(std::move(reply));
  if (!sent) log::warn({}, "a delivery could not be answered: {}", sent.error().detail());
}

Task<ipc::DeliverReply> Worker::deliver(ipc::Deliver order, Fd message) {
  return deliveries_.deliver(std::move(order), std::move(message));
}

// ---------------------------------------------------------------- sessions

void Worker::start_session(Client client) {
  const Sessions::Number number = sessions_.next();
  const uint64_t task = clients_.spawn(serve_session(number, std::move(client)));
  if (sessions_.find(number)) tasks_.emplace(number, task);
}

Task<void> Worker::serve_session(Sessions::Number number, Client client) {
  Sessions::Facts facts{.user = client.user,
                        .id = client.id,
                        .address = client.address,
                        .client = client.client,
                        .over_tls = client.over_tls,
                        .since = Loop::now(),
                        .began = static_cast<uint64_t>(std::time(nullptr))};
  struct Forgotten {
    Worker& worker;
    const Sessions::Number number;
    ~Forgotten() { worker.tasks_.erase(number); }
  };
  const Forgotten forgotten{*this, number};
  const auto session = protocol_.make(*this, std::move(client));
  const Sessions::Entry entry(sessions_, number, *session, std::move(facts));
  co_await session->run();
}

SessionLimits Worker::limits() const {
  return {.line_bytes = settings_.line_size_max,
          .message_bytes = settings_.message_size_max,
          .annotation_bytes = settings_.metadata_value_max,
          .messages_per_command = settings_.messages_per_command_max,
          .messages_per_save = settings_.messages_per_save_max,
          .inactivity = Milliseconds(int64_t{settings_.inactivity_timeout_s} * 1000),
          .progress = Milliseconds(settings_.progress_interval_ms),
          .idle_notify = Milliseconds(int64_t{settings_.idle_notify_interval_s} * 1000)};
}

Status Worker::admit(const Client& client) {
  const uint32_t limit = settings_.sessions_per_user_max;
  if (client.post_only || limit == 0 || sessions_.count_of(client.user) <= limit) return {};
  log::warn(client.id, "{} has {} sessions already; this one is refused", log::quoted(client.user),
            limit);
  return fail(Fault::limit, "too many sessions of this user", {}, "LIMIT");
}

Task<Result<std::shared_ptr<store::Account>>> Worker::open_account(std::string user) {
  return accounts_.open(std::move(user));
}

Task<Status> Worker::room_for(uint64_t bytes) { return accounts_.room_for(bytes); }

Task<void> Worker::work_on(std::string_view message, std::function<void()> work) {
  return accounts_.work_on(message, std::move(work));
}

Task<void> Worker::work_apart(std::function<void()> work) {
  return accounts_.work_apart(std::move(work));
}

Task<std::string> Worker::make_structure(std::string_view message) {
  return accounts_.make_structure(message);
}

Task<Status> Worker::give_back(Fd socket, const Client& client, std::string tag,
                               std::string_view unread) {
  const auto found = logins_.find(client.login);
  const SharedLink link = found == logins_.end() ? nullptr : found->second;
  if (stopping_ || !link || !link->open())
    co_return fail(Fault::refused, "not possible now", "rims-login is not connected",
                   "UNAVAILABLE");
  ipc::Returned message;
  message.tag = std::move(tag);
  message.unread = unread;
  message.session = client.id;
  if (!message.unread.within())
    co_return fail(Fault::limit, "too much was sent behind the command", {}, "LIMIT");
  std::vector<Fd> fds;
  fds.push_back(std::move(socket));
  const Status sent = co_await link->send(std::move(message), std::move(fds));
  if (!sent)
    co_return fail(Fault::refused, "not possible now", sent.error().detail(), "UNAVAILABLE");
  co_return Status();
}

Task<Result<ipc::SubmitReply>> Worker::submit(ipc::Submit order, Fd message) {
  std::vector<Fd> fds;
  fds.push_back(std::move(message));
  auto reply =
      co_await deliverd_.ask(std::move(order), std::move(fds), Milliseconds(0), kSubmitLimit);
  // The client did nothing wrong and stays.
  if (!reply)
    co_return fail(Fault::storage, "delivery is not possible now", reply.error().detail());
  co_return *std::move(reply);
}

// ---------------------------------------------------------------- the end

Task<void> Worker::stop() {
  stopping_ = true;
  co_await administration_.stop();
  deliveries_.refuse();
  sessions_.stop_all("the server is shutting down");
  const auto until = Loop::now() + kStopLimit;
  const auto left = [&] {
    return std::max(Milliseconds(0), std::chrono::duration_cast<Milliseconds>(until - Loop::now()));
  };
  const bool all_said = co_await sessions_.ended(left());
  if (!all_said) log::warn({}, "{} sessions did not end in time and are cut", sessions_.count());
  co_await deliveries_.ended(left());
  clients_.cancel_all();
  co_await clients_.join();
  // Replies of deliveries are on their way out before the links go.
  replace(auth_, nullptr);
  deliverd_.replace(nullptr);
  for (auto& [index, link] : logins_) replace(link, nullptr);
  links_.cancel_all();
  co_await links_.join();
  co_await accounts_.close_all();
}

}  // namespace rims::imapd
