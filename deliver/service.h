// deliver/service.h - the work of rims-deliverd: from a submission to a durable message
//
//   Runs in  rims-deliverd (user _rimsdeliver, empty chroot); never opens an account
//   Talks to rims-deliver (a socket), clients of LMTP (lmtp_server.h), rims-auth (who is it?),
//            every rims-imapd (store it; and its #postman sessions submit here)
//   Trust    rims-deliver is an attacker until its message has passed the checks; rims-auth and
//            rims-imapd are trusted to answer truthfully, but may not answer at all
//   Promise  `delivered` is passed on, never invented: a link that ends, a process that is
//            restarted, an answer that is late is `temporary`. No message is kept here.
//   Limits   connections (more of them wait in the socket's queue), submissions of one
//            connection, time for each step
//   Tests    tests/deliver/service_test.cc
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>

#include "common/async/event.h"
#include "common/async/scope.h"
#include "common/base/fd.h"
#include "common/config/parts.h"
#include "common/ipc/auth_link.h"
#include "common/ipc/deliver_link.h"
#include "common/ipc/peer.h"
#include "common/process/child.h"
#include "deliver/lmtp_server.h"

namespace rims::deliver {

// Each wait and its limit. Their sum stays below what rims-deliver waits by itself.
struct Times {
  Milliseconds submit{10'000};  // from the connection, or the last answer, to the next Submit
  Milliseconds peer{5'000};     // for a process that is being restarted to be there again
  Milliseconds auth{10'000};
  Milliseconds store{30'000};  // the worker's journal
  Milliseconds stop{8'000};    // what is in flight when the suite stops
};

class Service final : public Post {
 public:
  Service(Loop& loop, const config::DeliverdPart& part, uint32_t workers, Times times = {});
  Service(const Service&) = delete;
  Service& operator=(const Service&) = delete;
  ~Service() override;

  // A link or the listening socket; replaces the older one.
  void attach(process::Attached attached);
  void reload(const config::DeliverdPart& part);
  // Accepts nothing new, waits for the deliveries in progress, then calls `stopped`. Call it once.
  void stop(std::function<void()> stopped);

  // One submission, from wherever it came. `from` is for the log.
  Task<ipc::SubmitReply> deliver(ipc::Submit submit, Fd message, std::string from);

  Task<Result<ipc::UserReply>> find(std::string recipient) override;
  Task<ipc::DeliverReply> store(ipc::Deliver what, uint32_t worker,
                                std::shared_ptr<const Fd> message) override;

 private:
  using Auth = ipc::Peer<ipc::UserReply>;
  using Worker = ipc::Peer<ipc::DeliverReply>;

  Task<void> accept_clients(std::shared_ptr<Fd> listening);
  Task<void> serve_client(Fd socket, std::string name);
  Task<void> read_auth(std::shared_ptr<ipc::Link> link);
  Task<void> read_worker(std::shared_ptr<ipc::Link> link, uint32_t index);
  Task<void> serve_postman(std::shared_ptr<ipc::Link> link, ipc::Submit submit, Fd message);
  Task<void> finish(std::function<void()> stopped);

  Loop& loop_;
  config::DeliverdPart part_;
  const Times times_;
  bool stopping_ = false;
  size_t connections_ = 0;
  size_t in_flight_ = 0;  // submissions
  Event slot_free_;
  Event idle_;  // set while nothing is in flight
  Auth auth_;
  std::map<uint32_t, std::unique_ptr<Worker>> workers_;
  std::shared_ptr<Fd> listening_;  // also held by the coroutine that waits on it
  uint64_t accepting_ = 0;         // that coroutine
  LmtpServer lmtp_;
  Scope scope_;  // last: its coroutines use all of the above
};

}  // namespace rims::deliver
