// login/server.cc - connections, from accept(2) to their end

#include "login/server.h"

#include <algorithm>
#include <arpa/inet.h>
#include <cerrno>
#include <cstring>
#include <ctime>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include "common/base/errno_text.h"
#include "common/base/log.h"
#include "common/imap/parser.h"
#include "login/proxy.h"
#include "login/request.h"

namespace rims::login {
namespace {

using namespace std::chrono_literals;

// One wake-up accepts at most this many, so that connected clients are served in between.
constexpr int kAcceptsAtOnce = 32;

std::unexpected<Error> unavailable(std::string why) {
  return fail(Fault::peer_gone, "try again later", std::move(why), "UNAVAILABLE");
}

// Failures only cost speed; a test's socket pair has no such options.
void tune(int fd) {
  const int on = 1;
  (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  // Home routers forget a connection that is silent for some minutes.
  const int idle = 120, between = 30, count = 4;  // seconds, seconds, lost answers
  (void)setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
  (void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof idle);
  (void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &between, sizeof between);
  (void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &count, sizeof count);
}

}  // namespace

static_assert(ipc::kMaxClientAddress == INET6_ADDRSTRLEN - 1);
static_assert(ipc::kMaxTag == imap::kMaxTag);

ClientAddress address_of(const sockaddr_storage& from) {
  ClientAddress out;
  char text[INET6_ADDRSTRLEN] = {};
  if (from.ss_family == AF_INET) {
    sockaddr_in four{};
    std::memcpy(&four, &from, sizeof four);
    inet_ntop(AF_INET, &four.sin_addr, text, sizeof text);
    out.loopback = ntohl(four.sin_addr.s_addr) >> 24 == 127;
    out.text = out.group = text;
  } else if (from.ss_family == AF_INET6) {
    sockaddr_in6 six{};
    std::memcpy(&six, &from, sizeof six);
    const uint8_t* bytes = six.sin6_addr.s6_addr;
    if (IN6_IS_ADDR_V4MAPPED(&six.sin6_addr)) {
      inet_ntop(AF_INET, bytes + 12, text, sizeof text);
      out.loopback = bytes[12] == 127;
      out.text = out.group = text;
    } else {
      inet_ntop(AF_INET6, &six.sin6_addr, text, sizeof text);
      out.loopback = IN6_IS_ADDR_LOOPBACK(&six.sin6_addr);
      out.text = text;
      out.group = "6:" + std::string(reinterpret_cast<const char*>(bytes), 8);
    }
  }
  return out;
}

// A connection, counted from accept(2) to the end of its task.
struct Server::Client {
  Client(Server& s, Fd fd, const ClientAddress& from)
      : server(s), channel(s.loop_, std::move(fd), kWriteLimit), group(from.group) {
    peer.address = from.text;
    peer.loopback = from.loopback;
    peer.session = session_id(s.index_, s.next_session_++);
    server.connections_++;
    server.by_group_[group]++;
  }
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;
  ~Client() {
    server.connections_--;
    server.room_.set();
  }
  // Logged in, or over.
  void leave() {
    if (!waiting) return;
    waiting = false;
    const auto count = server.by_group_.find(group);
    if (--count->second == 0) server.by_group_.erase(count);
    server.before_login_.erase(place);
  }

  Server& server;
  Channel channel;
  Peer peer;
  std::string group;
  std::chrono::steady_clock::time_point deadline;  // for the login
  const std::chrono::steady_clock::time_point since = Loop::now();
  const uint64_t began = static_cast<uint64_t>(std::time(nullptr));
  const Dialogue* dialogue = nullptr;  // while there is one
  uint64_t task = 0;
  bool waiting = true;  // in before_login_
  std::list<ClientPtr>::iterator place;
};

Server::Server(Loop& loop, std::shared_ptr<const Settings> settings, uint32_t index)
    : loop_(loop),
      settings_(std::move(settings)),
      index_(index),
      room_(loop),
      came_(loop),
      attached_(loop),
      auth_(loop),
      scope_(loop) {
  scope_.spawn(end_late_logins());
}

void Server::attach(ipc::Role peer, uint32_t index, ipc::End end) {
  if (peer == ipc::Role::auth) return auth_.attach(std::move(end));
  if (peer != ipc::Role::imapd) return;
  LinkPtr& place = workers_[index];
  if (place) place->close();
  place = std::make_shared<ipc::Link>(
      loop_, std::move(end), std::string(ipc::role_name(peer)) + " " + std::to_string(index),
      ipc::kLoginAcceptsFromImapd);
  attached_.set();
  scope_.spawn(watch(place));
}

Task<Server::LinkPtr> Server::worker(uint32_t number) {
  const auto deadline = Loop::now() + kWorkerLimit;
  while (true) {
    const auto found = workers_.find(number);
    if (found != workers_.end() && found->second->open()) co_return found->second;
    const auto left = std::chrono::ceil<Milliseconds>(deadline - Loop::now());
    if (left.count() <= 0) co_return nullptr;
    attached_.clear();
    (void)co_await attached_.wait(left);
  }
}

// A worker sends nothing on this link; only its end is noticed.
Task<void> Server::watch(LinkPtr link) {
  (void)co_await link->receive();
  link->close();
}

void Server::listen(bool implicit_tls, uint32_t index, Fd fd) {
  const auto found = listeners_.find({implicit_tls, index});
  if (found != listeners_.end()) scope_.cancel(found->second);
  listeners_[{implicit_tls, index}] = scope_.spawn(accept_loop(std::move(fd), implicit_tls));
}

// True when there is room now. When there are too many connections, the oldest one that has not
// logged in is closed: so clients that hold connections without using them lose them first.
Task<bool> Server::make_room() {
  if (connections_ < settings_->part.connections_max) co_return true;
  if (!before_login_.empty())
    dismiss(*before_login_.front(), "* BYE [UNAVAILABLE] too many connections\r\n");
  room_.clear();
  (void)co_await room_.wait(1s);
  co_return false;
}

Task<void> Server::accept_loop(Fd listener, bool implicit_tls) {
  const int flags = fcntl(listener.get(), F_GETFL);
  if (flags < 0 || fcntl(listener.get(), F_SETFL, flags | O_NONBLOCK) < 0)
    fatal("a listening socket could not be made non-blocking");
  while (true) {
    co_await readable(loop_, listener.get());
    const bool room = co_await make_room();
    if (!room) continue;
    bool exhausted = false;
    for (int i = 0; i < kAcceptsAtOnce && connections_ < settings_->part.connections_max; i++) {
      sockaddr_storage from{};
      socklen_t size = sizeof from;
      Fd client(accept4(listener.get(), reinterpret_cast<sockaddr*>(&from), &size,
                        SOCK_NONBLOCK | SOCK_CLOEXEC));
      const int error = errno;
      if (client) {
        accept(std::move(client), address_of(from), implicit_tls);
        continue;
      }
      if (error == EINTR || error == ECONNABORTED) continue;
      exhausted = error != EAGAIN;
      if (exhausted && Loop::now() - complained_ > 10s) {
        complained_ = Loop::now();
        log::error({}, "accept: {}; waiting", errno_text(error));
      }
      break;
    }
    // EMFILE and similar errors: the socket stays readable, so without a pause this would be a busy
    // loop.
    if (exhausted) co_await sleep_for(loop_, 200ms);
  }
}

void Server::accept(Fd fd, const ClientAddress& address, bool implicit_tls) {
  const auto count = by_group_.find(address.group);
  if (count != by_group_.end() && count->second >= settings_->part.logins_per_address_max) {
    log::info({}, "too many connections before login from {}", address.text);
    constexpr std::string_view kBye = "* BYE [UNAVAILABLE] too many connections from you\r\n";
    if (!implicit_tls)
      (void)!::send(fd.get(), kBye.data(), kBye.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    return;
  }
  tune(fd.get());
  auto client = std::make_shared<Client>(*this, std::move(fd), address);
  client->deadline = Loop::now() + std::chrono::seconds(settings_->part.login_timeout_s);
  client->place = before_login_.insert(before_login_.end(), client);
  came_.set();
  log::debug(client->peer.session, "connection from {}", address.text);
  client->task = scope_.spawn(serve(client, implicit_tls));
}

Task<void> Server::serve(ClientPtr client, bool implicit_tls) {
  // The destructor runs also when this coroutine is cancelled.
  struct Gone {
    ClientPtr& client;
    ~Gone() {
      Server& server = client->server;
      client->leave();
      client.reset();
      server.check_finished();
    }
  };
  const Gone gone{client};
  struct Talking {
    Client& client;
    Talking(Client& c, const Dialogue& dialogue) : client(c) { client.dialogue = &dialogue; }
    Talking(const Talking&) = delete;
    Talking& operator=(const Talking&) = delete;
    ~Talking() { client.dialogue = nullptr; }
  };
  const std::shared_ptr<const Settings> settings = settings_;
  const auto deadline = client->deadline;
  const std::string& session = client->peer.session;
  if (implicit_tls) {
    if (!settings->tls) co_return;
    const auto secured = co_await client->channel.start_tls(
        *settings->tls, std::chrono::ceil<Milliseconds>(deadline - Loop::now()));
    if (!secured) {
      log::info(session, "closed before login: {} ({})", secured.error().detail(),
                client->peer.address);
      co_return;
    }
  }
  Dialogue::Outcome outcome;
  {
    Dialogue dialogue(client->channel, *this, settings, client->peer, deadline);
    const Talking talking(*client, dialogue);
    outcome = co_await dialogue.run();
  }
  if (outcome.end == Dialogue::End::closed) {
    log::debug(session, "closed before login: {}", outcome.why);
    co_return;
  }
  client->leave();
  if (outcome.inside) co_await carry(client->channel, std::move(outcome.inside), kCarryLimit);
}

Task<Result<ipc::LoginReply>> Server::ask(Channel& channel, ipc::LoginRequest request) {
  struct Race {
    Event over;
    std::optional<Result<ipc::LoginReply>> reply;
    static Task<void> ask(Race& race, AuthClient& auth, ipc::LoginRequest request) {
      race.reply.emplace(co_await auth.ask(std::move(request)));
      race.over.set();
    }
    static Task<void> leave(Race& race, Channel& channel) {
      co_await channel.left();
      race.over.set();
    }
  };
  Race race{.over = Event(loop_), .reply = {}};
  Scope both(loop_);  // the one that is not over first is cancelled
  both.spawn(Race::ask(race, auth_, std::move(request)));
  both.spawn(Race::leave(race, channel));
  co_await race.over.wait();
  if (race.reply) co_return std::move(*race.reply);
  co_return fail(Fault::peer_gone, "the client left before its answer");
}

Task<Result<Fd>> Server::hand_over(Channel& channel, const Peer& peer, ipc::LoginReply granted,
                                   std::string tag, std::string client) {
  const LinkPtr link = co_await worker(granted.worker);
  if (!link)
    co_return unavailable("rims-imapd " + std::to_string(granted.worker) + " is not connected");

  ipc::Handover message;
  message.ticket.value = std::move(granted.ticket.value);
  message.tag = std::move(tag);
  message.unread = channel.input();
  message.client_address = peer.address;
  message.over_tls = channel.over_tls();
  message.session = peer.session;
  message.client = std::move(client);
  std::vector<Fd> given;
  Fd kept;
  if (channel.over_tls()) {
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0)
      co_return unavailable(fail_errno("socketpair", errno).error().detail());
    kept = Fd(pair[0]);
    given.emplace_back(pair[1]);
  } else {
    given.emplace_back(fcntl(channel.fd(), F_DUPFD_CLOEXEC, 3));
    if (!given.back()) co_return unavailable(fail_errno("dup", errno).error().detail());
  }
  if (!message.unread.within() || !message.tag.within())
    co_return unavailable("too much input came with the login");
  const auto sent = co_await link->send(std::move(message), std::move(given));
  if (!sent) co_return unavailable(sent.error().detail());
  channel.consume(channel.input().size());
  log::debug(peer.session, "handed to rims-imapd {}{}", granted.worker,
             channel.over_tls() ? " over " + channel.tls_description() : "");
  co_return kept;
}

void Server::attach_admin(ipc::End end) {
  scope_.spawn(serve_admin(
      std::make_shared<ipc::Link>(loop_, std::move(end), "rims-ctl", ipc::kServingAcceptsFromCtl)));
}

Task<void> Server::serve_admin(LinkPtr link) {
  while (true) {
    const auto packet = co_await link->receive();
    if (!packet) co_return;
    if (packet->type == static_cast<uint16_t>(ipc::AdminMsg::kick)) {
      const auto asked = ipc::open_packet<ipc::Kick>(*link, *packet);
      if (!asked) co_return;
      const Status begun = co_await link->send(ipc::Kicking{});
      if (!begun) co_return;
      const Status sent = co_await link->send(ipc::Kicked{.count = kick(asked->session.value)});
      if (!sent) co_return;
      continue;
    }
    for (ipc::SessionEntry& entry : entries()) {
      const Status sent = co_await link->send(std::move(entry));
      if (!sent) co_return;
    }
    const Status done = co_await link->send(ipc::WhoDone{});
    if (!done) co_return;
  }
}

std::vector<ipc::SessionEntry> Server::entries() const {
  const auto seconds = [](std::chrono::steady_clock::time_point since) {
    return static_cast<uint64_t>(
        std::chrono::duration_cast<std::chrono::seconds>(Loop::now() - since).count());
  };
  std::vector<ipc::SessionEntry> all;
  all.reserve(before_login_.size());
  for (const ClientPtr& client : before_login_) {
    ipc::SessionEntry entry;
    entry.session = client->peer.session;
    entry.address = client->peer.address;
    entry.over_tls = client->channel.over_tls();
    entry.since = client->began;
    entry.age_s = seconds(client->since);
    const Dialogue* dialogue = client->dialogue;
    entry.silent_s = dialogue ? seconds(dialogue->last_input()) : entry.age_s;
    if (dialogue) entry.client = dialogue->client();
    all.push_back(std::move(entry));
  }
  return all;
}

// One of a user is its worker's, although with TLS its bytes pass through here.
uint64_t Server::kick(std::string_view session) {
  std::vector<ClientPtr> found;
  for (const ClientPtr& client : before_login_)
    if (client->peer.session == session) found.push_back(client);
  for (const ClientPtr& client : found) {
    log::info(client->peer.session, "closed before login: by rims-ctl kick ({})",
              client->peer.address);
    client->leave();
    dismiss(*client, "* BYE the administrator has ended this connection\r\n");
  }
  return found.size();
}

// A dialogue ends itself when it has waited too long for a command. But a client that sends, or
// takes, a byte now and then lets one wait last as long as it likes.
Task<void> Server::end_late_logins() {
  constexpr Milliseconds kGrace = 500ms;  // so that the dialogue is first
  while (true) {
    if (before_login_.empty()) {
      came_.clear();
      co_await came_.wait();
      continue;
    }
    const auto end = before_login_.front()->deadline + kGrace;
    const auto left = std::chrono::ceil<Milliseconds>(end - Loop::now());
    if (left.count() > 0) {
      // Not longer: one that came later may have less time, since a reload.
      co_await sleep_for(loop_, std::min<Milliseconds>(left, 1s));
      continue;
    }
    const ClientPtr oldest = before_login_.front();
    log::info(oldest->peer.session, "closed before login: login took too long ({})",
              oldest->peer.address);
    oldest->leave();
    dismiss(*oldest, "* BYE login took too long\r\n");
  }
}

// Its task is ended by the loop, not now.
void Server::dismiss(Client& client, std::string_view bye) {
  client.channel.farewell(bye);
  scope_.cancel(client.task);
}

void Server::stop(std::function<void()> finished) {
  stopping_ = true;
  finished_ = std::move(finished);
  for (const auto& [key, task] : listeners_) scope_.cancel(task);
  listeners_.clear();
  for (const ClientPtr& client : before_login_)
    dismiss(*client, "* BYE the server is shutting down\r\n");
  check_finished();
}

void Server::check_finished() {
  if (!stopping_ || connections_ > 0 || !finished_) return;
  loop_.post(std::move(finished_));
  finished_ = nullptr;
}

}  // namespace rims::login
