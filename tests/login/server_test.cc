// tests/login/server_test.cc - connections, links that come and go, stopping

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/resource.h>

#include "tests/login/harness.h"

namespace rims::login {
namespace {

class Servers : public LoginTest {
 protected:
  // Listens on a free port of loopback and returns its address.
  sockaddr_in listen() {
    Fd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    EXPECT_EQ(::bind(fd.get(), reinterpret_cast<sockaddr*>(&address), size), 0);
    EXPECT_EQ(::listen(fd.get(), 64), 0);
    EXPECT_EQ(getsockname(fd.get(), reinterpret_cast<sockaddr*>(&address), &size), 0);
    server->listen(false, 0, std::move(fd));
    return address;
  }
  Client& dial(sockaddr_in address) {
    Fd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    EXPECT_EQ(::connect(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    return clients.emplace_back(loop, std::move(fd));
  }
};

TEST_F(Servers, TakesConnectionsAndKnowsTheirAddress) {
  part.plaintext = config::Plaintext::loopback;
  start();
  Client& c = dial(listen());
  greeting(c);
  say(c, "a LOGIN foo bar\r\n");
  EXPECT_EQ(handed().message.client_address.value, "127.0.0.1");
}

// RFC 8437 §2: a worker gives a client back.
class Returning : public Servers {
 protected:
  void give_back(Handed handed, const std::string& tag, const std::string& unread) {
    ipc::Returned message;
    message.tag = tag;
    message.unread = unread;
    message.session = handed.message.session.value;
    std::vector<Fd> fds;
    fds.push_back(std::move(handed.fd));
    EXPECT_TRUE(run(loop, worker->send(std::move(message), std::move(fds))));
  }
};

TEST_F(Returning, ItIsAClientBeforeItsLoginAgain) {
  start();
  Client& c = dial(listen());
  greeting(c);
  say(c, "a LOGIN foo bar\r\n");
  Handed first = handed();
  settle();
  EXPECT_EQ(server->connections(), 0U);
  const std::string before = first.message.session.value;
  give_back(std::move(first), "u", "b NOOP\r\nc LOGIN foo bar\r\nd X");
  EXPECT_TRUE(
      hear(c, "b OK NOOP completed\r\n")
          .starts_with("u OK [CAPABILITY IMAP4rev1 IMAP4rev2 LITERAL- ID SASL-IR AUTH=PLAIN "));
  const Handed second = handed();
  EXPECT_EQ(second.message.tag.value, "c");
  EXPECT_EQ(second.message.unread.value, "d X");
  EXPECT_EQ(second.message.client_address.value, "127.0.0.1");
  EXPECT_NE(second.message.session.value, before);
  settle();
  EXPECT_EQ(server->connections(), 0U);
  EXPECT_EQ(server->before_login(), 0U);
}

TEST_F(Returning, ItsLimitsAreThoseOfANewOne) {
  part.logins_per_address_max = 1;
  start();
  const sockaddr_in address = listen();
  Client& c = dial(address);
  greeting(c);
  say(c, "a LOGIN foo bar\r\n");
  Handed away = handed();
  settle();
  greeting(dial(address));
  give_back(std::move(away), "u", "");
  EXPECT_EQ(hear_all(c), "* BYE [UNAVAILABLE] too many connections from you\r\n");
  EXPECT_EQ(server->before_login(), 1U);
}

TEST_F(Returning, WhatIsNoClientIsNotTaken) {
  start();
  Client& c = connect();  // a socket pair, as no network makes it
  greeting(c);
  say(c, "a LOGIN foo bar\r\n");
  give_back(handed(), "u", "b NOOP\r\n");
  EXPECT_EQ(hear_all(c), "");
  EXPECT_EQ(server->connections(), 0U);
  EXPECT_TRUE(worker->open());
  // A tag that could break a line ends the link.
  Client& d = dial(listen());
  greeting(d);
  say(d, "a LOGIN foo bar\r\n");
  give_back(handed(), "u OK\r\n*", "");
  EXPECT_EQ(hear_all(d), "");
  EXPECT_FALSE(run(loop, worker->receive()));
}

TEST_F(Servers, AddressesAreNumericAndCountedTogether) {
  const auto of = [](int family, const char* text) {
    sockaddr_storage storage{};
    storage.ss_family = static_cast<sa_family_t>(family);
    if (family == AF_INET)
      inet_pton(family, text, &reinterpret_cast<sockaddr_in*>(&storage)->sin_addr);
    else
      inet_pton(family, text, &reinterpret_cast<sockaddr_in6*>(&storage)->sin6_addr);
    return address_of(storage);
  };
  EXPECT_EQ(of(AF_INET, "192.0.2.1").text, "192.0.2.1");
  EXPECT_FALSE(of(AF_INET, "192.0.2.1").loopback);
  EXPECT_TRUE(of(AF_INET, "127.1.2.3").loopback);
  EXPECT_EQ(of(AF_INET6, "::ffff:192.0.2.1").text, "192.0.2.1");
  EXPECT_TRUE(of(AF_INET6, "::ffff:127.0.0.1").loopback);
  EXPECT_TRUE(of(AF_INET6, "::1").loopback);
  EXPECT_EQ(of(AF_INET6, "2001:db8::1").text, "2001:db8::1");
  EXPECT_EQ(of(AF_INET6, "2001:db8::1").group, of(AF_INET6, "2001:db8::ffff:1").group);
  EXPECT_NE(of(AF_INET6, "2001:db8::1").group, of(AF_INET6, "2001:db8:0:1::1").group);
}

TEST_F(Servers, OneAddressMayNotHoldAllConnections) {
  part.logins_per_address_max = 3;
  start();
  for (int i = 0; i < 3; i++) greeting(connect());
  EXPECT_EQ(hear_all(connect()), "* BYE [UNAVAILABLE] too many connections from you\r\n");
  greeting(connect(from("192.0.2.2")));
  // One leaves, one may come.
  say(clients[0], "a LOGOUT\r\n");
  hear_all(clients[0]);
  greeting(connect());
  // Who has logged in is not counted.
  say(clients[1], "a LOGIN foo bar\r\n");
  (void)handed();
  settle();
  greeting(connect());
}

TEST_F(Servers, AFullHouseIsOpenedByTheOldestWhoHasNotLoggedIn) {
  part.connections_max = 3;
  start();
  const sockaddr_in address = listen();
  for (int i = 0; i < 3; i++) greeting(dial(address));
  Client& late = dial(address);
  greeting(late);
  EXPECT_EQ(hear_all(clients[0]), "* BYE [UNAVAILABLE] too many connections\r\n");
  EXPECT_EQ(ask(clients[1], "a NOOP"), "a OK NOOP completed\r\n");
  EXPECT_EQ(server->connections(), 3u);
}

// A client that is gone without a word, or a router that forgets, is noticed within minutes; the
// socket keeps these options when it is the worker's.
TEST_F(Servers, TheKernelAsksSilentClientsWhetherTheyAreThere) {
  start();
  Client& client = dial(listen());
  greeting(client);
  say(client, "a LOGIN foo bar\r\n");
  const Handed got = handed();
  const auto option = [&](int level, int name) {
    int value = 0;
    socklen_t size = sizeof value;
    EXPECT_EQ(getsockopt(got.fd.get(), level, name, &value, &size), 0);
    return value;
  };
  EXPECT_EQ(option(SOL_SOCKET, SO_KEEPALIVE), 1);
  EXPECT_LE(option(IPPROTO_TCP, TCP_KEEPIDLE), 300);
  EXPECT_LE(option(IPPROTO_TCP, TCP_KEEPINTVL) * option(IPPROTO_TCP, TCP_KEEPCNT), 300);
}

TEST_F(Servers, WithoutDescriptorsItWaitsAndGoesOn) {
  start();
  const sockaddr_in address = listen();
  greeting(dial(address));
  rlimit old{};
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &old), 0);
  Client& waiting = dial(address);
  // The next free number is the limit: accept() fails, all that is open goes on.
  const int next = ::dup(0);
  ::close(next);
  const rlimit none{static_cast<rlim_t>(next), old.rlim_max};
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &none), 0);
  const auto cpu = std::clock();
  EXPECT_EQ(run(loop, waiting.stream.fill(500ms)).error().fault(), Fault::timeout);
  EXPECT_LT(std::clock() - cpu, CLOCKS_PER_SEC / 5) << "it spins";
  EXPECT_EQ(ask(clients[0], "a NOOP"), "a OK NOOP completed\r\n");
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &old), 0);
  greeting(waiting);
  ASSERT_FALSE(lines.lines.empty());
  EXPECT_EQ(lines.lines[0], "accept: Too many open files; waiting");
}

TEST_F(Servers, ARequestInFlightWhenAuthDiesIsTemporaryAndMayBeRepeated) {
  auth_hangs = true;
  start();
  Client& c = connect();
  greeting(c);
  say(c, "a LOGIN foo bar\r\n");
  while (requests.empty()) settle();
  auth->close();
  EXPECT_EQ(hear(c, "\r\n"), "a NO [UNAVAILABLE] try again later\r\n");
  auth_hangs = false;
  // Nothing is in flight now: the next attempt waits for the new rims-auth.
  say(c, "b LOGIN foo bar\r\n");
  settle();
  start_auth();
  EXPECT_EQ(handed().message.tag.value, "b");
}

TEST_F(Servers, AnAuthThatStaysAwayIsTemporary) {
  start();
  Client& c = connect();
  greeting(c);
  auth->close();
  settle();
  const auto begin = Loop::now();
  EXPECT_EQ(ask(c, "a LOGIN foo bar"), "a NO [UNAVAILABLE] try again later\r\n");
  EXPECT_GE(Loop::now() - begin, AuthClient::kAttachLimit);
}

TEST_F(Servers, AReplacedAuthAnswersOnlyItsOwnRequests) {
  auth_hangs = true;
  start();
  Client& c = connect();
  greeting(c);
  say(c, "a LOGIN foo bar\r\n");
  while (requests.empty()) settle();
  auto old = std::move(auth);
  start_auth();
  EXPECT_EQ(hear(c, "\r\n"), "a NO [UNAVAILABLE] try again later\r\n");
}

TEST_F(Servers, WithoutItsWorkerALoginIsTemporary) {
  start();
  Client& c = connect();
  greeting(c);
  worker->close();
  settle();
  EXPECT_EQ(ask(c, "a LOGIN foo bar"), "a NO [UNAVAILABLE] try again later\r\n");
  // One that comes back soon is waited for.
  say(c, "b LOGIN foo bar\r\n");
  settle();
  start_worker();
  EXPECT_EQ(handed().message.tag.value, "b");
}

TEST_F(Servers, OneBadClientAmongManyGoodOnesChangesNothing) {
  start();
  for (int round = 0; round < 30; round++) {
    Client& bad = connect();
    const std::string mess[] = {"a AUTHENTICATE PLAIN\r\n!!!\r\n",
                                std::string(3000, '('),
                                std::string(100, '\0'),
                                "a LOGIN {4294967296}\r\n",
                                "a LOGIN {9999999999999999999999+}\r\n",
                                "\xff\xfe\r\n"};
    bad.stream.put(mess[round % 6]);
    (void)run(loop, bad.stream.flush());
    Client& good = connect();
    greeting(good);
    say(good, "a LOGIN foo bar\r\n");
    EXPECT_EQ(handed().message.tag.value, "a");
  }
}

TEST_F(Servers, TheAdministratorIsToldOfConnectionsBeforeLoginAndMayEndThem) {
  start();
  Client& one = connect();
  Client& two = connect(from("192.0.2.2"));
  greeting(one);
  greeting(two);
  ask(two, R"(a ID ("name" "Mail" "version" "1.2"))");
  auto pair = std::move(*ipc::make_pair());
  server->attach_admin(std::move(pair[0]));
  ipc::Link ctl(loop, std::move(pair[1]), "login", ipc::kCtlAcceptsFromServing);
  ASSERT_TRUE(run(loop, ctl.send(ipc::Who{})));
  std::vector<ipc::SessionEntry> all;
  while (true) {
    const auto packet = run(loop, ctl.receive());
    ASSERT_TRUE(packet);
    if (packet->type == static_cast<uint16_t>(ipc::AdminMsg::who_done)) break;
    all.push_back(ipc::decode<ipc::SessionEntry>(packet->body).value());
  }
  ASSERT_EQ(all.size(), 2u);
  EXPECT_EQ(all[0].address.value, "192.0.2.1");
  EXPECT_EQ(all[1].user.value, "");
  EXPECT_EQ(all[1].client.value, "Mail 1.2");
  const auto kick = [&](const std::string& user, const std::string& session) {
    EXPECT_TRUE(run(loop, ctl.send(ipc::Kick{.user = user, .session = session})));
    EXPECT_EQ(run(loop, ctl.receive())->type, static_cast<uint16_t>(ipc::AdminMsg::kicking));
    return ipc::decode<ipc::Kicked>(run(loop, ctl.receive())->body).value().count;
  };
  EXPECT_EQ(kick("foo", ""), 0u) << "users are the workers'";
  EXPECT_EQ(kick("", all[0].session.value), 1u);
  EXPECT_EQ(hear_all(one), "* BYE the administrator has ended this connection\r\n");
  EXPECT_EQ(ask(two, "b NOOP"), "b OK NOOP completed\r\n");
  // What it called itself goes with it to its worker.
  say(two, "c LOGIN foo bar\r\n");
  EXPECT_EQ(handed().message.client.value, "Mail 1.2");
}

TEST_F(Servers, StopSaysByeToThoseBeforeLogin) {
  start();
  Client& c = connect();
  greeting(c);
  Client& d = connect();
  greeting(d);
  say(d, "a AUTHENTICATE PLAIN\r\n");
  hear(d, "\r\n");
  bool finished = false;
  server->stop([&] { finished = true; });
  EXPECT_EQ(hear_all(c), "* BYE the server is shutting down\r\n");
  EXPECT_EQ(hear_all(d), "* BYE the server is shutting down\r\n");
  settle();
  EXPECT_TRUE(finished);
}

TEST_F(Servers, StopWithNobodyThereEndsAtOnce) {
  start();
  listen();
  bool finished = false;
  server->stop([&] { finished = true; });
  settle();
  EXPECT_TRUE(finished);
}

TEST_F(Servers, AReloadIsForNewConnections) {
  start();
  Client& old = connect();
  greeting(old);
  config::LoginPart fresh = *ipc::decode<config::LoginPart>(ipc::encode(part));
  fresh.cram_md5 = false;
  server->reload(*Settings::make(std::move(fresh)));
  EXPECT_FALSE(greeting(connect()).contains("AUTH=CRAM-MD5"));
  EXPECT_TRUE(ask(old, "a CAPABILITY").contains("AUTH=CRAM-MD5"));
}

}  // namespace
}  // namespace rims::login
