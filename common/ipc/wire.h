// common/ipc/wire.h - the bytes of a message between processes
//
// Fixed-width big-endian integers, counted strings (u32 length) with their bounds in the type,
// enums range-checked against their `last` enumerator, bool one byte 0 or 1, lists counted and
// bounded, nested structs field by field. Trailing bytes are refused. A struct lists its fields
// in kFields; nothing else describes its encoding, and no raw struct crosses a link.
//
//   encode(x)        never fails for values within their bounds; out of bounds is fatal (our bug)
//   decode<T>(bytes) nullopt when the bytes are not exactly one T
//   kMaxSize<T>      the most bytes that a T may have
#pragma once

#include <concepts>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include "common/base/result.h"
#include "common/base/secret.h"

namespace rims::ipc {

// Any bytes, between Min and Max of them.
template <size_t Min, size_t Max>
struct Text {
  static constexpr size_t kMin = Min, kMax = Max;
  std::string value;
  Text() = default;
  Text(std::string v) : value(std::move(v)) {}  // NOLINT(google-explicit-constructor)
  Text(std::string_view v) : value(v) {}        // NOLINT(google-explicit-constructor)
  Text(const char* v) : value(v) {}             // NOLINT(google-explicit-constructor)
  [[nodiscard]] bool within() const { return value.size() >= Min && value.size() <= Max; }
  bool operator==(const Text&) const = default;
};

// A password or a ticket in a message: wiped by the destructor.
template <size_t Max>
struct Sealed {
  static constexpr size_t kMin = 0, kMax = Max;
  Secret value;
  [[nodiscard]] bool within() const { return value.size() <= Max; }
};

template <class T, size_t Max>
struct List {
  static constexpr size_t kMax = Max;
  std::vector<T> value;
};

template <class T>
concept Fielded = requires { T::kFields; };

class Encoder {
 public:
  template <std::unsigned_integral T>
    requires(!std::same_as<T, bool>)
  void put(T v) {
    for (int shift = static_cast<int>(sizeof(T)) * 8 - 8; shift >= 0; shift -= 8)
      out_.push_back(static_cast<char>(static_cast<uint8_t>(static_cast<uint64_t>(v) >> shift)));
  }
  void put(bool v) { out_.push_back(v ? '\1' : '\0'); }
  template <std::signed_integral T>
  void put(T v) {
    put(static_cast<std::make_unsigned_t<T>>(v));
  }
  template <class E>
    requires std::is_enum_v<E>
  void put(E v) {
    put(static_cast<std::underlying_type_t<E>>(v));
  }
  template <size_t Min, size_t Max>
  void put(const Text<Min, Max>& v) {
    if (!v.within()) fatal("ipc: a text is out of its bounds");
    counted(v.value);
  }
  template <size_t Max>
  void put(const Sealed<Max>& v) {
    if (!v.within()) fatal("ipc: a secret is out of its bounds");
    counted(v.value.reveal());
  }
  template <class T, size_t Max>
  void put(const List<T, Max>& v) {
    if (v.value.size() > Max) fatal("ipc: a list is out of its bounds");
    put(static_cast<uint32_t>(v.value.size()));
    for (const T& item : v.value) put(item);
  }
  template <Fielded T>
  void put(const T& v) {
    std::apply([&](auto... member) { (put(v.*member), ...); }, T::kFields);
  }
  [[nodiscard]] std::string take() { return std::move(out_); }

 private:
  void counted(std::string_view v) {
    put(static_cast<uint32_t>(v.size()));
    out_.append(v);
  }
  std::string out_;
};

class Decoder {
 public:
  explicit Decoder(std::string_view in) : in_(in) {}

  template <std::unsigned_integral T>
    requires(!std::same_as<T, bool>)
  bool get(T& v) {
    if (in_.size() < sizeof(T)) return false;
    uint64_t wide = 0;
    for (size_t i = 0; i < sizeof(T); i++) wide = wide << 8 | static_cast<uint8_t>(in_[i]);
    v = static_cast<T>(wide);
    in_.remove_prefix(sizeof(T));
    return true;
  }
  bool get(bool& v) {
    uint8_t byte = 0;
    if (!get(byte) || byte > 1) return false;
    v = byte == 1;
    return true;
  }
  template <std::signed_integral T>
  bool get(T& v) {
    std::make_unsigned_t<T> raw = 0;
    if (!get(raw)) return false;
    v = static_cast<T>(raw);
    return true;
  }
  template <class E>
    requires std::is_enum_v<E>
  bool get(E& v) {
    std::underlying_type_t<E> raw = 0;
    if (!get(raw) || raw > static_cast<std::underlying_type_t<E>>(E::last)) return false;
    v = static_cast<E>(raw);
    return true;
  }
  template <size_t Min, size_t Max>
  bool get(Text<Min, Max>& v) {
    std::string_view bytes;
    if (!counted(bytes, Min, Max)) return false;
    v.value = bytes;
    return true;
  }
  template <size_t Max>
  bool get(Sealed<Max>& v) {
    std::string_view bytes;
    if (!counted(bytes, 0, Max)) return false;
    v.value = Secret(bytes);
    return true;
  }
  template <class T, size_t Max>
  bool get(List<T, Max>& v) {
    uint32_t count = 0;
    if (!get(count) || count > Max) return false;
    v.value.clear();
    for (uint32_t i = 0; i < count; i++) {
      v.value.emplace_back();
      if (!get(v.value.back())) return false;
    }
    return true;
  }
  template <Fielded T>
  bool get(T& v) {
    return std::apply([&](auto... member) { return (get(v.*member) && ...); }, T::kFields);
  }
  [[nodiscard]] bool at_end() const { return in_.empty(); }

 private:
  bool counted(std::string_view& bytes, size_t min, size_t max) {
    uint32_t length = 0;
    // Compare with what is left; never add a length that the peer chose.
    if (!get(length) || length < min || length > max || length > in_.size()) return false;
    bytes = in_.substr(0, length);
    in_.remove_prefix(length);
    return true;
  }
  std::string_view in_;
};

template <class T>
inline constexpr size_t kMaxSize = sizeof(T);  // integers, enums, bool
template <size_t Min, size_t Max>
inline constexpr size_t kMaxSize<Text<Min, Max>> = sizeof(uint32_t) + Max;
template <size_t Max>
inline constexpr size_t kMaxSize<Sealed<Max>> = sizeof(uint32_t) + Max;
template <class T, size_t Max>
inline constexpr size_t kMaxSize<List<T, Max>> = sizeof(uint32_t) + Max * kMaxSize<T>;
template <Fielded T>
inline constexpr size_t kMaxSize<T> = std::apply(
    [](auto... member) {
      return (size_t{0} + ... +
              kMaxSize<std::remove_cvref_t<decltype(std::declval<T&>().*member)>>);
    },
    T::kFields);

template <Fielded T>
[[nodiscard]] std::string encode(const T& v) {
  Encoder out;
  out.put(v);
  return out.take();
}

template <Fielded T>
[[nodiscard]] std::optional<T> decode(std::string_view bytes) {
  Decoder in(bytes);
  T v;
  if (!in.get(v) || !in.at_end()) return std::nullopt;
  return v;
}

}  // namespace rims::ipc
