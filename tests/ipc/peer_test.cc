// tests/ipc/peer_test.cc - a question has one answer, or an error in time, whatever the link does

#include "common/ipc/peer.h"

#include <gtest/gtest.h>

#include "common/async/scope.h"
#include "common/ipc/auth_link.h"

namespace rims::ipc {
namespace {

constexpr Milliseconds kLong{20'000}, kShort{10}, kNow{0};

class PeerTest : public testing::Test {
 protected:
  using Auth = Peer<UserReply>;
  ~PeerTest() override {
    scope_.cancel_all();
    run(loop_, scope_.join());
  }
  // The other end of a new link; the peer has the first.
  std::unique_ptr<Link> connect() {
    auto pair = make_pair();
    mine_ =
        std::make_shared<Link>(loop_, std::move((*pair)[0]), "rims-auth", kDeliverdAcceptsFromAuth);
    peer_.replace(mine_);
    scope_.spawn(peer_.read(mine_));
    return std::make_unique<Link>(loop_, std::move((*pair)[1]), "us", kAuthAcceptsFromDeliverd);
  }
  // Its result is in `answers_[n]` then.
  uint64_t ask(size_t n, Milliseconds patience = kNow, Milliseconds limit = kLong) {
    return scope_.spawn(ask_and_keep(n, patience, limit));
  }
  Task<void> ask_and_keep(size_t n, Milliseconds patience, Milliseconds limit) {
    UserQuery query;
    query.recipient = std::to_string(n);
    auto answer = co_await peer_.ask(std::move(query), std::vector<Fd>(), patience, limit);
    answers_[n] = std::move(answer);
  }
  // What was asked, by the text of the question.
  UserQuery query(Link& at) {
    auto packet = run(loop_, at.receive());
    EXPECT_TRUE(packet);
    return *open_packet<UserQuery>(at, *packet);
  }
  void reply(Link& from, const UserQuery& query) {
    UserReply reply;
    reply.request = query.request;
    reply.user = "to " + query.recipient.value;
    EXPECT_TRUE(run(loop_, from.send(std::move(reply))));
  }
  void turn(int times = 20) {
    for (int i = 0; i < times; i++) run(loop_, rest());
  }
  Task<void> rest() { co_await sleep_for(loop_, Milliseconds(0)); }
  void wait_for(size_t n) {
    for (int i = 0; i < 5000 && !answers_.contains(n); i++) turn(1);
    ASSERT_TRUE(answers_.contains(n));
  }

  Loop loop_;
  Auth peer_{loop_, "rims-auth"};
  std::shared_ptr<Link> mine_;
  std::map<size_t, Result<UserReply>> answers_;
  Scope scope_{loop_};
};

TEST_F(PeerTest, AnswersFindTheirQuestionsInAnyOrder) {
  const auto auth = connect();
  for (const size_t n : {0, 1, 2}) ask(n);
  const auto a = query(*auth), b = query(*auth), c = query(*auth);
  EXPECT_NE(a.request, b.request);
  reply(*auth, c);
  reply(*auth, a);
  reply(*auth, b);
  for (const size_t n : {0, 1, 2}) {
    wait_for(n);
    ASSERT_TRUE(answers_.at(n));
    EXPECT_EQ(answers_.at(n)->user.value, "to " + std::to_string(n));
  }
  EXPECT_EQ(peer_.waiting(), 0U);
}

TEST_F(PeerTest, AnAnswerThatComesTooLateOrTwiceIsDropped) {
  const auto auth = connect();
  ask(0, kNow, kShort);
  const auto late = query(*auth);
  wait_for(0);
  EXPECT_EQ(answers_.at(0).error().fault(), Fault::timeout);
  EXPECT_EQ(answers_.at(0).error().code(), "UNAVAILABLE");
  EXPECT_EQ(answers_.at(0).error().detail(), "rims-auth does not answer");
  EXPECT_EQ(peer_.waiting(), 0U);
  reply(*auth, late);
  ask(1);
  const auto next = query(*auth);
  reply(*auth, next);
  reply(*auth, next);
  wait_for(1);
  EXPECT_EQ(answers_.at(1)->user.value, "to 1");
  turn();
  EXPECT_TRUE(mine_->open());
}

TEST_F(PeerTest, WhoIsCancelledLeavesNothingBehind) {
  const auto auth = connect();
  const uint64_t asking = ask(0);
  const auto asked = query(*auth);
  EXPECT_EQ(peer_.waiting(), 1U);
  scope_.cancel(asking);
  turn();
  EXPECT_EQ(peer_.waiting(), 0U);
  reply(*auth, asked);
  turn();
  EXPECT_TRUE(answers_.empty());
  EXPECT_TRUE(mine_->open());
}

TEST_F(PeerTest, AllFailWhenTheLinkEnds) {
  auto auth = connect();
  for (const size_t n : {0, 1, 2}) ask(n);
  (void)query(*auth);
  auth.reset();
  for (const size_t n : {0, 1, 2}) {
    wait_for(n);
    EXPECT_EQ(answers_.at(n).error().fault(), Fault::peer_gone);
  }
  EXPECT_EQ(peer_.waiting(), 0U);
  EXPECT_FALSE(peer_.present().is_set());
}

TEST_F(PeerTest, AllFailWhenTheLinkIsReplacedAndTheOldOneHasNoSay) {
  const auto before = connect();
  ask(0);
  (void)query(*before);
  const auto old = mine_;
  const auto after = connect();
  wait_for(0);
  EXPECT_EQ(answers_.at(0).error().fault(), Fault::peer_gone);
  ask(1);
  const auto asked = query(*after);
  UserReply forged;
  forged.request = asked.request;
  forged.user = "somebody else";
  peer_.answer(old, forged);
  peer_.lose(old);
  turn();
  EXPECT_EQ(peer_.waiting(), 1U);
  reply(*after, asked);
  wait_for(1);
  EXPECT_EQ(answers_.at(1)->user.value, "to 1");
}

TEST_F(PeerTest, WaitsForALinkAsLongAsItIsTold) {
  ask(0, kShort);
  wait_for(0);
  EXPECT_EQ(answers_.at(0).error().fault(), Fault::peer_gone);
  EXPECT_EQ(answers_.at(0).error().detail(), "rims-auth is not connected");
  ask(1, kLong);
  turn();
  EXPECT_FALSE(answers_.contains(1));
  const auto auth = connect();
  reply(*auth, query(*auth));
  wait_for(1);
  EXPECT_EQ(answers_.at(1)->user.value, "to 1");
}

// Who asks next waits for the new link, also before the reader of the old one has seen its end.
TEST_F(PeerTest, ALinkThatWasClosedIsNotAsked) {
  const auto before = connect();
  mine_->close();
  ask(0, kLong);
  const auto auth = connect();
  reply(*auth, query(*auth));
  wait_for(0);
  EXPECT_TRUE(answers_.at(0));
}

TEST_F(PeerTest, ABreachFailsWhatWaits) {
  const auto auth = connect();
  ask(0);
  (void)query(*auth);
  EXPECT_TRUE(run(loop_, auth->send_packet(static_cast<uint16_t>(AuthMsg::user_reply), "short",
                                           std::vector<Fd>())));
  wait_for(0);
  EXPECT_EQ(answers_.at(0).error().fault(), Fault::peer_gone);
}

}  // namespace
}  // namespace rims::ipc
