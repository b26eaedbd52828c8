// deliver/lmtp/end_of_data.h - where the message behind DATA ends, and what its bytes are
//
//   RFC 5321 §4.1.1.4, §4.5.2: only CR LF "." CR LF ends it, or "." CR LF as its first line; of a
//   line that begins with a dot and goes on, the dot is taken away. A line ends with CR LF and
//   with nothing else, so a bare CR, a bare LF and a NUL are bytes like others, before and behind
//   a dot: who takes them for the end of a line lets strangers put a second mail into the first.
//   All other bytes come out as they went in.
//   Tests tests/deliver/lmtp/end_of_data_test.cc: every neighbour of the dot, every segmentation
#pragma once

#include <cstddef>
#include <string_view>

namespace rims::lmtp {

class EndOfData {
 public:
  struct Piece {
    size_t consumed = 0;     // of the input
    std::string_view bytes;  // of the message; lie in the input, or live for ever
    bool end = false;        // the message is complete; what follows are commands
  };
  // `input` is not empty. Without bytes and end, there may be more in the rest of the input.
  [[nodiscard]] Piece next(std::string_view input);

 private:
  enum class After : unsigned char { line, text, cr, dot, dot_cr };
  After after_ = After::line;
};

}  // namespace rims::lmtp
