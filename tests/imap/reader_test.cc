// tests/imap/reader_test.cc - bytes in any pieces to commands; what an attacker can make us hold
//
// Mirrors common/imap/reader.cc. A session is told as a list of lines: what the reader said, in
// order.

#include "common/imap/reader.h"

#include <gtest/gtest.h>

#include "common/imap/printer.h"
#include "tests/imap/support.h"

namespace rims::imap {
namespace {

using Event = Reader::Event;
using Lines = std::vector<std::string>;

std::string told(const Error& e) {
  return (e.fault() == Fault::syntax ? "BAD " : "NO ") +
         (e.code().empty() ? "" : "[" + e.code() + "] ") + e.reply();
}

// Everything that the reader has to say about `input`.
void feed(Reader& reader, std::string_view input, Lines& out) {
  for (;;) {
    switch (reader.next(input)) {
      case Event::need_more:
        EXPECT_TRUE(input.empty());
        return;
      case Event::go_ahead:
        out.push_back("+");
        break;
      case Event::command: {
        const std::string tag(reader.tag());
        Result<Command> c = reader.take();
        out.push_back(c ? print(*c) : tag + " " + told(c.error()));
        if (c && std::holds_alternative<Idle>(c->args)) reader.expect_line();
        break;
      }
      case Event::line:
        out.push_back("line " + std::string(reader.line()));
        break;
      case Event::refused:
        out.push_back(std::string(reader.refusal_tag()) + " " + told(reader.refusal()));
        break;
      case Event::fatal:
        out.push_back("BYE " + reader.refusal().reply());
        return;
    }
  }
}

Lines session(const ReaderLimits& limits, std::string_view input) {
  Reader reader(limits, ParserLimits{});
  Lines out;
  feed(reader, input, out);
  return out;
}

ReaderLimits small() {
  ReaderLimits l;
  l.line_bytes = 100;
  l.literal_bytes = 20;
  l.literal_sum = 30;
  l.literal_count = 3;
  l.message_bytes = 50;
  l.skip_bytes = 1000;
  return l;
}

// What clients really send, literals and all; IDLE's DONE with the next command in one packet.
struct Transcript {
  const char* client;
  std::string bytes;
  Lines told;
};
const std::vector<Transcript>& transcripts() {
  static const std::vector<Transcript> all = {
      {"curl",
       "A001 CAPABILITY\r\nA002 AUTHENTICATE PLAIN AGZvbwBiYXI=\r\nA003 SELECT INBOX\r\n"
       "A004 FETCH 1 BODY[]\r\nA005 LOGOUT\r\n",
       {"A001 CAPABILITY\r\n", "A002 AUTHENTICATE PLAIN AGZvbwBiYXI=\r\n",
        "A003 SELECT \"INBOX\"\r\n", "A004 FETCH 1 (BODY[])\r\n", "A005 LOGOUT\r\n"}},
      {"mutt",
       "a0001 ID (\"name\" \"mutt\")\r\na0002 LIST \"\" \"\"\r\na0003 STATUS \"INBOX\" (MESSAGES "
       "UNSEEN)\r\n"
       "a0004 APPEND \"Sent\" (\\Seen) \" 1-Nov-2026 10:00:00 +0100\" {29}\r\n"
       "Subject: a\r\n\r\nb NOOP {3}\r\n.\r\n\r\n"
       "a0005 IDLE\r\nDONE\r\na0006 CLOSE\r\n",
       {"a0001 ID (\"name\" \"mutt\")\r\n", "a0002 LIST \"\" \"\"\r\n",
        "a0003 STATUS \"INBOX\" (MESSAGES UNSEEN)\r\n", "+",
        "a0004 APPEND \"Sent\" (\\Seen) \" 1-Nov-2026 10:00:00 +0100\" {29+}\r\n"
        "Subject: a\r\n\r\nb NOOP {3}\r\n.\r\n\r\n",
        "a0005 IDLE\r\n", "line DONE", "a0006 CLOSE\r\n"}},
      {"mbsync, LITERAL+",
       "1 LOGIN \"foo\" {3+}\r\nb\"r\r\n2 APPEND {4+}\r\na\\b\" {2+}\r\nhi\r\n"
       "3 UID FETCH 1:* (UID FLAGS BODY.PEEK[HEADER.FIELDS (X-TUID)])\r\n",
       {"1 LOGIN \"foo\" \"b\\\"r\"\r\n", "2 APPEND \"a\\\\b\\\"\" () {2+}\r\nhi\r\n",
        "3 UID FETCH 1:* (UID FLAGS BODY.PEEK[HEADER.FIELDS (\"X-TUID\")])\r\n"}},
      {"imaplib",
       "KJAB0 LOGIN foo \"bar\"\r\nKJAB1 SEARCH CHARSET UTF-8 SUBJECT {3}\r\n\xC3\xA9x\r\n"
       "KJAB2 STORE 1:3 +FLAGS (\\Deleted)\r\nKJAB3 APPEND INBOX {0}\r\n\r\nKJAB4 expunge\r\n",
       {"KJAB0 LOGIN \"foo\" \"bar\"\r\n", "+",
        "KJAB1 SEARCH CHARSET \"UTF-8\" HEADER \"subject\" {3+}\r\n\xC3\xA9x\r\n",
        "KJAB2 STORE 1:3 +FLAGS (\\Deleted)\r\n", "+", "KJAB3 APPEND \"INBOX\" () {0+}\r\n\r\n",
        "KJAB4 EXPUNGE\r\n"}},
      {"a person with nc: LF alone, empty lines, mistakes",
       "a noop\n\n\r\nb foo\nc LOGIN {1}\nx {1}\r\ny\n\n",
       {"a NOOP\r\n", "b BAD unknown command foo", "+", "+", "c LOGIN \"x\" \"y\"\r\n"}},
      {"several literals in one command",
       "a FETCH 1 BODY[HEADER.FIELDS ({2}\r\nTo {2+}\r\nCc {4}\r\nFrom)]<0.5>\r\nb NOOP\r\n",
       {"+", "+", "a FETCH 1 (BODY[HEADER.FIELDS (\"To\" \"Cc\" \"From\")]<0.5>)\r\n",
        "b NOOP\r\n"}},
  };
  return all;
}

// The expected lines were written by hand; IMAP's printed form has FETCH's flags first.
Lines expected(const Transcript& t) {
  Lines lines = t.told;
  for (std::string& line : lines)
    if (const size_t at = line.find("(UID FLAGS "); at != line.npos)
      line.replace(at, 11, "(FLAGS UID ");
  return lines;
}

TEST(Reader, TranscriptsAtOnce) {
  for (const Transcript& t : transcripts())
    EXPECT_EQ(session(ReaderLimits{.message_bytes = 1000}, t.bytes), expected(t)) << t.client;
}

TEST(Reader, TranscriptsInTwoPiecesCutAnywhere) {
  for (const Transcript& t : transcripts()) {
    for (size_t cut = 0; cut <= t.bytes.size(); cut++) {
      Reader reader(ReaderLimits{.message_bytes = 1000}, ParserLimits{});
      Lines out;
      // Heap copies of the exact size: reading beyond a piece is seen by the sanitizer.
      feed(reader, std::string(t.bytes, 0, cut), out);
      feed(reader, std::string(t.bytes, cut), out);
      ASSERT_EQ(out, expected(t)) << t.client << " cut at " << cut;
      EXPECT_TRUE(reader.idle());
    }
  }
}

TEST(Reader, TranscriptsByteByByteWithAndWithoutWiping) {
  for (const bool wipe : {false, true}) {
    for (const Transcript& t : transcripts()) {
      Reader reader(ReaderLimits{.message_bytes = 1000, .wipe = wipe}, ParserLimits{});
      Lines out;
      for (char c : t.bytes) feed(reader, std::string(1, c), out);
      EXPECT_EQ(out, expected(t)) << t.client;
    }
  }
}

// RFC 3501 §7.5: a client that waits is refused before it sends, and goes on with its next command.
TEST(Reader, RefusesTooBigAMessageBeforeItComes) {
  EXPECT_EQ(session(small(), "a APPEND x {51}\r\nb NOOP\r\n"),
            Lines({"a NO [TOOBIG] the message is too big", "b NOOP\r\n"}));
  EXPECT_EQ(session(small(), "a append {1}\r\nx (\\Seen) {18446744073709551616}\r\nb NOOP\r\n"),
            Lines({"+", "a NO [TOOBIG] the message is too big", "b NOOP\r\n"}));
  const std::string fits(50, 'm');
  EXPECT_EQ(session(small(), "a APPEND x {50+}\r\n" + fits + "\r\n"),
            Lines({"a APPEND \"x\" () {50+}\r\n" + fits + "\r\n"}));
}

TEST(Reader, SwallowsTooBigANonSynchronizingLiteralWithoutKeepingIt) {
  std::string inside = "b NOOP\r\n";  // must never run
  while (inside.size() < 400) inside += inside;
  const std::string size = std::to_string(inside.size());
  Reader reader(small(), ParserLimits{});
  Lines out;
  const std::string all =
      "a APPEND x {" + size + "+}\r\n" + inside + " {5+}\r\nc NO\n end\r\nd NOOP\r\n";
  size_t most = 0;
  for (char c : all) {
    feed(reader, std::string_view(&c, 1), out);
    most = std::max(most, reader.held());
  }
  EXPECT_EQ(out, Lines({"a NO [TOOBIG] the message is too big", "d NOOP\r\n"}));
  EXPECT_LE(most, 400U);
}

TEST(Reader, OnlyAppendsMessageMayBeLarge) {
  for (const char* line :
       {"a LOGIN {21}\r\n", "a APPEND {21}\r\n", "a NOOP APPEND x {21}\r\n", "a APPEND{21}\r\n"})
    EXPECT_EQ(session(small(), line).at(0).substr(line[0] == 'a' ? 2 : 7),
              "NO [TOOBIG] the literal is too big")
        << line;
  // RFC 8508 §3.4: the message of REPLACE is one of APPEND.
  for (const char* command :
       {"a REPLACE 1 x ", "a uid replace  *  x ", "a UID REPLACE 1 {1+}\r\nx "}) {
    EXPECT_EQ(session(small(), command + std::string("{51}\r\nb NOOP\r\n")),
              Lines({"a NO [TOOBIG] the message is too big", "b NOOP\r\n"}))
        << command;
    EXPECT_EQ(
        session(small(), command + std::string("{50+}\r\n") + std::string(50, 'x') + "\r\n").size(),
        1U)
        << command;
  }
  EXPECT_EQ(session(small(), "a REPLACE {21}\r\nb NOOP\r\n").front(),
            "a NO [TOOBIG] the literal is too big");
  EXPECT_EQ(session(small(), "a APPENDX x {21}\r\nAPPEND x {21}\r\n"),
            Lines({"a BAD unknown command APPENDX", "APPEND BAD unknown command x"}));
  ReaderLimits no_append = small();
  no_append.message_bytes = 0;
  EXPECT_EQ(session(no_append, "a APPEND x {21}\r\n"),
            Lines({"a NO [TOOBIG] the literal is too big"}));
}

// RFC 3502: each may be as large as one, all together have a limit of their own; what is refused in
// the middle is read away.
TEST(Reader, AppendTakesSeveralMessagesUpToASum) {
  ReaderLimits limits = small();
  limits.message_bytes = 20;
  limits.messages_sum = 50;
  const std::string twenty(20, 'x');
  EXPECT_EQ(session(limits, "a APPEND x {20}\r\n" + twenty + " {20}\r\n" + twenty +
                                " {10}\r\n0123456789\r\n")
                .size(),
            4U);
  EXPECT_EQ(session(limits, "a APPEND x {20+}\r\n" + twenty + " {20+}\r\n" + twenty +
                                " {11}\r\nb NOOP\r\n"),
            Lines({"a NO [TOOBIG] the messages of the command are too big", "b NOOP\r\n"}));
  EXPECT_EQ(session(limits, "a APPEND x {2+}\r\nhi {21+}\r\n" + twenty +
                                "x (\\Seen) {3+}\r\nb X\r\nc NOOP\r\n"),
            Lines({"a NO [TOOBIG] the message is too big", "c NOOP\r\n"}));
  // The next command starts anew.
  EXPECT_EQ(session(limits, "a APPEND x {20+}\r\n" + twenty + " {20+}\r\n" + twenty +
                                "\r\nb APPEND x {20}\r\n")
                .back(),
            "+");
}

TEST(Reader, MessagesAreNoLiteralsToCount) {
  ReaderLimits limits = small();
  limits.line_bytes = 2000;
  limits.messages_sum = 1000;
  std::string many = "a APPEND x";
  for (int i = 0; i < 100; i++) many += " {1+}\r\nx";
  const Lines lines = session(limits, many + "\r\n");
  ASSERT_EQ(lines.size(), 1U);
  EXPECT_TRUE(lines[0].starts_with("a APPEND ")) << lines[0];
}

TEST(Reader, ManyLiteralsAreCountedAndSummed) {
  EXPECT_EQ(session(small(), "a NOOP {1+}\r\nx{1+}\r\nx{1+}\r\nx{1+}\r\nx\r\nb NOOP\r\n"),
            Lines({"a NO [TOOBIG] too many literals in one command", "b NOOP\r\n"}));
  EXPECT_EQ(session(small(), "a NOOP {20+}\r\n" + std::string(20, 'x') + "{11}\r\nb NOOP\r\n"),
            Lines({"a NO [TOOBIG] the literals of the command are too big", "b NOOP\r\n"}));
}

TEST(Reader, LiteralMinusTakesUpTo4096WithoutWaiting) {  // RFC 7888 §5
  ReaderLimits l = limits_before_login();
  const std::string ok(4096, 'x');
  EXPECT_EQ(session(l, "a LOGIN x {4096+}\r\n" + ok + "\r\n").size(), 1U);
  l.literal_bytes = 8192;
  EXPECT_EQ(session(l, "a LOGIN x {4097+}\r\n" + ok + "y\r\nb NOOP\r\n"),
            Lines({"a BAD [TOOBIG] the non-synchronizing literal is too big", "b NOOP\r\n"}));
}

TEST(Reader, TooLongALineIsToldAtOnceAndSkipped) {
  Reader reader(small(), ParserLimits{});
  Lines out;
  const std::string start = "tag NOOP " + std::string(100, '(');
  feed(reader, start, out);
  EXPECT_EQ(out, Lines({"tag BAD [TOOBIG] the line is too long"}));
  EXPECT_LE(reader.held(), 64U);
  feed(reader, std::string(500, ')'), out);
  feed(reader, "\r\nb NOOP\r\n", out);
  EXPECT_EQ(out.back(), "b NOOP\r\n");
}

TEST(Reader, TheLimitOfALineIsExact) {
  const std::string longest = "a NOOP" + std::string(92, ' ') + "\r\n";
  ASSERT_EQ(longest.size(), 100U);
  EXPECT_EQ(session(small(), longest), Lines({"a NOOP\r\n"}));
  EXPECT_EQ(session(small(), " " + longest).size(), 1U);
  EXPECT_EQ(session(small(), " " + longest)[0], "* BAD [TOOBIG] the line is too long");
}

// Else the literal's bytes, a message perhaps, would be read as commands.
TEST(Reader, ALiteralAfterTooLongALineIsSkippedToo) {
  const std::string line = "a SEARCH TEXT " + std::string(200, 'x');
  EXPECT_EQ(session(small(), line + "{8+}\r\nb NOOP\r\n{8+}\r\nc NOOP\r\n\r\nd NOOP\r\n"),
            Lines({"a BAD [TOOBIG] the line is too long", "d NOOP\r\n"}));
  // One that waits takes the refusal for its answer.
  EXPECT_EQ(session(small(), line + "{8}\r\nb NOOP\r\n"),
            Lines({"a BAD [TOOBIG] the line is too long", "b NOOP\r\n"}));
}

TEST(Reader, TextAfterLiteralsCountsForTheLine) {
  const std::string part = "a LOGIN {1+}\r\nx";
  EXPECT_EQ(session(small(), part + std::string(100, ' ') + "\r\nb NOOP\r\n"),
            Lines({"a BAD [TOOBIG] the line is too long", "b NOOP\r\n"}));
}

// RFC 2971 §3.3: 30 fields, names of 30 octets and values of 1,024, in every form of a string.
TEST(Reader, TheLargestIdIsTaken) {
  for (const ReaderLimits& limits : {limits_before_login(), limits_after_login(1024, 1000)}) {
    for (const std::string form : {"quoted", "escaped", "}", "+}"}) {
      const auto string = [&](size_t size) {
        std::string text(size, 'x');
        if (form.ends_with('}')) return '{' + std::to_string(size) + form + "\r\n" + text;
        if (form == "escaped") {
          text.clear();
          for (size_t i = 0; i < size; i++) text += "\\\"";
        }
        return '"' + text + '"';
      };
      std::string input = std::string(kMaxTag, 't') + " ID (";
      for (int i = 0; i < 30; i++) input += (i == 0 ? "" : " ") + string(30) + ' ' + string(1024);
      input += ")\r\n";
      Reader reader(limits, ParserLimits{});
      std::string_view rest = input;
      Event event{};
      do event = reader.next(rest);
      while (event == Event::go_ahead);
      ASSERT_EQ(event, Event::command) << form;
      const Result<Command> command = reader.take();
      ASSERT_TRUE(command) << form << ": " << command.error().reply();
      const auto& fields = std::get<Id>(command->args).fields;
      ASSERT_EQ(fields.size(), 30U);
      for (const auto& [name, value] : fields) {
        EXPECT_EQ(name.size(), 30U);
        EXPECT_EQ(value.value_or("").size(), 1024U);
      }
    }
  }
}

TEST(Reader, OnlyIdMayBeLonger) {  // RFC 2971 §3.3
  ReaderLimits l = small();
  l.id_bytes = 200;
  l.id_literals = 6;
  const std::string value(30, 'x');
  const auto id = [](const std::string& fields) { return "a ID (" + fields + ")\r\n"; };
  const std::string quoted =
      "\"n\" \"" + value + "\" \"m\" \"" + value + "\" \"o\" \"" + value + '"';
  EXPECT_EQ(session(l, id(quoted)), Lines({id(quoted)}));
  EXPECT_EQ(session(l, "  a ID (").size(), 0U);
  EXPECT_EQ(session(l, id(quoted + " \"p\" \"" + value + value + value + '"') + "b NOOP\r\n"),
            Lines({"a BAD [TOOBIG] the line is too long", "b NOOP\r\n"}));
  EXPECT_EQ(session(l, "a IDLE (" + quoted + ")\r\nb NOOP\r\n"),
            Lines({"a BAD [TOOBIG] the line is too long", "b NOOP\r\n"}));
  const std::string four =
      "{1+}\r\nn {20+}\r\n" + value.substr(10) + " {1+}\r\nm {20+}\r\n" + value.substr(10);
  EXPECT_EQ(session(l, id(four)).size(), 1U);
  EXPECT_TRUE(session(l, id(four))[0].starts_with("a ID (\"n\" \"xxx"));
  EXPECT_EQ(session(l, id(four + " {1+}\r\no {1+}\r\np {1+}\r\nq NIL") + "b NOOP\r\n"),
            Lines({"a NO [TOOBIG] too many literals in one command", "b NOOP\r\n"}));
  EXPECT_EQ(session(l, "a LOGIN {20+}\r\n" + value.substr(10) + " {20+}\r\n" + value.substr(10) +
                           "\r\nb NOOP\r\n"),
            Lines({"a NO [TOOBIG] the literals of the command are too big", "b NOOP\r\n"}));
  // Wherever it is cut.
  const std::string whole = id(quoted);
  for (size_t cut = 1; cut < whole.size(); cut++) {
    Reader reader(l, ParserLimits{});
    Lines out;
    feed(reader, whole.substr(0, cut), out);
    for (const char c : whole.substr(cut)) feed(reader, {&c, 1}, out);
    EXPECT_EQ(out, Lines({whole})) << cut;
  }
}

// That there is no such command is said whatever follows its name, and nothing of that is a
// command.
TEST(Reader, AnUnknownCommandIsCalledSo) {
  const std::string x(200, 'x');
  const std::string name(32, 'N');
  const struct {
    std::string bytes;
    Lines told;
  } rows[] = {
      {"a FOO \"x\" {3}\r\nabc y\r\n", {"+", "a BAD unknown command FOO"}},
      {"a FOO {3+}\r\nabc {3}\r\n\0\r\n\r\n"s, {"+", "a BAD unknown command FOO"}},
      {"a FOO {21}\r\n", {"a BAD unknown command FOO"}},
      {"a FOO {21+}\r\n" + x.substr(179) + " {1+}\r\nx\r\n", {"a BAD unknown command FOO"}},
      {"a UID FOO {21+}\r\n" + x.substr(179) + "\r\n", {"a BAD unknown command UID FOO"}},
      {"a FOO " + x + "\r\n", {"a BAD unknown command FOO"}},
      {"a \xff " + x + "{3+}\r\nb N\r\n", {"a BAD unknown command ?"}},
      {"a " + name + x + "\r\n", {"a BAD unknown command " + name + "..."}},
      {"a SEARCH " + x + "\r\n", {"a BAD [TOOBIG] the line is too long"}},
      {"a SEARCH {21}\r\n", {"a NO [TOOBIG] the literal is too big"}},
  };
  for (const auto& row : rows) {
    Lines told = row.told;
    told.emplace_back("b NOOP\r\n");
    EXPECT_EQ(session(small(), row.bytes + "b NOOP\r\n"), told) << row.bytes;
    Reader reader(small(), ParserLimits{});
    Lines out;
    for (const char c : row.bytes + "b NOOP\r\n") feed(reader, {&c, 1}, out);
    EXPECT_EQ(out, told) << row.bytes;
  }
}

TEST(Reader, SetmetadataHasALimitOfItsOwn) {  // RFC 5464 §4.3
  ReaderLimits limits = small();
  limits.annotation_bytes = 25;
  EXPECT_EQ(
      session(limits, "a SETMETADATA x (/private/a {26}\r\nb NOOP\r\n"),
      Lines({"a NO [METADATA MAXSIZE 25] the value of an annotation is too big", "b NOOP\r\n"}));
  EXPECT_EQ(
      session(limits,
              "a setmetadata x (/private/a ~{26+}\r\n" + std::string(26, 'x') + ")\r\nb NOOP\r\n"),
      Lines({"a NO [METADATA MAXSIZE 25] the value of an annotation is too big", "b NOOP\r\n"}));
  const std::string fits(25, 'x');
  EXPECT_EQ(session(limits, "a SETMETADATA x (/private/a {25+}\r\n" + fits + ")\r\n"),
            Lines({"a SETMETADATA \"x\" (\"/private/a\" \"" + fits + "\")\r\n"}));
  EXPECT_EQ(session(limits, "a SETMETADATAX x (/private/a {21}\r\n").at(0).substr(0, 5), "a BAD");
}

TEST(Reader, KnowsThatARefusedSearchWasToSave) {  // RFC 5182 §2.1
  Reader reader(limits_after_login(1000, 1000), {});
  std::string_view input = "a SEARCH RETURN (SAVE) TEXT {2000}\r\nb SEARCH TEXT {2000}\r\n";
  EXPECT_EQ(reader.next(input), Reader::Event::refused);
  EXPECT_TRUE(reader.refused_saving());
  EXPECT_EQ(reader.next(input), Reader::Event::refused);
  EXPECT_FALSE(reader.refused_saving());
  input = "a SEARCH RETURN (SAVE) FOO\r\nb SEARCH RETURN (SAVE) ALL\r\n";
  EXPECT_EQ(reader.next(input), Reader::Event::command);
  EXPECT_FALSE(reader.take());
  EXPECT_TRUE(reader.refused_saving());
  EXPECT_EQ(reader.next(input), Reader::Event::command);
  EXPECT_TRUE(reader.take());
  EXPECT_FALSE(reader.refused_saving());
}

TEST(Reader, SkippingEnds) {
  EXPECT_EQ(session(small(), "a NOOP " + std::string(1200, 'x')),
            Lines({"a BAD [TOOBIG] the line is too long", "BYE too much input"}));
  EXPECT_EQ(session(small(), "a APPEND x {1001+}\r\n"), Lines({"BYE too much input"}));
  EXPECT_EQ(session(small(), "a NOOP {99999999999999999999999999+}\r\n"),
            Lines({"BYE too much input"}));
  // Dead is dead.
  Reader reader(small(), ParserLimits{});
  Lines out;
  feed(reader, "a NOOP {1001+}\r\n", out);
  feed(reader, "a NOOP\r\n", out);
  reader.reset();
  feed(reader, "a NOOP\r\n", out);
  EXPECT_EQ(out, Lines({"BYE too much input", "BYE too much input", "BYE too much input"}));
}

TEST(Reader, WhatIsNoLiteralStaysText) {
  EXPECT_EQ(
      session(small(), "a NOOP {}\r\nb NOOP {x}\r\nc NOOP 5}\r\nd NOOP {5+\r\ne NOOP }\r\n}\r\n"),
      Lines(
          {"a BAD expected end of command at column 7", "b BAD expected end of command at column 7",
           "c BAD expected end of command at column 7", "d BAD expected end of command at column 7",
           "e BAD expected end of command at column 7", "} BAD expected SP at column 2"}));
}

TEST(Reader, LinesOfADialogueAreNoCommands) {
  Reader reader(small(), ParserLimits{});
  Lines out;
  reader.expect_line();
  feed(reader, "AGZv{5}\r\nb NOOP\r\n", out);  // a marker means nothing here
  reader.expect_line();
  feed(reader, "\r\n", out);  // and an empty line is an answer (RFC 4422 §3.6)
  reader.expect_line();
  feed(reader, std::string(300, 'A') + "{3+}\r\nc NOOP\r\n", out);
  EXPECT_EQ(out, Lines({"line AGZv{5}", "b NOOP\r\n", "line ",
                        "* BAD [TOOBIG] the line is too long", "c NOOP\r\n"}));
}

TEST(Reader, ResetForgetsEverythingOfBefore) {
  for (const std::string_view part :
       {"a NOOP"sv, "a LOGIN {5}\r\nabc"sv, "a LOGIN {5+}\r\nabcde"sv, "a NOOP\r\n"sv}) {
    Reader reader(small(), ParserLimits{});
    Lines out;
    std::string_view input = part;
    (void)reader.next(input);
    EXPECT_FALSE(reader.idle());
    reader.reset();
    EXPECT_TRUE(reader.idle());
    feed(reader, "b NOOP\r\n", out);
    EXPECT_EQ(out, Lines({"b NOOP\r\n"})) << part;
  }
}

// --- what can be held, whatever comes (per-state endless input; open and close parentheses; many
// literals; a large size told in advance)

TEST(ReaderMemory, EndlessInputInEveryState) {
  const struct {
    const char* state;
    std::string start, again;
    bool line = false;
  } rows[] = {
      {"a tag that never ends", "", "a"},
      {"open parentheses", "a NOOP ", "("},
      {"closing parentheses", "a NOOP ", ")"},
      {"a quoted string", "a LOGIN \"", "\\\""},
      {"NUL", "", "\0"s},
      {"CR without LF", "a NOOP", "\r"},
      {"empty lines", "", "\r\n"},
      {"literals of nothing", "a NOOP", " {0+}\r\n"},
      {"small literals", "a NOOP", " {1+}\r\nx"},
      {"a message", "a APPEND x {1000+}\r\n", "x"},
      {"a message larger than may be", "a APPEND x {10001+}\r\n", "x"},
      {"a line of a dialogue", "", "QUJD", true},
      {"refused literals in a skipped line", "a " + std::string(3000, 'x'), "{9+}\r\nxxxxxxxxx"},
      {"a sequence set", "a COPY 1", ",1"},
      {"ID", "a ID (", "\"x\" \"y\" "},
      {"literals of ID", "a ID (", "{100+}\r\n" + std::string(100, 'x')},
  };
  ReaderLimits limits;
  limits.line_bytes = 2000;
  limits.literal_bytes = 1000;
  limits.literal_sum = 2000;
  limits.literal_count = 10;
  limits.message_bytes = 10'000;
  limits.id_bytes = 3000;
  limits.id_literals = 20;
  limits.skip_bytes = 1'000'000;
  // Buffers grow by doubling; the message's is made in its own size.
  const size_t cap = 2 * (limits.line_bytes + limits.literal_sum) + limits.message_bytes +
                     2 * limits.literal_count * sizeof(std::string) + 256;
  ASSERT_GT(cap, 4 * limits.id_bytes + 2 * limits.id_literals * sizeof(std::string));
  for (const bool wipe : {false, true}) {
    limits.wipe = wipe;
    for (const auto& row : rows) {
      Reader reader(limits, ParserLimits{});
      if (row.line) reader.expect_line();
      Lines out;
      feed(reader, row.start, out);
      size_t most = 0;
      for (size_t sent = 0; sent < 50'000; sent += row.again.size()) {
        for (char c : row.again) feed(reader, std::string_view(&c, 1), out);
        most = std::max(most, reader.held());
        out.clear();
      }
      EXPECT_LE(most, cap) << row.state;
    }
  }
}

TEST(ReaderMemory, ASizeAloneCostsNothing) {
  Reader reader(ReaderLimits{.message_bytes = 1'000'000'000}, ParserLimits{});
  Lines out;
  feed(reader, "a APPEND x {1000000000}\r\n", out);
  EXPECT_EQ(out, Lines({"+"}));
  EXPECT_LE(reader.held(), 128U * 1024);
}

TEST(ReaderMemory, AnIdleReaderHoldsLittle) {
  for (const bool wipe : {false, true}) {
    Reader reader(ReaderLimits{.message_bytes = 1 << 20, .wipe = wipe}, ParserLimits{});
    Lines out;
    for (const std::string& command :
         {"a APPEND x {100000+}\r\n" + std::string(100'000, 'x') + "\r\n",
          "a LOGIN x \"" + std::string(50'000, 'y') + "\"\r\n"})
      for (size_t at = 0; at < command.size(); at += 1000)
        feed(reader, std::string_view(command).substr(at, 1000), out);
    EXPECT_EQ(out.size(), 2U);
    EXPECT_LE(reader.held(), 4096U);
  }
}

}  // namespace
}  // namespace rims::imap
