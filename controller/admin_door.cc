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
  co_await supervisor_.introduce(std::make_shared<ipc::Link>(loop_, std::move(caller), "rims-ctl",
                                                             ipc::kControllerAcceptsFromCtl));
}

}  // namespace rims::controller
