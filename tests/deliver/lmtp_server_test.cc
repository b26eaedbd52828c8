// tests/deliver/lmtp_server_test.cc - clients of LMTP on local sockets, with a post of the test's
//
// The post knows "foo", "bar" and "slow"; "away" can not be looked up. What it is to store it
// keeps; what it answers is set by the test. Nothing waits for wall-clock time but the tests of
// limits.

#include "deliver/lmtp_server.h"

#include <algorithm>
#include <cstring>
#include <netinet/in.h>
#include <string>
#include <sys/socket.h>
#include <sys/un.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/async/stream.h"
#include "common/base/encoding.h"
#include "common/ipc/sealed.h"
#include "tests/deliver/support.h"

namespace rims::deliver {
namespace {

using testing::HasSubstr;

struct Stored {
  ipc::Deliver what;
  uint32_t worker = 0;
  std::string bytes;
};

struct TestPost final : Post {
  explicit TestPost(Loop& loop) : go(loop) { go.set(); }
  Task<Result<ipc::UserReply>> find(std::string recipient) override {
    ipc::UserReply reply;
    if (recipient.starts_with("away"))
      co_return fail(Fault::timeout, "try again later", "rims-auth does not answer");
    reply.exists = recipient.starts_with("foo") || recipient.starts_with("bar");
    if (reply.exists) reply.user = recipient.substr(0, 3);
    reply.worker = recipient.starts_with("bar") ? 1 : 0;
    co_return reply;
  }
  Task<ipc::DeliverReply> store(ipc::Deliver what, uint32_t worker,
                                std::shared_ptr<const Fd> message) override {
    co_await go.wait();
    ipc::DeliverReply reply;
    reply.status = worker == 0 ? status : ipc::Delivery::delivered;
    reply.reason = reason;
    auto bytes = ipc::sealed_bytes(message->get(), 1 << 20);
    EXPECT_TRUE(bytes) << "it is sealed";
    stored.push_back({std::move(what), worker, bytes.value_or("")});
    descriptors.push_back(message->get());
    co_return reply;
  }

  Event go;
  ipc::Delivery status = ipc::Delivery::delivered;
  std::string reason;
  std::vector<Stored> stored;
  std::vector<int> descriptors;
};

// As the controller makes it.
struct LocalListener {
  LocalListener() : path(dir.file("lmtp")), fd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    const sockaddr_un address = where();
    if (bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) < 0 ||
        ::listen(fd.get(), 64) < 0)
      std::abort();
  }
  [[nodiscard]] sockaddr_un where() const {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path, path.data(), path.size());
    return address;
  }
  [[nodiscard]] Fd connect_client() const {
    Fd client(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    const sockaddr_un address = where();
    if (connect(client.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) < 0)
      std::abort();
    return client;
  }
  test::TempDir dir;
  std::string path;
  Fd fd;
};

class LmtpServerTest : public testing::Test {
 public:  // local coroutines use it
  LmtpServerTest() {
    crypto_init();
    part.hostname = "mx.test";
    part.message_size_max = 1000;
    part.connections_max = 2;
    start({});
  }
  void start(LmtpTimes times) {
    server = std::make_unique<LmtpServer>(loop, part, post, times);
    server->listen(0, Fd(dup(socket.fd.get())));
  }

  struct Conversation {
    Conversation(LmtpServerTest& t)
        : test(t), stream(t.loop, t.socket.connect_client(), Milliseconds(5000)) {}
    // Reads `lines` of replies.
    static Task<std::string> hear(Stream& stream, size_t lines) {
      while (static_cast<size_t>(std::ranges::count(stream.input(), '\n')) < lines) {
        const Status got = co_await stream.fill(Milliseconds(5000));
        if (!got) break;
      }
      size_t end = 0;
      for (size_t i = 0; i < lines && end < stream.input().size(); i++) {
        const size_t lf = stream.input().find('\n', end);
        end = lf == std::string_view::npos ? stream.input().size() : lf + 1;
      }
      std::string said(stream.input().substr(0, end));
      stream.consume(end);
      co_return said;
    }
    std::string say(std::string_view text, size_t lines = 1) {
      stream.put(text);
      struct Both {
        static Task<std::string> both(Stream& stream, size_t lines) {
          const Status sent = co_await stream.flush();
          (void)sent;
          co_return co_await hear(stream, lines);
        }
      };
      return run(test.loop, Both::both(stream, lines));
    }
    std::string begin(const std::string& recipients = "RCPT TO:<foo@x>\r\n") {
      EXPECT_EQ(say("", 1), "220 mx.test RIMS LMTP\r\n");
      const auto count = static_cast<size_t>(std::ranges::count(recipients, '\n'));
      return say("LHLO client\r\nMAIL FROM:<a@b>\r\n" + recipients, 11 + 1 + count);
    }
    // True when the server has ended it, with nothing more to say.
    bool over() {
      struct Wait {
        static Task<bool> end(Stream& stream) {
          const Status got = co_await stream.fill(Milliseconds(5000));
          co_return !got && got.error().fault() == Fault::peer_gone;
        }
      };
      return run(test.loop, Wait::end(stream));
    }
    LmtpServerTest& test;
    Stream stream;
  };

  Loop loop;
  LocalListener socket;
  config::DeliverdPart part;
  TestPost post{loop};
  std::unique_ptr<LmtpServer> server;
};

TEST_F(LmtpServerTest, StoresOneBodyForAllAndAnswersForEach) {
  Conversation c(*this);
  c.begin("RCPT TO:<foo@x>\r\nRCPT TO:<nobody@x>\r\nRCPT TO:<bar+y@x> ORCPT=rfc822;b@z\r\n");
  EXPECT_EQ(c.say("DATA\r\n"), "354 end with a line that is a dot\r\n");
  post.status = ipc::Delivery::full;
  post.reason = "it is full";
  const std::string replies = c.say("Received: by mx\r\n\tid Q1; now\r\n\r\n..x\r\n.\r\n", 2);
  EXPECT_TRUE(
      replies.starts_with("452 4.2.2 <foo@x> it is full\r\n250 2.0.0 <bar+y@x> it is full, "));
  ASSERT_EQ(post.stored.size(), 2U);
  EXPECT_EQ(post.stored[0].bytes, "Received: by mx\r\n\tid Q1; now\r\n\r\n.x\r\n");
  EXPECT_EQ(post.descriptors[0], post.descriptors[1]) << "one body";
  EXPECT_EQ(post.stored[1].worker, 1U);
  const ipc::Deliver& what = post.stored[1].what;
  EXPECT_EQ(what.user.value, "bar");
  EXPECT_EQ(what.recipient.value, "bar+y@x");
  EXPECT_EQ(what.sender.value, "a@b");
  EXPECT_EQ(what.delivery_id.value, "Q1");
  EXPECT_THAT(what.received.value,
              testing::MatchesRegex("Received: from client \\(local\\)\r\n\tby mx.test \\(RIMS\\) "
                                    "with LMTP id [0-9a-f.]+;\r\n\t.* \\+0000\r\n"));
}

TEST_F(LmtpServerTest, EveryOutcomeHasItsCodes) {  // RFC 3463
  const struct {
    ipc::Delivery status;
    const char* reply;
  } rows[] = {
      {ipc::Delivery::delivered, "250 2.0.0 <foo@x> delivered, "},
      {ipc::Delivery::no_user, "550 5.1.1 <foo@x> no such user\r\n"},
      {ipc::Delivery::rejected, "554 5.6.0 <foo@x> the message is refused\r\n"},
      {ipc::Delivery::not_permitted, "550 5.7.1 <foo@x> not permitted\r\n"},
      {ipc::Delivery::temporary, "451 4.3.0 <foo@x> try again later\r\n"},
      {ipc::Delivery::over_quota, "552 5.2.2 <foo@x> the mailbox is full\r\n"},
      {ipc::Delivery::full, "452 4.2.2 <foo@x> the mailbox is full\r\n"},
  };
  Conversation c(*this);
  c.begin("");
  c.say("RSET\r\n");
  for (const auto& row : rows) {
    post.status = row.status;
    c.say("MAIL FROM:<>\r\nRCPT TO:<foo@x>\r\nDATA\r\n", 3);
    EXPECT_TRUE(c.say("A: b\r\n.\r\n").starts_with(row.reply)) << row.reply;
  }
}

TEST_F(LmtpServerTest, TheIdIsTheMtasWhereItSaysOne) {
  Conversation c(*this);
  c.begin("");
  c.say(
      "RSET\r\nXFORWARD IDENT=Q7\r\nMAIL FROM:<a@b> ENVID=E1\r\nRCPT TO:<foo@x>\r\nBDAT 3 "
      "LAST\r\nabc",
      5);
  c.say("MAIL FROM:<a@b> ENVID=E1\r\nRCPT TO:<foo@x>\r\nBDAT 3 LAST\r\nabc", 3);
  c.say("MAIL FROM:<a@b>\r\nRCPT TO:<foo@x>\r\nBDAT 3 LAST\r\nabc", 3);
  ASSERT_EQ(post.stored.size(), 3U);
  EXPECT_EQ(post.stored[0].what.delivery_id.value, "Q7");
  EXPECT_EQ(post.stored[1].what.delivery_id.value, "E1");
  EXPECT_EQ(post.stored[2].what.delivery_id.value, "") << "nothing tells a repetition";
  EXPECT_THAT(post.stored[2].what.received.value, HasSubstr("\r\n\tfor <foo@x>;"));
}

TEST_F(LmtpServerTest, WhoCanNotBeLookedUpIsDeferred) {
  Conversation c(*this);
  EXPECT_THAT(c.begin("RCPT TO:<away@x>\r\n"), HasSubstr("451 4.3.0 <away@x> try again later\r\n"));
}

TEST_F(LmtpServerTest, MoreConnectionsThanAllowedAreToldToComeAgain) {
  Conversation a(*this), b(*this);
  a.begin();
  b.begin();
  {
    Conversation c(*this);
    EXPECT_EQ(c.say(""), "421 4.3.2 too many connections, come again\r\n");
    EXPECT_TRUE(c.over());
  }
  EXPECT_EQ(a.say("QUIT\r\n"), "221 2.0.0 goodbye\r\n");
  EXPECT_TRUE(a.over());
  Conversation d(*this);
  d.begin();
}

TEST_F(LmtpServerTest, SilenceEndsAConnectionAndSoDoesALongMessage) {
  start({.command = Milliseconds(40),
         .silence = Milliseconds(40),
         .message = Milliseconds(5000),
         .write = Milliseconds(5000)});
  const std::string reply = "421 4.4.2 you were silent, or too slow, for too long\r\n";
  Conversation a(*this);
  EXPECT_EQ(a.say("", 2), "220 mx.test RIMS LMTP\r\n" + reply);
  EXPECT_TRUE(a.over());
  Conversation b(*this);
  b.begin();
  b.say("DATA\r\n");
  EXPECT_EQ(b.say("A: b\r\n"), reply);
  EXPECT_TRUE(b.over());
  EXPECT_TRUE(post.stored.empty());
  // A command is not made longer by a byte now and then.
  Conversation c(*this);
  c.say("");
  struct Drip {
    static Task<void> bytes(Stream& stream) {
      for (int i = 0; i < 1000; i++) {
        stream.put("x");
        const Status sent = co_await stream.flush();
        if (!sent) co_return;
        co_await sleep_for(stream.loop(), Milliseconds(5));
      }
    }
  };
  Scope scope(loop);
  scope.spawn(Drip::bytes(c.stream));
  EXPECT_EQ(run(loop, Conversation::hear(c.stream, 1)), reply);
}

TEST_F(LmtpServerTest, AMessageIsNotMadeLongerByAByteNowAndThen) {
  start({.command = Milliseconds(5000),
         .silence = Milliseconds(5000),
         .message = Milliseconds(60),
         .write = Milliseconds(5000)});
  Conversation c(*this);
  c.begin();
  c.say("DATA\r\n");
  struct Drip {
    static Task<void> bytes(Stream& stream) {
      for (int i = 0; i < 1000; i++) {
        stream.put("x\r\n");
        const Status sent = co_await stream.flush();
        if (!sent) co_return;
        co_await sleep_for(stream.loop(), Milliseconds(5));
      }
    }
  };
  Scope scope(loop);
  scope.spawn(Drip::bytes(c.stream));
  EXPECT_THAT(run(loop, Conversation::hear(c.stream, 1)), HasSubstr("421 4.4.2 "));
}

TEST_F(LmtpServerTest, AClientThatLeavesInTheMiddleLeavesNothing) {
  {
    Conversation c(*this);
    c.begin();
    c.say("DATA\r\n");
    c.say("A: b\r\n", 0);
  }
  struct Gone {
    static Task<void> all(Loop& loop, LmtpServer& server) {
      while (server.connections() != 0) co_await sleep_for(loop, Milliseconds(1));
    }
  };
  run(loop, Gone::all(loop, *server));
  Conversation d(*this);
  d.begin();
  d.say("DATA\r\n");
  EXPECT_THAT(d.say("whole\r\n.\r\n"), HasSubstr("250 2.0.0 "));
  ASSERT_EQ(post.stored.size(), 1U);
  EXPECT_EQ(post.stored[0].bytes, "whole\r\n");
}

TEST_F(LmtpServerTest, StopAnswersWhatIsCompleteAndEndsTheRest) {
  Conversation idle(*this), busy(*this);
  idle.begin();
  busy.begin();
  busy.say("DATA\r\n");
  post.go.clear();
  busy.say("A: b\r\n.\r\n", 0);
  struct Turn {
    static Task<void> some(Loop& loop) {
      for (int i = 0; i < 20; i++) co_await sleep_for(loop, Milliseconds(1));
    }
  };
  run(loop, Turn::some(loop));
  server->stop();
  EXPECT_EQ(idle.say(""), "421 4.3.2 the server is shutting down\r\n");
  EXPECT_TRUE(idle.over());
  post.go.set();
  const std::string last = busy.say("", 2);
  EXPECT_TRUE(last.starts_with("250 2.0.0 <foo@x> delivered"));
  EXPECT_THAT(last, HasSubstr("421 4.3.2 the server is shutting down\r\n"));
  EXPECT_TRUE(busy.over());
  struct Ended {
    static Task<bool> all(LmtpServer& server) {
      co_return co_await server.ended(Milliseconds(5000));
    }
  };
  EXPECT_TRUE(run(loop, Ended::all(*server)));
}

TEST_F(LmtpServerTest, OnlyThisMachineAndWhoIsAllowedMayDeliver) {
  Fd tcp(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in any{};
  any.sin_family = AF_INET;
  any.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  ASSERT_EQ(bind(tcp.get(), reinterpret_cast<const sockaddr*>(&any), sizeof any), 0);
  ASSERT_EQ(::listen(tcp.get(), 8), 0);
  socklen_t size = sizeof any;
  ASSERT_EQ(getsockname(tcp.get(), reinterpret_cast<sockaddr*>(&any), &size), 0);
  server->listen(1, std::move(tcp));
  Fd client(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  ASSERT_EQ(connect(client.get(), reinterpret_cast<const sockaddr*>(&any), size), 0);
  Stream stream(loop, std::move(client), Milliseconds(5000));
  EXPECT_EQ(run(loop, Conversation::hear(stream, 1)), "220 mx.test RIMS LMTP\r\n");
  EXPECT_TRUE(server->may_deliver("127.0.0.1"));
  EXPECT_TRUE(server->may_deliver("::1"));
  EXPECT_TRUE(server->may_deliver(""));
  EXPECT_FALSE(server->may_deliver("192.0.2.7"));
  part.lmtp_allow.value = {config::LmtpPeer("192.0.2.0/24")};
  server->reloaded();
  EXPECT_TRUE(server->may_deliver("192.0.2.7"));
  EXPECT_FALSE(server->may_deliver("192.0.3.7"));
}

}  // namespace
}  // namespace rims::deliver
