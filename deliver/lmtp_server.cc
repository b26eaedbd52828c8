// deliver/lmtp_server.cc - sockets, time limits and memfds around lmtp::Session

#include "deliver/lmtp_server.h"

#include <algorithm>
#include <arpa/inet.h>
#include <cerrno>
#include <cstring>
#include <ctime>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>
#include <utility>

#include "common/async/counted.h"
#include "common/async/stream.h"
#include "common/base/encoding.h"
#include "common/base/errno_text.h"
#include "common/base/log.h"
#include "common/ipc/sealed.h"
#include "deliver/lmtp/session.h"

namespace rims::deliver {
namespace {

static_assert(lmtp::kMaxAddress <= ipc::kMaxAddress);
static_assert(lmtp::kMaxIdent <= ipc::kMaxDeliveryId);
static_assert(lmtp::kMaxEnvelopeId <= ipc::kMaxDeliveryId);

constexpr size_t kRead = size_t{64} * 1024;  // at a time, and what is written at a time
// Of commands, so that the answers to what comes at once stay few, and others get their turn.
constexpr size_t kReadCommands = size_t{8} * 1024;
// Of the beginning of a message, to find its topmost Received field.
constexpr size_t kHead = 4096;
constexpr int kAcceptsAtOnce = 32;

// Numeric; "" for a local socket.
std::string address_of(const sockaddr_storage& from) {
  char text[INET6_ADDRSTRLEN] = {};
  if (from.ss_family == AF_INET) {
    sockaddr_in four{};
    std::memcpy(&four, &from, sizeof four);
    inet_ntop(AF_INET, &four.sin_addr, text, sizeof text);
  } else if (from.ss_family == AF_INET6) {
    sockaddr_in6 six{};
    std::memcpy(&six, &from, sizeof six);
    inet_ntop(AF_INET6, &six.sin6_addr, text, sizeof text);
  }
  return text;
}

// RFC 5322 §3.3, in UTC.
std::string date_now() {
  const std::time_t now = std::time(nullptr);
  std::tm utc{};
  gmtime_r(&now, &utc);
  char text[64];
  return std::string(text, std::strftime(text, sizeof text, "%a, %d %b %Y %H:%M:%S +0000", &utc));
}

// RFC 3463. The enhanced code of what became of a message.
lmtp::Reply reply_of(const ipc::DeliverReply& outcome, const std::string& recipient,
                     const std::string& id) {
  const std::string& why = outcome.reason.value;
  const auto text = [&](const char* otherwise) {
    return "<" + recipient + "> " + (why.empty() ? otherwise : why);
  };
  switch (outcome.status) {
    case ipc::Delivery::delivered:
      return {250, "2.0.0", text("delivered") + ", " + id};
    case ipc::Delivery::no_user:
      return {550, "5.1.1", text("no such user")};
    case ipc::Delivery::rejected:
      return {554, "5.6.0", text("the message is refused")};
    case ipc::Delivery::not_permitted:
      return {550, "5.7.1", text("not permitted")};
    case ipc::Delivery::over_quota:
      return {552, "5.2.2", text("the mailbox is full")};
    case ipc::Delivery::full:
      return {452, "4.2.2", text("the mailbox is full")};
    case ipc::Delivery::temporary:
      break;
  }
  return {451, "4.3.0", text("try again later")};
}

}  // namespace

struct LmtpServer::Client {
  Client(LmtpServer& s, Fd socket, std::string from, std::string i)
      : stream(s.loop_, std::move(socket), s.times_.write),
        session({.hostname = s.part_.hostname.value, .message_size_max = s.part_.message_size_max}),
        address(std::move(from)),
        id(std::move(i)),
        name("LMTP " + id + (address.empty() ? "" : " " + address)),
        size_max(s.part_.message_size_max) {}

  Stream stream;
  lmtp::Session session;
  const std::string address;  // numeric; "" for a local socket
  const std::string id, name;
  const uint64_t size_max;
  std::chrono::steady_clock::time_point command_until, message_until;
  bool in_message = false;
  bool busy = false;  // a message is complete and not answered yet
  uint64_t messages = 0;
  uint64_t task = 0;
  // Of the message in progress.
  Fd memfd;
  uint64_t kept = 0;   // bytes, counted in in_progress_
  std::string buffer;  // not written yet
  std::string head;
};

LmtpServer::LmtpServer(Loop& loop, const config::DeliverdPart& part, Post& post, LmtpTimes times)
    : loop_(loop),
      part_(part),
      post_(post),
      times_(times),
      boot_(to_hex(random_bytes(4))),
      none_(loop),
      scope_(loop) {
  none_.set();
  reloaded();
}

LmtpServer::~LmtpServer() = default;

void LmtpServer::reloaded() {
  allowed_.clear();
  for (const config::LmtpPeer& text : part_.lmtp_allow.value)
    if (const auto network = Network::of(text.value)) allowed_.push_back(*network);
}

bool LmtpServer::may_deliver(const std::string& address) const {
  const auto own = Network::of(address);
  return address.empty() || (own && own->is_loopback()) ||
         std::ranges::any_of(allowed_,
                             [&](const Network& network) { return network.contains(address); });
}

void LmtpServer::listen(uint32_t index, Fd socket) {
  if (const auto found = listeners_.find(index); found != listeners_.end())
    scope_.cancel(found->second);
  const int flags = fcntl(socket.get(), F_GETFL);
  if (flags < 0 || fcntl(socket.get(), F_SETFL, flags | O_NONBLOCK) < 0)
    log::error({}, "a socket of LMTP can not be made non-blocking");
  if (!stopping_)
    listeners_[index] = scope_.spawn(accept_loop(std::make_shared<Fd>(std::move(socket))));
}

Task<void> LmtpServer::accept_loop(std::shared_ptr<Fd> listening) {
  while (!stopping_) {
    co_await readable(loop_, listening->get());
    for (int i = 0; i < kAcceptsAtOnce; i++) {
      sockaddr_storage from{};
      socklen_t size = sizeof from;
      Fd socket(accept4(listening->get(), reinterpret_cast<sockaddr*>(&from), &size,
                        SOCK_NONBLOCK | SOCK_CLOEXEC));
      const int error = errno;
      if (socket) {
        accept(std::move(socket), address_of(from));
        continue;
      }
      if (error == EINTR || error == ECONNABORTED) continue;
      if (error != EAGAIN) {
        log::error({}, "accept: {}", errno_text(error));
        co_await sleep_for(loop_, Milliseconds(200));
      }
      break;
    }
  }
}

void LmtpServer::accept(Fd socket, std::string address) {
  const uint64_t number = ++last_number_;
  auto client = std::make_shared<Client>(*this, std::move(socket), std::move(address),
                                         fmt::format("{}.{}", boot_, number));
  if (!may_deliver(client->address)) {
    log::warn({}, "{}: refused: not in lmtp.allow", client->name);
    (void)client->session.take_output();
    client->session.end({554, "5.7.1", "you may not deliver here"});
  } else if (connections_ >= part_.connections_max) {
    log::warn({}, "{}: refused: {} connections are open, limits.deliver_connections", client->name,
              connections_);
    (void)client->session.take_output();
    client->session.end({421, "4.3.2", "too many connections, come again"});
  } else {
    log::debug({}, "{}: connected", client->name);
  }
  clients_.emplace(number, client);
  const uint64_t task = scope_.spawn(serve(client));
  client->task = task;
}

Task<void> LmtpServer::serve(ClientPtr client) {
  struct Leave {
    LmtpServer& server;
    Client& client;
    const uint64_t number;
    ~Leave() {
      server.drop(client);
      server.clients_.erase(number);
    }
  };
  const Leave leave{*this, *client, last_number_};
  const Counted here(connections_, &none_);
  client->command_until = Loop::now() + times_.command;
  while (true) {
    const bool more = co_await step(*client);
    if (!more) break;
  }
  log::debug({}, "{}: over, {} messages", client->name, client->messages);
}

Task<bool> LmtpServer::step(Client& client) {
  const lmtp::Step step = client.session.step(client.stream.input());
  if (step.event == lmtp::Event::body) keep(client, step.bytes);
  client.stream.consume(step.consumed);
  const bool in_message = client.session.in_message();
  if (in_message && !client.in_message) client.message_until = Loop::now() + times_.message;
  if (!in_message && step.event != lmtp::Event::need_input)
    client.command_until = Loop::now() + times_.command;
  client.in_message = in_message;
  switch (step.event) {
    case lmtp::Event::progress:
    case lmtp::Event::body:
      break;
    case lmtp::Event::need_input:
      co_return co_await read_more(client, step.consumed == 0);
    case lmtp::Event::recipient:
      co_await ask(client);
      break;
    case lmtp::Event::complete:
      co_await deliver(client);
      break;
    case lmtp::Event::dropped:
      drop(client);
      break;
    case lmtp::Event::close: {
      client.stream.put(client.session.take_output());
      const Status sent = co_await client.stream.flush();
      if (!sent) log::debug({}, "{}: its last reply was not sent", client.name);
      co_return false;
    }
  }
  co_return true;
}

// What was said goes out before anything is waited for (RFC 2920 §3.2).
Task<bool> LmtpServer::read_more(Client& client, bool now) {
  if (!now && !client.stream.input().empty()) co_return true;
  client.stream.put(client.session.take_output());
  Status done = co_await client.stream.flush();
  client.busy = false;
  if (done && stopping_) {
    client.session.end({421, "4.3.2", "the server is shutting down"});
    co_return true;
  }
  if (done) {
    const auto end = client.in_message ? client.message_until : client.command_until;
    auto left = std::chrono::ceil<Milliseconds>(end - Loop::now());
    if (client.in_message) left = std::min(left, times_.silence);
    // It may be over while bytes come; and fill() would take a negative limit for none.
    if (left.count() > 0)
      done = co_await client.stream.fill(left, client.in_message ? kRead : kReadCommands);
    if (left.count() <= 0 || (!done && done.error().fault() == Fault::timeout)) {
      log::info({}, "{}: nothing came in time", client.name);
      client.session.end({421, "4.4.2", "you were silent, or too slow, for too long"});
      co_return true;
    }
  }
  if (!done && client.session.transaction().mail)
    log::info({}, "{}: left within a transaction, from {}", client.name,
              log::quoted(client.session.transaction().mail->sender.text));
  co_return done.has_value();
}

Task<void> LmtpServer::ask(Client& client) {
  const std::string address = client.session.pending().recipient.address;
  const auto found = co_await post_.find(address);
  const std::string shown = "<" + client.session.pending().recipient.text + "> ";
  if (!found) {
    log::warn({}, "{}: {} can not be looked up now: {}", client.name, log::quoted(address),
              found.error().detail());
    co_return client.session.refuse_recipient({451, "4.3.0", shown + "try again later"});
  }
  if (!found->exists) {
    log::info({}, "{}: no user {}", client.name, log::quoted(address));
    co_return client.session.refuse_recipient({550, "5.1.1", shown + "no such user"});
  }
  client.session.accept_recipient(found->user.value, found->worker);
}

// The message's bytes
// ------------------------------------------------------------------------------

void LmtpServer::keep(Client& client, std::string_view bytes) {
  if (in_progress_ + bytes.size() > std::max(kInProgress, 4 * part_.message_size_max)) {
    log::warn({}, "{}: {} bytes of messages are in progress: this one is deferred", client.name,
              in_progress_);
    drop(client);
    return client.session.body_failed({452, "4.3.1", "too much at once, try again later"});
  }
  in_progress_ += bytes.size();
  client.kept += bytes.size();
  if (client.head.size() < kHead) client.head.append(bytes.substr(0, kHead - client.head.size()));
  client.buffer += bytes;
  if (client.buffer.size() < kRead) return;
  if (const Status written = write_out(client); !written) {
    log::error({}, "{}: {}", client.name, written.error().detail());
    drop(client);
    client.session.body_failed({452, "4.3.1", "no room for the message, try again later"});
  }
}

Status LmtpServer::write_out(Client& client) {
  if (!client.memfd) {
    TRY(client.memfd, ipc::make_memfd("message"));
  }
  std::string_view rest = client.buffer;
  while (!rest.empty()) {
    const ssize_t wrote = write(client.memfd.get(), rest.data(), rest.size());
    if (wrote < 0 && errno == EINTR) continue;
    if (wrote <= 0) return fail_errno("writing a memfd", wrote < 0 ? errno : ENOSPC);
    rest.remove_prefix(static_cast<size_t>(wrote));
  }
  client.buffer.clear();
  return {};
}

void LmtpServer::drop(Client& client) {
  in_progress_ -= std::exchange(client.kept, 0);
  client.memfd.reset();
  std::string().swap(client.buffer);
  std::string().swap(client.head);
}

Task<void> LmtpServer::deliver(Client& client) {
  client.busy = true;
  const lmtp::Transaction& transaction = client.session.transaction();
  const lmtp::Xforward& forwarded = client.session.forwarded();
  const std::string id = fmt::format("{}.{}", client.id, ++client.messages);
  std::vector<lmtp::Reply> replies;
  Status ready = write_out(client);
  if (ready) ready = ipc::seal(client.memfd.get());
  if (!ready) {
    log::error({}, "{}: {}", client.name, ready.error().detail());
    replies.assign(transaction.recipients.size(),
                   lmtp::Reply(452, "4.3.1", "no room for the message, try again later"));
    drop(client);
    co_return client.session.delivered(replies);
  }

  ipc::Deliver what;
  what.sender = transaction.mail->sender.text;
  // What tells a repeated delivery from a second mail (imapd/worker/delivery_key.h): the MTA's id,
  // or what stands for it in the field that it has put in front.
  what.delivery_id = forwarded.ident.value_or("");
  if (what.delivery_id.value.empty()) what.delivery_id = transaction.mail->envelope_id;
  if (what.delivery_id.value.empty()) what.delivery_id = lmtp::received_id(client.head);
  std::string received = fmt::format(
      "Received: from {} ({})\r\n\tby {} (RIMS) with {} id {}", client.session.client_name(),
      client.address.empty() ? "local" : "[" + client.address + "]", part_.hostname.value,
      transaction.mail->smtputf8 ? "UTF8LMTP" : "LMTP", id);
  // RFC 5321 §4.4, §7.2: one recipient must not learn of another.
  if (transaction.recipients.size() == 1)
    received += "\r\n\tfor <" + transaction.recipients[0].command.recipient.text + ">";
  what.received = received + ";\r\n\t" + date_now() + "\r\n";

  struct One {
    static Task<void> deliver(Post& post, ipc::Deliver what, uint32_t worker,
                              std::shared_ptr<const Fd> message, ipc::DeliverReply& outcome) {
      outcome = co_await post.store(std::move(what), worker, std::move(message));
    }
  };
  const auto message = std::make_shared<const Fd>(std::move(client.memfd));
  std::vector<ipc::DeliverReply> outcomes(transaction.recipients.size());
  {
    Scope all(loop_);
    for (size_t i = 0; i < outcomes.size(); i++) {
      const lmtp::Recipient& to = transaction.recipients[i];
      ipc::Deliver one = what;
      one.user = to.user;
      one.recipient = to.command.recipient.address;
      all.spawn(One::deliver(post_, std::move(one), to.worker, message, outcomes[i]));
    }
    co_await all.join();
  }
  for (size_t i = 0; i < outcomes.size(); i++) {
    const lmtp::Rcpt& to = transaction.recipients[i].command;
    const lmtp::Reply& reply = replies.emplace_back(reply_of(outcomes[i], to.recipient.text, id));
    const std::string line =
        fmt::format("{}: {}: to {}, from {}, id {}, {} bytes{}{}{}", client.name, reply.code,
                    log::quoted(to.recipient.address), log::quoted(what.sender.value),
                    log::quoted(what.delivery_id.value), client.kept,
                    outcomes[i].reason.value.empty() ? "" : ": ", outcomes[i].reason.value,
                    to.original.empty() ? "" : ", first to " + log::quoted(to.original));
    if (reply.code / 100 == 4)
      log::warn({}, "{}", line);
    else
      log::info({}, "{}", line);
  }
  drop(client);
  client.session.delivered(replies);
}

void LmtpServer::stop() {
  if (std::exchange(stopping_, true)) return;
  for (const auto& [index, task] : listeners_) scope_.cancel(task);
  listeners_.clear();
  for (const auto& [number, held] : clients_) {
    const ClientPtr client = held.lock();
    if (!client || client->busy) continue;
    client->session.end({421, "4.3.2", "the server is shutting down"});
    client->stream.put(client->session.take_output());
    Task<Status> attempt = client->stream.flush();
    attempt.start();  // up to its first wait, where it is dropped
    scope_.cancel(client->task);
  }
}

}  // namespace rims::deliver
