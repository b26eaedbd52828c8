// tests/imapd/imap/metadata_test.cc - annotations beyond what transcripts say: much of it, slow
// clients, and a reload (RFC 5464, RFC 9590)

#include <string>
#include <vector>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "tests/imapd/stage.h"

namespace rims::test {
namespace {

using Lines = std::vector<std::string>;

class Metadata : public testing::Test {
 protected:
  Metadata() { stage.start(); }
  ~Metadata() override { run(stage.loop, stage.stop()); }
  Metadata(const Metadata&) = delete;
  Metadata& operator=(const Metadata&) = delete;
  Lines command(TestClient& client, std::string text) {
    return run(stage.loop, client.command("t", std::move(text)));
  }
  std::string last_of(TestClient& client, std::string text) {
    return command(client, std::move(text)).back();
  }
  std::string line(TestClient& client) {
    return run(stage.loop, client.line()).value_or("(closed)");
  }
  std::unique_ptr<TestClient> log_in() { return run(stage.loop, stage.log_in("foo")); }
  // Sixteen mailboxes with a value as long as it may be, nearly.
  void fill(TestClient& client) {
    const std::string value(60'000, 'v');
    for (int i = 0; i < 16; i++) {
      ASSERT_TRUE(last_of(client, fmt::format("CREATE m{}", i)).starts_with("t OK"));
      ASSERT_TRUE(last_of(client, fmt::format("SETMETADATA m{} (/private/a {{{}+}}\r\n{})", i,
                                              value.size(), value))
                      .starts_with("t OK"));
    }
  }
  Stage stage;
};

// RFC 5464 §4.4: what the administrator changes is changed by a third party.
TEST_F(Metadata, AReloadTellsWhoHasEnabledIt) {
  const auto told = log_in(), idle = log_in(), other = log_in();
  EXPECT_TRUE(last_of(*told, "ENABLE METADATA-SERVER").starts_with("t OK"));
  EXPECT_TRUE(last_of(*idle, "ENABLE METADATA").starts_with("t OK"));
  run(stage.loop, idle->send("i IDLE\r\n"));
  EXPECT_EQ(line(*idle), "+ idling");
  auto& entries = stage.settings.server_entries.value;
  entries[0].value = "another note";
  entries[1].name = "/shared/admin";
  stage.worker->reload(stage.settings);
  const std::string news =
      "* METADATA \"\" /shared/admin /shared/comment /shared/vendor/deltachat/maxsmtprecipients";
  EXPECT_EQ(line(*idle), news);
  EXPECT_EQ(command(*told, "NOOP"), (Lines{news, "t OK NOOP completed"}));
  EXPECT_EQ(command(*other, "NOOP"), (Lines{"t OK NOOP completed"}));
  EXPECT_EQ(command(*other, "GETMETADATA \"\" /shared/comment")[0],
            "* METADATA \"\" (/shared/comment \"another note\")");
  stage.worker->reload(stage.settings);
  EXPECT_EQ(command(*told, "NOOP"), (Lines{"t OK NOOP completed"})) << "nothing has changed";
  run(stage.loop, idle->send("DONE\r\n"));
  EXPECT_EQ(line(*idle), "i OK IDLE completed");
}

// RFC 9590: much is told piece by piece; who does not read it stops nobody, and what is gone
// meanwhile is not told.
TEST_F(Metadata, AClientThatDoesNotReadStopsNobody) {
  const auto other = log_in(), deaf = log_in();
  fill(*other);
  run(stage.loop, deaf->send("a LIST \"\" m* RETURN (METADATA (/private/a))\r\n"));
  for (int i = 0; i < 10; i++) EXPECT_EQ(last_of(*other, "NOOP"), "t OK NOOP completed");
  ASSERT_TRUE(last_of(*other, "DELETE m9").starts_with("t OK"));
  int lists = 0, values = 0;
  std::string last = line(*deaf);
  for (; last.starts_with("* "); last = line(*deaf)) {
    lists += last.starts_with("* LIST ") ? 1 : 0;
    values += last.starts_with("* METADATA m") && last.size() > 60'000 ? 1 : 0;
  }
  EXPECT_EQ(last, "a OK LIST completed");
  EXPECT_EQ(lists, 16);
  EXPECT_EQ(values, 15) << "the last one is gone";
}

TEST_F(Metadata, AValueThatIsSetMeanwhileIsTold) {
  const auto other = log_in(), deaf = log_in();
  const std::string value(60'000, 'v');
  for (const char* name : {"a", "b", "c", "d", "e", "f", "g", "h", "i", "j"})
    ASSERT_TRUE(last_of(*other, fmt::format("SETMETADATA INBOX (/private/{} {{{}+}}\r\n{})", name,
                                            value.size(), value))
                    .starts_with("t OK"));
  run(stage.loop, deaf->send("a GETMETADATA (DEPTH 1) INBOX /private\r\n"));
  for (int i = 0; i < 10; i++) EXPECT_EQ(last_of(*other, "NOOP"), "t OK NOOP completed");
  ASSERT_TRUE(
      last_of(*other, "SETMETADATA INBOX (/private/i \"new\" /private/j NIL)").starts_with("t OK"));
  const std::string all = line(*deaf);
  EXPECT_TRUE(all.starts_with("* METADATA INBOX (/private/a \"vvv"));
  EXPECT_TRUE(all.ends_with("/private/i \"new\")")) << all.substr(all.size() - 100);
  EXPECT_EQ(line(*deaf), "a OK GETMETADATA completed");
}

// What is to be told is bounded; nothing is left out of it.
TEST_F(Metadata, ASessionThatMissedTooManyChangesIsEnded) {
  const auto told = log_in(), other = log_in();
  EXPECT_TRUE(last_of(*told, "ENABLE METADATA").starts_with("t OK"));
  for (int mailbox = 0; mailbox < 11; mailbox++) {
    ASSERT_TRUE(last_of(*other, fmt::format("CREATE m{}", mailbox)).starts_with("t OK"));
    std::string entries;
    for (int i = 0; i < 100; i++)
      entries += fmt::format("{}/private/{} \"\"", i == 0 ? "" : " ", i);
    ASSERT_TRUE(
        last_of(*other, fmt::format("SETMETADATA m{} ({})", mailbox, entries)).starts_with("t OK"));
  }
  EXPECT_EQ(line(*told), "* BYE too many annotations have changed");
}

}  // namespace
}  // namespace rims::test
