// tests/imapd/worker/protocol_test.cc - a worker that serves another protocol than IMAP
//
// The protocol of this test says who is there and how many messages INBOX holds, for each line.

#include <gtest/gtest.h>

#include "common/async/stream.h"
#include "imapd/session/session_host.h"
#include "imapd/session/wake.h"
#include "tests/imapd/stage.h"

namespace rims::test {
namespace {

class CountSession final : public imapd::HostedSession {
 public:
  CountSession(imapd::SessionHost& host, imapd::Client client)
      : host_(host),
        client_(std::move(client)),
        stream_(host.loop(), std::move(client_.socket), kPatience),
        wake_(host.loop(), stream_.fd()) {
    stream_.unread(client_.unread);
  }

  Task<void> run() override {
    const Status admitted = host_.admit(client_);
    if (admitted) co_await serve();
    if (!admitted) say(client_.tag + " refused: " + admitted.error().reply());
    if (!why_.empty()) say("bye: " + why_);
    [[maybe_unused]] const Status told = co_await stream_.flush();
  }
  void stop(std::string_view why) override {
    why_ = why;
    wake_.poke();
  }
  [[nodiscard]] Activity activity() const override { return {}; }

 private:
  Task<void> serve() {
    auto opened = co_await host_.open_account(client_.user);
    if (!opened) std::abort();
    while (why_.empty()) {
      const size_t end = stream_.input().find('\n');
      if (end == std::string_view::npos) {
        const auto woken = co_await wake_.wait(host_.limits().inactivity);
        if (woken == imapd::Woken::timed_out) stop("silent");
        if (woken == imapd::Woken::readable && !stream_.fill_now()) co_return;
        continue;
      }
      stream_.consume(end + 1);
      say(client_.user + " " + std::to_string((*opened)->find("INBOX")->messages));
      const Status told = co_await stream_.flush();
      if (!told) co_return;
    }
  }
  void say(const std::string& line) { stream_.put(line + "\r\n"); }

  imapd::SessionHost& host_;
  imapd::Client client_;
  Stream stream_;
  imapd::Wake wake_;
  std::string why_;
};

const imapd::Protocol kCount = {
    .is_tag = [](std::string_view tag) { return tag == "count"; },
    .make = [](imapd::SessionHost& host,
               imapd::Client client) -> std::unique_ptr<imapd::HostedSession> {
      return std::make_unique<CountSession>(host, std::move(client));
    }};

class ProtocolTest : public testing::Test {
 protected:
  ProtocolTest() {
    stage.protocol = kCount;
    stage.settings.sessions_per_user_max = 2;
    stage.start();
  }
  std::string line(TestClient& client) {
    return run(stage.loop, client.line()).value_or("(closed)");
  }
  Stage stage;
};

TEST_F(ProtocolTest, SeesTheMailThatTheWorkerDelivers) {
  const auto client = stage.connect("alice", false, "early\n");
  EXPECT_EQ(line(*client), "alice 0") << "what came with the handover is served";
  EXPECT_EQ(run(stage.loop, stage.deliver("alice", "", "x\r\n")).status, ipc::Delivery::delivered);
  run(stage.loop, client->send("again\n"));
  EXPECT_EQ(line(*client), "alice 1");
}

TEST_F(ProtocolTest, IsCountedAndToldToStopLikeAnyOther) {
  const auto one = stage.connect("alice");
  auto two = stage.connect("alice");
  const auto three = stage.connect("alice");
  EXPECT_EQ(line(*three), "login refused: too many sessions of this user");
  EXPECT_EQ(line(*three), "(closed)");
  EXPECT_EQ(stage.worker->sessions(), 2U);
  two->close();
  run(stage.loop, one->send("still here\n"));
  EXPECT_EQ(line(*one), "alice 0");
  const auto four = stage.connect("alice", false, "now there is room\n");
  EXPECT_EQ(line(*four), "alice 0");
  run(stage.loop, stage.worker->stop());
  EXPECT_EQ(line(*one), "bye: the server is shutting down");
  EXPECT_EQ(line(*four), "bye: the server is shutting down");
  EXPECT_EQ(stage.worker->sessions(), 0U);
}

TEST_F(ProtocolTest, LogsOutByTheWorkersLimit) {
  stage.settings.inactivity_timeout_s = 1;
  stage.worker->reload(stage.settings);
  const auto client = stage.connect("alice");
  EXPECT_EQ(line(*client), "bye: silent");
}

}  // namespace
}  // namespace rims::test
