// imapd/session/session_host.h - between the worker and the sessions of any protocol
//
//   Runs in   rims-imapd; sessions and worker share one thread and one loop
//   Worker    makes a session of each client with a valid ticket, and knows no protocol
//   Session   asks its host for all that it shares with others, and knows no link
//
// main.cc chooses the protocol. A session is a listener of its account (common/account/account.h),
// and so learns from it that the account was taken away.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "common/account/account.h"
#include "common/async/loop.h"
#include "common/async/task.h"
#include "common/base/fd.h"
#include "common/base/result.h"
#include "common/ipc/deliver_link.h"

namespace rims::imapd {

// A client as rims-login hands it over, with what rims-auth said about it.
struct Client {
  Fd socket;
  std::string user;
  bool post_only = false;  // the delivery user: has no mailboxes, may only submit()
  std::string tag;         // of the command that logged in
  std::string unread;      // what came after that command
  std::string address;
  bool over_tls = false;
  std::string id;      // for the log
  std::string client;  // what it called itself before the login, or ""
  uint32_t login = 0;  // the number of the rims-login that it came from
};

struct SessionLimits {
  uint32_t line_bytes = 0;            // of a command
  uint64_t message_bytes = 0;         // of a message that the client brings
  uint32_t annotation_bytes = 0;      // of the value of an annotation
  uint32_t messages_per_command = 0;  // RFC 9738 MESSAGELIMIT; 0: no limit
  uint32_t messages_per_save = 0;     // of APPEND and COPY, where there is no other: SAVELIMIT
  Milliseconds inactivity{0};         // how long the client may send nothing
  Milliseconds progress{0};           // after which a command in work says so again; 0: never
  Milliseconds idle_notify{0};  // how long IDLE may send nothing; 0: as long as there is no news
};

// What a session asks of the worker. Outlives every session.
class SessionHost {
 public:
  SessionHost() = default;
  SessionHost(const SessionHost&) = delete;
  SessionHost& operator=(const SessionHost&) = delete;
  virtual ~SessionHost() = default;

  [[nodiscard]] virtual Loop& loop() = 0;
  // As they are now: a reload may change them.
  [[nodiscard]] virtual SessionLimits limits() const = 0;
  // What the administrator tells all clients (RFC 5464 §3.2.1.1), as it is now; names below
  // /shared.
  [[nodiscard]] virtual const store::Annotations& server_entries() const = 0;

  // What the protocol must not announce, as the configuration says it (imap_capabilities_disabled).
  [[nodiscard]] virtual std::span<const std::string> capabilities_disabled() const = 0;

  // limit LIMIT when the user has too many sessions, this one counted.
  [[nodiscard]] virtual Status admit(const Client& client) = 0;
  // How many messages all sessions of a user may have selected together: each of them costs memory
  // for every message of its mailbox, and by what the client asks of them.
  static constexpr uint64_t kMostViewed = uint64_t{32} << 20;
  [[nodiscard]] virtual uint64_t viewed(const std::string& user) const = 0;
  // So many more, or fewer. What a session has added it takes away again.
  virtual void view(const std::string& user, int64_t more) = 0;
  // The account, shared with the user's other sessions. It is made for a new user.
  virtual Task<Result<std::shared_ptr<store::Account>>> open_account(std::string user) = 0;

  // storage UNAVAILABLE when the file system is too full for a message of `bytes` bytes.
  virtual Task<Status> room_for(uint64_t bytes) = 0;
  // Does `work` now, or on the pool when the message is large. What it uses must stay until it
  // returns.
  virtual Task<void> work_on(std::string_view message, std::function<void()> work) = 0;
  // Does `work` on the pool. What it uses must stay until it returns, and nothing else use it.
  virtual Task<void> work_apart(std::function<void()> work) = 0;
  // message::make_structure() by work_on(), with the configured limits.
  virtual Task<std::string> make_structure(std::string_view message) = 0;
  // Gives a client back to its rims-login, which answers `tag`: it may log in again. `socket` is
  // the one it came with, of which the session reads and writes no more. refused UNAVAILABLE when
  // there is no such rims-login now; limit LIMIT when `unread` is too much for a message.
  virtual Task<Status> give_back(Fd socket, const Client& client, std::string tag,
                                 std::string_view unread) = 0;
  // Delivers a message of the delivery user to `recipient`, as any other mail.
  virtual Task<Result<ipc::SubmitReply>> submit(ipc::Submit order, Fd message) = 0;
};

// What the worker asks of a session. It counts as a session of the user from its construction to
// its destruction.
class HostedSession {
 public:
  HostedSession() = default;
  HostedSession(const HostedSession&) = delete;
  HostedSession& operator=(const HostedSession&) = delete;
  virtual ~HostedSession() = default;

  // Answers the login, then serves the client to the end. Run once.
  virtual Task<void> run() = 0;
  // Tell the client `why`, and end as soon as the command in work is done. Does not wait.
  virtual void stop(std::string_view why) = 0;

  // A reload has changed these of SessionHost::server_entries(). Does not wait.
  virtual void server_entries_changed(const std::vector<std::string>& /*names*/) {}

  // For the administrator.
  struct Activity {
    std::string mailbox;  // selected, or ""
    std::string client;   // what it called itself since the login, or ""
    std::chrono::steady_clock::time_point last_input;
  };
  [[nodiscard]] virtual Activity activity() const = 0;
};

// A protocol that logged-in clients speak.
struct Protocol {
  // May this tag be sent back to a client? What rims-login hands over is not trusted.
  bool (*is_tag)(std::string_view tag);
  std::unique_ptr<HostedSession> (*make)(SessionHost& host, Client client);
};

}  // namespace rims::imapd
