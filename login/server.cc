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
#include <sys/stat.h>

#include <sodium.h>

#include "common/base/errno_text.h"
#include "common/base/log.h"
#include "common/base/secret.h"
#include "common/imap/parser.h"
#include "login/proxy.h"
#include "login/request.h"

namespace rims::login {
namespace {

using namespace std::chrono_literals;

// One wake-up accepts at most this many, so that connected clients are served in between.
constexpr int kAcceptsAtOnce = 32;
constexpr std::string_view kTooMany = "* BYE [UNAVAILABLE] too many connections from you\r\n";

std::unexpected<Error> unavailable(std::string why) {
  return fail(Fault::peer_gone, "try again later", std::move(why), "UNAVAILABLE");
}

// 0 when it can not be told.
uint64_t inode_of(int fd) {
  struct stat info{};
  return fstat(fd, &info) == 0 ? static_cast<uint64_t>(info.st_ino) : 0;
}

// What waits in a socket now, without waiting for more.
std::string all_of(int fd) {
  std::string bytes;
  bytes.reserve(256 * 1024);  // as much as lies in a socket, so that no copy is left behind
  char piece[16 * 1024];
  while (true) {
    const ssize_t got = ::recv(fd, piece, sizeof piece, MSG_DONTWAIT);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) break;
    bytes.append(piece, static_cast<size_t>(got));
  }
  sodium_memzero(piece, sizeof piece);
  return bytes;
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
  }
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;
  ~Client() {
    server.connections_--;
    server.room_.set();
  }
  // Before its login, from now on.
  void enter(ClientPtr self) {
    waiting = true;
    server.by_group_[group]++;
    deadline = Loop::now() + std::chrono::seconds(server.settings_->part.login_timeout_s);
    place = server.before_login_.insert(server.before_login_.end(), std::move(self));
    server.came_.set();
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
  bool waiting = false;  // in before_login_
  std::list<ClientPtr>::iterator place;
  bool returned = false;  // by its worker, with `back`
  std::optional<Back> back;
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

Task<void> Server::watch(LinkPtr link) {
  while (true) {
    auto packet = co_await link->receive();
    if (!packet) break;
    take_back(*link, std::move(*packet));
  }
  link->close();
}

// Only a descriptor that was handed over is taken: of TLS, the very end of a pair; else a
// connection of the network, for which the kernel says where it comes from. The rest is as for a
// new client.
void Server::take_back(ipc::Link& link, ipc::Packet packet) {
  auto message = ipc::open_packet<ipc::Returned>(link, packet);
  if (!message) return;
  const std::string& tag = message->tag.value;
  if (imap::leading_tag(tag + " ") != tag) {
    link.breach("a client came back with a tag that is none");
    return;
  }
  Back back{.socket = std::move(packet.fds.front()),
            .tag = tag,
            .unread = std::move(message->unread.value),
            .session = std::move(message->session.value)};
  if (!back.socket || stopping_) return;
  const int fd = back.socket.get();
  if (const auto carried = carried_.find(inode_of(fd)); carried != carried_.end()) {
    Client& client = *carried->second;
    if (client.returned) return;
    client.returned = true;
    client.back = std::move(back);
    ::shutdown(fd, SHUT_WR);  // what the worker has said goes out; then carry() ends
    return;
  }
  sockaddr_storage from{};
  socklen_t size = sizeof from;
  const bool known = getpeername(fd, reinterpret_cast<sockaddr*>(&from), &size) == 0;
  if (!known || (from.ss_family != AF_INET && from.ss_family != AF_INET6)) {
    log::debug(back.session, "came back too late, its connection is over");
    return;
  }
  const ClientAddress address = address_of(from);
  Fd socket = std::move(back.socket);
  begin(std::move(socket), address, false, std::move(back));
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

bool Server::has_room_for(const std::string& group) const {
  const auto count = by_group_.find(group);
  return count == by_group_.end() || count->second < settings_->part.logins_per_address_max;
}

void Server::accept(Fd fd, const ClientAddress& address, bool implicit_tls) {
  begin(std::move(fd), address, implicit_tls, {});
}

void Server::begin(Fd fd, const ClientAddress& address, bool implicit_tls,
                   std::optional<Back> back) {
  // accept_loop() has looked for room already.
  const bool full = back && connections_ >= settings_->part.connections_max;
  if (full || !has_room_for(address.group)) {
    log::info({}, "too many connections before login from {}", address.text);
    if (!implicit_tls)
      (void)!::send(fd.get(), kTooMany.data(), kTooMany.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    return;
  }
  tune(fd.get());
  auto client = std::make_shared<Client>(*this, std::move(fd), address);
  client->enter(client);
  log::debug(client->peer.session, "connection from {}{}{}", address.text,
             back ? ", which was " : "", back ? back->session : std::string());
  client->task = scope_.spawn(serve(client, implicit_tls, std::move(back)));
}

Task<void> Server::serve(ClientPtr client, bool implicit_tls, std::optional<Back> back) {
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
  if (implicit_tls) {
    const std::shared_ptr<const Settings> settings = settings_;
    if (!settings->tls) co_return;
    const auto secured = co_await client->channel.start_tls(
        *settings->tls, std::chrono::ceil<Milliseconds>(client->deadline - Loop::now()));
    if (!secured) {
      log::info(client->peer.session, "closed before login: {} ({})", secured.error().detail(),
                client->peer.address);
      co_return;
    }
  }
  while (co_await serve_once(client, std::exchange(back, std::nullopt))) {
    back = std::exchange(client->back, std::nullopt);
    client->returned = false;
    if (!has_room_for(client->group)) {
      log::info(client->peer.session, "too many connections before login from {}",
                client->peer.address);
      client->channel.farewell(kTooMany);
      co_return;
    }
    client->enter(client);
    log::debug(client->peer.session, "unauthenticated");
  }
}

Task<bool> Server::serve_once(ClientPtr client, std::optional<Back> back) {
  struct Talking {
    Client& client;
    Talking(Client& c, const Dialogue& dialogue) : client(c) { client.dialogue = &dialogue; }
    Talking(const Talking&) = delete;
    Talking& operator=(const Talking&) = delete;
    ~Talking() { client.dialogue = nullptr; }
  };
  if (back) client->channel.unread(std::move(back->unread));
  Dialogue::Outcome outcome;
  {
    Dialogue dialogue(client->channel, *this, settings_, client->peer, client->deadline);
    const Talking talking(*client, dialogue);
    outcome = co_await dialogue.run(back ? std::move(back->tag) : std::string());
  }
  if (outcome.end == Dialogue::End::closed) {
    log::debug(client->peer.session, "closed before login: {}", outcome.why);
    co_return false;
  }
  client->leave();
  if (!outcome.inside.fd) co_return false;
  struct Carried {
    std::unordered_map<uint64_t, Client*>& all;
    const uint64_t outer;
    ~Carried() { all.erase(outer); }
  };
  const Carried carried{carried_, outcome.inside.outer};
  carried_[outcome.inside.outer] = client.get();
  std::string late =
      co_await carry(client->channel, std::move(outcome.inside.fd), kCarryLimit, client->returned);
  if (!client->returned) co_return false;
  // In the order in which the client has sent it: what the worker has read, what lies in its end,
  // what was on the way there, and then what the channel has.
  // There may be a password in it, so no copy stays behind.
  std::string& unread = client->back->unread;
  std::string there = all_of(client->back->socket.get());
  std::string all;
  all.reserve(unread.size() + there.size() + late.size());
  for (std::string* part : {&unread, &there, &late}) {
    all += *part;
    wipe(*part);
  }
  unread = std::move(all);
  client->back->socket = Fd();
  co_return true;
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

Task<Result<Inside>> Server::hand_over(Channel& channel, const Peer& peer, ipc::LoginReply granted,
                                       std::string tag, std::string client) {
  const LinkPtr link = co_await worker(granted.worker);
  if (!link)
    co_return unavailable("rims-imapd " + std::to_string(granted.worker) + " is not connected");

  ipc::Handover message;
  message.ticket.value = std::move(granted.ticket.value);
  message.tag = std::move(tag);
  // With TLS what is too much for the message goes through the pair.
  const bool later = channel.over_tls() && channel.input().size() > ipc::kMaxUnread;
  if (!later) message.unread = channel.input();
  message.client_address = peer.address;
  message.over_tls = channel.over_tls();
  message.session = peer.session;
  message.client = std::move(client);
  std::vector<Fd> given;
  Inside kept;
  if (channel.over_tls()) {
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0)
      co_return unavailable(fail_errno("socketpair", errno).error().detail());
    kept = {.fd = Fd(pair[0]), .outer = inode_of(pair[1])};
    given.emplace_back(pair[1]);
  } else {
    given.emplace_back(fcntl(channel.fd(), F_DUPFD_CLOEXEC, 3));
    if (!given.back()) co_return unavailable(fail_errno("dup", errno).error().detail());
  }
  if (!message.unread.within() || !message.tag.within())
    co_return unavailable("too much input came with the login");
  const auto sent = co_await link->send(std::move(message), std::move(given));
  if (!sent) co_return unavailable(sent.error().detail());
  if (!later) channel.consume(channel.input().size());
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
