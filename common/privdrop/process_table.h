// common/privdrop/process_table.h - the processes of the suite: what each one is, holds and may do
//
// One constexpr row per program. doc/privsep.md is printed from here (tools/print_privsep.cc), the
// controller starts the programs in it, each program's main enters its row, and the privilege test
// compares /proc with it. A right is changed in this file and nowhere else.
#pragma once

#include <array>
#include <cstddef>

#include "common/ipc/roles.h"
#include "common/privdrop/privdrop.h"

namespace rims::privdrop {

namespace calls {

// Every program: memory, time, its loop, the links it was given, its end.
inline constexpr std::array kBase{
    "read",
    "write",
    "readv",
    "writev",
    "close",
    "recvmsg",
    "sendmsg",
    "recvfrom",
    "sendto",
    "shutdown",
    "getsockopt",
    "setsockopt",
    "fcntl",
    "lseek",
    "fstat",
    "newfstatat",
    "pread64",
    "poll",
    "ppoll",
    "epoll_wait",
    "epoll_pwait",
    "epoll_pwait2",
    "epoll_ctl",
    "eventfd2",
    "pipe2",
    "timerfd_create",
    "timerfd_settime",
    "futex",
    "brk",
    "mmap",
    "munmap",
    "mremap",
    "madvise",
    "mprotect",
    "clock_gettime",
    "clock_nanosleep",
    "clock_getres",
    "nanosleep",
    "gettimeofday",
    "time",
    "getpid",
    "gettid",
    "getppid",
    "getuid",
    "geteuid",
    "getgid",
    "getegid",
    "getrusage",
    "getrandom",
    "rt_sigaction",
    "rt_sigprocmask",
    "rt_sigreturn",
    "sigaltstack",
    "restart_syscall",
    "sched_yield",
    "ioctl",
    "prctl",
    "tgkill",
    "prlimit64",
    "alarm",
    "setitimer",
    "exit",
    "exit_group",
};

// Programs with a pool of threads.
inline constexpr std::array kThreads{
    "clone", "clone3", "set_robust_list", "rseq", "sched_getaffinity", "membarrier", "sysinfo",
};

// Files below a directory that the user of the program owns: no chown, no mount, no device.
inline constexpr std::array kFiles{
    "open",     "openat",     "openat2",    "creat",           "stat",      "lstat",
    "statx",    "statfs",     "fstatfs",    "access",          "faccessat", "faccessat2",
    "readlink", "readlinkat", "getdents64", "getcwd",          "pwrite64",  "preadv",
    "preadv2",  "pwritev",    "pwritev2",   "fsync",           "fdatasync", "sync_file_range",
    "syncfs",   "msync",      "ftruncate",  "fallocate",       "fadvise64", "flock",
    "rename",   "renameat",   "renameat2",  "unlink",          "unlinkat",  "link",
    "linkat",   "mkdir",      "mkdirat",    "rmdir",           "chmod",     "fchmod",
    "fchmodat", "umask",      "utimensat",  "copy_file_range", "dup",       "dup3",
    "chdir",    "fchdir",
};

template <size_t... N>
constexpr auto join(const std::array<const char*, N>&... lists) {
  std::array<const char*, (N + ...)> all{};
  size_t at = 0;
  const auto append = [&](const auto& list) {
    for (const char* name : list) all[at++] = name;
  };
  (append(lists), ...);
  return all;
}

// rims-log opens, rotates and writes.
inline constexpr std::array kLogOwn{
    "open", "openat", "stat", "lstat", "rename", "renameat", "renameat2", "umask",
};
inline constexpr auto kLog = join(kBase, kLogOwn);

inline constexpr auto kAuth = join(kBase, kThreads, std::array{"mlock", "munlock"});

inline constexpr std::array kLoginOwn{
    "accept4", "accept", "socketpair", "getpeername", "getsockname",
};
inline constexpr auto kLogin = join(kBase, kLoginOwn);

inline constexpr std::array kImapdOwn{
    "memfd_create",
    "getpeername",
    "getsockname",
    "sendfile",
};
inline constexpr auto kImapd = join(kBase, kThreads, kFiles, kImapdOwn);

inline constexpr std::array kDeliverdOwn{
    "accept4", "accept", "getpeername", "getsockname", "memfd_create", "ftruncate",
};
inline constexpr auto kDeliverd = join(kBase, kDeliverdOwn);

}  // namespace calls

inline constexpr Row kControllerRow{
    .role = ipc::Role::controller,
    .binary = "rims-controller",
    .user = "root",
    .chroot = "",
    .files = "",
    .descriptors = "listening sockets, one control link per process, pid file",
    .limits = {},
    .syscalls = {},
    .links = "all, by their control links",
    .may_not = "parse a byte that came from the network",
};

inline constexpr Row kLogRow{
    .role = ipc::Role::log,
    .binary = "rims-log",
    .user = "_rimslog",
    .chroot = "",
    .files = "log",
    .descriptors = "control link, one link per process, the log file",
    .limits = {.open_files = 4096, .file_size = 0, .processes = 16},
    .syscalls = calls::kLog,
    .links = "reads from rims-auth, rims-login, rims-imapd, rims-deliverd",
    .may_not = "make a socket, start a process, read mail or passwords",
};

inline constexpr Row kAuthRow{
    .role = ipc::Role::auth,
    .binary = "rims-auth",
    .user = "_rimsauth",
    .chroot = "empty",
    .files = "",
    .descriptors = "control link, links",
    .limits = {.open_files = 4096, .file_size = 0, .processes = 64},
    .syscalls = calls::kAuth,
    .links = "rims-log, rims-login, rims-imapd, rims-deliverd",
    .may_not = "open a file, make a socket, start a process, read mail",
};

inline constexpr Row kLoginRow{
    .role = ipc::Role::login,
    .binary = "rims-login",
    .user = "_rimslogin",
    .chroot = "empty",
    .files = "",
    .descriptors = "control link, links, listening sockets, clients' sockets",
    .limits = {.open_files = 65536, .file_size = 0, .processes = 64},
    .syscalls = calls::kLogin,
    .links = "rims-log, rims-auth, rims-imapd",
    .may_not = "open a file, connect, make a thread or a process, read mail or stored passwords",
};

inline constexpr Row kImapdRow{
    .role = ipc::Role::imapd,
    .binary = "rims-imapd",
    .user = "_rims",
    .chroot = "",
    .files = "base",
    .descriptors = "control link, links, clients' sockets, files of base_dir",
    .limits = {.open_files = 65536, .file_size = 0, .processes = 8192},
    .syscalls = calls::kImapd,
    .links = "rims-log, rims-auth, rims-login, rims-deliverd",
    .may_not = "make or accept a connection, start a process, see a password or a TLS key",
};

inline constexpr Row kDeliverdRow{
    .role = ipc::Role::deliverd,
    .binary = "rims-deliverd",
    .user = "_rimsdeliver",
    .chroot = "empty",
    .files = "",
    .descriptors = "control link, links, the socket of rims-deliver and its clients",
    .limits = {.open_files = 16384, .file_size = 0, .processes = 64},
    .syscalls = calls::kDeliverd,
    .links = "rims-log, rims-auth, rims-imapd",
    .may_not = "open a file, connect, start a process, open an account",
};

// In the order of starting; stopping has another order (controller/supervisor.h).
inline constexpr std::array<const Row*, 6> kProcessTable{
    &kControllerRow, &kLogRow, &kAuthRow, &kImapdRow, &kDeliverdRow, &kLoginRow,
};

// Who talks to whom. The controller's control links are not here.
struct Edge {
  ipc::Role a, b;
};
inline constexpr std::array kEdges{
    Edge{ipc::Role::auth, ipc::Role::log},     Edge{ipc::Role::imapd, ipc::Role::log},
    Edge{ipc::Role::deliverd, ipc::Role::log}, Edge{ipc::Role::login, ipc::Role::log},
    Edge{ipc::Role::imapd, ipc::Role::auth},   Edge{ipc::Role::deliverd, ipc::Role::auth},
    Edge{ipc::Role::login, ipc::Role::auth},   Edge{ipc::Role::deliverd, ipc::Role::imapd},
    Edge{ipc::Role::login, ipc::Role::imapd},
};

[[nodiscard]] constexpr const Row& row_of(ipc::Role role) {
  for (const Row* row : kProcessTable)
    if (row->role == role) return *row;
  return kControllerRow;
}

}  // namespace rims::privdrop
