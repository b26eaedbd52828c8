// common/imap/mailbox_name.cc - modified UTF-7 both ways, INBOX, and the LIST matcher
//
//   RFC  3501 §5.1, §5.1.3, §6.3.8; 3629 §4 (UTF-8)

#include "common/imap/mailbox_name.h"

#include "common/base/ascii.h"

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

// One code point from the front of `text`, or nullopt and nothing taken (RFC 3629 §4: no overlong
// forms, no surrogates, none above U+10FFFF).
std::optional<uint32_t> take_utf8(std::string_view& text) {
  const auto byte = [&](size_t i) { return static_cast<unsigned char>(text[i]); };
  const uint32_t lead = byte(0);
  if (lead < 0x80) {
    text.remove_prefix(1);
    return lead;
  }
  const size_t size = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
  if (lead < 0xc2 || lead > 0xf4 || text.size() < size) return std::nullopt;
  uint32_t c = lead & (0x7fU >> size);
  for (size_t i = 1; i < size; i++) {
    if ((byte(i) & 0xc0) != 0x80) return std::nullopt;
    c = c << 6 | (byte(i) & 0x3fU);
  }
  constexpr uint32_t kLeast[] = {0, 0, 0x80, 0x800, 0x10000};
  if (c < kLeast[size] || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff)) return std::nullopt;
  text.remove_prefix(size);
  return c;
}

void append_utf8(std::string& out, uint32_t c) {
  const auto put = [&](uint32_t byte) { out += static_cast<char>(byte); };
  if (c < 0x80) {
    put(c);
  } else if (c < 0x800) {
    put(0xc0 | c >> 6);
    put(0x80 | (c & 0x3f));
  } else if (c < 0x10000) {
    put(0xe0 | c >> 12);
    put(0x80 | (c >> 6 & 0x3f));
    put(0x80 | (c & 0x3f));
  } else {
    put(0xf0 | c >> 18);
    put(0x80 | (c >> 12 & 0x3f));
    put(0x80 | (c >> 6 & 0x3f));
    put(0x80 | (c & 0x3f));
  }
}

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
      append_utf8(out, 0x10000 + ((high - 0xd800) << 10) + (unit - 0xdc00));
      high = 0;
    } else if (unit >= 0xd800 && unit <= 0xdbff) {
      high = unit;
    } else if ((unit >= 0xdc00 && unit <= 0xdfff) || printable(unit)) {
      return false;
    } else {
      append_utf8(out, unit);
    }
  }
  // What is left fills the last digit with zero bits, and is less than a digit.
  return high == 0 && bits == 0 && count < 6;
}

}  // namespace

bool valid_utf8(std::string_view text) {
  while (!text.empty())
    if (!take_utf8(text)) return false;
  return true;
}

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

std::string to_modified_utf7(std::string_view utf8) {
  std::string out;
  out.reserve(utf8.size());
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
  while (!utf8.empty()) {
    std::optional<uint32_t> c = take_utf8(utf8);
    if (!c) {
      utf8.remove_prefix(1);
      c = 0xfffd;
    }
    if (printable(*c)) {
      unshift();
      out += static_cast<char>(*c);
      if (*c == '&') out += '-';
      continue;
    }
    if (!shifted) out += '&';
    shifted = true;
    if (*c >= 0x10000) {
      put_unit(0xd800 + ((*c - 0x10000) >> 10));
      put_unit(0xdc00 + ((*c - 0x10000) & 0x3ff));
    } else {
      put_unit(*c);
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

Status check_new_mailbox_name(std::string_view name) {
  const auto refuse = [](const char* why) { return fail(Fault::refused, why, {}, "CANNOT"); };
  if (name.empty()) return refuse("a mailbox needs a name");
  if (name.size() > kMaxMailboxName)
    return fail(Fault::limit, "the mailbox name is too long", {}, "LIMIT");
  if (!valid_utf8(name)) return refuse("the mailbox name is not valid UTF-8");
  size_t depth = 1;
  char before = kHierarchyDelimiter;
  for (char c : name) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x20 || byte == 0x7f) return refuse("control character in the mailbox name");
    // Legal, but no client could ask for such a mailbox alone.
    if (c == '%' || c == '*') return refuse("wildcard in the mailbox name");
    if (c == kHierarchyDelimiter) {
      if (before == kHierarchyDelimiter) return refuse("empty level in the mailbox name");
      depth++;
    }
    before = c;
  }
  if (before == kHierarchyDelimiter) return refuse("empty level in the mailbox name");
  if (depth > kMaxMailboxDepth)
    return fail(Fault::limit, "too many levels in the mailbox name", {}, "LIMIT");
  return {};
}

ListPattern::ListPattern(std::string_view reference, std::string_view pattern) {
  std::string whole;
  whole.reserve(reference.size() + pattern.size());
  whole += reference;
  whole += pattern;
  whole = canonical_inbox(std::move(whole));
  // "inbox*" and "inbox%" mean INBOX as well (RFC 3501 §6.3.8: INBOX matches in any case).
  if (whole.size() > kInbox.size() &&
      (whole[kInbox.size()] == '*' || whole[kInbox.size()] == '%') &&
      ascii::equal(std::string_view(whole).substr(0, kInbox.size()), kInbox))
    whole.replace(0, kInbox.size(), kInbox);

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
  for (char c : name) {
    const uint64_t* next = &next_[row_of_[static_cast<unsigned char>(c)] * words_];
    const uint64_t* stay = c == kHierarchyDelimiter ? stay_.data() : stay_in_level_.data();
    uint64_t carry = 0;
    for (size_t w = 0; w < words_; w++) {
      const uint64_t moved = state[w] & next[w];
      state[w] = (moved << 1 | carry) | (state[w] & stay[w]);
      carry = moved >> 63;
    }
  }
  return (state[literals_ / 64] >> (literals_ % 64) & 1) != 0;
}

}  // namespace rims::imap
