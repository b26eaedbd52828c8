// common/privdrop/privdrop.h - giving up every right that a process does not need, and proving it
//
//   Row    what a process may be: constexpr, one per program, in common/privdrop/process_table.h
//   enter  applies a Row. Every step that fails is fatal (result.h); the order is: no core file,
//          rlimits, the directory of its files as working directory, chroot, bounding set,
//          supplementary groups, gid, uid, proof that root cannot be had back and that no
//          capability is left, no-new-privs, not dumpable, end with the parent, Landlock (files of
//          one directory or none), seccomp. Distinct uids keep processes from signalling each
//          other. It closes no descriptors: a child starts with 0 to 2 and its control link,
//          because the controller closes all others between fork and exec.
//
// Unprivileged start (development): no chroot and no identity change; all the rest is the same.
// A kernel without Landlock (it is in Linux 5.13 and later, unless switched off) is no failure:
// users, permissions and the lists of calls hold without it; enter() logs it.
// Nothing parses a byte of a peer or a client before enter().
//
// Some names in an allow list are narrower than they look (privdrop.cc, conditions): clone makes
// threads only, mmap and mprotect never make memory executable, tgkill and prlimit64 reach only
// the process itself, socketpair is AF_UNIX, ioctl and prctl have a handful of requests.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "common/ipc/roles.h"

namespace rims::privdrop {

struct Limits {  // rlimits; 0 leaves the inherited value
  uint64_t open_files = 0;
  uint64_t file_size = 0;  // bytes
  uint64_t processes = 0;  // of the user, threads count; with an identity change only
};

struct Row {
  ipc::Role role;
  const char* binary;       // in libexec/rims
  const char* user;         // default user, "root" for the controller
  const char* chroot;       // "" none, "empty" the empty directory
  const char* files;        // "" none, "log" the directory of log_file, "base" base_dir
  const char* descriptors;  // what it holds, for doc/privsep.md and the census test
  Limits limits;
  std::span<const char* const> syscalls;  // the allow list; empty: no filter (the controller)
  const char* links;                      // peers, for doc/privsep.md
  const char* may_not;                    // for doc/privsep.md
};

struct Identity {
  bool change = false;  // started as root
  uint32_t uid = 0, gid = 0;
  std::string chroot;     // "" for none
  std::string directory;  // of Row::files; "" for none
};

// After this the process is what its row says, or dead.
void enter(const Row& row, const Identity& who);

// What become() leaves.
enum class Keep : unsigned char {
  nothing,
  reading,  // CAP_DAC_READ_SEARCH: every file may be read, and no other written
};

// For a program that root started but that works as an ordinary user: changes permanently to this
// user, with this group only and without capabilities. Checked as in enter(); a step that fails is
// fatal. Call it before any thread is started.
void become(uint32_t uid, uint32_t gid, Keep keep = Keep::nothing);

// What must be done before enter(): no core file, not dumpable. For the first line of a program
// that will hold secrets; execve(2) makes it dumpable again.
void hide_memory();

}  // namespace rims::privdrop
