// common/mail/object_id.cc - a letter, the account in hex, a number

#include "common/mail/object_id.h"

#include "common/base/encoding.h"

namespace rims::store {

std::string account_object_id(std::string_view account) { return "a" + to_hex(account); }

std::string mailbox_object_id(std::string_view account, MailboxId mailbox) {
  return "f" + to_hex(account) + "-" + std::to_string(mailbox.value);
}

std::string email_object_id(std::string_view account, MessageId message) {
  return "m" + to_hex(account) + "-" + std::to_string(message.value);
}

}  // namespace rims::store
