// common/privdrop/process_table.h - the processes of the suite: what each one is, holds and may do
//
// One constexpr row per program. doc/privsep.md is printed from here (tools/print_privsep.cc), the
// controller starts the programs in it, each program's main enters its row, and the privilege test
// compares /proc with it. A right is changed in this file and nowhere else.
#pragma once

#include <array>
#include <cerrno>
#include <cstddef>

#include "common/ipc/roles.h"
#include "common/privdrop/privdrop.h"

namespace rims::privdrop {

namespace calls {

// Numbers of the kernel's interface, which some headers of libc do not have.
inline constexpr uint32_t kGetFlags = 3, kSetFlags = 4, kSetCloseOnExec = 2, kDuplicate = 1030,
                          kAddSeals = 1033, kGetSeals = 1034;                  // F_...
inline constexpr uint32_t kAsync = 020000;                                     // O_ASYNC
inline constexpr uint32_t kExecutable = 4;                                     // PROT_EXEC
inline constexpr uint32_t kIsTerminal = 0x5401;                                // TCGETS
inline constexpr uint32_t kSetName = 15, kSetMemoryName = 0x53564d41;          // PR_...
inline constexpr uint32_t kNoSignal = 0x4000, kDoNotWait = 0x40;               // MSG_...
inline constexpr uint32_t kThread = 0x3d0f00;                                  // CLONE_...
inline constexpr uint32_t kUnix = 1, kStream = 1, kCloseOnExec = 02000000;     // SOCK_...
inline constexpr uint32_t kMemfd = 3;                                          // MFD_...
inline constexpr uint32_t kStopWriting = 1;                                    // SHUT_WR
inline constexpr uint32_t kSetIds = 07000;                                     // S_ISUID ...
inline constexpr uint32_t kSocketLevel = 1, kTcpLevel = 6;                     // SOL_...
inline constexpr uint32_t kPeerOf = 17, kKeepAlive = 9;                        // SO_...
inline constexpr uint32_t kNoDelay = 1, kIdle = 4, kInterval = 5, kCount = 6;  // TCP_...

constexpr Arg is(uint8_t index, uint32_t value, const char* text) {
  return {.index = index, .test = Arg::Test::is, .value = value, .text = text};
}
constexpr Arg without(uint8_t index, uint32_t bits, const char* text) {
  return {.index = index, .test = Arg::Test::without, .value = bits, .text = text};
}
constexpr Arg own_pid(uint8_t index, const char* text) {
  return {.index = index, .test = Arg::Test::own_pid, .text = text};
}
constexpr Arg null(uint8_t index, const char* text) {
  return {.index = index, .test = Arg::Test::null, .text = text};
}

// Every program: memory, time, its loop, the links it was given, its end. No call here takes an
// address: what is sent goes where the descriptor leads.
inline constexpr auto kBase = std::to_array<Call>({
    "read",
    "write",
    "readv",
    "writev",
    "close",
    "recvmsg",
    "recvfrom",
    {"sendmsg", is(2, kNoSignal, "flags = MSG_NOSIGNAL")},
    {"sendto", without(3, ~(kNoSignal | kDoNotWait), "flags of MSG_NOSIGNAL, MSG_DONTWAIT only"),
     null(4, "no address")},
    // Of a listening socket this ends nothing. The other ways would, for all that share it.
    {"shutdown", is(1, kStopWriting, "SHUT_WR")},
    {"fcntl", is(1, kGetFlags, "F_GETFL")},
    {"fcntl", is(1, kSetFlags, "F_SETFL"), without(2, kAsync, "without O_ASYNC")},
    {"fcntl", is(1, kSetCloseOnExec, "F_SETFD")},
    {"fcntl", is(1, kDuplicate, "F_DUPFD_CLOEXEC")},
    "lseek",
    "fstat",
    // It would tell which files there are, also outside of the directory of the program.
    {"newfstatat", EACCES},
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
    {"mmap", without(2, kExecutable, "without PROT_EXEC")},
    {"mprotect", without(2, kExecutable, "without PROT_EXEC")},
    "munmap",
    "mremap",
    "madvise",
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
    {"ioctl", is(1, kIsTerminal, "TCGETS: is it a terminal?")},
    {"prctl", is(0, kSetName, "PR_SET_NAME")},
    {"prctl", is(0, kSetMemoryName, "PR_SET_VMA: glibc names its memory")},
    {"tgkill", own_pid(0, "the process itself")},
    {"prlimit64", is(0, 0, "the process itself"), null(2, "to read a limit only")},
    "alarm",
    "setitimer",
    "exit",
    "exit_group",
});

// Programs with a pool of threads.
inline constexpr auto kThreads = std::to_array<Call>({
    {"clone", is(0, kThread, "the flags of pthread_create")},
    "clone3",  // answered with ENOSYS: its flags are out of sight
    "set_robust_list",
    "rseq",
    "sched_getaffinity",
    "membarrier",
    "sysinfo",
});

// rims-log opens, rotates and writes, with names in a directory that it holds.
inline constexpr auto kLogOwn = std::to_array<Call>({
    {"openat", without(3, kSetIds, "mode without set-id and sticky bits")},
    "renameat",
});

// A journal: files below a directory that the program holds. No owner, mode or time of a file by
// its name is ever changed, and no device, pipe, socket or link is made.
inline constexpr auto kJournal = std::to_array<Call>({
    {"openat", without(3, kSetIds, "mode without set-id and sticky bits")},
    {"mkdirat", without(2, kSetIds, "mode without set-id and sticky bits")},
    "renameat",
    "renameat2",
    {"unlinkat", is(2, 0, "files, not directories")},
    "getdents64",
    "preadv",
    "preadv2",
    "pwrite64",
    "pwritev",
    "fsync",
    "fdatasync",
    "ftruncate",
    "flock",
});

// Beside the journal of the users.
inline constexpr auto kAuthOwn = std::to_array<Call>({"mlock", "munlock"});

inline constexpr auto kLoginOwn = std::to_array<Call>({
    "accept4",
    "getpeername",
    {"socketpair", is(0, kUnix, "AF_UNIX"),
     is(1, kStream | kCloseOnExec, "SOCK_STREAM | SOCK_CLOEXEC"), is(2, 0, "protocol 0")},
    {"setsockopt", is(1, kSocketLevel, "SOL_SOCKET"), is(2, kKeepAlive, "SO_KEEPALIVE")},
    {"setsockopt", is(1, kTcpLevel, "IPPROTO_TCP"), is(2, kNoDelay, "TCP_NODELAY")},
    {"setsockopt", is(1, kTcpLevel, "IPPROTO_TCP"), is(2, kIdle, "TCP_KEEPIDLE")},
    {"setsockopt", is(1, kTcpLevel, "IPPROTO_TCP"), is(2, kInterval, "TCP_KEEPINTVL")},
    {"setsockopt", is(1, kTcpLevel, "IPPROTO_TCP"), is(2, kCount, "TCP_KEEPCNT")},
});

// The account files: journals and indexes, all below a held descriptor of base_dir.
inline constexpr auto kImapdOwn = std::to_array<Call>({
    "fstatfs",
    "fadvise64",
    {"utimensat", null(1, "of an open file")},
    {"memfd_create", is(1, kMemfd, "MFD_CLOEXEC | MFD_ALLOW_SEALING")},
    {"fcntl", is(1, kAddSeals, "F_ADD_SEALS")},
    {"fcntl", is(1, kGetSeals, "F_GET_SEALS")},
});

inline constexpr auto kDeliverdOwn = std::to_array<Call>({
    "accept4",
    {"getsockopt", is(1, kSocketLevel, "SOL_SOCKET"), is(2, kPeerOf, "SO_PEERCRED")},
    {"fcntl", is(1, kGetSeals, "F_GET_SEALS")},
    // What comes by LMTP is put into a memfd here.
    {"memfd_create", is(1, kMemfd, "MFD_CLOEXEC | MFD_ALLOW_SEALING")},
    {"fcntl", is(1, kAddSeals, "F_ADD_SEALS")},
});

template <size_t... N>
constexpr auto join(const std::array<Call, N>&... lists) {
  std::array<Call, (N + ...)> all{};
  size_t at = 0;
  const auto append = [&](const auto& list) {
    for (const Call& call : list) all[at++] = call;
  };
  (append(lists), ...);
  return all;
}

inline constexpr auto kLog = join(kBase, kLogOwn);
inline constexpr auto kAuth = join(kBase, kThreads, kJournal, kAuthOwn);
inline constexpr auto kLogin = join(kBase, kLoginOwn);
inline constexpr auto kImapd = join(kBase, kThreads, kJournal, kImapdOwn);
inline constexpr auto kDeliverd = join(kBase, kDeliverdOwn);

}  // namespace calls

inline constexpr Row kControllerRow{
    .role = ipc::Role::controller,
    .binary = "rims-controller",
    .user = "root",
    .root = Root::whole,
    .files = FileRights::none,
    .descriptors =
        "listening sockets, one control link per process, pid file, base_dir (for its lock)",
    .limits = {},
    .calls = {},
    .links = "all, by their control links",
    .may_not = "parse a byte that came from the network",
};

inline constexpr Row kLogRow{
    .role = ipc::Role::log,
    .binary = "rims-log",
    .user = "_rimslog",
    .root = Root::files,
    .files = FileRights::append_and_rotate,
    .descriptors = "control link, one link per process, the log file",
    .limits = {.open_files = 4096, .file_size = 0, .processes = 16},
    .calls = calls::kLog,
    .links = "reads from rims-auth, rims-login, rims-imapd, rims-deliverd",
    .may_not = "make a socket, start a process, read mail or passwords",
};

inline constexpr Row kAuthRow{
    .role = ipc::Role::auth,
    .binary = "rims-auth",
    .user = "_rimsauth",
    .root = Root::files,
    .files = FileRights::keep,
    .descriptors =
        "control link, links, links of rims-ctl, the directory of the users and its files",
    .limits = {.open_files = 4096, .file_size = 0, .processes = 64},
    .calls = calls::kAuth,
    .links = "rims-log, rims-login, rims-imapd, rims-deliverd",
    .may_not = "open a file elsewhere, make a socket, start a process, read mail",
};

inline constexpr Row kLoginRow{
    .role = ipc::Role::login,
    .binary = "rims-login",
    .user = "_rimslogin",
    .root = Root::empty,
    .files = FileRights::none,
    .descriptors = "control link, links, listening sockets, clients' sockets",
    .limits = {.open_files = 65536, .file_size = 0, .processes = 64},
    .calls = calls::kLogin,
    .links = "rims-log, rims-auth, rims-imapd",
    .may_not = "open a file, connect, make a thread or a process, read mail or stored passwords",
};

inline constexpr Row kImapdRow{
    .role = ipc::Role::imapd,
    .binary = "rims-imapd",
    .user = "_rims",
    .root = Root::files,
    .files = FileRights::keep,
    .descriptors = "control link, links, clients' sockets, files of base_dir",
    .limits = {.open_files = 65536, .file_size = 0, .processes = 8192},
    .calls = calls::kImapd,
    .links = "rims-log, rims-auth, rims-login, rims-deliverd",
    .may_not = "make or accept a connection, start a process, see a password or a TLS key",
};

inline constexpr Row kDeliverdRow{
    .role = ipc::Role::deliverd,
    .binary = "rims-deliverd",
    .user = "_rimsdeliver",
    .root = Root::empty,
    .files = FileRights::none,
    .descriptors =
        "control link, links, the socket of rims-deliver, listening sockets of LMTP, the clients "
        "of both",
    .limits = {.open_files = 16384, .file_size = 0, .processes = 64},
    .calls = calls::kDeliverd,
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
