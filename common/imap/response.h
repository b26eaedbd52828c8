// common/imap/response.h - what the server says: strings, flags, lines, response codes
//
//   RFC  3501 §7 and §9; 4315 §3 (APPENDUID, COPYUID), 5530 (codes), 6154, 7888, 9755 §3
//
// Everything appends to the caller's buffer. Strings from outside can never break a line: where
// a quoted string cannot hold them they become a literal, and reply texts are cleaned.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "common/base/result.h"
#include "common/base/strong.h"
#include "common/imap/flags.h"
#include "common/imap/numbers.h"

namespace rims::imap {

void append_number(std::string& out, uint64_t number);

// --- strings: the shortest form that can hold the bytes.
// quoted or literal. A literal must not hold NUL in IMAP4rev1 (RFC 3501 §9 CHAR8): NUL goes out as
// 0x80.
void append_string(std::string& out, std::string_view bytes);
void append_astring(std::string& out, std::string_view bytes);  // atom, quoted or literal
void append_nstring(std::string& out, std::optional<std::string_view> bytes);  // or NIL
// quoted, literal, or for NUL literal8 (RFC 3516 §7); or NIL. Where the grammar has them all: the
// `value` of RFC 5464.
void append_value(std::string& out, std::optional<std::string_view> bytes);
// "{n}\r\n", for a literal whose bytes follow by other ways.
void append_literal_head(std::string& out, uint64_t size);
// A UTF-8 name as the wire has it. UTF-8 in quotes is only for a client that has enabled
// UTF8=ACCEPT (RFC 9755 §3).
enum class NameForm : uint8_t { modified_utf7, utf8 };
void append_mailbox(std::string& out, std::string_view name, NameForm form);

// --- flags: "(\Seen $Forwarded)"
void append_flags(std::string& out, uint8_t system, std::span<const std::string_view> keywords);
void append_flags(std::string& out, const FlagList& flags);

// --- lines
enum class Condition : uint8_t { ok, no, bad, preauth, bye };

// "* text\r\n"; `text` is protocol text of ours.
void append_untagged(std::string& out, std::string_view text);
// "* 23 EXISTS\r\n", EXPUNGE, RECENT
void append_untagged(std::string& out, uint32_t number, std::string_view name);
// "tag OK [code] text\r\n"; tag "*" for untagged. `code` without brackets, "" for none. Bytes
// that text may not hold become '?', an empty text becomes "done".
void append_status(std::string& out, std::string_view tag, Condition condition,
                   std::string_view code, std::string_view text);
// How a command that failed is answered: BAD for Fault::syntax, else NO; the error's code and
// reply.
void append_error(std::string& out, std::string_view tag, const Error& error);
// "+ text\r\n"
void append_continuation(std::string& out, std::string_view text);

// --- response codes, without brackets
[[nodiscard]] std::string append_uid_code(UidValidity validity, const NumberSet<Uid>& uids);
// "COPYUID ..."; both sets in the order of copying and of one size. "" when nothing was copied.
[[nodiscard]] std::string copy_uid_code(UidValidity validity, const NumberSet<Uid>& from,
                                        const NumberSet<Uid>& to);

}  // namespace rims::imap
