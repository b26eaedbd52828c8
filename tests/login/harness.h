// tests/login/harness.h - rims-login between a client, a fake rims-auth and a fake worker
//
// The fake rims-auth grants foo / bar (home: worker 0) and what `verdict` says to all others. The
// fake worker keeps what it is handed. Everything runs on the test's loop; only TLS clients have
// a thread of their own (tests/tls/client.h).
#pragma once

#include <csignal>
#include <deque>
#include <sys/socket.h>

#include <fmt/core.h>
#include <gtest/gtest.h>

#include "common/async/scope.h"
#include "common/base/encoding.h"
#include "common/base/log.h"
#include "common/base/version.h"
#include "common/ipc/session_link.h"
#include "login/server.h"
#include "tests/tls/certificate.h"

namespace rims::login {

using namespace std::chrono_literals;

struct Lines : log::Sink {
  std::vector<std::string> lines;
  void write(log::Level, std::string_view line) override { lines.emplace_back(line); }
};

// How a greeting ends.
inline const std::string kReady =
    fmt::format("RIMS v{} IMAP4rev1 service ready.\r\n", program_version());

inline const test::Certificate& certificate() {
  static const test::Certificate made;
  return made;
}

class LoginTest : public ::testing::Test {
 protected:
  LoginTest() : scope(loop) {
    signal(SIGPIPE, SIG_IGN);
    crypto_init();
    log::set_sink(&lines);
    part.hostname = "mx.example.org";
    part.plaintext = config::Plaintext::always;
    part.cram_md5 = true;
    part.connections_max = 100;
    part.logins_per_address_max = 50;
    part.login_timeout_s = 10;
    part.login_attempts_max = 3;
  }
  ~LoginTest() override {
    clients.clear();
    server.reset();
    log::set_sink(nullptr);
  }

  // After changes to `part`.
  void start(bool tls = false) {
    config::LoginPart copy = *ipc::decode<config::LoginPart>(ipc::encode(part));
    if (tls) {
      config::Certificate& only = copy.certificates.value.emplace_back();
      only.chain_pem = certificate().chain;
      only.key_pem.value = Secret(certificate().key);
    }
    auto settings = Settings::make(std::move(copy));
    ASSERT_TRUE(settings) << settings.error().reply();
    server = std::make_unique<Server>(loop, *settings, 0);
    start_auth();
    start_worker();
  }
  void start_auth() {
    auto pair = ipc::make_pair();
    server->attach(ipc::Role::auth, 0, std::move((*pair)[0]));
    auth = std::make_unique<ipc::Link>(loop, std::move((*pair)[1]), "login",
                                       ipc::kAuthAcceptsFromLogin);
    scope.spawn(answer(*auth));
  }
  void start_worker() {
    auto pair = ipc::make_pair();
    server->attach(ipc::Role::imapd, 0, std::move((*pair)[0]));
    worker = std::make_unique<ipc::Link>(loop, std::move((*pair)[1]), "login",
                                         ipc::kImapdAcceptsFromLogin);
  }

  Task<void> answer(ipc::Link& link) {
    while (true) {
      auto packet = co_await link.receive();
      if (!packet) co_return;
      if (packet->type == static_cast<uint16_t>(ipc::AuthMsg::login_cancel)) {
        const auto message = ipc::decode<ipc::LoginCancel>(packet->body);
        EXPECT_TRUE(message);
        if (message) cancelled.push_back(message->request);
        continue;
      }
      auto request = ipc::decode<ipc::LoginRequest>(packet->body);
      EXPECT_TRUE(request);
      if (!request) co_return;
      if (auth_hangs) {
        requests.push_back(std::move(*request));
        continue;
      }
      ipc::LoginReply reply;
      reply.request = request->request;
      const bool right = request->user.value == "foo" &&
                         request->password.value.reveal() == "bar" && !request->impossible;
      reply.verdict = right ? ipc::Verdict::granted : verdict;
      if (reply.verdict == ipc::Verdict::granted)
        reply.ticket.value = Secret("0123456789abcdef");
      else
        reply.delay_ms = delay_ms;
      requests.push_back(std::move(*request));
      (void)co_await link.send(std::move(reply));
    }
  }

  // --- clients
  struct Client {
    Client(Loop& loop, Fd fd) : stream(loop, std::move(fd), 5s) {}
    Stream stream;
    std::string heard;  // everything
  };
  static ClientAddress from(const std::string& address, bool loopback = false) {
    return {.text = address, .group = address, .loopback = loopback};
  }
  Fd connect_raw(const ClientAddress& address = from("192.0.2.1"), bool implicit_tls = false) {
    int fds[2];
    EXPECT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
    server->accept(Fd(fds[0]), address, implicit_tls);
    return Fd(fds[1]);
  }
  Client& connect(const ClientAddress& address = from("192.0.2.1")) {
    return clients.emplace_back(loop, connect_raw(address));
  }
  // Lets everything happen that can happen without waiting.
  void settle() {
    for (int i = 0; i < 6; i++) run(loop, pause());
  }
  Task<void> pause() { co_await sleep_for(loop, 0ms); }

  void wait_until(const std::function<bool()>& happened) {
    for (int i = 0; i < 5000 && !happened(); i++) run(loop, tick());
    EXPECT_TRUE(happened());
  }
  Task<void> tick() { co_await sleep_for(loop, 1ms); }

  void say(Client& client, std::string_view bytes) {
    client.stream.put(bytes);
    ASSERT_TRUE(run(loop, client.stream.flush()));
  }
  // What comes until `ending` was heard, without what came before. Fails after 5 s.
  std::string hear(Client& client, std::string_view ending) {
    std::string text;
    while (!text.ends_with(ending)) {
      const auto filled = run(loop, client.stream.fill(5s));
      text += client.stream.input();
      client.stream.consume(client.stream.input().size());
      if (!filled) {
        ADD_FAILURE() << "waiting for " << ending << " heard " << text;
        break;
      }
    }
    client.heard += text;
    return text;
  }
  // Until the server closes.
  std::string hear_all(Client& client) {
    std::string text;
    while (true) {
      const auto filled = run(loop, client.stream.fill(5s));
      text += client.stream.input();
      client.stream.consume(client.stream.input().size());
      if (!filled) {
        EXPECT_EQ(filled.error().reply(), "closed") << "after " << text;
        return text;
      }
    }
  }
  std::string greeting(Client& client) { return hear(client, "ready.\r\n"); }
  std::string ask(Client& client, const std::string& line) {
    say(client, line + "\r\n");
    return hear(client, "\r\n");
  }

  struct Handed {
    ipc::Handover message;
    Fd fd;
  };
  Handed handed() {
    auto packet = run(loop, worker->receive());
    EXPECT_TRUE(packet);
    auto message = ipc::decode<ipc::Handover>(packet->body);
    EXPECT_TRUE(message);
    return {std::move(*message), std::move(packet->fds[0])};
  }

  Lines lines;
  Loop loop;
  config::LoginPart part;
  std::unique_ptr<Server> server;
  std::vector<uint64_t> cancelled;  // requests
  std::unique_ptr<ipc::Link> auth, worker;
  std::vector<ipc::LoginRequest> requests;
  ipc::Verdict verdict = ipc::Verdict::denied;
  uint32_t delay_ms = 0;
  bool auth_hangs = false;
  std::deque<Client> clients;
  Scope scope;  // last: it uses all of the above
};

}  // namespace rims::login
