// tests/cli/imap_client_test.cc - the client against servers that follow a script
//
// A script is a list of lines: "S text" is sent by the server, "C text" is what it must receive
// ("C*" any line), "C!n" takes n bytes as they are.

#include "cli/imap_client.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <thread>

#include <gtest/gtest.h>

#include "common/base/fd.h"

namespace rims::cli {
namespace {

class Server {
 public:
  explicit Server(std::vector<std::string> script) : script_(std::move(script)) {
    listening_ = Fd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in a{};
    a.sin_family = AF_INET;
    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof a;
    auto* where = static_cast<sockaddr*>(static_cast<void*>(&a));
    if (bind(listening_.get(), where, size) < 0 || listen(listening_.get(), 1) < 0 ||
        getsockname(listening_.get(), where, &size) < 0)
      std::abort();
    endpoint.host = "127.0.0.1";
    endpoint.port = std::to_string(ntohs(a.sin_port));
    endpoint.limit = std::chrono::seconds(20);
    thread_ = std::thread([this] { play(); });
  }
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;
  ~Server() { thread_.join(); }

  ImapClient::Endpoint endpoint;
  // What was received, or what went wrong; read it after the client is gone.
  std::vector<std::string> received;

 private:
  void play() {
    const Fd c(accept(listening_.get(), nullptr, nullptr));
    std::string input;
    const auto more = [&] {
      char buffer[4096];
      const ssize_t n = recv(c.get(), buffer, sizeof buffer, 0);
      if (n > 0) input.append(buffer, static_cast<size_t>(n));
      return n > 0;
    };
    for (const std::string& step : script_) {
      if (step.starts_with("S ")) {
        const std::string line = step.substr(2) + "\r\n";
        send(c.get(), line.data(), line.size(), MSG_NOSIGNAL);
        continue;
      }
      size_t take = 0;
      if (step.starts_with("C!")) {
        take = std::stoul(step.substr(2));
        while (input.size() < take)
          if (!more()) return;
        received.push_back(input.substr(0, take));
      } else {
        size_t end = 0;
        while ((end = input.find("\r\n")) == std::string::npos)
          if (!more()) return;
        received.push_back(input.substr(0, end));
        take = end + 2;
        if (step != "C*") {
          EXPECT_EQ("C " + received.back(), step);
        }
      }
      input.erase(0, take);
    }
  }
  std::vector<std::string> script_;
  Fd listening_;
  std::thread thread_;
};

TEST(ImapClient, LogsInAndAppendsWithALiteralThatWaits) {
  Server server({"S * OK [CAPABILITY IMAP4rev1] ready", "C A1 LOGIN \"foo\" \"b\\\"r\"",
                 "S * CAPABILITY IMAP4rev1 UIDPLUS", "S A1 OK LOGIN completed",
                 "C A2 APPEND \"INBOX\" (\\Seen \\Draft) \" 8-Nov-2013 13:34:10 +0900\" {6}",
                 "S + go on", "C!6", "C ", "S * 1 EXISTS",
                 "S A2 OK [APPENDUID 1 2] APPEND completed", "C A3 LOGOUT", "S * BYE",
                 "S A3 OK bye"});
  auto client = ImapClient::connect(server.endpoint);
  ASSERT_TRUE(client.has_value()) << client.error().reply();
  EXPECT_EQ(client->greeting().str(), "OK ready");
  EXPECT_EQ(client->login("foo", Secret("b\"r"))->str(), "OK LOGIN completed");
  EXPECT_EQ(client->capability().value(), (std::vector<std::string>{"IMAP4rev1", "UIDPLUS"}));
  const auto appended =
      client->append("INBOX", {"\\Seen", "\\Draft"}, " 8-Nov-2013 13:34:10 +0900", "A: b\r\n");
  ASSERT_TRUE(appended.has_value()) << appended.error().reply();
  EXPECT_EQ(appended->str(), "OK APPEND completed");
  client->logout();
}

TEST(ImapClient, UsesNonSynchronizingLiterals) {  // RFC 7888
  Server plus({"S * OK [CAPABILITY IMAP4rev1 LITERAL+] ready", "C A1 APPEND \"x\" {5000+}",
               "C!5000", "C ", "S A1 OK done"});
  auto client = ImapClient::connect(plus.endpoint);
  ASSERT_TRUE(client.has_value());
  EXPECT_TRUE(client->append("x", {}, "", std::string(5000, 'y')).has_value());
  // LITERAL- allows them up to 4096 bytes (§5).
  Server minus({"S * OK [CAPABILITY IMAP4rev1 LITERAL-] ready", "C A1 APPEND \"x\" {4096+}",
                "C!4096", "C ", "S A1 OK done", "C A2 APPEND \"x\" {4097}", "S + ok", "C!4097",
                "C ", "S A2 OK done"});
  auto second = ImapClient::connect(minus.endpoint);
  ASSERT_TRUE(second.has_value());
  EXPECT_TRUE(second->append("x", {}, "", std::string(4096, 'y')).has_value());
  EXPECT_TRUE(second->append("x", {}, "", std::string(4097, 'y')).has_value());
}

TEST(ImapClient, ARefusedLiteralIsTheAnswer) {
  Server server({"S * OK [CAPABILITY IMAP4rev1] ready", "C A1 APPEND \"x\" {3}",
                 "S A1 NO [TRYCREATE] no such mailbox"});
  auto client = ImapClient::connect(server.endpoint);
  ASSERT_TRUE(client.has_value());
  const auto answer = client->append("x", {}, "", "abc");
  ASSERT_FALSE(answer.has_value());
  EXPECT_EQ(answer.error().fault(), Fault::refused);
  EXPECT_EQ(answer.error().reply(), "NO no such mailbox");
}

TEST(ImapClient, AuthenticatesPlainWithAndWithoutInitialResponse) {  // RFC 4616, RFC 4959
  Server with({"S * OK [CAPABILITY IMAP4rev1 SASL-IR AUTH=PLAIN] ready",
               "C A1 AUTHENTICATE PLAIN AGZvbwBiYXI=", "S A1 OK in"});
  auto client = ImapClient::connect(with.endpoint);
  ASSERT_TRUE(client.has_value());
  EXPECT_TRUE(client->authenticate_plain("foo", Secret("bar")).has_value());
  Server without({"S * OK ready", "C A1 CAPABILITY", "S * CAPABILITY IMAP4rev1 AUTH=PLAIN",
                  "S A1 OK", "C A2 AUTHENTICATE PLAIN", "S +",
                  "C AGZvbwBiYXI=", "S A2 NO [AUTHENTICATIONFAILED] no"});
  auto second = ImapClient::connect(without.endpoint);
  ASSERT_TRUE(second.has_value());
  EXPECT_EQ(second->authenticate_plain("foo", Secret("bar")).error().reply(), "NO no");
}

TEST(ImapClient, AuthenticatesCramMd5) {  // the example of RFC 2195 §2
  Server server({"S * OK ready", "C A1 AUTHENTICATE CRAM-MD5",
                 "S + PDE4OTYuNjk3MTcwOTUyQHBvc3RvZmZpY2UucmVzdG9uLm1jaS5uZXQ+",
                 "C dGltIGI5MTNhNjAyYzdlZGE3YTQ5NWI0ZTZlNzMzNGQzODkw", "S A1 OK in"});
  auto client = ImapClient::connect(server.endpoint);
  ASSERT_TRUE(client.has_value());
  EXPECT_TRUE(client->authenticate_cram_md5("tim", Secret("tanstaaftanstaaf")).has_value());
}

TEST(ImapClient, AHostileServerIsAnError) {
  const std::vector<std::string> greetings[] = {
      {"S 220 smtp.example.org ESMTP"},
      {"S * BYE go away"},
      {"S " + std::string(70'000, 'x')},
      {"S * OK {99999999999}"},
      {},
  };
  for (const auto& script : greetings) {
    Server server(script);
    EXPECT_FALSE(ImapClient::connect(server.endpoint).has_value());
  }
  Server escape({"S * OK \x1b[31mred\x07"});
  auto client = ImapClient::connect(escape.endpoint);
  ASSERT_TRUE(client.has_value());
  EXPECT_EQ(client->greeting().text, "\\x1b[31mred\\x07");
  Server dies({"S * OK ready", "C*"});
  auto second = ImapClient::connect(dies.endpoint);
  ASSERT_TRUE(second.has_value());
  EXPECT_EQ(second->login("a", Secret("b")).error().fault(), Fault::peer_gone);
}

TEST(ImapClient, NobodyThere) {
  ImapClient::Endpoint nowhere;
  {
    Server server({});
    nowhere = server.endpoint;
    EXPECT_FALSE(ImapClient::connect(server.endpoint).has_value());
  }
  const auto client = ImapClient::connect(nowhere);
  ASSERT_FALSE(client.has_value());
  EXPECT_NE(client.error().reply().find("can not connect to 127.0.0.1:"), std::string::npos);
}

TEST(Quoted, NeedsALiteralForWhatDoesNotFit) {
  EXPECT_EQ(quoted("a b"), "\"a b\"");
  EXPECT_EQ(quoted("a\"\\"), "\"a\\\"\\\\\"");
  EXPECT_EQ(quoted(""), "\"\"");
  EXPECT_EQ(quoted("a\nb"), "");
  EXPECT_EQ(quoted("\xc3\xa4"), "");
}

}  // namespace
}  // namespace rims::cli
