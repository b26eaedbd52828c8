// common/message/base_subject.h - a subject without what replying and forwarding added to it
//
//   RFC 5256 §2.1. Linear in the subject, no recursion.
#pragma once

#include <string>
#include <string_view>

namespace rims::message {

struct BaseSubject {
  std::string text;       // UTF-8; may be empty
  bool is_reply = false;  // or forwarded: something was taken away that says so
};

// `subject` is the decoded value of the field (decode_header()).
[[nodiscard]] BaseSubject base_subject(std::string_view subject);

}  // namespace rims::message
