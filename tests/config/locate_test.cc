// tests/config/locate_test.cc - which configuration file a command takes

#include "common/config/locate.h"

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include <gtest/gtest.h>

namespace rims::config {
namespace {

class Locate : public ::testing::Test {
 protected:
  void SetUp() override {
    char name[] = "/tmp/rims-locate-XXXXXX";
    ASSERT_NE(mkdtemp(name), nullptr);
    directory = name;
    std::ofstream(directory + "/a.yml");
    std::ofstream(directory + "/b.yml");
    unsetenv("RIMS_CONFIG");
  }
  void TearDown() override {
    unsetenv("RIMS_CONFIG");
    std::filesystem::remove_all(directory);
  }
  std::string directory;
};

TEST_F(Locate, TheOptionComesBeforeTheEnvironment) {
  setenv("RIMS_CONFIG", (directory + "/b.yml").c_str(), 1);
  EXPECT_EQ(*locate(directory + "/a.yml"), directory + "/a.yml");
  EXPECT_EQ(*locate(""), directory + "/b.yml");
}

TEST_F(Locate, AFileThatIsNamedAndMissingIsAnError) {
  EXPECT_EQ(locate(directory + "/c.yml").error().reply(),
            directory + "/c.yml: No such file or directory (named by the command line)");
  setenv("RIMS_CONFIG", (directory + "/d.yml").c_str(), 1);
  EXPECT_EQ(locate("").error().reply(),
            directory + "/d.yml: No such file or directory (named by RIMS_CONFIG)");
}

TEST_F(Locate, SaysWhereItLooked) {
  const auto found = locate("");
  if (found) GTEST_SKIP() << "there is an installed configuration: " << *found;
  EXPECT_EQ(found.error().fault(), Fault::not_found);
  EXPECT_NE(found.error().reply().find("etc/rims/config.yml"), std::string::npos);
  EXPECT_NE(found.error().reply().find("-c FILE"), std::string::npos);
}

}  // namespace
}  // namespace rims::config
