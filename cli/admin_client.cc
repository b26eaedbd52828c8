// cli/admin_client.cc - one link to the controller, one to each process

#include "cli/admin_client.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <functional>
#include <memory>
#include <sys/socket.h>
#include <sys/un.h>
#include <tuple>
#include <unistd.h>
#include <utility>

#include <fmt/core.h>

#include "common/async/scope.h"
#include "common/base/errno_text.h"
#include "common/ipc/link.h"

namespace rims::cli {
namespace {

constexpr Milliseconds kAnswerLimit{10'000};
constexpr Milliseconds kKickLimit{25'000};  // more than a worker gives its sessions
constexpr size_t kMostSessions = 65'536;    // as many files as a process may open

struct Process {
  std::string name;
  std::shared_ptr<ipc::Link> link;
};
using Ask = std::function<Task<Status>(Process, Told&)>;

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
Task<void> close_after(Loop& loop, std::shared_ptr<ipc::Link> link, Milliseconds limit) {
  co_await sleep_for(loop, limit);
  link->close();
}

Task<void> ask_one(Loop& loop, Process process, Ask ask, Milliseconds limit, Told& told) {
  Scope clock(loop);
  clock.spawn(close_after(loop, process.link, limit));
  const auto began = Loop::now();
  const Status done = co_await ask(process, told);
  if (done) co_return;
  const bool late = Loop::now() - began >= limit;
  told.problems.push_back(process.name + (late ? " does not answer" : " has ended the link"));
}

Task<Result<Told>> ask_all(Loop& loop, std::string run_dir, Ask ask, Milliseconds limit) {
  CO_TRY(Fd fd, connect_to(run_dir));
  const auto door = std::make_shared<ipc::Link>(loop, std::move(fd), "rims-controller",
                                                ipc::kCtlAcceptsFromController);
  Told told;
  bool introduced = false;
  {
    Scope all(loop);
    Scope clock(loop);
    clock.spawn(close_after(loop, door, kAnswerLimit));
    while (true) {
      const auto packet = co_await door->receive();
      if (!packet) break;
      introduced = true;
      const auto name = [](const auto& message) {
        return fmt::format("{} {}", ipc::role_name(message.role), message.index);
      };
      if (packet->type == static_cast<uint16_t>(ipc::AdminMsg::absent)) {
        const auto absent = ipc::open_packet<ipc::Absent>(*door, *packet);
        if (absent) told.problems.push_back(name(*absent) + " does not run");
        continue;
      }
      const auto reach = ipc::open_packet<ipc::Reach>(*door, *packet);
      if (!reach) break;
      if (!packet->fds.front()) {
        told.problems.push_back(name(*reach) + ": too many open files here");
        continue;
      }
      Fd end(dup(packet->fds.front().get()));
      auto link = std::make_shared<ipc::Link>(loop, std::move(end), name(*reach),
                                              ipc::kCtlAcceptsFromServing);
      all.spawn(ask_one(loop, {name(*reach), std::move(link)}, ask, limit, told));
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

Task<Status> ask_who(Process process, Told& told) {
  CO_TRY_STATUS(co_await process.link->send(ipc::Who{}));
  for (size_t count = 0; count <= kMostSessions; count++) {
    CO_TRY(const ipc::Packet packet, co_await process.link->receive());
    if (packet.type == static_cast<uint16_t>(ipc::AdminMsg::who_done)) co_return Status();
    auto entry = ipc::open_packet<ipc::SessionEntry>(*process.link, packet);
    if (!entry) co_return fail(Fault::peer_gone, "broken");
    told.sessions.push_back({.entry = std::move(*entry), .process = process.name});
  }
  co_return fail(Fault::limit, "too many");
}

Task<Status> ask_kick(Process process, std::vector<ipc::Kick> kicks, Told& told) {
  for (const ipc::Kick& kick : kicks) {
    CO_TRY_STATUS(co_await process.link->send(kick));
    CO_TRY(const ipc::Packet packet, co_await process.link->receive());
    const auto kicked = ipc::open_packet<ipc::Kicked>(*process.link, packet);
    if (!kicked) co_return fail(Fault::peer_gone, "broken");
    told.ended += kicked->count;
  }
  co_return Status();
}

}  // namespace

Result<Told> who(const std::string& run_dir) {
  Loop loop;
  return run(loop, ask_all(loop, run_dir, ask_who, kAnswerLimit));
}

Result<Told> kick(const std::string& run_dir, const std::vector<std::string>& users,
                  const std::vector<std::string>& sessions) {
  std::vector<ipc::Kick> kicks;
  kicks.reserve(users.size() + sessions.size());
  for (const std::string& user : users) kicks.push_back({.user = user, .session = {}});
  for (const std::string& session : sessions) kicks.push_back({.user = {}, .session = session});
  Loop loop;
  const Ask ask = [&kicks](Process process, Told& told) {
    return ask_kick(std::move(process), kicks, told);
  };
  return run(loop, ask_all(loop, run_dir, ask, kKickLimit));
}

}  // namespace rims::cli
