// What each process is told first, and the directories of its program.

#include "controller/identity.h"

#include <string>

#include <gtest/gtest.h>

namespace rims::controller {
namespace {

TEST(Identity, TheLongestDirectoriesThatAConfigurationMayNameAreCarried) {
  const std::string longest = "/" + std::string(ipc::kMaxPath - 1, 'r');
  const auto config = config::parse("user_list:\n- {user: foo, pass: bar}\nlog_file: " + longest +
                                        "\npaths: {run_dir: " + longest +
                                        ", pid_file: /p}\nlisten: {deliver_socket: /s}\n"
                                        "auth: {user_directory: /u}\n",
                                    "f", longest);
  ASSERT_TRUE(config) << config.error().reply();
  Identities identities;
  auto& who = identities.of[static_cast<size_t>(ipc::Role::auth)];
  who.chroot = empty_root(*config);
  who.directory = config->base_dir;
  const auto bytes = ipc::encode(configure(identities, ipc::Role::auth, 0, 1));
  EXPECT_EQ(bytes.size(), ipc::kMaxSize<ipc::Configure>);
  const auto read = ipc::decode<ipc::Configure>(bytes);
  ASSERT_TRUE(read);
  EXPECT_EQ(read->chroot.value, longest + "/empty");
  EXPECT_EQ(read->directory.value, longest);
}

}  // namespace
}  // namespace rims::controller
