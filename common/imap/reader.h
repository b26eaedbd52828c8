// common/imap/reader.h - collects one command from bytes that come in any pieces
//
//   RFC         3501 §2.2.1, §4.3, §7.5 (literals); 7888 (LITERAL+, LITERAL-)
//   Trust       every byte is an attacker's. What an unfinished command holds is bounded in every
//               state by ReaderLimits, and work is linear in the bytes, also when they come singly
//   Limits      an argument, each with its reason below
//
//     for (;;) {
//       std::string_view rest = stream.input();
//       const size_t before = rest.size();
//       Event event = reader.next(rest);
//       ... use reader.command() or reader.line() before consume() ...
//       stream.consume(before - rest.size());
//       switch (event) {
//         need_more:  flush what is owed, wait for bytes
//         go_ahead:   put reader.go_ahead_line() and flush: the client waits
//         command:    take() gives a Command or the error for BAD
//         line:       what expect_line() asked for
//         refused:    put "tag BAD/NO [code] text" from refusal_tag() and refusal(), go on
//         fatal:      put "* BYE text" from refusal() and close
//       }
//     }
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/result.h"
#include "common/imap/command.h"
#include "common/imap/parser.h"

namespace rims::imap {

struct ReaderLimits {
  // The text of a command without its literals. Longest honest use: UID sets of phone clients, some
  // 30 KiB.
  uint32_t line_bytes = 64 * 1024;
  // One literal, except the message of APPEND or REPLACE. It is a string argument: mailbox name,
  // search text, header name.
  uint32_t literal_bytes = 64 * 1024;
  // A literal of SETMETADATA may have as much, too; a larger one is refused as RFC 5464 §4.3 asks.
  uint32_t annotation_bytes = 0;
  // All such literals of a command together, and how many: else 10,000 small ones would add up.
  uint32_t literal_sum = 128 * 1024;
  uint32_t literal_count = 64;
  // ID may always have 30 fields of 30 octets with values of 1,024 (RFC 2971 §3.3), each of these
  // octets escaped, or all of them in literals: so much of its text, and of its literals together.
  uint32_t id_bytes = 64 * 1024;
  uint32_t id_literals = 2 * 30;
  // The message of APPEND or REPLACE; 0 treats it like any other literal (before login).
  uint64_t message_bytes = 0;
  // All messages of one APPEND (RFC 3502) together, if more than message_bytes: they are held until
  // the last has come. How many there are is bounded by line_bytes.
  uint64_t messages_sum = 0;
  // A non-synchronizing literal above this is refused: UINT32_MAX for LITERAL+, 4096 for LITERAL-
  // (RFC 7888 §5).
  uint32_t non_sync_bytes = UINT32_MAX;
  // What a refused command may still send (rest of the line, literals nobody keeps) before the
  // connection is closed: reading for nothing costs us, too.
  uint64_t skip_bytes = 256 * 1024 * 1024;
  // Wipe the command's bytes once it was taken: before login they hold passwords.
  bool wipe = false;
};

// Before login nobody is known, so a connection may hold little: LITERAL- and short lines.
[[nodiscard]] ReaderLimits limits_before_login();
[[nodiscard]] ReaderLimits limits_after_login(uint32_t line_size_max, uint64_t message_size_max,
                                              uint32_t annotation_size_max = 0);

class Reader {
 public:
  enum class Event : uint8_t { need_more, go_ahead, command, line, refused, fatal };

  Reader(const ReaderLimits& limits, const ParserLimits& parser_limits);
  ~Reader();
  Reader(const Reader&) = delete;
  Reader& operator=(const Reader&) = delete;

  // Takes bytes from the front of `input` until there is something to tell. What `command` and
  // `line` offer may point into `input`: use it before those bytes go away, and before the next
  // call.
  [[nodiscard]] Event next(std::string_view& input);

  // After `command`: parses it. Moves literals out, so once only. The error's fault is syntax
  // (answer BAD) or refused (NO); answer with tag().
  [[nodiscard]] Result<Command> take();
  // The command's tag, "*" when there is no usable one.
  [[nodiscard]] std::string_view tag() const;

  // After `refused` and `fatal`: fault syntax (BAD) or limit (NO with a code). A refused line that
  // expect_line() asked for has the tag "*": the caller knows which command it was.
  [[nodiscard]] const Error& refusal() const { return *refusal_; }
  [[nodiscard]] std::string_view refusal_tag() const { return refused_tag_; }
  // After `refused`, and after take() gave an error: was it a SEARCH that was to save its result?
  [[nodiscard]] bool refused_saving() const { return refused_saving_; }
  [[nodiscard]] static std::string_view go_ahead_line() { return "+ OK\r\n"; }

  // The next line is no command but the answer to a continuation request of the caller's: the
  // DONE of IDLE, a line of SASL. Gives `line` once.
  void expect_line() { expecting_line_ = true; }
  // Without its line end.
  [[nodiscard]] std::string_view line() const { return whole_; }

  // From the next command on: see ParserLimits.
  void accept_utf8() { parser_limits_.utf8 = true; }
  void refuse_charset() { parser_limits_.charset = false; }

  // Forgets an unfinished command and everything learnt from it, after STARTTLS. Bytes that were
  // left in the caller's buffer are the caller's to refuse.
  void reset();
  // True between commands: nothing of the next one has been taken.
  [[nodiscard]] bool idle() const;
  // Bytes held for an unfinished command, for tests and for accounting.
  [[nodiscard]] size_t held() const;

  [[nodiscard]] const ReaderLimits& limits() const { return limits_; }

 private:
  enum class State : uint8_t { text, literal, skip_line, skip_literal, dead };
  struct Marker {  // "{n}" or "{n+}" that ends a line
    uint64_t size = 0;
    size_t at = 0;  // of the "{"
    bool synchronizing = true;
  };
  static std::optional<Marker> literal_marker(std::string_view line);

  std::optional<Event> read_text(std::string_view& input);
  std::optional<Event> line_complete(std::string_view line);
  std::optional<Event> literal_announced(std::string_view line, const Marker& marker);
  [[nodiscard]] std::string start_with(std::string_view piece) const;
  Event refuse(std::string_view text, Error why);
  bool may_skip(uint64_t bytes);  // false: it is too much, and the reader is dead
  std::optional<Event> read_literal(std::string_view& input);
  std::optional<Event> skip_line(std::string_view& input);
  std::optional<Event> skip_literal(std::string_view& input);
  void forget();

  ReaderLimits limits_;
  ParserLimits parser_limits_;
  State state_ = State::text;
  bool expecting_line_ = false;
  bool offered_ = false;        // `command` or `line` was told; forgotten at the next call
  bool skip_literals_ = false;  // literals in a skipped line are skipped, too
  std::string text_;            // of the unfinished command, literals' markers in it
  std::string_view whole_;      // what was offered; in text_ or in the caller's bytes
  std::vector<std::string> literals_;
  uint64_t literal_left_ = 0;  // of the literal being read or skipped
  uint64_t literal_sum_ = 0;
  uint64_t messages_sum_ = 0;
  uint64_t skipped_ = 0;
  std::string tail_;  // the end of a skipped line, where a marker may stand
  std::string refused_tag_;
  bool refused_saving_ = false;
  std::optional<Error> refusal_;
};

}  // namespace rims::imap
