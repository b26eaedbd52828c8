// tests/privdrop/verdicts.cc - asking the filters, and what they should say

#include "tests/privdrop/verdicts.h"

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
#include <linux/seccomp.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <sstream>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include <utility>

#include <gtest/gtest.h>

namespace rims::privdrop {
namespace {

constexpr uint64_t kOwnPid = 0xdead'0000'0001;  // stands for it
constexpr uint64_t kOnes = ~0ull;

// The program that filter_calls() would load; seccomp_load() below keeps it here.
std::vector<sock_filter>* exported = nullptr;

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

constexpr size_t kSample = 61;  // of so many probes one is asked of the kernel

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

std::vector<Sweep> sweeps(ipc::Role role) {
  using ipc::Role;
  const bool imapd = role == Role::imapd, login = role == Role::login, logger = role == Role::log,
             deliverd = role == Role::deliverd, auth = role == Role::auth;
  std::set<uint64_t> fcntls{F_GETFL, F_SETFL, F_SETFD, F_DUPFD_CLOEXEC};
  if (imapd || deliverd) fcntls.insert(F_ADD_SEALS);
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
      {"newfstatat", {3, 1, 1, AT_EMPTY_PATH}, 3, bits(AT_EMPTY_PATH), only({})},
      {"shutdown", {3, SHUT_WR}, 1, bits(SHUT_WR), only({SHUT_WR})},
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
  if (imapd || auth)
    all.push_back({"clone",
                   {kThreadFlags},
                   0,
                   plus(bits(kThreadFlags), {0, SIGCHLD, CLONE_VFORK | CLONE_VM | SIGCHLD}),
                   only({kThreadFlags})});
  if (imapd || auth || logger)
    all.push_back({"openat", {3, 1, O_CREAT | O_RDWR, 0600}, 3, bits(), none_of(kSpecial)});
  if (imapd || auth) {
    all.push_back({"mkdirat", {3, 1, 0700}, 2, bits(), none_of(kSpecial)});
    all.push_back({"unlinkat", {3, 1, 0}, 2, bits(), only({0})});
  }
  if (imapd)
    all.push_back({"utimensat", {3, 0, 0, 0}, 1, {0, 1, 0x7fff'0000'0000, kOnes}, only({0})});
  if (imapd || deliverd)
    all.push_back({"memfd_create",
                   {1, MFD_CLOEXEC | MFD_ALLOW_SEALING},
                   1,
                   bits(MFD_CLOEXEC | MFD_ALLOW_SEALING),
                   only({MFD_CLOEXEC | MFD_ALLOW_SEALING})});
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

}  // namespace

std::vector<sock_filter> program_of(std::span<const Call> calls) {
  std::vector<sock_filter> program;
  exported = &program;
  filter_calls(calls);
  exported = nullptr;
  return program;
}

int verdict(const std::vector<sock_filter>& program, const Probe& probe, uint32_t architecture) {
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

void expect_verdicts(const Place& place, const Row& row, const std::vector<Probe>& probes) {
  const std::vector<sock_filter> program = program_of(row.calls);
  for (size_t i = 0; i < probes.size(); i++) {
    EXPECT_EQ(verdict(program, probes[i]), probes[i].wanted()) << text_of(row, probes[i]);
    if (i % kSample == 0)
      EXPECT_EQ(kernel_verdict(place, row, probes[i]), probes[i].wanted())
          << text_of(row, probes[i]);
  }
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

// uretprobe and uprobe, for the kernel's own probes: it lets them pass by every filter, and ends
// whoever makes them elsewhere.
bool passes_by_filters([[maybe_unused]] long number) {
#ifdef __x86_64__
  return number == 335 || number == 336;
#else
  return false;
#endif
}

std::vector<Probe> probes_of_names(const Row& row) {
  const Listed listed = listed_for(row);
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
  return probes;
}

std::vector<Probe> probes_of_arguments(const Row& row) {
  std::vector<Probe> probes;
  for (const Sweep& sweep : sweeps(row.role)) {
    for (const uint64_t value : sweep.tried) {
      Probe probe{sweep.call, number_of(sweep.call), sweep.base, sweep.allowed(value)};
      probe.args[sweep.arg] = value;
      // What libraries try must not end the process.
      if (probe.what == "newfstatat") probe.otherwise = kRefused;
      probes.push_back(probe);
    }
  }
  return probes;
}

Probe probe_of_clone3(const Row& row) {
  const bool threads = row.role == ipc::Role::auth || row.role == ipc::Role::imapd;
  return {"clone3", SYS_clone3, {1, 1}, false, threads ? kNoSuchCall : kKilled};
}

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
