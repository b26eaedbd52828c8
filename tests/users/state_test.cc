// tests/users/state_test.cc - folding: what the records of the user directory come to

#include "common/users/state.h"

#include <algorithm>
#include <map>
#include <random>

#include <fmt/core.h>
#include <gtest/gtest.h>

namespace rims::users {
namespace {

User user(uint64_t id, std::string name, std::vector<std::string> addresses = {}) {
  User made;
  made.id = id;
  made.name = std::move(name);
  made.hash.value = Secret("$hash");
  for (std::string& address : addresses) made.addresses.value.emplace_back(std::move(address));
  return made;
}

Domain domain(std::string name, std::string alias_of = {}, uint64_t catch_all = 0) {
  return {.name = std::move(name), .alias_of = std::move(alias_of), .catch_all = catch_all};
}

class UsersState : public ::testing::Test {
 protected:
  template <class R>
  void add(const R& record) {
    const Status done = state.apply(++seq, encode(record), &remarks);
    ASSERT_TRUE(done) << done.error().reply();
  }
  std::string name_of(const User* found) { return found ? found->name.value : "nobody"; }
  std::string recipient(std::string_view address, bool catch_all = true) {
    return name_of(state.recipient(address, "+", catch_all));
  }

  State state;
  uint64_t seq = 0;
  std::vector<std::string> remarks;
};

TEST_F(UsersState, UsersAreFoundByNameIdAndAddress) {
  add(user(1, "Foo", {"Info@Example.org"}));
  EXPECT_EQ(name_of(state.find("foo")), "Foo");
  EXPECT_EQ(name_of(state.find_id(1)), "Foo");
  EXPECT_EQ(name_of(state.find_address("info@example.org")), "Foo");
  EXPECT_EQ(state.find("bar"), nullptr);
}

TEST_F(UsersState, ALaterEntryReplacesTheWholeOfTheEarlierOne) {
  add(user(1, "foo", {"a@example.org", "b@example.org"}));
  add(user(1, "bar", {"b@example.org", "c@example.org"}));
  EXPECT_EQ(state.size(), 1u);
  EXPECT_EQ(state.find("foo"), nullptr);
  EXPECT_EQ(name_of(state.find("bar")), "bar");
  EXPECT_EQ(state.find_address("a@example.org"), nullptr);
  EXPECT_EQ(name_of(state.find_address("b@example.org")), "bar");
  EXPECT_EQ(name_of(state.find_address("c@example.org")), "bar");
  EXPECT_TRUE(remarks.empty());
}

TEST_F(UsersState, WhoIsGoneLeavesNothing) {
  add(user(1, "foo", {"a@example.org"}));
  add(user(2, "bar"));
  add(UserGone{.id = 1});
  EXPECT_EQ(state.find("foo"), nullptr);
  EXPECT_EQ(state.find_address("a@example.org"), nullptr);
  EXPECT_EQ(state.any(0).name.value, "bar");
  EXPECT_EQ(state.last_id(), 2u);
  add(UserGone{.id = 2});
  EXPECT_EQ(state.size(), 0u);
  EXPECT_EQ(state.last_id(), 2u) << "a number is not given twice";
}

TEST_F(UsersState, MailFindsAddressesNamesAndLabels) {
  add(user(1, "foo", {"info@example.org", "odd+one@example.org"}));
  add(user(2, "bar@example.org"));
  EXPECT_EQ(recipient("INFO@example.org"), "foo");
  EXPECT_EQ(recipient("info+x@example.org"), "foo");
  EXPECT_EQ(recipient("odd+one@example.org"), "foo") << "the whole address before a part of it";
  EXPECT_EQ(recipient("bar@EXAMPLE.org"), "bar@example.org");
  EXPECT_EQ(recipient("bar+x@example.org"), "bar@example.org");
  EXPECT_EQ(recipient("info@example.net"), "nobody");
  EXPECT_EQ(recipient("info"), "nobody");
  EXPECT_EQ(recipient("+x@example.org"), "nobody");
}

TEST_F(UsersState, AliasesOfDomainsAndCatchAll) {
  add(user(1, "foo", {"info@example.org"}));
  add(user(2, "rest"));
  add(domain("example.org", "", 2));
  add(domain("xn--bcher-kva.example", "example.org"));
  EXPECT_EQ(recipient("info@b\xc3\xbc"
                      "cher.example"),
            "foo");
  EXPECT_EQ(recipient("other@b\xc3\xbc"
                      "cher.example"),
            "rest");
  EXPECT_EQ(recipient("other@example.org"), "rest");
  EXPECT_EQ(recipient("other@example.org", false), "nobody");
  EXPECT_EQ(recipient("other@example.net"), "nobody");
  add(UserGone{.id = 2});
  EXPECT_EQ(recipient("other@example.org"), "nobody");
  add(DomainGone{.name = "xn--bcher-kva.example"});
  EXPECT_EQ(recipient("info@xn--bcher-kva.example"), "nobody");
}

TEST_F(UsersState, ARemovedUserGetsNoMailAndKeepsNameAndAddresses) {
  User removed = user(1, "foo", {"info@example.org"});
  removed.removed = 5;
  add(removed);
  EXPECT_EQ(recipient("info@example.org"), "nobody");
  EXPECT_NE(state.find("foo"), nullptr);
  EXPECT_NE(state.find_address("info@example.org"), nullptr);
  EXPECT_FALSE(state.find("foo")->may_log_in());
}

TEST_F(UsersState, ARecordThatCanNotBeUsedCostsItselfOnly) {
  add(user(1, "foo"));
  EXPECT_FALSE(state.apply(++seq, "rubbish"));
  EXPECT_FALSE(state.apply(++seq, encode(user(0, "nobody"))));
  EXPECT_FALSE(state.apply(++seq, encode(user(9, "\xff"))));
  EXPECT_FALSE(state.apply(++seq, encode(Snapshot{.users = UINT64_MAX, .domains = 2})));
  add(user(2, "bar"));
  EXPECT_EQ(state.size(), 2u);
}

// The record by which the first one got another name, or was removed, is lost.
TEST_F(UsersState, TheLaterOfTwoClaimsWins) {
  add(user(1, "foo", {"info@example.org", "own@example.org"}));
  add(user(2, "bar", {"info@example.org"}));
  EXPECT_EQ(name_of(state.find_address("info@example.org")), "bar");
  EXPECT_EQ(name_of(state.find_address("own@example.org")), "foo");
  EXPECT_EQ(state.find("foo")->addresses.value.size(), 1u);
  add(user(3, "FOO"));
  EXPECT_EQ(name_of(state.find("foo")), "FOO");
  EXPECT_EQ(state.find_id(1), nullptr);
  EXPECT_EQ(state.find_address("own@example.org"), nullptr);
  EXPECT_EQ(remarks.size(), 2u);
}

TEST_F(UsersState, ASnapshotAloneGivesTheSameState) {
  add(user(1, "foo", {"info@example.org"}));
  add(user(4, "bar"));
  add(user(5, "gone"));
  add(UserGone{.id = 5});
  add(domain("example.org", "", 4));
  State again;
  uint64_t number = 100;
  for (const std::string& record : state.snapshot()) ASSERT_TRUE(again.apply(number++, record));
  again.folded_all();
  EXPECT_EQ(again.snapshot(), state.snapshot());
  EXPECT_EQ(again.last_id(), 5u);
}

TEST_F(UsersState, AWholeSnapshotRemovesWhatItDoesNotHave) {
  add(user(1, "foo"));
  add(user(2, "gone"));
  add(domain("gone.example"));
  add(domain("example.org"));
  State later;  // as above, but two records were lost that this one had
  ASSERT_TRUE(later.apply(1, encode(user(1, "foo"))));
  ASSERT_TRUE(later.apply(2, encode(domain("example.org"))));
  for (const std::string& record : later.snapshot()) ASSERT_TRUE(state.apply(++seq, record));
  add(user(3, "new"));
  EXPECT_EQ(state.find("gone"), nullptr);
  EXPECT_EQ(state.find_domain("gone.example"), nullptr);
  EXPECT_NE(state.find("foo"), nullptr);
  EXPECT_NE(state.find("new"), nullptr);
  EXPECT_NE(state.find_domain("example.org"), nullptr);
}

TEST_F(UsersState, ASnapshotWithDamageRemovesNobody) {
  add(user(1, "foo"));
  add(user(2, "bar"));
  const std::vector<std::string> records = state.snapshot();
  for (size_t i = 0; i < records.size(); i++) {
    seq++;
    if (i == 1) continue;  // it does not verify
    ASSERT_TRUE(state.apply(seq, records[i]));
  }
  add(user(3, "new"));
  state.folded_all();
  EXPECT_EQ(state.size(), 3u);
}

// Against a model without indexes.
TEST_F(UsersState, RandomChangesKeepTheIndexesRight) {
  std::mt19937 random(7);  // NOLINT: the same each time
  std::map<uint64_t, std::pair<std::string, std::vector<std::string>>> model;
  for (int step = 0; step < 20'000; step++) {
    const uint64_t id = 1 + random() % 40;
    if (random() % 4 == 0) {
      add(UserGone{.id = id});
      model.erase(id);
    } else {
      const std::string name = fmt::format("u{}", random() % 60);
      if (std::ranges::any_of(
              model, [&](const auto& m) { return m.first != id && m.second.first == name; }))
        continue;
      std::vector<std::string> addresses;
      for (unsigned i = random() % 4; i > 0; i--)
        addresses.push_back(fmt::format("{}@u{}.example", i, id));
      add(user(id, name, addresses));
      model[id] = {name, addresses};
    }
    if (step % 100 != 0) continue;
    ASSERT_EQ(state.size(), model.size());
    ASSERT_EQ(state.names().size(), model.size());
    for (uint64_t i = 1; i <= 40; i++) {
      const auto known = model.find(i);
      const User* found = state.find_id(i);
      ASSERT_EQ(found != nullptr, known != model.end());
      for (int a = 1; a < 5; a++) {
        const std::string address = fmt::format("{}@u{}.example", a, i);
        const bool has =
            found && std::ranges::find(known->second.second, address) != known->second.second.end();
        ASSERT_EQ(state.find_address(address) != nullptr, has) << address;
      }
      if (found) ASSERT_EQ(state.find(known->second.first), found);
    }
    for (uint64_t n = 0; n < model.size(); n++) ASSERT_TRUE(model.contains(state.any(n).id));
  }
  EXPECT_TRUE(remarks.empty());
}

}  // namespace
}  // namespace rims::users
