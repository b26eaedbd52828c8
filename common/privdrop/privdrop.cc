// common/privdrop/privdrop.cc - the steps of giving up rights, each fatal when it fails

#include "common/privdrop/privdrop.h"

#include <cerrno>
#include <csignal>
#include <dirent.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <fmt/core.h>

#include "common/base/errno_text.h"
#include "common/base/fd.h"
#include "common/base/result.h"
#include "common/privdrop/steps.h"

namespace rims::privdrop {

void failed(std::string_view what) { failed(what, errno); }
void failed(std::string_view what, int error) {
  fatal(fmt::format("giving up rights failed at {}: {}", what, errno_text(error)));
}

namespace {

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

// An "empty" root must hold nothing, and only root may be able to write to it.
void check_empty(int fd, const std::string& path) {
  struct stat st{};
  if (fstat(fd, &st) != 0) failed("stat " + path);
  if (st.st_uid != 0 || (st.st_mode & 022) != 0)
    fatal("the empty directory " + path + " must be a directory of root that only root may write");
  DIR* dir = fdopendir(dup(fd));
  if (!dir) failed("read " + path);
  bool empty = true;
  while (const dirent* entry = readdir(dir)) {  // NOLINT(concurrency-mt-unsafe): our own
    const std::string_view name = entry->d_name;
    if (name != "." && name != "..") empty = false;
  }
  closedir(dir);
  if (!empty) fatal("the directory " + path + " must be empty: programs are locked into it");
}

// What is left to see is this directory; the process may not leave it, as it is not root any more.
void change_root(const Row& row, const Identity& who) {
  if (row.root == Root::whole) return;
  const std::string& path = row.root == Root::files ? who.directory : who.chroot;
  // A directory that is missing here must not leave the process outside.
  const Fd root(open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!root) failed("open " + path);
  if (row.root == Root::empty) check_empty(root.get(), path);
  // The working directory is then the root, too.
  if (fchdir(root.get()) != 0 || chroot(".") != 0) failed("chroot " + path);
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
  if (who.change) {
    change_root(row, who);
    change_identity(who.uid, who.gid);
  }
  drop_capabilities();
  prove(who);
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) failed("PR_SET_NO_NEW_PRIVS");
  // A change of the uid may have made it dumpable again, and have cleared the parent-death signal.
  hide_memory();
  if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) != 0) failed("PR_SET_PDEATHSIG");
  if (getppid() != parent) fatal("the controller is gone");
  if (row.calls.empty()) return;
  confine(row.files, who.change && row.root == Root::files ? "/" : who.directory);
  filter_calls(row.calls);
}

}  // namespace rims::privdrop
