// common/mail/object_id.h - permanent ids of accounts, mailboxes and messages (RFC 8474)
//
// Made of the account's id (records.h, AccountNamed) and of numbers that are never given out twice
// in an account. So a rename changes no id, and copies of a message share one. Lower case only, so
// that it does not matter whether clients compare case.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "common/base/strong.h"

namespace rims::store {

// `account`: its 16 bytes.
[[nodiscard]] std::string account_object_id(std::string_view account);
[[nodiscard]] std::string mailbox_object_id(std::string_view account, MailboxId mailbox);
[[nodiscard]] std::string email_object_id(std::string_view account, MessageId message);
// The message that has this id, if it is one of the account's.
[[nodiscard]] std::optional<MessageId> message_of_email_id(std::string_view account,
                                                           std::string_view id);

}  // namespace rims::store
