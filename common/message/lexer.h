// common/message/lexer.h - the tokens that structured fields share (RFC 5322 §3.2, RFC 2045 §5.1)
//
// Works on the folded value: line ends are white space. Every function moves forward only, and each
// byte is scanned a bounded number of times, so a parser built on it is linear.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace rims::message {

class Lexer {
 public:
  explicit Lexer(std::string_view text) : text_(text) {}

  [[nodiscard]] bool at_end() const { return at_ >= text_.size(); }
  // 0 at the end; a NUL in the text reads as 0x01, which no grammar uses either.
  [[nodiscard]] char peek() const {
    if (at_end()) return '\0';
    return text_[at_] == '\0' ? '\x01' : text_[at_];
  }
  void skip() { at_++; }
  [[nodiscard]] bool take(char c) {
    if (peek() != c) return false;
    at_++;
    return true;
  }
  [[nodiscard]] size_t position() const { return at_; }
  [[nodiscard]] std::string_view since(size_t start) const {
    return text_.substr(start, at_ - start);
  }

  // White space and comments. The text of the last comment that was passed goes to *comment.
  void skip_cfws(std::string* comment = nullptr);

  // A quoted string behind an opening quote at peek(): its content without the quotes, escapes
  // resolved, line ends dropped. False, and nothing taken, when it is not closed.
  [[nodiscard]] bool quoted(std::string& out);

  // Appends an atom with dots, as far as there is one; false when there is none. Also takes a whole
  // encoded word (RFC 2047), even one that holds "(", "," or "@", which senders do.
  [[nodiscard]] bool atom(std::string& out);

  // RFC 2045 token.
  [[nodiscard]] bool token(std::string& out);

  // Up to the first of `stops`, jumping over quoted strings and comments; to the end otherwise.
  void skip_to(std::string_view stops);

 private:
  void skip_comment(std::string* comment);

  std::string_view text_;
  size_t at_ = 0;
  bool unclosed_quote_ = false;  // no quote closes from here on: do not search again
};

}  // namespace rims::message
