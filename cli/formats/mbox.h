// cli/formats/mbox.h - one file, many messages
//
//   From somebody@example.org Sat Jan  3 01:05:34 2026      separator, after an empty line
//   Subject: hello
//   X-IMAPbase: 1700000000 0000000090                       first message: UIDVALIDITY, last UID
//   X-UID: 7
//   Status: RO                                              R \Seen, O not new, D \Deleted
//   X-Status: AFTD                                          \Answered \Flagged \Draft \Deleted
//   X-Keywords: $Junk work
//
//   >From is how a line that begins with From is written: mboxrd (one > more before From, >From,
//   >>From ...), or mboxo (only before From). These fields are the file's, not the message's: they
//   are taken out when it is read. Content-Length is ignored.
//
// A line is a separator when it has a date; other lines that begin with From are text: some
// programs do not quote. Pure: bytes in, values out.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace rims::cli {

enum class MboxQuoting : uint8_t { mboxrd, mboxo };

struct MboxPlace {
  size_t offset = 0;  // of the separator
  size_t length = 0;  // up to the next one
};
// False when the file does not begin with a separator; nothing is in `places` then.
[[nodiscard]] bool find_mbox_messages(std::string_view file, std::vector<MboxPlace>& places);

struct MboxMessage {
  std::string bytes;  // without separator, quoting and the fields above; line ends as they were
  uint8_t flags = 0;  // store::kSeen ...
  std::vector<std::string> keywords;
  int64_t date = 0;  // of the separator, taken as UTC when it names no zone
  int16_t zone = 0;
  uint32_t uid = 0;                        // X-UID; 0: none
  uint32_t uidvalidity = 0, last_uid = 0;  // X-IMAPbase or X-IMAP; 0: none
};
// `text`: from a separator up to the next one.
[[nodiscard]] MboxMessage parse_mbox_message(std::string_view text, MboxQuoting quoting);

// `message` with separator, fields and mboxrd quoting, and the empty line behind it. The line ends
// of what is added are LF; a last line without an end gets one.
[[nodiscard]] std::string mbox_text(const MboxMessage& message);

// The date of a separator line, nullopt when it is not a separator.
struct MboxDate {
  int64_t seconds = 0;
  int16_t zone = 0;
};
[[nodiscard]] std::optional<MboxDate> parse_separator(std::string_view line);

}  // namespace rims::cli
