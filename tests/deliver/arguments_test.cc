// tests/deliver/arguments_test.cc - addresses are data, whatever they look like

#include "deliver/arguments.h"

#include <map>
#include <sysexits.h>

#include <gtest/gtest.h>

#include "common/ipc/deliver_link.h"

namespace rims::deliver {
namespace {

using Words = std::vector<const char*>;
using Env = std::map<std::string, std::string, std::less<>>;

std::variant<Arguments, Ending> read(const Words& argv, const Env& env = {}) {
  return read_arguments(argv, [&](std::string_view name) -> std::optional<std::string> {
    const auto it = env.find(name);
    if (it == env.end()) return std::nullopt;
    return it->second;
  });
}
Arguments good(const Words& argv, const Env& env = {}) {
  auto result = read(argv, env);
  EXPECT_TRUE(std::holds_alternative<Arguments>(result))
      << (std::holds_alternative<Ending>(result) ? std::get<Ending>(result).reason : "");
  return std::holds_alternative<Arguments>(result) ? std::get<Arguments>(result) : Arguments();
}
int status(const Words& argv, const Env& env = {}) {
  auto result = read(argv, env);
  return std::holds_alternative<Ending>(result) ? std::get<Ending>(result).status : 0;
}

TEST(Arguments, AllOptions) {
  const Arguments a = good({"-r", "-c", "/etc/x", "-S", "/run/s", "-f", "a@b", "-m", "Spam", "-i",
                            "4XyZ", "-t", "7", "-d", "foo", "--", "bar"});
  EXPECT_TRUE(a.trace_fields);
  EXPECT_EQ(a.config, "/etc/x");
  EXPECT_EQ(a.socket, "/run/s");
  EXPECT_EQ(a.sender, "a@b");
  EXPECT_EQ(a.mailbox, "Spam");
  EXPECT_EQ(a.delivery_id, "4XyZ");
  EXPECT_EQ(a.time_limit_s, 7U);
  EXPECT_EQ(a.recipients, (std::vector<std::string>{"foo", "bar"}));
}

TEST(Arguments, AnAddressIsNeverAnOption) {
  for (const char* hostile : {"-x y;id", "-c", "--", "-f", "--help", "-h", "-V", "$(id)", "`id`",
                              "-c/etc/passwd", "a b", "-", "|id", "../../x", "-S/tmp/s"}) {
    SCOPED_TRACE(hostile);
    const Arguments as_option = good({"-f", hostile, "-d", hostile});
    EXPECT_EQ(as_option.recipients, std::vector<std::string>{hostile});
    EXPECT_EQ(as_option.sender, hostile);
    EXPECT_EQ(as_option.config, "");
    EXPECT_EQ(as_option.socket, "");
    EXPECT_FALSE(as_option.help);
    EXPECT_EQ(good({"--", hostile}).recipients, std::vector<std::string>{hostile});
    const Arguments by_env = good({}, {{"RECIPIENT", hostile}, {"SENDER", hostile}});
    EXPECT_EQ(by_env.recipients, std::vector<std::string>{hostile});
    EXPECT_EQ(by_env.sender, hostile);
  }
}

// The daemon delivers to INBOX what is for a mailbox that can not be.
TEST(Arguments, NoNameOfAMailboxIsWrong) {
  EXPECT_EQ(good({"-m", "a\nb", "-d", "foo"}).mailbox, "a\nb");
  EXPECT_EQ(good({"-m", std::string(5000, 'x').c_str(), "-d", "foo"}).mailbox,
            std::string(ipc::kMaxMailbox, 'x'));
}

TEST(Arguments, WrongUseIs64) {
  const Words wrong[] = {
      {},
      {"-d"},
      {"-d", "foo", "-f"},
      {"-dfoo"},
      {"-x", "-d", "foo"},
      {"--recipient=foo"},
      {"-rd", "foo"},
      {"foo"},
      {"-", "-d", "foo"},
      {"-d", "foo", "bar"},
      {"-d", ""},
      {"-d", "foo", "-d", ""},
      {"-f", "a", "-f", "b", "-d", "foo"},
      {"-m", "a", "-m", "b", "-d", "foo"},
      {"-c", "a", "-c", "b", "-d", "foo"},
      {"-t", "0", "-d", "foo"},
      {"-t", "3601", "-d", "foo"},
      {"-t", "5s", "-d", "foo"},
      {"-t", "-1", "-d", "foo"},
      {"-t", "", "-d", "foo"},
      {"--"},
  };
  for (const Words& argv : wrong) EXPECT_EQ(status(argv), EX_USAGE) << testing::PrintToString(argv);
}

TEST(Arguments, WhatCanNotBeAnAddressHasItsOwnStatus) {
  const std::string longest(ipc::kMaxAddress, 'x');
  EXPECT_EQ(good({"-d", longest.c_str()}).recipients.front().size(), ipc::kMaxAddress);
  EXPECT_EQ(status({"-d", (longest + "x").c_str()}), EX_NOUSER);
  EXPECT_EQ(status({"-d", "a\nb"}), EX_NOUSER);
  EXPECT_EQ(status({"-d", "a\x7f"}), EX_NOUSER);
  EXPECT_EQ(status({"-d", "foo", "-f", (longest + "x").c_str()}), EX_DATAERR);
  EXPECT_EQ(status({"-d", "foo", "-f", "a\r\nBcc: x"}), EX_DATAERR);
  EXPECT_EQ(status({}, {{"RECIPIENT", "a\nb"}}), EX_NOUSER);
}

TEST(Arguments, TheNullSenderHasThreeSpellings) {
  EXPECT_EQ(good({"-f", "", "-d", "foo"}, {{"SENDER", "env@b"}}).sender, "");
  EXPECT_EQ(good({"-f", "<>", "-d", "foo"}).sender, "");
  EXPECT_EQ(good({"-d", "foo"}).sender, "");
  EXPECT_EQ(good({"-f", "<a@b>", "-d", "foo"}).sender, "a@b");
  EXPECT_EQ(good({"-f", "<", "-d", "foo"}).sender, "<");
}

TEST(Arguments, TheEnvironmentOfEximOpenSmtpdAndPostfix) {
  const Arguments exim = good({}, {{"LOCAL_PART", "foo"},
                                   {"DOMAIN", "example.org"},
                                   {"RECIPIENT", "foo@example.org"},
                                   {"SENDER", "a@b"},
                                   {"MESSAGE_ID", "1rXyz-0001-AB"},
                                   {"USER", "root"}});
  EXPECT_EQ(exim.recipients, std::vector<std::string>{"foo@example.org"});
  EXPECT_EQ(exim.sender, "a@b");
  EXPECT_EQ(exim.delivery_id, "1rXyz-0001-AB");
  EXPECT_EQ(good({}, {{"LOCAL_PART", "foo"}, {"DOMAIN", "d"}}).recipients.front(), "foo@d");
  EXPECT_EQ(good({}, {{"LOCAL_PART", "foo"}}).recipients.front(), "foo");
  // Arguments win; USER and LOGNAME, set in every shell, never name a recipient.
  const Arguments both = good({"-d", "arg", "-f", "f@g", "-i", "Q"},
                              {{"RECIPIENT", "env"}, {"SENDER", "env"}, {"QUEUE_ID", "env"}});
  EXPECT_EQ(both.recipients, std::vector<std::string>{"arg"});
  EXPECT_EQ(both.sender, "f@g");
  EXPECT_EQ(both.delivery_id, "Q");
  EXPECT_EQ(status({}, {{"USER", "root"}, {"LOGNAME", "root"}}), EX_USAGE);
}

TEST(Arguments, ALongQueueIdIsCutNotRefused) {
  const std::string id(5000, 'q');
  EXPECT_EQ(good({"-d", "foo", "-i", id.c_str()}).delivery_id.size(), ipc::kMaxDeliveryId);
}

TEST(Arguments, TooManyRecipientsAreRefused) {
  Words argv{"--"};
  argv.insert(argv.end(), kMaxRecipients, "foo");
  EXPECT_EQ(good(argv).recipients.size(), kMaxRecipients);
  argv.push_back("foo");
  EXPECT_EQ(status(argv), EX_USAGE);
}

}  // namespace
}  // namespace rims::deliver
