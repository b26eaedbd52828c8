// tests/privdrop/attacks_test.cc - what an attacker would try, and what the programs need, for real

#include <algorithm>
#include <arpa/inet.h>
#include <cerrno>
#include <csignal>
#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <dirent.h>
#include <fcntl.h>
#include <functional>
#include <grp.h>
#include <memory>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <set>
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

#include "tests/privdrop/sandbox.h"

namespace rims::privdrop {
namespace {

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
      if (row->files == FileRights::none) continue;  // it can open nothing: see below
      const int status = in_child([&] {
        place_.enter_row(*row);
        return open_error(path, O_PATH);
      });
      EXPECT_EQ(WEXITSTATUS(status), ENOENT) << row->binary << " " << path;
    }
  }
}

// Also where no other root keeps it from that.
TEST_F(Attacks, NoProgramLearnsByStatWhetherAFileIsThere) {
  const std::string there = place_.outside() + "/file", missing = place_.outside() + "/missing";
  for (const Row* row : confined_rows()) {
    for (const int flags : {0, AT_EMPTY_PATH, AT_SYMLINK_NOFOLLOW}) {
      const auto answer = [&](const std::string& path) {
        return in_child([&] {
          become_user(kUser);
          place_.enter_row(*row);
          struct stat st{};
          return error_of(syscall(SYS_newfstatat, AT_FDCWD, path.c_str(), &st, flags));
        });
      };
      EXPECT_EQ(answer(there), answer(missing)) << row->binary << ", flags " << flags;
    }
  }
}

// It would be out for its other holders and for whoever comes in its place, too.
TEST_F(Attacks, NoProgramEndsAListeningSocket) {
  for (const int family : {AF_INET, AF_UNIX}) {
    const bool local = family == AF_UNIX;
    const int type = (local ? SOCK_SEQPACKET : SOCK_STREAM) | SOCK_CLOEXEC;
    const auto works = [&](const Fd& listener) {
      sockaddr_storage address{};
      socklen_t size = sizeof address;
      auto* name = reinterpret_cast<sockaddr*>(&address);
      const Fd client(socket(family, type, 0));
      return getsockname(listener.get(), name, &size) == 0 &&
             connect(client.get(), name, size) == 0;
    };
    for (const int how : {SHUT_RD, SHUT_WR, SHUT_RDWR}) {
      const auto listen_and = [&](const std::function<void(const Fd&)>& act) {
        const Fd listener(socket(family, type, 0));
        sockaddr_un any{.sun_family = AF_UNIX, .sun_path = {}};
        sockaddr_in loopback{};
        loopback.sin_family = AF_INET;
        loopback.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        EXPECT_EQ(
            local ? bind(listener.get(), reinterpret_cast<sockaddr*>(&any),
                         sizeof any.sun_family)  // the kernel chooses a name
                  : bind(listener.get(), reinterpret_cast<sockaddr*>(&loopback), sizeof loopback),
            0);
        EXPECT_EQ(listen(listener.get(), 10), 0);
        act(listener);
        return works(listener);
      };
      for (const Row* row : confined_rows())
        EXPECT_TRUE(listen_and([&](const Fd& listener) {
          (void)in_child([&] {
            place_.enter_row(*row);
            return shutdown(listener.get(), how);
          });
        })) << row->binary
            << ", how " << how << (local ? ", local" : ", TCP");
      // The attack works where nothing is forbidden.
      EXPECT_EQ(listen_and([&](const Fd& listener) {
                  (void)in_child([&] { return shutdown(listener.get(), how); });
                }),
                how == SHUT_WR);
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
    return fstat(held.link[0].get(), &st) == 0 && shutdown(held.link[0].get(), SHUT_WR) == 0 ? 0
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
    if (!Fd(openat(mine.get(), "log", O_PATH | O_NOFOLLOW | O_CLOEXEC))) return 2;
    return renameat(mine.get(), "log", mine.get(), "log.0") == 0 ? 0 : 3;
  };
  const auto keeps_journal = [&](const Held&) {
    if (mkdirat(mine.get(), "account", 0700) != 0) return 1;
    const Fd dir(openat(mine.get(), "account", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    const Fd fd(openat(dir.get(), "1", O_RDWR | O_CREAT | O_CLOEXEC, 0600));
    if (!dir || !fd || flock(dir.get(), LOCK_EX | LOCK_NB) != 0) return 2;
    if (pwrite(fd.get(), "text", 4, 0) != 4 || fdatasync(fd.get()) != 0) return 3;
    char text[4];
    if (pread(fd.get(), text, 4, 0) != 4 || ftruncate(fd.get(), 1) != 0) return 4;
    char names[1024];
    if (getdents64(dir.get(), names, sizeof names) <= 0) return 7;
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
      {"seal a message", seals, {Role::imapd, Role::deliverd}},
      {"rename a file", rotates, {Role::log, Role::auth, Role::imapd}},
      {"keep a journal", keeps_journal, {Role::auth, Role::imapd}},
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
}  // namespace rims::privdrop
