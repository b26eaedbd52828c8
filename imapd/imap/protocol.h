// imapd/imap/protocol.h - IMAP as the Protocol of the worker
#pragma once

#include "imapd/session/session_host.h"

namespace rims::imapd {

[[nodiscard]] Protocol imap_protocol();

}  // namespace rims::imapd
