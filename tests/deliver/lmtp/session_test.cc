// tests/deliver/lmtp/session_test.cc - dialogues: what is said, what is told to the driver
//
// The driver of the tests knows every user but those whose name begins with "no", and keeps what it
// is told: messages with their recipients, and how often one was dropped. All runs are made twice:
// with the input in one piece (where PIPELINING allows it) and byte by byte.

#include "deliver/lmtp/session.h"

#include <string>
#include <vector>

#include <gtest/gtest.h>

namespace rims::lmtp {
namespace {

struct Driver {
  explicit Driver(uint64_t size_max = 1000)
      : session({.hostname = "mx", .message_size_max = size_max}) {
    said = session.take_output();
  }

  // Everything there is to say about `input`; true while the connection is open.
  bool feed(std::string_view input) {
    pending += input;
    while (open) {
      const Step step = session.step(pending);
      EXPECT_LE(step.consumed, pending.size());
      const std::string bytes(step.bytes);
      pending.erase(0, step.consumed);
      switch (step.event) {
        case Event::progress:
          break;
        case Event::need_input:
          said += session.take_output();
          if (step.consumed == 0 || pending.empty()) return true;
          break;
        case Event::recipient:
          if (session.pending().recipient.address.starts_with("no"))
            session.refuse_recipient({550, "5.1.1", "no such user"});
          else
            session.accept_recipient(session.pending().recipient.address, 0);
          break;
        case Event::body:
          if (refuse_body)
            session.body_failed({452, "4.3.1", "no room"}), message.clear();
          else
            message += bytes;
          break;
        case Event::dropped:
          EXPECT_FALSE(message.empty());
          message.clear();
          dropped++;
          break;
        case Event::complete: {
          std::vector<Reply> replies;
          std::string to;
          for (const Recipient& r : session.transaction().recipients) {
            to += r.command.recipient.text + " ";
            replies.push_back(r.user.starts_with("full") ? Reply(452, "4.2.2", "full")
                                                         : Reply(250, "2.0.0", "for " + r.user));
          }
          stored.push_back(to + ": " + message);
          message.clear();
          session.delivered(replies);
          break;
        }
        case Event::close:
          said += session.take_output();
          open = false;
          break;
      }
    }
    return false;
  }
  // What is said to `input`, byte by byte.
  std::string run(std::string_view input) {
    said.clear();
    for (const char c : input) feed(std::string_view(&c, 1));
    return said;
  }
  // As one piece.
  std::string at_once(std::string_view input) {
    said.clear();
    feed(input);
    return said;
  }

  Session session;
  std::string pending, said, message;
  std::vector<std::string> stored;
  int dropped = 0;
  bool open = true, refuse_body = false;
};

constexpr const char* kBegin = "LHLO c\r\nMAIL FROM:<a@b>\r\nRCPT TO:<foo@x>\r\n";

TEST(LmtpSession, GreetsAndNamesItsExtensions) {  // RFC 2033 §4.1, §5
  Driver d;
  EXPECT_EQ(d.said, "220 mx RIMS LMTP\r\n");
  EXPECT_EQ(d.run("LHLO c\r\n"),
            "250-mx\r\n250-PIPELINING\r\n250-ENHANCEDSTATUSCODES\r\n250-8BITMIME\r\n"
            "250-SMTPUTF8\r\n250-CHUNKING\r\n250-BINARYMIME\r\n250-DSN\r\n"
            "250-XFORWARD NAME ADDR PORT PROTO HELO IDENT SOURCE\r\n"
            "250-LIMITS RCPTMAX=100\r\n250 SIZE 1000\r\n");
}

TEST(LmtpSession, OneReplyPerRecipientAfterTheDot) {  // RFC 2033 §4.2
  Driver d;
  const std::string head =
      "LHLO c\r\nMAIL FROM:<a@b>\r\nRCPT TO:<foo@x>\r\nRCPT TO:<nobody@x>\r\nRCPT TO:<full@x>\r\n"
      "RCPT TO:<foo@x>\r\nDATA\r\n";
  const std::string replies = d.at_once(head);
  EXPECT_TRUE(
      replies.ends_with("250 2.1.0 ok\r\n250 2.1.5 ok\r\n550 5.1.1 no such user\r\n"
                        "250 2.1.5 ok\r\n250 2.1.5 ok\r\n"
                        "354 end with a line that is a dot\r\n"))
      << replies;
  EXPECT_EQ(
      d.at_once("A: b\r\n\r\n..x\r\n.\r\nQUIT\r\n"),
      "250 2.0.0 for foo@x\r\n452 4.2.2 full\r\n250 2.0.0 for foo@x\r\n221 2.0.0 goodbye\r\n");
  EXPECT_EQ(d.stored, std::vector<std::string>{"foo@x full@x foo@x : A: b\r\n\r\n.x\r\n"});
  EXPECT_FALSE(d.open);
}

// RFC 2034 §4: of the same class as the code; not in the greeting, in answers to LHLO, and in 3xx.
TEST(LmtpSession, EveryOtherReplyHasAnEnhancedCode) {
  Driver d;
  d.run("LHLO c\r\n");
  for (const char* command :
       {"NOOP", "HELP", "VRFY x", "RSET", "X", "RCPT TO:<a@b>", "MAIL FROM:<", "XFORWARD IDENT=1",
        "MAIL FROM:<a@b>", "RCPT TO:<foo@x>", "RCPT TO:<nobody@x>", "BDAT 1\r\nx", "DATA", "EHLO a",
        "STARTTLS", "BDAT 1 LAST\r\nx", "QUIT"}) {
    const std::string reply = d.at_once(std::string(command) + "\r\n");
    ASSERT_GT(reply.size(), 10U) << command;
    EXPECT_EQ(reply.substr(3, 3), std::string({' ', reply[0], '.'})) << command;
  }
}

TEST(LmtpSession, TheSameByteByByte) {
  Driver d;
  d.run(std::string(kBegin) + "DATA\r\n");
  EXPECT_EQ(d.run("A: b\r\n.\r.\r\n.\r\nNOOP\r\n"), "250 2.0.0 for foo@x\r\n250 2.0.0 ok\r\n");
  EXPECT_EQ(d.stored, std::vector<std::string>{"foo@x : A: b\r\n\r.\r\n"});
}

TEST(LmtpSession, WhatMustComeFirst) {
  Driver d;
  EXPECT_EQ(d.run("MAIL FROM:<a@b>\r\n"), "503 5.5.1 begin with LHLO\r\n");
  d.run("LHLO c\r\n");
  EXPECT_EQ(d.run("RCPT TO:<foo@x>\r\n"), "503 5.5.1 there is no sender yet\r\n");
  EXPECT_EQ(d.run("DATA\r\n"), "503 5.5.1 there is no sender yet\r\n");
  EXPECT_EQ(d.run("BDAT 3\r\nabc"), "503 5.5.1 there is no sender yet\r\n");
  EXPECT_EQ(d.run("MAIL FROM:<a@b>\r\n"), "250 2.1.0 ok\r\n");
  EXPECT_EQ(d.run("MAIL FROM:<a@b>\r\n"), "503 5.5.1 there is a sender already\r\n");
  EXPECT_EQ(d.run("RCPT TO:<nobody@x>\r\n"), "550 5.1.1 no such user\r\n");
  EXPECT_EQ(d.run("DATA\r\n"), "503 5.5.1 no valid recipient\r\n");  // RFC 2033 §4.2
  EXPECT_EQ(d.run("XFORWARD IDENT=1\r\n"), "503 5.5.1 not within a transaction\r\n");
  EXPECT_EQ(d.run("RSET\r\nRCPT TO:<foo@x>\r\n"),
            "250 2.0.0 ok\r\n503 5.5.1 there is no sender yet\r\n");
}

TEST(LmtpSession, TheSizeIsRefusedAtMailAndWhileItIsRead) {  // RFC 1870 §6.1, §6.3
  Driver d(10);
  d.run("LHLO c\r\n");
  EXPECT_EQ(d.run("MAIL FROM:<a@b> SIZE=11\r\n"),
            "552 5.3.4 the message is too large: the limit is 10 bytes\r\n");
  EXPECT_EQ(d.run("MAIL FROM:<a@b> SIZE=10\r\n"), "250 2.1.0 ok\r\n");
  d.run("RCPT TO:<foo@x>\r\nRCPT TO:<bar@x>\r\nDATA\r\n");
  const std::string too_large = "552 5.3.4 the message is too large: the limit is 10 bytes\r\n";
  EXPECT_EQ(d.run("123456789\r\n.\r\n"), too_large + too_large);
  EXPECT_EQ(d.dropped, 1);
  d.run("MAIL FROM:<a@b>\r\nRCPT TO:<foo@x>\r\nDATA\r\n");
  EXPECT_EQ(d.run("..345678\r\n.\r\n"), "250 2.0.0 for foo@x\r\n")
      << "dots of the line do not count";
  d.run("MAIL FROM:<a@b>\r\nRCPT TO:<foo@x>\r\nDATA\r\n");
  EXPECT_EQ(d.at_once("123456789012345678\r\n.\rx\r\n.\r\nNOOP\r\n"),
            too_large + "250 2.0.0 ok\r\n");
}

TEST(LmtpSession, ChunksMakeOneMessage) {  // RFC 3030 §2, §3
  Driver d;
  d.run("LHLO c\r\nMAIL FROM:<a@b> BODY=BINARYMIME\r\nRCPT TO:<foo@x>\r\nRCPT TO:<bar@x>\r\n");
  EXPECT_EQ(d.run("DATA\r\n"), "503 5.5.1 this message needs BDAT\r\n");
  const std::string bytes("\r\n.\r\n\0\n", 7);
  EXPECT_EQ(d.run("BDAT 7\r\n" + bytes), "250 2.0.0 7 bytes\r\n");
  EXPECT_EQ(d.run("DATA\r\n"), "503 5.5.1 this message needs BDAT\r\n");
  EXPECT_EQ(d.run("RCPT TO:<more@x>\r\n"), "503 5.5.1 the message has begun\r\n");
  EXPECT_EQ(d.run("BDAT 0\r\n"), "250 2.0.0 0 bytes\r\n");
  EXPECT_EQ(d.run("BDAT 3 LAST\r\nend"), "250 2.0.0 for foo@x\r\n250 2.0.0 for bar@x\r\n");
  EXPECT_EQ(d.stored, std::vector<std::string>{"foo@x bar@x : " + bytes + "end"});
  // All in one piece, with what may follow it (RFC 3030 §4.2).
  d.at_once("MAIL FROM:<a@b>\r\nRCPT TO:<foo@x>\r\n");
  EXPECT_EQ(d.at_once("BDAT 3\r\nabcBDAT 3\r\ndefBDAT 0 LAST\r\nNOOP\r\n"),
            "250 2.0.0 3 bytes\r\n250 2.0.0 3 bytes\r\n250 2.0.0 for foo@x\r\n250 2.0.0 ok\r\n");
  EXPECT_EQ(d.stored.back(), "foo@x : abcdef");
}

TEST(LmtpSession, ChunksThatAreRefusedAreReadOver) {
  Driver d(10);
  d.run(kBegin);
  const std::string too_large = "552 5.3.4 the message is too large: the limit is 10 bytes\r\n";
  EXPECT_EQ(d.at_once("BDAT 5\r\n12345BDAT 10\r\nNOOP\r\nNOO"), "250 2.0.0 5 bytes\r\n");
  EXPECT_EQ(d.at_once("P"), too_large);
  EXPECT_EQ(d.dropped, 1);
  EXPECT_EQ(d.at_once("BDAT 2\r\n\r\nBDAT 1 LAST\r\nxRSET\r\n"),
            too_large + too_large + "250 2.0.0 ok\r\n");
  // RFC 2033 §4.3: BDAT LAST has no reply when there is no recipient; others have one.
  d.run("MAIL FROM:<a@b>\r\nRCPT TO:<nobody@x>\r\n");
  EXPECT_EQ(d.at_once("BDAT 6\r\nNOOP\r\nBDAT 6 LAST\r\nNOOP\r\nNOOP\r\n"),
            "503 5.5.1 no valid recipient\r\n250 2.0.0 ok\r\n");
  d.run(kBegin);
  d.run("BDAT 5\r\n12345");
  EXPECT_EQ(d.run("RSET\r\n"), "250 2.0.0 ok\r\n");
  EXPECT_EQ(d.dropped, 2);
  EXPECT_TRUE(d.stored.empty());
}

TEST(LmtpSession, AMessageThatCanNotBeKeptIsReadAndRefused) {
  Driver d;
  d.refuse_body = true;
  d.run(std::string(kBegin) + "DATA\r\n");
  EXPECT_EQ(d.run("A: b\r\n\r\n.\r\n"), "452 4.3.1 no room\r\n");
  EXPECT_EQ(d.dropped, 0);
}

TEST(LmtpSession, AnEmptyMessageIsRefused) {
  Driver d;
  d.run(std::string(kBegin) + "DATA\r\n");
  EXPECT_EQ(d.run(".\r\n"), "554 5.6.0 the message is empty\r\n");
  d.run("MAIL FROM:<a@b>\r\nRCPT TO:<foo@x>\r\n");
  EXPECT_EQ(d.run("BDAT 0 LAST\r\n"), "554 5.6.0 the message is empty\r\n");
}

TEST(LmtpSession, OnlyCrLfEndsACommand) {  // RFC 5321 §2.3.8
  Driver d;
  const std::string reply =
      "500 5.5.2 expected CR LF at the end of the line, and no other CR, LF or NUL\r\n";
  EXPECT_EQ(d.run("NOOP\n"), reply);
  EXPECT_EQ(d.run("NOOP\rNOOP\r\n"), reply);
  EXPECT_EQ(d.run(std::string("NO\0OP\r\n", 7)), reply);
  EXPECT_EQ(d.run("NOOP\r\n"), "250 2.0.0 ok\r\n");
}

TEST(LmtpSession, LongLinesAreReadOver) {
  Driver d;
  const std::string longest = "NOOP " + std::string(kMaxLine - 7, 'x') + "\r\n";
  ASSERT_EQ(longest.size(), kMaxLine);
  EXPECT_EQ(d.at_once(longest), "250 2.0.0 ok\r\n");
  const std::string reply = "500 5.5.2 expected a line of at most 4096 bytes\r\n";
  EXPECT_EQ(d.at_once("x" + longest + "NOOP\r\n"), reply + "250 2.0.0 ok\r\n");
  EXPECT_EQ(d.run("x" + longest + "NOOP\r\n"), reply + "250 2.0.0 ok\r\n");
  EXPECT_EQ(d.at_once(std::string(100'000, 'x')), "");
  EXPECT_TRUE(d.pending.empty());
  EXPECT_EQ(d.at_once("\r\n"), reply);
}

TEST(LmtpSession, AMessageThatComesBeforeThe354EndsTheConnection) {  // RFC 2920 §3.1
  Driver d;
  const std::string replies = d.at_once(std::string(kBegin) + "DATA\r\nA: b\r\n\r\n.\r\n");
  EXPECT_TRUE(replies.ends_with("421 4.5.0 the message was sent before it was asked for\r\n"));
  EXPECT_FALSE(d.open);
  EXPECT_TRUE(d.stored.empty());
}

TEST(LmtpSession, AHundredRecipientsAndNoMore) {  // RFC 5321 §4.5.3.1.8, RFC 9422 §4
  Driver d;
  d.run("LHLO c\r\nMAIL FROM:<a@b>\r\n");
  for (size_t i = 0; i < kMaxRecipients; i++)
    ASSERT_EQ(d.at_once("RCPT TO:<u" + std::to_string(i) + "@x>\r\n"), "250 2.1.5 ok\r\n");
  EXPECT_EQ(d.run("RCPT TO:<more@x>\r\n"), "452 4.5.3 too many recipients of one message\r\n");
}

TEST(LmtpSession, TooManyErrorsEndTheConnectionButUnknownUsersDoNot) {
  Driver d;
  d.run("LHLO c\r\nMAIL FROM:<a@b>\r\n");
  for (unsigned i = 0; i < 2 * kMaxErrors; i++)
    ASSERT_EQ(d.at_once("RCPT TO:<nobody@x>\r\n"), "550 5.1.1 no such user\r\n");
  for (unsigned i = 0; i + 1 < kMaxErrors; i++)
    ASSERT_EQ(d.at_once("X\r\n"), "500 5.5.2 the command is not known\r\n");
  EXPECT_EQ(d.at_once("X\r\nNOOP\r\n"), "421 4.7.0 too many errors\r\n");
  EXPECT_FALSE(d.open);
}

TEST(LmtpSession, Utf8NeedsItsParameter) {  // RFC 6531 §3.4, §3.5
  Driver d;
  d.run("LHLO c\r\n");
  EXPECT_EQ(d.run("MAIL FROM:<\xc3\xa4@b>\r\n"),
            "553 5.6.7 an address in UTF-8 needs SMTPUTF8\r\n");
  d.run("MAIL FROM:<a@b>\r\n");
  EXPECT_EQ(d.run("RCPT TO:<\xc3\xa4@b>\r\n"), "553 5.6.7 an address in UTF-8 needs SMTPUTF8\r\n");
  EXPECT_EQ(d.run("RSET\r\nMAIL FROM:<\xc3\xa4@b> SMTPUTF8\r\nRCPT TO:<\xc3\xa4@b>\r\n"),
            "250 2.0.0 ok\r\n250 2.1.0 ok\r\n250 2.1.5 ok\r\n");
}

TEST(LmtpSession, WhatIsForwardedHoldsForOneTransaction) {
  Driver d;
  d.run("LHLO c\r\nXFORWARD NAME=mx.example IDENT=Q1\r\nXFORWARD ADDR=192.0.2.1\r\n");
  d.run("MAIL FROM:<a@b>\r\nRCPT TO:<foo@x>\r\n");
  EXPECT_EQ(d.session.forwarded().ident, "Q1");
  EXPECT_EQ(d.session.forwarded().address, "192.0.2.1");
  d.run("DATA\r\n");
  d.run("x\r\n.\r\n");
  EXPECT_EQ(d.session.forwarded(), Xforward{});
}

TEST(LmtpSession, LhloAndRsetForgetTheTransaction) {  // RFC 5321 §4.1.1.5
  for (const std::string again : {"LHLO c\r\n", "RSET\r\n"}) {
    Driver d;
    d.run(kBegin);
    d.run(again);
    EXPECT_FALSE(d.session.transaction().mail);
    EXPECT_TRUE(d.session.transaction().recipients.empty());
  }
}

TEST(LmtpSession, AReplyOfOthersStaysOneLine) {
  Driver d;
  d.run(std::string(kBegin) + "DATA\r\n");
  d.pending.clear();
  Session& s = d.session;
  while (s.step("x\r\n.\r\n").event != Event::body) {
  }
  std::string rest = ".\r\n";
  while (s.step(rest).event != Event::complete) rest.erase(0, 1);
  s.delivered(std::vector{Reply(250, "2.0.0", "a\r\n250 b\xff")});
  EXPECT_EQ(s.take_output(), "250 2.0.0 a??250 b?\r\n");
}

}  // namespace
}  // namespace rims::lmtp
