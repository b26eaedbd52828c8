// common/imap/cursor.h - the place in a command's text, and the grammar's smallest rules
//
// Of common/imap only. Every rule keeps one promise: true, and what it matched is taken; or false,
// and the error tells what was expected at which column. Only the first error counts, so rules
// are called where nothing else could follow, or after peek() has decided.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/result.h"
#include "common/imap/chars.h"
#include "common/imap/command.h"
#include "common/imap/parser.h"

namespace rims::imap {

class Cursor {
 public:
  Cursor(std::string_view text, std::span<std::string> literals, const ParserLimits& limits)
      : begin_(text.data()),
        at_(begin_),
        end_(begin_ + text.size()),
        literals_(literals),
        limits_(limits) {}

  [[nodiscard]] const ParserLimits& limits() const { return limits_; }

  // --- looking: takes nothing
  [[nodiscard]] bool at_end() const { return at_ == end_; }
  [[nodiscard]] char peek() const { return at_ == end_ ? '\0' : *at_; }
  [[nodiscard]] bool peek_is(uint8_t classes) const { return at_ != end_ && is(*at_, classes); }
  [[nodiscard]] std::string_view rest() const { return {at_, static_cast<size_t>(end_ - at_)}; }
  [[nodiscard]] const char* mark() const { return at_; }
  void back_to(const char* mark) { at_ = mark; }

  // --- taking what may be there: no error when it is not
  bool take(char c) {
    if (at_ == end_ || *at_ != c) return false;
    ++at_;
    return true;
  }
  void take_spaces() {
    while (at_ != end_ && *at_ == ' ') ++at_;
  }
  // `word` in upper case.
  bool take_word(std::string_view word);
  [[nodiscard]] std::string_view take_while(uint8_t classes) {
    const char* from = at_;
    while (at_ != end_ && is(*at_, classes)) ++at_;
    return {from, static_cast<size_t>(at_ - from)};
  }

  // --- insisting
  bool expect(char c, const char* what);
  bool word(std::string_view upper_case, const char* what);
  bool sp();   // one space; more are harmless where an argument must follow
  bool end();  // of the command; spaces before it are harmless
  bool open(const char* what = "\"(\"") { return expect('(', what) && (take_spaces(), true); }
  // Between the elements of a list: true at its ")", which is taken; else a space is taken.
  // Sets failed() when neither is there.
  bool close_or_sp();
  bool atom(std::string& out, const char* what);
  bool string(std::string& out, const char* what = "string");
  bool string(Secret& out);
  bool astring(std::string& out, const char* what = "astring");
  bool astring(Secret& out);
  bool nstring(std::optional<std::string>& out);
  bool mailbox(std::string& out);
  bool list_mailbox(std::string& out, bool wildcards);
  bool literal_moved(std::string& out);  // moves the bytes, which may hold NUL
  bool nstring_or_literal8(std::optional<std::string>& out);
  bool object_id(std::string& out);
  bool number(uint32_t& out);
  bool nz_number(uint32_t& out);
  bool seq_number(uint32_t& out);
  bool mod_sequence(uint64_t& out);  // 0 or more, 63 bits
  bool sequence_set(SequenceSet& out);
  bool ranges(SequenceSet& out);  // a sequence-set that is not `$`
  bool flag(FlagList& out);
  bool flag_list(FlagList& out);
  bool date(Date& out);
  bool date_time(DateTime& out);

  // --- failing
  bool fail(const char* expected) { return fail_at(at_, expected); }
  bool fail_at(const char* where, const char* expected);
  // Nothing wrong with the grammar, but with our limits: "more than LIMIT what".
  bool too_many(uint32_t limit, const char* what);
  // No such command: `prefix` and `name`, the bytes at `where`, are repeated in a short form.
  bool unknown(const char* where, const char* prefix, std::string_view name);
  [[nodiscard]] bool is_unknown() const { return !unknown_.empty(); }
  // Understood, and not allowed.
  bool refuse(const char* reply);
  [[nodiscard]] bool failed() const { return failed_; }
  [[nodiscard]] std::unexpected<Error> error() const;

 private:
  // The bytes of a string, without copying where they stand in the text as they are.
  bool string_view_of(std::string_view& out, std::string& unescaped, const char* what);
  bool astring_view_of(std::string_view& out, std::string& unescaped, const char* what);
  bool quoted(std::string_view& out, std::string& unescaped);
  bool literal(std::string*& out);

  const char* begin_;
  const char* at_;
  const char* end_;
  std::span<std::string> literals_;
  size_t next_literal_ = 0;
  const ParserLimits& limits_;

  bool failed_ = false;
  Fault fault_ = Fault::syntax;
  const char* wrong_at_ = nullptr;
  const char* expected_ = nullptr;
  uint32_t limit_ = 0;
  std::string unknown_;
};

// Rules of their own files.
bool status_items(Cursor& in, uint16_t& out);  // "(" status-att *(SP status-att) ")"
bool list(Cursor& in, Command& out);
bool lsub(Cursor& in, Command& out);
bool xlist(Cursor& in, Command& out);
bool notify(Cursor& in, Command& out);
bool page(Cursor& in, Page& out);  // partial-range
bool search(Cursor& in, Command& out);
bool sort(Cursor& in, Command& out);
bool thread(Cursor& in, Command& out);
bool fetch(Cursor& in, Command& out);
bool fetch_att_list(Cursor& in, Fetch& out);  // "(" fetch-att *(SP fetch-att) ")"
bool get_metadata(Cursor& in, Command& out);
bool set_metadata(Cursor& in, Command& out);
bool metadata_entries(Cursor& in, std::vector<std::string>& out);  // entries (RFC 5464 §5)

// [SP "(" modifier *(SP modifier) ")"] at the end of a command: the modifiers of RFC 4466.
template <class Modifier>
bool optional_modifiers(Cursor& in, Modifier&& modifier) {
  const char* mark = in.mark();
  const bool spaced = in.take(' ');
  in.take_spaces();
  if (!spaced || in.peek() != '(') {
    in.back_to(mark);
    return true;
  }
  if (!in.open()) return false;
  do {
    if (!modifier()) return false;
  } while (!in.close_or_sp() && !in.failed());
  return !in.failed();
}

}  // namespace rims::imap
