// deliver/lmtp/end_of_data.cc - five states

#include "deliver/lmtp/end_of_data.h"

namespace rims::lmtp {

EndOfData::Piece EndOfData::next(std::string_view input) {
  switch (after_) {
    case After::dot_cr:
      if (input.front() == '\n') {
        after_ = After::line;
        return {.consumed = 1, .end = true};
      }
      after_ = After::cr;  // of a line that begins with a dot and a bare CR
      return {.consumed = 0, .bytes = "\r"};
    case After::dot:
      if (input.front() == '\r') {
        after_ = After::dot_cr;
        return {.consumed = 1};
      }
      after_ = After::text;
      break;
    case After::line:
      if (input.front() == '.') {
        after_ = After::dot;
        return {.consumed = 1};
      }
      break;
    case After::text:
    case After::cr:
      break;
  }
  size_t at = 0;
  while (true) {
    const size_t lf = input.find('\n', at);
    if (lf == std::string_view::npos) {
      after_ = input.back() == '\r' ? After::cr : After::text;
      return {.consumed = input.size(), .bytes = input};
    }
    const bool cr = lf > 0 ? input[lf - 1] == '\r' : after_ == After::cr;
    at = lf + 1;
    if (at == input.size()) {
      after_ = cr ? After::line : After::text;
      return {.consumed = at, .bytes = input};
    }
    if (cr && input[at] == '.') {
      after_ = After::line;
      return {.consumed = at, .bytes = input.substr(0, at)};
    }
  }
}

}  // namespace rims::lmtp
