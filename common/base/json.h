// common/base/json.h - JSON (RFC 8259) for reports and small files of ours, by nlohmann-json
//
// Who makes or reads values includes <nlohmann/json.hpp> as well, in a .cc file: it is large.
// Nothing here throws, whatever is read.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include <nlohmann/json_fwd.hpp>

#include "common/base/result.h"

namespace rims {

// What is written: members keep their order.
using Json = nlohmann::ordered_json;
// What was read.
using ParsedJson = nlohmann::json;

// On one line; or, with `indent`, each member and element of the outer two levels on its own.
// Bytes that are not UTF-8 become U+FFFD.
[[nodiscard]] std::string json_text(const Json& json, bool indent = false);

// At most kMaxJson bytes and kMaxJsonDepth levels; numbers are whole and fit 64 bits with a sign.
// Else: limit, syntax.
inline constexpr size_t kMaxJson = size_t{64} << 20;
inline constexpr int kMaxJsonDepth = 64;
[[nodiscard]] Result<ParsedJson> parse_json(std::string_view text);

// The member; null when there is none, or `of` is no object.
[[nodiscard]] const ParsedJson& json_member(const ParsedJson& of, const char* name);
// 0 or "" when there is no such member, or it is of another kind.
[[nodiscard]] int64_t json_number(const ParsedJson& of, const char* name);
[[nodiscard]] std::string json_string(const ParsedJson& of, const char* name);

}  // namespace rims
