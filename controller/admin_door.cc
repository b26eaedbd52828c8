// controller/admin_door.cc - takes callers, and introduces them

#include "controller/admin_door.h"

#include <cerrno>
#include <sys/socket.h>
#include <unistd.h>

#include "common/base/errno_text.h"
#include "common/base/log.h"
#include "common/ipc/admin_link.h"

namespace rims::controller {

AdminDoor::AdminDoor(Loop& loop, Supervisor& supervisor, Listener listener)
    : loop_(loop), supervisor_(supervisor), listener_(std::move(listener)), scope_(loop) {
  scope_.spawn(take_callers());
}

AdminDoor::~AdminDoor() { unlink(listener_.name.c_str()); }

Task<void> AdminDoor::take_callers() {
  while (true) {
    co_await readable(loop_, listener_.fd.get());
    Fd caller(accept4(listener_.fd.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
    const int error = errno;
    if (caller) {
      scope_.spawn(serve(std::move(caller)));
    } else if (error != EAGAIN && error != EINTR && error != ECONNABORTED) {
      log::error({}, "accept on {}: {}", listener_.name, errno_text(error));
      co_await sleep_for(loop_, Milliseconds(1000));  // it stays readable
    }
  }
}

Task<void> AdminDoor::serve(Fd caller) {
  ucred who{};
  socklen_t size = sizeof who;
  if (getsockopt(caller.get(), SOL_SOCKET, SO_PEERCRED, &who, &size) != 0 ||
      (who.uid != 0 && who.uid != geteuid())) {
    log::warn({}, "{}: user {} is refused", listener_.name, who.uid);
    co_return;
  }
  const auto link = std::make_shared<ipc::Link>(loop_, std::move(caller), "rims-ctl",
                                                ipc::kControllerAcceptsFromCtl);
  co_await supervisor_.introduce(link);
  const Status told = co_await link->send(ipc::Introduced{.reloads = reloads_});
  if (!told) co_return;
  std::erase_if(callers_, [](const auto& old) { return old.expired(); });
  callers_.push_back(link);
  (void)co_await link->receive();  // its end
}

void AdminDoor::reload_has_ended(uint64_t number, ipc::ReloadEnd end,
                                 const std::vector<std::string>& remarks) {
  for (const auto& caller : callers_)
    if (SharedLink link = caller.lock())
      scope_.spawn(tell(std::move(link), {.number = number, .end = end}, remarks));
}

Task<void> AdminDoor::tell(SharedLink link, ipc::ReloadHasEnded end,
                           std::vector<std::string> remarks) {
  for (const std::string& remark : remarks) {
    ipc::Remark line;
    line.text = remark.substr(0, log::kMaxLine);
    const Status told = co_await link->send(std::move(line));
    if (!told) co_return;
  }
  (void)co_await link->send(end);
}

}  // namespace rims::controller
