// common/mail/trace_fields.cc - two lines

#include "common/mail/trace_fields.h"

#include <algorithm>

namespace rims::store {

std::string written_address(std::string_view address) {
  const size_t at = address.rfind('@');
  const std::string_view local = address.substr(0, at);
  const auto special = [](char c) {
    return c == ' ' || std::string_view("()<>[]:;@\\,\"").contains(c);
  };
  if (std::ranges::none_of(local, special)) return std::string(address);
  std::string out = "\"";
  for (const char c : local) {
    if (c == '"' || c == '\\') out += '\\';
    out += c;
  }
  out += '"';
  if (at != std::string_view::npos) out += address.substr(at);
  return out;
}

std::string trace_fields(std::string_view sender, std::string_view recipient) {
  std::string fields = "Return-Path: <";
  fields.append(sender).append(">\r\nDelivered-To: ").append(written_address(recipient));
  return fields += "\r\n";
}

}  // namespace rims::store
