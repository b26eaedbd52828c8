// imapd/worker/deliveries.cc - one delivery: known before, room, structure, append

#include "imapd/worker/deliveries.h"

#include <algorithm>
#include <ctime>
#include <utility>
#include <vector>

#include "common/async/counted.h"
#include "common/base/log.h"
#include "common/ipc/sealed.h"
#include "common/mail/state.h"
#include "common/mail/trace_fields.h"
#include "imapd/worker/delivery_key.h"

namespace rims::imapd {
namespace {

static_assert(ipc::kMaxDeliveryId == store::kMaxDeliveryId);
// Of a recipient every byte may get a backslash.
static_assert(3 * ipc::kMaxAddress + ipc::kMaxReceived + 64 <= store::kMaxTraceFields);

// Deliveries in work at once; further ones wait in the link, and so at the MTA.
constexpr size_t kMaxDeliveries = 256;

ipc::DeliverReply reply_of(uint64_t request, ipc::Delivery status, std::string reason) {
  ipc::DeliverReply reply;
  reply.request = request;
  reply.status = status;
  reason.resize(std::min(reason.size(), ipc::kMaxReason));
  reply.reason = std::move(reason);
  return reply;
}

}  // namespace

Task<void> Deliveries::turn() {
  while (in_work_ >= kMaxDeliveries) {
    one_ended_.clear();
    co_await one_ended_.wait();
  }
}

Task<ipc::DeliverReply> Deliveries::deliver(ipc::Deliver order, Fd message) {
  const Counted counted(in_work_, &none_, &one_ended_);
  co_return co_await delivered(std::move(order), std::move(message));
}

Task<ipc::DeliverReply> Deliveries::delivered(ipc::Deliver order, Fd message) {
  const uint64_t request = order.request;
  const std::string& user = order.user.value;
  const auto temporary = [&](const Error& error) {
    log::error({}, "delivery to {} failed: {}", log::quoted(user), error.detail());
    return reply_of(request, ipc::Delivery::temporary, error.reply());
  };
  if (refused_) co_return reply_of(request, ipc::Delivery::temporary, "shutting down");

  const auto size = ipc::sealed_size(message.get(), settings_.message_size_max);
  if (!size) {
    if (size.error().fault() != Fault::limit) co_return temporary(size.error());
    co_return reply_of(request, ipc::Delivery::rejected, "the message is too large");
  }
  if (*size == 0) co_return reply_of(request, ipc::Delivery::rejected, "the message is empty");
  const std::string& received = order.received.value;
  const std::string front =
      received.empty() ? received
                       : store::trace_fields(order.sender.value, order.recipient.value) + received;
  auto bytes = store::MessageBytes::map(message, front);
  if (!bytes) co_return temporary(bytes.error());
  store::NewMessage made;
  made.bytes = std::move(*bytes);
  const std::string mailbox =
      order.mailbox.value.empty() ? "INBOX" : store::canonical_name(order.mailbox.value);
  const auto name = [&] {
    // Without what is put in front: it has the time of this attempt.
    made.delivery_key = delivery_key(order.recipient.value, mailbox, order.delivery_id.value,
                                     made.bytes.view().substr(front.size()));
  };
  co_await accounts_.work_on(made.bytes.view(), name);
  made.duplicate_window = settings_.duplicate_window_s;
  const auto before = [&](Uid uid) {
    log::info({}, "a duplicate: delivered to {} in {} before, as UID {}, from {}, id {}",
              log::quoted(user), log::quoted(mailbox), uid.value, log::quoted(order.sender.value),
              log::quoted(order.delivery_id.value));
    return reply_of(request, ipc::Delivery::delivered, "delivered before");
  };

  // What was taken is acknowledged, whatever has become of its mailbox, or of the room, since.
  const Status room = co_await accounts_.room_for(*size);
  if (!room && made.delivery_key == store::DeliveryKey{}) co_return temporary(room.error());
  auto account = co_await accounts_.open(user, /*create=*/room.has_value());
  if (!account) co_return temporary(room ? account.error() : room.error());
  if (const auto first = (*account)->delivered(made.delivery_key, made.duplicate_window))
    co_return before(first->uid);
  if (!room) co_return temporary(room.error());
  made.structure = co_await accounts_.make_structure(made.bytes.view());
  // A filter may name a mailbox that the user has deleted. That is no reason to lose mail.
  const store::MailboxInfo* target = (*account)->find(mailbox);
  if (!target || target->noselect) {
    log::warn({}, "{} has no mailbox {}: what is delivered to it goes to INBOX, id {}",
              log::quoted(user), log::quoted(mailbox), log::quoted(order.delivery_id.value));
    target = (*account)->find("INBOX");
    if (!target) co_return temporary(Error(Fault::storage, "the account has no INBOX"));
  }

  made.flags = static_cast<uint8_t>(order.flags & store::kAllSystemFlags);
  made.date = order.internal_date != 0 ? order.internal_date : std::time(nullptr);
  made.delivery_id = order.delivery_id.value;
  std::vector<store::NewMessage> messages;
  messages.push_back(std::move(made));
  const std::string stored_in = target->name;  // it may be renamed meanwhile
  const auto appended = co_await (*account)->append(target->id, std::move(messages));
  if (!appended) {
    // Too many messages, or too much mail. The size was looked at above: there will be room when
    // some are expunged.
    const Error& error = appended.error();
    if (error.fault() == Fault::limit) {
      const bool for_good = settings_.reject_over_quota && error.code() == "OVERQUOTA";
      log::warn({}, "not delivered to {} in {}{}: {} ({}), id {}", log::quoted(user),
                log::quoted(stored_in), for_good ? "" : " for now", error.reply(), error.detail(),
                log::quoted(order.delivery_id.value));
      co_return reply_of(request, for_good ? ipc::Delivery::over_quota : ipc::Delivery::full,
                         error.reply());
    }
    co_return temporary(appended.error());
  }
  if (appended->repeated != 0) co_return before(appended->uids.front());
  log::info({}, "delivered {} bytes to {} in {} as UID {}, from {}, id {}", *size,
            log::quoted(user), log::quoted(stored_in), appended->uids.front().value,
            log::quoted(order.sender.value), log::quoted(order.delivery_id.value));
  co_return reply_of(request, ipc::Delivery::delivered, {});
}

}  // namespace rims::imapd
