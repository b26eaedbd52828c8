// deliver/lmtp/command.h - the command lines of LMTP
//
//   Pure: a line in, a command or the reply that refuses it out; knows no state
//   RFC   2033 (LMTP), 5321 §4.1 (grammar), 1870 (SIZE), 3030 (BDAT), 3461 §4 (DSN), 6152
//         (8BITMIME), 6531 (SMTPUTF8); XFORWARD as Postfix says it
//   Lenient, because MTAs need it: blanks before a path, a recipient without a domain, dots in a
//         row in a local part. Nothing else: a reply names the column and what was expected.
//   Tests tests/deliver/lmtp/command_test.cc
#pragma once

#include <cstdint>
#include <expected>
#include <optional>
#include <string>
#include <string_view>
#include <variant>

#include "deliver/lmtp/reply.h"

namespace rims::lmtp {

// Bytes of a command line with its CRLF. RFC 5321 §4.5.3.1.4 asks for 512, and more for parameters.
inline constexpr size_t kMaxLine = 4096;
inline constexpr size_t kMaxAddress = 320;     // bytes of a mailbox
inline constexpr size_t kMaxName = 255;        // bytes of a host name
inline constexpr size_t kMaxEnvelopeId = 100;  // characters; RFC 3461 §4.4
inline constexpr size_t kMaxIdent = 255;       // bytes of an attribute of XFORWARD

struct Mailbox {
  std::string text;     // as it was written, without a source route; "" is the null sender
  std::string address;  // the local part without its quotes
  bool ascii = true;
  bool operator==(const Mailbox&) const = default;
};

enum class Body : unsigned char { seven_bit, eight_bit, binary };

struct Lhlo {
  std::string name;
  bool operator==(const Lhlo&) const = default;
};
struct Mail {
  Mailbox sender;
  std::optional<uint64_t> size;  // declared, bytes
  Body body = Body::seven_bit;
  bool smtputf8 = false;
  std::string envelope_id;  // ENVID, decoded
  std::string returned;     // RET: "FULL", "HDRS" or ""
  bool operator==(const Mail&) const = default;
};
struct Rcpt {
  Mailbox recipient;
  std::string notify;    // NOTIFY as it was given
  std::string original;  // ORCPT as it was given: "rfc822;xtext"
  bool operator==(const Rcpt&) const = default;
};
struct Data {
  bool operator==(const Data&) const = default;
};
struct Bdat {
  uint64_t size = 0;
  bool last = false;
  bool operator==(const Bdat&) const = default;
};
struct Xforward {
  // What was said, decoded; nullopt: not said; "": said to be unknown.
  std::optional<std::string> name, address, ident, helo;
  bool operator==(const Xforward&) const = default;
};
struct Rset {
  bool operator==(const Rset&) const = default;
};
struct Noop {
  bool operator==(const Noop&) const = default;
};
struct Vrfy {
  bool operator==(const Vrfy&) const = default;
};
struct Help {
  bool operator==(const Help&) const = default;
};
struct Quit {
  bool operator==(const Quit&) const = default;
};

using Command = std::variant<Lhlo, Mail, Rcpt, Data, Bdat, Xforward, Rset, Noop, Vrfy, Help, Quit>;

// `line` is without its CRLF, and has no other CR, LF or NUL.
[[nodiscard]] std::expected<Command, Reply> parse(std::string_view line);

// What the first Received field in `head`, the beginning of a message, says behind "id"; "" when
// the message does not begin with one. Only Return-Path, Delivered-To and the like may precede it.
[[nodiscard]] std::string received_id(std::string_view head);

}  // namespace rims::lmtp
