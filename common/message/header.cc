// common/message/header.cc - see header.h

#include "common/message/header.h"

#include <algorithm>
#include <string>
#include <vector>

#include "common/base/ascii.h"

namespace rims::message {
namespace {

constexpr bool is_wsp(char c) { return c == ' ' || c == '\t'; }

// Without its line end.
std::string_view chomp(std::string_view line) {
  if (line.ends_with('\n')) {
    line.remove_suffix(1);
    if (line.ends_with('\r')) line.remove_suffix(1);
  }
  return line;
}

// Up to this many names are compared one by one; more are found by binary search, so that a
// thousand names in one FETCH do not cost a thousand comparisons per field.
constexpr size_t kFew = 16;

}  // namespace

bool FieldReader::next(Field& field) {
  if (!empty_line_.empty() || rest_.empty()) return false;
  if (rest_.front() == '\n' || rest_.starts_with("\r\n")) {
    empty_line_ = rest_.substr(0, rest_.front() == '\n' ? 1 : 2);
    rest_.remove_prefix(empty_line_.size());
    return false;
  }
  size_t end = 0;
  do {
    end = rest_.find('\n', end);
    end = end == std::string_view::npos ? rest_.size() : end + 1;
  } while (end < rest_.size() && is_wsp(rest_[end]));
  field.raw = rest_.substr(0, end);
  rest_.remove_prefix(end);

  const std::string_view text = chomp(field.raw);
  // The name ends on the first line: a colon further down belongs to no field.
  const size_t colon = text.substr(0, text.find('\n')).find(':');
  if (colon == std::string_view::npos) {
    field.name = {};
    field.value = text;
    return true;
  }
  field.name = text.substr(0, colon);
  while (!field.name.empty() && is_wsp(field.name.back())) field.name.remove_suffix(1);
  field.value = text.substr(colon + 1);
  return true;
}

size_t header_length(std::string_view message) {
  size_t at = 0;
  while (at < message.size()) {
    if (message[at] == '\n') return at + 1;
    if (message[at] == '\r' && message.substr(at, 2) == "\r\n") return at + 2;
    const size_t lf = message.find('\n', at);
    if (lf == std::string_view::npos) break;
    at = lf + 1;
  }
  return message.size();
}

FieldPicker::FieldPicker(std::span<const std::string> names, bool all_but) : all_but_(all_but) {
  for (const std::string& name : names) names_.push_back(ascii::lower(name));
  std::ranges::sort(names_);
}

bool FieldPicker::has(std::string_view name) const {
  if (name.empty()) return false;
  if (names_.size() <= kFew)
    return std::ranges::any_of(names_,
                               [&](const std::string& own) { return ascii::equal(own, name); });
  return std::ranges::binary_search(names_, ascii::lower(name));
}

std::string FieldPicker::pick(std::string_view header) const {
  std::string out;
  FieldReader reader(header);
  for (Field field; reader.next(field);) {
    if (has(field.name) != all_but_) out += field.raw;
  }
  out += reader.empty_line();
  return out;
}

std::string select_fields(std::string_view header, std::span<const std::string> names,
                          bool all_but) {
  return FieldPicker(names, all_but).pick(header);
}

std::string unfold(std::string_view value, size_t max) {
  value = value.substr(0, max);
  while (!value.empty() &&
         (is_wsp(value.front()) || value.front() == '\r' || value.front() == '\n'))
    value.remove_prefix(1);
  while (!value.empty() && (is_wsp(value.back()) || value.back() == '\r' || value.back() == '\n'))
    value.remove_suffix(1);
  // Most values are one line, and copied as they are.
  size_t plain = 0;
  while (plain < value.size() && value[plain] != '\r' && value[plain] != '\n' &&
         value[plain] != '\0')
    plain++;
  std::string out;
  out.reserve(value.size());
  out = value.substr(0, plain);
  for (size_t i = plain; i < value.size(); i++) {
    const char c = value[i];
    if (c == '\n' || c == '\r') {
      while (i + 1 < value.size() &&
             (is_wsp(value[i + 1]) || value[i + 1] == '\n' || value[i + 1] == '\r'))
        i++;
      if (!out.ends_with(' ')) out += ' ';
    } else {
      out += c == '\0' ? '?' : c;
    }
  }
  return out;
}

std::string first_value(std::string_view header, std::string_view name) {
  FieldReader reader(header);
  for (Field field; reader.next(field);)
    if (ascii::equal(field.name, name)) return unfold(field.value);
  return {};
}

}  // namespace rims::message
