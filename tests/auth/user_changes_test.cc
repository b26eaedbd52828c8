// tests/auth/user_changes_test.cc - what the administrator may change, and what is refused with
// which words

#include "auth/user_changes.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/base/encoding.h"

namespace rims::auth {
namespace {

using ::testing::HasSubstr;

constexpr uint64_t kNow = 1000;

class UserChanges : public ::testing::Test {
 protected:
  UserChanges() { crypto_init(); }

  // "" when it was done.
  std::string take(const Result<Directory::Planned>& planned) {
    if (!planned) return planned.error().reply();
    for (const std::string& record : planned->records)
      EXPECT_TRUE(state.apply(++seq, record, &remarks));
    EXPECT_TRUE(remarks.empty());
    EXPECT_FALSE(planned->keys.empty());
    return "";
  }
  std::string add(const std::string& name, const std::vector<std::string>& addresses = {},
                  const std::string& hash = "") {
    ipc::AddUser message;
    message.user = name;
    message.hash.value = Secret(hash);
    for (const std::string& address : addresses) message.addresses.value.emplace_back(address);
    return take(plan(message, state, ++id, kNow, configured));
  }
  std::string edit(ipc::UserEdit what, const std::string& name, const std::string& text = "",
                   const std::string& hash = "") {
    ipc::EditUser message;
    message.user = name;
    message.edit = what;
    message.text = text;
    message.hash.value = Secret(hash);
    message.quota_bytes = 7;
    return take(plan(message, state, kNow, configured));
  }
  std::string domain(ipc::DomainEdit what, const std::string& name, const std::string& text = "") {
    ipc::EditDomain message;
    message.domain = name;
    message.edit = what;
    message.text = text;
    return take(plan(message, state));
  }
  const users::User& user(const std::string& folded) { return *state.find(folded); }

  users::State state;
  uint64_t seq = 0, id = 0;
  std::vector<std::string> remarks;
  Configured configured = [](std::string_view folded) {
    return folded == "admin" || folded == "admin@example.org";
  };
};

using E = ipc::UserEdit;
using D = ipc::DomainEdit;

TEST_F(UserChanges, ANameIsOneUsersOnly) {
  EXPECT_EQ(add("Foo"), "");
  EXPECT_EQ(user("foo").created, kNow);
  EXPECT_EQ(add("FOO"), "there is a user \"Foo\"");
  EXPECT_THAT(add("Admin"), HasSubstr("stands in the configuration"));
  EXPECT_THAT(add("a\x01"), HasSubstr("no user can be called"));
  EXPECT_THAT(add("\xff"), HasSubstr("no user can be called"));
  EXPECT_THAT(add("bar", {}, "plain"), HasSubstr("its form is not known"));
}

TEST_F(UserChanges, AnAddressIsOneUsersOnlyAndNobodysName) {
  EXPECT_EQ(add("foo", {"info@example.org"}), "");
  EXPECT_EQ(add("bar@example.org"), "");
  EXPECT_THAT(add("x", {"INFO@example.org"}), HasSubstr("belongs to user \"foo\""));
  EXPECT_THAT(add("x", {"bar@example.org"}), HasSubstr("belongs to user \"bar@example.org\""));
  EXPECT_THAT(add("x", {"admin@example.org"}), HasSubstr("user of the configuration"));
  EXPECT_THAT(add("x", {"none"}), HasSubstr("is no address"));
  EXPECT_THAT(add("info@example.org"), HasSubstr("is an address of user \"foo\""));
  EXPECT_EQ(add("y", {"y@example.org", "Y@example.org"}), "") << "once";
  EXPECT_EQ(user("y").addresses.value.size(), 1u);
  EXPECT_EQ(edit(E::add_address, "foo", "sales@example.org"), "");
  EXPECT_THAT(edit(E::add_address, "foo", "Sales@example.org"), HasSubstr("already"));
  EXPECT_THAT(edit(E::add_address, "foo", "y@example.org"), HasSubstr("belongs to"));
  EXPECT_EQ(edit(E::remove_address, "foo", "SALES@example.org"), "");
  EXPECT_THAT(edit(E::remove_address, "foo", "sales@example.org"), HasSubstr("has no address"));
  EXPECT_EQ(add("z", {"sales@example.org"}), "");
}

TEST_F(UserChanges, AUserHasSoManyAddressesAndNoMore) {
  EXPECT_EQ(add("foo"), "");
  for (size_t i = 0; i < users::kMaxAddresses; i++)
    ASSERT_EQ(edit(E::add_address, "foo", "a" + std::to_string(i) + "@example.org"), "");
  EXPECT_THAT(edit(E::add_address, "foo", "more@example.org"), HasSubstr("which is the most"));
}

TEST_F(UserChanges, AnEditChangesWhatItSaysAndLeavesTheRest) {
  EXPECT_EQ(add("foo", {"info@example.org"}), "");
  EXPECT_EQ(edit(E::disable, "FOO"), "");
  EXPECT_TRUE(user("foo").disabled);
  EXPECT_EQ(edit(E::quota, "foo"), "");
  EXPECT_EQ(user("foo").quota_bytes, 7u);
  EXPECT_TRUE(user("foo").disabled);
  EXPECT_EQ(user("foo").addresses.value.size(), 1u);
  EXPECT_EQ(edit(E::enable, "foo"), "");
  EXPECT_FALSE(user("foo").disabled);
  EXPECT_THAT(edit(E::password, "foo", "", "plain"), HasSubstr("its form is not known"));
  EXPECT_THAT(edit(E::enable, "nobody"), HasSubstr("there is no user \"nobody\""));
  EXPECT_THAT(edit(E::enable, "admin"), HasSubstr("change it there"));
}

TEST_F(UserChanges, ARemovedUserCanBeRestoredAndNothingElse) {
  EXPECT_EQ(add("foo", {"info@example.org"}), "");
  EXPECT_THAT(edit(E::restore, "foo"), HasSubstr("is not removed"));
  EXPECT_EQ(edit(E::remove, "foo"), "");
  EXPECT_EQ(user("foo").removed, kNow);
  EXPECT_THAT(edit(E::enable, "foo"), HasSubstr("user restore"));
  EXPECT_THAT(edit(E::remove, "foo"), HasSubstr("user restore"));
  EXPECT_THAT(add("foo"), HasSubstr("can be restored"));
  EXPECT_THAT(add("bar", {"info@example.org"}), HasSubstr("belongs to")) << "it would not be back";
  EXPECT_EQ(edit(E::restore, "foo"), "");
  EXPECT_EQ(user("foo").removed, 0u);
  EXPECT_EQ(edit(E::purge, "foo"), "");
  EXPECT_EQ(state.find("foo"), nullptr);
  EXPECT_EQ(add("foo"), "");
}

TEST_F(UserChanges, RemovedUsersGoWhenTheirTimeIsOver) {
  for (const char* name : {"a", "b", "c"}) EXPECT_EQ(add(name), "");
  EXPECT_EQ(edit(E::remove, "a"), "");
  EXPECT_EQ(edit(E::remove, "b"), "");
  EXPECT_TRUE(plan_purge(state, kNow - 1, 10).records.empty());
  EXPECT_EQ(plan_purge(state, kNow, 1).records.size(), 1u);
  EXPECT_EQ(take(plan_purge(state, kNow, 10)), "");
  EXPECT_EQ(state.size(), 1u);
  EXPECT_NE(state.find("c"), nullptr);
}

TEST_F(UserChanges, DomainsHaveOneMeaning) {
  EXPECT_EQ(domain(D::add, "Example.ORG"), "");
  EXPECT_THAT(domain(D::add, "example.org."), HasSubstr("there is a domain"));
  EXPECT_THAT(domain(D::add, "a b"), HasSubstr("is no domain"));
  EXPECT_EQ(domain(D::alias,
                   "b\xc3\xbc"
                   "cher.example",
                   "example.org"),
            "");
  EXPECT_THAT(domain(D::alias, "x.example", "xn--bcher-kva.example"), HasSubstr("alias itself"));
  EXPECT_THAT(domain(D::alias, "x.example", "none.example"), HasSubstr("there is no domain"));
  EXPECT_THAT(domain(D::remove, "example.org"), HasSubstr("remove that first"));
  EXPECT_THAT(domain(D::catch_all, "xn--bcher-kva.example", "foo"), HasSubstr("set it there"));
  EXPECT_THAT(domain(D::catch_all, "example.org", "foo"), HasSubstr("there is no user"));
  EXPECT_EQ(add("foo"), "");
  EXPECT_EQ(domain(D::catch_all, "example.org", "FOO"), "");
  EXPECT_EQ(state.find_domain("example.org")->catch_all, user("foo").id);
  EXPECT_EQ(domain(D::catch_all, "example.org", ""), "");
  EXPECT_EQ(state.find_domain("example.org")->catch_all, 0u);
  EXPECT_EQ(domain(D::remove, "xn--bcher-kva.example"), "");
  EXPECT_EQ(domain(D::remove, "example.org"), "");
  EXPECT_THAT(domain(D::remove, "example.org"), HasSubstr("there is no domain"));
}

// What is planned at the same time must not take the same name (Directory::change).
TEST_F(UserChanges, WhatCouldCollideHasACommonKey) {
  const auto keys = [&](const auto& message) {
    const auto planned = plan(message, state, 1, kNow, configured);
    EXPECT_TRUE(planned);
    return planned ? planned->keys : std::vector<std::string>();
  };
  const auto common = [](const std::vector<std::string>& a, const std::vector<std::string>& b) {
    return std::ranges::any_of(a, [&](const auto& key) { return std::ranges::count(b, key) != 0; });
  };
  ipc::AddUser foo, named, address, other;
  foo.user = "foo";
  foo.addresses.value.emplace_back("info@example.org");
  named.user = "INFO@example.org";
  address.user = "bar";
  address.addresses.value.emplace_back("Info@Example.org");
  other.user = "baz";
  EXPECT_TRUE(common(keys(foo), keys(named)));
  EXPECT_TRUE(common(keys(foo), keys(address)));
  EXPECT_TRUE(common(keys(named), keys(address)));
  EXPECT_FALSE(common(keys(foo), keys(other)));
}

}  // namespace
}  // namespace rims::auth
