// common/mail/bytes.h - fixed-width little-endian numbers in strings
//
// A Reader never reads outside its input: after the first short read ok() is false and all values
// are zero. A decoder checks done() at the end.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <type_traits>

namespace rims::store {

template <class Int>
void put_int(char* at, Int value) {
  auto bits = static_cast<std::make_unsigned_t<Int>>(value);
  for (size_t i = 0; i < sizeof(Int); i++) {
    at[i] = static_cast<char>(bits & 0xff);
    if constexpr (sizeof(Int) > 1) bits = static_cast<decltype(bits)>(bits >> 8);
  }
}

template <class Int>
Int get_int(const char* at) {
  std::make_unsigned_t<Int> bits = 0;
  for (size_t i = sizeof(Int); i-- > 0;) {
    if constexpr (sizeof(Int) > 1) bits = static_cast<decltype(bits)>(bits << 8);
    bits = static_cast<decltype(bits)>(bits | static_cast<unsigned char>(at[i]));
  }
  return static_cast<Int>(bits);
}

[[nodiscard]] inline bool all_zero(std::string_view bytes) {
  return bytes.find_first_not_of('\0') == bytes.npos;
}

class Writer {
 public:
  template <class Int>
  Writer& num(Int value) {
    char bytes[sizeof(Int)];
    put_int(bytes, value);
    out_.append(bytes, sizeof bytes);
    return *this;
  }
  // u16 length, bytes. The caller keeps within 65,535.
  Writer& text(std::string_view text) {
    num(static_cast<uint16_t>(text.size()));
    out_.append(text);
    return *this;
  }
  Writer& raw(std::string_view bytes) {
    out_.append(bytes);
    return *this;
  }
  [[nodiscard]] std::string take() { return std::move(out_); }
  [[nodiscard]] size_t size() const { return out_.size(); }

 private:
  std::string out_;
};

class Reader {
 public:
  explicit Reader(std::string_view in) : in_(in) {}
  template <class Int>
  Int num() {
    if (in_.size() < sizeof(Int)) return bad<Int>();
    // NOLINTNEXTLINE(bugprone-suspicious-stringview-data-usage): so many bytes are there
    const Int value = get_int<Int>(in_.data());
    in_.remove_prefix(sizeof(Int));
    return value;
  }
  std::string_view text() { return raw(num<uint16_t>()); }
  std::string_view raw(size_t count) {
    if (in_.size() < count) return bad<std::string_view>();
    const auto piece = in_.substr(0, count);
    in_.remove_prefix(count);
    return piece;
  }
  [[nodiscard]] size_t left() const { return in_.size(); }
  [[nodiscard]] bool ok() const { return ok_; }
  // True when all was read, and nothing was missing.
  [[nodiscard]] bool done() const { return ok_ && in_.empty(); }

 private:
  template <class T>
  T bad() {
    ok_ = false;
    in_ = {};
    return T{};
  }
  std::string_view in_;
  bool ok_ = true;
};

}  // namespace rims::store
