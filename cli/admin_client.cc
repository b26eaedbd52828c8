// cli/admin_client.cc - one link to the controller, one to each process

#include "cli/admin_client.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <functional>
#include <memory>
#include <optional>
#include <sys/socket.h>
#include <sys/un.h>
#include <tuple>
#include <unistd.h>
#include <utility>

#include <fmt/core.h>

#include "common/async/scope.h"
#include "common/base/errno_text.h"
#include "common/ipc/link.h"
#include "common/ipc/users_link.h"

namespace rims::cli {
namespace {

constexpr Milliseconds kAnswerLimit{5'000};   // for the first word
constexpr Milliseconds kKickLimit{25'000};    // for the last; more than a worker gives its sessions
constexpr Milliseconds kReloadLimit{20'000};  // more than the controller gives its processes
constexpr size_t kMostSessions = 65'536;      // as many files as a process may open

struct Process {
  std::string name;
  uint32_t pid;
  std::shared_ptr<ipc::Link> link;
};
using Ask = std::function<Task<Status>(Loop&, Process, Told&)>;

Result<Fd> connect_to(const std::string& run_dir) {
  const std::string path = run_dir + "/" + ipc::kAdminSocket;
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof address.sun_path)
    return fail(Fault::not_found, path + " is too long for a socket");
  std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
  Fd fd(socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
  if (!fd) return fail_errno("socket", errno);
  if (connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0)
    return fd;
  const int error = errno;
  if (error == EACCES)
    return fail(Fault::refused,
                path + ": permission denied; run rims-ctl as root or as the user of the suite");
  return fail(Fault::not_found, path + ": " + errno_text(error));
}

// Closes the link, and so ends who waits on it, unless that is cancelled before.
Task<void> close_after(Loop& loop, std::shared_ptr<ipc::Link> link, Milliseconds limit,
                       bool& late) {
  co_await sleep_for(loop, limit);
  late = true;
  link->close();
}

// Somebody has stopped it by a signal.
bool is_stopped(uint32_t pid) {
  std::ifstream in(fmt::format("/proc/{}/stat", pid));
  std::string text;
  std::getline(in, text);
  const size_t name = text.rfind(") ");
  return name != std::string::npos && text.compare(name + 2, 1, "T") == 0;
}

Task<void> ask_one(Loop& loop, Process process, Ask ask, Told& told) {
  const Status done = co_await ask(loop, process, told);
  if (done) co_return;
  const bool late = done.error().fault() == Fault::timeout;
  told.silent.insert(process.name);
  told.problems.push_back(
      !late ? process.name + " has ended the link"
      : is_stopped(process.pid)
          ? fmt::format("{0} does not answer: process {1} is stopped by a signal; \"kill -CONT "
                        "{1}\" lets it go on",
                        process.name, process.pid)
          : fmt::format("{} does not answer: process {} is very busy, or hangs", process.name,
                        process.pid));
}

Task<Result<Told>> ask_all(Loop& loop, std::string run_dir, Ask ask,
                           std::set<std::string> but_not) {
  CO_TRY(Fd fd, connect_to(run_dir));
  const auto door = std::make_shared<ipc::Link>(loop, std::move(fd), "rims-controller",
                                                ipc::kCtlAcceptsFromController);
  Told told;
  bool introduced = false;
  {
    Scope all(loop);
    while (true) {
      const auto packet = co_await receive_within(loop, door, kAnswerLimit);
      if (!packet) break;
      introduced = packet->type == static_cast<uint16_t>(ipc::AdminMsg::introduced);
      if (introduced) break;
      const auto name = [](const auto& message) {
        return fmt::format("{} {}", ipc::role_name(message.role), message.index);
      };
      // It has no clients.
      const auto is_auth = [](const auto& message) { return message.role == ipc::Role::auth; };
      if (packet->type == static_cast<uint16_t>(ipc::AdminMsg::absent)) {
        const auto absent = ipc::open_packet<ipc::Absent>(*door, *packet);
        if (!absent) break;
        if (is_auth(*absent)) continue;
        told.problems.push_back(name(*absent) + " does not run");
        told.silent.insert(name(*absent));
        continue;
      }
      const auto reach = ipc::open_packet<ipc::Reach>(*door, *packet);
      if (!reach) break;
      if (is_auth(*reach)) continue;
      if (but_not.contains(name(*reach))) continue;
      if (!packet->fds.front()) {
        told.problems.push_back(name(*reach) + ": too many open files here");
        continue;
      }
      Fd end(dup(packet->fds.front().get()));
      auto link = std::make_shared<ipc::Link>(loop, std::move(end), name(*reach),
                                              ipc::kCtlAcceptsFromServing);
      all.spawn(ask_one(loop, {name(*reach), reach->pid, std::move(link)}, ask, told));
    }
    co_await all.join();
  }
  if (!introduced)
    co_return fail(Fault::refused, run_dir + "/" + ipc::kAdminSocket +
                                       ": the suite gives no answer; its log may say why");
  std::ranges::sort(told.problems);
  std::ranges::sort(told.sessions, [](const ToldSession& a, const ToldSession& b) {
    return std::tuple(std::string_view(a.entry.user.value), b.entry.age_s,
                      std::string_view(a.entry.session.value)) <
           std::tuple(std::string_view(b.entry.user.value), a.entry.age_s,
                      std::string_view(b.entry.session.value));
  });
  co_return told;
}

Task<Result<ReloadTold>> begin_and_wait(Loop& loop, std::string run_dir,
                                        std::function<Status()> begin) {
  CO_TRY(Fd fd, connect_to(run_dir));
  const auto door = std::make_shared<ipc::Link>(loop, std::move(fd), "rims-controller",
                                                ipc::kCtlAcceptsFromController);
  ReloadTold told;
  std::optional<uint64_t> before;
  while (true) {
    auto packet = co_await receive_within(loop, door, before ? kReloadLimit : kAnswerLimit);
    if (!packet && packet.error().fault() == Fault::timeout)
      co_return fail(Fault::timeout, "rims-controller does not answer");
    if (!packet)
      co_return before ? fail(Fault::peer_gone, "rims-controller has ended")
                       : fail(Fault::not_found, "rims-controller refuses the connection");
    switch (static_cast<ipc::AdminMsg>(packet->type)) {
      case ipc::AdminMsg::introduced: {
        const auto introduced = ipc::open_packet<ipc::Introduced>(*door, *packet);
        if (!introduced || before) break;
        before = introduced->reloads;
        CO_TRY_STATUS(begin());
        break;
      }
      case ipc::AdminMsg::remark:
        if (auto remark = ipc::open_packet<ipc::Remark>(*door, *packet))
          told.remarks.push_back(std::move(remark->text.value));
        break;
      case ipc::AdminMsg::reload_has_ended: {
        const auto ended = ipc::open_packet<ipc::ReloadHasEnded>(*door, *packet);
        if (!ended) break;
        told.end = ended->end;
        // One that had begun before may have read an earlier file.
        if (before && ended->number > *before) co_return told;
        told = {};
        break;
      }
      default:  // of the processes, which are not asked
        break;
    }
  }
}

Task<Result<std::shared_ptr<ipc::Link>>> find_auth(Loop& loop, std::string run_dir) {
  CO_TRY(Fd fd, connect_to(run_dir));
  const auto door = std::make_shared<ipc::Link>(loop, std::move(fd), "rims-controller",
                                                ipc::kCtlAcceptsFromController);
  while (true) {
    const auto packet = co_await receive_within(loop, door, kAnswerLimit);
    if (!packet)
      co_return fail(Fault::refused, run_dir + "/" + ipc::kAdminSocket +
                                         ": the suite gives no answer; its log may say why");
    if (packet->type == static_cast<uint16_t>(ipc::AdminMsg::reach)) {
      const auto reach = ipc::open_packet<ipc::Reach>(*door, *packet);
      if (!reach || reach->role != ipc::Role::auth || !packet->fds.front()) continue;
      Fd end(dup(packet->fds.front().get()));
      co_return std::make_shared<ipc::Link>(loop, std::move(end), "rims-auth",
                                            ipc::kCtlAcceptsFromAuth);
    }
    if (packet->type == static_cast<uint16_t>(ipc::AdminMsg::introduced))
      co_return fail(Fault::refused, "rims-auth does not run now; try again");
  }
}

Task<Status> ask_who(Loop& loop, Process process, Told& told) {
  CO_TRY_STATUS(co_await process.link->send(ipc::Who{}));
  for (size_t count = 0; count <= kMostSessions; count++) {
    CO_TRY(const ipc::Packet packet, co_await receive_within(loop, process.link, kAnswerLimit));
    if (packet.type == static_cast<uint16_t>(ipc::AdminMsg::who_done)) co_return Status();
    auto entry = ipc::open_packet<ipc::SessionEntry>(*process.link, packet);
    if (!entry) co_return fail(Fault::peer_gone, "broken");
    told.sessions.push_back({.entry = std::move(*entry), .process = process.name});
  }
  co_return fail(Fault::limit, "too many");
}

Task<Status> ask_kick(Loop& loop, Process process, std::vector<ipc::Kick> kicks, Told& told) {
  for (const ipc::Kick& kick : kicks) {
    CO_TRY_STATUS(co_await process.link->send(kick));
    CO_TRY([[maybe_unused]] const ipc::Packet kicking,
           co_await receive_within(loop, process.link, kAnswerLimit));
    CO_TRY(const ipc::Packet packet, co_await receive_within(loop, process.link, kKickLimit));
    const auto kicked = ipc::open_packet<ipc::Kicked>(*process.link, packet);
    if (!kicked) co_return fail(Fault::peer_gone, "broken");
    told.ended += kicked->count;
  }
  co_return Status();
}

}  // namespace

Task<Result<ipc::Packet>> receive_within(Loop& loop, std::shared_ptr<ipc::Link> link,
                                         Milliseconds limit) {
  bool late = false;
  Scope clock(loop);
  clock.spawn(close_after(loop, link, limit, late));
  auto packet = co_await link->receive();
  // Not by the clock: a timer counts from when the loop woke, and may be early by that.
  if (!packet && late) co_return fail(Fault::timeout, "late");
  co_return packet;
}

Task<Result<std::shared_ptr<ipc::Link>>> reach_auth(Loop& loop, std::string run_dir) {
  return find_auth(loop, std::move(run_dir));
}

Result<Told> who(const std::string& run_dir) {
  Loop loop;
  return run(loop, ask_all(loop, run_dir, ask_who, {}));
}

Result<Told> kick(const std::string& run_dir, const std::vector<std::string>& users,
                  const std::vector<std::string>& sessions, const std::set<std::string>& but_not) {
  std::vector<ipc::Kick> kicks;
  kicks.reserve(users.size() + sessions.size());
  for (const std::string& user : users) kicks.push_back({.user = user, .session = {}});
  for (const std::string& session : sessions) kicks.push_back({.user = {}, .session = session});
  Loop loop;
  const Ask ask = [&kicks](Loop& on, Process process, Told& told) {
    return ask_kick(on, std::move(process), kicks, told);
  };
  return run(loop, ask_all(loop, run_dir, ask, but_not));
}

Result<ReloadTold> reload(const std::string& run_dir, const std::function<Status()>& begin) {
  Loop loop;
  return run(loop, begin_and_wait(loop, run_dir, begin));
}

}  // namespace rims::cli
