// common/message/structure.h - a message parsed once: ENVELOPE, BODY, BODYSTRUCTURE, where each
// part lies, and the header fields that are asked for most, as one opaque string
//
//   RFC 3501 §6.4.5, §7.4.2; RFC 2045-2047; RFC 5322. doc/message-structure.md tells the blob's
//   bytes, what happens to broken mail, and where the answers differ from Dovecot's.
//
//   made      at append, by make_structure(), from the exact bytes that are stored
//   read      at FETCH and SEARCH, by StructureView; the message is not parsed again
//   trust     the message is an attacker's. The blob is ours, yet the view checks every number
//             in it before use: it comes back from disk.
//   lines     end in LF or CRLF; a lone CR is an ordinary byte. Nothing is converted: offsets,
//             sizes and line counts are those of the bytes given.
//   cost      linear in the message; no recursion; memory bounded by Limits, not by the message
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "common/base/result.h"

namespace rims::message {

// What one message may cost. What is beyond a limit is not lost, it is only not parsed.
struct Limits {
  uint32_t depth = 100;             // parts inside parts; deeper ones are application/octet-stream
  uint32_t parts = 10'000;          // further boundary lines are text of the part they are in
  uint32_t header_bytes = 1 << 20;  // of one header; fields behind that are not looked at
  uint32_t all_header_bytes = 2 << 20;  // of all headers of the message together
  uint32_t addresses = 10'000;          // of all ENVELOPEs together; the rest is left out
  uint32_t params = 200;                // of one Content-Type or Content-Disposition
};

// Bytes of the message: [offset, offset + length).
struct Range {
  uint32_t offset = 0;
  uint32_t length = 0;
  bool operator==(const Range&) const = default;
  // The bytes of `message`, which must be the message that the range was made for; cut to fit.
  [[nodiscard]] std::string_view of(std::string_view message) const {
    if (offset > message.size()) return {};
    return message.substr(offset, length);
  }
};

enum class Kind : uint8_t { basic, text, message, multipart, last = multipart };
// RFC 2045 §6. `other` is a name we do not know: such a body is not decoded.
enum class Encoding : uint8_t { none, quoted_printable, base64, other, last = other };

struct Part {
  Kind kind = Kind::basic;
  Encoding encoding = Encoding::none;
  Range header;  // with its blank line, if there is one; of the root: the message's header
  Range body;
  uint32_t lines = 0;        // line ends in the body
  uint32_t first_child = 0;  // index; children of one part follow each other
  uint32_t child_count = 0;  // multipart: its parts; message: 1, the embedded message; else 0
};

// What a section names inside the part that its numbers lead to (RFC 3501 §6.4.5). HEADER.FIELDS
// and HEADER.FIELDS.NOT are Section::header, then select_fields() (header.h) on those bytes.
enum class Section : uint8_t { all, header, text, mime };

// Never fails: every string of bytes has a structure. Of a message of 4 GiB or more, only the first
// 4 GiB - 1 bytes are parsed.
[[nodiscard]] std::string make_structure(std::string_view message, const Limits& limits = {});

// Reads a blob in place: copies nothing, so the blob must outlive the view. Made once per use;
// open() is linear in the number of parts.
class StructureView {
 public:
  // Error (Fault::storage) when it is not a blob of a version we know, whole and consistent.
  [[nodiscard]] static Result<StructureView> open(std::string_view blob);

  // IMAP text, ready to follow "ENVELOPE " etc. in a FETCH response; may hold literals.
  [[nodiscard]] std::string_view envelope() const { return envelope_; }
  [[nodiscard]] std::string_view body() const { return body_; }
  [[nodiscard]] std::string_view bodystructure() const { return bodystructure_; }
  // For KeptFields::open() (kept_fields.h); empty when there are none.
  [[nodiscard]] std::string_view fields() const { return fields_; }

  [[nodiscard]] uint32_t message_size() const { return message_size_; }
  // BODY[HEADER] and BODY[TEXT].
  [[nodiscard]] Range header() const { return part(0).header; }
  [[nodiscard]] Range text() const { return part(0).body; }

  // The Date: field. For SENTON etc. the day as the sender wrote it, in days since 1970-01-01
  // (RFC 3501 §6.4.4 disregards time and zone); for sorting the instant, in seconds since then.
  [[nodiscard]] std::optional<int32_t> sent_day() const;
  [[nodiscard]] std::optional<int64_t> sent_time() const;

  // Where BODY[<path>.<section>] lies; path {1,2} is "1.2", empty is the message itself. nullopt:
  // there is no such section (answer NIL). Section::mime with an empty path is the header.
  [[nodiscard]] std::optional<Range> locate(std::span<const uint32_t> path, Section section) const;
  // The same by text: "", "1.2", "1.2.MIME", "2.HEADER", "TEXT".
  [[nodiscard]] std::optional<Range> locate(std::string_view spec) const;

  // All parts; 0 is the message itself. A part's children have higher indexes than the part.
  [[nodiscard]] uint32_t part_count() const { return part_count_; }
  [[nodiscard]] Part part(uint32_t index) const;
  // The part that `path` leads to; the root for an empty path.
  [[nodiscard]] std::optional<uint32_t> find(std::span<const uint32_t> path) const;

 private:
  StructureView() = default;
  // The empty text part that BODYSTRUCTURE shows in a multipart without parts. It is no Part.
  [[nodiscard]] std::optional<Range> locate_stand_in(std::span<const uint32_t> path,
                                                     Section section) const;
  std::string_view table_, envelope_, body_, bodystructure_, fields_;
  uint32_t message_size_ = 0, part_count_ = 0;
  uint8_t flags_ = 0;
  int32_t sent_day_ = 0;
  int64_t sent_time_ = 0;
};

// The blob of `view` without its kept fields, which is a valid blob, too.
[[nodiscard]] std::string without_fields(std::string_view blob, const StructureView& view);

}  // namespace rims::message
