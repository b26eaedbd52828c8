// tests/imapd/worker/tickets_test.cc - a ticket is good once, and not for long

#include "imapd/worker/tickets.h"

#include <gtest/gtest.h>

#include "common/base/encoding.h"

namespace rims::imapd {
namespace {

TEST(Tickets, AreGoodOnceAndNotForLong) {
  crypto_init();
  Tickets tickets;
  const auto now = Tickets::Time() + std::chrono::hours(1);
  const auto give = [&](const char* secret) {
    ipc::Ticket ticket;
    ticket.ticket.value = Secret(secret);
    ticket.user = "foo";
    tickets.add(ticket, now);
  };
  give("a");
  give("b");
  EXPECT_FALSE(tickets.take("c", now));
  const auto grant = tickets.take("a", now + std::chrono::milliseconds(ipc::kTicketLifeMs - 1));
  ASSERT_TRUE(grant);
  EXPECT_EQ(grant->user, "foo");
  EXPECT_FALSE(tickets.take("a", now));
  EXPECT_FALSE(tickets.take("b", now + std::chrono::milliseconds(ipc::kTicketLifeMs)));
  EXPECT_EQ(tickets.size(), 0U);
}

}  // namespace
}  // namespace rims::imapd
