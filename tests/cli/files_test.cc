// tests/cli/files_test.cc - merged configurations and dates of messages

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include <gtest/gtest.h>

#include "cli/mail_date.h"
#include "cli/server_options.h"
#include "cli/yaml_file.h"
#include "common/config/config.h"

namespace rims::cli {
namespace {

TEST(YamlFile, LooksUpScalars) {
  auto yaml = YamlFile::parse("a: 1\ntls:\n  key: k\nlist: [x, y]\n", "f");
  ASSERT_TRUE(yaml.has_value());
  EXPECT_EQ(yaml->get("a"), "1");
  EXPECT_EQ(yaml->get("tls.key"), "k");
  EXPECT_EQ(yaml->get("list"), std::nullopt);
  EXPECT_EQ(yaml->get("b"), std::nullopt);
  EXPECT_EQ(yaml->get("no.section"), std::nullopt);
}

TEST(YamlFile, NothingIsAMappingOthersAreNot) {
  EXPECT_EQ(YamlFile::parse("", "f")->get("a"), std::nullopt);
  EXPECT_EQ(YamlFile::parse("- a\n", "f").error().reply(), "f: expected keys with values");
  EXPECT_TRUE(YamlFile::parse("a: [\n", "f").error().reply().starts_with("f:2:1: "));
}

class ServerConfigTest : public testing::Test {
 protected:
  ServerConfigTest() {
    char name[] = "/tmp/rims-cli-test-XXXXXX";
    directory = mkdtemp(name);
    file = directory + "/config.yml";
  }
  ~ServerConfigTest() override {
    unsetenv("RIMS_CONFIG");
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
    add_server_options(parser, o, 'v');
    std::vector<char*> pointers;
    for (std::string& word : words) pointers.push_back(word.data());
    auto operands = parser.parse(pointers);
    EXPECT_TRUE(operands.has_value()) << (operands ? "" : operands.error().reply());
    return o;
  }
  // The overrides as the controller reads them, from where the descriptor stands.
  static std::vector<std::pair<std::string, std::string>> pairs(const ServerConfig& config) {
    std::string bytes(10'000, '\0');
    const ssize_t got = read(config.overrides.get(), bytes.data(), bytes.size());
    bytes.resize(got < 0 ? 0 : static_cast<size_t>(got));
    std::vector<std::pair<std::string, std::string>> out;
    for (size_t at = 0; at < bytes.size();) {
      const std::string key = bytes.c_str() + at;
      const std::string value = bytes.c_str() + at + key.size() + 1;
      at += key.size() + value.size() + 2;
      out.emplace_back(key, value);
    }
    return out;
  }
  // What the server makes of it.
  static Result<config::Config> read_back(const ServerConfig& config) {
    config::Options options;
    options.overrides = pairs(config);
    return config.file.empty() ? config::parse("", "options", "/", options)
                               : config::load(config.file, options);
  }
  static std::string here() {
    char path[4096];
    return getcwd(path, sizeof path);
  }
  std::string directory, file;
};

TEST_F(ServerConfigTest, UserAndPasswordAreEnough) {
  setenv("RIMS_CONFIG", "/nowhere", 1);  // not looked at: the user is on the command line
  auto config = make_server_config(options({"-u", "foo", "-w", "b: \"r"}));
  ASSERT_TRUE(config.has_value()) << config.error().reply();
  EXPECT_EQ(fcntl(config->overrides.get(), F_GETFD) & FD_CLOEXEC, 0) << "it must be inherited";
  EXPECT_EQ(config->controller_arguments(),
            (std::vector<std::string>{"-O", std::to_string(config->overrides.get())}));
  auto read = read_back(*config);
  ASSERT_TRUE(read.has_value()) << read.error().reply();
  ASSERT_EQ(read->users.size(), 1U);
  EXPECT_EQ(read->users[0].name, "foo");
  EXPECT_EQ(read->users[0].password.reveal(), "b: \"r");
  EXPECT_EQ(read->imap_port, 1430);
  EXPECT_EQ(read->base_dir, here());
}

TEST_F(ServerConfigTest, AFileAloneIsTakenAsItIs) {
  write_file("user_list: []\n");
  auto config = make_server_config(options({"-f", file}));
  ASSERT_TRUE(config.has_value());
  EXPECT_EQ(config->controller_arguments(), (std::vector<std::string>{"-c", file}));
  EXPECT_FALSE(make_server_config(options({"-f", file + "x"})).has_value());
  setenv("RIMS_CONFIG", file.c_str(), 1);
  EXPECT_EQ(make_server_config(options({}))->file, file);
}

TEST_F(ServerConfigTest, TheCommandLineWins) {
  write_file(
      "base_dir: mail\nlog_level: WARN\nimap_port: 143\n"
      "user_list:\n  - { user: foo, pass: bar }\n");
  auto config = make_server_config(
      options({"-f", file, "--imap-port=imap2", "-l", "debug", "-v", "quiet", "--no-use-kvs-cksum",
               "--log-shift-age=5", "--imap-host", "127.0.0.1"}));
  ASSERT_TRUE(config.has_value()) << config.error().reply();
  auto read = read_back(*config);
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
  auto config = make_server_config(options({"-f", file, "-d", "there"}));
  ASSERT_TRUE(config.has_value());
  auto read = read_back(*config);
  ASSERT_TRUE(read.has_value()) << read.error().reply();
  EXPECT_EQ(read->base_dir, here() + "/there");
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
