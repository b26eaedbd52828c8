// common/mail/trace_fields.h - the header fields of the final delivery
//
//   RFC 5321 §4.4: Return-Path, the envelope sender, comes first. RFC 9228: Delivered-To, the
//   recipient as the MTA has it.
#pragma once

#include <string>
#include <string_view>

namespace rims::store {

// An address as RFC 5321 §4.1.2 writes it: a local part that is no dot-string gets its quotes.
[[nodiscard]] std::string written_address(std::string_view address);

// Return-Path and Delivered-To, with CRLF. `sender` is as it is written, "" the null sender;
// `recipient` is the address itself, without quotes. Neither has control bytes.
[[nodiscard]] std::string trace_fields(std::string_view sender, std::string_view recipient);

}  // namespace rims::store
