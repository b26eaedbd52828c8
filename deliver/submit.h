// deliver/submit.h - rims-deliver's side of the socket: one question, one answer, a time limit
//
//   Trust    rims-deliverd is trusted to say "delivered" (deliver_link.h); everything that is
//            not a well-formed answer to this very question is doubtful: EX_TEMPFAIL
//   Blocks   by intent: the process does nothing else
#pragma once

#include <chrono>
#include <string>
#include <string_view>

#include "common/ipc/deliver_link.h"
#include "deliver/arguments.h"

namespace rims::deliver {

// Begins the reason when the account is full, and that is for good: RFC 3463 §3.3. An MTA such as
// Postfix takes the code from the beginning of what a command has written.
inline constexpr std::string_view kMailboxFull = "5.2.2 ";

// The status of <sysexits.h> for an answer.
[[nodiscard]] int exit_status(ipc::Delivery status);

// Of arguments that parse_arguments() has taken.
[[nodiscard]] ipc::Submit submission(const Arguments& args, const std::string& recipient,
                                     uint64_t request);

// Sends `what` with the sealed memfd `message` and waits for the answer.
[[nodiscard]] Ending submit(const std::string& socket, const ipc::Submit& what, int message,
                            std::chrono::milliseconds limit);

// One status for all recipients of one run: 75 when one of them should be tried again, else that of
// the first failure. The reason names the recipients that failed when there were several.
[[nodiscard]] Ending combine(const std::vector<std::string>& recipients,
                             const std::vector<Ending>& endings);

}  // namespace rims::deliver
