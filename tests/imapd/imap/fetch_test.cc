// tests/imapd/imap/fetch_test.cc - FETCH and SEARCH of what is large, many or damaged
//
// What transcripts cannot say: bytes by the megabyte, a client that does not read, and what lies
// wrong on the disk. RFC 3501 §6.4.5.

#include <algorithm>
#include <cstdlib>
#include <numeric>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "common/base/encoding.h"
#include "common/base/log.h"
#include "common/message/structure.h"
#include "tests/imapd/script.h"
#include "tests/imapd/stage.h"
#include "tests/support/log_lines.h"

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

// RFC 3516 §4.3: BINARY.SIZE is what BINARY gives, also of a part that is decoded in pieces.
TEST_F(Fetch, DecodesALargePart) {
  std::string bytes;
  for (uint32_t i = 0; bytes.size() < 2'000'000; i++)
    bytes += static_cast<char>(i * i >> 7 == 0 ? 1 : (i * i >> 7) % 255 + 1);
  std::string encoded;
  for (size_t at = 0; at < bytes.size(); at += 57)
    encoded += to_base64(std::string_view(bytes).substr(at, 57)) + "\r\n";
  const std::string head =
      "MIME-Version: 1.0\r\nContent-Type: image/x\r\nContent-Transfer-Encoding: base64\r\n\r\n";
  deliver(head + encoded);
  const auto client = selected();
  auto lines = command(*client, "FETCH 1 (BINARY.SIZE[1] BINARY.PEEK[1])");
  EXPECT_TRUE(lines[0] == fmt::format("* 1 FETCH (BINARY.SIZE[1] {0} BINARY[1] {{{0}}}\\r\\n{1})",
                                      bytes.size(), escape(bytes)));
  lines = command(*client, "FETCH 1 BINARY.PEEK[1]<999999.500001>");
  EXPECT_TRUE(lines[0] == fmt::format("* 1 FETCH (BINARY[1]<999999> {{500001}}\\r\\n{})",
                                      escape(bytes.substr(999'999, 500'001))));
  lines = command(*client, "FETCH 1 BINARY.PEEK[1]<1999999.500001>");
  EXPECT_TRUE(lines[0] == fmt::format("* 1 FETCH (BINARY[1]<1999999> {{{}}}\\r\\n{})",
                                      bytes.size() - 1'999'999, escape(bytes.substr(1'999'999))));
}

// One NUL at the end of a large part makes all of it a literal8. What is not base64 means nothing.
TEST_F(Fetch, LooksForNulInAllOfAPart) {
  deliver("MIME-Version: 1.0\r\nContent-Transfer-Encoding: base64\r\n\r\n" +
          std::string(600'000, '!') + "YQ" + std::string(600'000, '\n') + "A=");
  const auto client = selected();
  EXPECT_EQ(command(*client, "FETCH 1 (BINARY.PEEK[1] BINARY.SIZE[1] BINARY.PEEK[1]<0.1>)")[0],
            "* 1 FETCH (BINARY[1] ~{2}\\r\\na\\x00 BINARY.SIZE[1] 2 BINARY[1]<0> {1}\\r\\na)");
}

// A slow reader suspends its own session and nothing else.
TEST_F(Fetch, AClientThatDoesNotReadStopsNobody) {
  for (int i = 0; i < 8; i++) deliver(large_message());
  const auto deaf = selected();
  const auto other = selected();
  run(stage.loop, deaf->send("a FETCH 1:* BODY.PEEK[]\r\n"));
  for (int i = 0; i < 10; i++)
    EXPECT_EQ(command(*other, "FETCH 1 UID").back(), "t OK FETCH completed");
  // It gets everything once it reads.
  for (int i = 1; i <= 8; i++) {
    const auto line = run(stage.loop, deaf->line());
    ASSERT_TRUE(line);
    EXPECT_TRUE(line->starts_with(fmt::format("* {} FETCH (BODY[] {{", i)));
  }
  EXPECT_EQ(run(stage.loop, deaf->line()), "a OK FETCH completed");
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
  EXPECT_EQ(lines.back(), "t OK FETCH completed");
  EXPECT_NE(lines[0].find("\"message 1\""), std::string::npos) << lines[0];
}

// RFC 8970 §3.2, §4.1: what an earlier program has stored has no preview. LAZY says NIL then, and
// without it the preview is made.
TEST_F(Fetch, MakesThePreviewOfAnOlderMessage) {
  deliver(standard_message(1));
  run(stage.loop, stage.stop());
  for (auto& record : stage.journals.disk("foo").records) {
    if (record.body.empty()) continue;
    const auto view = message::StructureView::open(record.aux);
    ASSERT_TRUE(view);
    record.aux = message::without_fields(record.aux, *view);
  }
  stage.key_values.files().clear();
  stage.start();
  const auto client = selected();
  EXPECT_EQ(command(*client, "FETCH 1 PREVIEW (LAZY)")[0], "* 1 FETCH (PREVIEW NIL)");
  EXPECT_EQ(command(*client, "FETCH 1 (UID PREVIEW)")[0],
            "* 1 FETCH (UID 1 PREVIEW \"This is body 1.\")");
  EXPECT_EQ(command(*client, "FETCH 1 (PREVIEW (LAZY) PREVIEW)")[0],
            "* 1 FETCH (PREVIEW \"This is body 1.\")");
}

// Header fields that are kept are served without a look at the message, and give the answers that
// the message gives.
TEST_F(Fetch, ReadsNoMessageForFieldsThatAreKept) {
  for (int i = 1; i <= 100; i++) deliver(standard_message(i));
  auto client = selected();
  const std::vector<std::string> commands = {
      "FETCH 1:* BODY.PEEK[HEADER.FIELDS (SUBJECT From Date Cc)]",
      "FETCH 7,3 (UID BODY.PEEK[HEADER.FIELDS (message-id to)]<3.20> BODY.PEEK[HEADER.FIELDS "
      "(To)])",
      "FETCH 1:* (ENVELOPE BODYSTRUCTURE BODY)",
      "FETCH 1:* (ENVELOPE PREVIEW)",
      "FETCH 1:* (UID PREVIEW (LAZY))",
      "SEARCH SUBJECT \"message 9\" FROM example",
      "SEARCH NOT HEADER Message-ID x HEADER Cc \"\"",
      "SEARCH SENTSINCE 1-Jan-2000 NOT SENTBEFORE 2-Jan-2000"};
  std::vector<std::vector<std::string>> whole;
  for (const std::string& text : commands) whole.push_back(command(*client, text));
  EXPECT_NE(whole[0][98].find("message 99"), std::string::npos) << whole[0][98];
  client.reset();
  run(stage.loop, stage.stop());
  for (auto& record : stage.journals.disk("foo").records) record.body.clear();
  stage.start();
  client = selected("EXAMINE");
  for (size_t i = 0; i < commands.size(); i++)
    EXPECT_EQ(command(*client, commands[i]), whole[i]) << commands[i];
  // A field that is not kept needs the message.
  EXPECT_TRUE(command(*client, "FETCH 1 BODY.PEEK[HEADER.FIELDS (Subject Received)]")
                  .back()
                  .starts_with("t NO [UNAVAILABLE]"));
  EXPECT_EQ(command(*client, "SEARCH HEADER Received x").front(),
            "* NO [UNAVAILABLE] 100 messages could not be searched, they are damaged");
}

// A chain of ORs, which is how clients look for a list of addresses, and much to look into. The
// longest wait is printed, for people, who may want RIMS_SEARCH_MESSAGES=10000.
class LongSearch : public Fetch {
 protected:
  static std::string chain(std::string_view key, int count) {
    std::string text = "SEARCH ";
    for (int i = 1; i < count; i++) text += fmt::format("OR {} absent{} ", key, i);
    return text + fmt::format("{} absent", key);
  }
  static std::string recipients(size_t size) {
    std::string to = "To: x@example.org";
    for (int i = 0; to.size() < size; i++)
      to += fmt::format(",\r\n \"Someone, {0}\" <a{0}@example.org>", i);
    return to + "\r\n\r\nx\r\n";
  }
  // How many commands of another session are answered from the beginning to the end of a search.
  int answered_during(std::string text) {
    const auto searcher = selected("EXAMINE");
    const auto other = selected("EXAMINE");
    Scope scope(stage.loop);
    scope.spawn(wait_for(*searcher));
    run(stage.loop, searcher->send("a " + std::move(text) + "\r\n"));
    int commands = 0;
    auto longest = Loop::now() - Loop::now();
    for (; scope.size() > 0; commands++) {
      const auto since = Loop::now();
      EXPECT_EQ(command(*other, "NOOP").back(), "t OK NOOP completed");
      longest = std::max(longest, Loop::now() - since);
    }
    const auto ms = std::chrono::duration_cast<Milliseconds>(longest).count();
    fmt::print("{} commands meanwhile, the longest took {} ms\n", commands, ms);
    return commands;
  }

 private:
  static Task<void> wait_for(TestClient& client) {
    std::optional<std::string> line;
    while (!line) line = co_await client.line();
    EXPECT_EQ(line, "* SEARCH");
    line = co_await client.line();
    EXPECT_EQ(line, "a OK SEARCH completed");
  }
};

TEST_F(LongSearch, OfManyMessagesHoldsUpNobody) {
  const char* many = std::getenv("RIMS_SEARCH_MESSAGES");
  const int messages = many ? std::atoi(many) : 100;
  for (int i = 1; i <= messages; i++) deliver(standard_message(i));
  EXPECT_GE(answered_during(chain("FROM", 1000)), 20);
}

// One message may take a second, so it is more than one step. Each of these had one or two.
TEST_F(LongSearch, OfOneHeaderHoldsUpNobody) {
  deliver(recipients(15'000));
  EXPECT_GE(answered_during(chain("TO", 200)), 10) << "kept";
}

TEST_F(LongSearch, OfOneLargeHeaderHoldsUpNobody) {
  deliver(recipients(100'000));
  EXPECT_GE(answered_during(chain("TO", 25)), 10) << "not kept";
}

TEST_F(LongSearch, OfOneBodyHoldsUpNobody) {
  std::string body = "Subject: x\r\n\r\n";
  while (body.size() < 200'000) body += "the quick brown fox\r\n";
  deliver(body);
  EXPECT_GE(answered_during(chain("OR TEXT absent BODY", 100)), 10);
}

// On the pool, of which others need threads as well.
TEST_F(LongSearch, OfOneVeryLargeMessageHoldsUpNobody) {
  deliver(recipients(400'000) + large_message());
  EXPECT_GE(answered_during(chain("OR TO absent BODY", 5)), 10);
}

// Nothing is looked through, and there is much of it.
TEST_F(LongSearch, OfManyQuickKeysHoldsUpNobody) {
  for (int i = 1; i <= 500; i++) deliver(standard_message(i));
  std::string keys = "SEARCH";
  for (int i = 0; i < 1900; i++) keys += " SINCE 1-Jan-2000";
  EXPECT_GE(answered_during(keys + " BEFORE 1-Jan-2001"), 10);
}

class Damaged : public Fetch {
 protected:
  // Delivers standard messages, and cuts the bodies of some of them on the disk.
  void deliver_damaged(int count, const std::vector<int>& damaged) {
    for (int i = 1; i <= count; i++) deliver(standard_message(i));
    run(stage.loop, stage.stop());
    int number = 0;
    for (auto& record : stage.journals.disk("foo").records)
      if (!record.body.empty() && std::ranges::count(damaged, ++number) > 0) record.body.resize(10);
    ASSERT_EQ(number, count);
    stage.start();
  }
};

// What cannot be read is left out, the rest is served, and the answer is NO.
TEST_F(Damaged, FetchServesTheRest) {
  deliver_damaged(4, {2, 3});
  const auto client = selected();
  LogLines logged;
  auto lines = command(*client, "FETCH 1:4 (UID BODY[TEXT])");
  ASSERT_EQ(lines.size(), 5U);
  EXPECT_TRUE(lines[0].starts_with("* 1 FETCH (UID 1 FLAGS (\\Seen \\Recent) BODY[TEXT] {"))
      << lines[0];
  EXPECT_TRUE(lines[1].starts_with("* 4 FETCH (UID 4 FLAGS (\\Seen \\Recent) BODY[TEXT] {"))
      << lines[1];
  // Nobody has read them.
  EXPECT_EQ(lines[2], "* 2 FETCH (FLAGS (\\Recent))");
  EXPECT_EQ(lines[3], "* 3 FETCH (FLAGS (\\Recent))");
  EXPECT_EQ(lines[4], "t NO [UNAVAILABLE] 2 messages could not be fetched, they are damaged");
  EXPECT_NE(logged.text().find("FETCH: message 2 of \"foo\" is shorter"), std::string::npos)
      << logged.text();
  EXPECT_NE(logged.text().find("FETCH: message 3 of \"foo\" is shorter"), std::string::npos)
      << logged.text();

  lines = command(*client, "UID FETCH 2 BODY.PEEK[]");
  EXPECT_EQ(lines.back(), "t NO [UNAVAILABLE] 1 message could not be fetched, it is damaged");
  EXPECT_EQ(command(*client, "UID FETCH 1,4 BODY.PEEK[TEXT]").back(), "t OK UID FETCH completed");
  EXPECT_EQ(command(*client, "FETCH 1:4 (FLAGS ENVELOPE BODYSTRUCTURE)").back(),
            "t OK FETCH completed");
}

// RFC 3501 §7.1.2: an untagged NO is a warning, and the command is completed.
TEST_F(Damaged, SearchFindsTheRestAndWarns) {
  deliver_damaged(4, {2});
  const auto client = selected();
  const std::string warning = "* NO [UNAVAILABLE] 1 message could not be searched, it is damaged";
  for (const char* keys : {"BODY \"This is\"", "TEXT \"This is\"", "NOT HEADER X-A x",
                           "OR BODY body UID 2 NOT TEXT absent", "NOT BODY absent"}) {
    LogLines logged;
    const auto lines = command(*client, std::string("SEARCH ") + keys);
    ASSERT_EQ(lines.size(), 3U) << keys;
    EXPECT_EQ(lines[0], warning) << keys;
    EXPECT_EQ(lines[1], "* SEARCH 1 3 4") << keys;
    EXPECT_EQ(lines[2], "t OK SEARCH completed") << keys;
    EXPECT_NE(logged.text().find("SEARCH: message 2 of \"foo\" is shorter"), std::string::npos)
        << logged.text();
  }
  // What decides without its bytes needs no warning, and finds it.
  EXPECT_EQ(command(*client, "SEARCH OR UID 2 BODY \"body 3\"").front(), "* SEARCH 2 3");
  EXPECT_EQ(command(*client, "UID SEARCH SUBJECT \"message 2\"").front(), "* SEARCH 2");
  EXPECT_EQ(command(*client, "UID SEARCH UID 1 BODY body").front(), "* SEARCH 1");
}

// RFC 9394 §3.1: a page ends the search, from either side. Who looked further would warn.
TEST_F(Damaged, APageLooksAtNoMoreThanItTakes) {
  deliver_damaged(40, {20, 21});
  const auto client = selected();
  for (const auto& [page, found] : std::vector<std::pair<std::string, std::string>>{
           {"1:5", "1:5"}, {"15:19", "15:19"}, {"-1:-5", "36:40"}, {"-19:-15", "22:26"}}) {
    const auto lines = command(*client, "SEARCH RETURN (PARTIAL " + page + ") BODY \"This is\"");
    EXPECT_EQ(lines.front(), "* ESEARCH (TAG \"t\") PARTIAL (" + page + " " + found + ")");
  }
  const std::string warning =
      "* NO [UNAVAILABLE] 2 messages could not be searched, they are damaged";
  for (const char* page : {"19:20", "-19:-20", "COUNT PARTIAL 1:1", "MIN PARTIAL 30:30"}) {
    const std::string options = std::isalpha(*page) ? page : std::string("PARTIAL ") + page;
    EXPECT_EQ(command(*client, "SEARCH RETURN (" + options + ") BODY \"This is\"").front(), warning)
        << page;
  }
}

// What is wrong with the account is no matter of single messages.
TEST_F(Damaged, SearchEndsWithTheAccount) {
  deliver_damaged(300, {2});
  std::string keys;
  for (int i = 0; i < 200; i++) keys += fmt::format("OR BODY absent{} ", i);
  const auto client = selected();
  const auto other = selected();
  run(stage.loop, client->send("a SEARCH " + keys + "BODY absent\r\n"));
  stage.journals.fate = [](const std::string&, std::span<const store::Draft>) {
    return store::MemoryJournals::Fate::fail;
  };
  EXPECT_TRUE(command(*other, "STORE 1 +FLAGS (\\Seen)").back().starts_with("t NO [UNAVAILABLE]"));
  stage.journals.fate = nullptr;
  const auto line = run(stage.loop, client->line()).value_or("(closed)");
  EXPECT_TRUE(line.starts_with("a NO [UNAVAILABLE] ")) << line;
}

TEST_F(Damaged, TheLogNamesOnlySomeOfVeryMany) {
  std::vector<int> all(30);
  std::iota(all.begin(), all.end(), 1);
  deliver_damaged(30, all);
  const auto client = selected();
  LogLines logged;
  EXPECT_EQ(command(*client, "SEARCH BODY x").front(),
            "* NO [UNAVAILABLE] 30 messages could not be searched, they are damaged");
  EXPECT_EQ(std::ranges::count(logged.text(), '\n'), 21) << logged.text();
}

}  // namespace
}  // namespace rims::test
