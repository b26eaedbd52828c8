// cli/formats/dbox.h - the files in which Dovecot's sdbox and mdbox keep messages
//
//   2 M1e C6b0c9c6f LF                  the file's header: version, size of the headers of messages
//   01 02 N, 10 spaces, size in hex LF  the header of a message, of that size (1e: 30 bytes)
//   ...                                 the message, as it came or compressed or encrypted
//   LF 01 03 LF                         and then one line for each thing that is known of it:
//   R6b0c9c6f LF                        the time when it was received, seconds since 1970 in hex
//   G56c9... LF                         a name of its own (GUID)
//   Z1f3 LF                             its size before compression, in hex
//   BWork/2026 LF                       the mailbox that it was stored in first (mdbox)
//   X... LF                             parts of it are in files elsewhere
//   LF                                  an empty line; in mdbox, the next message follows
//
// Pure: bytes in, values out.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/result.h"

namespace rims::cli {

inline constexpr size_t kMaxDboxFileHeader = 256, kMaxDboxMessageHeader = 256;
inline constexpr size_t kMaxDboxMetadata = size_t{1} << 20;

struct DboxFileHeader {
  size_t size = 0;            // the first message begins there
  size_t message_header = 0;  // size of each
};
// `start`: the first kMaxDboxFileHeader bytes of the file, or all. Errors: refused for another
// version; syntax.
[[nodiscard]] Result<DboxFileHeader> parse_dbox_file_header(std::string_view start);

// `header`: of exactly that size. The bytes that the message takes up in the file. Error: syntax.
[[nodiscard]] Result<uint64_t> parse_dbox_message_header(std::string_view header);

struct DboxMetadata {
  size_t size = 0;                  // in the file
  std::string guid, mailbox;        // empty: not said
  std::optional<int64_t> received;  // seconds since 1970 (UTC)
  std::optional<uint64_t> plain_size;
  bool external = false;  // parts of the message are in other files
};
// `bytes`: from the end of the message on, at least kMaxDboxMetadata or all. Error: syntax.
[[nodiscard]] Result<DboxMetadata> parse_dbox_metadata(std::string_view bytes);

// The 128 bits in hex by which an index knows a message of that GUID. Another program's GUID, as a
// Maildir has it, becomes a part of its SHA-1: the last bytes, which come first here, or the first.
[[nodiscard]] std::vector<std::string> index_names(const std::string& guid);

// Where, from `from` on, something stands that looks like the header of a message; npos: nowhere.
[[nodiscard]] size_t find_dbox_message(std::string_view bytes, size_t from, size_t header_size);

}  // namespace rims::cli
