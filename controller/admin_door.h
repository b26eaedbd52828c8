// controller/admin_door.h - where rims-ctl gets its links to the processes (ipc/admin_link.h)
//
//   Trust   a caller is root or the user of the suite, as the file's mode and the kernel
//           (SO_PEERCRED) say; not a byte of it is read
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "common/async/scope.h"
#include "common/ipc/admin_link.h"
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

  // To all callers that are still there: a reload has begun; it has come to an end.
  void reload_begins() { reloads_++; }
  [[nodiscard]] uint64_t reloads() const { return reloads_; }
  void reload_has_ended(uint64_t number, ipc::ReloadEnd end,
                        const std::vector<std::string>& remarks);

 private:
  using SharedLink = std::shared_ptr<ipc::Link>;
  Task<void> take_callers();
  Task<void> serve(Fd caller);
  Task<void> tell(SharedLink link, ipc::ReloadHasEnded end, std::vector<std::string> remarks);

  Loop& loop_;
  Supervisor& supervisor_;
  Listener listener_;
  uint64_t reloads_ = 0;
  std::vector<std::weak_ptr<ipc::Link>> callers_;  // that were introduced
  Scope scope_;                                    // last: its tasks use the others
};

}  // namespace rims::controller
