// common/base/json.cc - writing and reading JSON

#include "common/base/json.h"

#include <algorithm>
#include <charconv>

#include <fmt/format.h>

namespace rims {
namespace {

constexpr int kMostDepth = 64;

// The length of the UTF-8 sequence that `text` begins with (RFC 3629 §4); 0: none.
size_t sequence(std::string_view text) {
  const auto byte = [&](size_t i) { return static_cast<unsigned char>(text[i]); };
  const auto c = byte(0);
  const size_t length = c < 0x80                ? 1
                        : c >= 0xc2 && c < 0xe0 ? 2
                        : c >= 0xe0 && c < 0xf0 ? 3
                        : c >= 0xf0 && c < 0xf5 ? 4
                                                : 0;
  if (length == 0 || length > text.size()) return 0;
  for (size_t i = 1; i < length; i++) {
    if ((byte(i) & 0xc0) != 0x80) return 0;
  }
  if (length > 2) {
    const auto second = byte(1);
    if ((c == 0xe0 && second < 0xa0) || (c == 0xed && second >= 0xa0) ||
        (c == 0xf0 && second < 0x90) || (c == 0xf4 && second >= 0x90))
      return 0;
  }
  return length;
}

void write_text(std::string& out, std::string_view text) {
  out += '"';
  while (!text.empty()) {
    const size_t length = sequence(text);
    const char c = text[0];
    if (length == 0)
      out += "\\ufffd";
    else if (c == '"' || c == '\\')
      out += {'\\', c};
    else if (c == '\n')
      out += "\\n";
    else if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f)
      out += fmt::format("\\u{:04x}", static_cast<unsigned char>(c));
    else
      out += text.substr(0, length);
    text.remove_prefix(std::max<size_t>(length, 1));
  }
  out += '"';
}

void append_utf8(std::string& out, uint32_t point) {
  if (point < 0x80) {
    out += static_cast<char>(point);
  } else if (point < 0x800) {
    out += static_cast<char>(0xc0 | point >> 6);
    out += static_cast<char>(0x80 | (point & 0x3f));
  } else if (point < 0x10000) {
    out += static_cast<char>(0xe0 | point >> 12);
    out += static_cast<char>(0x80 | (point >> 6 & 0x3f));
    out += static_cast<char>(0x80 | (point & 0x3f));
  } else {
    out += static_cast<char>(0xf0 | point >> 18);
    out += static_cast<char>(0x80 | (point >> 12 & 0x3f));
    out += static_cast<char>(0x80 | (point >> 6 & 0x3f));
    out += static_cast<char>(0x80 | (point & 0x3f));
  }
}

class Parser {
 public:
  explicit Parser(std::string_view text) : text_(text) {}

  Result<Json> document() {
    TRY(Json value, this->value(0));
    space();
    if (at_ != text_.size()) return wrong("the end");
    return value;
  }

 private:
  std::unexpected<Error> wrong(std::string_view expected) const {
    size_t line = 1, start = 0;
    for (size_t i = 0; i < at_ && i < text_.size(); i++) {
      if (text_[i] == '\n') line++, start = i + 1;
    }
    return fail(Fault::syntax,
                fmt::format("line {} column {}: expected {}", line, at_ - start + 1, expected));
  }
  void space() {
    while (at_ < text_.size() && std::string_view(" \t\r\n").contains(text_[at_])) at_++;
  }
  bool take(std::string_view what) {
    if (!text_.substr(at_).starts_with(what)) return false;
    at_ += what.size();
    return true;
  }

  // RFC 8259 §3.
  Result<Json> value(int depth) {
    space();
    if (depth > kMostDepth) return wrong("fewer levels");
    if (take("null")) return Json();
    if (take("true")) return Json(true);
    if (take("false")) return Json(false);
    if (take("{")) return object(depth);
    if (take("[")) return list(depth);
    if (text_.substr(at_).starts_with('"')) {
      TRY(std::string read, text());
      return Json(std::move(read));
    }
    return number();
  }

  Result<Json> object(int depth) {
    Json::Object members;
    space();
    if (take("}")) return Json(std::move(members));
    while (true) {
      space();
      TRY(std::string name, text());
      space();
      if (!take(":")) return wrong("\":\"");
      TRY(Json member, value(depth + 1));
      members.emplace_back(std::move(name), std::move(member));
      space();
      if (take("}")) return Json(std::move(members));
      if (!take(",")) return wrong("\",\" or \"}\"");
    }
  }

  Result<Json> list(int depth) {
    Json::List elements;
    space();
    if (take("]")) return Json(std::move(elements));
    while (true) {
      TRY(Json element, value(depth + 1));
      elements.push_back(std::move(element));
      space();
      if (take("]")) return Json(std::move(elements));
      if (!take(",")) return wrong("\",\" or \"]\"");
    }
  }

  Result<Json> number() {
    int64_t value = 0;
    const char* from = text_.data() + at_;
    const char* end = text_.data() + text_.size();
    const auto [next, error] = std::from_chars(from, end, value);
    if (error != std::errc()) return wrong("a value");
    if (next != end && std::string_view(".eE").contains(*next)) return wrong("a whole number");
    at_ += static_cast<size_t>(next - from);
    return Json(value);
  }

  Result<uint32_t> hex4() {
    uint32_t value = 0;
    const auto digits = text_.substr(at_, 4);
    const auto [next, error] =
        std::from_chars(digits.data(), digits.data() + digits.size(), value, 16);
    if (error != std::errc() || next != digits.data() + 4) return wrong("four hex digits");
    at_ += 4;
    return value;
  }

  Result<std::string> text() {
    if (!take("\"")) return wrong("a string");
    std::string out;
    while (at_ < text_.size()) {
      const char c = text_[at_];
      if (take("\"")) return out;
      if (static_cast<unsigned char>(c) < 0x20) return wrong("no control character");
      if (c != '\\') {
        const size_t length = sequence(text_.substr(at_));
        if (length == 0) return wrong("UTF-8");
        out += text_.substr(at_, length);
        at_ += length;
        continue;
      }
      at_++;
      constexpr std::string_view kNames = "\"\\/bfnrt", kMeanings = "\"\\/\b\f\n\r\t";
      const size_t known = at_ < text_.size() ? kNames.find(text_[at_]) : kNames.npos;
      if (known != kNames.npos) {
        out += kMeanings[known];
        at_++;
        continue;
      }
      if (!take("u")) return wrong("an escape");
      TRY(uint32_t point, hex4());
      if (point >= 0xd800 && point < 0xdc00) {  // RFC 8259 §7: a surrogate pair
        if (!take("\\u")) return wrong("the second surrogate");
        TRY(const uint32_t low, hex4());
        if (low < 0xdc00 || low > 0xdfff) return wrong("the second surrogate");
        point = 0x10000 + ((point - 0xd800) << 10) + (low - 0xdc00);
      } else if (point >= 0xdc00 && point < 0xe000) {
        return wrong("the first surrogate");
      }
      append_utf8(out, point);
    }
    return wrong("the end of the string");
  }

  std::string_view text_;
  size_t at_ = 0;
};

template <class T, class Value>
const T& get_or_empty(const Value& value) {
  static const T kEmpty{};
  const auto* found = std::get_if<T>(&value);
  return found ? *found : kEmpty;
}

}  // namespace

const Json& Json::operator[](std::string_view name) const {
  static const Json kNull;
  for (const auto& [key, value] : object()) {
    if (key == name) return value;
  }
  return kNull;
}

const std::string& Json::text() const { return get_or_empty<std::string>(value_); }
int64_t Json::number() const { return get_or_empty<int64_t>(value_); }
bool Json::boolean() const { return get_or_empty<bool>(value_); }
const Json::List& Json::list() const { return get_or_empty<List>(value_); }
const Json::Object& Json::object() const { return get_or_empty<Object>(value_); }

void Json::write(std::string& out, int indent, int depth) const {
  const auto line = [&](int level) {
    if (depth < indent) out += '\n' + std::string(static_cast<size_t>(level) * 2, ' ');
  };
  const auto between = [&](bool first) {
    if (!first) out += depth < indent ? "," : ", ";
    line(depth + 1);
  };
  if (is<bool>()) {
    out += boolean() ? "true" : "false";
  } else if (is<int64_t>()) {
    out += fmt::format("{}", number());
  } else if (is<std::string>()) {
    write_text(out, text());
  } else if (is<List>()) {
    out += '[';
    for (bool first = true; const auto& element : list()) {
      between(first);
      element.write(out, indent, depth + 1);
      first = false;
    }
    if (!list().empty()) line(depth);
    out += ']';
  } else if (is<Object>()) {
    out += '{';
    for (bool first = true; const auto& [name, member] : object()) {
      between(first);
      write_text(out, name);
      out += ": ";
      member.write(out, indent, depth + 1);
      first = false;
    }
    if (!object().empty()) line(depth);
    out += '}';
  } else {
    out += "null";
  }
}

std::string Json::dump(bool indent) const {
  std::string out;
  write(out, indent ? 2 : 0, 0);
  return out;
}

Result<Json> Json::parse(std::string_view text) { return Parser(text).document(); }

}  // namespace rims
