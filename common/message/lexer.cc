// common/message/lexer.cc - see lexer.h

#include "common/message/lexer.h"

#include <array>
#include <string_view>

namespace rims::message {
namespace {

constexpr auto table_without(std::string_view specials) {
  std::array<bool, 256> in{};
  for (size_t c = 0; c < 256; c++) in[c] = c > 0x20 && c != 0x7f;
  in[0] = true;  // a NUL belongs to the word that it is in
  for (const char c : specials) in[static_cast<unsigned char>(c)] = false;
  return in;
}

// RFC 5322 specials, but the dot belongs to the atom here, and so does the stray backslash and
// bracket: people write "[Foo] <a@b>".
constexpr auto kAtom = table_without("()<>:;@,\"");
constexpr auto kToken = table_without("()<>@,;:\\\"/[]?=");  // RFC 2045 §5.1 tspecials

constexpr size_t kMaxEncodedWord = 256;  // RFC 2047 §2 says 75

constexpr bool is_space(char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n'; }

// The length of the encoded word at the start of `text`, or 0.
size_t encoded_word(std::string_view text) {
  text = text.substr(0, kMaxEncodedWord);
  if (!text.starts_with("=?")) return 0;
  unsigned marks = 0;
  for (size_t i = 2; i < text.size(); i++) {
    if (is_space(text[i]) || text[i] == '"') return 0;
    if (text[i] != '?') continue;
    if (marks == 2) return i + 1 < text.size() && text[i + 1] == '=' ? i + 2 : 0;
    marks++;
  }
  return 0;
}

}  // namespace

void Lexer::skip_comment(std::string* comment) {
  if (comment != nullptr) comment->clear();
  size_t depth = 1;
  for (at_++; at_ < text_.size(); at_++) {
    char c = text_[at_];
    if (c == '(') {
      depth++;
    } else if (c == ')') {
      if (--depth == 0) {
        at_++;
        return;
      }
    } else if (c == '\\' && at_ + 1 < text_.size()) {
      c = text_[++at_];
    } else if (c == '\r' || c == '\n') {
      continue;
    }
    if (comment != nullptr) *comment += c;
  }
}

void Lexer::skip_cfws(std::string* comment) {
  for (; at_ < text_.size(); at_++) {
    if (text_[at_] == '(') {
      skip_comment(comment);
      at_--;
    } else if (!is_space(text_[at_])) {
      return;
    }
  }
}

bool Lexer::quoted(std::string& out) {
  if (unclosed_quote_) return false;
  size_t end = at_ + 1;
  while (end < text_.size() && text_[end] != '"') end += text_[end] == '\\' ? 2 : 1;
  if (end >= text_.size()) {
    unclosed_quote_ = true;
    return false;
  }
  for (size_t i = at_ + 1; i < end; i++) {
    if (text_[i] == '\\') i++;
    if (text_[i] != '\r' && text_[i] != '\n') out += text_[i];
  }
  at_ = end + 1;
  return true;
}

bool Lexer::atom(std::string& out) {
  const size_t start = at_;
  while (at_ < text_.size() && kAtom[static_cast<unsigned char>(text_[at_])]) {
    const size_t word = text_[at_] == '=' ? encoded_word(text_.substr(at_)) : 0;
    at_ += word != 0 ? word : 1;
  }
  out += since(start);
  return at_ != start;
}

bool Lexer::token(std::string& out) {
  const size_t start = at_;
  while (at_ < text_.size() && kToken[static_cast<unsigned char>(text_[at_])]) at_++;
  out += since(start);
  return at_ != start;
}

void Lexer::skip_to(std::string_view stops) {
  std::string ignored;
  while (at_ < text_.size() && !stops.contains(text_[at_])) {
    if (text_[at_] == '(') {
      skip_comment(nullptr);
    } else if (text_[at_] != '"' || !quoted(ignored)) {
      at_++;
    }
    ignored.clear();
  }
}

}  // namespace rims::message
