// common/privdrop/privdrop.h - giving up every right that a process does not need, and proving it
//
//   Row    what a process may be: constexpr, one per program, in common/privdrop/process_table.h
//   enter  applies a Row. Every step that fails is fatal (result.h); the order is: no core file,
//          rlimits, chroot, bounding set, supplementary groups, gid, uid, proof that root cannot
//          be had back and that no capability is left, no-new-privs, not dumpable, end with the
//          parent, Landlock (landlock.cc), seccomp (seccomp.cc). Distinct uids keep processes
//          from signalling each other. It closes no descriptors: a child starts with 0 to 2 and its
//          control link, because the controller closes all others between fork and exec.
//
// Unprivileged start (development): no chroot and no identity change; all the rest is the same.
// Without Landlock (Linux 5.13; ports 6.7, abstract sockets and signals 6.12; unless switched off)
// users, permissions and the lists of calls hold alone; enter() logs it.
// Nothing parses a byte of a peer or a client before enter().
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "common/ipc/roles.h"
#include "common/privdrop/calls.h"

namespace rims::privdrop {

struct Limits {  // rlimits; 0 leaves the inherited value
  uint64_t open_files = 0;
  uint64_t file_size = 0;  // bytes
  uint64_t processes = 0;  // of the user, threads count; with an identity change only
};

// What the process sees of the file system, when it was started as root.
enum class Root : uint8_t {
  whole,
  empty,  // the empty directory
  files,  // the one directory of its files
};

// What it may do below that directory, and nowhere else.
enum class FileRights : uint8_t {
  none,
  append_and_rotate,  // rims-log, the directory of log_file: make, write, rename and remove files
  // rims-imapd, base_dir, and rims-auth, auth.user_directory: that, read, truncate; make
  // directories
  keep,
};

struct Row {
  ipc::Role role;
  const char* binary;  // in libexec/rims
  const char* user;    // default user, "root" for the controller
  Root root;
  FileRights files;
  const char* descriptors;  // what it holds, for doc/privsep.md and the census test
  Limits limits;
  std::span<const Call> calls;  // the allow list; empty: no filter (the controller)
  const char* links;            // peers, for doc/privsep.md
  const char* may_not;          // for doc/privsep.md
};

struct Identity {
  bool change = false;  // started as root
  uint32_t uid = 0, gid = 0;
  std::string chroot;     // for Root::empty; used with a change only
  std::string directory;  // for Row::files; "" for none
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
