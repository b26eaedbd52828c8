// imapd/worker.cc - links, tickets, handovers, deliveries, the end

#include "imapd/worker.h"

#include <algorithm>
#include <ctime>
#include <utility>
#include <vector>

#include "common/base/log.h"
#include "common/imap/mailbox_name.h"
#include "common/imap/parser.h"
#include "common/ipc/sealed.h"
#include "common/ipc/session_link.h"
#include "imapd/delivery_key.h"

namespace rims::imapd {
namespace {

// A message larger than this is parsed by the pool: the loop has others to serve.
constexpr size_t kSmallMessage = 256 * 1024;
// Deliveries in work at once; further ones wait in the link, and so at the MTA.
constexpr size_t kMaxDeliveries = 256;
// How long rims-deliverd and the account's worker may take for a message of the delivery user.
constexpr Milliseconds kSubmitLimit{300'000};
// How long clients and deliveries have to come to an end when the process stops.
constexpr Milliseconds kStopLimit{4'000};

ipc::DeliverReply reply_of(uint64_t request, ipc::Delivery status, std::string reason) {
  ipc::DeliverReply reply;
  reply.request = request;
  reply.status = status;
  reason.resize(std::min(reason.size(), size_t{512}));
  reply.reason = std::move(reason);
  return reply;
}

// Keeps a count and an event that is set while the count is zero.
class Counted {
 public:
  Counted(size_t& count, Event& none) : count_(count), none_(none) {
    if (count_++ == 0) none_.clear();
  }
  Counted(const Counted&) = delete;
  Counted& operator=(const Counted&) = delete;
  ~Counted() {
    if (--count_ == 0) none_.set();
  }

 private:
  size_t& count_;
  Event& none_;
};

}  // namespace

Worker::Worker(Loop& loop, IoPool& pool, store::Store& store, const config::ImapdPart& settings)
    : loop_(loop),
      pool_(pool),
      store_(store),
      settings_(settings),
      no_sessions_(loop),
      no_deliveries_(loop),
      delivery_ended_(loop),
      links_(loop),
      clients_(loop) {
  no_sessions_.set();
  no_deliveries_.set();
}

Worker::~Worker() = default;

message::Limits Worker::mime_limits() const {
  message::Limits limits;
  if (settings_.mime_depth_max != 0) limits.depth = settings_.mime_depth_max;
  if (settings_.mime_part_max != 0) limits.parts = settings_.mime_part_max;
  return limits;
}

Milliseconds Worker::inactivity_limit() const {
  return Milliseconds(int64_t{settings_.inactivity_timeout_s} * 1000);
}

Task<std::string> Worker::make_structure(std::string_view message) {
  const message::Limits limits = mime_limits();
  std::string made;
  const auto make = [&] { made = message::make_structure(message, limits); };
  co_await work_on(message, make);
  co_return made;
}

Task<Status> Worker::room_for(uint64_t bytes) {
  return store_.room_for(bytes, {.percent = settings_.free_space_floor_percent,
                                 .most = settings_.free_space_floor_max});
}

Task<void> Worker::work_on(std::string_view message, std::function<void()> work) {
  if (message.size() <= kSmallMessage)
    work();
  else
    co_await pool_.run(std::move(work));
}

void Worker::reload(const config::ImapdPart& settings) { settings_ = settings; }

// ---------------------------------------------------------------- links

void Worker::replace(SharedLink& slot, SharedLink link) {
  if (slot) slot->close();  // its coroutine sees the end and leaves
  slot = std::move(link);
}

void Worker::attach_auth(Fd fd) {
  replace(auth_, std::make_shared<ipc::Link>(loop_, std::move(fd), "rims-auth",
                                             ipc::kImapdAcceptsFromAuth));
  links_.spawn(serve_auth(auth_));
}

void Worker::attach_login(uint32_t index, Fd fd) {
  SharedLink& slot = logins_[index];
  replace(slot, std::make_shared<ipc::Link>(loop_, std::move(fd), "rims-login",
                                            ipc::kImapdAcceptsFromLogin));
  links_.spawn(serve_login(slot));
}

void Worker::attach_deliverd(Fd fd) {
  replace(deliverd_, std::make_shared<ipc::Link>(loop_, std::move(fd), "rims-deliverd",
                                                 ipc::kImapdAcceptsFromDeliverd));
  fail_submissions();
  links_.spawn(serve_deliverd(deliverd_));
}

Task<void> Worker::serve_auth(SharedLink link) {
  while (true) {
    auto packet = co_await link->receive();
    if (!packet) break;
    take_ticket(*link, *packet);
  }
}

void Worker::take_ticket(ipc::Link& link, const ipc::Packet& packet) {
  const auto ticket = ipc::open_packet<ipc::Ticket>(link, packet);
  if (ticket) tickets_.add(*ticket, Loop::now());
}

// What rims-auth sent and nobody has read yet.
void Worker::drain_auth() {
  while (auth_ && auth_->open()) {
    auto packet = auth_->receive_now();
    if (!packet || !*packet) return;
    take_ticket(*auth_, **packet);
  }
}

Task<void> Worker::serve_login(SharedLink link) {
  while (true) {
    auto packet = co_await link->receive();
    if (!packet) break;
    take_handover(*link, std::move(*packet));
  }
}

void Worker::take_handover(ipc::Link& link, ipc::Packet packet) {
  auto handover = ipc::open_packet<ipc::Handover>(link, packet);
  if (!handover) return;
  const std::string& tag = handover->tag.value;
  if (imap::leading_tag(tag + " ") != tag) {
    link.breach("a handover with a tag that is none");
    return;
  }
  if (stopping_) return;  // the socket closes with the packet
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
                 .id = std::move(handover->session.value)});
}

// ---------------------------------------------------------------- sessions

void Worker::start_session(Client client) { clients_.spawn(serve_session(std::move(client))); }

Task<void> Worker::serve_session(Client client) {
  Session session(*this, std::move(client));
  co_await session.run();
}

void Worker::entered(Session* session, const std::string& user) {
  sessions_.insert(session);
  per_user_[user]++;
  no_sessions_.clear();
}

void Worker::left(Session* session, const std::string& user) {
  sessions_.erase(session);
  const auto count = per_user_.find(user);
  if (--count->second == 0) per_user_.erase(count);
  if (sessions_.empty()) no_sessions_.set();
}

size_t Worker::sessions_of(const std::string& user) const {
  const auto count = per_user_.find(user);
  return count == per_user_.end() ? 0 : count->second;
}

// ---------------------------------------------------------------- deliveries

Task<void> Worker::serve_deliverd(SharedLink link) {
  while (true) {
    auto packet = co_await link->receive();
    if (!packet) break;
    if (packet->type == static_cast<uint16_t>(ipc::DeliverMsg::submit_reply)) {
      const auto reply = ipc::open_packet<ipc::SubmitReply>(*link, *packet);
      if (!reply) break;
      const auto waiting = submissions_.find(reply->request);
      if (waiting == submissions_.end()) continue;  // given up meanwhile
      waiting->second->reply = *reply;
      waiting->second->done.set();
      continue;
    }
    while (deliveries_ >= kMaxDeliveries) {
      delivery_ended_.clear();
      co_await delivery_ended_.wait();
    }
    links_.spawn(serve_delivery(link, std::move(*packet)));
  }
  if (link == deliverd_) fail_submissions();
}

Task<void> Worker::serve_delivery(SharedLink link, ipc::Packet packet) {
  auto order = ipc::open_packet<ipc::Deliver>(*link, packet);
  if (!order) co_return;
  ipc::DeliverReply reply = co_await deliver(std::move(*order), std::move(packet.fds.front()));
  const Status sent = co_await link->send(std::move(reply));
  if (!sent) log::warn({}, "a delivery could not be answered: {}", sent.error().detail());
}

Task<ipc::DeliverReply> Worker::deliver(ipc::Deliver order, Fd message) {
  const Counted counted(deliveries_, no_deliveries_);
  ipc::DeliverReply reply = co_await delivered(std::move(order), std::move(message));
  delivery_ended_.set();
  co_return reply;
}

Task<ipc::DeliverReply> Worker::delivered(ipc::Deliver order, Fd message) {
  const uint64_t request = order.request;
  const std::string& user = order.user.value;
  const auto temporary = [&](const Error& error) {
    log::error({}, "delivery to {} failed: {}", user, error.detail());
    return reply_of(request, ipc::Delivery::temporary, error.reply());
  };
  if (stopping_) co_return reply_of(request, ipc::Delivery::temporary, "shutting down");

  const auto size = ipc::sealed_size(message.get(), settings_.message_size_max);
  if (!size) {
    if (size.error().fault() != Fault::limit) co_return temporary(size.error());
    co_return reply_of(request, ipc::Delivery::rejected, "the message is too large");
  }
  if (*size == 0) co_return reply_of(request, ipc::Delivery::rejected, "the message is empty");
  auto bytes = store::MessageBytes::map(message);
  if (!bytes) co_return temporary(bytes.error());
  store::NewMessage made;
  made.bytes = std::move(*bytes);
  const std::string mailbox =
      order.mailbox.value.empty() ? "INBOX" : imap::canonical_inbox(order.mailbox.value);
  const auto name = [&] {
    made.delivery_key =
        delivery_key(order.recipient.value, mailbox, order.delivery_id.value, made.bytes.view());
  };
  co_await work_on(made.bytes.view(), name);
  made.duplicate_window = settings_.duplicate_window_s;
  const auto before = [&](Uid uid) {
    log::info({}, "a duplicate: delivered to {} in {} before, as UID {}, from <{}>, id {}", user,
              mailbox, uid.value, order.sender.value, order.delivery_id.value);
    return reply_of(request, ipc::Delivery::delivered, "delivered before");
  };

  // What was taken is acknowledged, whatever has become of its mailbox, or of the room, since.
  const Status room = co_await room_for(*size);
  if (!room && made.delivery_key == store::DeliveryKey{}) co_return temporary(room.error());
  auto account = co_await store_.open(user, /*create=*/room.has_value());
  if (!account) co_return temporary(room ? account.error() : room.error());
  if (const auto first = (*account)->delivered(made.delivery_key, made.duplicate_window))
    co_return before(first->uid);
  if (!room) co_return temporary(room.error());
  made.structure = co_await make_structure(made.bytes.view());
  const store::MailboxInfo* target = (*account)->find(mailbox);
  if (!target || target->noselect)
    co_return reply_of(request, ipc::Delivery::no_mailbox, "no such mailbox");

  made.flags = static_cast<uint8_t>(order.flags & store::kAllSystemFlags);
  made.date = order.internal_date != 0 ? order.internal_date : std::time(nullptr);
  made.delivery_id = order.delivery_id.value;
  std::vector<store::NewMessage> messages;
  messages.push_back(std::move(made));
  const auto appended = co_await (*account)->append(target->id, std::move(messages));
  if (!appended) {
    if (appended.error().fault() == Fault::limit)
      co_return reply_of(request, ipc::Delivery::rejected, appended.error().reply());
    co_return temporary(appended.error());
  }
  if (appended->repeated != 0) co_return before(appended->uids.front());
  log::info({}, "delivered {} bytes to {} in {} as UID {}, from <{}>, id {}", *size, user, mailbox,
            appended->uids.front().value, order.sender.value,
            order.delivery_id.value.empty() ? "-" : order.delivery_id.value);
  co_return reply_of(request, ipc::Delivery::delivered, {});
}

Task<Result<ipc::SubmitReply>> Worker::submit(ipc::Submit order, Fd message) {
  const SharedLink link = deliverd_;
  if (!link || !link->open())
    co_return fail(Fault::storage, "delivery is not possible now", "rims-deliverd is not there");
  struct Waiting {
    std::unordered_map<uint64_t, Submission*>& all;
    uint64_t request;
    ~Waiting() { all.erase(request); }
  };
  Submission submission{.done = Event(loop_), .reply = {}};
  const Waiting waiting{submissions_, next_request_++};
  submissions_[waiting.request] = &submission;
  order.request = waiting.request;
  std::vector<Fd> fds;
  fds.push_back(std::move(message));
  CO_TRY_STATUS(co_await link->send(std::move(order), std::move(fds)));
  co_await submission.done.wait(kSubmitLimit);
  if (!submission.reply)
    co_return fail(Fault::storage, "delivery is not possible now", "rims-deliverd did not answer");
  co_return *std::move(submission.reply);
}

void Worker::fail_submissions() {
  for (const auto& [request, submission] : submissions_) submission->done.set();
}

// ---------------------------------------------------------------- the end

Task<void> Worker::stop() {
  stopping_ = true;
  for (Session* session : sessions_) session->stop();
  const auto until = Loop::now() + kStopLimit;
  const auto left = [&] {
    return std::max(Milliseconds(0), std::chrono::duration_cast<Milliseconds>(until - Loop::now()));
  };
  const bool all_said = co_await no_sessions_.wait(left());
  if (!all_said) log::warn({}, "{} sessions did not end in time and are cut", sessions_.size());
  co_await no_deliveries_.wait(left());
  clients_.cancel_all();
  co_await clients_.join();
  // Replies of deliveries are on their way out before the links go.
  replace(auth_, nullptr);
  replace(deliverd_, nullptr);
  for (auto& [index, link] : logins_) replace(link, nullptr);
  links_.cancel_all();
  co_await links_.join();
  co_await store_.close_all();
}

}  // namespace rims::imapd
