// tests/config/root_paths_test.cc - whose directories root may use

#include "common/config/root_paths.h"

#include <cstdlib>
#include <filesystem>
#include <string>
#include <sys/stat.h>
#include <unistd.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace rims::config {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

class RootPaths : public testing::Test {
 protected:
  void SetUp() override {
    if (geteuid() != 0) GTEST_SKIP() << "needs root";
    char name[] = "/tmp/rims_paths_XXXXXX";
    top_ = mkdtemp(name);
    fs::permissions(top_, fs::perms(0755));
    for (const char* part : {"/roots", "/roots/deep", "/others", "/others/deep", "/group", "/open"})
      fs::create_directory(top_ + part);
    ASSERT_EQ(chown((top_ + "/others").c_str(), 4711, 4711), 0);
    fs::permissions(top_ + "/group", fs::perms(0775));
    fs::permissions(top_ + "/open", fs::perms(01777));
    fs::create_directory(top_ + "/open/roots");
  }
  void TearDown() override {
    if (!top_.empty()) fs::remove_all(top_);
  }
  std::string why(const std::string& path) const {
    const Status safe = only_root_may_change(top_ + path);
    return safe ? "" : safe.error().detail();
  }
  std::string top_;
};

TEST_F(RootPaths, WhatOnlyRootCanChangeIsSafe) {
  EXPECT_EQ(why("/roots"), "");
  EXPECT_EQ(why("/roots/deep/"), "");
  EXPECT_EQ(why("/roots/./deep/../deep"), "");
  EXPECT_EQ(why("/roots/not/there/yet"), "");
  EXPECT_EQ(why("/open/roots"), "") << "a directory of root in a sticky one";
  EXPECT_TRUE(only_root_may_change("/"));
}

TEST_F(RootPaths, ADirectoryOfSomebodyElseOnTheWayIsNamed) {
  EXPECT_THAT(why("/others"), HasSubstr("it belongs to user 4711"));
  EXPECT_THAT(why("/others/deep"), HasSubstr(top_ + "/others belongs to user 4711"));
  EXPECT_THAT(why("/others/not/there"), HasSubstr(top_ + "/others belongs"));
  EXPECT_THAT(why("/roots/../others/deep"), HasSubstr("/others belongs"));
}

TEST_F(RootPaths, ADirectoryThatOthersMayWriteToIsNamed) {
  EXPECT_THAT(why("/group"), HasSubstr("may be changed by others"));
  EXPECT_THAT(why("/group/not/there"), HasSubstr("may be changed by others"));
  EXPECT_THAT(why("/open"), HasSubstr("may be changed by others"));
  EXPECT_THAT(why("/open/missing"), HasSubstr("may be changed by others"))
      << "anybody could make it first";
}

TEST_F(RootPaths, LinksOfRootAreFollowedToWhatTheyLeadTo) {
  fs::create_directory_symlink("roots", top_ + "/good");
  fs::create_directory_symlink("others", top_ + "/bad");
  fs::create_directory_symlink(top_ + "/roots/deep", top_ + "/absolute");
  fs::create_directory_symlink("round", top_ + "/round");
  EXPECT_EQ(why("/good"), "");
  EXPECT_EQ(why("/good/deep"), "");
  EXPECT_EQ(why("/absolute"), "");
  EXPECT_THAT(why("/bad/deep"), HasSubstr("others belongs to user 4711"));
  EXPECT_THAT(why("/round"), HasSubstr("is a broken link"));
  fs::create_directory_symlink("roots", top_ + "/theirs");
  ASSERT_EQ(lchown((top_ + "/theirs").c_str(), 4711, 4711), 0);
  EXPECT_THAT(why("/theirs"), HasSubstr("belongs to user 4711"));
}

TEST_F(RootPaths, AFileIsNoDirectory) {
  EXPECT_THAT(why("/roots/deep/../../../../etc/passwd"), HasSubstr("is not a directory"));
}

TEST_F(RootPaths, EachPathOfAConfigurationIsLookedAt) {
  Config good;
  good.paths_run_dir = top_ + "/roots";
  good.paths_pid_file = top_ + "/roots/rims.pid";
  good.listen_deliver_socket = top_ + "/roots/deliver.sock";
  good.base_dir = top_ + "/others";  // may be its user's
  good.log_file = top_ + "/others/imap.log";
  const Status safe = check_paths_of_root(good);
  EXPECT_TRUE(safe) << safe.error().detail();
  const auto wrong = [&](auto member, const std::string& path) {
    Config config;
    config.paths_run_dir = good.paths_run_dir;
    config.paths_pid_file = good.paths_pid_file;
    config.listen_deliver_socket = good.listen_deliver_socket;
    config.base_dir = good.base_dir;
    config.log_file = good.log_file;
    config.*member = top_ + path;
    const Status found = check_paths_of_root(config);
    return found ? "" : found.error().detail();
  };
  EXPECT_THAT(wrong(&Config::paths_run_dir, "/others/run"), HasSubstr("paths.run_dir: "));
  EXPECT_THAT(wrong(&Config::paths_pid_file, "/others/rims.pid"), HasSubstr("paths.pid_file: "));
  EXPECT_THAT(wrong(&Config::listen_deliver_socket, "/others/deliver.sock"),
              HasSubstr("listen.deliver_socket: "));
  EXPECT_THAT(wrong(&Config::base_dir, "/others/mail"), HasSubstr("base_dir: "));
  EXPECT_THAT(wrong(&Config::log_file, "/others/more/log/imap.log"), HasSubstr("log_file: "));
  EXPECT_EQ(wrong(&Config::log_file, "/others/log/imap.log"), "") << "it is in base_dir";
  // In a directory like /tmp nobody can take away what is there, but put what is missing.
  std::filesystem::create_directory(top_ + "/shared");
  std::filesystem::permissions(top_ + "/shared", std::filesystem::perms(01777));
  EXPECT_THAT(wrong(&Config::base_dir, "/shared/mail"), HasSubstr("base_dir: "));
  std::filesystem::create_directory(top_ + "/shared/mail");
  EXPECT_EQ(wrong(&Config::base_dir, "/shared/mail"), "");
}

}  // namespace
}  // namespace rims::config
