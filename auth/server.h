// auth/server.h - rims-auth's answers: who may log in, and which worker is their home
//
//   Trust   every byte of rims-login and rims-deliverd is an attacker's. A breach ends that link
//           only
//   Order   a Ticket is with its worker before the LoginReply is sent
//   Bounds  kHashThreads hashes at a time, kWaitingHashes waiting, whose turns are shared fairly
//           (turns.h); who finds no place is answered try_later; kPendingPerLink requests of one
//           link, then it is not read
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "auth/directory.h"
#include "auth/penalty.h"
#include "auth/proven.h"
#include "auth/turns.h"
#include "auth/users.h"
#include "common/async/io_pool.h"
#include "common/async/scope.h"
#include "common/ipc/auth_link.h"
#include "common/ipc/link.h"
#include "common/ipc/roles.h"
#include "common/ipc/users_link.h"

namespace rims::auth {

class Server {
 public:
  static constexpr unsigned kHashThreads = 2;
  static constexpr size_t kWaitingHashes = 128;
  static constexpr uint32_t kMostCost = 16;  // of a turn of a network that fails and fails
  static constexpr size_t kPendingPerLink = 1024;
  // For a worker that is being restarted.
  static constexpr Milliseconds kWorkerLimit{2000};

  // `now` is Loop::now(), except in tests. `directory` must outlive it; nullptr: there is none, and
  // all users are those of the configuration.
  Server(Loop& loop, config::AuthPart part, uint32_t workers,
         std::function<Time()> now = &Loop::now, Directory* directory = nullptr);
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  // A new or replaced link.
  void attach(ipc::Role peer, uint32_t index, ipc::End end);
  // A link of rims-ctl (users_link.h).
  void attach_admin(ipc::End end);
  // Uses the new users from now on; attempts that are being checked end with the old ones, and
  // are put off where a user was changed. Tells the workers whose sessions are over.
  void reload(config::AuthPart part);

 private:
  // Owned by peers_ and by each coroutine that will answer on it: a replaced link lives until
  // they are done.
  struct Peer {
    Peer(Loop& loop, ipc::End end, ipc::Role role_of, uint32_t index_of,
         std::span<const ipc::Accepts> accepts);
    ipc::Link link;
    ipc::Role role;
    uint32_t index;
    size_t pending = 0;                        // requests being answered
    Event room;                                // pending went down
    std::map<uint64_t, Turns::Place*> places;  // of its requests that wait for a hash
  };
  using PeerPtr = std::shared_ptr<Peer>;
  struct Counted;

  Task<void> serve(PeerPtr peer);
  Task<void> login(PeerPtr peer, ipc::LoginRequest request);
  Task<void> query(PeerPtr peer, ipc::UserQuery request);
  Task<void> drain(PeerPtr peer);  // a link that may say nothing
  enum class Proof : unsigned char { right, wrong, too_many, left };
  // Whom an attempt is checked against: a user, or a stand-in that never succeeds.
  struct Subject {
    std::shared_ptr<Users> users;  // as they were when the attempt began
    Users::Candidate candidate;    // of the configuration, when `id` is 0
    uint64_t id = 0;               // of the directory
    Secret hash;                   // of that one
    std::string account;           // the name of the account
    bool exists = false;
  };
  [[nodiscard]] Subject subject(std::string_view name) const;
  // What it was granted does not hold any more.
  [[nodiscard]] bool outdated(const Subject& subject) const;
  Task<Proof> prove(Peer& peer, const Subject& subject, std::string name,
                    const ipc::LoginRequest& request);
  Task<bool> matches(const Subject& subject, std::string_view password);
  [[nodiscard]] Users::Proof prove_fast(const Subject& subject, std::string_view password) const;
  void cancel(Peer& peer, uint64_t request);
  Task<void> revoke(std::vector<std::pair<std::string, ipc::Revoked>> users);
  // The open link to a worker, or nullptr when there is none within kWorkerLimit.
  Task<PeerPtr> home_of(uint32_t worker);
  struct Granted {
    ipc::LoginReply reply;
    const char* outcome;  // for the log
  };
  Task<Granted> grant(const Subject& subject, uint64_t request);

  // --- the user directory ---
  using SharedLink = std::shared_ptr<ipc::Link>;
  Task<void> administer(SharedLink link);
  Task<void> change(SharedLink link, uint64_t request, Directory::Plan plan,
                    std::vector<std::pair<std::string, ipc::Revoked>> over, std::string quota_of);
  Task<bool> list_users(SharedLink link, ipc::ListUsers question);
  Task<bool> list_domains(SharedLink link, uint64_t request);
  [[nodiscard]] std::vector<std::string> shadowed_by(const Users& configured) const;
  Task<void> purge_removed();
  // To the home worker of the user.
  Task<void> tell_quota(std::string folded);
  Task<void> tell_all_quotas(PeerPtr worker);
  static void log_attempt(const ipc::LoginRequest& request, std::string_view outcome, bool granted);

  Loop& loop_;
  uint32_t workers_;
  std::function<Time()> now_;
  // Owned here and by attempts that were begun before a reload.
  std::shared_ptr<Users> users_;
  Penalties addresses_, names_, pairs_;  // the last: an address with a name
  Penalties networks_;                   // for the cost of their turns
  Turns turns_;
  Directory* directory_;
  Proven proven_;
  std::chrono::seconds keep_removed_;
  std::map<std::pair<ipc::Role, uint32_t>, PeerPtr> peers_;
  Event attached_;
  IoPool pool_;
  Scope scope_;  // last: its tasks use all of the above
};

}  // namespace rims::auth
