// tests/imapd/imap/quota_test.cc - a quota that changes while sessions are open (RFC 9208)

#include <gtest/gtest.h>

#include "imapd/worker/accounts.h"
#include "tests/imapd/stage.h"

namespace rims::test {
namespace {

using Lines = std::vector<std::string>;

void set_quota(Stage& stage, uint32_t messages) {
  stage.settings.quota_messages = messages;
  store::Limits limits;
  limits.quota = imapd::quota_of(stage.settings);
  stage.store->set_limits(limits);
}

size_t warnings(const Lines& lines) {
  return static_cast<size_t>(std::ranges::count_if(
      lines, [](const std::string& line) { return line.starts_with("* NO [OVERQUOTA] "); }));
}

Task<void> lower_it(Stage& stage) {
  auto client = co_await stage.log_in("foo");
  for (int i = 0; i < 3; i++) {
    const Lines done = co_await client->command("a", "APPEND INBOX {1+}\r\nx");
    EXPECT_TRUE(done.back().starts_with("a OK")) << done.back();
  }
  EXPECT_EQ(warnings(co_await client->command("s", "SELECT INBOX")), 0U);
  set_quota(stage, 2);
  const Lines root = co_await client->command("q", "GETQUOTAROOT INBOX");
  EXPECT_EQ(root.at(1), "* QUOTA \"User quota\" (MESSAGE 3 2)");
  // A warning, once in a session (§4.3.1), and nothing is lost.
  EXPECT_EQ(warnings(co_await client->command("s", "EXAMINE INBOX")), 1U);
  EXPECT_EQ(warnings(co_await client->command("s", "SELECT INBOX")), 0U);
  auto another = co_await stage.log_in("foo");
  EXPECT_EQ(warnings(co_await another->command("s", "SELECT INBOX")), 1U);
  const Lines fetched = co_await client->command("f", "FETCH 1:* RFC822.SIZE");
  EXPECT_EQ(fetched.size(), 4U);
  const Lines refused = co_await client->command("a", "APPEND INBOX {1+}\r\nx");
  EXPECT_EQ(refused.back(), "a NO [OVERQUOTA] over quota: you may have 2 messages");
  // Room that was made, or given, is there at once.
  for (const char* command : {"STORE 1:2 +FLAGS.SILENT (\\Deleted)", "EXPUNGE"})
    (void)co_await client->command("x", command);
  const Lines taken = co_await client->command("a", "APPEND INBOX {1+}\r\nx");
  EXPECT_TRUE(taken.back().starts_with("a OK")) << taken.back();
  set_quota(stage, 3);
  const Lines again = co_await client->command("a", "APPEND INBOX {1+}\r\nx");
  EXPECT_TRUE(again.back().starts_with("a OK")) << again.back();
}

TEST(QuotaTest, ALowerOneLosesNothingAndOpenSessionsHaveIt) {
  Stage stage;
  stage.start();
  run(stage.loop, lower_it(stage));
  run(stage.loop, stage.stop());
}

}  // namespace
}  // namespace rims::test
