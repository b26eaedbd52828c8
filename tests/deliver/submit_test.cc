// tests/deliver/submit_test.cc - rims-deliver's side of the socket against false daemons

#include "deliver/submit.h"

#include <functional>
#include <sys/socket.h>
#include <sysexits.h>
#include <thread>

#include <gtest/gtest.h>

#include "common/ipc/sealed.h"
#include "tests/deliver/support.h"

namespace rims::deliver {
namespace {

using std::chrono::milliseconds;

class SubmitTest : public testing::Test {
 protected:
  SubmitTest() : message(ipc::sealed_copy("A: b\r\n\r\n", "test").value()) {}

  // Runs `daemon` on the first connection, in a thread, and submits.
  Ending against(const std::function<void(int connection)>& daemon,
                 milliseconds limit = milliseconds(20'000)) {
    std::thread thread([&] {
      const Fd connection(accept(socket.fd.get(), nullptr, nullptr));
      daemon(connection.get());
    });
    ipc::Submit what;
    what.request = 5;
    what.recipient = "foo";
    const Ending ending = submit(socket.path, what, message.get(), limit);
    thread.join();
    return ending;
  }
  static std::string bytes_of(const ipc::SubmitReply& r) {
    return std::string("\0\2", 2) + ipc::encode(r);
  }
  static ipc::SubmitReply answer(ipc::Delivery status) {
    ipc::SubmitReply r;
    r.request = 5;
    r.status = status;
    r.reason = "because";
    return r;
  }
  static void say(int connection, std::string_view bytes) {
    char buffer[4096];
    EXPECT_GT(recv(connection, buffer, sizeof buffer, 0), 0);
    EXPECT_EQ(send(connection, bytes.data(), bytes.size(), MSG_NOSIGNAL),
              static_cast<ssize_t>(bytes.size()));
  }

  test::ListeningSocket socket;
  Fd message;
};

TEST_F(SubmitTest, EveryAnswerHasItsStatus) {
  const std::pair<ipc::Delivery, int> rows[] = {
      {ipc::Delivery::delivered, 0},  {ipc::Delivery::no_user, 67},
      {ipc::Delivery::rejected, 65},  {ipc::Delivery::not_permitted, 77},
      {ipc::Delivery::temporary, 75}, {ipc::Delivery::full, 75},
  };
  for (const auto& [status, exit] : rows) {
    const Ending e = against([&](int c) { say(c, bytes_of(answer(status))); });
    EXPECT_EQ(e.status, exit);
    EXPECT_EQ(e.reason, "because");
  }
}

TEST_F(SubmitTest, TheMessageArrivesSealed) {
  against([&](int c) {
    auto [bytes, fds] = test::receive(c);
    ASSERT_EQ(fds.size(), 1U);
    EXPECT_EQ(*ipc::sealed_bytes(fds[0].get(), 100), "A: b\r\n\r\n");
    ASSERT_EQ(bytes.substr(0, 2), std::string("\0\1", 2));
    const auto submit = ipc::decode<ipc::Submit>(std::string_view(bytes).substr(2));
    ASSERT_TRUE(submit.has_value());
    EXPECT_EQ(submit->recipient.value, "foo");
    EXPECT_EQ(submit->request, 5U);
  });
}

TEST_F(SubmitTest, EveryTruncatedAnswerIsDoubtful) {
  const std::string whole = bytes_of(answer(ipc::Delivery::delivered));
  for (size_t cut = 1; cut < whole.size(); cut++)
    EXPECT_EQ(against([&](int c) { say(c, whole.substr(0, cut)); }).status, EX_TEMPFAIL) << cut;
  EXPECT_EQ(against([&](int c) { say(c, whole + "x"); }).status, EX_TEMPFAIL);
  EXPECT_EQ(against([&](int c) { say(c, whole + std::string(5000, 'x')); }).status, EX_TEMPFAIL);
}

TEST_F(SubmitTest, AnAnswerToAnotherQuestionIsDoubtful) {
  ipc::SubmitReply other = answer(ipc::Delivery::delivered);
  other.request = 6;
  EXPECT_EQ(against([&](int c) { say(c, bytes_of(other)); }).status, EX_TEMPFAIL);
  std::string wrong_type = bytes_of(answer(ipc::Delivery::delivered));
  wrong_type[1] = 4;
  EXPECT_EQ(against([&](int c) { say(c, wrong_type); }).status, EX_TEMPFAIL);
}

TEST_F(SubmitTest, ADaemonThatHangsUpIsDoubtful) {
  EXPECT_EQ(against([](int) {}).status, EX_TEMPFAIL);
  EXPECT_EQ(against([](int c) {
              char buffer[4096];
              recv(c, buffer, sizeof buffer, 0);
            }).status,
            EX_TEMPFAIL);
}

TEST_F(SubmitTest, ASilentDaemonIsDoubtfulInTime) {
  const auto start = std::chrono::steady_clock::now();
  test::Gate over;
  const Ending e = [&] {
    std::thread thread([&] {
      const Fd connection(accept(socket.fd.get(), nullptr, nullptr));
      over.wait();
    });
    ipc::Submit what;
    what.recipient = "foo";
    Ending ending = submit(socket.path, what, message.get(), milliseconds(150));
    over.open();
    thread.join();
    return ending;
  }();
  EXPECT_EQ(e.status, EX_TEMPFAIL);
  EXPECT_GE(std::chrono::steady_clock::now() - start, milliseconds(150));
  EXPECT_LT(std::chrono::steady_clock::now() - start, milliseconds(10'000));
}

TEST_F(SubmitTest, NobodyThereIsDoubtful) {
  ipc::Submit what;
  what.recipient = "foo";
  EXPECT_EQ(submit(socket.path + "x", what, message.get(), milliseconds(1000)).status, EX_TEMPFAIL);
  socket.fd.reset();  // the file stays, nobody listens
  EXPECT_EQ(submit(socket.path, what, message.get(), milliseconds(1000)).status, EX_TEMPFAIL);
  EXPECT_EQ(submit(std::string(200, 'x'), what, message.get(), milliseconds(1000)).status,
            EX_CONFIG);
}

TEST(Combine, TemporaryWinsThenTheFirstFailure) {
  const std::vector<std::string> three{"a", "b", "c"};
  const Ending good{0, "stored"}, no_user{67, "no such user"}, later{75, "later"},
      large{65, "large"};
  EXPECT_EQ(combine(three, {good, good, good}).status, 0);
  EXPECT_EQ(combine(three, {good, no_user, large}), (Ending{67, "b: no such user; c: large"}));
  EXPECT_EQ(combine(three, {no_user, later, good}), (Ending{75, "a: no such user; b: later"}));
  EXPECT_EQ(combine({"a"}, {no_user}), no_user);
  EXPECT_EQ(combine({"a"}, {good}), good);
}

}  // namespace
}  // namespace rims::deliver
