// tests/privdrop/sandbox_test.cc - what code that has taken a program over can still do
//
// Built without sanitizers, whose runtime needs rights of its own: what is looked at is what the
// installed programs have. Three views of each row of the process table:
//   Verdicts   each system call of the kernel, with many arguments, against doc/privsep.md and
//              against a list of arguments that stands here. The filter's program, as it would be
//              loaded, is run here: a call that is forbidden ends no process, so all can be asked.
//              Some are asked of the kernel, too.
//   Landlock   each of its rights, without the list of calls before it
//   Attacks    what an attacker would try, and what the program needs, for real

#include <algorithm>
#include <arpa/inet.h>
#include <cerrno>
#include <csignal>
#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <dlfcn.h>
#include <fcntl.h>
#include <fstream>
#include <functional>
#include <grp.h>
#include <linux/filter.h>
#include <linux/landlock.h>
#include <linux/seccomp.h>
#include <map>
#include <memory>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <set>
#include <sstream>
#include <string>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>
#include <vector>

#include <gtest/gtest.h>
#include <seccomp.h>

#include "common/base/fd.h"
#include "common/privdrop/process_table.h"
#include "common/privdrop/steps.h"

namespace rims::privdrop {
namespace {

constexpr uint32_t kUser = 47110;

bool is_root() { return geteuid() == 0; }

std::vector<const Row*> confined_rows() {
  std::vector<const Row*> rows;
  for (const Row* row : kProcessTable)
    if (!row->calls.empty()) rows.push_back(row);
  return rows;
}

// Directories for one row: an empty one of root, one of its files, and what lies outside of it.
class Place {
 public:
  Place() {
    char name[] = "/tmp/rims_sandbox_XXXXXX";
    top_ = mkdtemp(name);
    chmod(top_.c_str(), 0755);
    for (const char* part : {"/empty", "/mine", "/outside"}) mkdir((top_ + part).c_str(), 0755);
    if (is_root())
      for (const std::string& path : {mine(), outside()}) (void)!chown(path.c_str(), kUser, kUser);
    make(mine() + "/file");
    make(outside() + "/file");
  }
  Place(const Place&) = delete;
  Place& operator=(const Place&) = delete;
  ~Place() { (void)!std::system(("rm -rf " + top_).c_str()); }  // NOLINT: a path of ours

  [[nodiscard]] std::string mine() const { return top_ + "/mine"; }
  [[nodiscard]] std::string outside() const { return top_ + "/outside"; }
  void make(const std::string& path) const {
    const Fd fd(open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0644));
    (void)!write(fd.get(), "text", 4);
    if (is_root()) (void)!fchown(fd.get(), kUser, kUser);
  }
  void enter_row(const Row& row) const {
    const std::string files = row.files == FileRights::none ? "" : mine();
    if (is_root())
      enter(row, {.change = true,
                  .uid = kUser,
                  .gid = kUser,
                  .chroot = top_ + "/empty",
                  .directory = files});
    else
      enter(row, {.directory = files});
  }

 private:
  std::string top_;
};

// Without the list of calls: for what is to be refused by another step.
void become_user(uint32_t user) {
  if (is_root() && (setgroups(0, nullptr) != 0 || setresgid(user, user, user) != 0 ||
                    setresuid(user, user, user) != 0))
    std::_Exit(99);
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) std::_Exit(99);
}

int in_child(const std::function<int()>& f) {
  const pid_t pid = fork();
  if (pid == 0) std::_Exit(f());
  int status = 0;
  waitpid(pid, &status, 0);
  return status;
}

bool killed_by_filter(int status) { return WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS; }

// Verdicts ---------------------------------------------------------------------------------------

enum Verdict : int { kElse, kAllowed, kKilled, kNoSuchCall, kRefused };

struct Probe {
  std::string what;
  long number;
  std::array<uint64_t, 5> args{};
  bool allowed;
  int otherwise = kKilled;  // or kRefused
};
constexpr uint64_t kOwnPid = 0xdead'0000'0001;  // stands for it

// The program that filter_calls() would load; seccomp_load() below keeps it here.
std::vector<sock_filter>* exported = nullptr;

std::vector<sock_filter> program_of(const Row& row) {
  std::vector<sock_filter> program;
  exported = &program;
  filter_calls(row.calls);
  exported = nullptr;
  return program;
}

// Runs it as the kernel does (Documentation/networking/filter.rst), for what libseccomp makes.
uint32_t run_program(const std::vector<sock_filter>& program, const seccomp_data& data) {
  uint32_t a = 0;
  for (size_t at = 0; at < program.size(); at++) {
    const sock_filter& op = program[at];
    const auto jump = [&](bool yes) { at += yes ? op.jt : op.jf; };
    switch (op.code) {
      case BPF_LD | BPF_W | BPF_ABS:
        std::memcpy(&a, reinterpret_cast<const char*>(&data) + op.k, sizeof a);
        break;
      case BPF_ALU | BPF_AND | BPF_K:
        a &= op.k;
        break;
      case BPF_JMP | BPF_JA:
        at += op.k;
        break;
      case BPF_JMP | BPF_JEQ | BPF_K:
        jump(a == op.k);
        break;
      case BPF_JMP | BPF_JGT | BPF_K:
        jump(a > op.k);
        break;
      case BPF_JMP | BPF_JGE | BPF_K:
        jump(a >= op.k);
        break;
      case BPF_JMP | BPF_JSET | BPF_K:
        jump((a & op.k) != 0);
        break;
      case BPF_RET | BPF_K:
        return op.k;
      default:
        ADD_FAILURE() << "an instruction that this test does not know: " << op.code;
        return 0;
    }
  }
  ADD_FAILURE() << "the program has no end";
  return 0;
}

std::array<uint64_t, 5> with_own_pid(std::array<uint64_t, 5> args) {
  std::ranges::replace(args, kOwnPid, static_cast<uint64_t>(getpid()));
  return args;
}

int verdict(const std::vector<sock_filter>& program, const Probe& probe,
            uint32_t architecture = seccomp_arch_native()) {
  seccomp_data data{};
  data.nr = static_cast<int>(probe.number);
  data.arch = architecture;
  std::ranges::copy(with_own_pid(probe.args), data.args);
  const uint32_t said = run_program(program, data);
  return said == SECCOMP_RET_ALLOW              ? kAllowed
         : said == SECCOMP_RET_KILL_PROCESS     ? kKilled
         : said == (SECCOMP_RET_ERRNO | ENOSYS) ? kNoSuchCall
         : said == (SECCOMP_RET_ERRNO | EACCES) ? kRefused
                                                : kElse;
}

constexpr uint32_t kMagic = 0x5eeab1e5;  // in the sixth argument, which no condition looks at
constexpr int kSeen = EHWPOISON;

// Answers every call with kMagic by kSeen, unless a filter that is loaded later is stricter: so
// nothing is really done.
void answer_what_is_allowed() {
  constexpr auto kAt = static_cast<uint32_t>(offsetof(seccomp_data, args[5]));
  sock_filter code[] = {
      {BPF_LD | BPF_W | BPF_ABS, 0, 0, kAt},
      {BPF_JMP | BPF_JEQ | BPF_K, 0, 1, kMagic},
      {BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ERRNO | kSeen},
      {BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ALLOW},
  };
  sock_fprog program{.len = std::size(code), .filter = code};
  if (!is_root()) prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
  if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program, 0, 0) != 0) std::_Exit(99);
}

// Asks the kernel, in a child that has entered the row.
int kernel_verdict(const Place& place, const Row& row, const Probe& probe) {
  const int status = in_child([&] {
    answer_what_is_allowed();
    place.enter_row(row);
    const auto a = with_own_pid(probe.args);
    errno = 0;
    const long rc = syscall(probe.number, a[0], a[1], a[2], a[3], a[4], uint64_t{kMagic});
    const long found = rc != -1          ? kElse
                       : errno == kSeen  ? kAllowed
                       : errno == ENOSYS ? kNoSuchCall
                       : errno == EACCES ? kRefused
                                         : kElse;
    // The magic number is still where a sixth argument is.
    return static_cast<int>(syscall(SYS_exit_group, found, 0, 0, 0, 0, 0));
  });
  return killed_by_filter(status) ? kKilled : WIFEXITED(status) ? WEXITSTATUS(status) : kElse;
}

std::string text_of(const Row& row, const Probe& probe) {
  std::ostringstream out;
  out << row.binary << ": " << probe.what << std::hex;
  for (const uint64_t arg : probe.args) out << " " << arg;
  return out.str();
}

constexpr size_t kSample = 61;  // of so many probes one is asked of the kernel

void expect_verdicts(const Place& place, const Row& row, const std::vector<Probe>& probes) {
  const std::vector<sock_filter> program = program_of(row);
  for (size_t i = 0; i < probes.size(); i++) {
    const int wanted = probes[i].allowed ? kAllowed : probes[i].otherwise;
    EXPECT_EQ(verdict(program, probes[i]), wanted) << text_of(row, probes[i]);
    if (i % kSample == 0)
      EXPECT_EQ(kernel_verdict(place, row, probes[i]), wanted) << text_of(row, probes[i]);
  }
}

// The names that the page allows a program: those without a condition, and the others.
struct Listed {
  std::set<std::string> plain, conditional;
};

std::map<std::string, Listed> documented() {
  std::ifstream page(std::string(RIMS_SOURCE) + "/doc/privsep.md");
  std::map<std::string, Listed> all;
  std::string program = "every program";
  bool tables = false, block = false;
  for (std::string line; std::getline(page, line);) {
    if (line.starts_with("System calls of every program")) tables = true;
    if (!tables) continue;
    if (line.starts_with("* `")) program = line.substr(3, line.find('`', 3) - 3);
    if (line == "```") {
      block = !block;
      continue;
    }
    if (!block) continue;
    if (const size_t open = line.find(" ("); open != std::string::npos) {
      all[program].conditional.insert(line.substr(0, open));
      continue;
    }
    std::istringstream words(line);
    for (std::string word; words >> word;) all[program].plain.insert(word);
  }
  return all;
}

Listed listed_for(const Row& row) {
  auto all = documented();
  Listed found = all["every program"];
  const Listed& own = all[row.binary];
  found.plain.insert(own.plain.begin(), own.plain.end());
  found.conditional.insert(own.conditional.begin(), own.conditional.end());
  return found;
}

std::string name_of(long number) {
  char* name = seccomp_syscall_resolve_num_arch(SCMP_ARCH_NATIVE, static_cast<int>(number));
  std::string text = name ? name : "call " + std::to_string(number);
  std::free(name);  // NOLINT: the library's memory
  return text;
}

long number_of(const std::string& name) { return seccomp_syscall_resolve_name(name.c_str()); }

constexpr uint64_t kOnes = ~0ull;
constexpr long kLastCall = 520;  // above every number of a kernel so far

// uretprobe and uprobe, for the kernel's own probes: it lets them pass by every filter, and ends
// whoever makes them elsewhere.
bool passes_by_filters([[maybe_unused]] long number) {
#ifdef __x86_64__
  return number == 335 || number == 336;
#else
  return false;
#endif
}

TEST(Sandbox, TheKernelAllowsTheCallsThatThePageNamesAndNoOther) {
  const Place place;
  for (const Row* row : confined_rows()) {
    SCOPED_TRACE(row->binary);
    const Listed listed = listed_for(*row);
    ASSERT_GT(listed.plain.size(), 40u);
    std::vector<Probe> probes;
    for (long number = 0; number <= kLastCall; number++) {
      if (passes_by_filters(number)) continue;
      const std::string name = name_of(number);
      if (name == "clone3" || (listed.conditional.contains(name) && !listed.plain.contains(name)))
        continue;
      const bool allowed = listed.plain.contains(name);
      probes.push_back({name, number, {}, allowed});
      // A condition that nobody wrote down would show here.
      if (allowed) probes.push_back({name, number, {kOnes, kOnes, kOnes, kOnes, kOnes}, true});
    }
#ifdef __x86_64__
    constexpr long kX32 = 0x4000'0000;
    for (const long number : {SYS_read, SYS_getpid, SYS_socket, SYS_execve})
      probes.push_back({"x32 " + name_of(number), kX32 + number, {}, false});
    // Of the 32-bit interface, where 20 is getpid.
    EXPECT_EQ(verdict(program_of(*row), {"i386", 20, {}, false}, SCMP_ARCH_X86), kKilled);
#endif
    expect_verdicts(place, *row, probes);
  }
}

// Allowed values of one argument of a call; all others are to be refused. `base` are the other
// arguments, with which it is allowed.
struct Sweep {
  const char* call;
  std::array<uint64_t, 5> base;
  size_t arg;
  std::vector<uint64_t> tried;
  std::function<bool(uint64_t)> allowed;
};

std::vector<uint64_t> range(uint64_t first, uint64_t last) {
  std::vector<uint64_t> all;
  for (uint64_t v = first; v <= last; v++) all.push_back(v);
  return all;
}

std::vector<uint64_t> bits(uint64_t base = 0, unsigned count = 32) {
  std::vector<uint64_t> all{base};
  for (unsigned bit = 0; bit < count; bit++) all.push_back(base ^ (1ull << bit));
  return all;
}

std::function<bool(uint64_t)> only(std::set<uint64_t> values) {
  return [values = std::move(values)](uint64_t v) { return values.contains(v); };
}
// None of these bits.
std::function<bool(uint64_t)> none_of(uint64_t mask) {
  return [mask](uint64_t v) { return (v & mask) == 0; };
}

std::vector<uint64_t> plus(std::vector<uint64_t> a, const std::vector<uint64_t>& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

constexpr uint64_t kThreadFlags = CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD |
                                  CLONE_SYSVSEM | CLONE_SETTLS | CLONE_PARENT_SETTID |
                                  CLONE_CHILD_CLEARTID;
constexpr uint64_t kSpecial = S_ISUID | S_ISGID | S_ISVTX;

// Written by hand, from what the programs do, and from nothing in common/privdrop.
std::vector<Sweep> sweeps(ipc::Role role) {
  using ipc::Role;
  const bool imapd = role == Role::imapd, login = role == Role::login, logger = role == Role::log,
             deliverd = role == Role::deliverd;
  std::set<uint64_t> fcntls{F_GETFL, F_SETFL, F_SETFD, F_DUPFD_CLOEXEC};
  if (imapd) fcntls.insert(F_ADD_SEALS);
  if (imapd || deliverd) fcntls.insert(F_GET_SEALS);
  std::vector<Sweep> all{
      {"sendmsg", {3, 1, MSG_NOSIGNAL}, 2, bits(MSG_NOSIGNAL), only({MSG_NOSIGNAL})},
      {"sendto",
       {3, 1, 1, MSG_NOSIGNAL, 0},
       3,
       bits(),
       none_of(~uint64_t{MSG_NOSIGNAL | MSG_DONTWAIT})},
      {"sendto",
       {3, 1, 1, MSG_NOSIGNAL, 0},
       4,
       {0, 1, 0x7fff'0000'0000, 1ull << 32, kOnes},
       only({0})},
      {"fcntl", {3}, 1, plus(range(0, 64), range(1024, 1050)), only(fcntls)},
      {"fcntl", {3, F_SETFL}, 2, bits(), none_of(O_ASYNC)},
      {"fcntl", {3, F_SETFD}, 1, {F_SETOWN, F_SETSIG, F_SETOWN_EX, F_SETLEASE, F_NOTIFY}, only({})},
      {"newfstatat",
       {3, 1, 1, AT_EMPTY_PATH},
       3,
       bits(AT_EMPTY_PATH),
       [logger](uint64_t v) { return logger || v == AT_EMPTY_PATH; }},
      {"mmap",
       {0, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, kOnes},
       2,
       bits(),
       none_of(PROT_EXEC)},
      {"mprotect", {0, 4096, PROT_READ}, 2, bits(), none_of(PROT_EXEC)},
      {"ioctl", {0, TCGETS}, 1, plus(range(0x5400, 0x54ff), range(0x8900, 0x89ff)), only({TCGETS})},
      {"prctl",
       {PR_SET_NAME},
       0,
       plus(range(0, 80), {0x53564d41, 0x59616d61, 0x41555856}),
       only({PR_SET_NAME, 0x53564d41})},
      {"tgkill",
       {kOwnPid, 1, SIGKILL},
       0,
       {kOwnPid, 0, 1, static_cast<uint64_t>(getppid()), kOnes},
       only({kOwnPid})},
      {"prlimit64",
       {0, RLIMIT_NOFILE, 0, 1},
       0,
       {0, 1, static_cast<uint64_t>(getppid()), kOnes},
       only({0})},
      {"prlimit64", {0, RLIMIT_NOFILE, 0, 1}, 2, {0, 1, 0x7fff'0000'0000, kOnes}, only({0})},
  };
  if (imapd || role == Role::auth)
    all.push_back({"clone",
                   {kThreadFlags},
                   0,
                   plus(bits(kThreadFlags), {0, SIGCHLD, CLONE_VFORK | CLONE_VM | SIGCHLD}),
                   only({kThreadFlags})});
  if (imapd || logger)
    all.push_back({"openat", {3, 1, O_CREAT | O_RDWR, 0600}, 3, bits(), none_of(kSpecial)});
  if (imapd) {
    all.push_back({"mkdirat", {3, 1, 0700}, 2, bits(), none_of(kSpecial)});
    all.push_back({"unlinkat", {3, 1, 0}, 2, bits(), only({0})});
    all.push_back({"utimensat", {3, 0, 0, 0}, 1, {0, 1, 0x7fff'0000'0000, kOnes}, only({0})});
    all.push_back({"memfd_create",
                   {1, MFD_CLOEXEC | MFD_ALLOW_SEALING},
                   1,
                   bits(MFD_CLOEXEC | MFD_ALLOW_SEALING),
                   only({MFD_CLOEXEC | MFD_ALLOW_SEALING})});
  }
  if (login) {
    constexpr uint64_t kType = SOCK_STREAM | SOCK_CLOEXEC;
    all.push_back({"socketpair", {AF_UNIX, kType, 0, 1}, 0, range(0, 46), only({AF_UNIX})});
    all.push_back({"socketpair",
                   {AF_UNIX, kType, 0, 1},
                   1,
                   plus(range(0, 16), plus(range(SOCK_CLOEXEC, SOCK_CLOEXEC + 16), bits(kType))),
                   only({kType})});
    all.push_back({"socketpair", {AF_UNIX, kType, 0, 1}, 2, range(0, 16), only({0})});
    all.push_back(
        {"setsockopt", {3, IPPROTO_TCP, TCP_NODELAY, 1, 4}, 1, range(0, 300), only({IPPROTO_TCP})});
    all.push_back({"setsockopt",
                   {3, IPPROTO_TCP, TCP_NODELAY, 1, 4},
                   2,
                   range(0, 60),
                   only({TCP_NODELAY, TCP_KEEPIDLE, TCP_KEEPINTVL, TCP_KEEPCNT})});
    all.push_back(
        {"setsockopt", {3, SOL_SOCKET, SO_KEEPALIVE, 1, 4}, 2, range(0, 90), only({SO_KEEPALIVE})});
    all.push_back(
        {"setsockopt", {3, SOL_SOCKET, SO_KEEPALIVE, 1, 4}, 1, range(0, 300), only({SOL_SOCKET})});
  }
  if (deliverd) {
    all.push_back(
        {"getsockopt", {3, SOL_SOCKET, SO_PEERCRED, 1, 1}, 1, range(0, 300), only({SOL_SOCKET})});
    all.push_back(
        {"getsockopt", {3, SOL_SOCKET, SO_PEERCRED, 1, 1}, 2, range(0, 90), only({SO_PEERCRED})});
  }
  return all;
}

TEST(Sandbox, OfACallWithConditionsNothingMoreIsAllowed) {
  const Place place;
  for (const Row* row : confined_rows()) {
    SCOPED_TRACE(row->binary);
    std::vector<Probe> probes;
    std::set<std::string> swept;
    for (const Sweep& sweep : sweeps(row->role)) {
      swept.insert(sweep.call);
      for (const uint64_t value : sweep.tried) {
        Probe probe{sweep.call, number_of(sweep.call), sweep.base, sweep.allowed(value)};
        probe.args[sweep.arg] = value;
        // What ICU tries must not end the process.
        if (row->role == ipc::Role::imapd && probe.what == "newfstatat") probe.otherwise = kRefused;
        probes.push_back(probe);
      }
    }
    // No condition is without its sweep.
    for (const std::string& name : listed_for(*row).conditional)
      EXPECT_TRUE(swept.contains(name)) << name;
    expect_verdicts(place, *row, probes);
  }
}

TEST(Sandbox, WhatGlibcCanDoWithoutIsRefusedAndNotFatal) {
  const Place place;
  for (const Row* row : confined_rows()) {
    const bool threads = row->role == ipc::Role::auth || row->role == ipc::Role::imapd;
    EXPECT_EQ(kernel_verdict(place, *row, {"clone3", SYS_clone3, {1, 1}, false}),
              threads ? kNoSuchCall : kKilled)
        << row->binary;
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

// Landlock ---------------------------------------------------------------------------------------

long landlock_version() {
  return syscall(SYS_landlock_create_ruleset, nullptr, 0, LANDLOCK_CREATE_RULESET_VERSION);
}

int error_of(long rc) { return rc < 0 ? errno : 0; }
int open_error(const std::string& path, int flags, mode_t mode = 0600) {
  const Fd fd(open(path.c_str(), flags | O_CLOEXEC, mode));
  return fd ? 0 : errno;
}

struct Right {
  const char* name;
  long since;                                            // the version of Landlock
  bool log, keep;                                        // allowed in the directory of its files
  std::function<int(const std::string& where)> attempt;  // an errno, or 0
  bool roots = false;                                    // nobody else could do it anyway
};

int bind_unix(const std::string& path) {
  const Fd fd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::strncpy(address.sun_path, path.c_str(), sizeof address.sun_path - 1);
  return error_of(bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address));
}

std::vector<Right> file_rights() {
  return {
      {"execute", 1, false, false,
       [](const std::string& in) {
         const std::string path = in + "/program";
         const char* const argv[] = {path.c_str(), nullptr};
         execve(path.c_str(), const_cast<char* const*>(argv), environ);
         return errno;
       }},
      {"write a file", 1, true, true,
       [](const std::string& in) { return open_error(in + "/file", O_WRONLY); }},
      {"read a file", 1, false, true,
       [](const std::string& in) { return open_error(in + "/file", O_RDONLY); }},
      {"read a directory", 1, false, true,
       [](const std::string& in) { return open_error(in, O_RDONLY | O_DIRECTORY); }},
      {"remove a directory", 1, false, false,
       [](const std::string& in) { return error_of(rmdir((in + "/directory").c_str())); }},
      {"remove a file", 1, true, true,
       [](const std::string& in) { return error_of(unlink((in + "/file").c_str())); }},
      {"make a device", 1, false, false,
       [](const std::string& in) {  // 0:0 is for everybody
         return error_of(mknod((in + "/device").c_str(), S_IFCHR | 0600, 0));
       }},
      {"make a block device", 1, false, false,
       [](const std::string& in) {
         return error_of(mknod((in + "/block").c_str(), S_IFBLK | 0600, makedev(7, 0)));
       },
       true},
      {"make a directory", 1, false, true,
       [](const std::string& in) { return error_of(mkdir((in + "/new").c_str(), 0700)); }},
      {"make a file", 1, true, true,
       [](const std::string& in) {  // open would also be refused for what it does next
         return error_of(mknod((in + "/new").c_str(), S_IFREG | 0600, 0));
       }},
      {"make a socket", 1, false, false,
       [](const std::string& in) { return bind_unix(in + "/socket"); }},
      {"make a pipe", 1, false, false,
       [](const std::string& in) { return error_of(mkfifo((in + "/pipe").c_str(), 0600)); }},
      {"make a link", 1, false, false,
       [](const std::string& in) { return error_of(symlink("file", (in + "/link").c_str())); }},
      {"rename in the directory", 1, true, true,
       [](const std::string& in) {
         return error_of(rename((in + "/file").c_str(), (in + "/other").c_str()));
       }},
      {"rename into another directory", 2, false, true,
       [](const std::string& in) {
         const int error =
             error_of(rename((in + "/file").c_str(), (in + "/directory/file").c_str()));
         return error == EXDEV ? EACCES : error;
       }},
      {"truncate", 3, false, true,
       [](const std::string& in) { return error_of(truncate((in + "/file").c_str(), 1)); }},
  };
}

TEST(Sandbox, EachRightOfLandlockIsGivenOrRefused) {
  const long version = landlock_version();
  if (version < 1) GTEST_SKIP() << "this kernel has no Landlock";
  for (const FileRights rights :
       {FileRights::none, FileRights::append_and_rotate, FileRights::keep}) {
    for (const Right& right : file_rights()) {
      if (right.since > version || (right.roots && !is_root())) continue;
      for (const bool outside : {false, true}) {
        for (const bool confined : {false, true}) {
          const Place place;
          const std::string where = outside ? place.outside() : place.mine();
          if (in_child([&] {
                become_user(kUser);
                return mkdir((where + "/directory").c_str(), 0700) == 0 ? 0 : 1;
              }) != 0)
            FAIL() << "no directory for the test";
          const Fd program(
              open((where + "/program").c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0755));
          (void)!write(program.get(), "#!/bin/true\n", 12);
          const int status = in_child([&] {
            if (!right.roots) become_user(kUser);
            if (confined) confine(rights, rights == FileRights::none ? "" : place.mine());
            return right.attempt(where);
          });
          const bool allowed =
              !outside && ((rights == FileRights::append_and_rotate && right.log) ||
                           (rights == FileRights::keep && right.keep));
          SCOPED_TRACE(std::string(right.name) + (outside ? " outside" : " inside") + ", rights " +
                       std::to_string(static_cast<int>(rights)));
          ASSERT_TRUE(WIFEXITED(status));
          if (!confined)  // the attempt itself is right
            EXPECT_NE(WEXITSTATUS(status), EACCES);
          else
            EXPECT_EQ(WEXITSTATUS(status), allowed ? 0 : EACCES);
        }
      }
    }
  }
}

struct Listener {
  Fd fd;
  sockaddr_in address{};
  Listener() : fd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    (void)bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address);
    (void)listen(fd.get(), 8);
    socklen_t size = sizeof address;
    (void)getsockname(fd.get(), reinterpret_cast<sockaddr*>(&address), &size);
  }
  [[nodiscard]] bool was_reached() const {
    pollfd waiting{.fd = fd.get(), .events = POLLIN, .revents = 0};
    return poll(&waiting, 1, 0) == 1;
  }
};

// A socket in the abstract name space that takes datagrams.
struct Abstract {
  Fd fd;
  sockaddr_un address{};
  socklen_t size = 0;
  Abstract() : fd(socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0)) {
    address.sun_family = AF_UNIX;
    (void)bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(sa_family_t));
    size = sizeof address;
    (void)getsockname(fd.get(), reinterpret_cast<sockaddr*>(&address), &size);
  }
  [[nodiscard]] const sockaddr* name() const { return reinterpret_cast<const sockaddr*>(&address); }
  [[nodiscard]] bool was_reached() const {
    char c = 0;
    return recv(fd.get(), &c, 1, MSG_DONTWAIT) == 1;
  }
};

// A process of the same user that answers each byte that it is sent.
class Victim {
 public:
  explicit Victim(uint32_t user) {
    int fds[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) != 0) std::_Exit(99);
    ours_ = Fd(fds[0]);
    Fd theirs(fds[1]);
    pid_ = fork();
    if (pid_ != 0) return;
    ours_.reset();
    if (is_root() && (setresgid(user, user, user) != 0 || setresuid(user, user, user) != 0))
      std::_Exit(99);
    for (char c = 0; read(theirs.get(), &c, 1) == 1;)
      if (write(theirs.get(), &c, 1) != 1) break;
    std::_Exit(0);
  }
  Victim(const Victim&) = delete;
  Victim& operator=(const Victim&) = delete;
  ~Victim() {
    ours_.reset();
    waitpid(pid_, nullptr, 0);
  }
  [[nodiscard]] pid_t pid() const { return pid_; }
  // A signal that was sent before comes first.
  [[nodiscard]] bool lives() const {
    char c = 'x';
    return send(ours_.get(), &c, 1, MSG_NOSIGNAL) == 1 && read(ours_.get(), &c, 1) == 1;
  }

 private:
  Fd ours_;
  pid_t pid_ = 0;
};

TEST(Sandbox, PortsAbstractSocketsAndSignalsAreOutOfReachForLandlockToo) {
  const long version = landlock_version();
  if (version < 4) GTEST_SKIP() << "this kernel's Landlock knows files only";
  const Listener listener;
  const Abstract abstract;
  const auto attempt = [&](bool confined, const std::function<int()>& f) {
    return in_child([&] {
      become_user(kUser);
      if (confined) confine(FileRights::keep, "/tmp");
      return f();
    });
  };
  const auto connects = [&] {
    const Fd fd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    return error_of(connect(fd.get(), reinterpret_cast<const sockaddr*>(&listener.address),
                            sizeof listener.address));
  };
  const auto binds = [] {
    const Fd fd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in any{};
    any.sin_family = AF_INET;
    any.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return error_of(bind(fd.get(), reinterpret_cast<const sockaddr*>(&any), sizeof any));
  };
  const auto sends = [&] {
    const Fd fd(socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    return error_of(sendto(fd.get(), "x", 1, 0, abstract.name(), abstract.size));
  };
  EXPECT_EQ(WEXITSTATUS(attempt(false, connects)), 0);
  EXPECT_EQ(WEXITSTATUS(attempt(true, connects)), EACCES);
  EXPECT_EQ(WEXITSTATUS(attempt(false, binds)), 0);
  EXPECT_EQ(WEXITSTATUS(attempt(true, binds)), EACCES);
  if (version < 6) return;
  EXPECT_EQ(WEXITSTATUS(attempt(false, sends)), 0);
  EXPECT_EQ(WEXITSTATUS(attempt(true, sends)), EPERM);
  const Victim victim(kUser);
  ASSERT_TRUE(victim.lives());
  const auto signals = [&] { return error_of(kill(victim.pid(), 0)); };
  EXPECT_EQ(WEXITSTATUS(attempt(false, signals)), 0);
  EXPECT_EQ(WEXITSTATUS(attempt(true, signals)), EPERM);
}

// Attacks ----------------------------------------------------------------------------------------

// Runs in a program that was taken over, which had these descriptors before.
struct Held {
  Fd listener;                  // a TCP port
  std::array<Fd, 2> link;       // both ends of a SOCK_SEQPACKET pair
  std::array<Fd, 2> datagrams;  // no program has one; what if it were given one
  Held() : listener(Listener().fd.release()) {
    int fds[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds) == 0)
      link = {Fd(fds[0]), Fd(fds[1])};
    if (socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, fds) == 0)
      datagrams = {Fd(fds[0]), Fd(fds[1])};
  }
};

struct Attack {
  const char* name;
  std::function<void(const Held&)> act;
  std::function<bool()> succeeded;
};

class Attacks : public testing::Test {
 protected:
  // Each attack by each program; each must leave no trace at its victim.
  void expect_no_effect(const Attack& attack) {
    for (const Row* row : confined_rows()) {
      const Held held;
      (void)in_child([&] {
        place_.enter_row(*row);
        attack.act(held);
        return 0;
      });
      EXPECT_FALSE(attack.succeeded()) << row->binary << ": " << attack.name;
    }
    // The attack works where nothing is forbidden.
    const Held held;
    (void)in_child([&] {
      become_user(kUser);
      attack.act(held);
      return 0;
    });
    EXPECT_TRUE(attack.succeeded()) << "the attack itself does nothing: " << attack.name;
  }
  Place place_;
};

TEST_F(Attacks, NoProgramConnectsOutThroughAListener) {
  const Listener victim;
  const auto reached = [&] {
    const bool yes = victim.was_reached();
    if (yes) close(accept(victim.fd.get(), nullptr, nullptr));
    return yes;
  };
  expect_no_effect({"sendto with MSG_FASTOPEN",
                    [&](const Held& held) {
                      shutdown(held.listener.get(), SHUT_RDWR);
                      (void)sendto(held.listener.get(), "x", 1, MSG_FASTOPEN | MSG_NOSIGNAL,
                                   reinterpret_cast<const sockaddr*>(&victim.address),
                                   sizeof victim.address);
                    },
                    reached});
  expect_no_effect({"sendmsg with MSG_FASTOPEN",
                    [&](const Held& held) {
                      shutdown(held.listener.get(), SHUT_RDWR);
                      sockaddr_in to = victim.address;
                      char text[] = "x";
                      iovec io{.iov_base = text, .iov_len = 1};
                      msghdr header{};
                      header.msg_name = &to;
                      header.msg_namelen = sizeof to;
                      header.msg_iov = &io;
                      header.msg_iovlen = 1;
                      (void)sendmsg(held.listener.get(), &header, MSG_FASTOPEN | MSG_NOSIGNAL);
                    },
                    reached});
  expect_no_effect({"connect",
                    [&](const Held& held) {
                      shutdown(held.listener.get(), SHUT_RDWR);
                      (void)connect(held.listener.get(),
                                    reinterpret_cast<const sockaddr*>(&victim.address),
                                    sizeof victim.address);
                    },
                    reached});
}

TEST_F(Attacks, NoProgramSendsToASocketThatItWasNotGiven) {
  const Abstract victim;
  expect_no_effect({"a datagram by sendto",
                    [&](const Held& held) {
                      (void)sendto(held.datagrams[0].get(), "x", 1, MSG_NOSIGNAL, victim.name(),
                                   victim.size);
                    },
                    [&] { return victim.was_reached(); }});
  expect_no_effect({"a datagram of a new pair",
                    [&](const Held&) {
                      int pair[2];
                      if (socketpair(AF_UNIX, SOCK_DGRAM, 0, pair) == 0)
                        (void)sendto(pair[0], "x", 1, 0, victim.name(), victim.size);
                    },
                    [&] { return victim.was_reached(); }});
  if (landlock_version() < 6) return;
  // The address is in memory, where no filter of calls sees it.
  expect_no_effect({"a datagram by sendmsg",
                    [&](const Held& held) {
                      sockaddr_un to = victim.address;
                      char text[] = "x";
                      iovec io{.iov_base = text, .iov_len = 1};
                      msghdr header{};
                      header.msg_name = &to;
                      header.msg_namelen = victim.size;
                      header.msg_iov = &io;
                      header.msg_iovlen = 1;
                      (void)sendmsg(held.datagrams[0].get(), &header, MSG_NOSIGNAL);
                    },
                    [&] { return victim.was_reached(); }});
}

TEST_F(Attacks, NoProgramSignalsAnother) {
  auto victim = std::make_unique<Victim>(kUser);
  ASSERT_TRUE(victim->lives());
  const auto died = [&] {
    const bool dead = !victim->lives();
    if (dead) {
      victim = std::make_unique<Victim>(kUser);
      EXPECT_TRUE(victim->lives());
    }
    return dead;
  };
  expect_no_effect({"kill", [&](const Held&) { (void)kill(victim->pid(), SIGKILL); }, died});
  expect_no_effect(
      {"tgkill",
       [&](const Held&) { (void)syscall(SYS_tgkill, victim->pid(), victim->pid(), SIGKILL); },
       died});
  const auto by_owner = [&](const char* name, const std::function<void(int)>& own,
                            const std::function<void(int)>& async) {
    expect_no_effect({name,
                      [=](const Held& held) {
                        const int fd = held.link[0].get();
                        own(fd);
                        (void)fcntl(fd, F_SETSIG, SIGKILL);
                        async(fd);
                        (void)!write(held.link[1].get(), "x", 1);
                      },
                      died});
  };
  const auto set_async = [](int fd) { (void)fcntl(fd, F_SETFL, O_ASYNC | O_NONBLOCK); };
  const auto ioctl_async = [](int fd) {
    int on = 1;
    (void)ioctl(fd, FIOASYNC, &on);
  };
  by_owner("F_SETOWN", [&](int fd) { (void)fcntl(fd, F_SETOWN, victim->pid()); }, set_async);
  by_owner(
      "F_SETOWN_EX",
      [&](int fd) {
        const f_owner_ex owner{.type = F_OWNER_PID, .pid = victim->pid()};
        (void)fcntl(fd, F_SETOWN_EX, &owner);
      },
      set_async);
  by_owner(
      "FIOSETOWN and FIOASYNC",
      [&](int fd) {
        int pid = victim->pid();
        (void)ioctl(fd, FIOSETOWN, &pid);
      },
      ioctl_async);
  by_owner(
      "SIOCSPGRP",
      [&](int fd) {
        int pid = victim->pid();
        (void)ioctl(fd, SIOCSPGRP, &pid);
      },
      ioctl_async);
}

mode_t mode_of(const std::string& path) {
  struct stat st{};
  return stat(path.c_str(), &st) == 0 ? st.st_mode & 07777 : 0;
}

TEST_F(Attacks, NoProgramChangesTheModeOfAFileOrMakesASetuidOne) {
  const std::string mine = place_.mine() + "/file", outside = place_.outside() + "/file";
  for (const std::string& path : {mine, outside, std::string("/file")}) {
    const std::string real = path == "/file" ? mine : path;  // as it is called in a chroot
    if (path == "/file" && !is_root()) continue;
    const auto changed = [&] {
      const bool yes = mode_of(real) != 0644;
      chmod(real.c_str(), 0644);
      return yes;
    };
    const auto target = [&](const Held&) {
      (void)chmod(path.c_str(), 04755);
      if (path == "/file") (void)chmod(real.c_str(), 04755);  // where nothing is forbidden
    };
    expect_no_effect({"chmod", target, changed});
    expect_no_effect({"fchmodat",
                      [&](const Held&) {
                        (void)fchmodat(AT_FDCWD, path.c_str(), 04755, 0);
                        (void)fchmodat(AT_FDCWD, real.c_str(), 04755, 0);
                      },
                      changed});
  }
  const std::string made = place_.mine() + "/made";
  const auto is_setuid = [&] {
    const bool yes = (mode_of(made) & 06000) != 0;
    unlink(made.c_str());
    return yes;
  };
  expect_no_effect({"open with a set-id mode",
                    [&](const Held&) {
                      for (const char* path : {made.c_str(), "/made"})
                        (void)open(path, O_CREAT | O_RDWR, 06755);  // NOLINT: not kept
                    },
                    is_setuid});
}

TEST_F(Attacks, AProgramStartedAsRootSeesNoFileOutsideOfItsRoot) {
  if (!is_root()) GTEST_SKIP() << "needs root";
  for (const Row* row : confined_rows()) {
    for (const char* path : {"/etc/passwd", "/proc/self/status", "/dev/null", "/../etc/passwd"}) {
      // By the one call that is left for it: an empty path is not needed with AT_EMPTY_PATH.
      const int status = in_child([&] {
        place_.enter_row(*row);
        struct stat st{};
        return error_of(syscall(SYS_newfstatat, AT_FDCWD, path, &st, AT_EMPTY_PATH));
      });
      EXPECT_EQ(WEXITSTATUS(status), ENOENT) << row->binary << " " << path;
    }
  }
}

// What the programs do all day.
TEST_F(Attacks, WhatAProgramNeedsItMayDo) {
  using ipc::Role;
  const auto link_works = [](const Held& held) {
    const int flags = fcntl(held.link[0].get(), F_GETFL);
    if (fcntl(held.link[0].get(), F_SETFL, flags | O_NONBLOCK) != 0) return 1;
    if (send(held.link[0].get(), "x", 1, MSG_NOSIGNAL | MSG_DONTWAIT) != 1) return 2;
    char text[2];
    iovec io{.iov_base = text, .iov_len = 1};
    msghdr header{};
    header.msg_iov = &io;
    header.msg_iovlen = 1;
    if (recvmsg(held.link[1].get(), &header, MSG_CMSG_CLOEXEC) != 1) return 3;
    header.msg_iov = &io;
    if (sendmsg(held.link[1].get(), &header, MSG_NOSIGNAL) != 1) return 4;
    rlimit limit{};
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return 5;
    struct stat st{};
    return fstat(held.link[0].get(), &st) == 0 && shutdown(held.link[0].get(), SHUT_RDWR) == 0 ? 0
                                                                                               : 6;
  };
  const auto thread = [](const Held&) {
    std::thread([] {}).join();
    return 0;
  };
  const auto accepts = [](const Held& held) {
    const Fd none(accept4(held.listener.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
    return !none && errno == EAGAIN ? 0 : 1;
  };
  const auto pair_for_tls = [](const Held& held) {
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0) return 1;
    const int on = 1;
    if (setsockopt(held.listener.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) != 0) return 2;
    if (setsockopt(held.listener.get(), SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on) != 0) return 3;
    return fcntl(pair[0], F_DUPFD_CLOEXEC, 3) > 0 ? 0 : 4;
  };
  const auto seals = [](const Held&) {
    const Fd fd(memfd_create("x", MFD_CLOEXEC | MFD_ALLOW_SEALING));
    if (!fd || fcntl(fd.get(), F_ADD_SEALS, F_SEAL_SHRINK) != 0) return 1;
    return fcntl(fd.get(), F_GET_SEALS) == F_SEAL_SHRINK ? 0 : 2;
  };
  const Fd mine(open(place_.mine().c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  const auto rotates = [&](const Held&) {
    const Fd fd(openat(mine.get(), "log", O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW, 0640));
    if (!fd || write(fd.get(), "x", 1) != 1) return 1;
    struct stat st{};
    if (fstatat(mine.get(), "log", &st, AT_SYMLINK_NOFOLLOW) != 0) return 2;
    return renameat(mine.get(), "log", mine.get(), "log.0") == 0 ? 0 : 3;
  };
  const auto keeps_mail = [&](const Held&) {
    if (mkdirat(mine.get(), "account", 0700) != 0) return 1;
    const Fd dir(openat(mine.get(), "account", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    const Fd fd(openat(dir.get(), "1", O_RDWR | O_CREAT | O_CLOEXEC, 0600));
    if (!dir || !fd || flock(dir.get(), LOCK_EX | LOCK_NB) != 0) return 2;
    if (pwrite(fd.get(), "text", 4, 0) != 4 || fdatasync(fd.get()) != 0) return 3;
    char text[4];
    if (pread(fd.get(), text, 4, 0) != 4 || ftruncate(fd.get(), 1) != 0) return 4;
    if (renameat2(dir.get(), "1", mine.get(), "2", RENAME_NOREPLACE) != 0) return 5;
    return unlinkat(mine.get(), "2", 0) == 0 && fsync(dir.get()) == 0 ? 0 : 6;
  };
  struct Need {
    const char* what;
    std::function<int(const Held&)> act;
    std::set<Role> of;
  };
  const Need needs[] = {
      {"use a link", link_works, {Role::log, Role::auth, Role::login, Role::imapd, Role::deliverd}},
      {"make a thread", thread, {Role::auth, Role::imapd}},
      {"accept", accepts, {Role::login, Role::deliverd}},
      {"make a pair for TLS", pair_for_tls, {Role::login}},
      {"seal a message", seals, {Role::imapd}},
      {"rotate the log", rotates, {Role::log}},
      {"keep mail", keeps_mail, {Role::imapd}},
  };
  for (const Row* row : confined_rows()) {
    for (const Need& need : needs) {
      Held held;
      fcntl(held.listener.get(), F_SETFL, O_NONBLOCK);
      const int status = in_child([&] {
        place_.enter_row(*row);
        return need.act(held);
      });
      if (need.of.contains(row->role))
        EXPECT_EQ(status, 0) << row->binary << " needs to " << need.what;
      else
        EXPECT_NE(status, 0) << row->binary << " does not need to " << need.what;
      for (const char* left : {"/log.0", "/log", "/2", "/account/1"})
        unlink((place_.mine() + left).c_str());
      rmdir((place_.mine() + "/account").c_str());
    }
  }
}

// Limits -----------------------------------------------------------------------------------------

TEST(Sandbox, EachProgramHasItsLimits) {
  struct Expected {
    ipc::Role role;
    rlim_t files, processes;
  };
  constexpr Expected kExpected[] = {
      {ipc::Role::log, 4096, 16},      {ipc::Role::auth, 4096, 64},
      {ipc::Role::imapd, 65536, 8192}, {ipc::Role::deliverd, 16384, 64},
      {ipc::Role::login, 65536, 64},
  };
  ASSERT_EQ(std::size(kExpected), confined_rows().size());
  const Place place;
  const bool root = is_root();
  rlimit inherited{}, inherited_processes{};
  getrlimit(RLIMIT_NOFILE, &inherited);
  getrlimit(RLIMIT_NPROC, &inherited_processes);
  for (const Expected& row : kExpected) {
    const int status = in_child([&] {
      place.enter_row(row_of(row.role));
      rlimit core{}, files{}, processes{};
      getrlimit(RLIMIT_CORE, &core);
      getrlimit(RLIMIT_NOFILE, &files);
      getrlimit(RLIMIT_NPROC, &processes);
      if (core.rlim_cur != 0 || core.rlim_max != 0) return 1;
      const rlim_t most = std::min(row.files, inherited.rlim_max);
      if (files.rlim_cur != most || files.rlim_max != most) return 2;
      const rlim_t threads = root ? std::min(row.processes, inherited_processes.rlim_max)
                                  : inherited_processes.rlim_max;
      return processes.rlim_max == threads ? 0 : 3;
    });
    EXPECT_EQ(status, 0) << row_of(row.role).binary << " (status " << WEXITSTATUS(status) << ")";
  }
}

}  // namespace

// Keeps the program instead of loading it, when it is asked for.
int keep_or_load(scmp_filter_ctx context, int (*load)(scmp_filter_ctx)) {
  if (!exported) return load(context);
  const Fd fd(memfd_create("filter", MFD_CLOEXEC));
  if (seccomp_export_bpf(context, fd.get()) != 0) return -EINVAL;
  exported->resize(static_cast<size_t>(lseek(fd.get(), 0, SEEK_END)) / sizeof(sock_filter));
  const size_t bytes = exported->size() * sizeof(sock_filter);
  return pread(fd.get(), exported->data(), bytes, 0) == static_cast<ssize_t>(bytes) ? 0 : -EIO;
}

}  // namespace rims::privdrop

// In place of libseccomp's.
extern "C" int seccomp_load(const scmp_filter_ctx context) {
  static const auto load =
      reinterpret_cast<int (*)(scmp_filter_ctx)>(dlsym(RTLD_NEXT, "seccomp_load"));
  return rims::privdrop::keep_or_load(context, load);
}
