// tests/controller/places_test.cc - what a start needs, made or only looked at

#include "controller/places.h"

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <sys/stat.h>
#include <unistd.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "controller/sockets.h"
#include "tests/tls/certificate.h"

namespace rims::controller {
namespace {

namespace fs = std::filesystem;
using testing::EndsWith;
using testing::HasSubstr;
using testing::StartsWith;

const privdrop::Identity kSomebody{
    .change = true, .uid = 4711, .gid = 4712, .chroot = {}, .directory = {}};

class Places : public testing::Test {
 protected:
  Places() {
    char name[] = "/tmp/rims_places_XXXXXX";
    dir_ = mkdtemp(name);
    fs::permissions(dir_, fs::perms(0755));
  }
  ~Places() override { fs::remove_all(dir_); }

  config::Config config(const std::string& more = "", const std::string& name = "c.yml") {
    auto parsed =
        config::parse("base_dir: " + dir_ + "/mail\nimap_host: 127.0.0.1\nimap_port: 0\n" +
                          "user_list: [{user: foo, pass: x}]\n" + more,
                      name, dir_);
    EXPECT_TRUE(parsed) << parsed.error().reply();
    return std::move(*parsed);
  }
  Status data(const std::string& path, const privdrop::Identity& who, Missing missing,
              const std::string& file = {}) {
    return data_directory(config(), "base_dir", path, file, who, missing);
  }
  std::string problems(const config::Config& of, bool running = false) {
    const Status found = foresee(of, running, remarks_);
    return found ? "" : found.error().reply();
  }

  std::string dir_;
  std::set<std::string> remarks_;
};

mode_t mode_of(const std::string& path) {
  struct stat st{};
  return lstat(path.c_str(), &st) == 0 ? st.st_mode & 07777 : 0;
}

TEST_F(Places, AMissingDataDirectoryIsMadeForItsUserAnExistingOneIsLeftAlone) {
  if (geteuid() != 0) GTEST_SKIP() << "needs root";
  struct stat st{};
  const std::string mail = dir_ + "/mail";
  ASSERT_TRUE(data(mail, kSomebody, Missing::could_be_made));
  EXPECT_FALSE(fs::exists(mail)) << "who only looks makes nothing";
  ASSERT_TRUE(data(mail, kSomebody, Missing::make));
  ASSERT_EQ(stat(mail.c_str(), &st), 0);
  EXPECT_EQ(st.st_uid, 4711u);
  EXPECT_EQ(st.st_gid, 4712u);
  EXPECT_EQ(st.st_mode & 0777u, 0750u);
  privdrop::Identity other = kSomebody;
  other.uid = other.gid = 4713;
  for (const Missing missing : {Missing::make, Missing::could_be_made}) {
    const auto refused = data(mail, other, missing);
    ASSERT_FALSE(refused);
    EXPECT_EQ(
        refused.error().reply(),
        "c.yml:1:1: base_dir: cannot write " + mail +
            ": Permission denied; the mail there belongs to user 4711 and group 4712, and "
            "rims-imapd would be user 4713: set \"process_privilege_user: 4711\" and "
            "\"process_privilege_group: 4712\", or give all of it away by \"chown -R 4713:4713 " +
            mail + "\"");
    ASSERT_EQ(stat(mail.c_str(), &st), 0);
    EXPECT_EQ(st.st_uid, 4711u);
    const auto nowhere = data(dir_ + "/no/such/parent", kSomebody, missing);
    ASSERT_FALSE(nowhere);
    EXPECT_THAT(nowhere.error().reply(), EndsWith("; make the directory above it"));
  }
  // The directory of the configuration must stay root's, so giving it away would be wrong advice.
  EXPECT_EQ(data(dir_, kSomebody, Missing::make).error().reply(),
            "c.yml:1:1: base_dir: cannot write " + dir_ +
                ": Permission denied; mail can not be kept beside the configuration when root "
                "starts the suite: set base_dir to another directory, such as /var/lib/rims or "
                "\"base_dir: mail\"");
  // Whoever owns the parent could let root make a directory anywhere, and give it away.
  EXPECT_FALSE(data(mail + "/more/mail", kSomebody, Missing::make));
  fs::create_directory(mail + "/more");
  ASSERT_EQ(chown((mail + "/more").c_str(), 4711, 4711), 0);
  EXPECT_FALSE(data(mail + "/more/mail", kSomebody, Missing::make));
  EXPECT_FALSE(fs::exists(mail + "/more/mail"));
  std::ofstream(dir_ + "/file") << "x";
  EXPECT_THAT(data(dir_ + "/file", kSomebody, Missing::make).error().reply(),
              HasSubstr("is not a directory"));
}

// Where everybody may write in base_dir, the accounts in it are still their owner's.
TEST_F(Places, TheAccountsOfAnotherUserAreLeftAlone) {
  if (geteuid() != 0) GTEST_SKIP() << "needs root";
  fs::create_directories(dir_ + "/mail/mailbox.3");
  fs::permissions(dir_ + "/mail", fs::perms(0777));
  fs::permissions(dir_ + "/mail/mailbox.3", fs::perms(0750));
  ASSERT_EQ(chown((dir_ + "/mail/mailbox.3").c_str(), 65534, 65534), 0);
  Identities who;
  who.of.fill(kSomebody);
  for (const Missing missing : {Missing::make, Missing::could_be_made}) {
    const auto refused = data_directories(config(), who, missing);
    ASSERT_FALSE(refused);
    EXPECT_THAT(refused.error().reply(), HasSubstr("set \"process_privilege_user: nobody\""));
  }
}

// The programs come into their directory with the rights of root.
TEST_F(Places, WhatIsAboveADataDirectoryDoesNotMatter) {
  if (geteuid() != 0) GTEST_SKIP() << "needs root";
  ASSERT_TRUE(data(dir_ + "/mail", kSomebody, Missing::make));
  fs::permissions(dir_, fs::perms(0700));
  EXPECT_TRUE(data(dir_ + "/mail", kSomebody, Missing::make));
}

TEST_F(Places, AFileInItMustBeItsUsers) {
  if (geteuid() != 0) GTEST_SKIP() << "needs root";
  const std::string log = dir_ + "/log";
  ASSERT_TRUE(data(log, kSomebody, Missing::make, "imap.log"));
  std::ofstream(log + "/imap.log") << "x";  // root's
  EXPECT_THAT(data(log, kSomebody, Missing::make, "imap.log").error().reply(),
              HasSubstr("cannot write " + log + " or imap.log in it: Permission denied"));
}

TEST_F(Places, ARunDirectoryThatOthersCouldChangeIsRefusedToRoot) {
  if (geteuid() != 0) GTEST_SKIP() << "needs root";
  const std::string run = dir_ + "/run";
  EXPECT_TRUE(run_directory(run, true, Missing::could_be_made));
  EXPECT_FALSE(fs::exists(run));
  EXPECT_TRUE(run_directory(run, true, Missing::make)) << "made when it is missing";
  EXPECT_EQ(mode_of(run), 0755u);
  auto empty = prepare_empty_dir(run, true);
  ASSERT_TRUE(empty);
  EXPECT_EQ(mode_of(*empty), 0555u);

  fs::permissions(run, fs::perms(0775));
  EXPECT_FALSE(run_directory(run, true, Missing::make));
  fs::permissions(run, fs::perms(0755));
  ASSERT_EQ(chown(dir_.c_str(), 4711, 4711), 0);  // its parent is somebody's
  for (const std::string& path : {run, dir_ + "/other"}) {
    const auto refused = run_directory(path, true, Missing::could_be_made);
    ASSERT_FALSE(refused);
    EXPECT_THAT(refused.error().detail(), HasSubstr(dir_ + " belongs to"));
  }
  EXPECT_TRUE(run_directory(run, false, Missing::make)) << "no privilege, nothing to lose";
  ASSERT_EQ(chown(dir_.c_str(), 0, 0), 0);
  fs::create_directory_symlink("/tmp", dir_ + "/link");
  EXPECT_FALSE(run_directory(dir_ + "/link", true, Missing::make));
}

// As an ordinary user sees it: nothing but what can be made by that user.
TEST_F(Places, AllThatAStartWouldFindIsToldAtOnce) {
  auto held = open_ports(config(), remarks_);
  ASSERT_TRUE(held);
  const std::string port = std::to_string(held->front().port);
  const test::Certificate weak(1024);
  std::ofstream(dir_ + "/cert.pem") << weak.chain;
  std::ofstream(dir_ + "/key.pem") << weak.key;
  fs::permissions(dir_ + "/key.pem", fs::perms(0600));
  const auto wrong = config(
      "log_file: /no/such/imap.log\n"
      "tls: {certificate: cert.pem, key: key.pem}\n"
      "listen: {imaps_port: " +
      port +
      ", deliver_socket: /no/such/socket, "
      "deliver_socket_group: no-such-group}\n"
      "paths: {run_dir: /no/such/run, pid_file: /no/such/pid}\n");
  const std::string told = problems(wrong);
  for (const char* line :
       {"c.yml:6:7: tls.certificate: ", "cannot be used for TLS: the certificate: ee key too small",
        "deliver_socket_group: ", "paths.run_dir: cannot make /no/such/run: No such file",
        "c.yml:8:32: paths.pid_file: cannot write /no/such: No such file",
        "c.yml:7:29: listen.deliver_socket: cannot write /no/such: No such file",
        "c.yml:7:10: listen.imaps_port: cannot listen on 127.0.0.1:"})
    EXPECT_THAT(told, HasSubstr(line));
  if (geteuid() != 0) EXPECT_THAT(told, HasSubstr("c.yml:5:1: log_file: cannot make /no/such: "));
}

TEST_F(Places, ASuiteThatRunsIsNoObstacleToItself) {
  if (geteuid() == 0) GTEST_SKIP() << "root would need the users of the suite";
  fs::create_directory(dir_ + "/mail");
  EXPECT_EQ(problems(config()), "");
  auto held = open_ports(config(), remarks_);
  ASSERT_TRUE(held);
  ASSERT_TRUE(run_directory(config().paths_run_dir, false, Missing::make));
  ASSERT_TRUE(write_ports(config().paths_run_dir, *held));
  const auto deliver = open_deliver_socket(config().listen_deliver_socket, 0600, std::nullopt);
  ASSERT_TRUE(deliver);
  auto same = config();
  same.imap_port = held->front().port;
  EXPECT_EQ(problems(same, true), "");
  EXPECT_THAT(problems(same, false), HasSubstr("another server listens on"));
  EXPECT_THAT(problems(same, false), HasSubstr("cannot listen on 127.0.0.1:"));
}

}  // namespace
}  // namespace rims::controller
