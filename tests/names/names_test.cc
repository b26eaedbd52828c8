// tests/names/names_test.cc - which names are the same, and which are none

#include "common/names/names.h"

#include <gtest/gtest.h>

#include "common/ipc/auth_link.h"

namespace rims::names {
namespace {

TEST(Names, OfOneUserAreTheSameInAnyCaseAndForm) {
  const std::vector<std::vector<const char*>> same = {
      {"bob", "Bob", "BOB"},
      {"jos\xc3\xa9", "JOS\xc3\x89", "jose\xcc\x81", "JOSE\xcc\x81"},  // é
      {"stra\xc3\x9f"
       "e",
       "STRASSE", "Strasse"},                                       // ß
      {"\xce\xa3\xce\xaf\xcf\x83\xcf\x85\xcf\x86\xce\xbf\xcf\x82",  // a final sigma
       "\xce\xa3\xce\x8a\xce\xa3\xce\xa5\xce\xa6\xce\x9f\xce\xa3"},
      {"\xe1\xbe\xb3\xcc\x81", "\xe1\xbe\xb4", "\xce\x91\xcc\x81\xcd\x85"},  // ᾴ, of three marks
      {"\xe2\x84\xab", "\xc3\x85", "a\xcc\x8a"},                             // Å, the unit
  };
  for (const auto& group : same)
    for (const char* name : group) {
      EXPECT_TRUE(folded(name)) << name;
      EXPECT_EQ(folded(name), folded(group.front())) << name;
    }
  for (size_t i = 0; i < same.size(); i++)
    for (size_t j = 0; j < i; j++)
      EXPECT_NE(folded(same[i].front()), folded(same[j].front())) << i << " " << j;
  EXPECT_NE(folded("jose"), folded("jos\xc3\xa9"));
  EXPECT_EQ(folded(*folded("\xc3\x89")), folded("\xc3\x89"));
}

TEST(Names, AnAccountIsCalledAsItIsWrittenInNfc) {
  EXPECT_EQ(account_name("Bob"), "Bob");
  EXPECT_EQ(account_name("Jose\xcc\x81"), "Jos\xc3\xa9");
}

TEST(Names, OtherTextsAreComposedAndStayAsTheyAreIfTheyAreNoUtf8) {
  EXPECT_EQ(composed(""), "");
  EXPECT_EQ(composed("a\nB"), "a\nB");
  EXPECT_EQ(composed("Lists/Jose\xcc\x81"), "Lists/Jos\xc3\xa9");
  EXPECT_EQ(composed("o\xcc\x81\xff"), "o\xcc\x81\xff");
}

TEST(Names, WhatIsNoNameIsNone) {
  for (const char* bad : {"", "a\nb", "a\x7f", "\xc2\x80", "\xff", "\xed\xa0\x80", "a\xc3"}) {
    EXPECT_EQ(account_name(bad), std::nullopt);
    EXPECT_EQ(folded(bad), std::nullopt);
  }
  EXPECT_TRUE(folded(std::string(ipc::kMaxUserName, 'x')));
  EXPECT_FALSE(folded(std::string(ipc::kMaxUserName + 1, 'x')));
  // Three bytes become six: the name would be too long for an account.
  std::string grows;
  while (grows.size() + 3 <= ipc::kMaxUserName) grows += "\xe0\xa5\x98";
  EXPECT_EQ(account_name(grows), std::nullopt);
  EXPECT_EQ(folded(grows), std::nullopt);
}

TEST(Domains, CompareAsIdna) {
  for (const char* same : {"b\xc3\xbc"
                           "cher.example",
                           "B\xc3\x9c"
                           "CHER.Example",
                           "xn--bcher-kva.example", "XN--BCHER-KVA.EXAMPLE",
                           "bu\xcc\x88"
                           "cher.example.",
                           "b\xc3\xbc"
                           "cher\xe3\x80\x82"
                           "example"})
    EXPECT_EQ(domain(same), "xn--bcher-kva.example") << same;
  EXPECT_EQ(domain("EXAMPLE.org"), "example.org");
  EXPECT_EQ(domain("fa\xc3\x9f.de"), "xn--fa-hia.de") << "as IDNA of 2008 has it, not \"fass\"";
  EXPECT_EQ(domain("a_b.local"), "a_b.local");
  EXPECT_EQ(domain("[192.0.2.1]"), "[192.0.2.1]");
  for (const char* bad : {"", ".", "a..b", "xn--\xc3\xbc.example", "xn--0.example", "\xff.org"})
    EXPECT_EQ(domain(bad), std::nullopt) << bad;
  EXPECT_EQ(domain(std::string(64, 'x') + ".org"), std::nullopt);
}

config::Config parsed(const std::string& text) {
  auto config = config::parse(text, "c.yml", "/");
  EXPECT_TRUE(config) << config.error().reply();
  return std::move(*config);
}

TEST(Check, NamesBothLinesOfUsersThatAreTheSame) {
  const auto done =
      check(parsed("user_list:\n"
                   "  - {user: Jos\xc3\x89, pass: x}\n"
                   "  - {user: foo, pass: x}\n"
                   "  - {user: jose\xcc\x81, pass: x}\n"
                   "  - {user: FOO, pass: x}\n"
                   "delivery: {domains: [example.org, a..b]}\n"));
  ASSERT_FALSE(done);
  EXPECT_EQ(
      done.error().reply(),
      "c.yml:4:5: the users \"jose\xcc\x81\" and \"Jos\xc3\x89\" (line 2) are the same: names "
      "are compared without case and in Unicode's form NFC\n"
      "c.yml:5:5: the users \"FOO\" and \"foo\" (line 3) are the same: names are compared "
      "without case and in Unicode's form NFC\n"
      "c.yml:6:12: delivery.domains: \"a..b\" can not be a domain");
  EXPECT_TRUE(
      check(parsed("user_list: [{user: a, pass: x}, {user: b, pass: x}]\n"
                   "delivery: {domains: [\"b\xc3\xbc"
                   "cher.example\"]}\n")));
}

TEST(AccountOf, IsWhatTheConfigurationSays) {
  const auto config = parsed("user_list: [{user: Bob, pass: x}, {user: Jose\xcc\x81, pass: x}]\n");
  EXPECT_EQ(account_of(config, "bOB"), "Bob");
  EXPECT_EQ(account_of(config, "JOS\xc3\x89"), "Jos\xc3\xa9");
  EXPECT_EQ(account_of(config, "Zoe"), std::nullopt);
  EXPECT_EQ(account_of(config, "\xff"), std::nullopt);
}

}  // namespace
}  // namespace rims::names
