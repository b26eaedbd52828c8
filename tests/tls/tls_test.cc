// tests/tls/tls_test.cc - our server's side against OpenSSL's client

#include "common/tls/tls.h"

#include <csignal>
#include <fcntl.h>
#include <sys/socket.h>

#include <gtest/gtest.h>

#include "common/async/scope.h"
#include "tests/tls/certificate.h"
#include "tests/tls/client.h"

namespace rims::tls {
namespace {

using namespace std::chrono_literals;
using test::TlsClient;

const test::Certificate& certificate() {
  static const test::Certificate made;
  return made;
}

Result<Context> context_of(std::string_view chain, std::string_view key) {
  const Certificate one{.chain_pem = chain, .key_pem = key, .ocsp = {}};
  return Context::server({&one, 1});
}

class Tls : public ::testing::Test {
 protected:
  Tls() : context(context_of(certificate().chain, certificate().key)) {
    signal(SIGPIPE, SIG_IGN);
    EXPECT_TRUE(context);
    int fds[2];
    EXPECT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
    stream = std::make_unique<Stream>(loop, Fd(fds[0]), 5s);
    peer = Fd(fds[1]);
    session = std::make_unique<Session>(*context, *stream);
  }

  bool handshake(Milliseconds limit = 5s) {
    const Status done = run(loop, session->handshake(limit));
    if (!done) error = done.error().detail();
    return done.has_value();
  }
  void end() {
    session.reset();
    stream.reset();
  }
  std::string read(size_t count) {
    while (session->input().size() < count)
      if (!run(loop, session->fill(5s))) break;
    std::string out(session->input());
    session->consume(out.size());
    return out;
  }

  Loop loop;
  Result<Context> context;
  std::unique_ptr<Stream> stream;
  Fd peer;
  std::unique_ptr<Session> session;
  std::string error;
};

TEST_F(Tls, SpeaksTls12And13) {
  TlsClient client(std::move(peer), {}, [](TlsClient& c) {
    c.write("hello");
    EXPECT_EQ(c.read(5), "world");
    EXPECT_TRUE(c.closed_cleanly());
  });
  ASSERT_TRUE(handshake()) << error;
  EXPECT_EQ(session->description().substr(0, 8), "TLSv1.3 ");
  EXPECT_EQ(read(5), "hello");
  session->put("world");
  session->close_notify();
  EXPECT_TRUE(run(loop, session->flush()));
  end();
}

TEST_F(Tls, SpeaksTls12WithAeadOnly) {
  TlsClient client(std::move(peer), {.max_version = TLS1_2_VERSION}, [](TlsClient& c) {
    c.write("hello");
    EXPECT_EQ(SSL_renegotiate(c.ssl()), 1);
    // The renegotiation is refused, whatever the client tries with it.
    EXPECT_LE(SSL_do_handshake(c.ssl()), 0);
  });
  ASSERT_TRUE(handshake()) << error;
  EXPECT_EQ(session->description().substr(0, 8), "TLSv1.2 ");
  EXPECT_TRUE(session->description().find("GCM") != std::string::npos ||
              session->description().find("CHACHA20") != std::string::npos);
  EXPECT_EQ(read(5), "hello");
  const auto more = run(loop, session->fill(5s));
  EXPECT_FALSE(more) << "nothing but the refused renegotiation comes";
  end();
}

TEST_F(Tls, RefusesTls11) {
  TlsClient client(std::move(peer), {.max_version = TLS1_1_VERSION}, nullptr);
  EXPECT_FALSE(handshake());
  EXPECT_EQ(error, "TLS handshake: unsupported protocol");
  end();
  client.join();
  EXPECT_FALSE(client.connected());
}

TEST_F(Tls, RefusesCiphersWithoutAeadOrForwardSecrecy) {
  for (const char* weak :
       {"ECDHE-ECDSA-AES128-SHA", "ECDHE-ECDSA-AES128-SHA256", "AES128-GCM-SHA256", "AES128-SHA"}) {
    int fds[2];
    ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
    Stream own(loop, Fd(fds[0]), 5s);
    Session s(*context, own);
    TlsClient client(Fd(fds[1]), {.max_version = TLS1_2_VERSION, .ciphers = weak}, nullptr);
    const Status done = run(loop, s.handshake(5s));
    ASSERT_FALSE(done) << weak;
    EXPECT_EQ(done.error().detail(), "TLS handshake: no shared cipher");
    ::shutdown(own.fd(), SHUT_RDWR);
  }
  end();
}

TEST_F(Tls, PlaintextInsteadOfAHandshakeIsAnError) {
  ASSERT_EQ(::send(peer.get(), "a LOGIN foo bar\r\n", 17, 0), 17);
  EXPECT_FALSE(handshake());
  EXPECT_EQ(error.substr(0, 15), "TLS handshake: ");
}

TEST_F(Tls, ASlowHandshakeEnds) { EXPECT_FALSE(handshake(20ms)); }

TEST_F(Tls, AHandshakeWithoutEndIsEnded) {
  // Empty handshake records of TLS 1.2 form: each is legal framing and brings nothing.
  std::thread flood([fd = peer.get()] {
    const std::string record("\x16\x03\x01\x40\x00", 5);
    const std::string body(16'384, 'x');
    for (int i = 0; i < 100; i++)
      if (::send(fd, record.data(), record.size(), MSG_NOSIGNAL) < 0 ||
          ::send(fd, body.data(), body.size(), MSG_NOSIGNAL) < 0)
        break;
  });
  EXPECT_FALSE(handshake());
  end();
  flood.join();
}

TEST_F(Tls, CarriesManyBytesBothWaysAndHoldsNoneWhenIdle) {
  std::string big(3'000'000, '\0');
  for (size_t i = 0; i < big.size(); i++) big[i] = static_cast<char>(i * 7 + i / 251);
  TlsClient client(std::move(peer), {}, [&](TlsClient& c) {
    EXPECT_EQ(c.read(big.size()), big);
    EXPECT_TRUE(c.write(big));
    EXPECT_EQ(c.read(2), "ok");
  });
  ASSERT_TRUE(handshake()) << error;
  for (size_t at = 0; at < big.size(); at += 50'000) {
    session->put(std::string_view(big).substr(at, 50'000));
    ASSERT_TRUE(run(loop, session->flush()));
    ASSERT_EQ(stream->waiting_output(), 0u);
  }
  std::string got;
  while (got.size() < big.size()) {
    ASSERT_TRUE(run(loop, session->fill(5s)));
    ASSERT_LE(session->input().size(), 16'384u);
    got += session->input();
    session->consume(session->input().size());
  }
  EXPECT_EQ(got, big);
  EXPECT_TRUE(session->input().empty());
  session->put("ok");
  ASSERT_TRUE(run(loop, session->flush()));
  client.join();
  end();
}

TEST_F(Tls, NothingFollowsTheHandshakeUnasked) {
  size_t got = 0;
  TlsClient client(std::move(peer), {}, [&got](TlsClient& c) {
    char rest[4096];
    for (ssize_t n = 0; (n = ::recv(c.fd(), rest, sizeof rest, 0)) > 0;)
      got += static_cast<size_t>(n);
  });
  ASSERT_TRUE(handshake()) << error;
  end();
  client.join();
  EXPECT_LT(got, 64U);  // the alert at the end; a session ticket has some hundred bytes
}

TEST_F(Tls, SilenceIsATimeout) {
  TlsClient client(std::move(peer), {}, [](TlsClient& c) {
    char rest[64];
    while (::recv(c.fd(), rest, sizeof rest, 0) > 0) {
    }
  });
  ASSERT_TRUE(handshake()) << error;
  EXPECT_EQ(run(loop, session->fill(10ms)).error().fault(), Fault::timeout);
  end();
}

TEST_F(Tls, AnEndWithoutCloseNotifyIsAnEnd) {
  TlsClient client(std::move(peer), {}, [](TlsClient& c) {
    ::shutdown(c.fd(), SHUT_WR);
    // It listens until we end.
    char rest[64];
    while (::recv(c.fd(), rest, sizeof rest, 0) > 0) {
    }
  });
  ASSERT_TRUE(handshake()) << error;
  const auto more = run(loop, session->fill(5s));
  ASSERT_FALSE(more);
  EXPECT_EQ(more.error().fault(), Fault::peer_gone);
  session->put("nobody hears this");
  (void)run(loop, session->flush());
  end();
}

TEST_F(Tls, ABrokenRecordIsAnEndNotACrash) {
  TlsClient client(std::move(peer), {}, [](TlsClient& c) {
    const std::string garbage("\x17\x03\x03\x00\x20" + std::string(32, 'x'));
    (void)!::send(c.fd(), garbage.data(), garbage.size(), MSG_NOSIGNAL);
    char rest[64];
    while (::recv(c.fd(), rest, sizeof rest, 0) > 0) {
    }
  });
  ASSERT_TRUE(handshake()) << error;
  EXPECT_FALSE(run(loop, session->fill(5s)));
  session->put("x");
  EXPECT_FALSE(run(loop, session->fill(5s))) << "stays broken";
  end();
}

TEST(TlsContext, SaysWhatIsWrongWithThePem) {
  const test::Certificate other;
  EXPECT_FALSE(context_of("", certificate().key));
  EXPECT_FALSE(context_of(certificate().chain, ""));
  EXPECT_FALSE(context_of(certificate().chain, other.key));
  EXPECT_TRUE(context_of(certificate().chain + other.chain, certificate().key));
  EXPECT_EQ(context_of("x", "y").error().reply().substr(0, 15), "the certificate");
}

}  // namespace
}  // namespace rims::tls
