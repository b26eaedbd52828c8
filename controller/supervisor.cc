// controller/supervisor.cc - starts, watches and ends the processes

#include "controller/supervisor.h"

#include <algorithm>
#include <csignal>
#include <fcntl.h>
#include <set>
#include <sys/socket.h>
#include <sys/wait.h>

#include <fmt/core.h>

#include "common/base/errno_text.h"
#include "common/base/log.h"
#include "common/ipc/admin_link.h"
#include "common/ipc/control_link.h"
#include "common/ipc/sealed.h"
#include "common/privdrop/process_table.h"
#include "controller/spawn.h"
#include "controller/voice.h"

namespace rims::controller {
namespace {

// After so long the end of a process is its own, and not that of the suite.
constexpr Milliseconds kOrderlyEnd{200};
// The waits before a lost link is made again: from the first to the most, and from the first again
// when it has held for some time.
constexpr Milliseconds kRelinkFirst{100}, kRelinkMost{10'000}, kLinkHeld{20'000};

}  // namespace

struct Supervisor::Life {
  Life(Loop& loop, Spawned spawned, const std::string& binary, const std::string& name,
       Voice::Say say)
      : pid(spawned.pid),
        control(loop, std::move(spawned.control), name, ipc::kControllerAccepts),
        voice(std::move(spawned.words), binary, fmt::format("{} (process {})", name, pid),
              std::move(say)),
        started(Loop::now()) {}
  pid_t pid;
  ipc::Link control;
  Voice voice;
  std::chrono::steady_clock::time_point started;
  bool ready = false;
  bool ended = false;
  bool killed_by_us = false;
  std::set<uint32_t> links;  // given to it, and not yet reported lost
  uint32_t reloads = 0;      // sent to it, and not yet in force
};

struct Supervisor::Process {
  const privdrop::Row* row;
  uint32_t index;
  std::string name;  // "rims-imapd 1"
  // Shared with the coroutines that still use its link when it ends.
  std::shared_ptr<Life> life;
  Backoff backoff;

  [[nodiscard]] ipc::Role role() const { return row->role; }
  [[nodiscard]] bool alive() const { return life && !life->ended; }
};

// Two processes with a link between them.
struct Supervisor::Pair {
  Process *a, *b;
  uint32_t serial = 0;  // of the link in use; 0: there never was one
  std::chrono::steady_clock::time_point made;
  Milliseconds wait{0};  // before the last time that it was made again
  bool pending = false;  // it is being made again
};

Supervisor::Supervisor(Loop& loop, Plan plan)
    : loop_(loop), plan_(std::move(plan)), changed_(loop), scope_(loop) {
  for (const privdrop::Row* row : privdrop::kProcessTable) {
    if (row->role == ipc::Role::controller) continue;
    const uint32_t count = row->role == ipc::Role::imapd   ? plan_.imapd_workers
                           : row->role == ipc::Role::login ? plan_.login_workers
                                                           : 1;
    for (uint32_t i = 0; i < count; i++)
      processes_.push_back(std::make_unique<Process>(Process{
          .row = row,
          .index = i,
          .name = count > 1 ? fmt::format("{} {}", row->binary, i) : std::string(row->binary),
          .life = nullptr,
          .backoff = {}}));
  }
}

Supervisor::~Supervisor() {
  for (const auto& process : processes_)
    if (process->alive()) ::kill(process->life->pid, SIGKILL);
}

void Supervisor::kill(const Life& life, std::string_view why) {
  if (life.ended) return;
  log::error({}, "{} (process {}) is killed: {}", life.control.peer(), life.pid, why);
  ::kill(life.pid, SIGKILL);
}

// Sending -------------------------------------------------------------------------------------

Task<void> Supervisor::carry(std::shared_ptr<Life> life, uint16_t type, std::string body, Fd fd) {
  std::vector<Fd> fds;
  if (fd) fds.push_back(std::move(fd));
  auto sent = co_await life->control.send_packet(type, std::move(body), std::move(fds));
  // A process that ended is reaped elsewhere; one that runs but does not read is killed.
  if (!sent && !life->ended && sent.error().fault() == Fault::timeout) {
    life->killed_by_us = true;
    kill(*life, sent.error().detail());
  }
}

template <class Message>
void Supervisor::send(Process& process, Message message, Fd fd) {
  scope_.spawn(carry(process.life, static_cast<uint16_t>(Message::kType), ipc::encode(message),
                     std::move(fd)));
}

Status Supervisor::launch(Process& process) {
  TRY(Spawned spawned,
      spawn(plan_.programs + "/" + process.row->binary, plan_.identities.privileged));
  const auto say = [this, from = process.role()](log::Level level, std::string_view text,
                                                 bool known) {
    if (known)
      plan_.outside_only(from, level, text);
    else
      log::line(level, {}, text);
  };
  process.life =
      std::make_shared<Life>(loop_, std::move(spawned), process.row->binary, process.name, say);
  scope_.spawn(listen(process.life));
  const auto role = static_cast<size_t>(process.role());
  auto part = ipc::sealed_copy(plan_.parts.of[role], "rims configuration");
  scope_.spawn(watch(process, process.life));
  if (!part) {
    process.life->killed_by_us = true;
    ::kill(process.life->pid, SIGKILL);
    return std::unexpected(part.error());
  }
  send(process, configure(plan_.identities, process.role(), process.index, plan_.imapd_workers),
       std::move(*part));
  attach_listeners(process);
  return {};
}

void Supervisor::attach_listeners(Process& process) {
  for (const Listener& listener : plan_.listeners) {
    const bool deliver = listener.channel == ipc::Channel::listen_deliver ||
                         listener.channel == ipc::Channel::listen_lmtp;
    if (process.role() != (deliver ? ipc::Role::deliverd : ipc::Role::login)) continue;
    // One that was taken over may have shut it down, for itself and for whoever comes after it.
    if (::listen(listener.fd.get(), SOMAXCONN) != 0)
      log::error({}, "cannot listen on {} again: {}", listener.name, errno_text(errno));
    Fd copy(fcntl(listener.fd.get(), F_DUPFD_CLOEXEC, 0));
    if (!copy) continue;  // out of descriptors: the process does not become ready, which is logged
    send(process,
         ipc::Attach{
             .channel = listener.channel, .peer = ipc::Role::controller, .index = listener.index},
         std::move(copy));
  }
}

Supervisor::Pair& Supervisor::pair_of(Process& a, Process& b) {
  for (const auto& pair : pairs_)
    if ((pair->a == &a && pair->b == &b) || (pair->a == &b && pair->b == &a)) return *pair;
  return *pairs_.emplace_back(std::make_unique<Pair>(Pair{.a = &a, .b = &b}));
}

void Supervisor::connect(Process& a, Process& b) {
  Pair& pair = pair_of(a, b);
  auto ends = ipc::make_pair();
  if (!ends) {
    log::error({}, "no link between {} and {}: {}", a.name, b.name, ends.error().detail());
    connect_later(pair);
    return;
  }
  pair.serial = ++last_serial_;
  pair.made = Loop::now();
  const auto give = [&](Process& to, const Process& peer, Fd end) {
    to.life->links.insert(pair.serial);
    send(to,
         ipc::Attach{.channel = ipc::Channel::link,
                     .peer = peer.role(),
                     .index = peer.index,
                     .serial = pair.serial},
         std::move(end));
  };
  give(a, b, std::move((*ends)[0]));
  give(b, a, std::move((*ends)[1]));
}

// Both ends tell; only the first is news. A link that was replaced is none.
void Supervisor::lost(Process& process, uint32_t serial) {
  for (const auto& pair : pairs_) {
    if (pair->serial != serial || (pair->a != &process && pair->b != &process)) continue;
    connect_later(*pair);
    return;
  }
}

void Supervisor::connect_later(Pair& pair) {
  if (pair.pending) return;
  pair.pending = true;
  const bool held = pair.serial != 0 && Loop::now() - pair.made > kLinkHeld;
  pair.wait = held ? kRelinkFirst : std::clamp(pair.wait * 2, kRelinkFirst, kRelinkMost);
  scope_.spawn(connect_again(pair));
}

Task<void> Supervisor::connect_again(Pair& pair) {
  const uint32_t serial = pair.serial;
  co_await sleep_for(loop_, pair.wait);
  pair.pending = false;
  // The link was lost because one of them has ended: it gets new ones when it is started again, or
  // has got them already.
  if (stopping_ || pair.serial != serial || !pair.a->alive() || !pair.b->alive()) co_return;
  log::warn({}, "the link between {} and {} was lost; it is made again after {:.1f} s",
            pair.a->name, pair.b->name, static_cast<double>(pair.wait.count()) / 1000);
  connect(*pair.a, *pair.b);
}

static bool linked(ipc::Role a, ipc::Role b) {
  return std::ranges::any_of(privdrop::kEdges, [&](const privdrop::Edge& e) {
    return (e.a == a && e.b == b) || (e.a == b && e.b == a);
  });
}

void Supervisor::connect_all(Process& process) {
  for (const auto& other : processes_)
    if (other.get() != &process && other->alive() && linked(process.role(), other->role()))
      connect(process, *other);
}

void Supervisor::begin(Process& process) { send(process, ipc::Begin{}, {}); }

Task<void> Supervisor::introduce(std::shared_ptr<ipc::Link> ctl) {
  for (const auto& process : processes_) {
    const ipc::Role role = process->role();
    if (role != ipc::Role::imapd && role != ipc::Role::login && role != ipc::Role::auth) continue;
    // Not while it starts: then it has no clients, and its links must come first.
    const bool there = process->alive() && process->life->ready && !stopping_;
    auto ends = there ? ipc::make_pair() : fail(Fault::peer_gone, "it does not run");
    Status sent;
    if (ends) {
      send(*process, ipc::Attach{.channel = ipc::Channel::admin, .peer = ipc::Role::controller},
           std::move((*ends)[0]));
      std::vector<Fd> end;
      end.push_back(std::move((*ends)[1]));
      sent = co_await ctl->send(ipc::Reach{.role = process->role(),
                                           .index = process->index,
                                           .pid = static_cast<uint32_t>(process->life->pid)},
                                std::move(end));
    } else {
      sent = co_await ctl->send(ipc::Absent{.role = process->role(), .index = process->index});
    }
    if (!sent) co_return;
  }
}

// What it has to say ------------------------------------------------------------------------------

Task<void> Supervisor::listen(std::shared_ptr<Life> life) {
  do co_await readable(loop_, life->voice.fd());
  while (life->voice.hear(Loop::now()));
}

void Supervisor::tell(log::Level level, std::string_view text) {
  constexpr size_t kMostWaiting = 256;
  if (untold_.size() >= kMostWaiting) return;
  ipc::Tell line;
  line.level = static_cast<ipc::LogLevel>(level);
  line.text = text.substr(0, log::kMaxLine);
  untold_.push_back(std::move(line));
  tell_waiting();
}

void Supervisor::tell_waiting() {
  const auto log =
      std::ranges::find(processes_, ipc::Role::log, [](const auto& p) { return p->role(); });
  if (log == processes_.end() || !(*log)->alive() || !(*log)->life->ready) return;
  while (!untold_.empty()) {
    send(**log, std::move(untold_.front()), {});
    untold_.pop_front();
  }
}

// Watching ------------------------------------------------------------------------------------

// False: a breach.
bool Supervisor::take(Process& process, Life& life, const ipc::Packet& packet) {
  if (packet.type == static_cast<uint16_t>(ipc::ControlMsg::link_lost)) {
    const auto message = ipc::open_packet<ipc::LinkLost>(life.control, packet);
    if (!message) return false;
    if (life.links.erase(message->serial) == 0) {
      life.control.breach("LinkLost of a link that it does not have");
      return false;
    }
    lost(process, message->serial);
    return true;
  }
  if (packet.type == static_cast<uint16_t>(ipc::ControlMsg::reloaded)) {
    if (!ipc::open_packet<ipc::Reloaded>(life.control, packet)) return false;
    if (life.reloads == 0) {
      life.control.breach("Reloaded without a Reload");
      return false;
    }
    life.reloads--;
    changed_.set();
    return true;
  }
  if (life.ready) {
    life.control.breach("Ready twice");
    return false;
  }
  life.ready = true;
  changed_.set();
  tell_waiting();
  if (!starting_) log::info({}, "{} is back (process {})", process.name, life.pid);
  return true;
}

Task<void> Supervisor::watch(Process& process, std::shared_ptr<Life> life) {
  for (;;) {
    auto packet = co_await life->control.receive();
    if (!packet) {
      // It has closed its end: probably it is about to end, so give it time for that.
      if (!life->control.broken()) co_await sleep_for(loop_, Milliseconds(100));
      break;
    }
    if (!take(process, *life, *packet)) break;
  }
  if (life->ended || stopping_) co_return;
  life->killed_by_us = true;
  kill(*life,
       life->control.broken() ? "it broke the rules of its link" : "it closed its control link");
}

void Supervisor::reap() {
  for (;;) {
    int status = 0;
    const pid_t pid = waitpid(-1, &status, WNOHANG);
    if (pid <= 0) return;
    for (const auto& process : processes_)
      if (process->alive() && process->life->pid == pid) ended(*process, status);
  }
}

void Supervisor::ended(Process& process, int status) {
  Life& life = *process.life;
  life.voice.hear(Loop::now());  // its last words
  life.ended = true;
  life.control.close();
  changed_.set();
  if (stopping_) {
    if (status != 0)
      log::warn({}, "{} (process {}) {} while it was stopped", process.name, life.pid,
                describe_end(status));
    return;
  }
  if (starting_) {
    if (start_failure_.empty())
      start_failure_ = fmt::format("{} {} before it was ready; {} may say why", process.name,
                                   describe_end(status), plan_.log_file);
    return;
  }
  if (status == 0)
    scope_.spawn(judge_later(process, process.life));
  else
    judge(process, status);
}

// It has ended in order, as after SIGTERM. Where all processes got that at once, as from a service
// manager or a shutdown, ours is about to be seen.
Task<void> Supervisor::judge_later(Process& process, std::shared_ptr<Life> life) {
  co_await sleep_for(loop_, kOrderlyEnd);
  if (!stopping_ && process.life == life) judge(process, 0);
}

void Supervisor::judge(Process& process, int status) {
  const Life& life = *process.life;
  const bool from_outside = WIFSIGNALED(status) && !life.killed_by_us &&
                            (WTERMSIG(status) == SIGKILL || WTERMSIG(status) == SIGTERM);
  const auto lifetime = std::chrono::duration_cast<Milliseconds>(Loop::now() - life.started);
  const Backoff::Verdict verdict = process.backoff.died(lifetime, life.ready, from_outside);
  const double wait = static_cast<double>(verdict.wait.count()) / 1000;
  log::error({}, "{} (process {}) {} after {:.1f} s; it is started again {}", process.name,
             life.pid, describe_end(status), static_cast<double>(lifetime.count()) / 1000,
             verdict.wait.count() == 0 ? std::string("at once") : fmt::format("in {:.1f} s", wait));
  if (verdict.announce)
    log::error({},
               "crash loop: {} ended {} times in a row; the waits between starts get longer. "
               "Look at {} and at the lines above; \"rims-ctl check\" looks at the "
               "configuration",
               process.name, process.backoff.deaths(), plan_.log_file);
  scope_.spawn(restart_after(process, verdict.wait));
}

Task<void> Supervisor::restart_after(Process& process, Milliseconds wait) {
  if (wait.count() > 0) co_await sleep_for(loop_, wait);
  while (!stopping_) {
    auto launched = launch(process);
    if (launched) break;
    log::error({}, "{} could not be started: {}", process.name, launched.error().detail());
    if (process.life && !process.life->ended) co_return;  // reaped, and then tried again
    co_await sleep_for(loop_, Milliseconds(1000));
  }
  if (stopping_) co_return;
  const std::shared_ptr<Life> life = process.life;
  connect_all(process);
  begin(process);
  const auto until = Loop::now() + kReadyLimit;
  while (!life->ready && !life->ended && Loop::now() < until) {
    changed_.clear();
    co_await changed_.wait(Milliseconds(1000));
  }
  if (life->ended || stopping_) co_return;
  if (!life->ready) {
    life->killed_by_us = true;
    kill(*life, "it did not become ready");
    co_return;
  }
  co_await sleep_for(loop_, Backoff::kLivedAWhile);
  if (!life->ended && process.backoff.lives())
    log::info({}, "{} keeps running: the crash loop is over", process.name);
}

// Start, reload, stop ----------------------------------------------------------------------------

Task<Status> Supervisor::start() {
  for (const auto& process : processes_) {
    auto launched = launch(*process);
    if (!launched) {
      start_failure_ =
          fmt::format("{} could not be started: {}", process->name, launched.error().detail());
      break;
    }
  }
  if (start_failure_.empty()) {
    for (size_t i = 0; i < processes_.size(); i++)
      for (size_t j = 0; j < i; j++)
        if (linked(processes_[i]->role(), processes_[j]->role()))
          connect(*processes_[i], *processes_[j]);
    for (const auto& process : processes_) begin(*process);
  }
  const auto until = Loop::now() + kReadyLimit;
  const auto waiting = [this]() -> const Process* {
    for (const auto& process : processes_)
      if (process->alive() && !process->life->ready) return process.get();
    return nullptr;
  };
  while (start_failure_.empty()) {
    const Process* slow = waiting();
    if (!slow) break;
    if (Loop::now() > until) {
      start_failure_ =
          fmt::format("{} was not ready after {} s", slow->name, kReadyLimit.count() / 1000);
      break;
    }
    changed_.clear();
    co_await changed_.wait(Milliseconds(1000));
  }
  if (!start_failure_.empty()) {
    co_await stop();
    co_return fail(Fault::refused, start_failure_);
  }
  starting_ = false;
  co_return Status();
}

void Supervisor::give_up_start() {
  if (!starting_ || stopping_) return;
  if (start_failure_.empty()) start_failure_ = "stopped while it started";
  changed_.set();
}

void Supervisor::reload(Parts parts, const std::string& log_file) {
  plan_.log_file = log_file;
  for (const auto& process : processes_) {
    const auto role = static_cast<size_t>(process->role());
    const bool same = plan_.parts.of[role] == parts.of[role];
    if (!process->alive() || (same && process->role() != ipc::Role::log)) continue;
    auto part = ipc::sealed_copy(parts.of[role], "rims configuration");
    if (!part) {
      log::error({}, "{} could not be sent the new configuration: {}", process->name,
                 part.error().detail());
      continue;
    }
    process->life->reloads++;
    send(*process, ipc::Reload{}, std::move(*part));
  }
  plan_.parts = std::move(parts);
}

Task<std::vector<std::string>> Supervisor::reloaded(Milliseconds limit) {
  const auto until = Loop::now() + limit;
  while (!stopping_) {
    std::vector<std::string> late;
    for (const auto& process : processes_) {
      // One that is started just now was given the new configuration.
      if (process->alive() && process->life->ready && process->life->reloads == 0) continue;
      late.push_back(process->alive()
                         ? fmt::format("{} (process {})", process->name, process->life->pid)
                         : process->name);
    }
    if (late.empty() || Loop::now() >= until) co_return late;
    changed_.clear();
    co_await changed_.wait(std::chrono::ceil<Milliseconds>(until - Loop::now()));
  }
  co_return std::vector<std::string>();
}

bool Supervisor::any_alive(const std::vector<ipc::Role>& roles) const {
  return std::ranges::any_of(processes_, [&](const auto& process) {
    return process->alive() && std::ranges::find(roles, process->role()) != roles.end();
  });
}

// Sends Stop to these, then waits until they have ended or the limit has passed.
Task<void> Supervisor::end_roles(std::vector<ipc::Role> roles, Milliseconds limit) {
  for (const auto& process : processes_)
    if (process->alive() && std::ranges::find(roles, process->role()) != roles.end())
      send(*process, ipc::Stop{}, {});
  const auto until = Loop::now() + limit;
  while (any_alive(roles) && Loop::now() < until) {
    changed_.clear();
    co_await changed_.wait(std::chrono::duration_cast<Milliseconds>(until - Loop::now()) +
                           Milliseconds(1));
  }
}

Task<void> Supervisor::stop(const std::function<void()>& before_log) {
  using ipc::Role;
  if (stopping_) co_return;
  stopping_ = true;
  changed_.set();
  const auto until = Loop::now() + kStopLimit;
  const auto left = [&] {
    return std::max(Milliseconds(1), std::chrono::duration_cast<Milliseconds>(until - Loop::now()));
  };
  // rims-login carries the bytes of TLS sessions until rims-imapd has sent BYE in them, so it gets
  // Stop first and may end later.
  const std::vector<Role> doors{Role::login, Role::deliverd}, workers{Role::imapd},
      front{Role::login, Role::deliverd, Role::imapd}, auth{Role::auth}, logger{Role::log};
  co_await end_roles(doors, Milliseconds(500));
  co_await end_roles(workers, left() - Milliseconds(2000));
  for (auto grace = Loop::now() + Milliseconds(1000); any_alive(front) && Loop::now() < grace;) {
    changed_.clear();
    co_await changed_.wait(Milliseconds(50));
  }
  const auto kill_left = [&](const std::vector<Role>& roles) {
    for (const auto& process : processes_)
      if (process->alive() && std::ranges::find(roles, process->role()) != roles.end())
        kill(*process->life, "it did not stop in time");
  };
  kill_left(front);
  co_await end_roles(auth, Milliseconds(500));
  kill_left(auth);
  if (before_log) before_log();
  co_await end_roles(logger, Milliseconds(1000));
  kill_left(logger);
  while (std::ranges::any_of(processes_, [](const auto& p) { return p->alive(); })) {
    changed_.clear();
    co_await changed_.wait();
  }
}

}  // namespace rims::controller
