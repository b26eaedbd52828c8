// imapd/worker/tickets.cc - tickets that are good once and not for long

#include "imapd/worker/tickets.h"

#include <utility>

#include "common/base/encoding.h"

namespace rims::imapd {

void Tickets::drop_old(Time now) {
  while (!by_expiry_.empty() && by_expiry_.front().first <= now) {
    grants_.erase(by_expiry_.front().second);
    by_expiry_.pop_front();
  }
}

void Tickets::add(const ipc::Ticket& ticket, Time now) {
  drop_old(now);
  const Time expires = now + std::chrono::milliseconds(ipc::kTicketLifeMs);
  const std::string key = sha256(ticket.ticket.value.reveal());
  Entry entry{.grant = {.user = ticket.user.value, .post_only = ticket.post_only},
              .expires = expires};
  if (grants_.emplace(key, std::move(entry)).second) by_expiry_.emplace_back(expires, key);
}

void Tickets::revoke(std::string_view user) {
  std::erase_if(grants_, [user](const auto& item) { return item.second.grant.user == user; });
}

std::optional<Tickets::Grant> Tickets::take(std::string_view ticket, Time now) {
  drop_old(now);
  const auto found = grants_.find(sha256(ticket));
  if (found == grants_.end()) return std::nullopt;
  Grant grant = std::move(found->second.grant);
  grants_.erase(found);
  return grant;
}

}  // namespace rims::imapd
