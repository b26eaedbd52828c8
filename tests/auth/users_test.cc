// tests/auth/users_test.cc - names, proofs and recipients

#include "auth/users.h"

#include <gtest/gtest.h>

#include "common/base/encoding.h"
#include "common/password/password.h"

namespace rims::auth {
namespace {

using namespace std::chrono_literals;
using Proof = Users::Proof;
const Time kStart{100h};

config::User user(const std::string& name, const std::string& password, bool hashed = false) {
  config::User u;
  u.name = name;
  u.password.value = Secret(password);
  u.hashed = hashed;
  return u;
}

config::AuthPart part_of(std::initializer_list<std::pair<const char*, const char*>> plain) {
  crypto_init();
  config::AuthPart part;
  for (const auto& [name, password] : plain) part.users.value.push_back(user(name, password));
  part.delivery_user = "#postman";
  part.recipient_delimiter = "+";
  part.cache_lifetime_s = 60;
  return part;
}

TEST(UsersTest, APlainPasswordIsProvenAtOnce) {
  Users users(part_of({{"foo", "bar"}, {"baz", "bar2"}}));
  const auto foo = users.find("foo");
  EXPECT_TRUE(foo.exists);
  EXPECT_EQ(users.prove_fast(foo, "bar", kStart), Proof::right);
  EXPECT_EQ(users.prove_fast(foo, "bar ", kStart), Proof::wrong);
  EXPECT_EQ(users.prove_fast(foo, "", kStart), Proof::wrong);
  EXPECT_EQ(users.prove_fast(foo, "bar2", kStart), Proof::wrong);
  EXPECT_EQ(users.prove_fast(foo, std::string("bar\0", 4), kStart), Proof::wrong);
}

TEST(UsersTest, WhoDoesNotExistIsComparedWithAStandInAndNeverProven) {
  Users users(part_of({{"foo", "bar"}}));
  for (const char* name : {"nobody", "FOO", "foo ", "fo"}) {
    const auto candidate = users.find(name);
    EXPECT_FALSE(candidate.exists) << name;
    EXPECT_EQ(users.prove_fast(candidate, "bar", kStart), Proof::wrong);
    EXPECT_FALSE(users.prove_cram_md5(candidate, "", ""));
  }
  Users none(part_of({}));
  EXPECT_EQ(none.prove_fast(none.find("foo"), "", kStart), Proof::wrong);
}

TEST(UsersTest, AStandInNeedsTheSameWorkAsTheUserItStandsFor) {
  config::AuthPart part = part_of({});
  part.users.value.push_back(user("foo", *password::make("bar"), true));
  Users users(std::move(part));
  EXPECT_EQ(users.prove_fast(users.find("foo"), "x", kStart), Proof::needs_hash);
  EXPECT_EQ(users.prove_fast(users.find("nobody"), "x", kStart), Proof::needs_hash);
  EXPECT_EQ(users.stored_hash(users.find("nobody")), users.stored_hash(users.find("foo")));
}

TEST(UsersTest, AProvenHashIsRememberedForItsUserAndAWhileOnly) {
  config::AuthPart part = part_of({});
  const std::string hash = *password::make("bar");
  part.users.value.push_back(user("a", hash, true));
  part.users.value.push_back(user("b", hash, true));
  Users users(std::move(part));
  const auto a = users.find("a"), b = users.find("b");
  users.remember(a, "bar", kStart);
  EXPECT_EQ(users.prove_fast(a, "bar", kStart), Proof::right);
  EXPECT_EQ(users.prove_fast(a, "baz", kStart), Proof::needs_hash);
  EXPECT_EQ(users.prove_fast(b, "bar", kStart), Proof::needs_hash) << "A's success serves B";
  EXPECT_EQ(users.prove_fast(a, "bar", kStart + 59s), Proof::right);
  EXPECT_EQ(users.prove_fast(a, "bar", kStart + 60s), Proof::needs_hash);

  // A stand-in for a proven user is still nobody.
  for (int i = 0; i < 50; i++) {
    const auto nobody = users.find("n" + std::to_string(i));
    users.remember(nobody, "bar", kStart);
    EXPECT_EQ(users.prove_fast(nobody, "bar", kStart), Proof::needs_hash);
  }
}

TEST(UsersTest, CramMd5NeedsTheRightDigestOfAPlainPassword) {  // RFC 2195 §2
  config::AuthPart part = part_of({{"tim", "tanstaaftanstaaf"}});
  part.users.value.push_back(user("hashed", *password::make("tanstaaftanstaaf"), true));
  Users users(std::move(part));
  const std::string challenge = "<1896.697170952@postoffice.reston.mci.net>";
  const std::string digest = "b913a602c7eda7a495b4e6e7334d3890";
  EXPECT_TRUE(users.prove_cram_md5(users.find("tim"), challenge, digest));
  EXPECT_TRUE(
      users.prove_cram_md5(users.find("tim"), challenge, "B913A602C7EDA7A495B4E6E7334D3890"));
  EXPECT_FALSE(users.prove_cram_md5(users.find("tim"), challenge + "x", digest));
  EXPECT_FALSE(users.prove_cram_md5(users.find("tim"), challenge, digest.substr(1)));
  EXPECT_FALSE(users.prove_cram_md5(users.find("tim"), challenge, ""));
  EXPECT_FALSE(users.prove_cram_md5(users.find("tom"), challenge, digest));
  EXPECT_FALSE(users.prove_cram_md5(users.find("hashed"), challenge, digest));
}

TEST(UsersTest, RecipientsNameUsers) {
  config::AuthPart part =
      part_of({{"foo", "x"}, {"a+b", "x"}, {"me@own.example", "x"}, {"#postman", "x"}});
  part.domains.value.emplace_back("example.org");
  const Users users(std::move(part));
  EXPECT_EQ(users.recipient("foo"), "foo");
  EXPECT_EQ(users.recipient("FOO"), "foo");
  EXPECT_EQ(users.recipient("foo@example.org"), "foo");
  EXPECT_EQ(users.recipient("Foo@EXAMPLE.org"), "foo");
  EXPECT_EQ(users.recipient("foo+lists@example.org"), "foo");
  EXPECT_EQ(users.recipient("foo+lists"), "foo");
  EXPECT_EQ(users.recipient("a+b@example.org"), "a+b") << "the exact name first";
  EXPECT_EQ(users.recipient("me@own.example"), "me@own.example");
  for (const char* no : {"foo@other.example", "", "@example.org", "+foo@example.org", "bar", "foo@",
                         "foo@example.org@x", "fo\xff", "#postman", "#postman@example.org"})
    EXPECT_EQ(users.recipient(no), "") << no;
  const Users any(part_of({{"foo", "x"}}));
  EXPECT_EQ(any.recipient("foo@whatever.example"), "foo") << "no domains: the MTA has chosen";
}

TEST(UsersTest, NamesCompareWithoutCaseAndForm) {
  const Users users(part_of({{"Bob", "x"}, {"Jose\xcc\x81", "x"}, {"#Postman", "x"}}));
  for (const char* name : {"bob", "BOB", "Bob@example.org", "bOB+lists"})
    EXPECT_EQ(users.recipient(name), "Bob") << name;
  for (const char* name : {"jose\xcc\x81", "JOS\xc3\x89", "jos\xc3\xa9@example.org"})
    EXPECT_EQ(users.recipient(name), "Jos\xc3\xa9") << name;
  EXPECT_EQ(users.recipient("#postman"), "") << "the delivery user, whatever its case";
  EXPECT_EQ(users.recipient("Jose"), "");
  EXPECT_EQ(users.name_of(users.find("bob")), "Bob");
  EXPECT_TRUE(users.is_delivery_user(users.find("#postman")));
  EXPECT_FALSE(users.is_delivery_user(users.find("bob")));
  EXPECT_FALSE(users.is_delivery_user(users.find("nobody")));
}

TEST(UsersTest, DomainsCompareAsIdna) {
  config::AuthPart part = part_of({{"foo", "x"}});
  part.domains.value.emplace_back(
      "b\xc3\xbc"
      "cher.example");
  part.domains.value.emplace_back("xn--caf-dma.example");
  const Users users(std::move(part));
  for (const char* ours :
       {"foo@b\xc3\xbc"
        "cher.example",
        "foo@XN--BCHER-KVA.Example", "foo@CAF\xc3\x89.example", "foo@xn--caf-dma.example."})
    EXPECT_EQ(users.recipient(ours), "foo") << ours;
  for (const char* other : {"foo@bucher.example", "foo@xn--0.example", "foo@", "foo@\xff"})
    EXPECT_EQ(users.recipient(other), "") << other;
}

}  // namespace
}  // namespace rims::auth
