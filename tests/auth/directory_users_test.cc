// tests/auth/directory_users_test.cc - rims-auth with a user directory: rims-ctl changes it over
// its link, and rims-login, rims-deliverd and the workers see it at once
//
//   conf / bar       of the configuration
//   dir / secret     of the directory, added by each test that needs it

#include <cstdlib>
#include <fcntl.h>
#include <filesystem>
#include <fstream>

#include <gtest/gtest.h>

#include "auth/server.h"
#include "common/base/encoding.h"
#include "common/base/log.h"
#include "common/password/password.h"

namespace rims::auth {
namespace {

using namespace std::chrono_literals;
namespace fs = std::filesystem;

struct Lines : log::Sink {
  std::string text;
  void write(log::Level, std::string_view line) override { text += std::string(line) + "\n"; }
};

const std::string& hash_of(const std::string& password) {
  static std::map<std::string, std::string> made;
  std::string& hash = made[password];
  if (hash.empty()) hash = *password::make(password);
  return hash;
}

config::AuthPart part(std::initializer_list<const char*> names) {
  config::AuthPart p;
  for (const char* name : names) {
    config::User u;
    u.name = name;
    u.password.value = Secret("bar");
    p.users.value.push_back(std::move(u));
  }
  p.delivery_user = "#postman";
  p.recipient_delimiter = "+";
  p.delay_first_ms = 1;
  p.delay_max_ms = 1;
  p.cache_lifetime_s = 300;
  p.keep_removed_s = 100;
  return p;
}

class DirectoryUsers : public ::testing::Test {
 protected:
  DirectoryUsers() {
    crypto_init();
    log::set_sink(&lines);
    char name[] = "/tmp/rims-users-XXXXXX";
    path = mkdtemp(name);
    directory = std::make_unique<Directory>(
        loop, Fd(open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)), path,
        [this] { return wall; });
    EXPECT_TRUE(run(loop, directory->open()));
    server =
        std::make_unique<Server>(loop, part({"conf"}), 1, [this] { return now; }, directory.get());
    login = attach(ipc::Role::login, ipc::kLoginAcceptsFromAuth);
    deliverd = attach(ipc::Role::deliverd, ipc::kDeliverdAcceptsFromAuth);
    worker = attach(ipc::Role::imapd, ipc::kImapdAcceptsFromAuth);
    auto pair = ipc::make_pair();
    server->attach_admin(std::move((*pair)[0]));
    ctl =
        std::make_unique<ipc::Link>(loop, std::move((*pair)[1]), "auth", ipc::kCtlAcceptsFromAuth);
  }
  ~DirectoryUsers() override {
    server.reset();
    directory.reset();
    log::set_sink(nullptr);
    fs::remove_all(path);
  }
  std::unique_ptr<ipc::Link> attach(ipc::Role role, std::span<const ipc::Accepts> accepts) {
    auto pair = ipc::make_pair();
    server->attach(role, 0, std::move((*pair)[0]));
    return std::make_unique<ipc::Link>(loop, std::move((*pair)[1]), "auth", accepts);
  }

  template <class Reply, class Question>
  Reply ask(ipc::Link& link, Question question) {
    question.request = ++number;
    EXPECT_TRUE(run(loop, link.send(std::move(question))));
    const auto packet = run(loop, link.receive());
    EXPECT_TRUE(packet);
    auto reply = packet ? ipc::decode<Reply>(packet->body) : std::nullopt;
    EXPECT_TRUE(reply);
    if (!reply) return {};
    EXPECT_EQ(reply->request, number);
    return std::move(*reply);
  }
  ipc::Verdict try_login(const std::string& user, const std::string& password) {
    ipc::LoginRequest r;
    r.user = user;
    r.password.value = Secret(password);
    r.client_address = "127.0.0.1";
    return ask<ipc::LoginReply>(*login, std::move(r)).verdict;
  }
  std::string recipient(const std::string& text) {
    ipc::UserQuery q;
    q.recipient = text;
    const auto reply = ask<ipc::UserReply>(*deliverd, std::move(q));
    return reply.exists ? reply.user.value : "nobody";
  }
  // "" when it was done.
  std::string add(const std::string& user, const std::string& password,
                  const std::vector<std::string>& addresses = {}) {
    ipc::AddUser a;
    a.user = user;
    a.hash.value = Secret(hash_of(password));
    for (const std::string& address : addresses) a.addresses.value.emplace_back(address);
    const std::string done = ask<ipc::ChangeDone>(*ctl, std::move(a)).text.value;
    // A name that is used again has not the quota of who had it before.
    EXPECT_EQ(told(), done.empty() ? "quota " + user + " 18446744073709551615" : "");
    return done;
  }
  std::string edit(ipc::UserEdit what, const std::string& user, const std::string& text = "",
                   const std::string& hash = "") {
    ipc::EditUser e;
    e.user = user;
    e.edit = what;
    e.text = text;
    e.hash.value = Secret(hash);
    return ask<ipc::ChangeDone>(*ctl, std::move(e)).text.value;
  }
  std::string domain(ipc::DomainEdit what, const std::string& name, const std::string& text = "") {
    ipc::EditDomain e;
    e.domain = name;
    e.edit = what;
    e.text = text;
    return ask<ipc::ChangeDone>(*ctl, std::move(e)).text.value;
  }
  // What the worker was told and has not read yet: "ticket dir", "revoke dir 2".
  std::string told() {
    std::string all;
    while (true) {
      auto packet = worker->receive_now();
      if (!packet || !*packet) return all;
      if (!all.empty()) all += ", ";
      if (const auto ticket = ipc::decode<ipc::Ticket>((*packet)->body))
        all += "ticket " + ticket->user.value;
      else if (const auto quota = ipc::decode<ipc::UserQuota>((*packet)->body))
        all += "quota " + quota->user.value + " " + std::to_string(quota->bytes);
      else if (const auto revoke = ipc::decode<ipc::Revoke>((*packet)->body))
        all += "revoke " + revoke->user.value + " " +
               std::to_string(static_cast<unsigned>(revoke->why));
    }
  }

  Lines lines;
  Loop loop;
  Time now{100h};
  uint64_t wall = 1'700'000'000, number = 0;
  std::string path;
  std::unique_ptr<Directory> directory;
  std::unique_ptr<Server> server;
  std::unique_ptr<ipc::Link> login, deliverd, worker, ctl;
};

using E = ipc::UserEdit;
using D = ipc::DomainEdit;
constexpr auto granted = ipc::Verdict::granted, denied = ipc::Verdict::denied;

TEST_F(DirectoryUsers, AUserIsThereAsSoonAsTheAnswerIs) {
  EXPECT_EQ(try_login("dir", "secret"), denied);
  EXPECT_EQ(recipient("dir@example.org"), "nobody");
  EXPECT_EQ(add("Dir", "secret"), "");
  EXPECT_EQ(try_login("dir", "secret"), granted);
  EXPECT_EQ(told(), "ticket Dir");
  EXPECT_EQ(try_login("DIR", "secret"), granted) << "the password is remembered";
  EXPECT_EQ(try_login("dir", "Secret"), denied);
  EXPECT_EQ(try_login("dir", ""), denied);
  EXPECT_EQ(recipient("dir+x@example.org"), "Dir");
  EXPECT_EQ(try_login("conf", "bar"), granted);
}

TEST_F(DirectoryUsers, ANewPasswordHoldsAtOnceAndTheOldOneEnds) {
  add("dir", "secret");
  EXPECT_EQ(try_login("dir", "secret"), granted);
  EXPECT_EQ(told(), "ticket dir");
  EXPECT_EQ(edit(E::password, "DIR", "", hash_of("other")), "");
  EXPECT_EQ(told(), "revoke dir 2");
  EXPECT_EQ(try_login("dir", "secret"), denied) << "though it was remembered";
  EXPECT_EQ(try_login("dir", "other"), granted);
}

TEST_F(DirectoryUsers, DisabledAndRemovedUsersAreOutAndCanComeBack) {
  add("dir", "secret", {"info@example.org"});
  EXPECT_EQ(edit(E::disable, "dir"), "");
  EXPECT_EQ(told(), "revoke dir 4");
  EXPECT_EQ(try_login("dir", "secret"), denied);
  EXPECT_EQ(recipient("info@example.org"), "dir") << "its mail is taken";
  EXPECT_EQ(edit(E::enable, "dir"), "");
  EXPECT_EQ(try_login("dir", "secret"), granted);
  told();
  EXPECT_EQ(edit(E::remove, "dir"), "");
  EXPECT_EQ(told(), "revoke dir 0");
  EXPECT_EQ(try_login("dir", "secret"), denied);
  EXPECT_EQ(recipient("info@example.org"), "nobody");
  EXPECT_EQ(recipient("dir"), "nobody");
  EXPECT_EQ(edit(E::restore, "dir"), "");
  EXPECT_EQ(try_login("dir", "secret"), granted);
  EXPECT_EQ(recipient("info@example.org"), "dir");
}

// The ticket must not be given for what was true when the hash was begun.
TEST_F(DirectoryUsers, AChangeDuringTheHashPutsTheLoginOff) {
  add("dir", "secret");
  ipc::LoginRequest r;
  r.request = 77;
  r.user = "dir";
  r.password.value = Secret("secret");
  r.client_address = "127.0.0.1";
  ipc::EditUser e;
  e.request = 78;
  e.user = "dir";
  e.edit = E::disable;
  // Both are there before rims-auth reads either; the hash takes longer than the flush.
  ASSERT_TRUE(run(loop, login->send(std::move(r))));
  ASSERT_TRUE(run(loop, ctl->send(std::move(e))));
  const auto packet = run(loop, login->receive());
  ASSERT_TRUE(packet);
  const auto reply = ipc::decode<ipc::LoginReply>(packet->body);
  ASSERT_TRUE(reply);
  // Whichever was first: nothing that was granted holds after the change.
  if (reply->verdict == granted) {
    EXPECT_EQ(run(loop, ctl->receive()).has_value(), true);
    EXPECT_EQ(told(), "ticket dir, revoke dir 4");
  } else {
    EXPECT_EQ(told(), "revoke dir 4");
  }
  EXPECT_EQ(directory->state().find("dir")->disabled, true);
}

TEST_F(DirectoryUsers, UsersOfTheConfigurationWin) {
  EXPECT_NE(add("CONF", "secret"), "");
  EXPECT_NE(add("#postman", "secret"), "");
  EXPECT_NE(edit(E::disable, "conf"), "");
  add("dir", "secret");
  EXPECT_EQ(try_login("dir", "secret"), granted);
  told();
  server->reload(part({"conf", "DIR"}));
  EXPECT_EQ(try_login("dir", "secret"), denied);
  EXPECT_EQ(try_login("dir", "bar"), granted);
  EXPECT_EQ(told(), "revoke dir 2, ticket DIR");
  EXPECT_EQ(recipient("dir"), "DIR");
  EXPECT_NE(lines.text.find("\"dir\" is a user of the directory and of the configuration"),
            std::string::npos);
  server->reload(part({"conf"}));
  EXPECT_EQ(try_login("dir", "secret"), granted);
}

TEST_F(DirectoryUsers, MailFindsAddressesDomainsAndCatchAll) {
  add("dir", "secret", {"Info@example.org"});
  add("rest", "secret");
  EXPECT_EQ(recipient("info@example.org"), "dir");
  EXPECT_EQ(domain(D::add, "example.org"), "");
  EXPECT_EQ(domain(D::alias, "example.net", "example.org"), "");
  EXPECT_EQ(recipient("info+label@example.net"), "dir");
  EXPECT_EQ(recipient("other@example.net"), "nobody");
  EXPECT_EQ(domain(D::catch_all, "example.org", "rest"), "");
  EXPECT_EQ(recipient("other@example.net"), "rest");
  EXPECT_EQ(recipient("conf@example.org"), "conf") << "a name before a catch-all";
  EXPECT_EQ(recipient("other@elsewhere.example"), "nobody");
}

TEST_F(DirectoryUsers, TheWorkerIsToldOfAUsersOwnQuota) {
  add("other", "secret");
  add("dir", "secret");
  ipc::EditUser e;
  e.user = "DIR";
  e.edit = E::quota;
  e.quota_bytes = 1000;
  EXPECT_EQ(ask<ipc::ChangeDone>(*ctl, std::move(e)).text.value, "");
  EXPECT_EQ(told(), "quota dir 1000");
  // One that is started again has forgotten it.
  worker = attach(ipc::Role::imapd, ipc::kImapdAcceptsFromAuth);
  EXPECT_EQ(try_login("dir", "secret"), granted);
  EXPECT_EQ(told(), "quota dir 1000, ticket dir");
}

TEST_F(DirectoryUsers, TheListHasAllAndHashesOnlyWhenAsked) {
  add("dir", "secret", {"a@example.org"});
  for (const bool with_hashes : {false, true}) {
    ipc::ListUsers q;
    q.with_hashes = with_hashes;
    auto first = ask<ipc::UserTold>(*ctl, std::move(q));
    EXPECT_EQ(first.user.value, "conf");
    EXPECT_TRUE(first.configured);
    EXPECT_TRUE(first.hash.value.empty());
    const auto packet = run(loop, ctl->receive());
    ASSERT_TRUE(packet);
    const auto second = ipc::decode<ipc::UserTold>(packet->body);
    ASSERT_TRUE(second);
    EXPECT_EQ(second->user.value, "dir");
    EXPECT_EQ(second->hash.value.empty(), !with_hashes);
    EXPECT_EQ(second->addresses.value.size(), 1u);
    EXPECT_TRUE(run(loop, ctl->receive()));
  }
}

TEST_F(DirectoryUsers, AnUnknownNameCostsTheHashOfAUser) {
  add("dir", "secret");
  server->reload(part({}));
  const auto before = std::chrono::steady_clock::now();
  EXPECT_EQ(try_login("unknown", "x"), denied);
  // The work of a hash is milliseconds; without it, an answer takes a fraction of one.
  EXPECT_GT(std::chrono::steady_clock::now() - before, 3ms);
  EXPECT_EQ(try_login("unknown", "secret"), denied) << "the stand-in's password";
}

TEST_F(DirectoryUsers, WithoutADirectoryThatCanBeReadNobodyIsToldNo) {
  add("dir", "secret");
  server.reset();
  directory.reset();
  fs::rename(path + "/journal", path + "/away");
  std::ofstream(path + "/journal") << "x";
  directory =
      std::make_unique<Directory>(loop, Fd(open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)),
                                  path, [this] { return wall; });
  EXPECT_FALSE(run(loop, directory->open()));
  server =
      std::make_unique<Server>(loop, part({"conf"}), 1, [this] { return now; }, directory.get());
  login = attach(ipc::Role::login, ipc::kLoginAcceptsFromAuth);
  worker = attach(ipc::Role::imapd, ipc::kImapdAcceptsFromAuth);
  EXPECT_EQ(try_login("dir", "secret"), ipc::Verdict::try_later);
  EXPECT_EQ(try_login("conf", "bar"), granted);
}

TEST_F(DirectoryUsers, WhatDoesNotDecodeEndsTheLinkOnly) {
  ASSERT_TRUE(run(loop, ctl->send_packet(static_cast<uint16_t>(ipc::UsersMsg::add_user), "x", {})));
  EXPECT_FALSE(run(loop, ctl->receive()));
  EXPECT_EQ(try_login("conf", "bar"), granted);
}

}  // namespace
}  // namespace rims::auth
