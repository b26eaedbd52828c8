// tests/users/records_test.cc - the bytes of the records of the user directory

#include "common/users/records.h"

#include <gtest/gtest.h>

#include "common/base/encoding.h"

namespace rims::users {
namespace {

User someone() {
  User user;
  user.id = 7;
  user.name = "foo";
  user.hash.value = Secret("$x");
  user.disabled = true;
  user.quota_bytes = 5;
  user.created = 9;
  user.addresses.value.emplace_back("a@example.org");
  return user;
}

TEST(UsersRecords, EachComesBackAsItWas) {
  const auto record = decode(encode(someone()));
  ASSERT_TRUE(record);
  const User& user = std::get<User>(*record);
  EXPECT_EQ(user.id, 7u);
  EXPECT_EQ(user.name.value, "foo");
  EXPECT_EQ(user.hash.value.reveal(), "$x");
  EXPECT_TRUE(user.disabled);
  EXPECT_EQ(user.quota_bytes, 5u);
  EXPECT_EQ(user.quota_messages, kAsConfigured);
  EXPECT_EQ(user.addresses.value, someone().addresses.value);
  EXPECT_EQ(encode(user), encode(someone()));
  EXPECT_EQ(encode(user.clone()), encode(someone()));

  const auto gone = decode(encode(UserGone{.id = 3}));
  ASSERT_TRUE(gone);
  EXPECT_EQ(std::get<UserGone>(*gone).id, 3u);
  const auto snapshot = decode(encode(Snapshot{.users = 1, .domains = 2, .last_id = 3}));
  ASSERT_TRUE(snapshot);
  EXPECT_EQ(std::get<Snapshot>(*snapshot).domains, 2u);
}

// A change of these bytes is a change of the format.
TEST(UsersRecords, TheBytesAreThoseOfTheDocument) {
  EXPECT_EQ(to_hex(encode(someone())),
            "0001"              // kind
            "01"                // version
            "0000000000000007"  // id
            "00000003666f6f"    // name
            "000000022478"      // hash
            "01"                // disabled
            "0000000000000005"  // quota: bytes
            "ffffffffffffffff"  // messages
            "0000000000000009"  // created
            "0000000000000000"  // removed
            "00000001"          // addresses
            "0000000d61406578616d706c652e6f7267");
  EXPECT_EQ(to_hex(encode(UserGone{.id = 1})), "0002010000000000000001");
  EXPECT_EQ(to_hex(encode(DomainGone{.name = "a.b"})), "00040100000003612e62");
}

TEST(UsersRecords, WhatMayBeLeftOutIsIgnored) {
  const auto record = decode(std::string("\x80\x01\x09 anything", 12));
  ASSERT_TRUE(record);
  EXPECT_TRUE(std::holds_alternative<Ignored>(*record));
}

TEST(UsersRecords, WhatIsNotUnderstoodIsAnError) {
  EXPECT_FALSE(decode(""));
  EXPECT_FALSE(decode(std::string("\0\1", 2)));
  EXPECT_FALSE(decode(std::string("\0\x63\1", 3))) << "an unknown kind";
  std::string later = encode(UserGone{.id = 1});
  later[2] = 2;
  EXPECT_FALSE(decode(later)) << "a later version";
  later[2] = 0;
  EXPECT_FALSE(decode(later)) << "no version";
}

// Damage that the checksum did not find, or a mistake of ours: never more than an error.
TEST(UsersRecords, CutAtEveryByteAndWithEveryBitWrongItIsReadOrRefused) {
  const std::string whole = encode(someone());
  for (size_t size = 0; size < whole.size(); size++)
    EXPECT_FALSE(decode(std::string_view(whole).substr(0, size))) << size;
  EXPECT_FALSE(decode(whole + "x"));
  for (size_t bit = 0; bit < whole.size() * 8; bit++) {
    std::string wrong = whole;
    wrong[bit / 8] = static_cast<char>(wrong[bit / 8] ^ (1 << bit % 8));
    if (const auto read = decode(wrong); read && std::holds_alternative<User>(*read)) {
      EXPECT_EQ(encode(std::get<User>(*read)), wrong) << bit;
    }
  }
}

TEST(UsersRecords, AddressesCompareByTheirKey) {
  EXPECT_EQ(address_key("Info@Example.ORG"), "info@example.org");
  EXPECT_EQ(address_key("\xc3\x84gid@example.org"), "\xc3\xa4gid@example.org") << "UTF-8, folded";
  EXPECT_EQ(address_key("A\xcc\x88gid@example.org"), address_key("\xc3\xa4gid@example.org"))
      << "NFC";
  EXPECT_EQ(address_key("a@b\xc3\xbc"
                        "cher.example"),
            "a@xn--bcher-kva.example")
      << "IDNA";
  EXPECT_EQ(address_key("\"a@b\"@example.org"), "\"a@b\"@example.org");
  for (const char* none :
       {"", "a", "@example.org", "a@", "a@ex ample", "a\x01@example.org", "\xff@example.org"})
    EXPECT_FALSE(address_key(none)) << none;
  EXPECT_FALSE(address_key(std::string(320, 'a') + "@example.org"));
}

}  // namespace
}  // namespace rims::users
