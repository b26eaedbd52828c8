// tests/imapd/fetch_test.cc - FETCH and SEARCH of what is large, many or damaged
//
// What transcripts cannot say: bytes by the megabyte, a client that does not read, and what lies
// wrong on the disk. RFC 3501 §6.4.5.

#include <algorithm>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "tests/imapd/script.h"
#include "tests/imapd/stage.h"

namespace rims::test {
namespace {

class Fetch : public testing::Test {
 protected:
  Fetch() { stage.start(); }
  std::vector<std::string> command(TestClient& client, std::string text) {
    return run(stage.loop, client.command("t", std::move(text)));
  }
  void deliver(std::string bytes) {
    const auto reply = run(stage.loop, stage.deliver("foo", "INBOX", std::move(bytes)));
    ASSERT_EQ(reply.status, ipc::Delivery::delivered) << reply.reason.value;
  }
  std::unique_ptr<TestClient> selected(std::string how = "SELECT") {
    auto client = run(stage.loop, stage.log_in("foo"));
    EXPECT_TRUE(command(*client, how + " INBOX").back().starts_with("t OK"));
    return client;
  }
  Stage stage;
};

std::string large_message() {
  std::string bytes = "Subject: large\r\n\r\n";
  for (int line = 0; bytes.size() < (3 << 20); line++)
    bytes += fmt::format("line {} of a message that takes several pieces\r\n", line);
  return bytes;
}

TEST_F(Fetch, GivesALargeMessageByteForByte) {
  const std::string bytes = large_message();
  deliver(bytes);
  const auto client = selected();
  auto lines = command(*client, "FETCH 1 BODY.PEEK[]");
  ASSERT_EQ(lines.size(), 2U);
  EXPECT_EQ(lines[0],
            fmt::format("* 1 FETCH (BODY[] {{{}}}\\r\\n{})", bytes.size(), escape(bytes)));
  lines = command(*client, fmt::format("FETCH 1 BODY.PEEK[]<{}.300000>", 1 << 20));
  EXPECT_EQ(lines[0], fmt::format("* 1 FETCH (BODY[]<{}> {{300000}}\\r\\n{})", 1 << 20,
                                  escape(bytes.substr(1 << 20, 300'000))));
  lines = command(*client, "FETCH 1 (BODY.PEEK[TEXT] UID BODY.PEEK[HEADER])");
  EXPECT_TRUE(lines[0].starts_with("* 1 FETCH (UID 1 BODY[TEXT] {"));
  EXPECT_TRUE(lines[0].ends_with(" BODY[HEADER] {18}\\r\\nSubject: large\\r\\n\\r\\n)"));
}

TEST_F(Fetch, FindsTextInALargeMessage) {
  deliver(large_message() + "the needle is here\r\n");
  deliver(large_message());
  const auto client = selected();
  EXPECT_EQ(command(*client, "SEARCH BODY needle")[0], "* SEARCH 1");
}

// What one body ends in does not run into the next item.
TEST_F(Fetch, KeepsItemsApartWhateverABodyEndsIn) {
  deliver("a: b\r\n\r\n(");
  const auto client = selected();
  EXPECT_EQ(command(*client, "FETCH 1 (BODY.PEEK[TEXT] BODY.PEEK[TEXT]<0.1>)")[0],
            "* 1 FETCH (BODY[TEXT] {1}\\r\\n( BODY[TEXT]<0> {1}\\r\\n()");
}

// A slow reader suspends its own session and nothing else.
TEST_F(Fetch, AClientThatDoesNotReadStopsNobody) {
  for (int i = 0; i < 8; i++) deliver(large_message());
  const auto deaf = selected();
  const auto other = selected();
  run(stage.loop, deaf->send("a FETCH 1:* BODY.PEEK[]\r\n"));
  for (int i = 0; i < 10; i++) EXPECT_EQ(command(*other, "FETCH 1 UID").back(), "t OK FETCH done");
  // It gets everything once it reads.
  for (int i = 1; i <= 8; i++) {
    const auto line = run(stage.loop, deaf->line());
    ASSERT_TRUE(line);
    EXPECT_TRUE(line->starts_with(fmt::format("* {} FETCH (BODY[] {{", i)));
  }
  EXPECT_EQ(run(stage.loop, deaf->line()), "a OK FETCH done");
}

TEST_F(Fetch, AnswersForManyMessagesInOrder) {
  constexpr int kMany = 2000;
  for (int i = 1; i <= kMany; i++) deliver(standard_message(i));
  const auto client = selected();
  const auto lines = command(*client, "FETCH 1:* (FLAGS UID RFC822.SIZE ENVELOPE)");
  ASSERT_EQ(lines.size(), kMany + 1U);
  for (int i = 1; i <= kMany; i++) {
    EXPECT_TRUE(lines[static_cast<size_t>(i - 1)].starts_with(
        fmt::format("* {0} FETCH (UID {0} FLAGS (\\Recent) RFC822.SIZE ", i)));
    EXPECT_NE(lines[static_cast<size_t>(i - 1)].find(fmt::format("\"message {}\"", i)),
              std::string::npos);
  }
  const auto found = command(*client, "UID SEARCH SUBJECT \"message 19\"");
  EXPECT_EQ(std::ranges::count(found[0], ' '), 1 + 111) << "19, 190 to 199, 1900 to 1999";
}

// \Seen of a batch is one change of the account, and survives a restart.
TEST_F(Fetch, SetsSeenDurablyForMany) {
  for (int i = 1; i <= 100; i++) deliver(standard_message(i));
  const auto before = stage.journals.disk("foo").appends;
  {
    const auto client = selected();
    const auto lines = command(*client, "FETCH 1:* BODY[TEXT]");
    EXPECT_TRUE(std::ranges::all_of(lines.begin(), lines.end() - 1, [](const std::string& line) {
      return line.find("FLAGS (\\Seen \\Recent)") != std::string::npos;
    }));
  }
  EXPECT_LE(stage.journals.disk("foo").appends - before, 4U);
  run(stage.loop, stage.stop());
  stage.start();
  const auto client = selected();
  EXPECT_EQ(command(*client, "SEARCH UNSEEN")[0], "* SEARCH");
}

// The structure is an index of the message: it is made again when it is damaged.
TEST_F(Fetch, MakesADamagedStructureAgain) {
  deliver(standard_message(1));
  run(stage.loop, stage.stop());
  int damaged = 0;
  for (auto& record : stage.journals.disk("foo").records) {
    if (record.body.empty()) continue;
    ASSERT_FALSE(record.aux.empty()) << "the structure is kept beside the body";
    record.aux.assign(record.aux.size(), 'x');
    damaged++;
  }
  ASSERT_EQ(damaged, 1);
  stage.key_values.files().clear();
  stage.start();
  const auto client = selected();
  const auto lines = command(*client, "FETCH 1 ENVELOPE");
  EXPECT_EQ(lines.back(), "t OK FETCH done");
  EXPECT_NE(lines[0].find("\"message 1\""), std::string::npos) << lines[0];
}

// What cannot be read is left out, the rest is served, and the answer is NO.
TEST_F(Fetch, ServesTheRestWhenOneMessageIsDamaged) {
  for (int i = 1; i <= 3; i++) deliver(standard_message(i));
  run(stage.loop, stage.stop());
  int bodies = 0;
  for (auto& record : stage.journals.disk("foo").records)
    if (!record.body.empty() && ++bodies == 2) record.body.resize(10);
  ASSERT_EQ(bodies, 3);
  stage.start();
  const auto client = selected();
  const auto lines = command(*client, "FETCH 1:3 BODY.PEEK[TEXT]");
  ASSERT_EQ(lines.size(), 3U);
  EXPECT_TRUE(lines[0].starts_with("* 1 FETCH "));
  EXPECT_TRUE(lines[1].starts_with("* 3 FETCH "));
  EXPECT_TRUE(lines[2].starts_with("t NO [UNAVAILABLE] ")) << lines[2];
  EXPECT_EQ(command(*client, "NOOP").back(), "t OK NOOP done");
}

}  // namespace
}  // namespace rims::test
