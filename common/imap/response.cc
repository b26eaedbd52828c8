// common/imap/response.cc - writing of strings, flags, lines, response codes

#include "common/imap/response.h"

#include <charconv>

#include "common/base/ascii.h"
#include "common/base/utf8.h"
#include "common/imap/chars.h"
#include "common/imap/mailbox_name.h"

namespace rims::imap {
namespace {

constexpr std::string_view kNotInQuotes("\r\n\0", 3);

// What a string is made of, in one pass.
struct Shape {
  bool atom = true;      // ASTRING-CHARs only
  bool quotable = true;  // TEXT-CHARs only (RFC 3501 §9: CHAR is 7-bit and not NUL)
  bool escapes = false;  // holds quoted-specials
  bool nul = false;
};

Shape shape_of(std::string_view bytes) {
  Shape s;
  for (char c : bytes) {
    const auto byte = static_cast<unsigned char>(c);
    if (is(c, kAstring)) continue;
    s.atom = false;
    if (byte >= 0x80 || c == '\r' || c == '\n') s.quotable = false;
    if (c == '\0') {
      s.nul = true;
      s.quotable = false;
    }
    if (c == '"' || c == '\\') s.escapes = true;
  }
  return s;
}

void append_string(std::string& out, std::string_view bytes, const Shape& shape) {
  if (!shape.quotable) {
    append_literal_head(out, bytes.size());
    const size_t from = out.size();
    out += bytes;
    if (!shape.nul) return;
    for (size_t i = from; i < out.size(); i++)
      if (out[i] == '\0') out[i] = '\x80';
    return;
  }
  out += '"';
  if (shape.escapes) {
    for (char c : bytes) {
      if (c == '"' || c == '\\') out += '\\';
      out += c;
    }
  } else {
    out += bytes;
  }
  out += '"';
}

void append_astring(std::string& out, std::string_view bytes, const Shape& shape) {
  // NIL as an atom would read as nothing where a string may be missing.
  if (!bytes.empty() && shape.atom && !ascii::equal(bytes, "NIL")) {
    out += bytes;
  } else {
    append_string(out, bytes, shape);
  }
}

constexpr std::string_view kConditions[] = {"OK", "NO", "BAD", "PREAUTH", "BYE"};

// resp-text's text = 1*TEXT-CHAR
void append_text(std::string& out, std::string_view text) {
  if (text.empty()) text = "done";
  for (char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    out += byte >= 0x20 && byte < 0x7f ? c : '?';
  }
}

}  // namespace

void append_number(std::string& out, uint64_t number) {
  char digits[20];
  out.append(digits, std::to_chars(digits, std::end(digits), number).ptr);
}

void append_string(std::string& out, std::string_view bytes) {
  append_string(out, bytes, shape_of(bytes));
}

void append_astring(std::string& out, std::string_view bytes) {
  append_astring(out, bytes, shape_of(bytes));
}

void append_nstring(std::string& out, std::optional<std::string_view> bytes) {
  if (bytes) {
    append_string(out, *bytes);
  } else {
    out += "NIL";
  }
}

void append_value(std::string& out, std::optional<std::string_view> bytes) {
  if (!bytes || bytes->find('\0') == bytes->npos) return append_nstring(out, bytes);
  out += '~';
  append_literal_head(out, bytes->size());
  out += *bytes;
}

void append_literal_head(std::string& out, uint64_t size) {
  out += '{';
  append_number(out, size);
  out += "}\r\n";
}

void append_mailbox(std::string& out, std::string_view name, NameForm form) {
  if (form == NameForm::modified_utf7) return append_astring(out, to_modified_utf7(name));
  Shape shape = shape_of(name);
  shape.quotable = utf8::is_valid(name) && name.find_first_of(kNotInQuotes) == name.npos;
  append_astring(out, name, shape);
}

void append_flags(std::string& out, uint8_t system, std::span<const std::string_view> keywords) {
  constexpr std::string_view kNames[] = {"\\Seen",    "\\Answered", "\\Flagged",
                                         "\\Deleted", "\\Draft",    "\\Recent"};
  char before = '(';
  for (size_t i = 0; i < std::size(kNames); i++) {
    if ((system >> i & 1) == 0) continue;
    out += before;
    out += kNames[i];
    before = ' ';
  }
  for (std::string_view keyword : keywords) {
    out += before;
    out += keyword;
    before = ' ';
  }
  if (before == '(') out += '(';
  out += ')';
}

void append_flags(std::string& out, const FlagList& flags) {
  append_flags(out, flags.system,
               std::vector<std::string_view>(flags.keywords.begin(), flags.keywords.end()));
}

void append_untagged(std::string& out, std::string_view text) {
  out += "* ";
  out += text;
  out += "\r\n";
}

void append_untagged(std::string& out, uint32_t number, std::string_view name) {
  out += "* ";
  append_number(out, number);
  out += ' ';
  out += name;
  out += "\r\n";
}

void append_status(std::string& out, std::string_view tag, Condition condition,
                   std::string_view code, std::string_view text) {
  out += tag;
  out += ' ';
  out += kConditions[static_cast<size_t>(condition)];
  out += ' ';
  if (!code.empty()) {
    out += '[';
    out += code;
    out += "] ";
  } else if (text.starts_with('[')) {
    out += ' ';  // else it would read as a code
  }
  append_text(out, text);
  out += "\r\n";
}

void append_error(std::string& out, std::string_view tag, const Error& error) {
  append_status(out, tag, error.fault() == Fault::syntax ? Condition::bad : Condition::no,
                error.code(), error.reply());
}

void append_continuation(std::string& out, std::string_view text) {
  out += "+ ";
  append_text(out, text);
  out += "\r\n";
}

std::string append_uid_code(UidValidity validity, const NumberSet<Uid>& uids) {
  std::string out = "APPENDUID ";
  append_number(out, validity.value);
  out += ' ';
  append_number_set(out, uids);
  return out;
}

std::string copy_uid_code(UidValidity validity, const NumberSet<Uid>& from,
                          const NumberSet<Uid>& to) {
  // RFC 4315 §3: the sets are never empty.
  if (from.empty() || to.empty()) return {};
  std::string out = "COPYUID ";
  append_number(out, validity.value);
  out += ' ';
  append_number_set(out, from);
  out += ' ';
  append_number_set(out, to);
  return out;
}

}  // namespace rims::imap
