// tests/deliver/service_test.cc - rims-deliverd between a false rims-auth and a false rims-imapd
//
// The fixture holds the other ends of deliverd's links:
//   auth      knows "foo", home worker 1; "nobody" does not exist
//   worker 1  keeps what it is given; its answer is set by the test
// Everything runs on one loop; nothing waits for wall-clock time except the tests of time limits.

#include "deliver/service.h"

#include <fcntl.h>
#include <sys/socket.h>

#include <gtest/gtest.h>

#include "common/ipc/sealed.h"
#include "tests/deliver/support.h"

namespace rims::deliver {
namespace {

constexpr Times kTimes{.submit = Milliseconds(5000),
                       .peer = Milliseconds(50),
                       .auth = Milliseconds(5000),
                       .store = Milliseconds(5000),
                       .stop = Milliseconds(5000)};

config::DeliverdPart part() {
  config::DeliverdPart p;
  p.message_size_max = 1000;
  p.connections_max = 2;
  return p;
}

class ServiceTest : public testing::Test {
 public:  // local coroutines use it
  ServiceTest() { start(kTimes); }
  ~ServiceTest() override {
    scope.cancel_all();
    run(loop, settle());
  }
  Task<void> settle() {
    for (int i = 0; i < 3; i++) co_await sleep_for(loop, Milliseconds(0));
  }

  void start(Times times) {
    service = std::make_unique<Service>(loop, part(), 2, times);
    auth = link(ipc::Role::auth, 0, ipc::kAuthAcceptsFromDeliverd);
    worker = link(ipc::Role::imapd, 1, ipc::kImapdAcceptsFromDeliverd);
    process::Attached listening;
    listening.channel = ipc::Channel::listen_deliver;
    listening.end = Fd(dup(socket.fd.get()));
    service->attach(std::move(listening));
  }
  // A new link to the service; the returned end belongs to the test.
  std::shared_ptr<ipc::Link> link(ipc::Role peer, uint32_t index,
                                  std::span<const ipc::Accepts> accepts) {
    auto pair = ipc::make_pair();
    process::Attached a;
    a.peer = peer;
    a.index = index;
    a.end = std::move((*pair)[0]);
    service->attach(std::move(a));
    return std::make_shared<ipc::Link>(loop, std::move((*pair)[1]), "rims-deliverd", accepts);
  }

  Task<void> serve_auth(std::shared_ptr<ipc::Link> end) {
    while (true) {
      auto packet = co_await end->receive();
      if (!packet) co_return;
      auto query = ipc::open_packet<ipc::UserQuery>(*end, *packet);
      if (!query) co_return;
      ipc::UserReply r;
      r.request = query->request;
      r.exists = query->recipient.value.starts_with("foo");
      if (r.exists) r.user = "foo";
      r.worker = 1;
      const Status sent = co_await end->send(std::move(r));
      if (!sent) co_return;
    }
  }
  // Stores whatever comes and answers `status`.
  Task<void> serve_worker(std::shared_ptr<ipc::Link> end, ipc::Delivery status) {
    while (true) {
      auto packet = co_await end->receive();
      if (!packet) co_return;
      auto deliver = ipc::open_packet<ipc::Deliver>(*end, *packet);
      if (!deliver) co_return;
      stored.push_back(ipc::sealed_bytes(packet->fds.front().get(), 1 << 20).value());
      last = *deliver;
      ipc::DeliverReply r;
      r.request = deliver->request;
      r.status = status;
      r.reason = "the worker says so";
      const Status sent = co_await end->send(std::move(r));
      if (!sent) co_return;
    }
  }
  // Takes one Deliver and then lets go of the link, without an answer.
  Task<void> die_after_one(std::shared_ptr<ipc::Link> end) {
    auto packet = co_await end->receive();
    if (packet) end->close();
  }
  Task<void> swallow(std::shared_ptr<ipc::Link> end) {
    auto packet = co_await end->receive();
    if (packet) taken.set();
  }

  static ipc::Submit submission(const std::string& to) {
    ipc::Submit s;
    s.request = 77;
    s.recipient = to;
    s.sender = "a@b";
    s.mailbox = "Spam";
    s.delivery_id = "Q1";
    s.flags = 1;
    s.internal_date = 1234;
    return s;
  }
  ipc::SubmitReply deliver(const std::string& to, Fd message) {
    return run(loop, service->deliver(submission(to), std::move(message), "test"));
  }
  static Fd memfd(std::string_view text = "A: b\r\n\r\n") {
    return ipc::sealed_copy(text, "test").value();
  }

  // A client of the socket, as rims-deliver is one.
  std::shared_ptr<ipc::Link> client() {
    return std::make_shared<ipc::Link>(loop, socket.connect_client(), "deliverd",
                                       ipc::kClientAcceptsFromDeliverd);
  }
  static Task<std::optional<ipc::SubmitReply>> submit(std::shared_ptr<ipc::Link> end,
                                                      ipc::Submit what, Fd message) {
    std::vector<Fd> fds;
    fds.push_back(std::move(message));
    const Status sent = co_await end->send(std::move(what), std::move(fds));
    if (!sent) co_return std::nullopt;
    co_return co_await answer(end);
  }
  static Task<std::optional<ipc::SubmitReply>> answer(std::shared_ptr<ipc::Link> end) {
    auto packet = co_await end->receive();
    if (!packet) co_return std::nullopt;
    co_return ipc::open_packet<ipc::SubmitReply>(*end, *packet);
  }

  Loop loop;
  test::ListeningSocket socket;
  Event taken{loop};
  std::vector<std::string> stored;
  ipc::Deliver last;
  std::unique_ptr<Service> service;
  std::shared_ptr<ipc::Link> auth, worker;
  Scope scope{loop};
};

TEST_F(ServiceTest, PassesTheMessageAndTheAnswerOn) {
  scope.spawn(serve_auth(auth));
  scope.spawn(serve_worker(worker, ipc::Delivery::delivered));
  const auto r = deliver("foo", memfd("the bytes"));
  EXPECT_EQ(r.status, ipc::Delivery::delivered);
  EXPECT_EQ(r.request, 77U);
  EXPECT_EQ(stored, std::vector<std::string>{"the bytes"});
  EXPECT_EQ(last.user.value, "foo");
  EXPECT_EQ(last.sender.value, "a@b");
  EXPECT_EQ(last.mailbox.value, "Spam");
  EXPECT_EQ(last.delivery_id.value, "Q1");
  EXPECT_EQ(last.flags, 1);
  EXPECT_EQ(last.internal_date, 1234);
}

TEST_F(ServiceTest, EveryAnswerOfTheWorkerIsPassedOn) {
  scope.spawn(serve_auth(auth));
  for (const auto status :
       {ipc::Delivery::delivered, ipc::Delivery::no_user, ipc::Delivery::rejected,
        ipc::Delivery::not_permitted, ipc::Delivery::temporary, ipc::Delivery::full}) {
    worker = link(ipc::Role::imapd, 1, ipc::kImapdAcceptsFromDeliverd);
    scope.spawn(serve_worker(worker, status));
    const auto r = deliver("foo", memfd());
    EXPECT_EQ(r.status, status);
    EXPECT_NE(r.reason.value.find("the worker says so"), std::string::npos);
  }
}

TEST_F(ServiceTest, AnUnknownUserNeverReachesAWorker) {
  scope.spawn(serve_auth(auth));
  scope.spawn(serve_worker(worker, ipc::Delivery::delivered));
  EXPECT_EQ(deliver("nobody", memfd()).status, ipc::Delivery::no_user);
  EXPECT_TRUE(stored.empty());
}

TEST_F(ServiceTest, AMessageThatCouldStillChangeIsRefusedBeforeAnythingElse) {
  auto open = ipc::make_memfd("test");  // nobody serves auth: it would be temporary otherwise
  EXPECT_EQ(deliver("foo", std::move(*open)).status, ipc::Delivery::not_permitted);
  Fd file(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  EXPECT_EQ(deliver("foo", std::move(file)).status, ipc::Delivery::not_permitted);
}

TEST_F(ServiceTest, SizeLimitsAreExact) {
  scope.spawn(serve_auth(auth));
  scope.spawn(serve_worker(worker, ipc::Delivery::delivered));
  EXPECT_EQ(deliver("foo", memfd(std::string(1000, 'x'))).status, ipc::Delivery::delivered);
  EXPECT_EQ(deliver("foo", memfd(std::string(1001, 'x'))).status, ipc::Delivery::rejected);
  EXPECT_EQ(deliver("foo", memfd("")).status, ipc::Delivery::rejected);
  EXPECT_EQ(stored.size(), 1U);
  config::DeliverdPart larger = part();
  larger.message_size_max = 1001;
  service->reload(larger);
  EXPECT_EQ(deliver("foo", memfd(std::string(1001, 'x'))).status, ipc::Delivery::delivered);
}

TEST_F(ServiceTest, AWorkerThatDiesLeavesDoubt) {
  scope.spawn(serve_auth(auth));
  scope.spawn(die_after_one(worker));
  EXPECT_EQ(deliver("foo", memfd()).status, ipc::Delivery::temporary);
}

TEST_F(ServiceTest, AnAuthThatDiesLeavesDoubt) {
  scope.spawn(die_after_one(auth));
  EXPECT_EQ(deliver("foo", memfd()).status, ipc::Delivery::temporary);
}

TEST_F(ServiceTest, ALinkReplacedMidwayLeavesDoubtAndTheNextOneWorks) {
  scope.spawn(serve_auth(auth));
  struct Replace {
    static Task<void> when_taken(ServiceTest& t) {
      co_await t.taken.wait();
      t.worker = t.link(ipc::Role::imapd, 1, ipc::kImapdAcceptsFromDeliverd);
      t.scope.spawn(t.serve_worker(t.worker, ipc::Delivery::delivered));
    }
  };
  scope.spawn(swallow(worker));
  scope.spawn(Replace::when_taken(*this));
  EXPECT_EQ(deliver("foo", memfd("one")).status, ipc::Delivery::temporary);
  EXPECT_EQ(deliver("foo", memfd("two")).status, ipc::Delivery::delivered);
  EXPECT_EQ(stored, std::vector<std::string>{"two"});
}

TEST_F(ServiceTest, ADeadPeerIsWaitedForAWhile) {
  Times patient = kTimes;
  patient.peer = Milliseconds(10'000);
  start(patient);
  scope.spawn(serve_auth(auth));
  worker->close();
  struct Back {
    static Task<void> soon(ServiceTest& t) {
      co_await sleep_for(t.loop, Milliseconds(20));
      t.worker = t.link(ipc::Role::imapd, 1, ipc::kImapdAcceptsFromDeliverd);
      t.scope.spawn(t.serve_worker(t.worker, ipc::Delivery::delivered));
    }
  };
  run(loop, settle());  // the service has seen the end
  scope.spawn(Back::soon(*this));
  EXPECT_EQ(deliver("foo", memfd()).status, ipc::Delivery::delivered);
}

TEST_F(ServiceTest, SilenceIsTemporaryInTime) {
  Times hasty = kTimes;
  hasty.auth = hasty.store = Milliseconds(30);
  start(hasty);
  EXPECT_EQ(deliver("foo", memfd()).status, ipc::Delivery::temporary);  // auth is silent
  auth = link(ipc::Role::auth, 0, ipc::kAuthAcceptsFromDeliverd);
  scope.spawn(serve_auth(auth));
  EXPECT_EQ(deliver("foo", memfd()).status, ipc::Delivery::temporary);  // the worker is
  EXPECT_TRUE(worker->open());
}

TEST_F(ServiceTest, AHomeThatDoesNotExistIsTemporary) {
  struct Auth {
    static Task<void> lie(std::shared_ptr<ipc::Link> end) {
      auto packet = co_await end->receive();
      if (!packet) co_return;
      auto query = ipc::open_packet<ipc::UserQuery>(*end, *packet);
      ipc::UserReply r;
      r.request = query->request;
      r.exists = true;
      r.user = "foo";
      r.worker = 99;
      const Status sent = co_await end->send(std::move(r));
      EXPECT_TRUE(sent.has_value());
    }
  };
  scope.spawn(Auth::lie(auth));
  EXPECT_EQ(deliver("foo", memfd()).status, ipc::Delivery::temporary);
}

TEST_F(ServiceTest, AClientIsServedSeveralTimesOnOneConnection) {
  scope.spawn(serve_auth(auth));
  scope.spawn(serve_worker(worker, ipc::Delivery::delivered));
  auto c = client();
  for (int i = 0; i < 3; i++) {
    auto r = run(loop, submit(c, submission(i == 1 ? "nobody" : "foo"), memfd()));
    ASSERT_TRUE(r.has_value());
    EXPECT_EQ(r->status, i == 1 ? ipc::Delivery::no_user : ipc::Delivery::delivered);
  }
  EXPECT_EQ(stored.size(), 2U);
}

TEST_F(ServiceTest, BreachesOfAClientEndItsConnectionOnly) {
  scope.spawn(serve_auth(auth));
  scope.spawn(serve_worker(worker, ipc::Delivery::delivered));
  const std::string body = ipc::encode(submission("foo"));
  struct Hostile {
    static Task<bool> ends_after(std::shared_ptr<ipc::Link> c, uint16_t type, std::string bytes,
                                 std::vector<Fd> fds) {
      const Status sent = co_await c->send_packet(type, std::move(bytes), std::move(fds));
      if (!sent) co_return true;
      auto r = co_await answer(c);
      co_return !r.has_value();
    }
  };
  const auto one = [] {
    std::vector<Fd> fds;
    fds.push_back(memfd());
    return fds;
  };
  auto two = one();
  two.push_back(memfd());
  EXPECT_TRUE(run(loop, Hostile::ends_after(client(), 1, body, {})));  // no descriptor
  EXPECT_TRUE(run(loop, Hostile::ends_after(client(), 1, body, std::move(two))));
  EXPECT_TRUE(run(loop, Hostile::ends_after(client(), 3, body, one())));  // Deliver
  EXPECT_TRUE(run(loop, Hostile::ends_after(client(), 1, body + "x", one())));
  EXPECT_TRUE(run(loop, Hostile::ends_after(client(), 1, body.substr(1), one())));
  EXPECT_TRUE(run(loop, Hostile::ends_after(client(), 1, std::string(60'000, 'x'), one())));
  EXPECT_TRUE(stored.empty());
  auto r = run(loop, submit(client(), submission("foo"), memfd()));
  ASSERT_TRUE(r.has_value());
  EXPECT_EQ(r->status, ipc::Delivery::delivered);
}

TEST_F(ServiceTest, AClientThatIsKilledLeavesNothingBehind) {
  scope.spawn(serve_auth(auth));
  scope.spawn(serve_worker(worker, ipc::Delivery::delivered));
  {
    auto killed = client();  // connected, nothing said
  }
  auto r = run(loop, submit(client(), submission("foo"), memfd("whole")));
  ASSERT_TRUE(r.has_value());
  EXPECT_EQ(stored, std::vector<std::string>{"whole"});
}

TEST_F(ServiceTest, MoreConnectionsThanAllowedWaitForTheirTurn) {
  scope.spawn(serve_auth(auth));
  scope.spawn(serve_worker(worker, ipc::Delivery::delivered));
  auto first = client(), second = client();  // two is the limit
  run(loop, settle());
  auto third = client();
  struct Wait {
    static Task<void> for_answer(std::shared_ptr<ipc::Link> c, bool& done) {
      auto r = co_await submit(c, submission("foo"), memfd());
      done = r.has_value() && r->status == ipc::Delivery::delivered;
    }
  };
  bool done = false;
  scope.spawn(Wait::for_answer(third, done));
  for (int i = 0; i < 5; i++) run(loop, settle());
  EXPECT_FALSE(done);
  first.reset();  // hangs up
  for (int i = 0; i < 2000 && !done; i++) run(loop, settle());
  EXPECT_TRUE(done);
}

TEST_F(ServiceTest, ASilentClientIsLetGo) {
  Times hasty = kTimes;
  hasty.submit = Milliseconds(20);
  start(hasty);
  EXPECT_FALSE(run(loop, answer(client())).has_value());
}

TEST_F(ServiceTest, AWorkersPostmanSubmitsOnTheSameLink) {
  scope.spawn(serve_auth(auth));
  auto other = link(ipc::Role::imapd, 0, ipc::kImapdAcceptsFromDeliverd);
  scope.spawn(serve_worker(worker, ipc::Delivery::delivered));
  auto r = run(loop, submit(other, submission("foo@x"), memfd("posted")));
  ASSERT_TRUE(r.has_value());
  EXPECT_EQ(r->request, 77U);
  EXPECT_EQ(r->status, ipc::Delivery::delivered);
  EXPECT_EQ(stored, std::vector<std::string>{"posted"});
}

TEST_F(ServiceTest, StopFinishesWhatIsInFlightAndTakesNothingNew) {
  scope.spawn(serve_auth(auth));
  bool stopped = false, delivered = false;
  struct Late {
    static Task<void> answer(ServiceTest& t, std::shared_ptr<ipc::Link> end, bool& stopped) {
      auto packet = co_await end->receive();
      if (!packet) co_return;
      auto what = ipc::open_packet<ipc::Deliver>(*end, *packet);
      t.service->stop([&stopped] { stopped = true; });
      co_await sleep_for(t.loop, Milliseconds(20));
      EXPECT_FALSE(stopped);
      ipc::DeliverReply r;
      r.request = what->request;
      r.status = ipc::Delivery::delivered;
      const Status sent = co_await end->send(std::move(r));
      EXPECT_TRUE(sent.has_value());
    }
    static Task<void> ask(std::shared_ptr<ipc::Link> c, bool& delivered) {
      auto r = co_await submit(c, submission("foo"), memfd());
      delivered = r.has_value() && r->status == ipc::Delivery::delivered;
    }
  };
  scope.spawn(Late::answer(*this, worker, stopped));
  run(loop, Late::ask(client(), delivered));
  EXPECT_TRUE(delivered);
  for (int i = 0; i < 2000 && !stopped; i++) run(loop, settle());
  EXPECT_TRUE(stopped);
}

}  // namespace
}  // namespace rims::deliver
