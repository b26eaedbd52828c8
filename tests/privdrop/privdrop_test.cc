// tests/privdrop/privdrop_test.cc - giving up rights, in forked children
//
// Each child enters a row, tells its parent with one byte, and waits; the parent then reads what
// the kernel says in /proc. What needs root is skipped without it; what needs to be unprivileged
// is done as "nobody" when the tests run as root.

#include "common/privdrop/privdrop.h"

#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <fcntl.h>
#include <fstream>
#include <functional>
#include <grp.h>
#include <linux/capability.h>
#include <map>
#include <poll.h>
#include <string>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>

#include <gtest/gtest.h>

#include "common/base/fd.h"
#include "common/privdrop/process_table.h"

namespace rims::privdrop {
namespace {

constexpr uint32_t kNobody = 65534;

bool is_root() { return geteuid() == 0; }

// Runs `f` in a child and returns its wait status.
int in_child(const std::function<void()>& f) {
  const pid_t pid = fork();
  if (pid == 0) {
    // Fatal messages of a child that is meant to fail are no news.
    const int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
    dup2(null, STDERR_FILENO);
    f();
    std::_Exit(0);
  }
  int status = 0;
  waitpid(pid, &status, 0);
  return status;
}

bool was_fatal(int status) { return WIFEXITED(status) && WEXITSTATUS(status) == 70; }

void become_nobody() {
  if (!is_root()) return;
  if (setgroups(0, nullptr) != 0 || setresgid(kNobody, kNobody, kNobody) != 0 ||
      setresuid(kNobody, kNobody, kNobody) != 0)
    std::_Exit(99);
}

// The child enters and waits while the parent reads /proc/PID/status.
std::map<std::string, std::string> status_after(const std::function<void()>& enter_it) {
  int up[2], down[2];
  if (pipe2(up, O_CLOEXEC) != 0 || pipe2(down, O_CLOEXEC) != 0) return {};
  const pid_t pid = fork();
  if (pid == 0) {
    enter_it();
    char c = 'x';
    if (write(up[1], &c, 1) != 1 || read(down[0], &c, 1) != 1) std::_Exit(98);
    std::_Exit(0);
  }
  close(up[1]);
  char c = 0;
  std::map<std::string, std::string> fields;
  if (read(up[0], &c, 1) == 1) {
    std::ifstream file("/proc/" + std::to_string(pid) + "/status");
    for (std::string line; std::getline(file, line);) {
      const size_t colon = line.find(':');
      std::string value = line.substr(colon + 1);
      value.erase(0, value.find_first_not_of(" \t"));
      fields[line.substr(0, colon)] = value;
    }
    struct stat st{};
    stat(("/proc/" + std::to_string(pid) + "/mem").c_str(), &st);
    fields["owner"] = std::to_string(st.st_uid);
    std::ifstream limits("/proc/" + std::to_string(pid) + "/limits");
    for (std::string line; std::getline(limits, line);)
      if (line.starts_with("Max core file size")) fields["core"] = line;
  }
  EXPECT_EQ(write(down[1], &c, 1), 1);
  int status = 0;
  waitpid(pid, &status, 0);
  EXPECT_EQ(status, 0);
  close(up[0]);
  close(down[0]);
  close(down[1]);
  return fields;
}

struct TempDir {
  std::string path;
  explicit TempDir(mode_t mode) {
    char name[] = "/tmp/rims_privdrop_XXXXXX";
    path = mkdtemp(name);
    chmod(path.c_str(), mode);
  }
  ~TempDir() {
    unlink((path + "/file").c_str());
    rmdir(path.c_str());
  }
};

void expect_confined(std::map<std::string, std::string>& status) {
  EXPECT_EQ(status["Seccomp"], "2");
  EXPECT_EQ(status["NoNewPrivs"], "1");
  for (const char* set : {"CapInh", "CapPrm", "CapEff", "CapAmb"})
    EXPECT_EQ(status[set], "0000000000000000") << set;
  // The files in /proc of a process that is not dumpable belong to root.
  EXPECT_EQ(status["owner"], "0");
  EXPECT_NE(status["core"].find("size        0                    0"), std::string::npos)
      << status["core"];
}

TEST(Privdrop, UnprivilegedStartGivesUpAllButTheIdentity) {
  for (const Row* row : privdrop::kProcessTable) {
    if (row->calls.empty()) continue;
    SCOPED_TRACE(row->binary);
    auto status = status_after([&] {
      become_nobody();
      prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);  // as who was not root before
      enter(*row, {});
    });
    expect_confined(status);
  }
}

TEST(Privdrop, StartAsRootBecomesTheUserWithoutAnyGroup) {
  if (!is_root()) GTEST_SKIP() << "needs root";
  const TempDir empty(0755);
  const gid_t groups[] = {4, 20};
  ASSERT_EQ(setgroups(2, groups), 0);
  auto status = status_after([&] {
    // A change of the user alone leaves the inheritable ones.
    __user_cap_header_struct head{.version = _LINUX_CAPABILITY_VERSION_3, .pid = 0};
    __user_cap_data_struct data[2] = {};
    if (syscall(SYS_capget, &head, data) != 0) std::_Exit(96);
    data[0].inheritable = data[0].permitted & (1u << CAP_CHOWN | 1u << CAP_SETUID);
    if (data[0].inheritable == 0 || syscall(SYS_capset, &head, data) != 0) std::_Exit(95);
    enter(privdrop::kLoginRow, {.change = true, .uid = 4711, .gid = 4712, .chroot = empty.path});
    struct stat st{};
    if (fstatat(AT_FDCWD, "/etc", &st, AT_EMPTY_PATH) == 0) std::_Exit(97);
  });
  ASSERT_EQ(setgroups(0, nullptr), 0);
  expect_confined(status);
  EXPECT_EQ(status["Uid"], "4711\t4711\t4711\t4711");
  EXPECT_EQ(status["Gid"], "4712\t4712\t4712\t4712");
  EXPECT_EQ(status["Groups"], "");
  EXPECT_EQ(status["CapBnd"], "0000000000000000");
}

// A command that root runs as the mail user.
TEST(Privdrop, BecomingAUserLeavesRootsGroupsAndCapabilitiesBehind) {
  if (!is_root()) GTEST_SKIP() << "needs root";
  const gid_t groups[] = {0, 4, 20};
  ASSERT_EQ(setgroups(3, groups), 0);
  auto status = status_after([] { become(4711, 4712); });
  ASSERT_EQ(setgroups(0, nullptr), 0);
  EXPECT_EQ(status["Uid"], "4711\t4711\t4711\t4711");
  EXPECT_EQ(status["Gid"], "4712\t4712\t4712\t4712");
  EXPECT_EQ(status["Groups"], "");
  for (const char* set : {"CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"})
    EXPECT_EQ(status[set], "0000000000000000") << set;
}

TEST(Privdrop, WhoKeepsReadingReadsAllFilesAndWritesNone) {
  if (!is_root()) GTEST_SKIP() << "needs root";
  const TempDir private_(0700);
  const std::string file = private_.path + "/file";
  const Fd made(open(file.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
  const gid_t groups[] = {4};
  ASSERT_EQ(setgroups(1, groups), 0);
  auto status = status_after([&] {
    become(4711, 4712, Keep::reading);
    if (!Fd(open(file.c_str(), O_RDONLY | O_CLOEXEC))) std::_Exit(97);
    if (Fd(open(file.c_str(), O_WRONLY | O_CLOEXEC))) std::_Exit(96);
    if (Fd(open((file + "2").c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600))) std::_Exit(95);
    bool reads = false;  // threads are no less
    std::thread([&] { reads = Fd(open(file.c_str(), O_RDONLY | O_CLOEXEC)).get() >= 0; }).join();
    if (!reads) std::_Exit(94);
  });
  ASSERT_EQ(setgroups(0, nullptr), 0);
  EXPECT_EQ(status["Uid"], "4711\t4711\t4711\t4711");
  EXPECT_EQ(status["Groups"], "");
  for (const char* set : {"CapPrm", "CapEff"}) EXPECT_EQ(status[set], "0000000000000004") << set;
  for (const char* set : {"CapInh", "CapBnd", "CapAmb"})
    EXPECT_EQ(status[set], "0000000000000000") << set;
}

TEST(Privdrop, NobodyBecomesRoot) {
  EXPECT_TRUE(was_fatal(in_child([] { become(0, 4712); })));
  EXPECT_TRUE(was_fatal(in_child([] { become(4711, 0); })));
  EXPECT_TRUE(was_fatal(in_child([] {
    become_nobody();
    become(4711, 4712);
  }))) << "without the right to it";
}

int in_row(const Row& row, const std::function<void()>& f) {
  return in_child([&] {
    become_nobody();
    enter(row, {});
    f();
  });
}

bool killed_by_filter(int status) { return WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS; }

TEST(Privdrop, AForbiddenCallEndsTheProcess) {
  const Row* rows[] = {&privdrop::kLogRow, &privdrop::kAuthRow, &privdrop::kLoginRow,
                       &privdrop::kImapdRow, &privdrop::kDeliverdRow};
  for (const Row* row : rows) {
    SCOPED_TRACE(row->binary);
    EXPECT_TRUE(killed_by_filter(in_row(*row, [] { socket(AF_INET, SOCK_STREAM, 0); })));
    EXPECT_TRUE(killed_by_filter(in_row(*row, [] { syscall(SYS_connect, 0, nullptr, 0); })));
    EXPECT_TRUE(killed_by_filter(in_row(*row, [] { syscall(SYS_bind, 0, nullptr, 0); })));
    EXPECT_TRUE(killed_by_filter(in_row(*row, [] { syscall(SYS_fork); })));
    EXPECT_TRUE(killed_by_filter(in_row(*row, [] { syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0); })));
    EXPECT_TRUE(killed_by_filter(in_row(*row, [] { syscall(SYS_ptrace, 0, 0, 0, 0); })));
    EXPECT_TRUE(killed_by_filter(in_row(*row, [] { syscall(SYS_setuid, 0); })));
    EXPECT_TRUE(killed_by_filter(in_row(*row, [] {
      const char* const none[] = {nullptr};
      syscall(SYS_execve, "/bin/true", none, none);
    })));
    EXPECT_TRUE(
        killed_by_filter(in_row(*row, [] { syscall(SYS_tgkill, getppid(), getppid(), 0); })));
  }
}

TEST(Privdrop, ThreadsWorkWhereTheTableSaysSo) {
  const auto thread = [] { std::thread([] {}).join(); };
  EXPECT_EQ(in_row(privdrop::kAuthRow, thread), 0);
  EXPECT_EQ(in_row(privdrop::kImapdRow, thread), 0);
  EXPECT_TRUE(killed_by_filter(in_row(privdrop::kLoginRow, thread)));
}

TEST(Privdrop, AnAbortIsAnAbort) {
  const int status = in_row(privdrop::kLoginRow, [] {
    std::signal(SIGABRT, SIG_DFL);
    std::abort();
  });
  EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT) << status;
}

TEST(Privdrop, StillBeingRootIsFatal) {
  if (!is_root()) GTEST_SKIP() << "needs root";
  EXPECT_TRUE(was_fatal(in_child([] { enter(privdrop::kLogRow, {}); })));
  EXPECT_TRUE(
      was_fatal(in_child([] { enter(privdrop::kLogRow, {.change = true, .uid = 0, .gid = 0}); })));
  EXPECT_TRUE(was_fatal(
      in_child([] { enter(privdrop::kLogRow, {.change = true, .uid = 4711, .gid = 0}); })));
}

TEST(Privdrop, AChrootThatIsNotEmptyOrNotRootsIsFatal) {
  if (!is_root()) GTEST_SKIP() << "needs root";
  const auto enter_in = [](const std::string& path) {
    return in_child([&] {
      enter(privdrop::kLoginRow, {.change = true, .uid = 4711, .gid = 4711, .chroot = path});
    });
  };
  const TempDir good(0755), writable(0777), foreign(0755), full(0755);
  ASSERT_EQ(chown(foreign.path.c_str(), 4711, 4711), 0);
  Fd(open((full.path + "/file").c_str(), O_CREAT | O_WRONLY | O_CLOEXEC, 0600)).reset();
  EXPECT_EQ(enter_in(good.path), 0);
  EXPECT_TRUE(was_fatal(enter_in(writable.path)));
  EXPECT_TRUE(was_fatal(enter_in(foreign.path)));
  EXPECT_TRUE(was_fatal(enter_in(full.path)));
  EXPECT_TRUE(was_fatal(enter_in("/nonexistent")));
  EXPECT_TRUE(was_fatal(enter_in("/etc/passwd")));
}

// Leaves the child only the capabilities of `mask`, so that exactly one later step can fail.
void keep_only(uint64_t mask) {
  __user_cap_header_struct head{.version = _LINUX_CAPABILITY_VERSION_3, .pid = 0};
  __user_cap_data_struct data[2] = {};
  data[0].effective = data[0].permitted = static_cast<uint32_t>(mask);
  if (syscall(SYS_capset, &head, data) != 0) std::_Exit(96);
}

TEST(Privdrop, EveryStepThatFailsIsFatal) {
  if (!is_root()) GTEST_SKIP() << "needs root";
  const TempDir empty(0755);
  constexpr uint64_t kAll =
      1ull << CAP_SETUID | 1ull << CAP_SETGID | 1ull << CAP_SYS_CHROOT | 1ull << CAP_SETPCAP;
  const auto with = [&](uint64_t mask) {
    return in_child([&] {
      keep_only(mask);
      enter(privdrop::kLoginRow, {.change = true, .uid = 4711, .gid = 4711, .chroot = empty.path});
    });
  };
  EXPECT_EQ(with(kAll), 0);
  EXPECT_TRUE(was_fatal(with(kAll & ~(1ull << CAP_SYS_CHROOT))));
  EXPECT_TRUE(was_fatal(with(kAll & ~(1ull << CAP_SETPCAP))));
  EXPECT_TRUE(was_fatal(with(kAll & ~(1ull << CAP_SETGID))));
  EXPECT_TRUE(was_fatal(with(kAll & ~(1ull << CAP_SETUID))));
}

TEST(Privdrop, AnUnknownCallInAListIsFatal) {
  static constexpr Call kCalls[] = {"read", "no_such_call"};
  Row row = privdrop::kLogRow;
  row.calls = kCalls;
  EXPECT_TRUE(was_fatal(in_child([&] {
    become_nobody();
    enter(row, {});
  })));
}

TEST(Privdrop, LimitsAreSetHardAndNeverRaised) {
  Row row = privdrop::kImapdRow;
  row.limits = {.open_files = 50, .file_size = 12345, .processes = 0};
  EXPECT_EQ(in_row(row,
                   [] {
                     rlimit files{}, size{};
                     getrlimit(RLIMIT_NOFILE, &files);
                     getrlimit(RLIMIT_FSIZE, &size);
                     if (files.rlim_cur != 50 || files.rlim_max != 50 || size.rlim_max != 12345)
                       std::_Exit(1);
                   }),
            0);
  row.limits = {.open_files = 1ull << 40, .file_size = 0, .processes = 0};
  EXPECT_EQ(in_row(row, [] {}), 0) << "takes what there is";
}

TEST(Privdrop, AnOrphanEndsAtOnce) {
  int up[2];
  ASSERT_EQ(pipe2(up, O_CLOEXEC), 0);
  const pid_t middle = fork();
  if (middle == 0) {
    const pid_t leaf = fork();
    if (leaf == 0) {
      become_nobody();
      enter(privdrop::kLogRow, {});
      if (write(up[1], "x", 1) != 1) std::_Exit(1);
      for (;;) poll(nullptr, 0, -1);
    }
    char c = 0;
    if (read(up[0], &c, 1) != 1) std::_Exit(1);
    std::_Exit(0);  // only after the leaf is confined
  }
  close(up[1]);
  int status = 0;
  waitpid(middle, &status, 0);
  EXPECT_EQ(status, 0);
  char c = 0;
  EXPECT_EQ(read(up[0], &c, 1), 0) << "the leaf is gone, and with it the last writer";
  close(up[0]);
}

}  // namespace
}  // namespace rims::privdrop
