// common/message/transfer.h - decodes a Content-Transfer-Encoding, piece by piece (RFC 2045 §6)
//
// Never fails: what is not of the encoding is skipped (base64) or
// taken as it stands (quoted-printable).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "common/message/structure.h"

namespace rims::message {

class TransferDecoder {
 public:
  explicit TransferDecoder(Encoding encoding) : encoding_(encoding) {}
  void feed(std::string_view piece, std::string& out);
  // Writes what was waiting for more bytes.
  void finish(std::string& out);

 private:
  void base64(std::string_view piece, std::string& out);
  void quoted_printable(std::string_view piece, std::string& out);

  Encoding encoding_;
  uint32_t bits_ = 0;   // base64: of the last incomplete group
  unsigned count_ = 0;  // base64: characters in it
  std::string escape_;  // quoted-printable: "=" and what came behind it so far
};

// The whole of it.
[[nodiscard]] std::string transfer_decode(std::string_view bytes, Encoding encoding);

}  // namespace rims::message
