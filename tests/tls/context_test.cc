// tests/tls/context_test.cc - which certificate a client gets, and which client gets none

#include <csignal>
#include <sys/socket.h>

#include <gtest/gtest.h>

#include "common/async/scope.h"
#include "common/tls/tls.h"
#include "tests/tls/certificate.h"
#include "tests/tls/client.h"
#include "tests/tls/ocsp.h"

namespace rims::tls {
namespace {

using namespace std::chrono_literals;
using test::TlsClient;

// "DNS:..." of the certificate that the client got.
std::string names_of(SSL* ssl) {
  X509* leaf = SSL_get0_peer_certificate(ssl);
  auto* names =
      static_cast<GENERAL_NAMES*>(X509_get_ext_d2i(leaf, NID_subject_alt_name, nullptr, nullptr));
  const ASN1_IA5STRING* first = sk_GENERAL_NAME_value(names, 0)->d.dNSName;
  std::string out(reinterpret_cast<const char*>(ASN1_STRING_get0_data(first)),
                  static_cast<size_t>(ASN1_STRING_length(first)));
  GENERAL_NAMES_free(names);
  return out;
}

std::string staple_of(SSL* ssl) {
  const unsigned char* bytes = nullptr;
  const long size = SSL_get_tlsext_status_ocsp_resp(ssl, &bytes);
  return size <= 0 ? "" : std::string(reinterpret_cast<const char*>(bytes), size);
}

class Names : public ::testing::Test {
 protected:
  struct Got {
    std::string names, protocol, staple, error;
    bool connected = false;
  };

  Names() { signal(SIGPIPE, SIG_IGN); }

  Certificate view(const test::Certificate& one, std::string_view ocsp = {}) {
    return {.chain_pem = one.chain, .key_pem = one.key, .ocsp = ocsp};
  }
  std::vector<Certificate> all() { return {view(first), view(other), view(wild)}; }

  // The context is gone before the handshake, as after a reload.
  Got connect(Result<Context> context, TlsClient::Options options) {
    Got got;
    EXPECT_TRUE(context);
    int fds[2];
    EXPECT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
    Stream stream(loop, Fd(fds[0]), 5s);
    Session session(*context, stream);
    context = fail(Fault::bug, "gone");
    TlsClient client(Fd(fds[1]), std::move(options), [&got](TlsClient& c) {
      got.names = names_of(c.ssl());
      got.staple = staple_of(c.ssl());
      const unsigned char* name = nullptr;
      unsigned size = 0;
      SSL_get0_alpn_selected(c.ssl(), &name, &size);
      got.protocol.assign(reinterpret_cast<const char*>(name), size);
    });
    const Status done = run(loop, session.handshake(5s));
    if (!done) got.error = done.error().detail();
    ::shutdown(stream.fd(), SHUT_RDWR);
    client.join();
    got.connected = client.connected();
    return got;
  }

  Loop loop;
  const test::Certificate first{0, "DNS:mail.example.org,DNS:imap.example.org"};
  const test::Certificate other{0, "DNS:mail.example.com"};
  const test::Certificate wild{2048, "DNS:*.example.net"};
};

TEST_F(Names, AClientGetsTheCertificateOfTheNameThatItAsksFor) {
  const std::pair<const char*, const char*> cases[] = {{nullptr, "mail.example.org"},
                                                       {"mail.example.org", "mail.example.org"},
                                                       {"imap.example.org", "mail.example.org"},
                                                       {"mail.example.com", "mail.example.com"},
                                                       {"MAIL.Example.COM", "mail.example.com"},
                                                       {"a.example.net", "*.example.net"},
                                                       {"a.b.example.net", "mail.example.org"},
                                                       {"example.net", "mail.example.org"},
                                                       {"unknown.example", "mail.example.org"}};
  for (const int version : {TLS1_2_VERSION, TLS1_3_VERSION})
    for (const auto& [asked, expected] : cases) {
      const Got got = connect(Context::server(all()), {.max_version = version, .name = asked});
      EXPECT_TRUE(got.connected) << got.error;
      EXPECT_EQ(got.names, expected) << (asked ? asked : "no name");
    }
}

TEST_F(Names, TheOneThatIsWrongIsTold) {
  auto certificates = all();
  certificates[2].key_pem = other.key;
  size_t wrong = 99;
  EXPECT_FALSE(Context::server(certificates, Version::v1_2, &wrong));
  EXPECT_EQ(wrong, 2);
  certificates = all();
  certificates[0].chain_pem = "";
  EXPECT_FALSE(Context::server(certificates, Version::v1_2, &wrong));
  EXPECT_EQ(wrong, 0);
}

// RFC 7301 §3.2: no_application_protocol. With every certificate, not only the first.
TEST_F(Names, WhoWantsAnotherProtocolIsRefused) {
  using namespace std::string_literals;
  for (const char* asked : {static_cast<const char*>(nullptr), "mail.example.com"}) {
    Got got = connect(Context::server(all()), {.name = asked, .protocols = "\4imap"});
    EXPECT_TRUE(got.connected) << got.error;
    EXPECT_EQ(got.protocol, "imap");
    got = connect(Context::server(all()), {.name = asked, .protocols = "\2h2\4imap"});
    EXPECT_EQ(got.protocol, "imap");
    for (const std::string& others : {"\2h2\10http/1.1"s, "\4pop3"s, "\4IMAP"s, "\5imap4"s}) {
      got = connect(Context::server(all()), {.name = asked, .protocols = others});
      EXPECT_FALSE(got.connected) << others;
      EXPECT_EQ(got.error, "TLS handshake: no application protocol") << others;
    }
  }
}

TEST_F(Names, TheOldestVersionIsSettable) {
  const auto newest = [this] { return Context::server(all(), Version::v1_3); };
  EXPECT_TRUE(connect(newest(), {}).connected);
  for (const char* asked : {static_cast<const char*>(nullptr), "mail.example.com"}) {
    const Got got = connect(newest(), {.max_version = TLS1_2_VERSION, .name = asked});
    EXPECT_FALSE(got.connected);
    EXPECT_EQ(got.error, "TLS handshake: unsupported protocol");
  }
}

TEST_F(Names, WhatTheIssuerSaysIsStapledWhileItIsValid) {
  const std::string fresh = test::ocsp_of(other, 3600), old = test::ocsp_of(first, -10);
  const auto context = [&] {
    return Context::server(std::vector{view(first, old), view(other, fresh), view(wild)});
  };
  const auto staple = [&](const char* name, bool asks = true) {
    const Got got = connect(context(), {.name = name, .asks_for_ocsp = asks});
    EXPECT_TRUE(got.connected) << got.error;
    return got.staple;
  };
  EXPECT_EQ(staple("mail.example.com"), fresh);
  EXPECT_EQ(staple("mail.example.com", false), "") << "who does not ask gets none";
  EXPECT_EQ(staple("mail.example.org"), "") << "it is too old";
  EXPECT_EQ(staple("a.example.net"), "") << "there is none";
}

}  // namespace
}  // namespace rims::tls
