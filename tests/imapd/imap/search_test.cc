// tests/imapd/imap/search_test.cc - what SEARCH may hold in memory, and ids that a script can not
// name

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "tests/imapd/stage.h"

namespace rims::test {
namespace {

// The host that the worker is to its sessions.
imapd::SessionHost* host_of_sessions = nullptr;

std::unique_ptr<imapd::HostedSession> make_session(imapd::SessionHost& host, imapd::Client client) {
  host_of_sessions = &host;
  return imapd::imap_protocol().make(host, std::move(client));
}

// RFC 5182 §2.5: NO [NOTSAVED], and `$` is empty. What is saved is counted in ranges.
Task<void> save_beside_others(Stage& stage) {
  for (int i = 1; i <= 6; i++) (void)co_await stage.deliver("foo", "INBOX", standard_message(i));
  auto client = co_await stage.log_in("foo");
  (void)co_await client->command("s", "SELECT INBOX");
  imapd::SessionHost& host = *host_of_sessions;
  // The user's other sessions leave room for six messages and two ranges.
  const auto others = static_cast<int64_t>(imapd::SessionHost::kMostViewed) - 10;
  host.view("foo", others);
  auto lines = co_await client->command("a", "SEARCH RETURN (SAVE) 1,3");
  EXPECT_EQ(lines.back(), "a OK SEARCH completed");
  lines = co_await client->command("b", "SEARCH RETURN (SAVE COUNT) 1,3,5");
  EXPECT_EQ(lines.size(), 1U) << "no ESEARCH with a NO";
  EXPECT_TRUE(lines.back().starts_with("b NO [NOTSAVED] ")) << lines.back();
  lines = co_await client->command("c", "SEARCH $");
  EXPECT_EQ(lines.front(), "* SEARCH");
  lines = co_await client->command("d", "SEARCH RETURN (SAVE) ALL");
  EXPECT_EQ(lines.back(), "d OK SEARCH completed");
  EXPECT_EQ(host.viewed("foo"), static_cast<uint64_t>(others) + 6 + 2);
  lines = co_await client->command("e", "SEARCH $");
  EXPECT_EQ(lines.front(), "* SEARCH 1 2 3 4 5 6");
  host.view("foo", -others);
  (void)co_await client->command("f", "UNSELECT");
  EXPECT_EQ(host.viewed("foo"), 0U);
}

// RFC 8474 §6: exactly this message, and its copies.
Task<void> find_by_email_id(Stage& stage) {
  for (int i = 1; i <= 3; i++) (void)co_await stage.deliver("foo", "INBOX", standard_message(i));
  auto client = co_await stage.log_in("foo");
  (void)co_await client->command("s", "SELECT INBOX");
  auto lines = co_await client->command("a", "FETCH 2 EMAILID");
  const std::string& line = lines.front();
  const size_t from = line.rfind('(') + 1;
  const std::string id = line.substr(from, line.find(')', from) - from);
  lines = co_await client->command("b", "SEARCH EMAILID " + id);
  EXPECT_EQ(lines.front(), "* SEARCH 2");
  lines = co_await client->command("c", "SEARCH OR EMAILID " + id + " EMAILID " + id + "x");
  EXPECT_EQ(lines.front(), "* SEARCH 2");
  for (const std::string& other :
       {id + "0", "0" + id, id.substr(0, id.size() - 1), "M" + id.substr(1), "f" + id.substr(1)}) {
    lines = co_await client->command("d", "SEARCH EMAILID " + other);
    EXPECT_EQ(lines.front(), "* SEARCH") << other;
  }
  (void)co_await client->command("e", "COPY 2 Trash");
  (void)co_await client->command("f", "SELECT Trash");
  lines = co_await client->command("g", "SEARCH EMAILID " + id);
  EXPECT_EQ(lines.front(), "* SEARCH 1");
}

TEST(EmailId, FindsTheMessageAndItsCopies) {
  Stage stage;
  stage.start();
  run(stage.loop, find_by_email_id(stage));
  run(stage.loop, stage.stop());
}

TEST(SavedSearch, IsRefusedBesideTooMuch) {
  Stage stage;
  stage.protocol.make = make_session;
  stage.start();
  run(stage.loop, save_beside_others(stage));
  run(stage.loop, stage.stop());
}

}  // namespace
}  // namespace rims::test
