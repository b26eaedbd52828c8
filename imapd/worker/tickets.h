// imapd/worker/tickets.h - which handovers rims-auth has vouched for
//
//   Trust   tickets come from rims-auth alone (ipc/auth_link.h); what presents them is untrusted.
//   Rules   a ticket is good once, and for kTicketLifeMs. Only its hash is kept, so neither the
//           memory of this process nor the time that a lookup takes tells a good one.
#pragma once

#include <chrono>
#include <cstddef>
#include <deque>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>

#include "common/ipc/auth_link.h"

namespace rims::imapd {

class Tickets {
 public:
  using Time = std::chrono::steady_clock::time_point;

  struct Grant {
    std::string user;
    bool post_only = false;
  };

  void add(const ipc::Ticket& ticket, Time now);
  // Uses the ticket up; nullopt when it was never given, was used, or is too old.
  [[nodiscard]] std::optional<Grant> take(std::string_view ticket, Time now);
  // Forgets what was granted to this user.
  void revoke(std::string_view user);
  [[nodiscard]] size_t size() const { return grants_.size(); }

 private:
  struct Entry {
    Grant grant;
    Time expires;
  };
  void drop_old(Time now);

  std::unordered_map<std::string, Entry> grants_;       // by SHA-256 of the ticket
  std::deque<std::pair<Time, std::string>> by_expiry_;  // the same life for all: in order
};

}  // namespace rims::imapd
