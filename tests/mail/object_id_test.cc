// tests/mail/object_id_test.cc - ids for ever, in the characters that RFC 8474 allows

#include "common/mail/object_id.h"

#include <cstdint>
#include <set>

#include <gtest/gtest.h>

namespace rims::store {
namespace {

TEST(ObjectId, IsWhatItWasAndNothingElse) {
  const std::string account("\x00\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b\x0c\x0d\x0e\xff", 16);
  EXPECT_EQ(account_object_id(account), "a000102030405060708090a0b0c0d0eff");
  EXPECT_EQ(mailbox_object_id(account, MailboxId(1)), "f000102030405060708090a0b0c0d0eff-1");
  EXPECT_EQ(email_object_id(account, MessageId(20)), "m000102030405060708090a0b0c0d0eff-20");
}

// RFC 8474 section 4.
TEST(ObjectId, HasTheFormOfTheRfc) {
  std::set<std::string> all;
  for (const std::string& account : {std::string(16, '\0'), std::string(16, '\xff')}) {
    all.insert(account_object_id(account));
    for (const uint32_t n : {1U, 11U, UINT32_MAX}) {
      all.insert(mailbox_object_id(account, MailboxId(n)));
      all.insert(email_object_id(account, MessageId(n)));
    }
    all.insert(email_object_id(account, MessageId(UINT64_MAX)));
  }
  EXPECT_EQ(all.size(), 16U) << "one for two";
  for (const auto& id : all) {
    EXPECT_LE(id.size(), 255U);
    EXPECT_EQ(id.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789-_"), id.npos) << id;
    EXPECT_TRUE(id[0] >= 'a' && id[0] <= 'z') << id;
  }
}

TEST(ObjectId, OfAMessageNamesItAgain) {
  const std::string account(16, '\x5a');
  for (const uint64_t n : {uint64_t{1}, uint64_t{20}, UINT64_MAX})
    EXPECT_EQ(message_of_email_id(account, email_object_id(account, MessageId(n))), MessageId(n));
  const std::string id = email_object_id(account, MessageId(20));
  for (const std::string& other :
       {std::string(), std::string("-"), id + "x", "x" + id, id + "-", "f" + id.substr(1),
        email_object_id(std::string(16, 'y'), MessageId(20)), id.substr(0, id.size() - 2) + "020",
        id.substr(0, id.size() - 2) + "18446744073709551636", id.substr(0, id.size() - 2)})
    EXPECT_EQ(message_of_email_id(account, other), std::nullopt) << other;
}

}  // namespace
}  // namespace rims::store
