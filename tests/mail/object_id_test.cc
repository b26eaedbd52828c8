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

}  // namespace
}  // namespace rims::store
