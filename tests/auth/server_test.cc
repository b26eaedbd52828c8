// tests/auth/server_test.cc - rims-auth over real links, with the test at the other ends
//
//   foo / bar        plain
//   hashed / secret  Argon2id
//   #postman / post  the delivery user
// Two workers. The clock stands still unless a test moves it.

#include "auth/server.h"

#include <algorithm>
#include <map>
#include <random>

#include <gtest/gtest.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "common/base/encoding.h"
#include "common/base/log.h"
#include "common/password/password.h"

namespace rims::auth {
namespace {

using namespace std::chrono_literals;

struct Lines : log::Sink {
  std::vector<std::string> lines;
  std::vector<log::Level> levels;
  void write(log::Level level, std::string_view line) override {
    lines.emplace_back(line);
    levels.push_back(level);
  }
};

const std::string& secret_hash() {
  static const std::string hash = *password::make("secret");
  return hash;
}

config::AuthPart part() {
  crypto_init();
  config::AuthPart p;
  const auto add = [&](const char* name, const std::string& password, bool hashed) {
    config::User u;
    u.name = name;
    u.password.value = Secret(password);
    u.hashed = hashed;
    p.users.value.push_back(std::move(u));
  };
  add("foo", "bar", false);
  add("hashed", secret_hash(), true);
  add("#postman", "post", false);
  p.delivery_user = "#postman";
  p.recipient_delimiter = "+";
  p.delay_first_ms = 1000;
  p.delay_max_ms = 15'000;
  p.cache_lifetime_s = 300;
  return p;
}

class AuthServer : public ::testing::Test {
 protected:
  static constexpr uint32_t kWorkers = 2;

  AuthServer() {
    crypto_init();
    log::set_sink(&lines);
    server = std::make_unique<Server>(loop, part(), kWorkers, [this] { return now; });
    login = attach(ipc::Role::login, 0, ipc::kLoginAcceptsFromAuth);
    deliverd = attach(ipc::Role::deliverd, 0, ipc::kDeliverdAcceptsFromAuth);
    for (uint32_t i = 0; i < kWorkers; i++)
      workers.push_back(attach(ipc::Role::imapd, i, ipc::kImapdAcceptsFromAuth));
  }
  ~AuthServer() override {
    server.reset();
    log::set_sink(nullptr);
  }

  std::unique_ptr<ipc::Link> attach(ipc::Role role, uint32_t index,
                                    std::span<const ipc::Accepts> accepts) {
    auto pair = ipc::make_pair();
    EXPECT_TRUE(pair);
    server->attach(role, index, std::move((*pair)[0]));
    return std::make_unique<ipc::Link>(loop, std::move((*pair)[1]), "auth", accepts);
  }

  static ipc::LoginRequest request(const std::string& user, const std::string& password,
                                   const std::string& address = "192.0.2.1") {
    static uint64_t next = 1;
    ipc::LoginRequest r;
    r.request = next++;
    r.user = user;
    r.password.value = Secret(password);
    r.client_address = address;
    return r;
  }

  void send(ipc::Link& link, ipc::LoginRequest r) {
    ASSERT_TRUE(run(loop, link.send(std::move(r))));
  }
  ipc::LoginReply reply_on(ipc::Link& link) {
    const auto packet = run(loop, link.receive());
    EXPECT_TRUE(packet);
    if (!packet) return {};
    auto reply = ipc::decode<ipc::LoginReply>(packet->body);
    EXPECT_TRUE(reply);
    return reply ? std::move(*reply) : ipc::LoginReply();
  }
  ipc::LoginReply ask(ipc::LoginRequest r) {
    const uint64_t number = r.request;
    send(*login, std::move(r));
    auto reply = reply_on(*login);
    EXPECT_EQ(reply.request, number);
    return reply;
  }
  Task<void> pause() { co_await sleep_for(loop, 20ms); }
  // The ticket that a worker holds now, without waiting.
  std::optional<ipc::Ticket> ticket_at(uint32_t worker) {
    auto packet = workers[worker]->receive_now();
    if (!packet || !*packet) return std::nullopt;
    return ipc::decode<ipc::Ticket>((*packet)->body);
  }

  Lines lines;
  Loop loop;
  Time now{100h};
  std::unique_ptr<Server> server;
  std::unique_ptr<ipc::Link> login, deliverd;
  std::vector<std::unique_ptr<ipc::Link>> workers;
};

TEST_F(AuthServer, TheTicketIsWithTheHomeWorkerBeforeTheReply) {
  const auto reply = ask(request("foo", "bar"));
  ASSERT_EQ(reply.verdict, ipc::Verdict::granted);
  EXPECT_EQ(reply.worker, ipc::home_worker("foo", kWorkers));
  EXPECT_EQ(reply.delay_ms, 0u);
  const auto ticket = ticket_at(reply.worker);  // no waiting here
  ASSERT_TRUE(ticket);
  EXPECT_EQ(ticket->ticket.value.reveal(), reply.ticket.value.reveal());
  EXPECT_EQ(ticket->ticket.value.size(), ipc::kTicketSize);
  EXPECT_EQ(ticket->user.value, "foo");
  EXPECT_FALSE(ticket->post_only);
  const auto again = ask(request("foo", "bar"));
  EXPECT_NE(again.ticket.value.reveal(), reply.ticket.value.reveal());
}

TEST_F(AuthServer, ThePostmanMayOnlyPost) {
  const auto reply = ask(request("#postman", "post"));
  ASSERT_EQ(reply.verdict, ipc::Verdict::granted);
  EXPECT_TRUE(ticket_at(reply.worker)->post_only);
}

TEST_F(AuthServer, UnknownUserAndWrongPasswordGetTheSameAnswer) {
  auto wrong = ask(request("foo", "nope", "192.0.2.1"));
  auto unknown = ask(request("nobody", "nope", "192.0.2.2"));
  wrong.request = unknown.request = 0;
  EXPECT_EQ(ipc::encode(wrong), ipc::encode(unknown));
  EXPECT_EQ(wrong.verdict, ipc::Verdict::denied);
  EXPECT_EQ(wrong.delay_ms, 1000u);
  ASSERT_EQ(lines.lines.size(), 2u);
  EXPECT_EQ(lines.lines[0], "login failed: method=LOGIN address=192.0.2.1 tls=no user=\"foo\"");
  EXPECT_EQ(lines.lines[1], "login failed: method=LOGIN address=192.0.2.2 tls=no user=\"nobody\"");
}

TEST_F(AuthServer, OneUserHasOneCountOfFailuresInAnySpelling) {
  EXPECT_EQ(ask(request("Foo", "x", "192.0.2.1")).delay_ms, 1000u);
  EXPECT_EQ(ask(request("FOO", "x", "192.0.2.2")).delay_ms, 2000u);
  const auto reply = ask(request("fOO", "bar", "192.0.2.3"));
  ASSERT_EQ(reply.verdict, ipc::Verdict::granted);
  EXPECT_EQ(ticket_at(reply.worker)->user.value, "foo") << "the account is the user's";
  // A login forgives its address, not the name: otherwise real names could be told from others.
  EXPECT_EQ(ask(request("foo", "x", "192.0.2.4")).delay_ms, 4000u);
}

// rims-login sends what no user can have, too: it is counted and logged like the rest.
TEST_F(AuthServer, WhatCanNotBeRightIsDenied) {
  auto r = request("foo", "bar");
  r.impossible = true;
  const auto reply = ask(std::move(r));
  EXPECT_EQ(reply.verdict, ipc::Verdict::denied);
  EXPECT_EQ(reply.delay_ms, 1000u);
  ASSERT_EQ(lines.lines.size(), 1u);
  EXPECT_TRUE(lines.lines[0].starts_with("login failed: "));
}

TEST_F(AuthServer, ToActAsAnotherIsDenied) {
  auto r = request("foo", "bar");
  r.mechanism = ipc::Mechanism::plain;
  r.authzid = "hashed";
  EXPECT_EQ(ask(std::move(r)).verdict, ipc::Verdict::denied);
  r = request("foo", "bar");
  r.mechanism = ipc::Mechanism::plain;
  r.authzid = "FOO";
  EXPECT_EQ(ask(std::move(r)).verdict, ipc::Verdict::granted);
}

TEST_F(AuthServer, AHashedPasswordIsVerifiedAndThenRemembered) {
  EXPECT_EQ(ask(request("hashed", "wrong")).verdict, ipc::Verdict::denied);
  EXPECT_EQ(ask(request("hashed", "secret")).verdict, ipc::Verdict::granted);
  const auto begin = std::chrono::steady_clock::now();
  for (int i = 0; i < 100; i++)
    ASSERT_EQ(ask(request("hashed", "secret")).verdict, ipc::Verdict::granted);
  // 100 hashes would take seconds.
  EXPECT_LT(std::chrono::steady_clock::now() - begin, 2s);
  EXPECT_EQ(ask(request("hashed", "wrong")).verdict, ipc::Verdict::denied);
}

TEST_F(AuthServer, CramMd5) {  // RFC 2195
  const auto attempt = [&](const std::string& user, const std::string& digest) {
    auto r = request(user, "");
    r.mechanism = ipc::Mechanism::cram_md5;
    r.challenge = "<1@rims>";
    r.digest = digest;
    return ask(std::move(r)).verdict;
  };
  const auto hmac = [](std::string_view key) {
    unsigned char out[16];
    unsigned length = 0;
    HMAC(EVP_md5(), key.data(), static_cast<int>(key.size()),
         reinterpret_cast<const unsigned char*>("<1@rims>"), 8, out, &length);
    return to_hex({reinterpret_cast<char*>(out), length});
  };
  EXPECT_EQ(attempt("foo", hmac("bar")), ipc::Verdict::granted);
  EXPECT_EQ(attempt("foo", hmac("baz")), ipc::Verdict::denied);
  EXPECT_EQ(attempt("hashed", hmac("secret")), ipc::Verdict::denied) << "only a hash is stored";
  EXPECT_EQ(attempt("hashed", hmac(secret_hash())), ipc::Verdict::denied)
      << "a hash is no password";
}

TEST_F(AuthServer, DelaysGrowPerUserAndPerAddressAndAnAddressIsStopped) {
  EXPECT_EQ(ask(request("foo", "x", "192.0.2.1")).delay_ms, 1000u);
  EXPECT_EQ(ask(request("foo", "x", "192.0.2.2")).delay_ms, 2000u) << "of the user";
  EXPECT_EQ(ask(request("u1", "x", "192.0.2.1")).delay_ms, 2000u) << "of the address";
  for (int i = 0; i < 8; i++) (void)ask(request("u" + std::to_string(i + 2), "x", "192.0.2.1"));
  const auto stopped = ask(request("foo", "bar", "192.0.2.1"));
  EXPECT_EQ(stopped.verdict, ipc::Verdict::try_later) << "even with the right password";
  EXPECT_EQ(ask(request("foo", "bar", "192.0.2.3")).verdict, ipc::Verdict::granted)
      << "nobody can lock another out";
  now += 16s;
  EXPECT_EQ(ask(request("foo", "bar", "192.0.2.1")).verdict, ipc::Verdict::granted);
}

TEST_F(AuthServer, LoopbackIsDelayedButNeverStopped) {
  for (int i = 0; i < 30; i++) (void)ask(request("u" + std::to_string(i), "x", "127.0.0.1"));
  EXPECT_EQ(ask(request("foo", "bar", "127.0.0.1")).verdict, ipc::Verdict::granted);
}

TEST_F(AuthServer, ADeviceWithAnOldPasswordDoesNotStopItsNeighbours) {
  ipc::LoginReply reply;
  for (int i = 0; i < 30; i++) reply = ask(request("foo", "old", "192.0.2.1"));
  EXPECT_EQ(reply.verdict, ipc::Verdict::try_later) << "itself, it is stopped";
  EXPECT_EQ(ask(request("hashed", "secret", "192.0.2.1")).verdict, ipc::Verdict::granted);
  EXPECT_EQ(ask(request("foo", "bar", "192.0.2.2")).verdict, ipc::Verdict::granted);
}

// A user who logs in again and again must not make the delay of that name shorter for others.
TEST_F(AuthServer, TheDelayOfANameDoesNotTellWhetherThereIsSuchAUser) {
  const auto probe = [&](const char* name, const char* address) {
    return ask(request(name, "guess", address)).delay_ms;
  };
  for (int i = 0; i < 3; i++) {
    const std::string address = "192.0.2." + std::to_string(i);
    const std::string other = "198.51.100." + std::to_string(i);
    EXPECT_EQ(probe("foo", address.c_str()), probe("nobody", other.c_str())) << i;
    EXPECT_EQ(ask(request("foo", "bar", "203.0.113.1")).verdict, ipc::Verdict::granted);
  }
}

// A hash that takes long enough for the test to say everything meanwhile.
config::AuthPart slow_part() {
  config::AuthPart p = part();
  char hash[crypto_pwhash_STRBYTES];
  EXPECT_EQ(crypto_pwhash_str(hash, "secret", 6, 12, 64 << 20), 0);
  for (config::User& u : p.users.value) {  // all: one of them stands in for who does not exist
    u.password.value = Secret(hash);
    u.hashed = true;
  }
  return p;
}

// Sends as many attempts as a queue without shares would never get through in time.
TEST_F(AuthServer, AFloodOfOneNetworkDoesNotHoldUpAnother) {
  server->reload(slow_part());
  for (size_t i = 0; i < Server::kWaitingHashes + 50; i++)
    send(*login,
         request("user" + std::to_string(i), "guess", "192.0.2." + std::to_string(i % 250)));
  auto friendly = request("hashed", "secret", "198.51.100.7");
  const uint64_t number = friendly.request;
  send(*login, std::move(friendly));
  int hashed_before = 0;
  for (;;) {
    const auto reply = reply_on(*login);
    if (reply.request == number) {
      EXPECT_EQ(reply.verdict, ipc::Verdict::granted);
      break;
    }
    if (reply.verdict == ipc::Verdict::denied) hashed_before++;
  }
  // Those that ran when it came, and one turn of the others.
  EXPECT_LE(hashed_before, static_cast<int>(2 * Server::kHashThreads) + 1);
}

TEST_F(AuthServer, NothingIsComputedForClientsThatHaveLeft) {
  server->reload(slow_part());
  std::vector<uint64_t> numbers;
  for (int i = 0; i < 60; i++) {  // of as many networks, so that shares do not help
    auto guess = request("user" + std::to_string(i), "guess", "10.0." + std::to_string(i) + ".1");
    numbers.push_back(guess.request);
    send(*login, std::move(guess));
  }
  for (const uint64_t number : numbers)
    ASSERT_TRUE(run(loop, login->send(ipc::LoginCancel{.request = number})));
  ASSERT_TRUE(run(loop, login->send(ipc::LoginCancel{.request = 999'999})))
      << "of nobody: no breach";
  const auto granted = [&] {
    auto friendly = request("hashed", "secret", "198.51.100.7");
    const uint64_t number = friendly.request;
    send(*login, std::move(friendly));
    int before = 0;
    for (;;) {
      const auto reply = reply_on(*login);
      if (reply.request == number) {
        EXPECT_EQ(reply.verdict, ipc::Verdict::granted);
        return before;
      }
      before++;
    }
  };
  EXPECT_LE(granted(), static_cast<int>(Server::kHashThreads)) << "only those that ran already";
  const auto given_up = std::ranges::count_if(lines.lines, [](const std::string& line) {
    return line.starts_with("login given up by the client while it waited");
  });
  EXPECT_GE(given_up, 60 - static_cast<int>(Server::kHashThreads));
}

TEST_F(AuthServer, WithoutTheWorkerLoginIsPutOff) {
  const uint32_t home = ipc::home_worker("foo", kWorkers);
  workers[home].reset();
  EXPECT_EQ(ask(request("foo", "bar")).verdict, ipc::Verdict::try_later);
  // One that comes back soon is waited for.
  send(*login, request("foo", "bar"));
  run(loop, pause());
  workers[home] = attach(ipc::Role::imapd, home, ipc::kImapdAcceptsFromAuth);
  EXPECT_EQ(reply_on(*login).verdict, ipc::Verdict::granted);
  EXPECT_TRUE(ticket_at(home));
}

TEST_F(AuthServer, ReloadBringsNewUsersAndForgetsOldOnes) {
  config::AuthPart fresh = part();
  fresh.users.value.erase(fresh.users.value.begin());
  fresh.users.value[0].name = "renamed";
  server->reload(std::move(fresh));
  EXPECT_EQ(ask(request("foo", "bar")).verdict, ipc::Verdict::denied);
  EXPECT_EQ(ask(request("renamed", "secret")).verdict, ipc::Verdict::granted);
}

TEST_F(AuthServer, AReloadNamesTheUsersWhoseSessionsAreOver) {
  const auto told = [&] {
    std::map<std::string, ipc::Revoked> all;
    for (const auto& worker : workers)
      while (true) {
        const auto packet = worker->receive_now();
        if (!packet || !*packet) break;
        EXPECT_EQ((*packet)->type, static_cast<uint16_t>(ipc::AuthMsg::revoke));
        const auto revoke = ipc::decode<ipc::Revoke>((*packet)->body);
        if (!revoke) break;
        all.emplace(revoke->user.value, revoke->why);
        EXPECT_EQ(&worker - workers.data(), ipc::home_worker(revoke->user.value, kWorkers));
      }
    return all;
  };
  using Names = std::map<std::string, ipc::Revoked>;
  server->reload(part());
  run(loop, pause());
  EXPECT_EQ(told(), Names()) << "nothing was changed";

  config::AuthPart other = part();
  other.users.value[0].password.value = Secret("new");
  other.users.value.erase(other.users.value.begin() + 1);
  server->reload(std::move(other));
  run(loop, pause());
  EXPECT_EQ(told(), (Names{{"foo", ipc::Revoked::password}, {"hashed", ipc::Revoked::removed}}));

  other = part();
  other.users.value[0].name = "FOO";
  other.users.value[0].password.value = Secret("new");
  other.delivery_user = "hashed";
  server->reload(std::move(other));
  run(loop, pause());
  EXPECT_EQ(told(), (Names{{"foo", ipc::Revoked::renamed}, {"#postman", ipc::Revoked::role}}));

  other = part();
  other.end_sessions_on_change = false;
  server->reload(std::move(other));
  run(loop, pause());
  EXPECT_EQ(told(), Names()) << "not asked for";
}

TEST_F(AuthServer, APasswordThatAReloadChangedLetsNobodyInWhoWasStillWaiting) {
  config::AuthPart slow = slow_part();
  slow.users.value[0] = std::move(part().users.value[0]);
  server->reload(std::move(slow));
  send(*login, request("hashed", "secret"));
  // Answered at once, so the one before it is being checked.
  EXPECT_EQ(ask(request("foo", "bar")).verdict, ipc::Verdict::granted);
  config::AuthPart other = part();
  other.users.value[1].password.value = Secret("another");
  other.users.value[1].hashed = false;
  server->reload(std::move(other));
  EXPECT_EQ(reply_on(*login).verdict, ipc::Verdict::try_later);
  EXPECT_EQ(ask(request("hashed", "another")).verdict, ipc::Verdict::granted);
}

TEST_F(AuthServer, DeliverdLearnsWhoIsThere) {
  const auto ask_user = [&](const std::string& recipient) {
    ipc::UserQuery query;
    query.request = 7;
    query.recipient = recipient;
    EXPECT_TRUE(run(loop, deliverd->send(std::move(query))));
    const auto packet = run(loop, deliverd->receive());
    return ipc::decode<ipc::UserReply>(packet->body).value_or(ipc::UserReply());
  };
  const auto found = ask_user("foo+x@example.org");
  EXPECT_TRUE(found.exists);
  EXPECT_EQ(found.request, 7u);
  EXPECT_EQ(found.user.value, "foo");
  EXPECT_EQ(found.worker, ipc::home_worker("foo", kWorkers));
  EXPECT_FALSE(ask_user("nobody").exists);
  EXPECT_FALSE(ask_user("#postman").exists);
}

TEST_F(AuthServer, ABreachEndsOneLinkOnly) {
  auto other = attach(ipc::Role::login, 1, ipc::kLoginAcceptsFromAuth);
  ASSERT_TRUE(run(loop, other->send_packet(99, "x", {})));
  EXPECT_FALSE(run(loop, other->receive()));
  EXPECT_EQ(ask(request("foo", "bar")).verdict, ipc::Verdict::granted);
  // rims-deliverd may not ask for a login, rims-imapd for nothing at all.
  ASSERT_TRUE(run(loop, deliverd->send(request("foo", "bar"))));
  EXPECT_FALSE(run(loop, deliverd->receive()));
  ASSERT_TRUE(run(loop, workers[0]->send(request("foo", "bar"))));
  EXPECT_FALSE(run(loop, workers[0]->receive()));
}

// Whatever bytes a login process sends, no worker ever gets a ticket without the password.
TEST_F(AuthServer, NoTicketWithoutAPasswordOverAnyFrames) {
  std::mt19937 random(20'261'121);
  const auto any = [&](size_t n) { return static_cast<size_t>(random() % n); };
  for (int round = 0; round < 3000; round++) {
    auto r = request(any(2) ? "foo" : "hashed", any(3) ? "bar" + std::to_string(any(5)) : "");
    r.mechanism = static_cast<ipc::Mechanism>(any(3));
    if (r.mechanism == ipc::Mechanism::cram_md5)
      r.digest = std::string(any(ipc::kDigestSize + 1), 'a');
    if (r.user.value == "hashed") r.mechanism = ipc::Mechanism::cram_md5;  // not a hash a round
    std::string bytes = ipc::encode(r);
    // Flips, cuts and doubles. The right password is three bytes: never let one be made.
    for (size_t n = any(4); n > 0 && !bytes.empty(); n--) {
      switch (any(4)) {
        case 0:
          bytes[any(bytes.size())] = static_cast<char>(random());
          break;
        case 1:
          bytes.resize(any(bytes.size()));
          break;
        case 2:
          bytes.insert(any(bytes.size()), bytes.substr(0, any(bytes.size())));
          break;
        default:
          break;
      }
    }
    const auto decoded = ipc::decode<ipc::LoginRequest>(bytes);
    if (decoded &&
        (decoded->password.value.reveal() == "bar" ||
         (decoded->user.value == "hashed" && decoded->mechanism != ipc::Mechanism::cram_md5)))
      continue;
    const auto type = static_cast<uint16_t>(any(20) == 0 ? any(6) : 1);
    if (!login->open() || !run(loop, login->send_packet(type, bytes, {})).has_value()) {
      login = attach(ipc::Role::login, 0, ipc::kLoginAcceptsFromAuth);
      continue;
    }
    const auto packet = run(loop, login->receive());
    if (!packet) {
      login = attach(ipc::Role::login, 0, ipc::kLoginAcceptsFromAuth);
      continue;
    }
    const auto reply = ipc::decode<ipc::LoginReply>(packet->body);
    ASSERT_TRUE(reply);
    ASSERT_NE(reply->verdict, ipc::Verdict::granted);
  }
  EXPECT_FALSE(ticket_at(0));
  EXPECT_FALSE(ticket_at(1));
  EXPECT_EQ(ask(request("foo", "bar", "192.0.2.77")).verdict, ipc::Verdict::granted);
}

TEST_F(AuthServer, NoLineShowsAPasswordAndEachIsOneLine) {
  (void)ask(request("foo\"\r\nlogin: address=192.0.2.7 user=root", "hunter2"));
  (void)ask(request("foo", "hunter2"));
  (void)ask(request("hashed", "hunter2"));
  ASSERT_EQ(lines.lines.size(), 3u);
  for (const std::string& line : lines.lines) {
    EXPECT_EQ(line.find("hunter2"), std::string::npos) << line;
    EXPECT_EQ(line.find('\n'), std::string::npos) << line;
  }
  EXPECT_EQ(lines.lines[0],
            "login failed: method=LOGIN address=192.0.2.1 tls=no user=\"foo\\\"\\x0d\\x0alogin: "
            "address=192.0.2.7 user=root\"");
  EXPECT_EQ(lines.levels, std::vector(3, log::Level::warn));
}

}  // namespace
}  // namespace rims::auth
