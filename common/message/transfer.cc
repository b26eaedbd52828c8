// common/message/transfer.cc - see transfer.h

#include "common/message/transfer.h"

#include <array>

namespace rims::message {
namespace {

constexpr unsigned char kNotBase64 = 0xff;
constexpr size_t kMaxBlanks = 80;  // behind a soft line break; RFC 2045 §6.7 lines have 76 bytes

constexpr auto kBase64 = [] {
  std::array<unsigned char, 256> table{};
  table.fill(kNotBase64);
  constexpr std::string_view kDigits =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  for (size_t i = 0; i < kDigits.size(); i++)
    table[static_cast<unsigned char>(kDigits[i])] = static_cast<unsigned char>(i);
  return table;
}();

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  return -1;
}

}  // namespace

void TransferDecoder::feed(std::string_view piece, std::string& out) {
  switch (encoding_) {
    case Encoding::base64:
      return base64(piece, out);
    case Encoding::quoted_printable:
      return quoted_printable(piece, out);
    case Encoding::none:
    case Encoding::other:
      out += piece;
      return;
  }
}

void TransferDecoder::finish(std::string& out) {
  if (encoding_ == Encoding::base64) {
    // The bytes that are already complete in an incomplete group.
    if (count_ == 2) out += static_cast<char>(bits_ >> 4);
    if (count_ == 3) {
      out += static_cast<char>(bits_ >> 10);
      out += static_cast<char>(bits_ >> 2);
    }
    bits_ = count_ = 0;
  }
  out += escape_;
  escape_.clear();
}

void TransferDecoder::base64(std::string_view piece, std::string& out) {
  for (const char c : piece) {
    if (c == '=') {
      finish(out);  // padding ends a group; several encoded pieces may follow each other
      continue;
    }
    const unsigned char digit = kBase64[static_cast<unsigned char>(c)];
    if (digit == kNotBase64) continue;
    bits_ = bits_ << 6 | digit;
    if (++count_ < 4) continue;
    const char bytes[3] = {static_cast<char>(bits_ >> 16), static_cast<char>(bits_ >> 8),
                           static_cast<char>(bits_)};
    out.append(bytes, sizeof bytes);
    bits_ = count_ = 0;
  }
}

void TransferDecoder::quoted_printable(std::string_view piece, std::string& out) {
  for (const char c : piece) {
    // After "=": a hexadecimal digit, or white space in front of a line end.
    const bool one_digit = escape_.size() == 2 && hex_digit(escape_[1]) >= 0;
    if (one_digit && hex_digit(c) >= 0) {
      out += static_cast<char>(hex_digit(escape_[1]) * 16 + hex_digit(c));
      escape_.clear();
      continue;
    }
    if (!escape_.empty() && !one_digit) {
      if (c == '\n') {
        escape_.clear();  // a soft line break
        continue;
      }
      const bool blank = c == ' ' || c == '\t' || c == '\r';
      if ((escape_.size() == 1 && hex_digit(c) >= 0) || (blank && escape_.size() < kMaxBlanks)) {
        escape_ += c;
        continue;
      }
    }
    out += escape_;
    escape_.clear();
    (c == '=' ? escape_ : out) += c;
  }
}

std::string transfer_decode(std::string_view bytes, Encoding encoding) {
  std::string out;
  out.reserve(bytes.size());
  TransferDecoder decoder(encoding);
  decoder.feed(bytes, out);
  decoder.finish(out);
  return out;
}

}  // namespace rims::message
