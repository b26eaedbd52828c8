// deliver/intake.h - a message from a pipe: read to its end, brought into the form of the store
//
//   * read to end of file; a line with a single dot means nothing here
//   * one leading "From " line (the separator of mbox files, put there by Exim and by Postfix'
//     F flag) is taken away: it is the MTA's, not the message's
//   * line ends: an MTA's local form has bare LF, IMAP clients need CRLF (RFC 9051 §4.3 with
//     RFC 5322 §2.1). A message without any CRLF gets CR before every LF; a message with one CRLF
//     or more stays as it is, byte for byte
//   * nothing else is touched: no header is added, dropped or reformed (-r adds two)
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "common/base/result.h"

namespace rims::deliver {

// All of `in`. Error: limit when there are more than `max` bytes, storage when reading fails.
[[nodiscard]] Result<std::string> read_to_end(int in, uint64_t max);

// The line ends of the rule above.
[[nodiscard]] std::string wire_lines(std::string raw);

// The form in which a message from the pipe is stored: without its separator, with wire_lines.
[[nodiscard]] std::string stored_form(std::string raw);

}  // namespace rims::deliver
