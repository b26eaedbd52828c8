// common/privdrop/steps.h - two steps of enter() that its tests look at one by one
#pragma once

#include <string>

#include "common/privdrop/privdrop.h"

namespace rims::privdrop {

// Ends the process: `what` failed, so that rights might be left.
[[noreturn]] void failed(std::string_view what);
[[noreturn]] void failed(std::string_view what, int error);

// Landlock: from now on `rights` below `directory` ("": nowhere), no TCP port, and neither signals
// nor abstract sockets of processes that are not confined together with this one. Open descriptors
// stay usable. What this kernel does not know is left out.
void confine(FileRights rights, const std::string& directory);

// Seccomp: from now on only these calls; any other ends the process.
void filter_calls(std::span<const Call> calls);

}  // namespace rims::privdrop
