// tests/imap/parser_errors_test.cc - every way in which a command line can be wrong: what was
// expected and where, and how much is too much
//
// Mirrors common/imap/parser*.cc and cursor.cc, as parser_test.cc does for lines that are right.

#include <gtest/gtest.h>

#include "common/imap/parser.h"
#include "common/imap/printer.h"
#include "tests/imap/support.h"

namespace rims::imap {
namespace {

TEST(Parser, NamesACommandThatThereIsNot) {
  const std::string longest(32, 'x');
  const struct {
    std::string line, name;
  } rows[] = {
      {"a FOO", "FOO"},
      {"a Noops", "Noops"},
      {"a FOO (((", "FOO"},
      {"a FOO(((", "FOO"},
      {"a FOO\"x", "FOO"},
      {"a FOO\r\x01", "FOO"},
      {"a FOO {3}\r\nabc y", "FOO"},
      {"a FOO \"\xe4", "FOO"},
      {"a \xc3\xa4\xffX \xff", "???X"},
      {"a UID FOO 1", "UID FOO"},
      {"a uid  foo", "UID foo"},
      {"a UID NOOP", "UID NOOP"},
      {"a UID UID FETCH 1 FLAGS", "UID UID"},
      {"a " + longest, longest},
      {"a UID " + longest + "y (", "UID " + longest + "..."},
  };
  for (const auto& row : rows) {
    for (const bool before_login : {false, true}) {
      const Result<Command> c = parse_line(row.line, {.before_login = before_login});
      ASSERT_FALSE(c) << row.line;
      EXPECT_EQ(c.error().fault(), Fault::syntax) << row.line;
      EXPECT_EQ(c.error().reply(), "unknown command " + row.name) << row.line;
      EXPECT_TRUE(c.error().detail().starts_with("unknown command at column ")) << row.line;
    }
  }
  EXPECT_EQ(unknown_command("a FOO {"), "unknown command FOO");
  EXPECT_EQ(unknown_command("a " + longest), "unknown command " + longest);
  for (const char* beginning :
       {"", "a", "a ", "a NO", "a NOOP", "a NOOP (", "a UID", "a UID FETC", "a ((", "("})
    EXPECT_EQ(unknown_command(beginning), "") << beginning;
}

TEST(Parser, SaysWhatWasExpectedAndWhere) {
  const struct {
    std::string_view line, error;
  } rows[] = {
      {"", "tag at column 1"},
      {"+ NOOP", "tag at column 1"},
      {" a NOOP", "tag at column 1"},
      {"a", "SP at column 2"},
      {"a ", "command at column 3"},
      {"a (((", "command at column 3"},
      {"a \x01", "command at column 3"},
      {"a NOOP x", "end of command at column 7"},
      {"a NOOP\r", "end of command at column 7"},
      {"a UID", "SP at column 6"},
      {"a UID ", "COPY, EXPUNGE, FETCH, MOVE, REPLACE, SEARCH, SORT, STORE or THREAD at column 7"},
      {"a UID (", "COPY, EXPUNGE, FETCH, MOVE, REPLACE, SEARCH, SORT, STORE or THREAD at column 7"},
      {"a LOGIN", "SP at column 8"},
      {"a LOGIN ", "astring at column 9"},
      {"a LOGIN foo", "SP at column 12"},
      {"a LOGIN foo (", "astring at column 13"},
      {"a LOGIN foo p%w", "end of command at column 14"},
      {"a LOGIN foo \"bar", "closing quote at column 17"},
      {"a LOGIN foo \"b\0r\""sv, "closing quote at column 15"},
      {"a LOGIN foo \"b\\r\"", "\"\\\" or quote after \"\\\" at column 16"},
      {"a LOGIN foo {3}", "literal at column 13"},
      {"a LOGIN foo {}\r\n", "literal at column 13"},
      {"a LOGIN foo \xE9", "astring at column 13"},
      {"a LOGIN {1}\r\n\0 x"sv, "literal without NUL at column 9"},
      {"a AUTHENTICATE", "SP at column 15"},
      {"a AUTHENTICATE {5}\r\nPLAIN", "mechanism at column 16"},
      {"a AUTHENTICATE PLAIN {4}\r\nAAAA", "base64 or \"=\" at column 22"},
      {"a AUTHENTICATE PLAIN A B", "end of command at column 23"},
      {"a ID", "SP at column 5"},
      {"a ID x", "\"(\" or NIL at column 6"},
      {"a ID (x", "string at column 7"},
      {"a ID (\"x\")", "SP at column 10"},
      {"a ID (\"x\" y)", "string or NIL at column 11"},
      {"a ID (\"x\" NIL", "SP or \")\" at column 14"},
      {"a APPEND x UTF8", "SP at column 16"},
      {"a APPEND x UTF8 {1+}\r\ny", "\"(\" at column 17"},
      {"a APPEND x UTF8 (~", "literal at column 19"},
      {"a GETMETADATA", "SP at column 14"},
      {"a GETMETADATA INBOX", "SP at column 20"},
      {"a GETMETADATA INBOX ()", "entry at column 22"},
      {"a GETMETADATA INBOX (/private/a", "SP or \")\" at column 32"},
      {"a GETMETADATA INBOX (/private/a) x", "end of command at column 33"},
      {"a GETMETADATA INBOX /private/a x",
       "entry that begins with /private or /shared at column 32"},
      {"a GETMETADATA () INBOX /private/a", "MAXSIZE or DEPTH at column 16"},
      {"a GETMETADATA (FOO 1) INBOX /private/a", "MAXSIZE or DEPTH at column 16"},
      {"a GETMETADATA (MAXSIZE) INBOX /private/a", "SP at column 23"},
      {"a GETMETADATA (MAXSIZE x) INBOX /private/a", "number at column 24"},
      {"a GETMETADATA (DEPTH 2) INBOX /private/a", "0, 1 or infinity at column 22"},
      {"a GETMETADATA (DEPTH 1 INBOX /private/a", "MAXSIZE or DEPTH at column 24"},
      {"a GETMETADATA (DEPTH 1) INBOX (DEPTH 1) /private/a",
       "entry that begins with /private or /shared at column 32"},
      {"a GETMETADATA INBOX /comment", "entry that begins with /private or /shared at column 21"},
      {"a GETMETADATA INBOX /privates", "entry that begins with /private or /shared at column 21"},
      {"a GETMETADATA INBOX /private/", "entry without empty components at column 21"},
      {"a GETMETADATA INBOX /private//a", "entry without empty components at column 21"},
      {"a GETMETADATA INBOX \"/private/a*\"",
       "entry without \"*\", \"%\", control or 8-bit characters at column 21"},
      {"a GETMETADATA INBOX \"/private/a%\"",
       "entry without \"*\", \"%\", control or 8-bit characters at column 21"},
      {"a GETMETADATA INBOX \"/private/\x19\"",
       "entry without \"*\", \"%\", control or 8-bit characters at column 21"},
      {"a GETMETADATA INBOX \"/private/\xc3\xa9\"",
       "entry without \"*\", \"%\", control or 8-bit characters at column 21"},
      {"a SETMETADATA INBOX", "SP at column 20"},
      {"a SETMETADATA INBOX /private/a NIL", "\"(\" at column 21"},
      {"a SETMETADATA INBOX ()", "entry at column 22"},
      {"a SETMETADATA INBOX (/private/a)", "SP at column 32"},
      {"a SETMETADATA INBOX (/private/a b)", "string or NIL at column 33"},
      {"a SETMETADATA INBOX (/private/a ~\"b\")", "literal at column 34"},
      {"a SETMETADATA INBOX (/private/a NIL", "SP or \")\" at column 36"},
      {"a SETMETADATA INBOX (/private/a NIL) x", "end of command at column 37"},
      {"a SETMETADATA INBOX (/private NIL)", "entry below /private or /shared at column 22"},
      {"a SETMETADATA INBOX (/shared/vendor NIL)", "entry below the name of a vendor at column 22"},
      {"a SETMETADATA INBOX (/shared/vendor/x NIL)",
       "entry below the name of a vendor at column 22"},
      {"a LIST \"\" * RETURN (METADATA)", "SP at column 29"},
      {"a LIST \"\" * RETURN (METADATA ())", "entry at column 31"},
      {"a LIST \"\" * RETURN (METADATA (/x))",
       "entry that begins with /private or /shared at column 31"},
      {"a GETQUOTA", "SP at column 11"},
      {"a GETQUOTA (", "astring at column 12"},
      {"a GETQUOTAROOT", "SP at column 15"},
      {"a SETQUOTA x", "SP at column 13"},
      {"a SETQUOTA x STORAGE", "\"(\" at column 14"},
      {"a SETQUOTA x (1)", "SP at column 16"},
      {"a SETQUOTA x (STORAGE x)", "number at column 23"},
      {"a SETQUOTA x (STORAGE 1", "SP or \")\" at column 24"},
      {"a ENABLE", "SP at column 9"},
      {"a ENABLE (", "capability at column 10"},
      {"a SELECT (x)", "mailbox name at column 10"},
      {"a SELECT a%", "end of command at column 11"},
      {"a SELECT a CONDSTORE", "end of command at column 11"},
      {"a SELECT a(CONDSTORE)", "end of command at column 11"},
      {"a SELECT a ()", "CONDSTORE or QRESYNC, each once at column 13"},
      {"a SELECT a (CONDSTORE CONDSTORE)", "CONDSTORE or QRESYNC, each once at column 23"},
      {"a SELECT a (CONDSTORE", "SP or \")\" at column 22"},
      {"a SELECT a (CONDSTORE) x", "end of command at column 23"},
      {"a EXAMINE a (QRESYNC)", "SP at column 21"},
      {"a SELECT a (QRESYNC 1)", "\"(\" at column 21"},
      {"a SELECT a (QRESYNC ())", "non-zero number at column 22"},
      {"a SELECT a (QRESYNC (0 1))", "non-zero number at column 22"},
      {"a SELECT a (QRESYNC (1))", "SP at column 23"},
      {"a SELECT a (QRESYNC (1 0))", "non-zero number at column 24"},
      {"a SELECT a (QRESYNC (1 9223372036854775808))", "63-bit number at column 24"},
      {"a SELECT a (QRESYNC (1 2 *))", "set without \"*\" at column 26"},
      {"a SELECT a (QRESYNC (1 2 $))", "number or \"*\" at column 26"},
      {"a SELECT a (QRESYNC (1 2 3:*))", "set without \"*\" at column 26"},
      {"a SELECT a (QRESYNC (1 2 3 4))", "\"(\" at column 28"},
      {"a SELECT a (QRESYNC (1 2 3 (4)))", "SP at column 30"},
      {"a SELECT a (QRESYNC (1 2 3 (4 *)))", "set without \"*\" at column 31"},
      {"a SELECT a (QRESYNC (1 2 3 (5,4 6:7)))", "ascending set at column 29"},
      {"a SELECT a (QRESYNC (1 2 (2:1 6:7)))", "ascending set at column 27"},
      {"a SELECT a (QRESYNC (1 2 (1,2 6:8)))", "as many UIDs as message numbers at column 31"},
      {"a SELECT a (QRESYNC (1 2 (1 6) 3))", "\")\" at column 32"},
      {"a SELECT a (QRESYNC (1 2)", "SP or \")\" at column 26"},
      {"a CREATE x y", "\"(\" at column 12"},
      {"a CREATE x (FOO", "USE at column 13"},
      {"a CREATE x (USE \\Sent)", "\"(\" at column 17"},
      {"a CREATE x (USE (Sent))", "special-use attribute at column 18"},
      {"a CREATE x (USE (\\Sent)", "\")\" at column 24"},
      {"a RENAME x", "SP at column 11"},
      {"a LIST", "SP at column 7"},
      {"a LIST (FOO) \"\" *", "SUBSCRIBED, REMOTE, RECURSIVEMATCH or SPECIAL-USE at column 9"},
      {"a LIST (RECURSIVEMATCH) \"\" *",
       "another selection option beside RECURSIVEMATCH at column 8"},
      {"a LIST (RECURSIVEMATCH REMOTE) \"\" *",
       "another selection option beside RECURSIVEMATCH at column 8"},
      {"a LIST \"\"", "SP at column 10"},
      {"a LIST \"\" (", "list-mailbox at column 12"},
      {"a LIST \"\" * FOO", "RETURN at column 13"},
      {"a LIST \"\" * RETURN (FOO)",
       "SUBSCRIBED, CHILDREN, SPECIAL-USE, STATUS or METADATA at column 21"},
      {"a LIST \"\" * RETURN (STATUS)", "SP at column 27"},
      {"a LIST \"\" * RETURN (STATUS UNSEEN)", "\"(\" at column 28"},
      {"a LIST \"\" * RETURN (STATUS ())", "status item at column 29"},
      {"a LIST (STATUS (UNSEEN)) \"\" *",
       "SUBSCRIBED, REMOTE, RECURSIVEMATCH or SPECIAL-USE at column 9"},
      {"a CREATE x (USE (\\))", "special-use attribute at column 18"},
      {"a STATUS x", "SP at column 11"},
      {"a STATUS x UNSEEN", "\"(\" at column 12"},
      {"a STATUS x ()", "status item at column 13"},
      {"a STATUS x (UNSEEN", "SP or \")\" at column 19"},
      {"a APPEND x", "SP at column 11"},
      {"a APPEND x \"hi\"", "date-time (\"17-Jul-1996 02:44:25 -0700\") at column 12"},
      {"a APPEND x hi", "literal at column 12"},
      {"a APPEND x (\\Foo) {1}\r\nx",
       "\\Answered, \\Flagged, \\Deleted, \\Seen or \\Draft at column 13"},
      {"a APPEND x (\\Seen) \"31-Feb-1996 02:44:25 -0700\" {1}\r\nx",
       "date-time (\"17-Jul-1996 02:44:25 -0700\") at column 20"},
      {"a APPEND x {1}\r\ny z", "literal at column 18"},
      {"a APPEND x {1}\r\ny(\\Seen) {1}\r\nz", "SP at column 17"},
      {"a APPEND x {1}\r\ny (\\Seen)", "SP at column 25"},
      {"a APPEND x {1}\r\ny (\\Foo) {1}\r\nz",
       "\\Answered, \\Flagged, \\Deleted, \\Seen or \\Draft at column 19"},
      {"a STORE", "SP at column 8"},
      {"a STORE ", "number, \"*\" or \"$\" at column 9"},
      {"a STORE x FLAGS ()", "number, \"*\" or \"$\" at column 9"},
      {"a STORE $,1 FLAGS ()", "SP at column 10"},
      {"a STORE 1,$ FLAGS ()", "number or \"*\" at column 11"},
      {"a STORE 1:$ FLAGS ()", "number or \"*\" at column 11"},
      {"a STORE 0 FLAGS ()", "non-zero number at column 9"},
      {"a STORE 4294967296 FLAGS ()", "32-bit number at column 9"},
      {"a STORE 1: FLAGS ()", "number or \"*\" at column 11"},
      {"a STORE 1,, FLAGS ()", "number or \"*\" at column 11"},
      {"a STORE 1:2:3 FLAGS ()", "SP at column 12"},
      {"a STORE 1 FLAG ()", "FLAGS at column 11"},
      {"a STORE 1 (CHANGEDSINCE 1) FLAGS ()", "UNCHANGEDSINCE at column 12"},
      {"a STORE 1 (UNCHANGEDSINCE) FLAGS ()", "SP at column 26"},
      {"a STORE 1 (UNCHANGEDSINCE x) FLAGS ()", "number at column 27"},
      {"a STORE 1 (UNCHANGEDSINCE 1 2) FLAGS ()", "\")\" at column 29"},
      {"a STORE 1 (UNCHANGEDSINCE 1)FLAGS ()", "SP at column 29"},
      {"a STORE 1 (UNCHANGEDSINCE 9223372036854775808) FLAGS ()", "63-bit number at column 27"},
      {"a STORE 1 FLAGS", "SP at column 16"},
      {"a STORE 1 FLAGS ", "flag at column 17"},
      {"a STORE 1 FLAGS.LOUD ()", "SP at column 16"},
      {"a STORE 1 FLAGS (\\Seen", "SP or \")\" at column 23"},
      {"a STORE 1 FLAGS (\\Seen))", "end of command at column 24"},
      {"a STORE 1 FLAGS (\\Seen\\Draft)", "SP or \")\" at column 23"},
      {"a STORE 1 FLAGS \\", "\\Answered, \\Flagged, \\Deleted, \\Seen or \\Draft at column 17"},
      {"a FETCH 1", "SP at column 10"},
      {"a FETCH 1 FOO", "fetch item at column 11"},
      {"a FETCH 1 (ALL)", "fetch item at column 12"},
      {"a FETCH 1 ()", "fetch item at column 12"},
      {"a FETCH 1 ALL FLAGS", "end of command at column 14"},
      {"a FETCH 1 FLAGS ()", "CHANGEDSINCE, once at column 18"},
      {"a FETCH 1 FLAGS (VANISHED)", "CHANGEDSINCE, once at column 18"},
      {"a FETCH 1 FLAGS (CHANGEDSINCE)", "SP at column 30"},
      {"a FETCH 1 FLAGS (CHANGEDSINCE -1)", "number at column 31"},
      {"a FETCH 1 FLAGS (CHANGEDSINCE 1 VANISHED)", "CHANGEDSINCE, once at column 33"},
      {"a FETCH 1 BODY[](CHANGEDSINCE 1)", "end of command at column 17"},
      {"a UID FETCH 1 FLAGS (VANISHED)", "CHANGEDSINCE beside VANISHED at column 20"},
      {"a UID FETCH 1 FLAGS (CHANGEDSINCE 1 CHANGEDSINCE 2)",
       "CHANGEDSINCE, PARTIAL or VANISHED, each once at column 37"},
      {"a FETCH 1 (FLAGS", "SP or \")\" at column 17"},
      {"a FETCH 1 (FLAGS,UID)", "SP or \")\" at column 17"},
      {"a FETCH 1 BODY.PEEK", "\"[\" at column 20"},
      {"a FETCH 1 BODY[", "part number, HEADER, TEXT or \"]\" at column 16"},
      {"a FETCH 1 BODY[MIME]", "part number, HEADER, TEXT or \"]\" at column 16"},
      {"a FETCH 1 BODY[1.]", "part number, HEADER, TEXT or MIME at column 18"},
      {"a FETCH 1 BODY[0]", "non-zero number at column 16"},
      {"a FETCH 1 (PREVIEW (EAGER))", "fetch item at column 20"},
      {"a FETCH 1 (PREVIEW (LAZY EAGER))", "LAZY at column 26"},
      {"a FETCH 1 PREVIEW (LAZY", "SP or \")\" at column 24"},
      {"a FETCH 1 BINARY", "\"[\" at column 17"},
      {"a FETCH 1 BINARY[TEXT]", "part number at column 18"},
      {"a FETCH 1 BINARY[1.]", "part number at column 20"},
      {"a FETCH 1 BINARY[1x]", "\".\" or \"]\" at column 19"},
      {"a FETCH 1 BINARY.SIZE[1]<0.5>", "end of command at column 25"},
      {"a APPEND x ~", "literal at column 13"},
      {"a FETCH 1 BODY[1x]", "\".\" or \"]\" at column 17"},
      {"a FETCH 1 BODY[TEXTS]", "\"]\" at column 20"},
      {"a FETCH 1 BODY[HEADER.FIELD (x)]", "FIELDS at column 23"},
      {"a FETCH 1 BODY[HEADER.FIELDS]", "SP at column 29"},
      {"a FETCH 1 BODY[HEADER.FIELDS ()]", "header name at column 31"},
      {"a FETCH 1 BODY[]<1>", "\".\" at column 19"},
      {"a FETCH 1 BODY[]<1.0>", "non-zero number at column 20"},
      {"a FETCH 1 BODY[]<1.2", "\">\" at column 21"},
      {"a SEARCH", "SP at column 9"},
      {"a SEARCH ", "search key at column 10"},
      {"a SEARCH FOO", "search key at column 10"},
      {"a SEARCH CHARSET", "search key at column 10"},
      {"a SEARCH CHARSET utf-8", "SP at column 23"},
      {"a SEARCH ALL(SEEN)", "SP or end of command at column 13"},
      {"a SEARCH ()", "search key at column 11"},
      {"a XLIST \"\"", "SP at column 11"},
      {"a NOTIFY", "SP at column 9"},
      {"a NOTIFY ALL", "SET or NONE at column 10"},
      {"a NOTIFY NONE x", "end of command at column 14"},
      {"a NOTIFY SET", "SP at column 13"},
      {"a NOTIFY SET STATUS", "SP at column 20"},
      {"a NOTIFY SET personal NONE", "\"(\" at column 14"},
      {"a NOTIFY SET ()",
       "selected, selected-delayed, inboxes, personal, subscribed, subtree or mailboxes at column "
       "15"},
      {"a NOTIFY SET (personal)", "SP at column 23"},
      {"a NOTIFY SET (personal MailboxName)", "\"(\" or NONE at column 24"},
      {"a NOTIFY SET (personal ())", "event at column 25"},
      {"a NOTIFY SET (personal (\"MailboxName\"))", "event at column 25"},
      {"a NOTIFY SET (personal (MailboxName)", "\")\" at column 37"},
      {"a NOTIFY SET (personal (MailboxName))(personal NONE)", "SP at column 38"},
      {"a NOTIFY SET (personal (MailboxName(x)))", "SP or \")\" at column 36"},
      {"a NOTIFY SET (personal (MessageNew))", "both MessageNew and MessageExpunge at column 24"},
      {"a NOTIFY SET (selected (MessageExpunge))",
       "both MessageNew and MessageExpunge at column 24"},
      {"a NOTIFY SET (selected (FlagChange))", "both MessageNew and MessageExpunge at column 24"},
      {"a NOTIFY SET (personal (MessageNew (UID) MessageExpunge))", "event at column 36"},
      {"a NOTIFY SET (selected (MessageNew () MessageExpunge))", "fetch item at column 37"},
      {"a NOTIFY SET (selected (MailboxName))", "event of messages at column 25"},
      {"a NOTIFY SET (selected NONE) (selected-delayed NONE)",
       "selected or selected-delayed once at column 31"},
      {"a NOTIFY SET (mailboxes NONE)", "SP at column 29"},
      {"a NOTIFY SET (mailboxes () NONE)", "mailbox name at column 26"},
      {"a SORT", "SP at column 7"},
      {"a SORT ALL", "\"(\" at column 8"},
      {"a SORT (REVERSE) x ALL", "SP at column 16"},
      {"a SORT (REVERSE REVERSE SIZE) x ALL", "sort key at column 17"},
      {"a SORT (SIZE DATES) x ALL", "sort key at column 14"},
      {"a SORT (SIZE)", "SP at column 14"},
      {"a SORT (SIZE) utf-8", "SP at column 20"},
      {"a SORT RETURN (SAVE) (SIZE) x ALL", "MIN, MAX, ALL, COUNT or PARTIAL at column 16"},
      {"a THREAD ", "ORDEREDSUBJECT, REFERENCES or REFS at column 10"},
      {"a THREAD REFERENCE x ALL", "ORDEREDSUBJECT, REFERENCES or REFS at column 10"},
      {"a THREAD REFS x", "SP at column 16"},
      {"a SEARCH (SEEN", "SP or \")\" at column 15"},
      {"a SEARCH OR SEEN", "SP at column 17"},
      {"a SEARCH NOT", "SP at column 13"},
      {"a SEARCH KEYWORD \\Seen", "keyword at column 18"},
      {"a SEARCH BEFORE 31-Apr-2000", "date (1-Feb-1994) at column 17"},
      {"a SEARCH BEFORE \"1-Apr-2000", "date (1-Feb-1994) at column 17"},
      {"a SEARCH LARGER x", "number at column 17"},
      {"a SEARCH HEADER x", "SP at column 18"},
      {"a SEARCH MODSEQ", "SP at column 16"},
      {"a SEARCH MODSEQ x", "number at column 17"},
      {"a SEARCH MODSEQ 9223372036854775808", "63-bit number at column 17"},
      {"a SEARCH MODSEQ \"/flag/x\" all 1", "entry \"/flags/...\" at column 17"},
      {"a SEARCH MODSEQ \"/flags/\" all 1", "entry \"/flags/...\" at column 17"},
      {"a SEARCH MODSEQ \"/flags/a b\" all 1", "entry \"/flags/...\" at column 17"},
      {"a SEARCH MODSEQ \"/flags/x\" some 1", "priv, shared or all at column 28"},
      {"a SEARCH MODSEQ \"/flags/x\" 1", "priv, shared or all at column 28"},
      {"a SEARCH BODY", "SP at column 14"},
      {"a SEARCH EMAILID", "SP at column 17"},
      {"a SEARCH EMAILID \"m1\"", "object id at column 18"},
      {"a SEARCH THREADID a.b", "object id at column 19"},
      {"a SEARCH SAVEDON x", "date (1-Feb-1994) at column 18"},
      {"a FETCH 1 (SAVEDATE EMAILIDS)", "fetch item at column 21"},
      {"a STATUS x (SIZE FOO)", "status item at column 18"},
      {"a SEARCH OLDER", "SP at column 15"},
      {"a SEARCH OLDER 0", "non-zero number at column 16"},
      {"a SEARCH YOUNGER x", "non-zero number at column 18"},
      {"a SEARCH YOUNGER 4294967296", "32-bit number at column 18"},
      {"a SEARCH RETURN", "SP at column 16"},
      {"a SEARCH RETURN ALL", "\"(\" at column 17"},
      {"a SEARCH RETURN (FOO) ALL", "MIN, MAX, ALL, COUNT, PARTIAL or SAVE at column 18"},
      {"a SEARCH RETURN (MIN MAXI) ALL", "MIN, MAX, ALL, COUNT, PARTIAL or SAVE at column 22"},
      {"a SEARCH RETURN (MIN", "SP or \")\" at column 21"},
      {"a SEARCH RETURN (MIN)", "SP at column 22"},
      {"a SEARCH RETURN () ", "search key at column 20"},
      {"a SEARCH CHARSET utf-8 RETURN (MIN) ALL", "search key at column 24"},
      {"a SEARCH $1", "SP or end of command at column 11"},
      {"a SEARCH $Junk", "SP or end of command at column 11"},
      {"a COPY 1", "SP at column 9"},
      {"a UID EXPUNGE", "SP at column 14"},
      {"a REPLACE 0 x {0}\r\n", "non-zero number at column 11"},
      {"a REPLACE 1,2 x {0}\r\n", "SP at column 12"},
      {"a REPLACE 1 x", "SP at column 14"},
      {"a REPLACE 1 x y", "literal at column 15"},
      {"a UIDBATCHES 500 1:2 3", "end of command at column 21"},
      {"a SEARCH UIDAFTER 0", "non-zero number at column 19"},
      {"a EXPUNGE 1", "end of command at column 10"},
  };
  for (const auto& row : rows) {
    const Result<Command> c = parse_line(row.line);
    ASSERT_FALSE(c) << row.line;
    EXPECT_EQ(c.error().reply(), "expected " + std::string(row.error)) << row.line;
    EXPECT_EQ(c.error().fault(), Fault::syntax);
  }
}

// The right commands cut off anywhere are wrong, or right in themselves, but never a crash or an
// error beyond the end.
TEST(Parser, EveryPrefixIsJudgedWithinItself) {
  for (const std::string_view line :
       {"a LIST (SUBSCRIBED) \"x\" (a% \"b\") RETURN (CHILDREN)"sv,
        "a UID FETCH 1:2,* (FLAGS BODY.PEEK[1.2.HEADER.FIELDS (A B)]<0.1>)"sv,
        "a SEARCH RETURN (MIN SAVE) CHARSET x OR $ OLDER 5 UID $"sv,
        "a UID SEARCH RETURN (PARTIAL -1:-10 COUNT) ALL"sv,
        "a UID FETCH 1:* (FLAGS) (CHANGEDSINCE 1 PARTIAL 2:3)"sv,
        "a SEARCH CHARSET x OR (SEEN 1:*) NOT SINCE 1-Jan-2000 HEADER a b"sv,
        "a APPEND x (\\Seen k) \"17-Jul-1996 02:44:25 -0700\" "sv,
        "a UID REPLACE 1 x (\\Seen k) \"17-Jul-1996 02:44:25 -0700\" "sv, "a UIDBATCHES 500 1:2"sv,
        "a CREATE x (USE (\\Sent \\Junk))"sv, "a ID (\"a\" \"b\\\"\" \"c\" NIL)"sv}) {
    for (size_t n = 0; n < line.size(); n++) {
      const std::string part(line.substr(0, n));
      const Result<Command> c = parse_line(part);
      if (c) continue;
      const std::string& detail = c.error().detail();
      EXPECT_LE(std::stoul(detail.substr(detail.rfind(' ') + 1)), n + 1) << part;
    }
  }
}

// --- limits: counts, not only bytes

std::string repeat(std::string_view piece, size_t times) {
  std::string out;
  for (size_t i = 0; i < times; i++) out += piece;
  return out;
}

TEST(ParserLimits, EveryCountHasOne) {
  const ParserLimits l;
  const struct {
    std::string good, bad, error;
  } rows[] = {
      {"a COPY " + repeat("1,", l.sequence_ranges - 1) + "1 x",
       "a COPY " + repeat("1,", l.sequence_ranges) + "1 x", "more than 20000 ranges in a set"},
      {"a SEARCH" + repeat(" ALL", l.search_keys), "a SEARCH" + repeat(" ALL", l.search_keys + 1),
       "more than 2000 search keys"},
      {"a SEARCH " + repeat("NOT ", l.search_depth - 1) + "ALL",
       "a SEARCH " + repeat("NOT ", l.search_depth) + "ALL", "more than 200 levels of search keys"},
      {"a SEARCH " + repeat("(", l.search_depth - 1) + "ALL" + repeat(")", l.search_depth - 1),
       "a SEARCH " + repeat("(", l.search_depth) + "ALL", "more than 200 levels of search keys"},
      // A chain of ORs, which is how clients list addresses, is no depth.
      {"a SEARCH " + repeat("OR ALL ", l.search_keys - 2) + "ALL",
       "a SEARCH " + repeat("OR ALL ", l.search_keys - 1) + "ALL", "more than 2000 search keys"},
      {"a SEARCH " + repeat("OR ", l.search_keys - 2) + "ALL" + repeat(" ALL", l.search_keys - 2),
       "a SEARCH " + repeat("OR ", l.search_keys - 1) + "ALL" + repeat(" ALL", l.search_keys - 1),
       "more than 2000 search keys"},
      {"a FETCH 1 (" + repeat("BODY[] ", l.fetch_items) + ")",
       "a FETCH 1 (" + repeat("BODY[] ", l.fetch_items + 1) + ")", "more than 100 fetch items"},
      {"a FETCH 1 BODY[HEADER.FIELDS (" + repeat("x ", l.header_names) + ")]",
       "a FETCH 1 BODY[HEADER.FIELDS (" + repeat("x ", l.header_names + 1) + ")]",
       "more than 200 names in a header list"},
      {"a FETCH 1 BODY[" + repeat("1.", l.part_depth - 1) + "1]",
       "a FETCH 1 BODY[" + repeat("1.", l.part_depth) + "1]", "more than 100 numbers in a section"},
      {"a STORE 1 FLAGS (" + repeat("k ", l.flags) + ")",
       "a STORE 1 FLAGS (" + repeat("k ", l.flags + 1) + ")", "more than 100 keywords"},
      {"a LIST \"\" (" + repeat("x ", l.list_patterns) + ")",
       "a LIST \"\" (" + repeat("x ", l.list_patterns + 1) + ")", "more than 50 patterns"},
      {"a ID (" + repeat("\"k\" \"v\" ", l.id_fields) + ")",
       "a ID (" + repeat("\"k\" \"v\" ", l.id_fields + 1) + ")", "more than 30 fields of ID"},
      {"a ID (\"" + repeat("k", 30) + "\" NIL)", "a ID (\"" + repeat("k", 31) + "\" NIL)",
       "more than 30 octets in a field name of ID"},
      {"a ID (\"k\" \"" + repeat("v", 1024) + "\")", "a ID (\"k\" \"" + repeat("v", 1025) + "\")",
       "more than 1024 octets in a value of ID"},
      {"a ENABLE" + repeat(" X", l.enable_names), "a ENABLE" + repeat(" X", l.enable_names + 1),
       "more than 30 capabilities"},
      {"a NOTIFY SET" + repeat(" (personal NONE)", l.notify_groups),
       "a NOTIFY SET" + repeat(" (personal NONE)", l.notify_groups + 1),
       "more than 100 groups of events"},
      {"a NOTIFY SET (subtree x NONE) (mailboxes (" + repeat("x ", l.notify_mailboxes - 1) +
           ") NONE)",
       "a NOTIFY SET (subtree x NONE) (mailboxes (" + repeat("x ", l.notify_mailboxes) + ") NONE)",
       "more than 10000 mailboxes"},
      {"a NOTIFY SET (selected (MessageExpunge MessageNew (" + repeat("BODY[] ", l.fetch_items) +
           ")))",
       "a NOTIFY SET (selected (MessageNew (" + repeat("BODY[] ", l.fetch_items + 1) + ")))",
       "more than 100 fetch items"},
  };
  for (const auto& row : rows) {
    const Result<Command> good = parse_line(row.good);
    EXPECT_TRUE(good) << row.error << ": " << good.error().reply();
    const Result<Command> bad = parse_line(row.bad);
    ASSERT_FALSE(bad) << row.error;
    EXPECT_TRUE(bad.error().reply().starts_with(row.error + " at column ")) << bad.error().reply();
    EXPECT_EQ(bad.error().fault(), Fault::limit);
    EXPECT_EQ(bad.error().code(), "LIMIT");
  }
}

TEST(ParserLimits, BeforeLoginOnlyItsOwnCommandsAreParsed) {
  const ParserLimits limits{.before_login = true};
  for (const char* line : {"a CAPABILITY", "a NOOP", "a LOGOUT", "a STARTTLS", "a LOGIN x y",
                           "a AUTHENTICATE PLAIN", "a ID NIL"})
    EXPECT_TRUE(parse_command(line, {}, limits)) << line;
  // By name alone: the arguments are not even looked at.
  for (const char* line :
       {"a SELECT ((((", "a UID FETCH 1 FLAGS", "a uid", "a SEARCH ((((", "a LIST", "a APPEND {",
        "a IDLE", "a ENABLE X", "a UNSELECT", "a COMPRESS DEFLATE"}) {
    const Result<Command> c = parse_command(line, {}, limits);
    ASSERT_FALSE(c) << line;
    EXPECT_EQ(c.error().fault(), Fault::refused) << line;
    EXPECT_EQ(c.error().reply(), "log in first");
  }
  EXPECT_EQ(parse_command("a FOO", {}, limits).error().fault(), Fault::syntax);
}

// The text of an error goes to logs and back over the wire: nothing of the client's is in it, but
// for the name of an unknown command, which only the client reads.
TEST(Parser, ErrorsNeverRepeatTheClient) {
  for (int byte = 0; byte < 256; byte++) {
    const std::string line = std::string("a LOGIN foo ") + static_cast<char>(byte) + "secret(";
    const Result<Command> c = parse_line(line);
    ASSERT_FALSE(c);
    EXPECT_EQ(c.error().reply().find("secret"), std::string::npos);
    EXPECT_EQ(c.error().detail().find("secret"), std::string::npos);
  }
  EXPECT_EQ(parse_line("a secret x").error().detail(), "unknown command at column 3");
}

}  // namespace
}  // namespace rims::imap
