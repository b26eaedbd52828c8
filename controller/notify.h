// controller/notify.h - telling a service manager that the suite serves (systemd's Type=notify)
#pragma once

#include <string_view>

namespace rims::controller {

// One datagram to $NOTIFY_SOCKET; nothing when there is none.
void notify_manager(std::string_view state);

}  // namespace rims::controller
