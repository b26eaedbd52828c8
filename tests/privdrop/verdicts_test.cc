// tests/privdrop/verdicts_test.cc - the system calls that each program may make, and no other

#include "tests/privdrop/verdicts.h"

#include <set>
#include <string>
#include <sys/syscall.h>
#include <vector>

#include <gtest/gtest.h>

namespace rims::privdrop {
namespace {

TEST(Sandbox, TheKernelAllowsTheCallsThatThePageNamesAndNoOther) {
  const Place place;
  for (const Row* row : confined_rows()) {
    SCOPED_TRACE(row->binary);
    ASSERT_GT(listed_for(*row).plain.size(), 40u);
    std::vector<Probe> probes = probes_of_names(*row);
#ifdef __x86_64__
    constexpr long kX32 = 0x4000'0000;
    for (const long number : {SYS_read, SYS_getpid, SYS_socket, SYS_execve})
      probes.push_back({"x32 " + name_of(number), kX32 + number, {}, false});
    // Of the 32-bit interface, where 20 is getpid.
    EXPECT_EQ(verdict(program_of(row->calls), {"i386", 20, {}, false}, SCMP_ARCH_X86), kKilled);
#endif
    expect_verdicts(place, *row, probes);
  }
}

TEST(Sandbox, OfACallWithConditionsNothingMoreIsAllowed) {
  const Place place;
  for (const Row* row : confined_rows()) {
    SCOPED_TRACE(row->binary);
    const std::vector<Probe> probes = probes_of_arguments(*row);
    std::set<std::string> probed;
    for (const Probe& probe : probes) probed.insert(probe.what);
    // No condition is without its values.
    for (const std::string& name : listed_for(*row).conditional)
      EXPECT_TRUE(probed.contains(name)) << name;
    expect_verdicts(place, *row, probes);
  }
}

TEST(Sandbox, WhatGlibcCanDoWithoutIsRefusedAndNotFatal) {
  const Place place;
  for (const Row* row : confined_rows()) {
    const Probe probe = probe_of_clone3(*row);
    EXPECT_EQ(kernel_verdict(place, *row, probe), probe.wanted()) << row->binary;
  }
}

// Whatever a page and a table may say some day: these are for no program.
TEST(Sandbox, SomeCallsAreForNobody) {
  constexpr const char* kNever[] = {
      "execve",
      "execveat",
      "fork",
      "vfork",
      "ptrace",
      "process_vm_readv",
      "process_vm_writev",
      "kill",
      "tkill",
      "rt_sigqueueinfo",
      "rt_tgsigqueueinfo",
      "pidfd_open",
      "pidfd_send_signal",
      "pidfd_getfd",
      "process_madvise",
      "socket",
      "connect",
      "bind",
      "listen",
      "sendmmsg",
      "chmod",
      "fchmod",
      "fchmodat",
      "chown",
      "fchown",
      "lchown",
      "fchownat",
      "mknod",
      "mknodat",
      "link",
      "linkat",
      "symlink",
      "symlinkat",
      "setxattr",
      "lsetxattr",
      "fsetxattr",
      "stat",
      "lstat",
      "statx",
      "access",
      "faccessat",
      "faccessat2",
      "readlink",
      "readlinkat",
      "statfs",
      "open",
      "openat2",
      "creat",
      "open_by_handle_at",
      "name_to_handle_at",
      "chdir",
      "fchdir",
      "chroot",
      "pivot_root",
      "mount",
      "umount2",
      "open_tree",
      "move_mount",
      "fsopen",
      "unshare",
      "setns",
      "setuid",
      "setgid",
      "setreuid",
      "setregid",
      "setresuid",
      "setresgid",
      "setfsuid",
      "setfsgid",
      "setgroups",
      "capset",
      "personality",
      "bpf",
      "perf_event_open",
      "userfaultfd",
      "io_uring_setup",
      "io_uring_enter",
      "io_uring_register",
      "add_key",
      "request_key",
      "keyctl",
      "seccomp",
      "init_module",
      "finit_module",
      "delete_module",
      "kexec_load",
      "reboot",
      "pkey_mprotect",
      "remap_file_pages",
      "shmget",
      "shmat",
      "msgget",
      "msgsnd",
      "semget",
      "mq_open",
      "timer_create",
      "setrlimit",
      "setpriority",
      "sched_setscheduler",
      "sched_setaffinity",
      "sched_setattr",
      "ioprio_set",
      "inotify_init1",
      "fanotify_init",
      "quotactl",
      "acct",
      "swapon",
      "sethostname",
      "settimeofday",
      "clock_settime",
      "splice",
      "tee",
      "vmsplice",
      "sendfile",
      "migrate_pages",
      "move_pages",
      "mbind",
      "memfd_secret",
  };
  const Place place;
  for (const Row* row : confined_rows()) {
    std::vector<Probe> probes;
    for (const char* name : kNever)
      if (const long number = number_of(name); number >= 0)
        probes.push_back({name, number, {}, false});
    expect_verdicts(place, *row, probes);
  }
}

}  // namespace
}  // namespace rims::privdrop
