// common/base/json.h - JSON (RFC 8259) for reports and small files of ours; pure
//
// Numbers are whole and fit 64 bits with a sign. Members keep their order. What is written is
// UTF-8; bytes that are not become U+FFFD.
#pragma once

#include <concepts>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "common/base/result.h"

namespace rims {

class Json {
 public:
  using List = std::vector<Json>;
  using Object = std::vector<std::pair<std::string, Json>>;

  Json() = default;  // null
  Json(bool value) : value_(value) {}
  template <std::integral Int>
    requires(!std::same_as<Int, bool>)
  Json(Int value) : value_(static_cast<int64_t>(value)) {}
  Json(std::string value) : value_(std::move(value)) {}
  Json(std::string_view value) : value_(std::string(value)) {}
  Json(const char* value) : value_(std::string(value)) {}
  Json(List value) : value_(std::move(value)) {}
  Json(Object value) : value_(std::move(value)) {}

  // The member, or null; null as well when this is no object.
  [[nodiscard]] const Json& operator[](std::string_view name) const;
  // Empty, 0 or false when it is of another kind: whoever must know asks is().
  [[nodiscard]] const std::string& text() const;
  [[nodiscard]] int64_t number() const;
  [[nodiscard]] bool boolean() const;
  [[nodiscard]] const List& list() const;
  [[nodiscard]] const Object& object() const;
  template <class T>
  [[nodiscard]] bool is() const {
    return std::holds_alternative<T>(value_);
  }

  // On one line; or, with `indent`, each member and element of the outer two levels on its own.
  [[nodiscard]] std::string dump(bool indent = false) const;
  // Nothing may follow the value. syntax, with line and column.
  [[nodiscard]] static Result<Json> parse(std::string_view text);

 private:
  void write(std::string& out, int indent, int depth) const;
  std::variant<std::monostate, bool, int64_t, std::string, List, Object> value_;
};

}  // namespace rims
