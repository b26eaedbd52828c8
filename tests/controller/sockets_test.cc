// tests/controller/sockets_test.cc - ports, the socket of rims-deliver, directories, the pid file

#include "controller/sockets.h"

#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <filesystem>
#include <fstream>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <netinet/in.h>
#include <set>
#include <string>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace rims::controller {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

class Sockets : public testing::Test {
 protected:
  Sockets() {
    char name[] = "/tmp/rims_sockets_XXXXXX";
    dir_ = mkdtemp(name);
    fs::permissions(dir_, fs::perms(0755));
  }
  ~Sockets() override { fs::remove_all(dir_); }
  std::string dir_;
  std::set<std::string> remarks_;
};

mode_t mode_of(const std::string& path) {
  struct stat st{};
  return lstat(path.c_str(), &st) == 0 ? st.st_mode & 07777 : 0;
}

int connect_to(const std::string& path) {
  const Fd fd(socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::strcpy(address.sun_path, path.c_str());
  return connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0
             ? 0
             : errno;
}

// As on a kernel without IPv6. For a child process: it can not be undone.
void forbid_ipv6() {
  sock_filter code[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_socket, 0, 3),
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, args[0])),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AF_INET6, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EAFNOSUPPORT),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  const sock_fprog program{.len = std::size(code), .filter = code};
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
      prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0)
    std::_Exit(99);
}

TEST_F(Sockets, TheDeliverSocketHasItsModeWhateverTheUmask) {
  for (const mode_t mask : {0u, 077u, 022u}) {
    const std::string path = dir_ + "/deliver.sock";
    const mode_t before = umask(mask);
    auto made = open_deliver_socket(path, 0660, {});
    EXPECT_EQ(umask(before), mask) << "left as it was";
    ASSERT_TRUE(made) << made.error().detail();
    EXPECT_EQ(mode_of(path), 0660u);
    EXPECT_EQ(connect_to(path), 0);
    fs::remove(path);
  }
}

TEST_F(Sockets, AStaleDeliverSocketIsReplacedALiveOneIsNot) {
  const std::string path = dir_ + "/deliver.sock";
  {
    ASSERT_TRUE(open_deliver_socket(path, 0600, {}));
  }  // dies and leaves its name
  EXPECT_EQ(connect_to(path), ECONNREFUSED);
  auto live = open_deliver_socket(path, 0600, {});
  ASSERT_TRUE(live) << live.error().detail();
  const auto second = open_deliver_socket(path, 0600, {});
  ASSERT_FALSE(second);
  EXPECT_THAT(second.error().detail(), HasSubstr("another server listens"));
  EXPECT_EQ(connect_to(path), 0) << "the live one is untouched";
}

TEST_F(Sockets, AFileInThePlaceOfTheDeliverSocketIsNotRemoved) {
  const std::string path = dir_ + "/deliver.sock";
  std::ofstream(path) << "precious";
  const auto made = open_deliver_socket(path, 0600, {});
  ASSERT_FALSE(made);
  EXPECT_TRUE(fs::exists(path));
}

TEST_F(Sockets, TheDeliverSocketGetsItsGroup) {
  if (geteuid() != 0) GTEST_SKIP() << "needs root";
  const std::string path = dir_ + "/deliver.sock";
  auto made = open_deliver_socket(path, 0660, 4711);
  ASSERT_TRUE(made);
  struct stat st{};
  ASSERT_EQ(lstat(path.c_str(), &st), 0);
  EXPECT_EQ(st.st_gid, 4711u);
}

config::Config config_for(const std::string& host, uint16_t port, bool imaps = false) {
  config::Config config;
  config.file = "config.yml";
  config.imap_host = host;
  config.imap_port = port;
  if (imaps) config.listen_imaps_port = 0;
  return config;
}

TEST_F(Sockets, PortZeroTakesAFreePortAndTheFileNamesIt) {
  auto all = open_ports(config_for("127.0.0.1", 0, true), remarks_);
  ASSERT_TRUE(all) << all.error().detail();
  ASSERT_EQ(all->size(), 2u);
  EXPECT_EQ((*all)[0].channel, ipc::Channel::listen_imap);
  EXPECT_EQ((*all)[1].channel, ipc::Channel::listen_imaps);
  EXPECT_NE((*all)[0].port, 0);
  ASSERT_TRUE(write_ports(dir_, *all));
  std::ifstream in(dir_ + "/ports");
  std::string imap, imaps;
  int a = 0, b = 0;
  in >> imap >> a >> imaps >> b;
  EXPECT_EQ(imap, "imap");
  EXPECT_EQ(imaps, "imaps");
  EXPECT_EQ(a, (*all)[0].port);
  EXPECT_EQ(b, (*all)[1].port);
  remove_ports(dir_);
  EXPECT_FALSE(fs::exists(dir_ + "/ports"));
}

TEST_F(Sockets, AnAddressOfBothFamiliesTakesBoth) {
  auto all = open_ports(config_for("::", 0), remarks_);
  if (!all) GTEST_SKIP() << "no IPv6 here: " << all.error().detail();
  const Fd fd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons((*all)[0].port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  EXPECT_EQ(connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
}

TEST_F(Sockets, ANameIsLookedUp) {
  auto all = open_ports(config_for("localhost", 0), remarks_);
  ASSERT_TRUE(all) << all.error().detail();
  EXPECT_GE(all->size(), 1u);
  EXPECT_EQ(waitpid(-1, nullptr, WNOHANG), -1) << "the one who looked it up is gone";
}

TEST_F(Sockets, WhereIpv6IsOffBothFamiliesMeanTheOther) {
  const pid_t pid = fork();
  ASSERT_GE(pid, 0);
  if (pid == 0) {
    forbid_ipv6();
    const auto both = open_ports(config_for("::", 0, true), remarks_);
    if (!both || both->size() != 2) std::_Exit(1);
    for (const Listener& one : *both)
      if (!one.name.starts_with("0.0.0.0:") || one.index != 0 || one.port == 0) std::_Exit(2);
    if (remarks_.size() != 1 || !remarks_.begin()->contains("IPv6 is off")) std::_Exit(3);
    if (!ports_are_free(config_for("::", 0), {}, remarks_)) std::_Exit(4);
    // What asks for IPv6 alone can not have it.
    if (open_ports(config_for("::1", 0), remarks_)) std::_Exit(5);
    std::_Exit(0);
  }
  int status = 0;
  ASSERT_EQ(waitpid(pid, &status, 0), pid);
  EXPECT_EQ(status, 0) << WEXITSTATUS(status);
}

TEST_F(Sockets, TheSocketOfTheAdministratorIsForItsOwnerAlone) {
  const auto made = open_admin_socket(dir_);
  ASSERT_TRUE(made) << made.error().detail();
  EXPECT_EQ(made->name, dir_ + "/admin.sock");
  EXPECT_EQ(mode_of(made->name), 0600u);
  const auto second = open_admin_socket(dir_);
  ASSERT_FALSE(second);
  EXPECT_THAT(second.error().detail(), HasSubstr("another server listens"));
  const auto too_long = open_admin_socket(dir_ + std::string(100, 'x'));
  ASSERT_TRUE(too_long);
  EXPECT_EQ(too_long->name, "");
  EXPECT_TRUE(admin_socket_fits(std::string(96, 'x')));
  EXPECT_FALSE(admin_socket_fits(std::string(97, 'x')));
}

TEST_F(Sockets, WhatCannotBeListenedOnIsNamed) {
  auto first = open_ports(config_for("127.0.0.1", 0), remarks_);
  ASSERT_TRUE(first);
  const auto second = open_ports(config_for("127.0.0.1", (*first)[0].port), remarks_);
  ASSERT_FALSE(second);
  EXPECT_THAT(second.error().detail(), HasSubstr("imap_port: cannot listen on 127.0.0.1:"));
  EXPECT_THAT(second.error().detail(), HasSubstr("in use"));
  const auto nowhere = open_ports(config_for("no-such-host.invalid", 0), remarks_);
  ASSERT_FALSE(nowhere);
  EXPECT_THAT(nowhere.error().detail(), HasSubstr("imap_host"));
}

TEST_F(Sockets, OneControllerPerPidFile) {
  const std::string path = dir_ + "/rims.pid";
  {
    auto first = PidFile::take(path);
    ASSERT_TRUE(first) << first.error().detail();
    ASSERT_TRUE(first->write());
    const auto second = PidFile::take(path);
    ASSERT_FALSE(second);
    EXPECT_THAT(second.error().detail(), HasSubstr("process " + std::to_string(getpid())));
  }
  EXPECT_FALSE(fs::exists(path));
  std::ofstream(path) << "99999\n";  // left by one that was killed
  auto third = PidFile::take(path);
  EXPECT_TRUE(third);
}

TEST_F(Sockets, APortIsLookedAtWithoutTakingAConnection) {
  auto held = open_ports(config_for("127.0.0.1", 0), remarks_);
  ASSERT_TRUE(held);
  const uint16_t port = held->front().port;
  const auto taken = ports_are_free(config_for("127.0.0.1", port), {}, remarks_);
  ASSERT_FALSE(taken);
  EXPECT_THAT(
      taken.error().detail(),
      HasSubstr("imap_port: cannot listen on 127.0.0.1:" + std::to_string(port) + ": bind: "));
  EXPECT_TRUE(ports_are_free(config_for("127.0.0.1", port), {port}, remarks_)) << "it is our own";
  held->clear();
  EXPECT_TRUE(ports_are_free(config_for("127.0.0.1", port), {}, remarks_));
  EXPECT_TRUE(open_ports(config_for("127.0.0.1", port), remarks_)) << "and it is still free";
}

TEST_F(Sockets, LmtpListensAtSocketsAndPortsOrSaysWhatIsTaken) {
  config::Config config = config_for("127.0.0.1", 0);
  config.listen_deliver_socket_mode = 0600;
  config.lmtp_listen = {{.path = dir_ + "/lmtp", .host = {}},
                        {.path = {}, .host = "127.0.0.1", .port = 0}};
  EXPECT_TRUE(lmtp_is_free(config, false, {}));
  auto all = open_lmtp(config, {});
  ASSERT_TRUE(all) << all.error().detail();
  ASSERT_EQ(all->size(), 2u);
  EXPECT_EQ((*all)[1].index, 1u);
  EXPECT_EQ(mode_of(dir_ + "/lmtp"), 0600u);
  ASSERT_TRUE(write_ports(dir_, *all));
  std::ifstream in(dir_ + "/ports");
  std::string name;
  int port = 0;
  in >> name >> port;
  EXPECT_EQ(name, "lmtp");
  EXPECT_EQ(port, (*all)[1].port);
  config.lmtp_listen[1].port = (*all)[1].port;
  const Status taken = lmtp_is_free(config, false, {});
  ASSERT_FALSE(taken);
  EXPECT_THAT(taken.error().detail(), HasSubstr("lmtp.listen: another server listens on " + dir_));
  EXPECT_THAT(taken.error().detail(), HasSubstr("lmtp.listen: cannot listen on 127.0.0.1:"));
  EXPECT_TRUE(lmtp_is_free(config, true, {(*all)[1].port})) << "they are our own";
  EXPECT_FALSE(open_lmtp(config, {}));
  all->clear();
  EXPECT_TRUE(open_lmtp(config, {})) << "an old socket is replaced";
}

TEST_F(Sockets, ASocketOfDeliverIsLookedAtWithoutTouchingIt) {
  const std::string path = dir_ + "/deliver.sock";
  EXPECT_TRUE(deliver_socket_is_free(path));
  {
    const auto held = open_deliver_socket(path, 0600, std::nullopt);
    ASSERT_TRUE(held);
    EXPECT_FALSE(deliver_socket_is_free(path));
  }
  EXPECT_TRUE(deliver_socket_is_free(path)) << "an old one";
  EXPECT_TRUE(fs::exists(path));
  fs::remove(path);
  std::ofstream(path) << "x";
  EXPECT_FALSE(deliver_socket_is_free(path));
}

}  // namespace
}  // namespace rims::controller
