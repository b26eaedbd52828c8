// common/mail/object_id.cc - a letter, the account in hex, a number

#include "common/mail/object_id.h"

#include <charconv>

#include "common/base/encoding.h"

namespace rims::store {

std::string account_object_id(std::string_view account) { return "a" + to_hex(account); }

std::string mailbox_object_id(std::string_view account, MailboxId mailbox) {
  return "f" + to_hex(account) + "-" + std::to_string(mailbox.value);
}

std::string email_object_id(std::string_view account, MessageId message) {
  return "m" + to_hex(account) + "-" + std::to_string(message.value);
}

std::optional<MessageId> message_of_email_id(std::string_view account, std::string_view id) {
  const size_t dash = id.rfind('-');
  if (dash == id.npos) return std::nullopt;
  uint64_t number = 0;
  const char* end = id.data() + id.size();
  if (std::from_chars(id.data() + dash + 1, end, number).ptr != end) return std::nullopt;
  if (email_object_id(account, MessageId(number)) != id) return std::nullopt;
  return MessageId(number);
}

}  // namespace rims::store
