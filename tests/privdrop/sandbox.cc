// tests/privdrop/sandbox.cc - children that enter rows

#include "tests/privdrop/sandbox.h"

#include <array>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <fcntl.h>
#include <grp.h>
#include <linux/landlock.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

namespace rims::privdrop {

bool is_root() { return geteuid() == 0; }

std::vector<const Row*> confined_rows() {
  std::vector<const Row*> rows;
  for (const Row* row : kProcessTable)
    if (!row->calls.empty()) rows.push_back(row);
  return rows;
}

Place::Place() {
  char name[] = "/tmp/rims_sandbox_XXXXXX";
  top_ = mkdtemp(name);
  chmod(top_.c_str(), 0755);
  for (const char* part : {"/empty", "/mine", "/outside"}) mkdir((top_ + part).c_str(), 0755);
  if (is_root())
    for (const std::string& path : {mine(), outside()}) (void)!chown(path.c_str(), kUser, kUser);
  make(mine() + "/file");
  make(outside() + "/file");
}

Place::~Place() { (void)!std::system(("rm -rf " + top_).c_str()); }  // NOLINT: a path of ours

void Place::make(const std::string& path) const {
  const Fd fd(open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0644));
  (void)!write(fd.get(), "text", 4);
  if (is_root()) (void)!fchown(fd.get(), kUser, kUser);
}

void Place::enter_row(const Row& row) const {
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

long landlock_version() {
  return syscall(SYS_landlock_create_ruleset, nullptr, 0, LANDLOCK_CREATE_RULESET_VERSION);
}

int error_of(long rc) { return rc < 0 ? errno : 0; }
int open_error(const std::string& path, int flags, mode_t mode) {
  const Fd fd(open(path.c_str(), flags | O_CLOEXEC, mode));
  return fd ? 0 : errno;
}

Listener::Listener() : fd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  (void)bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address);
  (void)listen(fd.get(), 8);
  socklen_t length = sizeof address;
  (void)getsockname(fd.get(), reinterpret_cast<sockaddr*>(&address), &length);
}

bool Listener::was_reached() const {
  pollfd waiting{.fd = fd.get(), .events = POLLIN, .revents = 0};
  return poll(&waiting, 1, 0) == 1;
}

Abstract::Abstract() : fd(socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0)) {
  address.sun_family = AF_UNIX;
  (void)bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(sa_family_t));
  size = sizeof address;
  (void)getsockname(fd.get(), reinterpret_cast<sockaddr*>(&address), &size);
}

bool Abstract::was_reached() const {
  char c = 0;
  return recv(fd.get(), &c, 1, MSG_DONTWAIT) == 1;
}

Victim::Victim(uint32_t user) {
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

Victim::~Victim() {
  ours_.reset();
  waitpid(pid_, nullptr, 0);
}

bool Victim::lives() const {
  char c = 'x';
  return send(ours_.get(), &c, 1, MSG_NOSIGNAL) == 1 && read(ours_.get(), &c, 1) == 1;
}

}  // namespace rims::privdrop
