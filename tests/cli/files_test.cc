// tests/cli/files_test.cc - merged configurations and dates of messages

#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <gtest/gtest.h>

#include "cli/mail_date.h"
#include "cli/server_options.h"
#include "cli/yaml_file.h"
#include "common/config/config.h"

namespace rims::cli {
namespace {

TEST(YamlFile, LooksUpAndChanges) {
  auto yaml = YamlFile::parse("a: 1\ntls:\n  key: k\nlist: [x, y]\n", "f");
  ASSERT_TRUE(yaml.has_value());
  EXPECT_EQ(yaml->get("a"), "1");
  EXPECT_EQ(yaml->get("tls.key"), "k");
  EXPECT_EQ(yaml->get("list"), std::nullopt);
  EXPECT_EQ(yaml->get("b"), std::nullopt);
  yaml->set("a", "2", true);
  yaml->set("tls.key", "with: \"quotes\"\n");
  yaml->set("new", "#postman");
  yaml->set("no.section", "x");
  auto again = YamlFile::parse(yaml->text().value(), "f");
  ASSERT_TRUE(again.has_value());
  EXPECT_EQ(again->get("a"), "2");
  EXPECT_EQ(again->get("tls.key"), "with: \"quotes\"\n");
  EXPECT_EQ(again->get("new"), "#postman");
  EXPECT_EQ(again->get("no"), std::nullopt);
}

TEST(YamlFile, NothingIsAMappingOthersAreNot) {
  auto empty = YamlFile::parse("", "f");
  ASSERT_TRUE(empty.has_value());
  empty->set("a", "b");
  EXPECT_EQ(YamlFile::parse(empty->text().value(), "f")->get("a"), "b");
  EXPECT_EQ(YamlFile::parse("- a\n", "f").error().reply(), "f: expected keys with values");
  EXPECT_TRUE(YamlFile::parse("a: [\n", "f").error().reply().starts_with("f:2:1: "));
}

class ServerConfigTest : public testing::Test {
 protected:
  ServerConfigTest() {
    char name[] = "/tmp/rims-cli-test-XXXXXX";
    directory = mkdtemp(name);
    file = directory + "/config.yml";
    unsetenv("RIMS_CONFIG");
  }
  ~ServerConfigTest() override {
    unlink(file.c_str());
    rmdir(directory.c_str());
  }
  void write_file(const std::string& text) {
    const Fd fd(open(file.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
    ASSERT_EQ(write(fd.get(), text.data(), text.size()), static_cast<ssize_t>(text.size()));
  }
  // As the command line gives them.
  static ServerOptions options(std::vector<std::string> words) {
    ServerOptions o;
    OptionParser parser("rims server");
    add_server_options(parser, o);
    std::vector<char*> pointers;
    for (std::string& word : words) pointers.push_back(word.data());
    auto operands = parser.parse(pointers);
    EXPECT_TRUE(operands.has_value()) << (operands ? "" : operands.error().reply());
    return o;
  }
  std::string directory, file;
};

TEST_F(ServerConfigTest, UserAndPasswordAreEnough) {
  auto config = make_server_config(options({"-u", "foo", "-w", "b: \"r"}));
  ASSERT_TRUE(config.has_value()) << config.error().reply();
  struct stat st{};
  ASSERT_EQ(stat(config->path.c_str(), &st), 0);
  EXPECT_EQ(st.st_mode & 07777, 0600U);
  EXPECT_EQ(fcntl(config->merged.get(), F_GETFD) & FD_CLOEXEC, 0) << "the controller inherits it";
  auto read = config::load(config->path);
  ASSERT_TRUE(read.has_value()) << read.error().reply();
  ASSERT_EQ(read->users.size(), 1U);
  EXPECT_EQ(read->users[0].name, "foo");
  EXPECT_EQ(read->users[0].password.reveal(), "b: \"r");
  EXPECT_EQ(read->imap_port, 1430);
  char here[4096];
  EXPECT_EQ(read->base_dir, getcwd(here, sizeof here));
}

TEST_F(ServerConfigTest, AFileAloneIsTakenAsItIs) {
  write_file("user_list: []\n");
  auto config = make_server_config(options({"-f", file}));
  ASSERT_TRUE(config.has_value());
  EXPECT_EQ(config->path, file);
  EXPECT_FALSE(config->merged.valid());
  EXPECT_FALSE(make_server_config(options({"-f", file + "x"})).has_value());
}

TEST_F(ServerConfigTest, TheCommandLineWinsAndPathsStayWhereTheFileIs) {
  write_file(
      "base_dir: mail\nlog_level: WARN\nimap_port: 143\n"
      "user_list:\n  - { user: foo, pass: bar }\n");
  auto config = make_server_config(
      options({"-f", file, "--imap-port=imap2", "-l", "debug", "-v", "quiet", "--no-use-kvs-cksum",
               "--log-shift-age=5", "--imap-host", "127.0.0.1"}));
  ASSERT_TRUE(config.has_value()) << config.error().reply();
  auto read = config::load(config->path);
  ASSERT_TRUE(read.has_value()) << read.error().reply();
  EXPECT_EQ(read->base_dir, directory + "/mail");
  EXPECT_EQ(read->log_level, "DEBUG");
  EXPECT_EQ(read->log_stdout, "QUIET");
  EXPECT_EQ(read->imap_port, 143);
  EXPECT_EQ(read->imap_host, "127.0.0.1");
  EXPECT_FALSE(read->use_key_value_store_checksum);
  EXPECT_EQ(read->log_shift_age, "5");
  EXPECT_EQ(read->users.at(0).name, "foo");
}

TEST_F(ServerConfigTest, BaseDirOnTheCommandLineIsRelativeToTheCurrentDirectory) {
  write_file("user_list:\n  - { user: foo, pass: bar }\n");
  auto config = make_server_config(options({"-f", file, "-d", "here"}));
  ASSERT_TRUE(config.has_value());
  auto read = config::load(config->path);
  ASSERT_TRUE(read.has_value()) << read.error().reply();
  char here[4096];
  EXPECT_EQ(read->base_dir, std::string(getcwd(here, sizeof here)) + "/here");
}

TEST(MailDate, OfAMessage) {
  const auto shown = [](std::string_view message) {
    const auto date = date_of_message(message);
    return date ? date->shown() + " |" + date->imap() : "none";
  };
  EXPECT_EQ(shown("A: b\r\nDate: Fri, 8 Nov 2013 13:34:10 +0900\r\n\r\n"),
            "2013-11-08 13:34:10 +0900 | 8-Nov-2013 13:34:10 +0900");
  EXPECT_EQ(shown("date:\n Fri, 8 Nov 2013\n 06:47:50 -0130\n\n"),
            "2013-11-08 06:47:50 -0130 | 8-Nov-2013 06:47:50 -0130");
  EXPECT_EQ(shown("A: b\n\nDate: Fri, 8 Nov 2013 13:34:10 +0900\n"), "none") << "in the body";
  EXPECT_EQ(shown("Date: nonsense\n\n"), "none");
  EXPECT_EQ(shown("X-Date: Fri, 8 Nov 2013 13:34:10 +0900\n\n"), "none");
  EXPECT_EQ(shown(""), "none");
  EXPECT_EQ(shown("Date:"), "none");
}

TEST(MailDate, OfAMoment) {
  setenv("TZ", "UTC-9", 1);
  tzset();
  EXPECT_EQ(local_date(1383885250)->shown(), "2013-11-08 13:34:10 +0900");
  unsetenv("TZ");
  tzset();
}

}  // namespace
}  // namespace rims::cli
