// tests/imapd/imap/session_log_test.cc - what the log says of a session at its end

#include <string>

#include <gtest/gtest.h>

#include "tests/imapd/stage.h"
#include "tests/support/log_lines.h"

namespace rims::test {
namespace {

TEST(SessionLog, NamesTheClientAndWhatItUsed) {
  LogLines lines;
  Stage stage;
  stage.start();
  const auto play = [&](std::initializer_list<const char*> commands) {
    auto client = run(stage.loop, stage.log_in("foo"));
    for (const std::string command : commands) {
      if (command == "COMPRESS DEFLATE") {
        EXPECT_TRUE(run(stage.loop, client->compress()));
        continue;
      }
      const auto told = run(stage.loop, client->command("a", command));
      EXPECT_TRUE(told.back().starts_with("a OK")) << told.back();
    }
  };
  play({"LOGOUT"});
  EXPECT_TRUE(lines.has("session of \"foo\" ended after 1 commands\n")) << lines.text();
  play({"ID (\"name\" \"Mail\\\\er\" \"version\" \"1.2\")", "ENABLE QRESYNC UTF8=ACCEPT",
        "COMPRESS DEFLATE", "LOGOUT"});
  EXPECT_TRUE(
      lines.has("session of \"foo\" ended after 4 commands, client \"Mail\\\\er 1.2\", "
                "with CONDSTORE QRESYNC UTF8=ACCEPT COMPRESS\n"))
      << lines.text();
  run(stage.loop, stage.stop());
}

}  // namespace
}  // namespace rims::test
