// tests/config/root_paths_test.cc - whose directories root may use

#include "common/config/root_paths.h"

#include <cstdlib>
#include <filesystem>
#include <fstream>
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
  std::string why_of_place(const std::string& path) const {
    const Status safe = only_root_may_replace(top_ + path);
    return safe ? "" : safe.error().detail();
  }
  void make_file(const std::string& path, uid_t owner, int mode) const {
    std::ofstream(top_ + path) << "x";
    ASSERT_EQ(chown((top_ + path).c_str(), owner, 0), 0);
    fs::permissions(top_ + path, fs::perms(mode));
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

TEST_F(RootPaths, APlaceIsSafeWhoeverHasWhatStandsThere) {
  make_file("/roots/theirs", 4711, 0644);
  EXPECT_EQ(why_of_place("/roots/theirs"), "");
  EXPECT_EQ(why_of_place("/others"), "");
  EXPECT_EQ(why_of_place("/roots/missing"), "");
  EXPECT_THAT(why_of_place("/others/file"), HasSubstr(top_ + "/others belongs to user 4711"));
  EXPECT_THAT(why_of_place("/group/file"), HasSubstr("/group may be changed by others"));
  EXPECT_THAT(why_of_place("/open/missing"), HasSubstr("/open may be changed by others"));
}

TEST_F(RootPaths, WhatOthersHaveInAStickyDirectoryTheyMayReplace) {
  make_file("/open/mine", 0, 0644);
  make_file("/open/theirs", 4711, 0644);
  EXPECT_EQ(why_of_place("/open/mine"), "");
  EXPECT_THAT(why_of_place("/open/theirs"), HasSubstr("belongs to user 4711, who may replace it"));
}

TEST_F(RootPaths, ALinkAtAPlaceIsFollowedToTheLastOne) {
  make_file("/others/key", 0, 0600);
  make_file("/roots/key", 0, 0600);
  fs::create_symlink("../roots/key", top_ + "/roots/deep/good");
  EXPECT_EQ(why_of_place("/roots/deep/good"), "");
  fs::create_symlink(top_ + "/others/key", top_ + "/roots/deep/bad");
  EXPECT_THAT(why_of_place("/roots/deep/bad"), HasSubstr("/others belongs to user 4711"));
  fs::create_symlink("round", top_ + "/roots/round");
  EXPECT_THAT(why_of_place("/roots/round"), HasSubstr("is a broken link"));
  fs::create_symlink("key", top_ + "/roots/theirs");
  ASSERT_EQ(lchown((top_ + "/roots/theirs").c_str(), 4711, 4711), 0);
  EXPECT_THAT(why_of_place("/roots/theirs"), HasSubstr("belongs to user 4711, who may change it"));
}

TEST_F(RootPaths, AConfigurationIsRootsAlone) {
  const auto why_not = [&](const std::string& path) {
    const Status safe = check_configuration_of_root(top_ + path);
    return safe ? "" : safe.error().detail();
  };
  make_file("/roots/good.yml", 0, 0640);
  make_file("/roots/theirs.yml", 4711, 0640);
  make_file("/roots/group.yml", 0, 0660);
  make_file("/others/roots.yml", 0, 0600);
  EXPECT_EQ(why_not("/roots/good.yml"), "");
  EXPECT_THAT(why_not("/roots/theirs.yml"), HasSubstr("user 4711 may change what root does"));
  EXPECT_THAT(why_not("/roots/group.yml"), HasSubstr("others than root may change what root does"));
  EXPECT_THAT(why_not("/others/roots.yml"), HasSubstr("/others belongs to user 4711"));
}

TEST_F(RootPaths, EachPathOfAConfigurationIsLookedAt) {
  Config good;
  good.paths_run_dir = top_ + "/roots";
  good.paths_pid_file = top_ + "/roots/rims.pid";
  good.listen_deliver_socket = top_ + "/roots/deliver.sock";
  good.base_dir = top_ + "/others";  // may be its user's
  good.log_file = top_ + "/others/imap.log";
  make_file("/roots/config.yml", 0, 0600);
  good.file = top_ + "/roots/config.yml";
  good.tls_certificate = top_ + "/roots/cert.pem";
  good.tls_key = top_ + "/roots/key.pem";
  const Status safe = check_paths_of_root(good);
  EXPECT_TRUE(safe) << safe.error().detail();
  const auto wrong = [&](auto member, const std::string& path) {
    Config config;
    for (const auto same : {&Config::file, &Config::paths_run_dir, &Config::paths_pid_file,
                            &Config::base_dir, &Config::listen_deliver_socket, &Config::log_file,
                            &Config::tls_certificate, &Config::tls_key})
      config.*same = good.*same;
    config.*member = top_ + path;
    const Status found = check_paths_of_root(config);
    return found ? "" : found.error().detail();
  };
  EXPECT_THAT(wrong(&Config::paths_run_dir, "/others/run"), HasSubstr("paths.run_dir: "));
  EXPECT_THAT(wrong(&Config::paths_pid_file, "/others/rims.pid"), HasSubstr("paths.pid_file: "));
  EXPECT_THAT(wrong(&Config::listen_deliver_socket, "/others/deliver.sock"),
              HasSubstr("listen.deliver_socket: "));
  for (const char* place : {"/roots/lmtp", "/others/lmtp"}) {
    good.lmtp_listen = {{.path = {}, .host = "127.0.0.1", .port = 24},
                        {.path = top_ + place, .host = {}}};
    const Status found = check_paths_of_root(good);
    if (std::string_view(place).starts_with("/roots"))
      EXPECT_TRUE(found) << found.error().detail();
    else
      EXPECT_THAT(found.error().detail(), HasSubstr("lmtp.listen: "));
  }
  EXPECT_THAT(wrong(&Config::file, "/others/config.yml"),
              HasSubstr("/others belongs to user 4711, who may change it; let the configuration"));
  EXPECT_THAT(wrong(&Config::tls_certificate, "/others/cert.pem"), HasSubstr("tls.certificate: "));
  EXPECT_THAT(wrong(&Config::tls_key, "/others/key.pem"), HasSubstr("tls.key: "));
  EXPECT_THAT(wrong(&Config::base_dir, "/others/mail"), HasSubstr("base_dir: "));
  EXPECT_THAT(wrong(&Config::log_file, "/others/more/log/imap.log"), HasSubstr("log_file: "));
  EXPECT_EQ(wrong(&Config::log_file, "/others/log/imap.log"), "") << "it is in base_dir";
  // In a directory like /tmp nobody can take away what is there, but put what is missing.
  std::filesystem::create_directory(top_ + "/shared");
  std::filesystem::permissions(top_ + "/shared", std::filesystem::perms(01777));
  EXPECT_THAT(wrong(&Config::base_dir, "/shared/mail"), HasSubstr("base_dir: "));
  std::filesystem::create_directory(top_ + "/shared/mail");
  EXPECT_EQ(wrong(&Config::base_dir, "/shared/mail"), "");
  ASSERT_EQ(chown((top_ + "/shared/mail").c_str(), 4711, 4711), 0);
  EXPECT_THAT(wrong(&Config::base_dir, "/shared/mail"), HasSubstr("who may replace it"));
}

}  // namespace
}  // namespace rims::config
