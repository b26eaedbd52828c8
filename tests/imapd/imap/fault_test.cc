// tests/imapd/imap/fault_test.cc - what a client is told when the journal fails, at every step
//
// Each command that changes something is run with the n-th write failing, for all n until it gets
// through. Whenever it did not: the answer is NO, the session ends with BYE (the account is opened
// again from what is on the disk), and a new session finds the account as it was.

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "tests/imapd/stage.h"

namespace rims::test {
namespace {

using Fate = store::MemoryJournals::Fate;

struct Case {
  const char* name;
  const char* command;
};

// Everything of the account that a client can see.
Task<std::string> snapshot(Stage& stage) {
  auto client = co_await stage.log_in("foo");
  std::string all;
  for (const char* command : {"LIST \"\" *", "LSUB \"\" *", "STATUS Work (MESSAGES UIDNEXT UNSEEN)",
                              "STATUS Copies (MESSAGES UIDNEXT)", "EXAMINE Work",
                              "FETCH 1:* (UID FLAGS INTERNALDATE RFC822.SIZE BODY.PEEK[])"}) {
    const auto lines = co_await client->command("s", command);
    // RECENT may be told anew; everything else must be the same.
    for (const std::string& line : lines)
      if (!line.ends_with("RECENT")) all += line + "\n";
  }
  co_return all;
}

Task<void> prepare(Stage& stage) {
  auto client = co_await stage.log_in("foo");
  for (const char* command : {"CREATE Work", "CREATE Copies", "CREATE Old/Inner"})
    (void)co_await client->command("p", command);
  for (int i = 1; i <= 3; i++) {
    const std::string message = standard_message(i);
    (void)co_await client->command(
        "p", fmt::format("APPEND Work {} \"{}\" {{{}+}}\r\n{}", i == 2 ? "(\\Deleted)" : "()",
                         standard_date(i), message.size(), message));
  }
}

class Fault : public testing::TestWithParam<Case> {};

TEST_P(Fault, ChangesNothingAndSaysSo) {
  constexpr int kMostWrites = 10;
  bool got_through = false;
  for (int failing = 0; failing < kMostWrites && !got_through; failing++) {
    SCOPED_TRACE(failing);
    Stage stage;
    stage.start();
    run(stage.loop, prepare(stage));
    const std::string before = run(stage.loop, snapshot(stage));
    const auto client = run(stage.loop, stage.log_in("foo"));
    const auto selected = run(stage.loop, client->command("a", "SELECT Work"));
    ASSERT_TRUE(selected.back().starts_with("a OK"));
    int writes = 0;
    stage.journals.fate = [&](const std::string&, std::span<const store::Draft>) {
      return writes++ == failing ? Fate::fail : Fate::commit;
    };
    const auto lines = run(stage.loop, client->command("b", GetParam().command));
    stage.journals.fate = nullptr;
    if (writes <= failing) {
      EXPECT_TRUE(lines.back().starts_with("b OK")) << lines.back();
      got_through = true;
      continue;
    }
    EXPECT_TRUE(lines.back().starts_with("b NO [UNAVAILABLE] ")) << lines.back();
    EXPECT_EQ(lines.size(), 1U) << lines.front();
    const auto bye = run(stage.loop, client->line());
    EXPECT_TRUE(bye && bye->starts_with("* BYE ")) << bye.value_or("(closed)");
    EXPECT_EQ(run(stage.loop, snapshot(stage)), before);
  }
  EXPECT_TRUE(got_through);
}

INSTANTIATE_TEST_SUITE_P(
    Commands, Fault,
    testing::Values(Case{"Append", "APPEND Work {3+}\r\nx\r\n"},
                    Case{"MultiAppend", "APPEND Work {3+}\r\nx\r\n (k) {3+}\r\ny\r\n"},
                    Case{"Replace", "REPLACE 2 Work {3+}\r\nx\r\n"},
                    Case{"ReplaceElsewhere", "UID REPLACE 2 Copies (k) {3+}\r\nx\r\n"},
                    Case{"Copy", "COPY 1:3 Copies"}, Case{"UidCopy", "UID COPY 1:3 Copies"},
                    Case{"Store", "STORE 1:3 +FLAGS (\\Flagged $Label)"},
                    Case{"StoreSilent", "STORE 1:3 FLAGS.SILENT (\\Seen)"},
                    Case{"FetchSetsSeen", "FETCH 1:3 BODY[]"}, Case{"Expunge", "EXPUNGE"},
                    Case{"UidExpunge", "UID EXPUNGE 1:*"}, Case{"Close", "CLOSE"},
                    Case{"Create", "CREATE New/Deep/Er"}, Case{"Delete", "DELETE Copies"},
                    Case{"Rename", "RENAME Old New"}, Case{"Subscribe", "SUBSCRIBE Work"},
                    Case{"Unsubscribe", "UNSUBSCRIBE Drafts"}),
    [](const auto& info) { return std::string(info.param.name); });

// The write was done, and the answer to it was lost: the client hears NO, and what a new
// session finds is what the disk holds.
TEST(Fault, AWriteWithAnUnknownOutcomeIsReadBack) {
  Stage stage;
  stage.start();
  run(stage.loop, prepare(stage));
  const auto client = run(stage.loop, stage.log_in("foo"));
  stage.journals.fate = [](const std::string&, std::span<const store::Draft>) {
    return Fate::fail_written;
  };
  const auto lines = run(stage.loop, client->command("b", "APPEND Work {3+}\r\nx\r\n"));
  stage.journals.fate = nullptr;
  ASSERT_FALSE(lines.back().starts_with("b BAD"));
  const auto again = run(stage.loop, stage.log_in("foo"));
  const auto status = run(stage.loop, again->command("c", "STATUS Work (MESSAGES)"));
  EXPECT_EQ(status.front(), "* STATUS Work (MESSAGES 4)");
}

}  // namespace
}  // namespace rims::test
