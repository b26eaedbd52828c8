// tests/base/network_test.cc - addresses and networks as people write them

#include "common/base/network.h"

#include <gtest/gtest.h>

namespace rims {
namespace {

TEST(Network, ContainsItsAddressesAndNoOthers) {
  const struct {
    const char *network, *inside, *outside;
  } rows[] = {
      {"192.0.2.7", "192.0.2.7", "192.0.2.6"},
      {"192.0.2.0/24", "192.0.2.255", "192.0.3.0"},
      {"192.0.2.128/25", "192.0.2.128", "192.0.2.127"},
      {"0.0.0.0/0", "203.0.113.1", "2001:db8::1"},
      {"2001:db8::/32", "2001:db8:ffff::1", "2001:db9::"},
      {"::1", "::1", "::2"},
      {"::ffff:192.0.2.0/120", "192.0.2.1", "192.0.3.1"},
      {"192.0.2.0/24", "::ffff:192.0.2.1", "::ffff:192.0.3.1"},
  };
  for (const auto& row : rows) {
    const auto network = Network::of(row.network);
    ASSERT_TRUE(network) << row.network;
    EXPECT_TRUE(network->contains(row.inside)) << row.network;
    EXPECT_FALSE(network->contains(row.outside)) << row.network;
  }
}

TEST(Network, WhatIsNoneIsRefused) {
  for (const char* text :
       {"", "/", "localhost", "192.0.2", "192.0.2.7/33", "192.0.2.7/24", "::/129", "192.0.2.0/",
        "192.0.2.0/+8", "192.0.2.0/8x", "2001:db8::1/32", " ::1"})
    EXPECT_FALSE(Network::of(text)) << text;
  EXPECT_FALSE(Network::of("0.0.0.0/0")->contains("192.0.2.0/24"));
  EXPECT_FALSE(Network::of("0.0.0.0/0")->contains("a name"));
}

TEST(Network, LoopbackIsThisMachineOnly) {
  for (const char* text : {"127.0.0.1", "127.255.0.3", "127.0.0.0/8", "::1", "::ffff:127.0.0.1"})
    EXPECT_TRUE(Network::of(text)->is_loopback()) << text;
  for (const char* text : {"0.0.0.0", "126.0.0.1", "0.0.0.0/0", "::", "::2", "2001:db8::1"})
    EXPECT_FALSE(Network::of(text)->is_loopback()) << text;
}

}  // namespace
}  // namespace rims
