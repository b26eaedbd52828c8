// cli/terminal.h - asking a person for a password, without echo
#pragma once

#include <string>

#include "common/base/result.h"
#include "common/base/secret.h"

namespace rims::cli {

// From the controlling terminal, whatever standard input is. Error: refused when there is none.
// The terminal is restored also when the program is interrupted.
[[nodiscard]] Result<Secret> ask_password(const std::string& prompt);
// Asks twice; an error when the two differ.
[[nodiscard]] Result<Secret> ask_new_password();

}  // namespace rims::cli
