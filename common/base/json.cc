// common/base/json.cc - the form in which JSON is written, and what is not read

#include "common/base/json.h"

#include <nlohmann/json.hpp>

namespace rims {
namespace {

constexpr int kIndentedLevels = 2;

std::string plain(const Json& json) {
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

// `indented`: of so many levels each element has a line.
void write(std::string& out, const Json& json, int indented, int depth) {
  if (!json.is_structured() || json.empty()) {
    out += plain(json);
    return;
  }
  const bool lines = depth < indented;
  const auto new_line = [&](int level) {
    if (lines) out += '\n' + std::string(static_cast<size_t>(level) * 2, ' ');
  };
  out += json.is_object() ? '{' : '[';
  bool first = true;
  for (const auto& element : json.items()) {
    if (!first) out += lines ? "," : ", ";
    first = false;
    new_line(depth + 1);
    if (json.is_object()) out += plain(element.key()) + ": ";
    write(out, element.value(), indented, depth + 1);
  }
  new_line(depth);
  out += json.is_object() ? '}' : ']';
}

}  // namespace

std::string json_text(const Json& json, bool indent) {
  std::string out;
  write(out, json, indent ? kIndentedLevels : 0, 0);
  return out;
}

Result<ParsedJson> parse_json(std::string_view text) {
  if (text.size() > kMaxJson) return fail(Fault::limit, "more JSON than is read");
  bool refused = false;
  const auto look = [&refused](int depth, ParsedJson::parse_event_t, const ParsedJson& value) {
    if (depth > kMaxJsonDepth || value.is_number_float() ||
        (value.is_number_unsigned() && value.get<uint64_t>() > INT64_MAX))
      refused = true;
    return !refused;  // false: it is not kept
  };
  auto parsed = ParsedJson::parse(text, look, /*allow_exceptions=*/false);
  if (refused || parsed.is_discarded()) return fail(Fault::syntax, "no JSON as it is written here");
  return parsed;
}

const ParsedJson& json_member(const ParsedJson& of, const char* name) {
  static const ParsedJson null;
  const auto found = of.find(name);  // nothing is in what is no object
  return found == of.end() ? null : *found;
}

int64_t json_number(const ParsedJson& of, const char* name) {
  const auto& member = json_member(of, name);
  return member.is_number_integer() ? member.get<int64_t>() : 0;
}

std::string json_string(const ParsedJson& of, const char* name) {
  const auto& member = json_member(of, name);
  return member.is_string() ? member.get<std::string>() : std::string();
}

}  // namespace rims
