// common/ipc/roles.h - the processes of the suite, as every link names them
#pragma once

#include <cstdint>

namespace rims::ipc {

enum class Role : uint8_t { controller, log, auth, login, imapd, deliverd, last = deliverd };

// "rims-imapd"
[[nodiscard]] constexpr const char* role_name(Role role) {
  constexpr const char* names[] = {"rims-controller", "rims-log",   "rims-auth",
                                   "rims-login",      "rims-imapd", "rims-deliverd"};
  return names[static_cast<unsigned>(role)];
}

}  // namespace rims::ipc
