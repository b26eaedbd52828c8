// controller/admin_door.h - where rims-ctl gets its links to the processes (ipc/admin_link.h)
//
//   Trust   a caller is root or the user of the suite, as the file's mode and the kernel
//           (SO_PEERCRED) say; not a byte of it is read
#pragma once

#include "common/async/scope.h"
#include "controller/sockets.h"
#include "controller/supervisor.h"

namespace rims::controller {

class AdminDoor {
 public:
  // `supervisor` must outlive it.
  AdminDoor(Loop& loop, Supervisor& supervisor, Listener listener);
  AdminDoor(const AdminDoor&) = delete;
  AdminDoor& operator=(const AdminDoor&) = delete;
  // Removes the socket's file.
  ~AdminDoor();

 private:
  Task<void> take_callers();
  Task<void> serve(Fd caller);

  Loop& loop_;
  Supervisor& supervisor_;
  Listener listener_;
  Scope scope_;  // last: its tasks use the others
};

}  // namespace rims::controller
