// common/message/address.h - address lists of RFC 5322 §3.4 and §4.4, as ENVELOPE wants them
//
//   Accepts whatever people and attackers write in From, To, Cc: comments, quoted pairs, groups,
//   routes, missing parts. Encoded words stay as they are (RFC 3501 §7.4.2 shows them raw).
#pragma once

#include <cstddef>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace rims::message {

// One row of an ENVELOPE address list. The start of a group is {mailbox: its name} with host
// NIL, its end has all four NIL (RFC 3501 §7.4.2).
struct Address {
  enum class Row : unsigned char { mailbox, group_start, group_end };
  Row row = Row::mailbox;
  std::string name;           // display name, or the comment that served as one; empty is NIL
  std::string route;          // RFC 5322 §4.4 "@a,@b"; empty is NIL
  std::string mailbox, host;  // MISSING_MAILBOX, MISSING_DOMAIN when missing
};

// Calls `take` for each row, at most `max` times; an unfinished group is closed within them.
// Linear, in memory of one row.
void for_each_address(std::string_view value, size_t max,
                      const std::function<void(const Address&)>& take);

[[nodiscard]] std::vector<Address> parse_addresses(std::string_view value, size_t max = 10'000);

}  // namespace rims::message
