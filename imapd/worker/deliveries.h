// imapd/worker/deliveries.h - messages that rims-deliverd brings, into accounts of this worker
//
//   Promise  "delivered" means durable, now or by an earlier attempt of the same delivery
//   Trust    rims-deliverd for "may be delivered"; the bytes of the message are not trusted
#pragma once

#include <cstddef>

#include "common/async/event.h"
#include "common/base/fd.h"
#include "common/config/parts.h"
#include "common/ipc/deliver_link.h"
#include "imapd/worker/accounts.h"

namespace rims::imapd {

class Deliveries {
 public:
  // All must outlive this; `settings` may change meanwhile.
  Deliveries(Loop& loop, Accounts& accounts, const config::ImapdPart& settings)
      : accounts_(accounts), settings_(settings), none_(loop), one_ended_(loop) {
    none_.set();
  }

  // Never fails: the status says how it went.
  Task<ipc::DeliverReply> deliver(ipc::Deliver order, Fd message);
  // Waits until there are few enough in work for another: those of one link wait in it.
  Task<void> turn();

  // From now on all are answered "temporary".
  void refuse() { refused_ = true; }
  // `co_await ended(limit)`: true when none is in work, false when the limit has passed.
  [[nodiscard]] Event::Wait ended(Milliseconds limit) { return none_.wait(limit); }

 private:
  Task<ipc::DeliverReply> delivered(ipc::Deliver order, Fd message);

  Accounts& accounts_;
  const config::ImapdPart& settings_;
  bool refused_ = false;
  size_t in_work_ = 0;
  Event none_, one_ended_;
};

}  // namespace rims::imapd
