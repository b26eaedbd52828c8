// common/imap/parser_metadata.cc - GETMETADATA and SETMETADATA
//
//   RFC  5464 §3.2 (names of entries), §5; errata 2785 and 2786 (where the options stand)

#include <algorithm>

#include "common/base/ascii.h"
#include "common/imap/cursor.h"

namespace rims::imap {
namespace {

constexpr size_t kLongestEntry = 255;  // octets

bool allowed(char c) {
  const auto octet = static_cast<unsigned char>(c);
  return octet > 0x19 && octet < 0x80 && c != '*' && c != '%';
}

// RFC 5464 §3.2: what is set has two components, below "vendor" four; what is asked for may be the
// beginning of such a name, too, because of DEPTH.
bool entry(Cursor& in, std::string& out, bool to_set) {
  const char* mark = in.mark();
  if (!in.astring(out, "entry")) return false;
  const std::string lower = ascii::lower(out);
  const std::string_view scope = lower.starts_with("/private")  ? "/private"
                                 : lower.starts_with("/shared") ? "/shared"
                                                                : "";
  const std::string_view below = std::string_view(lower).substr(scope.size());
  if (scope.empty() || (!below.empty() && below.front() != '/'))
    return in.fail_at(mark, "entry that begins with /private or /shared");
  if (lower.size() > kLongestEntry) return in.fail_at(mark, "entry of at most 255 octets");
  if (!std::ranges::all_of(lower, allowed))
    return in.fail_at(mark, "entry without \"*\", \"%\", control or 8-bit characters");
  if (lower.ends_with('/') || lower.find("//") != lower.npos)
    return in.fail_at(mark, "entry without empty components");
  if (!to_set) return true;
  if (below.empty()) return in.fail_at(mark, "entry below /private or /shared");
  const bool vendor = below == "/vendor" || below.starts_with("/vendor/");
  if (vendor && std::ranges::count(below, '/') < 3)
    return in.fail_at(mark, "entry below the name of a vendor");
  return true;
}

// One more of them; false: there are too many, or it is none.
bool one_more(Cursor& in, std::vector<std::string>& out) {
  if (out.size() >= in.limits().metadata_entries)
    return in.too_many(in.limits().metadata_entries, "entries");
  return entry(in, out.emplace_back(), false);
}

// getmetadata-options = "(" getmetadata-option *(SP getmetadata-option) ")"
// maxsize-opt = "MAXSIZE" SP number;  scope-opt = "DEPTH" SP ("0" / "1" / "infinity")
bool options(Cursor& in, GetMetadata& out) {
  using Depth = GetMetadata::Depth;
  if (!in.open()) return false;
  do {
    if (in.take_word("MAXSIZE")) {
      if (!in.sp() || !in.number(out.max_size.emplace())) return false;
    } else if (in.take_word("DEPTH")) {
      if (!in.sp()) return false;
      if (in.take_word("INFINITY"))
        out.depth = Depth::infinity;
      else if (in.take('0'))
        out.depth = Depth::zero;
      else if (in.take('1'))
        out.depth = Depth::one;
      else
        return in.fail("0, 1 or infinity");
    } else {
      return in.fail("MAXSIZE or DEPTH");
    }
  } while (!in.close_or_sp() && !in.failed());
  return !in.failed();
}

// Does a list begin here that holds no entries?
bool at_options(Cursor& in) {
  std::string_view rest = in.rest();
  if (!rest.starts_with('(')) return false;
  rest.remove_prefix(1);
  while (rest.starts_with(' ')) rest.remove_prefix(1);
  return !rest.empty() && ascii::upper(rest.front()) >= 'A' && ascii::upper(rest.front()) <= 'Z';
}

}  // namespace

// entries = entry / "(" entry *(SP entry) ")"
bool metadata_entries(Cursor& in, std::vector<std::string>& out) {
  if (in.peek() != '(') return one_more(in, out);
  if (!in.open()) return false;
  do {
    if (!one_more(in, out)) return false;
  } while (!in.close_or_sp() && !in.failed());
  return !in.failed();
}

// getmetadata = "GETMETADATA" [SP getmetadata-options] SP mailbox SP entries
// Clients also do as examples of the RFC, some of which its errata correct: options behind the
// mailbox, and several entries without parentheses.
bool get_metadata(Cursor& in, Command& out) {
  auto& args = out.args.emplace<GetMetadata>();
  if (!in.sp()) return false;
  const bool first = in.peek() == '(';
  if (first && (!options(in, args) || !in.sp())) return false;
  if (!in.mailbox(args.mailbox) || !in.sp()) return false;
  if (!first && at_options(in) && (!options(in, args) || !in.sp())) return false;
  const bool list = in.peek() == '(';
  if (!metadata_entries(in, args.entries)) return false;
  while (!list) {
    // Spaces at the end of the line are harmless.
    in.take_spaces();
    if (in.at_end()) return true;
    if (!one_more(in, args.entries)) return false;
  }
  return true;
}

// setmetadata = "SETMETADATA" SP mailbox SP entry-values
// entry-values = "(" entry-value *(SP entry-value) ")";  entry-value = entry SP value
bool set_metadata(Cursor& in, Command& out) {
  auto& args = out.args.emplace<SetMetadata>();
  if (!in.sp() || !in.mailbox(args.mailbox) || !in.sp() || !in.open()) return false;
  do {
    if (args.entries.size() >= in.limits().metadata_entries)
      return in.too_many(in.limits().metadata_entries, "entries");
    auto& [name, value] = args.entries.emplace_back();
    if (!entry(in, name, true) || !in.sp() || !in.nstring_or_literal8(value)) return false;
  } while (!in.close_or_sp() && !in.failed());
  return !in.failed();
}

}  // namespace rims::imap
