// imapd/worker/worker.h - the links of one rims-imapd, and what comes in by them
//
//   Runs in   rims-imapd; one thread, one loop
//   Talks to  rims-auth (auth_link.h: tickets), rims-login (session_link.h: clients), rims-deliverd
//             (deliver_link.h: messages in, and out for the delivery user), rims-ctl
//             (admin_link.h: who is there)
//   Trust     rims-auth is trusted; rims-login only with a ticket that rims-auth gave;
//             rims-deliverd for "may be delivered"
//   Tests     tests/imapd/worker over socket pairs
//
// Knows nothing of the process it lives in (main.cc does), so tests run it as it is, and nothing
// of the protocol that its clients speak (imapd/session/session_host.h).
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <unordered_map>

#include "common/account/store.h"
#include "common/async/io_pool.h"
#include "common/async/scope.h"
#include "common/config/parts.h"
#include "common/ipc/deliver_link.h"
#include "common/ipc/link.h"
#include "common/ipc/peer.h"
#include "imapd/session/session_host.h"
#include "imapd/worker/accounts.h"
#include "imapd/worker/administration.h"
#include "imapd/worker/deliveries.h"
#include "imapd/worker/sessions.h"
#include "imapd/worker/tickets.h"

namespace rims::imapd {

class Worker final : private SessionHost {
 public:
  // All must outlive the worker.
  Worker(Loop& loop, IoPool& pool, store::Store& store, const config::ImapdPart& settings,
         Protocol protocol);
  ~Worker() override;

  // --- links; a new one replaces the one before it (the peer was restarted) ---
  void attach_auth(ipc::End end);
  void attach_login(uint32_t index, ipc::End end);
  void attach_deliverd(ipc::End end);
  // A link of rims-ctl: one more, replaces none.
  void attach_admin(ipc::End end) { administration_.attach(std::move(end)); }

  // A client that was vouched for.
  void start_session(Client client);
  [[nodiscard]] size_t sessions() const { return sessions_.count(); }
  // What rims-deliverd brings. Never fails: the status says how it went.
  Task<ipc::DeliverReply> deliver(ipc::Deliver order, Fd message);

  // Sessions that are open keep the limits they began with, but for inactivity.
  void reload(const config::ImapdPart& settings);
  // An end to all clients and to what is being written, the accounts closed. Seconds at most.
  Task<void> stop();

 private:
  // A link is held by its slot here and by the coroutine that reads it.
  using SharedLink = std::shared_ptr<ipc::Link>;
  static void replace(SharedLink& slot, SharedLink link);

  // --- SessionHost ---
  Loop& loop() override { return loop_; }
  SessionLimits limits() const override;
  std::span<const std::string> capabilities_disabled() const override {
    return capabilities_disabled_;
  }
  const store::Annotations& server_entries() const override { return server_entries_; }
  Status admit(const Client& client) override;
  uint64_t viewed(const std::string& user) const override { return sessions_.viewed(user); }
  void view(const std::string& user, int64_t more) override { sessions_.view(user, more); }
  Task<Result<std::shared_ptr<store::Account>>> open_account(std::string user) override;
  Task<Status> room_for(uint64_t bytes) override;
  Task<void> work_on(std::string_view message, std::function<void()> work) override;
  Task<void> work_apart(std::function<void()> work) override;
  Task<std::string> make_structure(std::string_view message) override;
  Task<Status> give_back(Fd socket, const Client& client, std::string tag,
                         std::string_view unread) override;
  Task<Result<ipc::SubmitReply>> submit(ipc::Submit order, Fd message) override;

  Task<void> serve_session(Sessions::Number number, Client client);
  Task<void> serve_auth(SharedLink link);
  Task<void> serve_login(SharedLink link, uint32_t index);
  Task<void> serve_deliverd(SharedLink link);
  Task<void> serve_delivery(SharedLink link, ipc::Packet packet);
  void take_word_of_auth(ipc::Link& link, const ipc::Packet& packet);
  void take_handover(ipc::Link& link, ipc::Packet packet, uint32_t index);
  void drain_auth();

  Loop& loop_;
  config::ImapdPart settings_;
  std::vector<std::string> capabilities_disabled_;
  store::Annotations server_entries_;  // of settings_
  const Protocol protocol_;
  bool stopping_ = false;
  Accounts accounts_;
  Tickets tickets_;
  Sessions sessions_;
  std::unordered_map<Sessions::Number, uint64_t> tasks_;  // of sessions, in clients_
  Deliveries deliveries_;
  SharedLink auth_;
  ipc::Peer<ipc::SubmitReply> deliverd_;
  std::unordered_map<uint32_t, SharedLink> logins_;
  Scope links_;  // after what their tasks use
  Scope clients_;
  Administration administration_;
};

}  // namespace rims::imapd
