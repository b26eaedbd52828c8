// common/ipc/links.h - every direction of every link
//
// A message that is not in this list can not be sent: doc/ipc.md is printed from it, the fuzz
// target of the links decodes every message in it, and a test looks for each link of the process
// table.
#pragma once

#include <tuple>

#include "common/ipc/admin_link.h"
#include "common/ipc/auth_link.h"
#include "common/ipc/control_link.h"
#include "common/ipc/deliver_link.h"
#include "common/ipc/log_link.h"
#include "common/ipc/session_link.h"
#include "common/ipc/users_link.h"

namespace rims::ipc {

using Directions =
    std::tuple<LoginToAuth, AuthToLogin, AuthToImapd, ImapdToAuth, DeliverdToAuth, AuthToDeliverd,
               LoginToImapd, ImapdToLogin, ClientToDeliverd, DeliverdToClient, DeliverdToImapd,
               ImapdToDeliverd, AnyToLog, ControllerToChild, ChildToController, ControllerToCtl,
               CtlToController, CtlToServing, ServingToCtl, CtlToAuth, AuthToCtl>;

}  // namespace rims::ipc
