// common/message/imap_text.cc - quoted or literal, and a check of stored lists

#include "common/message/imap_text.h"

#include <algorithm>

namespace rims::message {
namespace {

// Longer strings go as literals: many clients read lines into buffers of 8 KiB.
constexpr size_t kMaxQuoted = 4096;

}  // namespace

void append_string(std::string& out, std::string_view text) {
  bool plain = text.size() <= kMaxQuoted;
  bool escapes = false;
  bool nul = false;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte >= 0x80 || c == '\r' || c == '\n') plain = false;
    escapes |= c == '"' || c == '\\';
    nul |= c == '\0';
  }
  if (!plain) {
    out += '{';
    append_number(out, text.size());
    out += "}\r\n";
    const size_t at = out.size();
    out += text;
    if (nul) std::replace(out.begin() + static_cast<std::ptrdiff_t>(at), out.end(), '\0', '?');
    return;
  }
  out += '"';
  if (!escapes && !nul) {
    out += text;
  } else {
    for (const char c : text) {
      if (c == '"' || c == '\\') out += '\\';
      out += c == '\0' ? '?' : c;
    }
  }
  out += '"';
}

bool is_balanced_list(std::string_view text) {
  size_t depth = 0;
  size_t i = 0;
  while (i < text.size()) {
    const char c = text[i];
    if (depth == 0 && (i != 0 || c != '(')) return false;
    i++;
    if (c == '(') {
      depth++;
    } else if (c == ')') {
      if (--depth == 0) return i == text.size();
    } else if (c == '"') {
      for (;; i++) {
        if (i == text.size()) return false;
        const auto q = static_cast<unsigned char>(text[i]);
        if (q == '"') break;
        if (q == '\\') {
          i++;
          if (i == text.size() || (text[i] != '"' && text[i] != '\\')) return false;
        } else if (q == '\r' || q == '\n' || q == '\0' || q >= 0x80) {
          return false;
        }
      }
      i++;
    } else if (c == '{') {
      size_t length = 0;
      const size_t digits = i;
      for (; i < text.size() && text[i] >= '0' && text[i] <= '9'; i++) {
        length = length * 10 + static_cast<size_t>(text[i] - '0');
        if (length > text.size()) return false;
      }
      if (i == digits || text.substr(i, 3) != "}\r\n") return false;
      i += 3;
      if (length > text.size() - i) return false;
      if (text.substr(i, length).contains('\0')) return false;
      i += length;
    } else if (c != ' ' && (c < '0' || c > '9') && (c < 'A' || c > 'Z')) {
      return false;  // outside strings we write NIL, numbers and single spaces
    }
  }
  return false;
}

}  // namespace rims::message
