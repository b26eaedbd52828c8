// common/message/header.h - fields of an RFC 5322 header: iterate, pick, unfold
//
//   A header ends at the first empty line, or where the bytes end. A line without a colon is a
//   field without a name (RFC 5322 has no word for it; it is kept, and matches no name).
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace rims::message {

// Views into the header's bytes.
struct Field {
  std::string_view raw;    // everything, with continuation lines and the final line end
  std::string_view name;   // without the colon and white space before it; may be empty
  std::string_view value;  // behind the colon, without the final line end; still folded
};

// Walks the fields of a header. Stops at the empty line or at the end of the bytes.
class FieldReader {
 public:
  explicit FieldReader(std::string_view header) : rest_(header), size_(header.size()) {}
  [[nodiscard]] bool next(Field& field);
  // Bytes read so far. After next() said false: the header's length, with the empty line.
  [[nodiscard]] size_t consumed() const { return size_ - rest_.size(); }
  // After next() said false: the empty line. Empty when the bytes ended without one.
  [[nodiscard]] std::string_view empty_line() const { return empty_line_; }

 private:
  std::string_view rest_;
  size_t size_;
  std::string_view empty_line_;
};

// The length of the header at the start of `message`, with the empty line that ends it.
[[nodiscard]] size_t header_length(std::string_view message);

// BODY[HEADER.FIELDS (names)], or .NOT when `all_but`: the fields' bytes in the order of the
// message, then its empty line if it has one (RFC 3501 §6.4.5). Names are compared
// without case. Made once for many headers.
class FieldPicker {
 public:
  FieldPicker(std::span<const std::string> names, bool all_but);
  [[nodiscard]] std::string pick(std::string_view header) const;

 private:
  [[nodiscard]] bool has(std::string_view name) const;
  std::vector<std::string> names_;  // lower case, sorted
  bool all_but_;
};
// The same for one header.
[[nodiscard]] std::string select_fields(std::string_view header, std::span<const std::string> names,
                                        bool all_but);

// One line: each line end goes, with the white space behind it becoming one space; outer white
// space goes; NUL becomes "?". Of a longer value the first `max` bytes are looked at.
[[nodiscard]] std::string unfold(std::string_view value, size_t max = 1 << 20);

// The unfolded value of the first field of that name, or empty.
[[nodiscard]] std::string first_value(std::string_view header, std::string_view name);

}  // namespace rims::message
