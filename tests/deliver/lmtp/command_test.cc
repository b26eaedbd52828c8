// tests/deliver/lmtp/command_test.cc - one row per way to say it, and per way to be wrong

#include "deliver/lmtp/command.h"

#include <gtest/gtest.h>

namespace rims::lmtp {
namespace {

template <class T>
T good(std::string_view line) {
  auto command = parse(line);
  if (!command) {
    ADD_FAILURE() << line << ": " << command.error().line();
    return T{};
  }
  EXPECT_TRUE(std::holds_alternative<T>(*command)) << line;
  return std::holds_alternative<T>(*command) ? std::get<T>(*command) : T{};
}

std::string bad(std::string_view line) {
  auto command = parse(line);
  return command ? "it was taken" : command.error().line();
}

TEST(Command, Addresses) {  // RFC 5321 §4.1.2
  const struct {
    const char *line, *text, *address;
  } rows[] = {
      {"RCPT TO:<foo@example.org>", "foo@example.org", "foo@example.org"},
      {"rcpt to:<foo>", "foo", "foo"},
      {"RCPT TO: <foo@example.org>", "foo@example.org", "foo@example.org"},
      {"RCPT TO:<@a.example,@b.example:foo@example.org>", "foo@example.org", "foo@example.org"},
      {"RCPT TO:<\"-x y;id\"@example.org>", "\"-x y;id\"@example.org", "-x y;id@example.org"},
      {"RCPT TO:<\"a\\\"b\\\\c\"@d>", "\"a\\\"b\\\\c\"@d", "a\"b\\c@d"},
      {"RCPT TO:<a..b.@docomo.example>", "a..b.@docomo.example", "a..b.@docomo.example"},
      {"RCPT TO:<foo@[192.0.2.1]>", "foo@[192.0.2.1]", "foo@[192.0.2.1]"},
      {"RCPT TO:<foo@[IPv6:2001:db8::1]>", "foo@[IPv6:2001:db8::1]", "foo@[IPv6:2001:db8::1]"},
      {"RCPT TO:<gr\xc3\xb6\xc3\x9f"
       "e@example.org>",
       "gr\xc3\xb6\xc3\x9f"
       "e@example.org",
       "gr\xc3\xb6\xc3\x9f"
       "e@example.org"},
  };
  for (const auto& row : rows) {
    const auto rcpt = good<Rcpt>(row.line);
    EXPECT_EQ(rcpt.recipient.text, row.text);
    EXPECT_EQ(rcpt.recipient.address, row.address);
  }
  EXPECT_FALSE(good<Rcpt>("RCPT TO:<\xc3\xa4@b>").recipient.ascii);
  EXPECT_EQ(good<Mail>("MAIL FROM:<>").sender, Mailbox{});
  EXPECT_TRUE(good<Mail>("MAIL FROM:<a@b>").sender.ascii);
}

TEST(Command, ParametersOfMail) {
  const auto mail =
      good<Mail>("mail from:<a@b> size=100 body=BinaryMime SMTPUTF8 envid=QQ+2B314+20x ret=hdrs");
  EXPECT_EQ(mail.size, 100U);                                                    // RFC 1870
  EXPECT_EQ(mail.body, Body::binary);                                            // RFC 3030
  EXPECT_TRUE(mail.smtputf8);                                                    // RFC 6531
  EXPECT_EQ(mail.envelope_id, "QQ+314 x");                                       // RFC 3461 §4.4
  EXPECT_EQ(mail.returned, "HDRS");                                              // RFC 3461 §4.3
  EXPECT_EQ(good<Mail>("MAIL FROM:<a@b> BODY=8BITMIME").body, Body::eight_bit);  // RFC 6152 §3
  EXPECT_EQ(good<Mail>("MAIL FROM:<a@b> SIZE=99999999999999999999").size, UINT64_MAX);
}

TEST(Command, ParametersOfRcpt) {  // RFC 3461 §4.1, §4.2
  const auto rcpt = good<Rcpt>("RCPT TO:<a@b> NOTIFY=success,DELAY ORCPT=rfc822;a+2Bx@c");
  EXPECT_EQ(rcpt.notify, "SUCCESS,DELAY");
  EXPECT_EQ(rcpt.original, "rfc822;a+2Bx@c");
}

TEST(Command, TheOthers) {
  EXPECT_EQ(good<Lhlo>("LHLO mx.example.org").name, "mx.example.org");
  EXPECT_EQ(good<Lhlo>("lhlo [127.0.0.1]").name, "[127.0.0.1]");
  EXPECT_EQ(good<Bdat>("BDAT 86 LAST"), (Bdat{.size = 86, .last = true}));
  EXPECT_EQ(good<Bdat>("bdat 0"), (Bdat{.size = 0, .last = false}));
  EXPECT_EQ(good<Bdat>("BDAT 18446744073709551615").size, UINT64_MAX);
  good<Data>("DATA ");
  good<Rset>("rset");
  good<Noop>("NOOP whatever");
  good<Vrfy>("VRFY foo");
  good<Help>("HELP");
  good<Quit>("QUIT");
  const auto x = good<Xforward>("XFORWARD NAME=[UNAVAILABLE] ADDR=192.0.2.7 IDENT=4bQx+3D PORT=25");
  EXPECT_EQ(x.name, "");
  EXPECT_EQ(x.address, "192.0.2.7");
  EXPECT_EQ(x.ident, "4bQx=");
  EXPECT_EQ(x.helo, std::nullopt);
}

TEST(Command, RepliesNameTheColumnAndWhatWasExpected) {
  const struct {
    const char *line, *reply;
  } rows[] = {
      {"", "500 5.5.2 the command is not known\r\n"},
      {"FOO bar", "500 5.5.2 the command is not known\r\n"},
      {"EHLO x", "500 5.5.1 this is LMTP: begin with LHLO\r\n"},  // RFC 2033 §4.1
      {"HELO x", "500 5.5.1 this is LMTP: begin with LHLO\r\n"},
      {"STARTTLS", "502 5.5.1 STARTTLS is not offered here\r\n"},
      {"LHLO", "501 5.5.4 expected SP at column 5\r\n"},
      {"LHLO  ", "501 5.5.4 expected a host name at column 7\r\n"},
      {"LHLO a b", "501 5.5.4 expected end of command at column 8\r\n"},
      {"LHLO (a)", "501 5.5.4 expected a host name at column 6\r\n"},
      {"MAIL <a@b>", "501 5.5.4 expected SP and FROM: at column 5\r\n"},
      {"MAIL FROM:a@b", "501 5.5.4 expected \"<\" at column 11\r\n"},
      {"MAIL FROM:<a@b", "501 5.5.4 expected \">\" at column 15\r\n"},
      {"MAIL FROM:<@b>", "501 5.5.4 expected \":\" at column 14\r\n"},
      {"MAIL FROM:<a@>", "501 5.1.7 expected a domain at column 14\r\n"},
      {"MAIL FROM:<a b@c>", "501 5.5.4 expected \">\" at column 13\r\n"},
      {"MAIL FROM:<a@b>SIZE=1", "501 5.5.4 expected SP at column 16\r\n"},
      {"MAIL FROM:<a@b> =1", "501 5.5.4 expected a parameter at column 17\r\n"},
      {"MAIL FROM:<a@b> SIZE=", "501 5.5.4 expected a value at column 22\r\n"},
      {"MAIL FROM:<a@b> SIZE=1x", "501 5.5.4 expected a number as the value of SIZE\r\n"},
      {"MAIL FROM:<a@b> SIZE=999999999999999999999",
       "501 5.5.4 expected a number as the value of SIZE\r\n"},
      {"MAIL FROM:<a@b> SIZE=1 SIZE=2", "501 5.5.4 the parameter SIZE was given twice\r\n"},
      {"MAIL FROM:<a@b> BODY=9BIT",
       "501 5.5.4 expected 7BIT, 8BITMIME or BINARYMIME as the value of BODY\r\n"},
      {"MAIL FROM:<a@b> SMTPUTF8=1", "501 5.5.4 expected nothing as the value of SMTPUTF8\r\n"},
      {"MAIL FROM:<a@b> ENVID=+2",
       "501 5.5.4 expected xtext of at most 100 characters as the value of ENVID\r\n"},
      {"MAIL FROM:<a@b> ENVID=+0A",
       "501 5.5.4 expected xtext of at most 100 characters as the value of ENVID\r\n"},
      {"MAIL FROM:<a@b> RET=ALL", "501 5.5.4 expected FULL or HDRS as the value of RET\r\n"},
      {"MAIL FROM:<a@b> FOO=1", "555 5.5.4 the parameter FOO is not known here\r\n"},
      {"RCPT TO:<>", "501 5.1.3 expected a local part at column 10\r\n"},
      {"RCPT TO:<\"\">", "501 5.1.3 expected a local part at column 12\r\n"},
      {"RCPT TO:<\"a>", "501 5.5.4 expected the closing quote at column 13\r\n"},
      {"RCPT TO:<\"a\tb\"@c>", "501 5.5.4 expected a printable character at column 12\r\n"},
      {"RCPT TO:<a@[]>", "501 5.5.4 expected an address at column 13\r\n"},
      {"RCPT TO:<a@[1>", "501 5.5.4 expected \"]\" at column 15\r\n"},
      {"RCPT TO:<\xff@b>", "501 5.1.3 expected UTF-8\r\n"},
      {"RCPT TO:<a@b> NOTIFY=NEVER,DELAY",
       "501 5.5.4 expected NEVER, or SUCCESS, FAILURE, DELAY as the value of NOTIFY\r\n"},
      {"RCPT TO:<a@b> ORCPT=a@b",
       "501 5.5.4 expected an address type, \";\" and an address as the value of ORCPT\r\n"},
      {"BDAT", "501 5.5.4 expected SP at column 5\r\n"},
      {"BDAT -1", "501 5.5.4 expected a number of bytes at column 6\r\n"},
      {"BDAT 18446744073709551616", "501 5.5.4 expected a number of bytes at column 26\r\n"},
      {"BDAT 1 LASTX", "501 5.5.4 expected end of command at column 12\r\n"},
      {"BDAT 1 FIRST", "501 5.5.4 expected LAST at column 8\r\n"},
      {"DATA x", "501 5.5.4 expected end of command at column 6\r\n"},
      {"XFORWARD", "501 5.5.4 expected an attribute at column 9\r\n"},
      {"XFORWARD IDENT=+0D", "501 5.5.4 expected printable text as the value of IDENT\r\n"},
      {"XFORWARD FOO=1", "555 5.5.4 the parameter FOO is not known here\r\n"},
  };
  for (const auto& row : rows) EXPECT_EQ(bad(row.line), row.reply) << row.line;
  const std::string longest = std::string(kMaxAddress - 2, 'a') + "@b";
  EXPECT_EQ(good<Rcpt>("RCPT TO:<" + longest + ">").recipient.text, longest);
  EXPECT_EQ(bad("RCPT TO:<a" + longest + ">"),
            "501 5.1.3 expected an address of at most 320 bytes\r\n");
}

TEST(Command, TheIdOfTheTopmostReceivedField) {
  const struct {
    const char *head, *id;
  } rows[] = {
      {"Received: from a (b [1.2.3.4])\r\n\tby mx (Postfix) with ESMTP id 4bQxY\r\n\tfor <f@e>; "
       "Mon, 2 Nov\r\n",
       "4bQxY"},
      {"Return-path: <a@b>\r\nEnvelope-to: x@y\r\nReceived: by mx with local (Exim 4.96)\r\n\tid "
       "1tX-0; date\r\n",
       "1tX-0"},
      {"received:\r\n id x1;y\r\n", "x1"},
      {"Subject: no trace\r\nReceived: by a id 1\r\n", ""},
      {"Received: by a; date\r\n\r\nid 7 ", ""},
      {"Received: by a id \r\n", ""},
      {"Received: by a id 1", ""},
      {"", ""},
  };
  for (const auto& row : rows) EXPECT_EQ(received_id(row.head), row.id) << row.head;
}

}  // namespace
}  // namespace rims::lmtp
