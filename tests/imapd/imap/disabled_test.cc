// tests/imapd/imap/disabled_test.cc - capabilities that the administrator hides from clients

#include <algorithm>

#include <gtest/gtest.h>

#include "tests/imapd/stage.h"

namespace rims::test {
namespace {

using Lines = std::vector<std::string>;

bool announced(const Lines& lines, const std::string& name) {
  for (const std::string& line : lines)
    if (line.starts_with("* CAPABILITY ")) return (line + " ").contains(" " + name + " ");
  ADD_FAILURE() << "no CAPABILITY in: " << lines.front();
  return false;
}

Task<void> use_what_is_hidden(Stage& stage) {
  auto client = co_await stage.log_in("foo");
  auto lines = co_await client->command("a", "CAPABILITY");
  EXPECT_FALSE(announced(lines, "SORT"));
  EXPECT_TRUE(announced(lines, "SORT=DISPLAY"));
  EXPECT_TRUE(announced(lines, "QRESYNC"));
  // A command works all the same.
  lines = co_await client->command("b", "SELECT INBOX");
  lines = co_await client->command("c", "SORT (SIZE) UTF-8 ALL");
  EXPECT_EQ(lines.back(), "c OK SORT completed");

  // One that is not meant, then one that is: it is told what it has left.
  lines = co_await client->command("d", "ID (\"name\" \"Post\" \"version\" \"16.1\")");
  EXPECT_EQ(lines, (Lines{"* ID (\"name\" \"RIMS\")", "d OK ID completed"}));
  lines = co_await client->command("e", "ID (\"name\" \"Mail\" \"version\" \"16.1\")");
  EXPECT_FALSE(announced(lines, "QRESYNC"));
  EXPECT_TRUE(announced(lines, "CONDSTORE"));
  lines = co_await client->command("f", "ENABLE QRESYNC CONDSTORE");
  EXPECT_NE(std::ranges::find(lines, "* ENABLED CONDSTORE"), lines.end());
  lines = co_await client->command("g", "SELECT INBOX (QRESYNC (1 1))");
  EXPECT_EQ(lines.back(), "g BAD QRESYNC must be enabled before it is used");

  auto other = co_await stage.log_in("foo");
  lines = co_await other->command("h", "ENABLE QRESYNC");
  EXPECT_EQ(lines.front(), "* ENABLED QRESYNC");
}

TEST(DisabledCapabilities, AreNeitherAnnouncedNorEnabled) {
  Stage stage;
  stage.settings.capabilities_disabled.value = {"sort", "QRESYNC for mail 16*"};
  stage.start();
  run(stage.loop, use_what_is_hidden(stage));
  run(stage.loop, stage.stop());
}

Task<void> ask_after_reload(Stage& stage) {
  auto client = co_await stage.log_in("foo");
  EXPECT_TRUE(announced(co_await client->command("a", "CAPABILITY"), "WITHIN"));
  stage.settings.capabilities_disabled.value = {"WITHIN"};
  stage.worker->reload(stage.settings);
  EXPECT_FALSE(announced(co_await client->command("b", "CAPABILITY"), "WITHIN"));
}

TEST(DisabledCapabilities, FollowAReload) {
  Stage stage;
  stage.start();
  run(stage.loop, ask_after_reload(stage));
  run(stage.loop, stage.stop());
}

}  // namespace
}  // namespace rims::test
