// tests/imapd/imap/notify_test.cc - NOTIFY with many mailboxes and many changes (RFC 5465)

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "imapd/imap/notifications.h"
#include "tests/imapd/stage.h"

namespace rims::test {
namespace {

using Lines = std::vector<std::string>;

constexpr int kMailboxes = 2000;

// Says on the loop, as often as it can, how many times it came to run.
Task<void> count_turns(Loop& loop, const bool& done, size_t& turns) {
  while (!done) {
    turns++;
    co_await sleep_for(loop, Milliseconds(0));
  }
}

Task<void> send_all(TestClient& client, std::string commands, int count) {
  co_await client.send(std::move(commands));
  for (int i = 0; i < count; i++) {
    const auto line = co_await client.line();
    EXPECT_TRUE(line && line->starts_with("c OK")) << line.value_or("");
  }
}

// The lines up to the tagged answer of a NOOP that was begun with "n NO".
Task<Lines> finish_noop(TestClient& client) {
  co_await client.send("OP\r\n");
  Lines lines;
  while (auto line = co_await client.line()) {
    lines.push_back(*line);
    if (line->starts_with("n ")) break;
  }
  co_return lines;
}

size_t count(const Lines& lines, std::string_view begin) {
  return static_cast<size_t>(
      std::ranges::count_if(lines, [&](const std::string& l) { return l.starts_with(begin); }));
}

class NotifyTest : public testing::Test {
 protected:
  void SetUp() override {
    stage_.settings.mailbox_count_max = 2 * kMailboxes;
    stage_.start();
  }
  void TearDown() override { run(stage_.loop, stage_.stop()); }
  Stage stage_;
};

Task<void> change_often(Stage& stage) {
  auto client = co_await stage.log_in("foo");
  auto other = co_await stage.log_in("foo");
  (void)co_await client->command("a",
                                 "NOTIFY SET (personal (MessageNew MessageExpunge MailboxName))");
  co_await client->send("n NO");
  std::string commands;
  for (int i = 0; i < 20; i++) commands += "c APPEND Sent {1+}\r\nx\r\nc APPEND Junk {1+}\r\nx\r\n";
  for (int i = 0; i < 5; i++) commands += "c CREATE New\r\nc DELETE New\r\n";
  co_await send_all(*other, commands, 50);
  const Lines told = co_await finish_noop(*client);
  EXPECT_EQ(told.size(), 4U) << testing::PrintToString(told);
  EXPECT_EQ(count(told, "* STATUS Sent (MESSAGES 20 "), 1U);
  EXPECT_EQ(count(told, "* STATUS Junk (MESSAGES 20 "), 1U);
  EXPECT_EQ(count(told, "* LIST (\\NonExistent \\HasNoChildren) \"/\" New"), 1U);
}

TEST_F(NotifyTest, ChangesBetweenTwoAnswersAreOneLineForAMailbox) {
  run(stage_.loop, change_often(stage_));
}

Task<void> ask_for_much(Stage& stage) {
  auto client = co_await stage.log_in("foo");
  std::string names;
  for (size_t i = 0; i <= imapd::Notifications::kMostNamed; i++) names += fmt::format("{} ", i);
  const Lines refused =
      co_await client->command("a", "NOTIFY SET (mailboxes (" + names + ") (MailboxName))");
  EXPECT_EQ(refused, Lines{"a NO [NOTIFICATIONOVERFLOW] more than 1000 mailboxes are named"});
  const Lines taken = co_await client->command(
      "b", "NOTIFY SET (mailboxes (" + names.substr(2) + ") (MailboxName))");
  EXPECT_EQ(taken, Lines{"b OK NOTIFY completed"});
}

TEST_F(NotifyTest, TooManyNamesAreRefused) {  // RFC 5465 §3.1
  run(stage_.loop, ask_for_much(stage_));
}

Task<void> overflow(Stage& stage) {
  auto client = co_await stage.log_in("foo");
  auto other = co_await stage.log_in("foo");
  (void)co_await client->command("s", "SELECT INBOX");
  (void)co_await client->command(
      "a", "NOTIFY SET (selected (MessageNew MessageExpunge)) (personal (SubscriptionChange))");
  co_await client->send("n NO");
  constexpr int kMore = static_cast<int>(imapd::Notifications::kMostNames) + 1;
  std::string commands;
  for (int i = 0; i < kMore; i++) commands += fmt::format("c SUBSCRIBE {}\r\n", i);
  co_await send_all(*other, commands, kMore);
  const Lines told = co_await finish_noop(*client);
  EXPECT_EQ(told.size(), 2U);
  EXPECT_EQ(count(told, "* OK [NOTIFICATIONOVERFLOW] "), 1U);
  // As after NOTIFY NONE.
  const auto reply = co_await stage.deliver("foo", "INBOX", standard_message(1));
  EXPECT_EQ(reply.status, ipc::Delivery::delivered);
  EXPECT_EQ(co_await client->command("o", "NOOP"), Lines{"o OK NOOP completed"});
}

TEST_F(NotifyTest, TooManyChangesEndIt) {  // RFC 5465 §5.8
  run(stage_.loop, overflow(stage_));
}

Task<void> watch_many(Stage& stage, bool& done, const size_t& turns) {
  auto client = co_await stage.log_in("foo");
  auto other = co_await stage.log_in("foo");
  std::string commands;
  for (int i = 0; i < kMailboxes; i++) commands += fmt::format("c CREATE m{}\r\n", i);
  co_await send_all(*other, commands, kMailboxes);
  size_t before = turns;
  const Lines first = co_await client->command(
      "a", "NOTIFY SET STATUS (personal (MessageNew MessageExpunge FlagChange))");
  EXPECT_EQ(count(first, "* STATUS m"), static_cast<size_t>(kMailboxes));
  EXPECT_GT(turns - before, 3U) << "it gave way to the loop";
  co_await client->send("n NO");
  commands.clear();
  for (int i = 0; i < kMailboxes; i++) commands += fmt::format("c APPEND m{} {{1+}}\r\nx\r\n", i);
  co_await send_all(*other, commands, kMailboxes);
  before = turns;
  const Lines told = co_await finish_noop(*client);
  EXPECT_EQ(told.size(), static_cast<size_t>(kMailboxes) + 1);
  EXPECT_EQ(count(told, "* STATUS m"), static_cast<size_t>(kMailboxes));
  EXPECT_GT(turns - before, 3U) << "it gave way to the loop";
  done = true;
}

TEST_F(NotifyTest, ManyMailboxesHoldNobodyUp) {
  bool done = false;
  size_t turns = 0;
  Scope others(stage_.loop);
  others.spawn(count_turns(stage_.loop, done, turns));
  run(stage_.loop, watch_many(stage_, done, turns));
  run(stage_.loop, others.join());
}

}  // namespace
}  // namespace rims::test
