// tests/controller/sockets_test.cc - ports, the socket of rims-deliver, directories, the pid file

#include "controller/sockets.h"

#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <filesystem>
#include <fstream>
#include <netinet/in.h>
#include <string>
#include <sys/socket.h>
#include <sys/stat.h>
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
  auto all = open_ports(config_for("127.0.0.1", 0, true));
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
  auto all = open_ports(config_for("::", 0));
  if (!all) GTEST_SKIP() << "no IPv6 here: " << all.error().detail();
  const Fd fd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons((*all)[0].port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  EXPECT_EQ(connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
}

TEST_F(Sockets, ANameIsLookedUp) {
  auto all = open_ports(config_for("localhost", 0));
  ASSERT_TRUE(all) << all.error().detail();
  EXPECT_GE(all->size(), 1u);
  EXPECT_EQ(waitpid(-1, nullptr, WNOHANG), -1) << "the one who looked it up is gone";
}

TEST_F(Sockets, WhatCannotBeListenedOnIsNamed) {
  auto first = open_ports(config_for("127.0.0.1", 0));
  ASSERT_TRUE(first);
  const auto second = open_ports(config_for("127.0.0.1", (*first)[0].port));
  ASSERT_FALSE(second);
  EXPECT_THAT(second.error().detail(), HasSubstr("imap_port: cannot listen on 127.0.0.1:"));
  EXPECT_THAT(second.error().detail(), HasSubstr("in use"));
  const auto nowhere = open_ports(config_for("no-such-host.invalid", 0));
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
  auto held = open_ports(config_for("127.0.0.1", 0));
  ASSERT_TRUE(held);
  const uint16_t port = held->front().port;
  const auto taken = ports_are_free(config_for("127.0.0.1", port), {});
  ASSERT_FALSE(taken);
  EXPECT_THAT(
      taken.error().detail(),
      HasSubstr("imap_port: cannot listen on 127.0.0.1:" + std::to_string(port) + ": bind: "));
  EXPECT_TRUE(ports_are_free(config_for("127.0.0.1", port), {port})) << "it is our own";
  held->clear();
  EXPECT_TRUE(ports_are_free(config_for("127.0.0.1", port), {}));
  EXPECT_TRUE(open_ports(config_for("127.0.0.1", port))) << "and it is still free";
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
