// tests/imapd/imap/compress_test.cc - COMPRESS where a transcript can not look: bytes behind the
// command, damaged data, large answers

#include <random>
#include <string>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "common/deflate/deflate.h"
#include "tests/imapd/stage.h"

namespace rims::test {
namespace {

std::string compressed(Deflater& by, std::string_view bytes) {
  std::string out;
  const auto sink = [&out](std::string_view piece) { out += piece; };
  by.add(bytes, sink);
  by.flush(sink);
  return out;
}

class Compress : public testing::Test {
 protected:
  Compress() {
    stage.start();
    client = run(stage.loop, stage.log_in("foo"));
  }
  void send(std::string bytes) { run(stage.loop, client->send(std::move(bytes))); }
  std::string line() {
    const auto told = run(stage.loop, client->line());
    return told.value_or("(closed)");
  }
  std::string command(std::string text) {
    return run(stage.loop, client->command("c", std::move(text))).back();
  }

  Stage stage;
  std::unique_ptr<TestClient> client;
};

// RFC 4978 §3: a client must not send more before the OK. What did come is compressed data, and
// nothing of it is lost.
TEST_F(Compress, BytesThatCameAlongWithTheCommandAreCompressed) {
  Deflater deflater;
  send("a COMPRESS DEFLATE\r\n" + compressed(deflater, "b NOOP\r\nc NO"));
  EXPECT_EQ(line(), "a OK DEFLATE active");
  client->compress_now();
  EXPECT_EQ(line(), "b OK NOOP completed");
  // Of the next bytes, those of one encoder go on with those of the other.
  run(stage.loop, client->send_as_it_is(compressed(deflater, "OP\r\n")));
  EXPECT_EQ(line(), "c OK NOOP completed");
}

TEST_F(Compress, CommandsInTheClearBehindItEndTheSession) {
  send("a COMPRESS DEFLATE\r\nb NOOP\r\n");
  EXPECT_EQ(line(), "a OK DEFLATE active");
  client->compress_now();
  EXPECT_EQ(line(), "* BYE the compressed data is damaged");
  EXPECT_EQ(line(), "(closed)");
}

TEST_F(Compress, DamagedDataEndsTheSessionAlsoInIdle) {
  ASSERT_TRUE(run(stage.loop, client->compress()));
  send("a IDLE\r\n");
  EXPECT_EQ(line(), "+ idling");
  run(stage.loop, client->send_as_it_is("\xff\xff\xff\xff"));
  EXPECT_EQ(line(), "* BYE the compressed data is damaged");
  EXPECT_EQ(line(), "(closed)");
}

TEST_F(Compress, AStreamThatIsFinishedEndsTheSession) {
  ASSERT_TRUE(run(stage.loop, client->compress()));
  run(stage.loop, client->send_as_it_is({"\x03\0", 2}));  // an empty block, the last one
  EXPECT_EQ(line(), "* BYE the compressed data is damaged");
  EXPECT_EQ(line(), "(closed)");
}

TEST_F(Compress, LargeMessagesComeAndGo) {
  ASSERT_TRUE(run(stage.loop, client->compress()));
  std::mt19937 random(5);
  std::string message = "Subject: large\r\n\r\n";
  while (message.size() < 2'000'000)
    message += fmt::format("{:x}\r\n", random() % 100 == 0 ? 0 : random());
  EXPECT_TRUE(command(fmt::format("APPEND INBOX {{{}+}}\r\n{}", message.size(), message))
                  .starts_with("c OK [APPENDUID"));
  EXPECT_EQ(command("SELECT INBOX").substr(0, 4), "c OK");
  const auto lines = run(stage.loop, client->command("c", "FETCH 1 BODY.PEEK[]"));
  ASSERT_EQ(lines.size(), 2U);
  std::string shown;
  for (const char c : message) {
    if (c == '\r')
      shown += "\\r";
    else if (c == '\n')
      shown += "\\n";
    else
      shown += c;
  }
  EXPECT_TRUE(lines[0] == fmt::format("* 1 FETCH (BODY[] {{{}}}\\r\\n{})", message.size(), shown));
}

// A line of 200 MB of spaces, in 200 KB: it is skipped, and others are served meanwhile.
TEST_F(Compress, ABombIsReadInPieces) {
  ASSERT_TRUE(run(stage.loop, client->compress()));
  auto other = run(stage.loop, stage.log_in("other"));
  Deflater deflater;
  std::string bomb;
  const auto sink = [&bomb](std::string_view piece) { bomb += piece; };
  const std::string spaces(1 << 20, ' ');
  for (int i = 0; i < 200; i++) deflater.add(spaces, sink);
  deflater.add("\r\nb NOOP\r\n", sink);
  deflater.flush(sink);
  Scope scope(stage.loop);
  scope.spawn(client->send_as_it_is(bomb));
  EXPECT_TRUE(line().starts_with("* BAD [TOOBIG]"));
  const auto answer = run(stage.loop, other->command("x", "NOOP"));
  EXPECT_EQ(answer.back(), "x OK NOOP completed");
  EXPECT_EQ(line(), "b OK NOOP completed");
  run(stage.loop, scope.join());
}

}  // namespace
}  // namespace rims::test
