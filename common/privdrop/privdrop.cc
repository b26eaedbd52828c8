// common/privdrop/privdrop.cc - the steps of giving up rights, each fatal when it fails

#include "common/privdrop/privdrop.h"

#include <cerrno>
#include <csignal>
#include <cstring>
#include <dirent.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/landlock.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <fmt/core.h>
#include <seccomp.h>

#include "common/base/errno_text.h"
#include "common/base/fd.h"
#include "common/base/log.h"
#include "common/base/result.h"

namespace rims::privdrop {
namespace {

// Ends the process: `what` failed, so that rights might be left.
[[noreturn]] void failed(std::string_view what, int error = errno) {
  fatal(fmt::format("giving up rights failed at {}: {}", what, errno_text(error)));
}

void limit(__rlimit_resource which, const char* name, uint64_t value) {
  rlimit now{};
  if (getrlimit(which, &now) != 0) failed(name);
  // An unprivileged process cannot raise what it inherited: take what there is.
  if (now.rlim_max != RLIM_INFINITY && now.rlim_max < value) value = now.rlim_max;
  const rlimit wanted{.rlim_cur = value, .rlim_max = value};
  if (setrlimit(which, &wanted) != 0) failed(name);
}

void set_limits(const Limits& limits, bool changes_user) {
  if (limits.open_files != 0) limit(RLIMIT_NOFILE, "RLIMIT_NOFILE", limits.open_files);
  if (limits.file_size != 0) limit(RLIMIT_FSIZE, "RLIMIT_FSIZE", limits.file_size);
  // The kernel counts per user: without a change of user, a developer's other processes would
  // count, too.
  if (limits.processes != 0 && changes_user) limit(RLIMIT_NPROC, "RLIMIT_NPROC", limits.processes);
}

// An "empty" chroot must hold nothing, and only root may be able to write to it.
void check_empty(const std::string& path) {
  struct stat st{};
  if (stat(path.c_str(), &st) != 0) failed("stat " + path);
  if (!S_ISDIR(st.st_mode) || st.st_uid != 0 || (st.st_mode & 022) != 0)
    fatal("the empty directory " + path + " must be a directory of root that only root may write");
  DIR* dir = opendir(path.c_str());
  if (!dir) failed("opendir " + path);
  bool empty = true;
  while (const dirent* entry = readdir(dir)) {  // NOLINT(concurrency-mt-unsafe): our own
    const std::string_view name = entry->d_name;
    if (name != "." && name != "..") empty = false;
  }
  closedir(dir);
  if (!empty) fatal("the directory " + path + " must be empty: programs are locked into it");
}

void change_root(const Row& row, const std::string& path) {
  if (std::string_view(row.chroot) == "empty") check_empty(path);
  if (chroot(path.c_str()) != 0) failed("chroot " + path);
  if (chdir("/") != 0) failed("chdir /");
}

void drop_bounding_set() {
  // Tries all numbers up to the first that this kernel does not know.
  for (unsigned long cap = 0;; cap++) {
    const int has = prctl(PR_CAPBSET_READ, cap, 0, 0, 0);
    if (has < 0) return;
    if (has == 1 && prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) != 0) failed("PR_CAPBSET_DROP");
  }
}

void change_identity(uint32_t uid, uint32_t gid) {
  if (uid == 0 || gid == 0) fatal("giving up rights: the user to become is root");
  drop_bounding_set();
  // Groups first: after setresuid there is no right left to change them.
  if (setgroups(0, nullptr) != 0) failed("setgroups");
  if (setresgid(gid, gid, gid) != 0) failed("setresgid");
  if (setresuid(uid, uid, uid) != 0) failed("setresuid");
}

// Drops all capabilities but those in `kept`, a set of bits; only capabilities below 32 can be
// kept.
void drop_capabilities(uint32_t kept = 0) {
  if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) != 0)
    failed("PR_CAP_AMBIENT_CLEAR_ALL");
  __user_cap_header_struct head{.version = _LINUX_CAPABILITY_VERSION_3, .pid = 0};
  __user_cap_data_struct data[2] = {{.effective = kept, .permitted = kept, .inheritable = 0}, {}};
  if (syscall(SYS_capset, &head, data) != 0) failed("capset");
  if (syscall(SYS_capget, &head, data) != 0) failed("capget");
  const uint32_t left = data[0].effective | data[0].permitted;
  if (left != kept || data[0].inheritable != 0 ||
      (data[1].effective | data[1].permitted | data[1].inheritable) != 0)
    fatal("giving up rights: a capability is left");
}

// Checks what the calls above did: reads the ids, and tries to become root again.
void prove(const Identity& who) {
  uid_t r = 0, e = 0, s = 0;
  gid_t rg = 0, eg = 0, sg = 0;
  if (getresuid(&r, &e, &s) != 0 || getresgid(&rg, &eg, &sg) != 0) failed("getresuid");
  if (r != e || e != s || rg != eg || eg != sg) fatal("giving up rights: the ids differ");
  if (who.change && (r != who.uid || rg != who.gid)) fatal("giving up rights: wrong ids");
  if (who.change && getgroups(0, nullptr) != 0) fatal("giving up rights: a group is left");
  if (r == 0 || (who.change && rg == 0)) fatal("giving up rights: still root");
  if (setuid(0) == 0 || seteuid(0) == 0 || setresuid(0, 0, 0) == 0)
    fatal("giving up rights: the process could become root again");
  if (who.change && (setgid(0) == 0 || setegid(0) == 0 || setgroups(0, nullptr) == 0))
    fatal("giving up rights: the process could get the group of root again");
}

// What may be done in the one directory. Not allowed: executing, device files, sockets, pipes,
// links.
constexpr uint64_t kFileRights = LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_READ_FILE |
                                 LANDLOCK_ACCESS_FS_READ_DIR | LANDLOCK_ACCESS_FS_REMOVE_DIR |
                                 LANDLOCK_ACCESS_FS_REMOVE_FILE | LANDLOCK_ACCESS_FS_MAKE_DIR |
                                 LANDLOCK_ACCESS_FS_MAKE_REG;
// Newer than the headers of Debian 12.
constexpr uint64_t kRefer = 1ull << 13, kTruncate = 1ull << 14;

// The directory becomes the working directory. This needs the rights of the start: a user who may
// write in it need not be able to come there from the root.
Fd open_directory(const std::string& path) {
  if (path.empty()) return {};
  Fd fd(open(path.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!fd) failed("open " + path);
  if (fchdir(fd.get()) != 0) failed("chdir " + path);
  return fd;
}

// From now on the process can open files below `directory` only, or none. Open descriptors stay
// usable.
void confine_files(const Fd& directory) {
  const long abi =
      syscall(SYS_landlock_create_ruleset, nullptr, 0, LANDLOCK_CREATE_RULESET_VERSION);
  if (abi < 0 && (errno == ENOSYS || errno == EOPNOTSUPP)) {
    log::info({}, "this kernel has no Landlock: files are kept apart by their permissions only");
    return;
  }
  if (abi < 1) failed("landlock_create_ruleset");
  const uint64_t newer = (abi >= 2 ? kRefer : 0) | (abi >= 3 ? kTruncate : 0);
  // The first version's thirteen rights and what this kernel knows besides.
  const landlock_ruleset_attr attr{.handled_access_fs = 0x1fff | newer};
  const Fd rules(static_cast<int>(syscall(SYS_landlock_create_ruleset, &attr, sizeof attr, 0)));
  if (!rules) failed("landlock_create_ruleset");
  if (directory) {
    const landlock_path_beneath_attr beneath{.allowed_access = kFileRights | newer,
                                             .parent_fd = directory.get()};
    if (syscall(SYS_landlock_add_rule, rules.get(), LANDLOCK_RULE_PATH_BENEATH, &beneath, 0) != 0)
      failed("landlock_add_rule");
  }
  if (syscall(SYS_landlock_restrict_self, rules.get(), 0) != 0) failed("landlock_restrict_self");
}

// One rule of a filter; all of its argument conditions must be true.
struct Condition {
  const char* name;
  scmp_arg_cmp arg;
};

constexpr scmp_arg_cmp is(unsigned arg, uint64_t value) {
  return {.arg = arg, .op = SCMP_CMP_EQ, .datum_a = value, .datum_b = 0};
}
constexpr scmp_arg_cmp masked(unsigned arg, uint64_t mask, uint64_t value) {
  return {.arg = arg, .op = SCMP_CMP_MASKED_EQ, .datum_a = mask, .datum_b = value};
}

// Conditions for calls whose name alone would allow too much. With several rows, one of them must
// be true.
constexpr Condition kConditions[] = {
    {"clone", masked(0, CLONE_THREAD | CLONE_NEWUSER, CLONE_THREAD)},
    {"socketpair", is(0, AF_UNIX)},
    {"ioctl", is(1, 0x5401)},  // TCGETS: stdio asks whether stdout is a terminal
    {"ioctl", is(1, 0x541b)},  // FIONREAD
    {"prctl", is(0, PR_SET_NAME)},
    {"prctl", is(0, PR_GET_NAME)},
    {"prctl", is(0, PR_SET_VMA)},  // glibc names its memory with it
    {"prctl", is(0, PR_GET_DUMPABLE)},
    {"prctl", is(0, PR_GET_NO_NEW_PRIVS)},
#ifndef RIMS_SANITIZED  // the sanitizers map memory in other ways
    {"mmap", masked(2, PROT_EXEC, 0)},
    {"mprotect", masked(2, PROT_EXEC, 0)},
#endif
};

class Filter {
 public:
  Filter() : context_(seccomp_init(SCMP_ACT_KILL_PROCESS)) {
    if (!context_) failed("seccomp_init", ENOMEM);
    const int rc = seccomp_attr_set(context_, SCMP_FLTATR_CTL_TSYNC, 1);
    if (rc != 0) failed("seccomp_attr_set", -rc);
  }
  Filter(const Filter&) = delete;
  Filter& operator=(const Filter&) = delete;
  ~Filter() { seccomp_release(context_); }

  void allow(const char* name) {
    const int number = number_of(name);
    bool conditional = false;
    for (const Condition& row : kConditions) {
      if (std::string_view(row.name) != name) continue;
      conditional = true;
      add(name, number, SCMP_ACT_ALLOW, &row.arg);
    }
    // The process's own pid is known only at run time.
    const std::string_view view = name;
    if (view == "tgkill") {
      const scmp_arg_cmp self = is(0, static_cast<uint64_t>(getpid()));
      return add(name, number, SCMP_ACT_ALLOW, &self);
    }
    if (view == "prlimit64") {
      const scmp_arg_cmp self = is(0, 0);
      return add(name, number, SCMP_ACT_ALLOW, &self);
    }
    // glibc falls back to clone, whose flags a filter can see.
    if (view == "clone3") return add(name, number, SCMP_ACT_ERRNO(ENOSYS), nullptr);
    if (!conditional) add(name, number, SCMP_ACT_ALLOW, nullptr);
  }

  void refuse(const char* name, int error) {
    add(name, number_of(name), SCMP_ACT_ERRNO(static_cast<uint32_t>(error)), nullptr);
  }

  void load() {
    const int rc = seccomp_load(context_);
    if (rc != 0) failed("seccomp_load", -rc);
  }

 private:
  static int number_of(const char* name) {
    const int number = seccomp_syscall_resolve_name(name);
    if (number == __NR_SCMP_ERROR) fatal(fmt::format("unknown system call {} in a list", name));
    return number;
  }
  void add(const char* name, int number, uint32_t action, const scmp_arg_cmp* condition) {
    // A negative number is a call that this architecture does not have.
    if (number < 0) return;
    const int rc = seccomp_rule_add_array(context_, action, number, condition ? 1 : 0, condition);
    if (rc != 0 && rc != -EEXIST) failed(fmt::format("the filter for {}", name), -rc);
  }

  scmp_filter_ctx context_;
};

void filter_calls(const Row& row) {
  Filter filter;
  for (const char* name : row.syscalls) filter.allow(name);
#ifdef RIMS_SANITIZED
  // What the sanitizers' runtime needs to watch, and to print a report.
  for (const char* name : {"openat", "open", "readlink", "readlinkat", "newfstatat", "fstat",
                           "stat", "lseek", "uname", "sched_getaffinity", "getcwd", "gettid",
                           "sigaltstack", "getppid", "kill", "process_vm_readv", "prlimit64"}) {
    bool listed = false;
    for (const char* other : row.syscalls) listed = listed || std::strcmp(other, name) == 0;
    if (listed) continue;
    if (std::string_view(name) == "kill" || std::string_view(name) == "process_vm_readv")
      filter.refuse(name, EPERM);
    else
      filter.allow(name);
  }
#endif
  filter.load();
}

}  // namespace

void hide_memory() {
  const rlimit none{.rlim_cur = 0, .rlim_max = 0};
  if (setrlimit(RLIMIT_CORE, &none) != 0) failed("RLIMIT_CORE");
  if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0) failed("PR_SET_DUMPABLE");
}

void become(uint32_t uid, uint32_t gid, Keep keep) {
  const bool reading = keep == Keep::reading;
  if (reading && prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) != 0) failed("PR_SET_KEEPCAPS");
  change_identity(uid, gid);
  drop_capabilities(reading ? 1U << CAP_DAC_READ_SEARCH : 0);
  if (reading && prctl(PR_SET_KEEPCAPS, 0, 0, 0, 0) != 0) failed("PR_SET_KEEPCAPS");
  prove({.change = true, .uid = uid, .gid = gid});
}

void enter(const Row& row, const Identity& who) {
  const pid_t parent = getppid();
  hide_memory();
  set_limits(row.limits, who.change);
  const Fd directory = open_directory(who.directory);
  if (who.change) {
    if (!who.chroot.empty()) change_root(row, who.chroot);
    change_identity(who.uid, who.gid);
  }
  drop_capabilities();
  prove(who);
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) failed("PR_SET_NO_NEW_PRIVS");
  // A change of the uid may have made it dumpable again, and have cleared the parent-death signal.
  hide_memory();
  if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) != 0) failed("PR_SET_PDEATHSIG");
  if (getppid() != parent) fatal("the controller is gone");
  if (row.syscalls.empty()) return;
  confine_files(directory);
  filter_calls(row);
}

}  // namespace rims::privdrop
