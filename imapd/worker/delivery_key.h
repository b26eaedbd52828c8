// imapd/worker/delivery_key.h - what makes a delivery the same one again
//
// An MTA repeats a delivery whose answer it did not get. Then the same are: its id of the message
// (the queue id), the recipient as the MTA has it, the mailbox asked for, and the bytes.
//
//   The id alone will not do: short queue ids come again, and some MTAs give every recipient's copy
//   the same. The bytes alone will not do: who sends the same text twice sends two mails.
//   The recipient and not only the account: one mail to two addresses of one user is delivered
//   twice, by two commands, and both have been acknowledged.
//   The mailbox: what is to be put into two is.
//   The sender not: it belongs to the id.
//
// Without an id there is no key: nothing tells a repetition from a second mail.
#pragma once

#include <string_view>

#include "common/mail/types.h"

namespace rims::imapd {

// All zeros, none, when `id` is empty. Takes its time for a large message.
[[nodiscard]] store::DeliveryKey delivery_key(std::string_view recipient, std::string_view mailbox,
                                              std::string_view id, std::string_view message);

}  // namespace rims::imapd
