// cli/formats/compressed.h - messages that Dovecot's plugins zlib and mail_crypt have written
//
// They look like any other. Dovecot itself looks at the first bytes, and so do we; the size of the
// message, where it is said (in a Maildir, S= in the name of the file), tells a mail that only
// begins like one.
//
// Pure: bytes in, values out.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "common/base/result.h"

namespace rims::cli {

// lz4: frames, as the program lz4 writes them; dovecot_lz4: chunks in a form of its own.
enum class Compression : uint8_t { none, gzip, bzip2, xz, zstd, lz4, dovecot_lz4 };
// What the first bytes say.
[[nodiscard]] Compression compression_of(std::string_view bytes);
[[nodiscard]] bool is_encrypted_by_dovecot(std::string_view bytes);

// Errors: syntax, when the data is damaged or ends too early; limit, when it becomes more than
// `max` bytes. Whatever the data says, about `max` and 128 MiB of memory are enough.
[[nodiscard]] Result<std::string> decompress(std::string_view bytes, Compression how, uint64_t max);

// The message in what Dovecot has stored. `size`: that of the message, where it is known. Error: it
// can not be had; the text says why and what to do.
[[nodiscard]] Result<std::string> unpack_dovecot_mail(std::string bytes,
                                                      std::optional<uint64_t> size);

// The same of a file of a Maildir. `base`: the file's name without flags.
[[nodiscard]] Result<std::string> unpack_maildir_file(std::string bytes, std::string_view base);

}  // namespace rims::cli
