// common/imap/mailbox_name.h - mailbox names: modified UTF-7, INBOX, LIST patterns
//
//   RFC  3501 §5.1 (naming, INBOX), §5.1.3 (modified UTF-7), §6.3.8 (LIST wildcards); 9755 §3
//   (UTF-8)
//
// Inside of RIMS a name is UTF-8 with '/' between levels; the wire has modified UTF-7, or UTF-8 for
// a client that has enabled it. The way there and back is exact: what decodes has just one
// encoding.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/result.h"

namespace rims::imap {

inline constexpr char kHierarchyDelimiter = '/';
// Of a new name, in UTF-8; and levels. Deeper trees serve no reader and cost every LIST.
inline constexpr size_t kMaxMailboxName = 1000;
inline constexpr size_t kMaxMailboxDepth = 32;

// Strict: unshifted bytes are printable ASCII, base64 holds only what needs it, no spare bits, no
// lone surrogate, no empty or adjoining shifts.
[[nodiscard]] std::optional<std::string> from_modified_utf7(std::string_view wire);
// `name` is UTF-8; bytes that are not become U+FFFD.
[[nodiscard]] std::string to_modified_utf7(std::string_view name);

// `inbox` and `inbox/...` in any case get INBOX in upper case (RFC 3501 §5.1; for the first
// level of a longer name it is our rule: two trees that differ in case would confuse everybody).
[[nodiscard]] std::string canonical_inbox(std::string name);

// Both of the above: how a mailbox argument is read.
[[nodiscard]] std::optional<std::string> mailbox_from_wire(std::string_view wire);
// The same from a client that has enabled UTF8=ACCEPT: "&" stands for itself.
[[nodiscard]] std::optional<std::string> mailbox_from_utf8(std::string_view wire);

// reference and pattern of LIST as one matcher. `*` matches anything, `%` all but '/'.
// A match costs the name's bytes times the pattern's length / 64, whatever the wildcards.
class ListPattern {
 public:
  // The reference is put in front as it is (RFC 3501 §6.3.8).
  ListPattern(std::string_view reference, std::string_view pattern);
  // INBOX, and the first level of what is below it, matches in any case.
  [[nodiscard]] bool matches(std::string_view name) const;

 private:
  size_t words_ = 1, literals_ = 0;
  bool impossible_ = false;                     // longer than any name
  std::array<uint8_t, 256> row_of_{};           // byte -> row of next_; row 0 is all zero
  std::vector<uint64_t> next_;                  // bit i: literal i is this byte
  std::vector<uint64_t> stay_, stay_in_level_;  // bit i: a wildcard stands before literal i
};

}  // namespace rims::imap
