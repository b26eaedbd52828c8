// common/imap/parser.h - one whole command, text and literals, to a Command
//
//   RFC     3501 §9; the extensions in command.h
//   Limits  an argument: counts and depth, each with its reason below
//   Errors  fault syntax: "expected SP at column 8". Columns count from 1 at the tag, literals' own
//           bytes not included. What goes to logs never repeats the client's bytes, as they may be
//           a password that came at the wrong time; the reply repeats the name of a command that
//           there is not, made printable and short
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "common/base/result.h"
#include "common/imap/command.h"

namespace rims::imap {

// A tag is repeated in answers and handed to other processes.
inline constexpr uint32_t kMaxTag = 255;

struct ParserLimits {
  uint32_t sequence_ranges = 20'000;  // ranges in one set; resolving sorts them
  uint32_t search_keys = 2'000;       // in all levels; each is tried on each message
  uint32_t search_depth = 200;        // parentheses and NOT; bounds our stack
  uint32_t fetch_items = 100;         // items of one FETCH: each can answer with the whole message
  uint32_t header_names = 200;        // in one header-list
  uint32_t part_depth = 100;          // numbers in a section-part
  uint32_t flags = 100;               // in one flag list
  uint32_t list_patterns = 50;        // of an extended LIST
  uint32_t id_fields = 30;            // RFC 2971 §3.3, also 30 and 1024 octets a field
  uint32_t enable_names = 30;
  uint32_t quota_resources = 30;
  uint32_t metadata_entries = 200;     // of one GETMETADATA or SETMETADATA, or of a LIST
  uint32_t notify_groups = 100;        // each is looked at at each event
  uint32_t notify_mailboxes = 10'000;  // names in all groups of one NOTIFY
  // After ENABLE UTF8=ACCEPT or IMAP4rev2: quoted strings and mailbox names are UTF-8 (RFC 9755 §3,
  // RFC 9051 §5.1).
  bool utf8 = false;
  bool charset = true;        // SEARCH may have CHARSET; not after ENABLE UTF8=ACCEPT (RFC 9755 §3)
  bool before_login = false;  // commands of later states are refused by name alone
};

// `text` is the command with its line end taken off; each literal stands in it as "{n}" or
// "{n+}" and CRLF, its bytes are `literals` in order (moved from where that saves a copy).
[[nodiscard]] Result<Command> parse_command(std::string_view text, std::span<std::string> literals,
                                            const ParserLimits& limits);

// "unknown command FOO" when `text`, a command or its beginning, names one that there is not; ""
// when it names none or one that there is.
[[nodiscard]] std::string unknown_command(std::string_view text);

// True when `text`, a command or its beginning, is a SEARCH that is to save its result
// (RFC 5182 §2.1).
[[nodiscard]] bool saves_result(std::string_view text);

// The tag that starts `text`, or "" when there is none fit to be sent back.
[[nodiscard]] std::string_view leading_tag(std::string_view text);

}  // namespace rims::imap
