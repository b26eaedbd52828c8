// tests/login/starttls_test.cc - STARTTLS, implicit TLS, injections, and carrying after login
//
// RFC 3501 §6.2.1.

#include <atomic>
#include <fcntl.h>
#include <thread>

#include "tests/login/harness.h"
#include "tests/tls/client.h"

namespace rims::login {
namespace {

using test::TlsClient;

class Encrypted : public LoginTest {
 protected:
  Encrypted() { part.plaintext = config::Plaintext::never; }

  // What a blocking client has heard, as one line.
  static std::string line_of(int fd) {
    std::string text;
    char c = 0;
    while (!text.ends_with("\r\n") && ::recv(fd, &c, 1, 0) == 1) text += c;
    return text;
  }
  // Sends in the clear, hears the greeting and the answer to STARTTLS.
  void upgrade(Fd& raw) {
    Client plain(loop, Fd(::dup(raw.get())));
    greeting(plain);
    say(plain, "a STARTTLS\r\n");
    EXPECT_EQ(hear(plain, "\r\n"), "a OK begin TLS now\r\n");
    const int flags = fcntl(raw.get(), F_GETFL);
    fcntl(raw.get(), F_SETFL, flags & ~O_NONBLOCK);  // the client of the thread blocks
  }
};

TEST_F(Encrypted, StarttlsThenLogin) {
  start(true);
  Fd raw = connect_raw();
  upgrade(raw);
  std::string capability, failed;
  TlsClient client(std::move(raw), {}, [&](TlsClient& c) {
    c.write("b CAPABILITY\r\n");
    capability = c.read_line();
    c.read_line();
    c.write("c LOGIN foo wrong\r\n");
    failed = c.read_line();
    c.write("d STARTTLS\r\n");
    EXPECT_EQ(c.read_line(), "d BAD TLS is active already\r\n");
    c.write("e LOGIN foo bar\r\nf SELECT INBOX\r\n");
    EXPECT_EQ(c.read_line(), "e OK hello\r\n");
    c.write("g LOGOUT\r\n");
    EXPECT_EQ(c.read_line(), "* BYE\r\n");
    EXPECT_TRUE(c.closed_cleanly());
  });
  Handed got = handed();
  EXPECT_TRUE(got.message.over_tls);
  EXPECT_EQ(got.message.tag.value, "e");
  EXPECT_TRUE(requests.back().over_tls);
  Stream inside(loop, std::move(got.fd), 5s);
  inside.put("e OK hello\r\n");
  ASSERT_TRUE(run(loop, inside.flush()));
  std::string text = got.message.unread.value;
  while (!text.ends_with("LOGOUT\r\n")) {
    ASSERT_TRUE(run(loop, inside.fill(5s)));
    text += inside.input();
    inside.consume(inside.input().size());
  }
  EXPECT_EQ(text, "f SELECT INBOX\r\ng LOGOUT\r\n");
  inside.put("* BYE\r\n");
  ASSERT_TRUE(run(loop, inside.flush()));
  (void)inside.release();
  wait_until([&] { return server->connections() == 0; });
  client.join();
  EXPECT_EQ(capability,
            "* CAPABILITY IMAP4rev1 IMAP4rev2 LITERAL- ID SASL-IR AUTH=PLAIN AUTH=CRAM-MD5\r\n");
  EXPECT_EQ(failed, "c NO [AUTHENTICATIONFAILED] authentication failed\r\n");
}

TEST_F(Encrypted, ImplicitTls) {
  start(true);
  std::string hello;
  TlsClient client(connect_raw(from("192.0.2.1"), true), {}, [&](TlsClient& c) {
    hello = c.read_line();
    c.write("a LOGOUT\r\n");
    EXPECT_EQ(c.read_line(), "* BYE see you\r\n");
    EXPECT_EQ(c.read_line(), "a OK LOGOUT completed\r\n");
    EXPECT_TRUE(c.closed_cleanly());
  });
  wait_until([&] { return server->connections() == 0; });
  client.join();
  EXPECT_EQ(hello,
            "* OK [CAPABILITY IMAP4rev1 IMAP4rev2 LITERAL- ID SASL-IR AUTH=PLAIN AUTH=CRAM-MD5] " +
                kReady);
}

// What a man in the middle may try around STARTTLS; each in pieces that arrive one after the other.
// None is executed, before or after TLS, and the connection ends.
TEST_F(Encrypted, NothingInjectedAroundStarttlsIsEverExecuted) {
  part.plaintext = config::Plaintext::always;  // so that an injected LOGIN would succeed
  start(true);
  const struct {
    const char* name;
    std::vector<std::string> pieces;
  } rows[] = {
      {"same segment", {"a STARTTLS\r\nb LOGIN foo bar\r\n"}},
      {"two segments", {"a STARTTLS\r\n", "b LOGIN foo bar\r\n"}},
      {"CR and LF apart", {"a STARTTLS\r", "\nb LOGIN foo bar\r\n"}},
      {"LF only", {"a STARTTLS\nb LOGIN foo bar\n"}},
      {"literals", {"a STARTTLS\r\nb LOGIN {3+}\r\nfoo {3+}\r\nbar\r\n"}},
      {"a command before", {"x NOOP\r\na STARTTLS\r\nb LOGIN foo bar\r\n"}},
      {"completed inside", {"a STARTTLS\r\nb LOGIN foo"}},
  };
  for (const auto& row : rows) {
    for (const bool pause : {false, true}) {
      SCOPED_TRACE(row.name);
      Fd raw = connect_raw();
      for (const std::string& piece : row.pieces) {
        ASSERT_EQ(::send(raw.get(), piece.data(), piece.size(), 0),
                  static_cast<ssize_t>(piece.size()));
        if (pause) settle();
      }
      // The victim's own handshake follows; what it would say inside completes the partial line.
      bool reached = false;
      TlsClient client(std::move(raw), {}, [&](TlsClient& c) {
        reached = true;
        c.write(" bar\r\n");
        c.read_line();
      });
      wait_until([&] { return server->connections() == 0; });
      client.join();
      EXPECT_FALSE(reached) << "the handshake went through over injected bytes";
      EXPECT_TRUE(requests.empty());
      EXPECT_FALSE(*worker->receive_now());
    }
  }
}

TEST_F(Encrypted, NothingSaidBeforeTlsIsKnownInside) {
  part.plaintext = config::Plaintext::always;
  part.login_attempts_max = 2;
  start(true);
  Fd raw = connect_raw();
  {
    Client plain(loop, Fd(::dup(raw.get())));
    greeting(plain);
    for (int i = 0; i < 8; i++) ask(plain, "a BLAH");
    ask(plain, "a LOGIN foo wrong");
    for (int i = 0; i < 30; i++) ask(plain, "a NOOP");
    say(plain, "a STARTTLS\r\n");
    EXPECT_EQ(hear(plain, "\r\n"), "a OK begin TLS now\r\n");
  }
  fcntl(raw.get(), F_SETFL, fcntl(raw.get(), F_GETFL) & ~O_NONBLOCK);
  TlsClient client(std::move(raw), {}, [&](TlsClient& c) {
    c.write("b LOGIN foo wrong\r\n");
    EXPECT_EQ(c.read_line(), "b NO [AUTHENTICATIONFAILED] authentication failed\r\n");
    for (int i = 0; i < 30; i++) {
      c.write("c NOOP\r\n");
      EXPECT_EQ(c.read_line(), "c OK NOOP completed\r\n");
    }
    for (int i = 0; i < 8; i++) {
      c.write("c BLAH\r\n");
      EXPECT_EQ(c.read_line().substr(0, 6), "c BAD ");
    }
  });
  wait_until([&] { return server->connections() == 0; });
}

TEST_F(Encrypted, AnInterruptedSaslExchangeDoesNotReachIntoTls) {
  part.plaintext = config::Plaintext::always;
  start(true);
  Client& c = connect();
  greeting(c);
  say(c, "a AUTHENTICATE PLAIN\r\n");
  hear(c, "\r\n");
  // STARTTLS is no command here but the answer to the challenge.
  EXPECT_EQ(ask(c, "b STARTTLS"), "a BAD expected base64\r\n");
}

TEST_F(Encrypted, RefusesOldVersions) {
  start(true);
  TlsClient client(connect_raw(from("192.0.2.1"), true), {.max_version = TLS1_1_VERSION}, nullptr);
  wait_until([&] { return server->connections() == 0; });
  client.join();
  EXPECT_FALSE(client.connected());
  ASSERT_FALSE(lines.lines.empty());
  EXPECT_EQ(lines.lines[0],
            "s0.1: closed before login: TLS handshake: unsupported protocol (192.0.2.1)");
}

TEST_F(Encrypted, AHandshakeThatNeverEndsIsEndedByTime) {
  part.login_timeout_s = 1;
  start(true);
  const Fd raw = connect_raw(from("192.0.2.1"), true);
  EXPECT_EQ(server->connections(), 1u);
  wait_until([&] { return server->connections() == 0; });
}

// A TLS record whose bytes come one by one never ends; neither may what is sent, taken byte by
// byte.
TEST_F(Encrypted, ARecordThatNeverEndsIsEndedByTime) {
  part.login_timeout_s = 1;
  start(true);
  const auto began = Loop::now();
  TlsClient client(connect_raw(from("192.0.2.1"), true), {}, [&](TlsClient& c) {
    c.read_line();
    const char begin[] = {0x17, 0x03, 0x03, 0x40, 0x00};  // 16,384 bytes of data
    ASSERT_EQ(::send(c.fd(), begin, sizeof begin, MSG_NOSIGNAL), 5);
    while (::send(c.fd(), "x", 1, MSG_NOSIGNAL) == 1)
      std::this_thread::sleep_for(std::chrono::milliseconds(50));
  });
  wait_until([&] { return server->connections() == 0; });
  EXPECT_LT(Loop::now() - began, 4s);
  ASSERT_FALSE(lines.lines.empty());
  EXPECT_EQ(lines.lines.back(), "s0.1: closed before login: login took too long (192.0.2.1)");
}

TEST_F(Encrypted, CarriesMuchBothWaysWithoutHoldingIt) {
  start(true);
  std::string big(4'000'000, '\0');
  for (size_t i = 0; i < big.size(); i++) big[i] = static_cast<char>(i * 31 + i / 65'536);
  TlsClient client(connect_raw(from("192.0.2.1"), true), {}, [&](TlsClient& c) {
    c.read_line();
    c.write("a LOGIN foo bar\r\n");
    // Both at once: the worker sends while it reads.
    EXPECT_TRUE(c.write(std::string_view(big).substr(0, 200'000)));
    EXPECT_EQ(c.read(big.size()), big);
  });
  Handed got = handed();
  Stream inside(loop, std::move(got.fd), 30s);
  std::string up = got.message.unread.value;
  while (up.size() < 200'000) {
    ASSERT_TRUE(run(loop, inside.fill(5s)));
    up += inside.input();
    inside.consume(inside.input().size());
  }
  EXPECT_EQ(up, big.substr(0, 200'000));
  inside.put(big);
  ASSERT_TRUE(run(loop, inside.flush()));
  (void)inside.release();
  wait_until([&] { return server->connections() == 0; });
}

// A client that does not read stops its worker, not rims-login: little is taken from the worker.
TEST_F(Encrypted, ASlowReaderIsFeltByItsWorkerAlone) {
  start(true);
  std::atomic<bool> go_on = false;
  TlsClient client(connect_raw(from("192.0.2.1"), true), {}, [&](TlsClient& c) {
    c.read_line();
    c.write("a LOGIN foo bar\r\n");
    while (!go_on) std::this_thread::sleep_for(1ms);
    c.read(10'000'000);
  });
  Handed got = handed();
  const int flags = fcntl(got.fd.get(), F_GETFL);
  fcntl(got.fd.get(), F_SETFL, flags | O_NONBLOCK);
  const std::string chunk(64 * 1024, 'x');
  size_t taken = 0;
  for (int quiet = 0; quiet < 50;) {
    const ssize_t sent = ::send(got.fd.get(), chunk.data(), chunk.size(), MSG_NOSIGNAL);
    if (sent > 0) {
      taken += static_cast<size_t>(sent);
      quiet = 0;
    } else {
      quiet++;
    }
    run(loop, tick());
  }
  EXPECT_LT(taken, 3'000'000u) << "kernel buffers and one buffer of ours";
  // Others are served meanwhile.
  Client& other = connect();
  greeting(other);
  EXPECT_EQ(ask(other, "a NOOP"), "a OK NOOP completed\r\n");
  got.fd.reset();
  go_on = true;
  wait_until([&] { return server->connections() == 1; });
}

TEST_F(Encrypted, TheEndOfTheClientReachesTheWorkerAndItsLastWordsTheClient) {
  start(true);
  TlsClient client(connect_raw(from("192.0.2.1"), true), {}, [&](TlsClient& c) {
    c.read_line();
    c.write("a LOGIN foo bar\r\n");
    EXPECT_EQ(c.read_line(), "a OK\r\n");
    c.shutdown();  // no more from us, still listening
    EXPECT_EQ(c.read_line(), "* BYE\r\n");
  });
  Handed got = handed();
  Stream inside(loop, std::move(got.fd), 5s);
  inside.put("a OK\r\n");
  ASSERT_TRUE(run(loop, inside.flush()));
  EXPECT_EQ(run(loop, inside.fill(5s)).error().fault(), Fault::peer_gone);
  inside.put("* BYE\r\n");
  ASSERT_TRUE(run(loop, inside.flush()));
  (void)inside.release();
  wait_until([&] { return server->connections() == 0; });
}

TEST_F(Encrypted, StopWaitsForSessionsUntilTheirWorkerEndsThem) {
  start(true);
  TlsClient client(connect_raw(from("192.0.2.1"), true), {}, [&](TlsClient& c) {
    c.read_line();
    c.write("a LOGIN foo bar\r\n");
    EXPECT_EQ(c.read_line(), "* BYE by the worker\r\n");
  });
  Handed got = handed();
  bool finished = false;
  server->stop([&] { finished = true; });
  settle();
  EXPECT_FALSE(finished);
  Stream inside(loop, std::move(got.fd), 5s);
  inside.put("* BYE by the worker\r\n");
  ASSERT_TRUE(run(loop, inside.flush()));
  (void)inside.release();
  wait_until([&] { return finished; });
}

}  // namespace
}  // namespace rims::login
