// tests/imapd/imap/progress_test.cc - what a client hears of what takes long (RFC 9585 §4)

#include <regex>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "tests/imapd/stage.h"

namespace rims::test {
namespace {

constexpr int kMessages = 600;

// The numbers that INPROGRESS has told before the last response, of the command `tag`.
struct Told {
  std::vector<int> done;
  int goal = 0;
  std::vector<std::string> others;
};

Told told_in(const std::vector<std::string>& lines, const std::string& tag) {
  const std::regex form("\\* OK \\[INPROGRESS \\(\"" + tag + "\" (\\d+) (\\d+)\\)\\] .+");
  Told told;
  for (const std::string& line : lines) {
    std::smatch match;
    if (!std::regex_match(line, match, form)) {
      told.others.push_back(line);
      continue;
    }
    EXPECT_TRUE(told.others.empty()) << "behind an answer: " << line;
    told.done.push_back(std::stoi(match[1]));
    told.goal = std::stoi(match[2]);
  }
  return told;
}

void expect_growing_below_the_goal(const Told& told, int goal) {
  ASSERT_FALSE(told.done.empty());
  EXPECT_EQ(told.goal, goal);
  for (size_t i = 1; i < told.done.size(); i++) EXPECT_GT(told.done[i], told.done[i - 1]);
  EXPECT_GT(told.done.front(), 0);
  EXPECT_LT(told.done.back(), goal);
}

Task<std::unique_ptr<TestClient>> with_messages(Stage& stage) {
  auto client = co_await stage.log_in("foo");
  std::string append = "APPEND INBOX";
  for (int i = 1; i <= kMessages; i++) {
    const std::string message = standard_message(i);
    append += fmt::format(" {{{}+}}\r\n{}", message.size(), message);
  }
  (void)co_await client->command("p", append);
  (void)co_await client->command("s", "SELECT INBOX");
  co_return client;
}

Task<void> search_and_sort(Stage& stage) {
  auto client = co_await with_messages(stage);
  Told told = told_in(co_await client->command("a1", "SEARCH BODY \"not there\""), "a1");
  expect_growing_below_the_goal(told, kMessages);
  EXPECT_EQ(told.others, (std::vector<std::string>{"* SEARCH", "a1 OK SEARCH completed"}));

  // The second half is the reading of subjects.
  told = told_in(co_await client->command("a2", "SORT (SUBJECT) UTF-8 ALL"), "a2");
  expect_growing_below_the_goal(told, 2 * kMessages);
  EXPECT_GT(told.done.back(), kMessages);
  EXPECT_EQ(told.others.size(), 2U);

  told = told_in(co_await client->command("a3", "UID THREAD REFERENCES UTF-8 ALL"), "a3");
  expect_growing_below_the_goal(told, 2 * kMessages);
  EXPECT_EQ(told.others.size(), 2U);
}

TEST(Progress, IsToldOfWhatTakesLongAndOnlyGrows) {
  Stage stage;
  stage.settings.progress_interval_ms = 1;
  stage.start();
  run(stage.loop, search_and_sort(stage));
  run(stage.loop, stage.stop());
}

Task<void> search_silently(Stage& stage) {
  auto client = co_await with_messages(stage);
  const auto lines = co_await client->command("a1", "SEARCH BODY \"not there\"");
  EXPECT_EQ(lines, (std::vector<std::string>{"* SEARCH", "a1 OK SEARCH completed"}));
}

// 0 is never; a minute is more than this takes.
TEST(Progress, IsNotToldBeforeItsTime) {
  for (const uint32_t interval : {0, 60'000}) {
    Stage stage;
    stage.settings.progress_interval_ms = interval;
    stage.start();
    run(stage.loop, search_silently(stage));
    run(stage.loop, stage.stop());
  }
}

}  // namespace
}  // namespace rims::test
