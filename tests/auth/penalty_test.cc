// tests/auth/penalty_test.cc - delays grow, end, are forgotten, and their table stays small

#include "auth/penalty.h"

#include <gtest/gtest.h>

namespace rims::auth {
namespace {

using namespace std::chrono_literals;
using Duration = Penalties::Duration;

const Penalties::Time kStart{100h};

TEST(Penalty, EachFailureDoublesTheDelayUpToTheLimit) {
  Penalties p;
  std::vector<long> seconds;
  for (int i = 0; i < 7; i++) seconds.push_back(p.failed("a", kStart, 1000ms, 15'000ms).count());
  EXPECT_EQ(seconds, (std::vector<long>{1000, 2000, 4000, 8000, 15'000, 15'000, 15'000}));
  EXPECT_EQ(p.failed("b", kStart, 1000ms, 15'000ms), 1000ms) << "another key is not touched";
  for (int i = 0; i < 100; i++) EXPECT_LE(p.failed("a", kStart, 1000ms, 15'000ms), 15'000ms);
}

TEST(Penalty, IsForgottenAfterAWhileAndForgivenAtOnce) {
  Penalties p;
  p.failed("a", kStart, 1000ms, 15'000ms);
  p.failed("a", kStart, 1000ms, 15'000ms);
  EXPECT_EQ(p.failed("a", kStart + Penalties::kForget + 1s, 1000ms, 15'000ms), 1000ms);
  p.failed("a", kStart + 11min, 1000ms, 15'000ms);
  p.forgive("a");
  EXPECT_EQ(p.failed("a", kStart + 11min, 1000ms, 15'000ms), 1000ms);
}

TEST(Penalty, GateClosesAfterManyFailuresUntilTheDelayIsOver) {
  Penalties p;
  for (unsigned i = 1; i < Penalties::kFreeFailures; i++) {
    p.failed("a", kStart, 1000ms, 15'000ms);
    EXPECT_EQ(p.gate("a", kStart), 0ms) << i;
  }
  p.failed("a", kStart, 1000ms, 15'000ms);
  EXPECT_EQ(p.gate("a", kStart), 15'000ms);
  EXPECT_EQ(p.gate("a", kStart + 14s), 1000ms);
  EXPECT_EQ(p.gate("a", kStart + 15s), 0ms);
  EXPECT_EQ(p.gate("b", kStart), 0ms);
}

TEST(Penalty, AFloodOfKeysNeitherGrowsTheTableNorDrivesOutAnAttacker) {
  Penalties p;
  for (int i = 0; i < 30; i++) p.failed("attacker", kStart, 1000ms, 15'000ms);
  for (int i = 0; i < 200'000; i++)
    p.failed("x" + std::to_string(i), kStart + 1s, 1000ms, 15'000ms);
  EXPECT_GT(p.gate("attacker", kStart + 2s), 0ms);
}

TEST(Penalty, NetworksShareTheirTurns) {
  EXPECT_EQ(network_of("192.0.2.1"), network_of("192.0.2.254"));
  EXPECT_EQ(network_of("192.0.2.1"), network_of("::ffff:192.0.2.9"));
  EXPECT_NE(network_of("192.0.2.1"), network_of("192.0.20.1"));
  EXPECT_EQ(network_of("2001:db8:1:2::1"), network_of("2001:db8:1:2:ffff::9"));
  EXPECT_NE(network_of("2001:db8:1:2::1"), network_of("2001:db8:1:3::1"));
}

TEST(Penalty, FailuresAreCountedUntilTheyAreForgotten) {
  Penalties p;
  EXPECT_EQ(p.failures("a", kStart), 0u);
  p.failed("a", kStart, 1000ms, 15'000ms);
  p.failed("a", kStart, 1000ms, 15'000ms);
  EXPECT_EQ(p.failures("a", kStart), 2u);
  EXPECT_EQ(p.failures("b", kStart), 0u);
  EXPECT_EQ(p.failures("a", kStart + Penalties::kForget + 1s), 0u);
}

TEST(Penalty, AddressesOfOneIpv6NetworkCountAsOne) {
  EXPECT_EQ(penalty_key("2001:db8:1:2::1"), penalty_key("2001:db8:1:2:ffff::9"));
  EXPECT_NE(penalty_key("2001:db8:1:2::1"), penalty_key("2001:db8:1:3::1"));
  EXPECT_EQ(penalty_key("::ffff:192.0.2.1"), "192.0.2.1");
  EXPECT_EQ(penalty_key("192.0.2.1"), "192.0.2.1");
  EXPECT_TRUE(is_loopback("127.0.0.1"));
  EXPECT_TRUE(is_loopback("::1"));
  EXPECT_TRUE(is_loopback("::ffff:127.9.9.9"));
  EXPECT_FALSE(is_loopback("192.0.2.127"));
  EXPECT_FALSE(is_loopback(""));
}

}  // namespace
}  // namespace rims::auth
