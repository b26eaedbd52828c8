// deliver/service.cc - rims-deliverd between rims-deliver, rims-auth and the workers

#include "deliver/service.h"

#include <cerrno>
#include <fcntl.h>
#include <sys/socket.h>
#include <utility>

#include "common/async/counted.h"
#include "common/base/errno_text.h"
#include "common/base/log.h"
#include "common/ipc/sealed.h"

namespace rims::deliver {
namespace {

// A connection may carry a message to several recipients, one Submit each.
constexpr unsigned kSubmitsPerConnection = 1000;

std::string reason_for(std::string_view text) { return log::printable(text, ipc::kMaxReason); }

ipc::SubmitReply reply(uint64_t request, ipc::Delivery status, std::string_view reason) {
  ipc::SubmitReply r;
  r.request = request;
  r.status = status;
  r.reason = reason_for(reason);
  return r;
}

// "rims-deliver pid 12 uid 33", from the kernel.
std::string client_name(int socket) {
  ucred who{};
  socklen_t size = sizeof who;
  if (getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &who, &size) < 0) return "rims-deliver";
  return fmt::format("rims-deliver pid {} uid {} gid {}", who.pid, who.uid, who.gid);
}

const char* name(ipc::Delivery status) {
  constexpr const char* names[] = {"delivered",     "no user",           "rejected",
                                   "not permitted", "temporary failure", "over quota",
                                   "full for now"};
  return names[static_cast<unsigned>(status)];
}

}  // namespace

Service::Service(Loop& loop, const config::DeliverdPart& part, uint32_t workers, Times times)
    : loop_(loop),
      part_(part),
      times_(times),
      slot_free_(loop),
      idle_(loop),
      auth_(loop, "rims-auth"),
      lmtp_(loop, part_, *this),
      scope_(loop) {
  idle_.set();
  for (uint32_t i = 0; i < workers; i++)
    workers_.emplace(i, std::make_unique<Worker>(loop, fmt::format("rims-imapd {}", i)));
}

Service::~Service() = default;

void Service::reload(const config::DeliverdPart& part) {
  part_ = part;
  lmtp_.reloaded();
  slot_free_.set();
}

void Service::attach(process::Attached attached) {
  if (attached.channel == ipc::Channel::listen_lmtp)
    return lmtp_.listen(attached.index, std::move(attached.end.fd));
  if (attached.channel == ipc::Channel::listen_deliver) {
    if (accepting_ != 0) scope_.cancel(accepting_);
    listening_ = std::make_shared<Fd>(std::move(attached.end.fd));
    // A client that gave up between epoll_wait and accept must not stop this process.
    const int flags = fcntl(listening_->get(), F_GETFL);
    if (flags < 0 || fcntl(listening_->get(), F_SETFL, flags | O_NONBLOCK) < 0)
      log::error({}, "the socket of rims-deliver can not be made non-blocking");
    if (!stopping_) accepting_ = scope_.spawn(accept_clients(listening_));
    return;
  }
  if (attached.peer == ipc::Role::auth) {
    auto link = std::make_shared<ipc::Link>(loop_, std::move(attached.end), "rims-auth",
                                            ipc::kDeliverdAcceptsFromAuth);
    auth_.replace(link);
    scope_.spawn(read_auth(link));
    return;
  }
  const auto worker = workers_.find(attached.index);
  if (attached.peer != ipc::Role::imapd || worker == workers_.end()) {
    log::error({}, "the controller attached something that is not for this process");
    return;
  }
  auto link = std::make_shared<ipc::Link>(loop_, std::move(attached.end),
                                          fmt::format("rims-imapd {}", attached.index),
                                          ipc::kDeliverdAcceptsFromImapd);
  worker->second->replace(link);
  scope_.spawn(read_worker(link, attached.index));
}

Task<void> Service::read_auth(std::shared_ptr<ipc::Link> link) { co_await auth_.read(link); }

Task<void> Service::read_worker(std::shared_ptr<ipc::Link> link, uint32_t index) {
  Worker& worker = *workers_.at(index);
  while (true) {
    auto packet = co_await link->receive();
    if (!packet) break;
    if (packet->type == static_cast<uint16_t>(ipc::DeliverMsg::deliver_reply)) {
      auto answer = ipc::open_packet<ipc::DeliverReply>(*link, *packet);
      if (!answer) break;
      worker.answer(link, *std::move(answer));
    } else {
      auto submit = ipc::open_packet<ipc::Submit>(*link, *packet);
      if (!submit) break;
      scope_.spawn(serve_postman(link, *std::move(submit), std::move(packet->fds.front())));
    }
  }
  worker.lose(link);
}

// A message that a session of #postman appends (rims post-mail). The worker was told by rims-auth
// that this session may do so.
Task<void> Service::serve_postman(std::shared_ptr<ipc::Link> link, ipc::Submit submit, Fd message) {
  const Counted here(in_flight_, &idle_);
  auto answer = co_await deliver(std::move(submit), std::move(message), link->peer());
  const Status sent = co_await link->send(std::move(answer));
  if (!sent) log::warn({}, "{}: the link ended before the answer was sent", link->peer());
}

Task<void> Service::accept_clients(std::shared_ptr<Fd> listening) {
  while (!stopping_) {
    if (connections_ >= part_.connections_max) {
      // The others wait in the socket's queue; rims-deliver has its own time limit.
      slot_free_.clear();
      co_await slot_free_.wait();
      continue;
    }
    co_await readable(loop_, listening->get());
    Fd socket(accept4(listening->get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
    if (!socket) {
      const int error = errno;
      if (error == EAGAIN || error == EINTR || error == ECONNABORTED) continue;
      // Out of descriptors or memory: wait, as this may pass, and a busy loop would not help.
      log::error({}, "accept: {}", errno_text(error));
      co_await sleep_for(loop_, Milliseconds(200));
      continue;
    }
    std::string client = client_name(socket.get());
    scope_.spawn(serve_client(std::move(socket), std::move(client)));
  }
}

Task<void> Service::serve_client(Fd socket, std::string client) {
  const Counted here(connections_, nullptr, &slot_free_);
  const int fd = socket.get();  // lives as long as the link
  ipc::Link link(loop_, std::move(socket), client, ipc::kDeliverdAcceptsFromClient);
  for (unsigned n = 0; n < kSubmitsPerConnection && !stopping_; n++) {
    const bool ready = co_await readable(loop_, fd, times_.submit);
    if (!ready) {
      log::info({}, "{}: nothing was submitted in time", client);
      co_return;
    }
    auto packet = link.receive_now();
    if (!packet) co_return;  // its end, or a breach that was logged
    if (!*packet) continue;
    auto submit = ipc::open_packet<ipc::Submit>(link, **packet);
    if (!submit) co_return;
    const Counted busy(in_flight_, &idle_);
    Fd message = std::move((*packet)->fds.front());
    auto answer = co_await deliver(*std::move(submit), std::move(message), client);
    const Status sent = co_await link.send(std::move(answer));
    if (!sent) {
      log::warn({}, "{}: the connection ended before the answer was sent", client);
      co_return;
    }
  }
}

Task<Result<ipc::UserReply>> Service::find(std::string recipient) {
  ipc::UserQuery query;
  query.recipient = std::move(recipient);
  auto user = co_await auth_.ask(std::move(query), std::vector<Fd>(), times_.peer, times_.auth);
  if (user && user->exists && (user->user.value.empty() || !user->user.within()))
    co_return fail(Fault::bug, "internal error", "rims-auth gave no user name");
  co_return user;
}

Task<ipc::DeliverReply> Service::store(ipc::Deliver what, uint32_t worker,
                                       std::shared_ptr<const Fd> message) {
  const Counted here(in_flight_, &idle_);
  const auto doubtful = [](std::string_view why) {
    ipc::DeliverReply r;
    r.reason = reason_for(why);
    return r;
  };
  const auto found = workers_.find(worker);
  if (found == workers_.end()) co_return doubtful("rims-auth named a worker that does not exist");
  std::vector<Fd> fds;
  fds.emplace_back(fcntl(message->get(), F_DUPFD_CLOEXEC, 0));
  if (!fds.back()) co_return doubtful("out of descriptors");
  auto stored =
      co_await found->second->ask(std::move(what), std::move(fds), times_.peer, times_.store);
  if (!stored) co_return doubtful(stored.error().detail());
  co_return *std::move(stored);
}

Task<ipc::SubmitReply> Service::deliver(ipc::Submit submit, Fd message, std::string from) {
  const uint64_t request = submit.request;
  const auto end = [&](ipc::Delivery status, std::string_view reason) {
    const std::string line =
        fmt::format("{}: {}: to {}, from {}, id {}: {}", from, name(status),
                    log::quoted(submit.recipient.value), log::quoted(submit.sender.value),
                    log::quoted(submit.delivery_id.value), reason);
    if (status == ipc::Delivery::temporary || status == ipc::Delivery::full) {
      log::warn({}, "{}", line);
    } else {
      log::info({}, "{}", line);
    }
    return reply(request, status, reason);
  };

  const auto size = ipc::sealed_size(message.get(), part_.message_size_max);
  if (!size) {
    switch (size.error().fault()) {
      case Fault::limit:
        co_return end(ipc::Delivery::rejected, "message " + size.error().reply());
      case Fault::refused:
        co_return end(ipc::Delivery::not_permitted, size.error().detail());
      default:
        co_return end(ipc::Delivery::temporary, "temporary failure");
    }
  }
  if (*size == 0) co_return end(ipc::Delivery::rejected, "the message is empty");

  const auto user = co_await find(submit.recipient.value);
  if (!user) co_return end(ipc::Delivery::temporary, user.error().detail());
  if (!user->exists) co_return end(ipc::Delivery::no_user, "no such user");

  ipc::Deliver what;
  what.user = user->user.value;
  what.recipient = submit.recipient.value;
  what.sender = submit.sender.value;
  what.mailbox = submit.mailbox.value;
  what.delivery_id = submit.delivery_id.value;
  what.flags = submit.flags;
  what.internal_date = submit.internal_date;
  const auto stored =
      co_await store(std::move(what), user->worker, std::make_shared<const Fd>(std::move(message)));
  const std::string& reason = stored.reason.value;
  co_return end(stored.status,
                fmt::format("{} bytes{}{}", *size, reason.empty() ? "" : ": ", reason));
}

void Service::stop(std::function<void()> stopped) {
  if (std::exchange(stopping_, true)) return;
  if (accepting_ != 0) scope_.cancel(accepting_);
  listening_.reset();
  lmtp_.stop();
  scope_.spawn(finish(std::move(stopped)));
}

Task<void> Service::finish(std::function<void()> stopped) {
  bool all = co_await idle_.wait(times_.stop);
  // Its answers are on their way.
  if (all) all = co_await lmtp_.ended(times_.stop);
  if (!all) log::warn({}, "{} deliveries are given up: the MTA keeps them", in_flight_);
  stopped();
}

}  // namespace rims::deliver
