// common/base/beneath.h - opening a path below a directory, step by step and through no link
//
// Each part of the path is opened in the one before it, so nobody who may change a directory on the
// way can lead it elsewhere. openat2(2) could do it in one call, but its mode is out of sight of a
// filter of system calls: who may call it may make setuid files.
#pragma once

#include "common/base/fd.h"

namespace rims {

// Like openat(2), close-on-exec. `path` is relative and has no ".."; "." is the directory itself.
// An empty Fd and errno: ELOOP for a symbolic link anywhere in it, EXDEV for a path that may lead
// out of `dir`.
[[nodiscard]] Fd open_beneath(int dir, const char* path, int flags, unsigned mode = 0);

}  // namespace rims
