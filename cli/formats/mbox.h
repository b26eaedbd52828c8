// cli/formats/mbox.h - one file, many messages
//
//   From somebody@example.org Sat Jan  3 01:05:34 2026      separator
//   Subject: hello
//   X-IMAPbase: 1700000000 0000000090                       first message: UIDVALIDITY, last UID
//   X-UID: 7
//   Status: RO                                              R \Seen, O not new, D \Deleted
//   X-Status: AFTD                                          \Answered \Flagged \Draft \Deleted
//   X-Keywords: $Junk work
//   X-Mozilla-Status: 0001                                  Thunderbird, at the top: bits
//   X-Mozilla-Status2: 00000000
//   X-Mozilla-Keys: $label1 work
//
//   >From is how a line that begins with From is written: mboxrd (one > more before From, >From,
//   >>From ...), or mboxo (only before From). These fields are the file's, not the message's: they
//   are taken out when it is read. Content-Length is ignored.
//
// A message may have such fields of its own, which its sender wrote. They are written with
// X-RIMS-Kept- before their names, which is taken off when they are read: so no reader takes them
// for flags, and the message keeps its bytes. X-RIMS-Kept-Status becomes X-RIMS-Kept-X-RIMS-Kept-
// Status, as >From becomes >>From.
//
// A line that begins with From is a separator when it has a date and an empty line is before it or
// the field of a header behind it; or when it has an address, an empty line before it and a
// mail's header behind it. Others are text: some programs do not quote. Pure: bytes in, values out.
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

// Where the message that begins at `at` ends: the offset of the next separator, or the file's size.
[[nodiscard]] size_t end_of_mbox_message(std::string_view file, size_t at);

struct MboxMessage {
  std::string bytes;  // without separator, quoting and the fields above; line ends as they were
  uint8_t flags = 0;  // store::kSeen ...
  std::vector<std::string> keywords;
  bool dated = false;  // the separator has a date
  int64_t date = 0;    // taken as UTC when it names no zone
  int16_t zone = 0;
  uint32_t uid = 0;                        // X-UID; 0: none
  uint32_t uidvalidity = 0, last_uid = 0;  // X-IMAPbase or X-IMAP; 0: none
  std::vector<std::string> all_keywords;   // of the mailbox; written there, too, for Dovecot
  bool expunged = false;  // by Thunderbird, which hides it until it writes the file
};
// `text`: from a separator up to the next one.
[[nodiscard]] MboxMessage parse_mbox_message(std::string_view text, MboxQuoting quoting);

// `message` with separator, fields and mboxrd quoting, and the empty line behind it. The line ends
// of what is added are LF; a last line without an end gets one. The date of the separator is in UTC
// (RFC 4155), because some readers do not know zones there, or only hours of them. Another zone of
// the message stands behind the sender: "From MAILER-DAEMON/+0530 Sat Jan  3 01:05:34 2026".
[[nodiscard]] std::string mbox_text(const MboxMessage& message);

// The date of a separator line, nullopt when it is not a separator.
struct MboxDate {
  int64_t seconds = 0;
  int16_t zone = 0;
};
[[nodiscard]] std::optional<MboxDate> parse_separator(std::string_view line);

}  // namespace rims::cli
