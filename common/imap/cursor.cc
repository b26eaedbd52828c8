// common/imap/cursor.cc - the grammar's smallest rules: strings, numbers, sets, flags, dates
//
//   RFC  3501 §9
//   8-bit and NUL  NUL stands nowhere but in the message of APPEND. Bytes above 127 are let through
//          in quoted strings, where the RFC wants a literal: clients send raw UTF-8 there

#include "common/imap/cursor.h"

#include <algorithm>

#include "common/base/ascii.h"
#include "common/base/utf8.h"
#include "common/imap/mailbox_name.h"

namespace rims::imap {
namespace {

constexpr const char* kNotUtf7 = "the mailbox name is not in modified UTF-7";
constexpr const char* kNotUtf8 = "the mailbox name is not UTF-8";

// So much is repeated of the name of a command that there is not.
constexpr size_t kMostOfName = 32;

}  // namespace

bool Cursor::fail_at(const char* where, const char* expected) {
  if (!failed_) {
    failed_ = true;
    wrong_at_ = where;
    expected_ = expected;
  }
  return false;
}

bool Cursor::too_many(uint32_t limit, const char* what) {
  if (!failed_) {
    fault_ = Fault::limit;
    limit_ = limit;
  }
  return fail(what);
}

bool Cursor::unknown(const char* where, const char* prefix, std::string_view name) {
  if (failed_) return false;
  unknown_ = prefix;
  for (const char c : name.substr(0, kMostOfName)) unknown_ += (c & 0x80) != 0 ? '?' : c;
  if (name.size() > kMostOfName) unknown_ += "...";
  return fail_at(where, "command");
}

bool Cursor::refuse(const char* reply) {
  if (!failed_) fault_ = Fault::refused;
  return fail(reply);
}

std::unexpected<Error> Cursor::error() const {
  const std::string column = std::to_string(wrong_at_ - begin_ + 1);
  switch (fault_) {
    case Fault::limit:
      return rims::fail(
          Fault::limit,
          "more than " + std::to_string(limit_) + " " + expected_ + " at column " + column, {},
          "LIMIT");
    case Fault::refused:
      return rims::fail(Fault::refused, expected_);
    default:
      if (is_unknown())
        return rims::fail(Fault::syntax, "unknown command " + unknown_,
                          "unknown command at column " + column);
      return rims::fail(Fault::syntax,
                        std::string("expected ") + expected_ + " at column " + column);
  }
}

bool Cursor::take_word(std::string_view word) {
  if (static_cast<size_t>(end_ - at_) < word.size()) return false;
  for (size_t i = 0; i < word.size(); i++)
    if (ascii::upper(at_[i]) != word[i]) return false;
  at_ += word.size();
  return true;
}

bool Cursor::expect(char c, const char* what) { return take(c) || fail(what); }

bool Cursor::word(std::string_view upper_case, const char* what) {
  return take_word(upper_case) || fail(what);
}

bool Cursor::sp() {
  if (!take(' ')) return fail("SP");
  take_spaces();
  return true;
}

bool Cursor::end() {
  const char* mark = at_;
  take_spaces();
  if (at_end()) return true;
  at_ = mark;
  return fail("end of command");
}

bool Cursor::close_or_sp() {
  const char* before = at_;
  const bool spaced = take(' ');
  take_spaces();
  if (take(')')) return true;
  if (!spaced) fail_at(before, "SP or \")\"");
  return false;
}

// atom = 1*ATOM-CHAR
bool Cursor::atom(std::string& out, const char* what) {
  const std::string_view text = take_while(kAtom);
  if (text.empty()) return fail(what);
  out.assign(text);
  return true;
}

// quoted = DQUOTE *QUOTED-CHAR DQUOTE
// QUOTED-CHAR = <any TEXT-CHAR except quoted-specials> / "\" quoted-specials
// uQUOTED-CHAR = QUOTED-CHAR / UTF8-2 / UTF8-3 / UTF8-4   (RFC 9755 §3)
bool Cursor::quoted(std::string_view& out, std::string& unescaped) {
  const char* from = ++at_;  // behind the DQUOTE that the caller saw
  bool escaped = false;
  for (;;) {
    const std::string_view plain = take_while(kQuoted);
    if (escaped) unescaped += plain;
    if (at_end()) return fail("closing quote");
    if (*at_ == '"') break;
    if (*at_ != '\\') return fail("closing quote");  // NUL, CR, LF
    if (!escaped) {
      unescaped.reserve(static_cast<size_t>(end_ - from));  // no copies of a password left behind
      unescaped.assign(plain);
    }
    escaped = true;
    ++at_;
    if (peek() != '"' && peek() != '\\') return fail("\"\\\" or quote after \"\\\"");
    unescaped += *at_++;
  }
  out = escaped ? std::string_view(unescaped)
                : std::string_view(from, static_cast<size_t>(at_ - from));
  if (limits_.utf8 && !utf8::is_valid(out)) return fail_at(from, "UTF-8");
  ++at_;
  return true;
}

// literal = "{" number ["+"] "}" CRLF *CHAR8; the reader keeps the bytes apart from the text
bool Cursor::literal(std::string*& out) {
  const char* from = at_;
  uint64_t size = 0;
  ++at_;  // the "{" that the caller saw
  const std::string_view digits = take_while(kDigit);
  for (char c : digits)
    size = size > UINT32_MAX ? size : size * 10 + static_cast<uint64_t>(c - '0');
  take('+');
  if (digits.empty() || !take('}')) return fail_at(from, "literal");
  take('\r');
  if (!take('\n') || next_literal_ == literals_.size() || literals_[next_literal_].size() != size)
    return fail_at(from, "literal");
  out = &literals_[next_literal_++];
  return true;
}

bool Cursor::literal_moved(std::string& out) {
  std::string* bytes = nullptr;
  if (peek() != '{') return fail("literal");
  if (!literal(bytes)) return false;
  out = std::move(*bytes);
  return true;
}

// string = quoted / literal
bool Cursor::string_view_of(std::string_view& out, std::string& unescaped, const char* what) {
  if (peek() == '"') return quoted(out, unescaped);
  if (peek() != '{') return fail(what);
  const char* from = at_;
  std::string* bytes = nullptr;
  if (!literal(bytes)) return false;
  // CHAR8 = %x01-ff
  if (bytes->find('\0') != bytes->npos) return fail_at(from, "literal without NUL");
  out = *bytes;
  return true;
}

// astring = 1*ASTRING-CHAR / string
bool Cursor::astring_view_of(std::string_view& out, std::string& unescaped, const char* what) {
  if (!peek_is(kAstring)) return string_view_of(out, unescaped, what);
  out = take_while(kAstring);
  return true;
}

bool Cursor::string(std::string& out, const char* what) {
  std::string_view view;
  std::string unescaped;
  if (!string_view_of(view, unescaped, what)) return false;
  out.assign(view);
  return true;
}

bool Cursor::astring(std::string& out, const char* what) {
  std::string_view view;
  std::string unescaped;
  if (!astring_view_of(view, unescaped, what)) return false;
  out.assign(view);
  return true;
}

bool Cursor::astring(Secret& out) {
  std::string_view view;
  std::string unescaped;
  const bool ok = astring_view_of(view, unescaped, "astring");
  if (ok) out = Secret(view);
  wipe(unescaped);
  return ok;
}

// nstring = string / nil
bool Cursor::nstring(std::optional<std::string>& out) {
  if (take_word("NIL")) {
    out.reset();
    return true;
  }
  return string(out.emplace(), "string or NIL");
}

// value = nstring / literal8   (RFC 5464 §5)
bool Cursor::nstring_or_literal8(std::optional<std::string>& out) {
  return take('~') ? literal_moved(out.emplace()) : nstring(out);
}

// mailbox = "INBOX" / astring
bool Cursor::mailbox(std::string& out) {
  std::string_view view;
  std::string unescaped;
  if (!astring_view_of(view, unescaped, "mailbox name")) return false;
  std::optional<std::string> name =
      limits_.utf8 ? mailbox_from_utf8(view) : mailbox_from_wire(view);
  if (!name) return refuse(limits_.utf8 ? kNotUtf8 : kNotUtf7);
  out = *std::move(name);
  return true;
}

// list-mailbox = 1*list-char / string. Also for the reference, which has no wildcards.
bool Cursor::list_mailbox(std::string& out, bool wildcards) {
  std::string_view view;
  std::string unescaped;
  if (wildcards && peek_is(kList)) {
    view = take_while(kList);
  } else if (wildcards ? !string_view_of(view, unescaped, "list-mailbox")
                       : !astring_view_of(view, unescaped, "mailbox name")) {
    return false;
  }
  if (limits_.utf8) {
    if (!utf8::is_valid(view)) return refuse(kNotUtf8);
    out = view;
    return true;
  }
  // What is no modified UTF-7 may still be a pattern: "R&D*" from a client that knows UTF-8 only.
  std::optional<std::string> name = from_modified_utf7(view);
  if (!name && !utf8::is_valid(view)) return refuse(kNotUtf7);
  out = name ? *std::move(name) : std::string(view);
  return true;
}

// objectid = 1*255(ALPHA / DIGIT / "_" / "-")  (RFC 8474 §7)
bool Cursor::object_id(std::string& out) {
  const char* from = at_;
  const std::string_view text = take_while(kAtom);
  const bool good = std::ranges::all_of(text, [](char c) {
    return is(c, kBase64) ? c != '+' && c != '/' && c != '=' : c == '_' || c == '-';
  });
  if (!good || text.empty() || text.size() > 255) return fail_at(from, "object id");
  out.assign(text);
  return true;
}

// number = 1*DIGIT, below 2^32
bool Cursor::number(uint32_t& out) {
  const char* from = at_;
  const std::string_view digits = take_while(kDigit);
  uint64_t value = 0;
  for (char c : digits) {
    value = value * 10 + static_cast<uint64_t>(c - '0');
    if (value > UINT32_MAX) return fail_at(from, "32-bit number");
  }
  if (digits.empty()) return fail_at(from, "number");
  out = static_cast<uint32_t>(value);
  return true;
}

// nz-number = digit-nz *DIGIT. Leading zeros are harmless.
bool Cursor::nz_number(uint32_t& out) {
  const char* from = at_;
  if (!peek_is(kDigit)) return fail("non-zero number");
  if (!number(out)) return false;
  return out != 0 || fail_at(from, "non-zero number");
}

// mod-sequence-valzer = 1*DIGIT, below 2^63 (RFC 7162 §7)
bool Cursor::mod_sequence(uint64_t& out) {
  const char* from = at_;
  const std::string_view digits = take_while(kDigit);
  uint64_t value = 0;
  for (char c : digits) {
    const auto digit = static_cast<uint64_t>(c - '0');
    if (value > (uint64_t{INT64_MAX} - digit) / 10) return fail_at(from, "63-bit number");
    value = value * 10 + digit;
  }
  if (digits.empty()) return fail_at(from, "number");
  out = value;
  return true;
}

// seq-number = nz-number / "*"
bool Cursor::seq_number(uint32_t& out) {
  if (take('*')) {
    out = kStar;
    return true;
  }
  if (!peek_is(kDigit)) return fail("number or \"*\"");
  return nz_number(out);
}

// sequence-set =/ "$"  (RFC 5182 §3)
bool Cursor::sequence_set(SequenceSet& out) {
  if (take('$')) {
    out.saved = true;
    return true;
  }
  if (!peek_is(kDigit) && peek() != '*') return fail("number, \"*\" or \"$\"");
  return ranges(out);
}

// sequence-set = (seq-number / seq-range) *("," (seq-number / seq-range))
// seq-range = seq-number ":" seq-number
bool Cursor::ranges(SequenceSet& out) {
  do {
    SeqRange& range = out.ranges.emplace_back();
    if (out.ranges.size() > limits_.sequence_ranges)
      return too_many(limits_.sequence_ranges, "ranges in a set");
    if (!seq_number(range.first)) return false;
    range.last = range.first;
    if (take(':') && !seq_number(range.last)) return false;
  } while (take(','));
  return true;
}

// flag = "\Answered" / "\Flagged" / "\Deleted" / "\Seen" / "\Draft" / flag-keyword / flag-extension
// \Recent is let through and forgotten: no client can alter it (RFC 3501 §2.3.2), and some give
// back all flags that they were told. Other flag-extensions are none that we could keep.
bool Cursor::flag(FlagList& out) {
  const char* from = at_;
  if (!take('\\')) {
    std::string keyword;
    if (!atom(keyword, "flag")) return false;
    if (out.keywords.size() >= limits_.flags) return too_many(limits_.flags, "keywords");
    out.keywords.push_back(std::move(keyword));
    return true;
  }
  const std::string_view word = take_while(kAtom);
  struct Row {
    std::string_view name;
    SystemFlag flag;
  };
  static constexpr Row kRows[] = {
      {"SEEN", SystemFlag::seen},       {"ANSWERED", SystemFlag::answered},
      {"FLAGGED", SystemFlag::flagged}, {"DELETED", SystemFlag::deleted},
      {"DRAFT", SystemFlag::draft},
  };
  for (const Row& row : kRows) {
    if (!ascii::equal(word, row.name)) continue;
    out.add(row.flag);
    return true;
  }
  return ascii::equal(word, "RECENT") ||
         fail_at(from, "\\Answered, \\Flagged, \\Deleted, \\Seen or \\Draft");
}

// flag-list = "(" [flag *(SP flag)] ")"
bool Cursor::flag_list(FlagList& out) {
  if (!open()) return false;
  if (take(')')) return true;
  do {
    if (!flag(out)) return false;
  } while (!close_or_sp() && !failed_);
  return !failed_;
}

// date = date-text / DQUOTE date-text DQUOTE
bool Cursor::date(Date& out) {
  const char* from = at_;
  const bool quote = take('"');
  const std::optional<Date> parsed = parse_date(take_while(kAtom));
  if (!parsed || (quote && !take('"'))) return fail_at(from, "date (1-Feb-1994)");
  out = *parsed;
  return true;
}

// date-time = DQUOTE date-day-fixed "-" date-month "-" date-year SP time SP zone DQUOTE
bool Cursor::date_time(DateTime& out) {
  constexpr const char* kExpected = "date-time (\"17-Jul-1996 02:44:25 -0700\")";
  const std::string_view text = rest();
  const size_t close = text.substr(0, 32).find('"', 1);
  if (!text.starts_with('"') || close == text.npos) return fail(kExpected);
  const std::optional<DateTime> parsed = parse_date_time(text.substr(1, close - 1));
  if (!parsed) return fail(kExpected);
  out = *parsed;
  at_ += close + 1;
  return true;
}

}  // namespace rims::imap
