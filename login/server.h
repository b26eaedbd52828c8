// login/server.h - rims-login: takes connections, lets clients log in, hands them over
//
//   Limits   connections of the process (the oldest one before login makes room), connections
//            before login of one address, and what login/dialogue.h says of each
//   Links    to rims-auth and the workers may be replaced at any time; those of rims-ctl come and
//   go Stop     clients before login are told BYE; TLS sessions go on until their worker ends them
#pragma once

#include <cstdint>
#include <functional>
#include <list>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "common/async/scope.h"
#include "common/ipc/admin_link.h"
#include "common/ipc/link.h"
#include "common/ipc/roles.h"
#include "common/ipc/session_link.h"
#include "login/auth_client.h"
#include "login/dialogue.h"

struct sockaddr_storage;

namespace rims::login {

struct ClientAddress {
  std::string text;   // numeric; a mapped IPv4 address as IPv4
  std::string group;  // what is counted together: the address, or the /64 of an IPv6 one
  bool loopback = false;
};

class Server final : public Backend {
 public:
  // A client that accepts no byte for this long is considered gone.
  static constexpr Milliseconds kWriteLimit{60'000};
  // A logged-in client may sleep in the middle of a message; then its worker waits, too.
  static constexpr Milliseconds kCarryLimit{600'000};
  // How long to wait for the link to a restarted worker: rims-auth may have its link earlier.
  static constexpr Milliseconds kWorkerLimit{2000};

  Server(Loop& loop, std::shared_ptr<const Settings> settings, uint32_t index);
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;
  ~Server() override = default;

  // A new or replaced link.
  void attach(ipc::Role peer, uint32_t index, ipc::End end);
  // A link of rims-ctl (admin_link.h): it is told of, and may end, connections before their login.
  void attach_admin(ipc::End end);
  // A listening socket; replaces the one of this kind and number.
  void listen(bool implicit_tls, uint32_t index, Fd fd);
  void accept(Fd client, const ClientAddress& address, bool implicit_tls);
  void reload(std::shared_ptr<const Settings> settings) { settings_ = std::move(settings); }
  // `finished` is called from the loop when the last client has gone.
  void stop(std::function<void()> finished);

  [[nodiscard]] size_t connections() const { return connections_; }
  [[nodiscard]] size_t before_login() const { return before_login_.size(); }

  Task<Result<ipc::LoginReply>> ask(Channel& channel, ipc::LoginRequest request) override;
  Task<Result<Inside>> hand_over(Channel& channel, const Peer& peer, ipc::LoginReply granted,
                                 std::string tag, std::string client) override;

 private:
  struct Client;
  // Owned by its task and by before_login_.
  using ClientPtr = std::shared_ptr<Client>;
  // Owned by workers_, its watcher and those who send on it.
  using LinkPtr = std::shared_ptr<ipc::Link>;

  Task<void> accept_loop(Fd listener, bool implicit_tls);
  // Ends the connections that have not logged in when their time is over, whatever they do.
  Task<void> end_late_logins();
  Task<bool> make_room();
  // A client that was logged in before; without, a new one.
  struct Back {
    Fd socket;  // as the worker had it
    std::string tag, unread, session;
  };
  [[nodiscard]] bool has_room_for(const std::string& group) const;
  void begin(Fd fd, const ClientAddress& address, bool implicit_tls, std::optional<Back> back);
  Task<void> serve(ClientPtr client, bool implicit_tls, std::optional<Back> back);
  // Its dialogue, and with TLS its session. False: it is over.
  Task<bool> serve_once(ClientPtr client, std::optional<Back> back);
  Task<void> watch(LinkPtr link);
  void take_back(ipc::Link& link, ipc::Packet packet);
  Task<void> serve_admin(LinkPtr link);
  [[nodiscard]] std::vector<ipc::SessionEntry> entries() const;
  uint64_t kick(std::string_view session);
  // The open link to a worker, or nullptr when there is none within kWorkerLimit.
  Task<LinkPtr> worker(uint32_t number);
  void dismiss(Client& client, std::string_view bye);
  void check_finished();

  Loop& loop_;
  std::shared_ptr<const Settings> settings_;
  const uint32_t index_;
  uint64_t next_session_ = 1;
  size_t connections_ = 0;
  Event room_;                                          // a connection ended
  Event came_;                                          // a connection that has to log in
  std::list<ClientPtr> before_login_;                   // the oldest first
  std::unordered_map<std::string, uint32_t> by_group_;  // of those
  std::unordered_map<uint64_t, Client*> carried_;       // with TLS, by Inside::outer
  std::map<uint32_t, LinkPtr> workers_;
  Event attached_;                                           // to one of them
  std::map<std::pair<bool, uint32_t>, uint64_t> listeners_;  // number of the task
  std::chrono::steady_clock::time_point complained_{};       // the last log line about descriptors
  bool stopping_ = false;
  std::function<void()> finished_;
  AuthClient auth_;
  Scope scope_;  // last: its tasks use all of the above
};

[[nodiscard]] ClientAddress address_of(const sockaddr_storage& from);

}  // namespace rims::login
