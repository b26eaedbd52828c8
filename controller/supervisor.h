// controller/supervisor.h - starts the suite, keeps it alive, ends it
//
//   Trust   every byte of a child is an attacker's: the only messages taken are Ready, once,
//           LinkLost, once of each link that it was given, and Reloaded, once of each Reload;
//           anything else ends the child with SIGKILL
//   Links   made here as kEdges says, an end for each side; a process that is started again gets
//           fresh links, and each of its peers the other end. So do both ends of a link that was
//           lost between two processes that live, after a wait that grows while it does not hold
//   Order   start: all are executed, get their links, then Begin in the order of the table.
//           stop: rims-login and rims-deliverd stop taking work, then rims-imapd ends, then
//           rims-auth, rims-log last; after kStopLimit the rest is killed
#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "common/async/event.h"
#include "common/async/loop.h"
#include "common/async/scope.h"
#include "common/base/log.h"
#include "common/ipc/control_link.h"
#include "common/ipc/link.h"
#include "controller/backoff.h"
#include "controller/identity.h"
#include "controller/parts.h"
#include "controller/sockets.h"

namespace rims::controller {

inline constexpr Milliseconds kStopLimit{9'000};
inline constexpr Milliseconds kReadyLimit{30'000};
inline constexpr Milliseconds kReloadLimit{10'000};

struct Plan {
  std::string programs;  // the directory of the binaries
  std::string log_file;  // for messages that point to it
  uint32_t imapd_workers = 1, login_workers = 1;
  Identities identities;
  Parts parts;
  std::vector<Listener> listeners;
  // For a line that the log file has from its process itself.
  std::function<void(ipc::Role, log::Level, std::string_view)> outside_only =
      [](ipc::Role, log::Level level, std::string_view text) { log::line(level, {}, text); };
};

class Supervisor {
 public:
  Supervisor(Loop& loop, Plan plan);
  Supervisor(const Supervisor&) = delete;
  Supervisor& operator=(const Supervisor&) = delete;
  ~Supervisor();

  // Returns when all are Ready. On an error nothing is left running.
  Task<Status> start();
  // Makes start() fail: the suite was asked to stop before all were Ready.
  void give_up_start();
  // Sends its new part to each process whose part has changed, and always to rims-log, which
  // reopens its file.
  void reload(Parts parts, const std::string& log_file);
  // Waits until every process has what reload() sent, or the limit has passed; returns those that
  // have not: "rims-imapd 1 (process 4711)".
  Task<std::vector<std::string>> reloaded(Milliseconds limit = kReloadLimit);
  // Returns when all have ended. `before_log`: called when rims-log is the last one.
  Task<void> stop(const std::function<void()>& before_log = {});
  // Into the log file: at once, or when rims-log is there. Too many lines that wait are lost.
  void tell(log::Level level, std::string_view text);
  // Gives rims-ctl a link to each process that has clients and to rims-auth, and says which one
  // does not run.
  Task<void> introduce(std::shared_ptr<ipc::Link> ctl);
  // SIGCHLD.
  void reap();
  [[nodiscard]] const std::vector<Listener>& listeners() const { return plan_.listeners; }

 private:
  struct Process;  // one place in the plan; it stays when its process is replaced
  struct Life;     // one process in that place

  Status launch(Process& process);
  Task<void> listen(std::shared_ptr<Life> life);
  void tell_waiting();
  void attach_listeners(Process& process);
  struct Pair;
  Pair& pair_of(Process& a, Process& b);
  void connect(Process& a, Process& b);
  void lost(Process& process, uint32_t serial);
  void connect_later(Pair& pair);
  Task<void> connect_again(Pair& pair);
  [[nodiscard]] bool take(Process& process, Life& life, const ipc::Packet& packet);
  void connect_all(Process& process);
  void begin(Process& process);
  template <class Message>
  void send(Process& process, Message message, Fd fd);
  Task<void> carry(std::shared_ptr<Life> life, uint16_t type, std::string body, Fd fd);
  Task<void> watch(Process& process, std::shared_ptr<Life> life);
  Task<void> restart_after(Process& process, Milliseconds wait);
  void ended(Process& process, int status);
  Task<void> judge_later(Process& process, std::shared_ptr<Life> life);
  void judge(Process& process, int status);
  void kill(const Life& life, std::string_view why);
  Task<void> end_roles(std::vector<ipc::Role> roles, Milliseconds limit);
  [[nodiscard]] bool any_alive(const std::vector<ipc::Role>& roles) const;

  Loop& loop_;
  Plan plan_;
  std::vector<std::unique_ptr<Process>> processes_;
  std::vector<std::unique_ptr<Pair>> pairs_;
  uint32_t last_serial_ = 0;
  Event changed_;  // a process became ready or ended
  bool starting_ = true, stopping_ = false;
  std::string start_failure_;
  std::deque<ipc::Tell> untold_;  // for rims-log
  Scope scope_;                   // last: its tasks use the others
};

}  // namespace rims::controller
