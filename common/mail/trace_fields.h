// common/mail/trace_fields.h - the header fields of the final delivery
//
//   RFC 5321 §4.4: Return-Path, the envelope sender, comes first. RFC 9228: Delivered-To, the
//   recipient as the MTA has it.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace rims::store {

// Bytes of all that is put in front of a message. They do not count for limits.message_size: an MTA
// that was told the limit must not find that a message within it can not be stored.
inline constexpr size_t kMaxTraceFields = 4096;

// An address as RFC 5321 §4.1.2 writes it: a local part that is no dot-string gets its quotes.
[[nodiscard]] std::string written_address(std::string_view address);

// Return-Path and Delivered-To, with CRLF. `sender` is as it is written, "" the null sender;
// `recipient` is the address itself, without quotes. Neither has control bytes.
[[nodiscard]] std::string trace_fields(std::string_view sender, std::string_view recipient);

}  // namespace rims::store
