// common/imap/numbers.cc - reading and printing of sequence sets

#include "common/imap/numbers.h"

#include <charconv>

#include "common/imap/cursor.h"

namespace rims::imap {
namespace {

void append_seq_number(std::string& out, uint32_t n) {
  if (n == kStar) {
    out += '*';
    return;
  }
  char digits[10];
  out.append(digits, std::to_chars(digits, std::end(digits), n).ptr);
}

}  // namespace

Result<SequenceSet> parse_sequence_set(std::string_view text, size_t max_ranges) {
  ParserLimits limits;
  limits.sequence_ranges = static_cast<uint32_t>(std::min<size_t>(max_ranges, UINT32_MAX));
  Cursor in(text, {}, limits);
  SequenceSet set;
  if (!in.ranges(set) || !in.end()) return in.error();
  return set;
}

void append_sequence_set(std::string& out, const SequenceSet& set) {
  if (set.saved) out += '$';
  bool comma = false;
  for (const SeqRange& r : set.ranges) {
    if (comma) out += ',';
    comma = true;
    append_seq_number(out, r.first);
    if (r.first == r.last) continue;
    out += ':';
    append_seq_number(out, r.last);
  }
}

void append_page(std::string& out, const Page& page) {
  const std::string_view sign = page.from_end ? "-" : "";
  out += sign;
  append_seq_number(out, page.first);
  out += ':';
  out += sign;
  append_seq_number(out, page.last);
}

bool within(const SequenceSet& set, SeqNum exists) {
  for (const SeqRange& r : set.ranges)
    if (exists.value == 0 || r.first > exists.value || r.last > exists.value) return false;
  return true;
}

void append_range(std::string& out, uint32_t first, uint32_t last, bool comma) {
  if (comma) out += ',';
  append_seq_number(out, first);
  if (first == last) return;
  out += ':';
  append_seq_number(out, last);
}

}  // namespace rims::imap
