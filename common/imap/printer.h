// common/imap/printer.h - a Command as the bytes of a client, for round trips and for our own
// client
//
// Shows passwords: never for logs. Literals are non-synchronizing.
#pragma once

#include <string>

#include "common/imap/command.h"

namespace rims::imap {

[[nodiscard]] std::string print(const Command& command);  // with CRLF

}  // namespace rims::imap
