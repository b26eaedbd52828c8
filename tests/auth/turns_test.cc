// tests/auth/turns_test.cc - who is next, in a world where a turn ends when the test says so

#include "auth/turns.h"

#include <algorithm>
#include <list>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "common/async/scope.h"

namespace rims::auth {
namespace {

using State = Turns::State;

class TurnsTest : public testing::Test {
 protected:
  struct Client {
    std::string who;
    std::unique_ptr<Turns::Place> place;
  };
  // "network/name", perhaps with a cost and a link.
  Client& come(const std::string& who, uint32_t cost = 1, uint32_t link = 0) {
    const size_t slash = who.find('/');
    Client& c = clients_.emplace_back();
    c.who = who;
    c.place = std::make_unique<Turns::Place>(turns_, Turns::Attempt{.link = link,
                                                                    .network = who.substr(0, slash),
                                                                    .name = who.substr(slash + 1),
                                                                    .cost = cost});
    return c;
  }
  void come_often(int times, const std::string& who, uint32_t cost = 1, uint32_t link = 0) {
    for (int i = 0; i < times; i++) (void)come(who, cost, link);
  }
  // Ends the turn that runs; who has the next one, "" for nobody.
  std::string next() {
    std::erase_if(clients_, [](const Client& c) { return c.place->state() == State::has_turn; });
    for (const Client& c : clients_)
      if (c.place->state() == State::has_turn) return c.who;
    return "";
  }
  // How many turns until `who` has one.
  int turns_until(const std::string& who) {
    for (int i = 1; i < 1000; i++)
      if (next() == who) return i;
    return -1;
  }
  [[nodiscard]] size_t count(State state) const {
    return static_cast<size_t>(std::ranges::count_if(
        clients_, [&](const Client& c) { return c.place->state() == state; }));
  }

  static constexpr size_t kMost = 20;
  Loop loop_;
  Turns turns_{loop_, 1, kMost};
  std::list<Client> clients_;
};

TEST_F(TurnsTest, WhoComesFirstIsFirstAmongEquals) {
  for (const char* who : {"a/1", "b/2", "c/3", "d/4"}) (void)come(who);
  EXPECT_EQ(clients_.front().place->state(), State::has_turn);
  EXPECT_EQ(next(), "b/2");
  EXPECT_EQ(next(), "c/3");
  EXPECT_EQ(next(), "d/4");
  EXPECT_EQ(next(), "");
}

TEST_F(TurnsTest, AFloodOfOneNetworkWaitsForItself) {
  come_often(15, "evil/x");
  (void)come("good/foo");
  EXPECT_EQ(turns_until("good/foo"), 1);
  // And again and again, while the flood goes on.
  for (int i = 0; i < 10; i++) {
    come_often(3, "evil/x");
    (void)come("good/foo");
    EXPECT_LE(turns_until("good/foo"), 2);
  }
}

TEST_F(TurnsTest, AFloodOfOneNetworkAtManyNamesWaitsForItself) {
  for (int i = 0; i < 15; i++) (void)come("evil/name" + std::to_string(i));
  (void)come("good/foo");
  EXPECT_LE(turns_until("good/foo"), 2);
}

TEST_F(TurnsTest, EveryNetworkHasItsShare) {
  std::map<std::string, int> had;
  for (int i = 0; i < 6; i++)
    for (const char* who : {"a/1", "b/2", "c/3"}) (void)come(who);
  for (int i = 0; i < 9; i++) had[next()]++;
  EXPECT_EQ(had["a/1"], 3);
  EXPECT_EQ(had["b/2"], 3);
  EXPECT_EQ(had["c/3"], 3);
}

// One device behind an address that others are behind, too.
TEST_F(TurnsTest, WithinANetworkTheNamesTakeTurns) {
  come_often(15, "office/old");
  (void)come("office/new");
  EXPECT_LE(turns_until("office/new"), 2);
}

TEST_F(TurnsTest, ManyNetworksThatAskForOneNameShareATurn) {
  for (int i = 0; i < 15; i++) (void)come("bot" + std::to_string(i) + "/foo");
  (void)come("home/bar");
  EXPECT_LE(turns_until("home/bar"), 1);
}

TEST_F(TurnsTest, WhoFailedHasFewerTurnsAndNeverNone) {
  std::map<std::string, int> had;
  for (int i = 0; i < 40; i++) {
    for (const auto& [who, cost] : {std::pair("bad/x", 4u), std::pair("good/y", 1u)})
      while (std::ranges::count(clients_, std::string(who), &Client::who) < 3)
        (void)come(who, cost);
    had[next()]++;
  }
  EXPECT_GE(had["good/y"], 30);
  EXPECT_GE(had["bad/x"], 6);
}

TEST_F(TurnsTest, NothingIsSavedUpByWaiting) {
  come_often(10, "busy/x");
  for (int i = 0; i < 5; i++) (void)next();
  come_often(5, "late/y");  // no five turns at once
  std::string order;
  for (int i = 0; i < 6; i++) order += next()[0];
  EXPECT_TRUE(order == "lblblb" || order == "blblbl") << order;
}

TEST_F(TurnsTest, WhenItIsFullTheNetworkWithMostGivesWay) {
  (void)come("first/1");
  come_often(static_cast<int>(kMost), "evil/x");
  EXPECT_EQ(turns_.waiting(), kMost);
  const Client& good = come("good/foo");
  EXPECT_EQ(good.place->state(), State::waits);
  EXPECT_EQ(count(State::refused), 1u);
  const Client& more = come("evil/x");
  EXPECT_EQ(more.place->state(), State::refused);
  EXPECT_EQ(turns_.waiting(), kMost);
  EXPECT_EQ(turns_until("good/foo"), 2) << "the flood has one turn before it";
}

TEST_F(TurnsTest, ALinkThatInventsNetworksGetsNoMoreThanAnother) {
  (void)come("first/1", 1, 1);
  for (size_t i = 0; i < kMost; i++) (void)come("made up " + std::to_string(i) + "/x", 1, 1);
  come_often(5, "good/foo", 1, 2);
  EXPECT_EQ(std::ranges::count_if(clients_,
                                  [](const Client& c) {
                                    return c.who == "good/foo" && c.place->state() == State::waits;
                                  }),
            5);
}

TEST_F(TurnsTest, WhoLeavesGivesItsPlaceUp) {
  (void)come("a/1");
  Client& left = come("b/2");
  (void)come("c/3");
  left.place->leave();
  EXPECT_EQ(left.place->state(), State::left);
  EXPECT_EQ(next(), "c/3");
  Client& running = *std::ranges::find_if(
      clients_, [](const Client& c) { return c.place->state() == State::has_turn; });
  running.place->leave();
  EXPECT_EQ(running.place->state(), State::has_turn) << "too late";
  EXPECT_EQ(next(), "");
}

TEST_F(TurnsTest, AWaiterWakesUp) {
  (void)come("a/1");
  Client& waits = come("b/2");
  const auto wait = [](Turns::Place& place, State& seen) -> Task<void> {
    co_await place.wait();
    seen = place.state();
  };
  State seen = State::waits;
  clients_.pop_front();  // its turn is over
  run(loop_, wait(*waits.place, seen));
  EXPECT_EQ(seen, State::has_turn);
}

}  // namespace
}  // namespace rims::auth
