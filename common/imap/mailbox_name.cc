// common/imap/mailbox_name.cc - modified UTF-7 both ways, INBOX, and the LIST matcher
//
//   RFC  3501 §5.1, §5.1.3, §6.3.8

#include "common/imap/mailbox_name.h"

#include <algorithm>

#include "common/base/ascii.h"
#include "common/base/utf8.h"

namespace rims::imap {
namespace {

constexpr std::string_view kInbox = "INBOX";

// "+," in place of RFC 4648's "+/".
constexpr std::string_view kAlphabet =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+,";

constexpr uint8_t kNoDigit = 255;
constexpr std::array<uint8_t, 256> kValues = [] {
  std::array<uint8_t, 256> values{};
  values.fill(kNoDigit);
  for (size_t i = 0; i < kAlphabet.size(); i++)
    values[static_cast<unsigned char>(kAlphabet[i])] = static_cast<uint8_t>(i);
  return values;
}();

constexpr bool printable(uint32_t c) { return c >= 0x20 && c <= 0x7e; }

// The base64 between "&" and "-": UTF-16, big-endian.
bool decode_shift(std::string_view base64, std::string& out) {
  uint32_t bits = 0, count = 0, high = 0;
  for (char digit : base64) {
    const uint32_t value = kValues[static_cast<unsigned char>(digit)];
    if (value == kNoDigit) return false;
    bits = bits << 6 | value;
    count += 6;
    if (count < 16) continue;
    count -= 16;
    const uint32_t unit = bits >> count & 0xffff;
    bits &= (1U << count) - 1;
    if (high != 0) {
      if (unit < 0xdc00 || unit > 0xdfff) return false;
      utf8::append(out, 0x10000 + ((high - 0xd800) << 10) + (unit - 0xdc00));
      high = 0;
    } else if (unit >= 0xd800 && unit <= 0xdbff) {
      high = unit;
    } else if ((unit >= 0xdc00 && unit <= 0xdfff) || printable(unit)) {
      return false;
    } else {
      utf8::append(out, unit);
    }
  }
  // What is left fills the last digit with zero bits, and is less than a digit.
  return high == 0 && bits == 0 && count < 6;
}

}  // namespace

std::optional<std::string> from_modified_utf7(std::string_view wire) {
  std::string out;
  out.reserve(wire.size());
  bool after_shift = false;
  for (size_t i = 0; i < wire.size(); i++) {
    const char c = wire[i];
    if (!printable(static_cast<unsigned char>(c))) return std::nullopt;
    if (c != '&') {
      out += c;
      after_shift = false;
      continue;
    }
    const size_t end = wire.find('-', i);
    if (end == std::string_view::npos) return std::nullopt;
    if (end == i + 1) {
      out += '&';
      after_shift = false;
    } else {
      if (after_shift || !decode_shift(wire.substr(i + 1, end - i - 1), out)) return std::nullopt;
      after_shift = true;
    }
    i = end;
  }
  return out;
}

std::string to_modified_utf7(std::string_view name) {
  std::string out;
  out.reserve(name.size());
  uint32_t bits = 0, count = 0;
  bool shifted = false;
  const auto put_unit = [&](uint32_t unit) {
    bits = bits << 16 | unit;
    count += 16;
    while (count >= 6) {
      count -= 6;
      out += kAlphabet[bits >> count & 0x3f];
    }
    bits &= (1U << count) - 1;
  };
  const auto unshift = [&] {
    if (!shifted) return;
    if (count > 0) out += kAlphabet[bits << (6 - count) & 0x3f];
    out += '-';
    bits = count = 0;
    shifted = false;
  };
  while (!name.empty()) {
    const auto first = utf8::first(name);
    name.remove_prefix(std::max<size_t>(first.bytes, 1));
    const uint32_t c = first.bytes == 0 ? 0xfffd : first.point;
    if (printable(c)) {
      unshift();
      out += static_cast<char>(c);
      if (c == '&') out += '-';
      continue;
    }
    if (!shifted) out += '&';
    shifted = true;
    if (c >= 0x10000) {
      put_unit(0xd800 + ((c - 0x10000) >> 10));
      put_unit(0xdc00 + ((c - 0x10000) & 0x3ff));
    } else {
      put_unit(c);
    }
  }
  unshift();
  return out;
}

std::string canonical_inbox(std::string name) {
  const bool whole = name.size() == kInbox.size();
  if (!whole && !(name.size() > kInbox.size() && name[kInbox.size()] == kHierarchyDelimiter))
    return name;
  if (ascii::equal(std::string_view(name).substr(0, kInbox.size()), kInbox))
    name.replace(0, kInbox.size(), kInbox);
  return name;
}

std::optional<std::string> mailbox_from_wire(std::string_view wire) {
  std::optional<std::string> name = from_modified_utf7(wire);
  if (name) name = canonical_inbox(*std::move(name));
  return name;
}

std::optional<std::string> mailbox_from_utf8(std::string_view wire) {
  if (!utf8::is_valid(wire)) return std::nullopt;
  return canonical_inbox(std::string(wire));
}

ListPattern::ListPattern(std::string_view reference, std::string_view pattern) {
  std::string whole;
  whole.reserve(reference.size() + pattern.size());
  whole += reference;
  whole += pattern;

  std::string literals;
  std::vector<std::pair<size_t, bool>> wildcards;  // before which literal; crosses levels
  for (char c : whole) {
    if (c != '*' && c != '%') {
      literals += c;
    } else if (!wildcards.empty() && wildcards.back().first == literals.size()) {
      wildcards.back().second |= c == '*';
    } else {
      wildcards.emplace_back(literals.size(), c == '*');
    }
  }
  // No mailbox has such a long name, and a match would cost by the pattern's length.
  impossible_ = literals.size() > 2 * kMaxMailboxName;
  if (impossible_) return;
  literals_ = literals.size();
  words_ = literals_ / 64 + 1;
  next_.resize(words_);
  stay_.resize(words_);
  stay_in_level_.resize(words_);
  uint8_t rows = 0;
  for (size_t i = 0; i < literals_; i++) {
    uint8_t& row = row_of_[static_cast<unsigned char>(literals[i])];
    if (row == 0) {
      row = ++rows;
      next_.resize((rows + 1U) * words_);
    }
    next_[row * words_ + i / 64] |= uint64_t{1} << (i % 64);
  }
  for (const auto& [at, crosses] : wildcards) {
    stay_in_level_[at / 64] |= uint64_t{1} << (at % 64);
    if (crosses) stay_[at / 64] |= uint64_t{1} << (at % 64);
  }
}

// All ways to match at once: bit i of `state` says that the first i literals fit the name's bytes
// so far. A byte moves a bit on when it is the next literal, and leaves it where a wildcard
// takes the byte.
bool ListPattern::matches(std::string_view name) const {
  if (impossible_ || literals_ > name.size()) return false;
  constexpr size_t kWords = 2 * kMaxMailboxName / 64 + 1;
  std::array<uint64_t, kWords> state;
  std::fill_n(state.begin(), words_, 0);
  state[0] = 1;
  const auto row = [&](char c) { return &next_[row_of_[static_cast<unsigned char>(c)] * words_]; };
  // The letters of INBOX, which match in any case (RFC 3501 §6.3.8), also with what is below it.
  const bool in_inbox =
      name == kInbox || (name.starts_with(kInbox) && name[kInbox.size()] == kHierarchyDelimiter);
  size_t any_case = in_inbox ? kInbox.size() : 0;
  for (char c : name) {
    const uint64_t* next = row(c);
    const uint64_t* lower = any_case == 0 ? next_.data() : row(ascii::lower(c));
    if (any_case > 0) any_case--;
    const uint64_t* stay = c == kHierarchyDelimiter ? stay_.data() : stay_in_level_.data();
    uint64_t carry = 0;
    for (size_t w = 0; w < words_; w++) {
      const uint64_t moved = state[w] & (next[w] | lower[w]);
      state[w] = (moved << 1 | carry) | (state[w] & stay[w]);
      carry = moved >> 63;
    }
  }
  return (state[literals_ / 64] >> (literals_ % 64) & 1) != 0;
}

}  // namespace rims::imap
