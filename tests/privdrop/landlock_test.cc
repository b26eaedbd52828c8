// tests/privdrop/landlock_test.cc - each right of Landlock, without the list of calls before it

#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <functional>
#include <string>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>
#include <vector>

#include <gtest/gtest.h>

#include "tests/privdrop/sandbox.h"

namespace rims::privdrop {
namespace {

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

}  // namespace
}  // namespace rims::privdrop
