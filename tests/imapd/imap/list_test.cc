// tests/imapd/imap/list_test.cc - LIST of many mailboxes: one state, and the loop is not held

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "tests/imapd/stage.h"

namespace rims::test {
namespace {

constexpr int kMailboxes = 300;

// Says on the loop, as often as it can, how many times it came to run.
Task<void> count_turns(Loop& loop, const bool& done, size_t& turns) {
  while (!done) {
    turns++;
    co_await sleep_for(loop, Milliseconds(0));
  }
}

// RFC 5819 §5: other connections are served meanwhile.
Task<void> list_and_count(Stage& stage, bool& done, const size_t& turns) {
  auto client = co_await stage.log_in("foo");
  std::string creates;
  for (int i = 0; i < kMailboxes; i++)
    creates += fmt::format("c CREATE {}/{}{}\r\n", std::string(900, 'a' + i % 26), i, i % 7);
  co_await client->send(creates);
  for (int i = 0; i < kMailboxes; i++) (void)co_await client->line();
  // Patterns that cost much, and match nothing before the last.
  std::string patterns;
  for (int i = 0; i < 40; i++) patterns += "*a*b*c*d*e*f*x*y ";
  const size_t before = turns;
  co_await client->send("l LIST \"\" (" + patterns +
                        "*) RETURN (STATUS (MESSAGES UIDNEXT SIZE))\r\n");
  auto line = co_await client->line();
  EXPECT_GT(turns - before, 20U) << "it gave way to the loop before the first line was made";
  size_t names = 0, counts = 0;
  for (; line && line->starts_with("* "); line = co_await client->line()) {
    names += line->starts_with("* LIST ") ? 1 : 0;
    counts += line->starts_with("* STATUS ") ? 1 : 0;
  }
  EXPECT_EQ(line, "l OK LIST completed");
  EXPECT_EQ(names, counts);
  EXPECT_GE(names, static_cast<size_t>(kMailboxes));
  done = true;
}

TEST(List, GivesWayToTheLoop) {
  Stage stage;
  stage.start();
  bool done = false;
  size_t turns = 0;
  Scope others(stage.loop);
  others.spawn(count_turns(stage.loop, done, turns));
  run(stage.loop, list_and_count(stage, done, turns));
  run(stage.loop, others.join());
  run(stage.loop, stage.stop());
}

}  // namespace
}  // namespace rims::test
