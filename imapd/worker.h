// imapd/worker.h - what the sessions and deliveries of one rims-imapd share
//
//   Runs in   rims-imapd; one thread, one loop
//   Talks to  rims-auth (auth_link.h: tickets), rims-login (session_link.h: clients), rims-deliverd
//             (deliver_link.h: messages in, and out for the delivery user)
//   Trust     rims-auth is trusted; rims-login only with a ticket that rims-auth gave;
//   rims-deliverd
//             for "may be delivered"
//   Tests     tests/imapd/worker_test.cc over socket pairs
//
// Knows nothing of the process it lives in (main.cc does), so tests run it as it is.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <unordered_map>
#include <unordered_set>

#include "common/async/event.h"
#include "common/async/io_pool.h"
#include "common/async/scope.h"
#include "common/config/parts.h"
#include "common/ipc/deliver_link.h"
#include "common/ipc/link.h"
#include "common/message/structure.h"
#include "common/store/store.h"
#include "imapd/session.h"
#include "imapd/tickets.h"

namespace rims::imapd {

class Worker {
 public:
  // All must outlive the worker.
  Worker(Loop& loop, IoPool& pool, store::Store& store, const config::ImapdPart& settings);
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;
  ~Worker();

  // --- links; a new one replaces the one before it (the peer was restarted) ---
  void attach_auth(Fd fd);
  void attach_login(uint32_t index, Fd fd);
  void attach_deliverd(Fd fd);

  // A client that was vouched for.
  void start_session(Client client);
  // What rims-deliverd brings. Never fails: the status says how it went.
  Task<ipc::DeliverReply> deliver(ipc::Deliver order, Fd message);
  // What the delivery user sends to somebody (`recipient`).
  Task<Result<ipc::SubmitReply>> submit(ipc::Submit order, Fd message);

  // Sessions that are open keep the limits they began with, but for the log level.
  void reload(const config::ImapdPart& settings);
  // BYE to all clients, an end to what is being written, the accounts closed. Seconds at most.
  Task<void> stop();
  [[nodiscard]] bool stopping() const { return stopping_; }

  [[nodiscard]] Loop& loop() { return loop_; }
  [[nodiscard]] IoPool& pool() { return pool_; }
  [[nodiscard]] store::Store& store() { return store_; }
  [[nodiscard]] const config::ImapdPart& settings() const { return settings_; }
  [[nodiscard]] message::Limits mime_limits() const;
  [[nodiscard]] Milliseconds inactivity_limit() const;
  // storage UNAVAILABLE when the file system is too full for a message of so many bytes.
  Task<Status> room_for(uint64_t bytes);
  // Does `work` now, or on the pool when the message is large. What it uses stays until then.
  Task<void> work_on(std::string_view message, std::function<void()> work);
  // make_structure() in that way.
  Task<std::string> make_structure(std::string_view message);

  // --- for sessions ---
  void entered(Session* session, const std::string& user);
  void left(Session* session, const std::string& user);
  [[nodiscard]] size_t sessions_of(const std::string& user) const;
  [[nodiscard]] size_t sessions() const { return sessions_.size(); }

 private:
  // A link is held by its slot here and by the coroutine that reads it.
  using SharedLink = std::shared_ptr<ipc::Link>;
  static void replace(SharedLink& slot, SharedLink link);

  Task<void> serve_session(Client client);
  Task<void> serve_auth(SharedLink link);
  Task<void> serve_login(SharedLink link);
  Task<void> serve_deliverd(SharedLink link);
  Task<void> serve_delivery(SharedLink link, ipc::Packet packet);
  void take_ticket(ipc::Link& link, const ipc::Packet& packet);
  void take_handover(ipc::Link& link, ipc::Packet packet);
  void drain_auth();
  Task<ipc::DeliverReply> delivered(ipc::Deliver order, Fd message);
  void fail_submissions();

  Loop& loop_;
  IoPool& pool_;
  store::Store& store_;
  config::ImapdPart settings_;
  Tickets tickets_;
  bool stopping_ = false;
  std::unordered_set<Session*> sessions_;
  std::unordered_map<std::string, size_t> per_user_;
  Event no_sessions_;
  size_t deliveries_ = 0;
  Event no_deliveries_, delivery_ended_;
  SharedLink auth_, deliverd_;
  std::unordered_map<uint32_t, SharedLink> logins_;

  struct Submission {
    Event done;
    std::optional<ipc::SubmitReply> reply;
  };
  uint64_t next_request_ = 1;
  std::unordered_map<uint64_t, Submission*> submissions_;

  Scope links_;  // after what their tasks use
  Scope clients_;
};

}  // namespace rims::imapd
