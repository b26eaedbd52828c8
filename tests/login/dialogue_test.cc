// tests/login/dialogue_test.cc - what a client may say before its login, and what it hears
//
// RFC 3501 §6.2.2, §6.2.3; 4616 §2; 4959 §3; 2195 §2; 5530 §3.

#include "tests/login/harness.h"

namespace rims::login {
namespace {

using Dialogues = LoginTest;

std::string plain(const std::string& authzid, const std::string& user, const std::string& pass) {
  return to_base64(authzid + '\0' + user + '\0' + pass);
}

TEST_F(Dialogues, GreetsWithItsCapabilities) {
  start();
  EXPECT_EQ(greeting(connect()),
            "* OK [CAPABILITY IMAP4rev1 IMAP4rev2 LITERAL- ID SASL-IR AUTH=PLAIN AUTH=CRAM-MD5] " +
                kReady);
}

TEST_F(Dialogues, AnswersWhatIsAllowedInAnyState) {
  start();
  Client& c = connect();
  greeting(c);
  EXPECT_EQ(ask(c, "a NOOP"), "a OK NOOP completed\r\n");
  say(c, "b CAPABILITY\r\n");
  EXPECT_EQ(hear(c, "b OK CAPABILITY completed\r\n"),
            "* CAPABILITY IMAP4rev1 IMAP4rev2 LITERAL- ID SASL-IR AUTH=PLAIN AUTH=CRAM-MD5\r\n"
            "b OK CAPABILITY completed\r\n");
  say(c, "c ID (\"name\" \"x\")\r\n");
  EXPECT_EQ(hear(c, "completed\r\n"), "* ID (\"name\" \"RIMS\")\r\nc OK ID completed\r\n");
  say(c, "d LOGOUT\r\n");
  EXPECT_EQ(hear_all(c), "* BYE see you\r\nd OK LOGOUT completed\r\n");
  EXPECT_EQ(server->connections(), 0u);
}

TEST_F(Dialogues, RefusesEverythingElse) {
  start();
  Client& c = connect();
  greeting(c);
  EXPECT_EQ(ask(c, "a SELECT INBOX").substr(0, 5), "a NO ");
  EXPECT_EQ(ask(c, "a UID FETCH 1 FLAGS").substr(0, 5), "a NO ");
  EXPECT_EQ(ask(c, "a FROBNICATE"), "a BAD unknown command FROBNICATE\r\n");
  EXPECT_EQ(ask(c, "a UID FROB 1"), "a BAD unknown command UID FROB\r\n");
  EXPECT_EQ(ask(c, "a F\xe4 \"\xff ((("), "a BAD unknown command F?\r\n");
  say(c, "a FOO \"x\" {3}\r\nabc y {2+}\r\nb\n\r\nc NOOP\r\n");
  EXPECT_EQ(hear(c, "c OK NOOP completed\r\n"),
            "+ OK\r\na BAD unknown command FOO\r\nc OK NOOP completed\r\n");
  EXPECT_EQ(ask(c, "a FOO " + std::string(9000, 'x')), "a BAD unknown command FOO\r\n");
  EXPECT_EQ(ask(c, "a STARTTLS"), "a BAD TLS is not offered\r\n");
  EXPECT_EQ(ask(c, "a AUTHENTICATE GSSAPI"), "a NO this mechanism is not offered\r\n");
  EXPECT_EQ(ask(c, "((((").substr(0, 6), "* BAD ");
}

TEST_F(Dialogues, LoginGivesTheSocketTheTagAndTheUnreadInputToTheWorker) {
  start();
  Client& c = connect(from("192.0.2.7"));
  greeting(c);
  say(c, "a1 LOGIN foo bar\r\na2 SELECT INBOX\r\na3 FE");
  Handed got = handed();
  EXPECT_EQ(got.message.ticket.value.reveal(), "0123456789abcdef");
  EXPECT_EQ(got.message.tag.value, "a1");
  EXPECT_EQ(got.message.unread.value, "a2 SELECT INBOX\r\na3 FE");
  EXPECT_EQ(got.message.client_address.value, "192.0.2.7");
  EXPECT_FALSE(got.message.over_tls);
  EXPECT_EQ(got.message.session.value, "s0.1");
  ASSERT_EQ(requests.size(), 1u);
  EXPECT_EQ(requests[0].client_address.value, "192.0.2.7");
  EXPECT_FALSE(requests[0].over_tls);
  // The socket is the worker's now: the client hears it, and rims-login holds nothing.
  settle();
  EXPECT_EQ(server->connections(), 0u);
  Stream theirs(loop, std::move(got.fd), 5s);
  theirs.put("a1 OK hello\r\n");
  ASSERT_TRUE(run(loop, theirs.flush()));
  EXPECT_EQ(hear(c, "\r\n"), "a1 OK hello\r\n");
}

TEST_F(Dialogues, RimsAuthIsToldThatAClientHasLeft) {
  auth_hangs = true;
  start();
  Client& c = connect();
  greeting(c);
  say(c, "a1 LOGIN foo guess\r\n");
  wait_until([&] { return requests.size() == 1; });
  EXPECT_TRUE(cancelled.empty());
  clients.clear();  // it goes
  wait_until([&] { return cancelled.size() == 1; });
  EXPECT_EQ(cancelled[0], requests[0].request);
  wait_until([&] { return server->connections() == 0; });
}

// As "nc" does with a file: the client has said all and still wants to know.
TEST_F(Dialogues, AClientThatHasSaidAllHasNotLeft) {
  auth_hangs = true;
  start();
  Client& c = connect();
  greeting(c);
  say(c, "a1 LOGIN foo guess\r\na2 LOGOUT\r\n");
  shutdown(c.stream.fd(), SHUT_WR);
  wait_until([&] { return requests.size() == 1; });
  settle();
  EXPECT_TRUE(cancelled.empty());
  EXPECT_EQ(server->connections(), 1u);
}

TEST_F(Dialogues, EveryWayToLogIn) {
  const std::string mechanism = "a AUTHENTICATE PLAIN";
  const struct {
    const char* name;
    std::vector<std::string> lines;  // each after an answer to the one before
    ipc::Mechanism mechanism;
  } rows[] = {
      {"atoms", {"a LOGIN foo bar\r\n"}, ipc::Mechanism::login},
      {"quoted", {"a login \"foo\" \"bar\"\r\n"}, ipc::Mechanism::login},
      {"literals", {"a LOGIN {3}\r\n", "foo {3}\r\n", "bar\r\n"}, ipc::Mechanism::login},
      {"literals-", {"a LOGIN {3+}\r\nfoo {3+}\r\nbar\r\n"}, ipc::Mechanism::login},
      {"plain", {mechanism + "\r\n", plain("", "foo", "bar") + "\r\n"}, ipc::Mechanism::plain},
      {"sasl-ir", {mechanism + " " + plain("foo", "foo", "bar") + "\r\n"}, ipc::Mechanism::plain},
  };
  start();
  for (const auto& row : rows) {
    SCOPED_TRACE(row.name);
    Client& c = connect();
    greeting(c);
    for (size_t i = 0; i < row.lines.size(); i++) {
      say(c, row.lines[i]);
      if (i + 1 < row.lines.size()) EXPECT_EQ(hear(c, "\r\n").front(), '+');
    }
    const Handed got = handed();
    EXPECT_EQ(got.message.tag.value, "a");
    EXPECT_EQ(got.message.unread.value, "");
    EXPECT_EQ(requests.back().mechanism, row.mechanism);
    EXPECT_EQ(requests.back().user.value, "foo");
    EXPECT_EQ(requests.back().password.value.reveal(), "bar");
  }
  EXPECT_EQ(requests.back().authzid.value, "foo");
}

TEST_F(Dialogues, CramMd5SendsAFreshChallengeAndPassesTheDigest) {
  verdict = ipc::Verdict::granted;
  start();
  std::string last;
  for (int i = 0; i < 2; i++) {
    Client& c = connect();
    greeting(c);
    const std::string line = ask(c, "a AUTHENTICATE CRAM-MD5");
    ASSERT_TRUE(line.starts_with("+ "));
    const std::string challenge = *from_base64(line.substr(2, line.size() - 4));
    EXPECT_TRUE(challenge.starts_with("<") && challenge.ends_with("@mx.example.org>")) << challenge;
    EXPECT_NE(challenge, last);
    last = challenge;
    say(c, to_base64("two words 0123456789abcdef0123456789abcdef") + "\r\n");
    (void)handed();
    EXPECT_EQ(requests.back().mechanism, ipc::Mechanism::cram_md5);
    EXPECT_EQ(requests.back().user.value, "two words");
    EXPECT_EQ(requests.back().digest.value, "0123456789abcdef0123456789abcdef");
    EXPECT_EQ(requests.back().challenge.value, challenge);
    EXPECT_TRUE(requests.back().password.value.empty());
  }
  Client& c = connect();
  greeting(c);
  EXPECT_EQ(ask(c, "a AUTHENTICATE CRAM-MD5 Zm9v"), "a BAD the challenge comes first\r\n");
}

TEST_F(Dialogues, CramMd5WorksWithTheLongestNameOfAServer) {
  part.hostname = std::string(ipc::kMaxHostName, 'h');
  verdict = ipc::Verdict::granted;
  start();
  Client& c = connect();
  greeting(c);
  const std::string line = ask(c, "a AUTHENTICATE CRAM-MD5");
  ASSERT_TRUE(line.starts_with("+ "));
  say(c, to_base64("foo 0123456789abcdef0123456789abcdef") + "\r\n");
  (void)handed();
  EXPECT_EQ(requests.back().challenge.value, *from_base64(line.substr(2, line.size() - 4)));
  EXPECT_TRUE(requests.back().challenge.value.ends_with("@" + part.hostname.value + ">"));
}

TEST_F(Dialogues, CramMd5IsNotOfferedWhereNoPasswordIsStoredPlain) {
  part.cram_md5 = false;
  start();
  Client& c = connect();
  EXPECT_EQ(greeting(c).find("CRAM"), std::string::npos);
  EXPECT_EQ(ask(c, "a AUTHENTICATE CRAM-MD5"), "a NO this mechanism is not offered\r\n");
}

TEST_F(Dialogues, SaslMistakesAreToldAndAskNobody) {
  start();
  Client& c = connect();
  greeting(c);
  const std::string begin = "a AUTHENTICATE PLAIN\r\n";
  const struct {
    std::string answer, reply;
  } rows[] = {
      {"*", "a BAD authentication cancelled\r\n"},
      {"!!!!", "a BAD expected base64\r\n"},
      {"Zm9", "a BAD expected base64\r\n"},
      {"Zm9v Zm9v", "a BAD expected base64\r\n"},
      {std::string("Zm\0v", 4), "a BAD expected base64\r\n"},
      {to_base64("foo"), "a BAD expected authzid NUL authcid NUL password\r\n"},
      {to_base64(std::string("\0foo", 4)), "a BAD expected authzid NUL authcid NUL password\r\n"},
      {to_base64(std::string("\0foo\0bar\0", 9)),
       "a BAD expected authzid NUL authcid NUL password\r\n"},
      {"", "a BAD expected authzid NUL authcid NUL password\r\n"},
  };
  for (const auto& row : rows) {
    say(c, begin);
    EXPECT_EQ(hear(c, "\r\n").substr(0, 1), "+");
    say(c, row.answer + "\r\n");
    EXPECT_EQ(hear(c, "\r\n"), row.reply) << row.answer;
  }
  EXPECT_TRUE(requests.empty());
  EXPECT_EQ(ask(c, "b NOOP"), "b OK NOOP completed\r\n");
}

TEST_F(Dialogues, RefusalsAreCountedAndTheThirdEndsTheConnection) {
  start();
  Client& c = connect();
  greeting(c);
  EXPECT_EQ(ask(c, "a LOGIN foo wrong"), "a NO [AUTHENTICATIONFAILED] authentication failed\r\n");
  EXPECT_EQ(ask(c, "b LOGIN nobody x"), "b NO [AUTHENTICATIONFAILED] authentication failed\r\n");
  say(c, "c LOGIN foo baz\r\n");
  EXPECT_EQ(hear_all(c),
            "c NO [AUTHENTICATIONFAILED] authentication failed\r\n"
            "* BYE too many failed attempts\r\n");
}

TEST_F(Dialogues, ARefusalIsHeldBackAndOthersAreNot) {
  delay_ms = 300;
  start();
  Client& slow = connect();
  greeting(slow);
  const auto begin = Loop::now();
  say(slow, "a LOGIN foo wrong\r\n");
  Client& good = connect();
  greeting(good);
  say(good, "a LOGIN foo bar\r\n");
  (void)handed();
  EXPECT_LT(Loop::now() - begin, 300ms);
  EXPECT_EQ(hear(slow, "\r\n"), "a NO [AUTHENTICATIONFAILED] authentication failed\r\n");
  EXPECT_GE(Loop::now() - begin, 300ms);
}

TEST_F(Dialogues, TooManyWaitingIsTemporary) {
  verdict = ipc::Verdict::try_later;
  start();
  Client& c = connect();
  greeting(c);
  EXPECT_EQ(ask(c, "a LOGIN some body"), "a NO [UNAVAILABLE] try again later\r\n");
  EXPECT_EQ(ask(c, "b NOOP"), "b OK NOOP completed\r\n");
}

TEST_F(Dialogues, NamesAndPasswordsOfAnySizeAndByteGetARefusalAndNoMore) {
  part.login_attempts_max = 100;
  start();
  for (const std::string& name :
       {std::string(256, 'u'), std::string(4000, 'u'), std::string("\xff\xfe"),
        std::string("a\xe2\x82"), std::string("x\ry"), std::string("\x01")}) {
    Client& c = connect();
    greeting(c);
    say(c, "a LOGIN {" + std::to_string(name.size()) + "+}\r\n" + name + " x\r\n");
    EXPECT_EQ(hear(c, "\r\n"), "a NO [AUTHENTICATIONFAILED] authentication failed\r\n");
    // rims-auth hears of each, so that it can count and log it.
    ASSERT_FALSE(requests.empty());
    EXPECT_EQ(requests.back().user.value, name.substr(0, ipc::kMaxUserName));
    EXPECT_EQ(requests.back().impossible, name.size() > ipc::kMaxUserName);
  }
  // NUL is no CHAR8 (RFC 3501 §9).
  Client& c = connect();
  greeting(c);
  say(c, std::string("a LOGIN {1+}\r\n\0 x\r\n", 19));
  EXPECT_EQ(hear(c, "\r\n").substr(0, 6), "a BAD ");
  const std::string long_password(1025, 'p');
  EXPECT_EQ(ask(c, "b AUTHENTICATE PLAIN " + plain("", "foo", long_password)),
            "b NO [AUTHENTICATIONFAILED] authentication failed\r\n");
  EXPECT_TRUE(requests.back().impossible);
  EXPECT_TRUE(requests.back().password.value.empty());
  EXPECT_EQ(ask(c, "c AUTHENTICATE PLAIN " + plain(std::string(256, 'z'), "foo", "bar")),
            "c NO [AUTHENTICATIONFAILED] authentication failed\r\n");
  EXPECT_TRUE(requests.back().impossible);
  EXPECT_EQ(requests.back().user.value, "foo");
}

TEST_F(Dialogues, PlaintextPasswordsAreForThoseWhoMay) {
  part.plaintext = config::Plaintext::loopback;
  start(true);
  Client& far = connect(from("192.0.2.1"));
  EXPECT_EQ(greeting(far),
            "* OK [CAPABILITY IMAP4rev1 IMAP4rev2 LITERAL- ID SASL-IR STARTTLS LOGINDISABLED "
            "AUTH=CRAM-MD5] " +
                kReady);
  EXPECT_EQ(ask(far, "a LOGIN foo bar"),
            "a NO [PRIVACYREQUIRED] LOGIN is disabled without TLS\r\n");
  EXPECT_EQ(ask(far, "a AUTHENTICATE PLAIN"),
            "a NO [PRIVACYREQUIRED] PLAIN is disabled without TLS\r\n");
  EXPECT_TRUE(requests.empty());
  Client& near = connect(from("127.0.0.1", true));
  greeting(near);
  say(near, "a LOGIN foo bar\r\n");
  (void)handed();
}

TEST_F(Dialogues, LimitsBeforeLogin) {
  start();
  {
    Client& c = connect();
    greeting(c);
    std::string many;
    for (unsigned i = 0; i <= Dialogue::kMaxCommands; i++) many += "a NOOP\r\n";
    say(c, many);
    EXPECT_TRUE(hear_all(c).ends_with("* BYE too many commands before login\r\n"));
  }
  {
    Client& c = connect();
    greeting(c);
    std::string many;
    for (unsigned i = 0; i < Dialogue::kMaxBad; i++) many += "a BLAH\r\n";
    say(c, many);
    EXPECT_TRUE(hear_all(c).ends_with("* BYE too many bad commands\r\n"));
  }
  {
    Client& c = connect();
    greeting(c);
    std::string text;
    // Literals and their refusals, spread over commands: the sum counts.
    for (int i = 0; i < 80; i++)
      text += "a ID (\"x\" {2000+}\r\n" + std::string(2000, 'x') + ")\r\n";
    c.stream.put(text);
    (void)run(loop, c.stream.flush());
    const std::string heard = hear_all(c);
    EXPECT_NE(heard.find("* BYE "), std::string::npos) << heard.substr(heard.size() - 200);
  }
}

// RFC 2971 §3.3: 30 fields, names of 30 octets, values of 1,024.
TEST_F(Dialogues, TheLargestIdIsTaken) {
  start();
  for (const char* form : {"quoted", "escaped", "{", "{+"}) {
    const auto string = [&](size_t size) {
      const std::string octets(size, form[0] == 'e' ? '"' : 'x');
      if (form[0] == 'q') return '"' + octets + '"';
      if (form[0] == '{')
        return '{' + std::to_string(size) + (form[1] == '+' ? "+}\r\n" : "}\r\n") + octets;
      std::string escaped = "\"";
      for (const char c : octets) (escaped += '\\') += c;
      return escaped + '"';
    };
    const auto command = [&](int fields, size_t name, size_t value) {
      std::string text = "a ID (";
      for (int i = 0; i < fields; i++)
        text += (i == 0 ? "" : " ") + string(name) + ' ' + string(value);
      return text + ")\r\n";
    };
    Client& c = connect();
    greeting(c);
    say(c, command(30, 30, 1024));
    EXPECT_TRUE(hear(c, "a OK ID completed\r\n")
                    .ends_with("* ID (\"name\" \"RIMS\")\r\na OK ID completed\r\n"))
        << form;
    EXPECT_EQ(ask(c, "b NOOP"), "b OK NOOP completed\r\n") << form;
    say(c, "c LOGIN foo bar\r\n");
    EXPECT_EQ(handed().message.tag.value, "c");
    // One more octet, or field, is too much.
    Client& more = connect();
    greeting(more);
    for (const auto& text : {command(1, 31, 1), command(1, 1, 1025)}) {
      say(more, text + "d NOOP\r\n");
      EXPECT_NE(hear(more, "d OK NOOP completed\r\n").find("a NO "), std::string::npos) << form;
    }
  }
  // No other command may be so long.
  Client& c = connect();
  greeting(c);
  EXPECT_EQ(ask(c, "a LOGIN \"" + std::string(30'000, 'x') + "\" y"),
            "a BAD [TOOBIG] the line is too long\r\n");
}

TEST_F(Dialogues, UnfinishedCommandsHoldLittleAndEndByTime) {
  part.login_timeout_s = 1;
  start();
  Client& c = connect();
  greeting(c);
  say(c, "a NOOP (((");
  EXPECT_EQ(hear_all(c), "* BYE login took too long\r\n");
  EXPECT_EQ(server->connections(), 0u);
}

TEST_F(Dialogues, AnEndlessLineEndsTheConnection) {
  start();
  for (const char* unit :
       {"((((((((((((((((", "))))))))))))))))", "xxxxxxxxxxxxxxxx", "{1+}{1+}{1+}{1+}"}) {
    Client& c = connect();
    greeting(c);
    std::string text = "a NOOP ";
    for (int i = 0; i < 10'000; i++) text += unit;
    c.stream.put(text);
    (void)run(loop, c.stream.flush());
    EXPECT_NE(hear_all(c).find("* BYE "), std::string::npos) << unit;
  }
}

TEST_F(Dialogues, TheSameWhereverTheInputIsSplit) {
  start();
  const struct {
    std::string say, hear;
  } rows[] = {
      {"a NOOP\r\nb CAPABILITY\r\nc LOGOUT\r\n", ""},
      {"a LOGIN {3}\r\nfoo {4}\r\nbar2\r\nb LOGOUT\r\n", ""},
      {"a AUTHENTICATE PLAIN\r\n" + plain("", "foo", "x") + "\r\nb LOGOUT\r\n", ""},
      {"a AUTHENTICATE PLAIN " + plain("", "foo", "x") + "\r\nb LOGOUT\r\n", ""},
      {"a AUTHENTICATE PLAIN\r\n*\r\nb ID NIL\r\nc LOGOUT\r\n", ""},
      {"a ID (\"name\" {4+}\r\nabcd)\r\nb BLAH\r\n\r\nc LOGOUT\n", ""},
  };
  for (const auto& row : rows) {
    std::string whole;
    for (size_t at = 0; at <= row.say.size(); at++) {
      Client& c = connect();
      say(c, row.say.substr(0, at));
      settle();
      say(c, row.say.substr(at));
      const std::string heard = hear_all(c);
      if (at == 0) whole = heard;
      ASSERT_EQ(heard, whole) << "split at " << at << " of " << row.say;
      clients.clear();
    }
    EXPECT_TRUE(whole.ends_with("OK LOGOUT completed\r\n")) << whole;
  }
  // And a login, whose unread bytes go along.
  const std::string login = "a LOGIN {3}\r\nfoo bar\r\nb SELECT x\r\n";
  for (size_t at = 0; at <= login.size(); at++) {
    Client& c = connect();
    say(c, login.substr(0, at));
    settle();
    c.stream.put(login.substr(at));
    (void)run(loop, c.stream.flush());
    Handed got = handed();
    std::string rest = got.message.unread.value;
    Stream theirs(loop, std::move(got.fd), 5s);
    while (rest.size() < 12) {
      ASSERT_TRUE(run(loop, theirs.fill(5s)));
      rest += theirs.input();
      theirs.consume(theirs.input().size());
    }
    ASSERT_EQ(rest, "b SELECT x\r\n") << at;
    clients.clear();
  }
}

TEST_F(Dialogues, TheClientMayGoAtEveryByte) {
  start();
  Client& witness = connect(from("192.0.2.99"));
  greeting(witness);
  for (const std::string& text :
       {std::string("a CAPABILITY\r\nb LOGIN {3}\r\nfoo {3}\r\nbaz\r\nc LOGOUT\r\n"),
        "a AUTHENTICATE PLAIN\r\n" + plain("", "foo", "x") + "\r\n",
        std::string("a AUTHENTICATE CRAM-MD5\r\nZm9v\r\n")}) {
    for (size_t at = 0; at <= text.size(); at++) {
      Fd raw = connect_raw();
      (void)!::send(raw.get(), text.data(), at, MSG_NOSIGNAL);
      if (at % 2 == 0) settle();
      raw.reset();
      settle();
    }
  }
  // A refusal is held back for a second, also from who has gone.
  wait_until([&] { return server->connections() == 1; });
  say(witness, "a LOGIN foo bar\r\n");
  (void)handed();
}

TEST_F(Dialogues, NoLineShowsAPassword) {
  log::set_level(log::Level::debug);
  start();
  Client& c = connect();
  greeting(c);
  ask(c, "a LOGIN foo hunter2");
  ask(c, "b AUTHENTICATE PLAIN " + plain("", "foo", "hunter2"));
  say(c, "c LOGIN hunter2\r\nd BLAH hunter2\r\ne LOGOUT\r\n");
  hear_all(c);
  say(connect(), "x LOGIN foo bar\r\n");
  (void)handed();
  log::set_level(log::Level::info);
  EXPECT_FALSE(lines.lines.empty());
  for (const std::string& line : lines.lines) {
    EXPECT_EQ(line.find("hunter2"), std::string::npos) << line;
    EXPECT_EQ(line.find("aHVudGVyMg"), std::string::npos) << line;
  }
}

}  // namespace
}  // namespace rims::login
