// tests/imapd/script.h - the text form of an IMAP transcript (tests/scripts/*.imap)
//
//   # comment; cites the RFC section that makes the promise
//   limit line_size_max 100        a setting of the worker, before anything else
//   mailbox Work 3                 makes it (INBOX exists) and puts 3 standard messages in
//   message INBOX (\Seen) "17-Jul-1996 02:44:25 -0700"
//   | Subject: hi                  the lines of the message, CRLF after each
//   deliver INBOX 2                2 standard messages as the MTA brings them
//   1 open alice                   connection 1 logs in as alice (default: foo, at first use)
//   1 post                         connection 1 logs in as the delivery user
//   1 compress                     sends COMPRESS DEFLATE, which must get OK; both sides are
//                                  compressed from there on
//   1 select Work (CONDSTORE)      selects it and passes over the answer, which must be OK;
//                                  {num:v} and {num:m} are its UIDVALIDITY and HIGHESTMODSEQ now
//   1 examine Work                 the same with EXAMINE
//   1 < a NOOP                     sends the line with CRLF
//   1 <- a NOOP\r\n                sends these bytes; \r \n \t \\ \xHH
//   1 <= a NOOP                    sends the line byte by byte
//   1 > a OK                       expects this line; a tagged one may go on after its words
//   1 >~ * 2 FETCH ...             neighbours of this kind may come in any order
//   1 closed                       expects the end of the connection
//   1 close                        closes it
//   stop                           the worker ends
//   restart                        the worker ends; a new one opens the same store
//
// In expected lines: {any} any text, {num:x} digits, the same wherever x stands; a literal is
// shown in its place as {5}\r\nhello with CR, LF and control bytes escaped. In sent lines
// {num:x} is what was matched. Every byte the worker sends must be expected: at the end each
// connection logs out and nothing else may have come.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace rims::test {

struct Step {
  enum class Kind {
    limit,
    mailbox,
    message,
    deliver,
    open,
    post,
    compress,
    select,
    examine,
    send,
    send_raw,
    send_slowly,
    expect,
    expect_unordered,
    expect_closed,
    close,
    stop,
    restart,
  };
  Kind kind{};
  int line = 0;
  int connection = 0;
  std::string text;
  std::vector<std::string> body;  // of a message
};

// Aborts the test with `path:line` when the script itself is wrong.
std::vector<Step> read_script(const std::string& path);

using Bindings = std::map<std::string, std::string>;

// Whether `actual` is what `expected` describes; binds {num:x}.
bool matches(std::string_view expected, std::string_view actual, Bindings& bound);
// Puts bound values in place of {num:x}.
std::string substitute(std::string_view text, const Bindings& bound);
// \r \n \t \\ \xHH
std::string unescape(std::string_view text);
std::string escape(std::string_view bytes);

}  // namespace rims::test
