// common/message/envelope.h - ENVELOPE from header fields (RFC 3501 §7.4.2)
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

#include "common/message/header.h"

namespace rims::message {

// Fed with the fields of one header in their order. Address fields that come several times are
// joined, so that a second From can not hide behind the first; of the others the last counts.
class EnvelopeBuilder {
 public:
  // Takes from `addresses` what it shows, down to 0: the limit of the whole message.
  explicit EnvelopeBuilder(uint32_t& addresses) : addresses_(addresses) {}
  void add(const Field& field);
  [[nodiscard]] std::string text() const;  // with its parentheses
  [[nodiscard]] std::string_view date() const { return texts_[kDate]; }

 private:
  enum TextField { kDate, kSubject, kInReplyTo, kMessageId, kTextFields };
  enum ListField { kFrom, kSender, kReplyTo, kTo, kCc, kBcc, kListFields };
  void add_list(ListField which, std::string_view value);

  uint32_t& addresses_;
  std::array<std::string_view, kTextFields> texts_{};
  std::array<bool, kTextFields> present_{};
  std::array<std::string, kListFields> lists_;
};

}  // namespace rims::message
