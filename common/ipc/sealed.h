// common/ipc/sealed.h - bytes that are sent between processes in a sealed memfd
//
// A message or a configuration part: written once, sealed, then sent by descriptor. A sealed memfd
// can neither change nor shrink while it is read (a mapped file that shrinks causes a SIGBUS). A
// process that gets one from a process that it does not trust checks the seals first.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "common/base/fd.h"
#include "common/base/result.h"

namespace rims::ipc {

// An empty memfd to be filled, close-on-exec. `name` is seen in /proc only.
[[nodiscard]] Result<Fd> make_memfd(const char* name);
// Seals against writing, growing, shrinking and further seals. No writable mapping may be left.
[[nodiscard]] Status seal(int fd);
// make_memfd, write, seal.
[[nodiscard]] Result<Fd> sealed_copy(std::string_view bytes, const char* name);

// The size of a sealed memfd that can be read. Errors: refused when it is anything else (not a
// memfd, a seal is missing, not readable), limit when it holds more than `max` bytes.
[[nodiscard]] Result<uint64_t> sealed_size(int fd, uint64_t max);
// All bytes, after the same checks.
[[nodiscard]] Result<std::string> sealed_bytes(int fd, uint64_t max);

}  // namespace rims::ipc
