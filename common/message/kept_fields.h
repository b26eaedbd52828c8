// common/message/kept_fields.h - the header fields that clients ask for most, kept with
// the structure of a message, so that its header need not be read for them
//
//   made    by make_structure(), from the message's header; the last part of the structure blob
//   read    by KeptFields, in place
//   holds   the bytes of those fields as they stand in the message, in their order, with the empty
//           line behind them: a header, of which HEADER.FIELDS and SEARCH give the answers that
//           they give of the message's own. And the decoded text of a field that is not plain
//           ASCII, so that encoded words and addresses are decoded once, not at each SEARCH. And
//           the preview of the message (preview.h), which is no field, but is asked for with them.
//   bound   kMaxKept bytes of fields, kMaxTexts of texts, kMaxPreview characters. Fields of a name
//           that do not fit are not there, and has() says so. Texts that do not fit are made again
//           by each SEARCH.
//
// Which names are kept is part of the format: doc/message-structure.md, "Kept fields".
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "common/base/result.h"
#include "common/message/date.h"
#include "common/message/text.h"

namespace rims::message {

inline constexpr size_t kMaxKept = 16 << 10;
inline constexpr size_t kMaxTexts = 16 << 10;

// A set of kept names, worked out once per command.
class KeptNames {
 public:
  // nullopt when one of them is not a kept name.
  [[nodiscard]] static std::optional<KeptNames> of(std::span<const std::string> names);
  [[nodiscard]] static std::optional<KeptNames> of(std::string_view name) { return find(name); }

 private:
  friend class KeptFields;
  [[nodiscard]] static std::optional<KeptNames> find(std::string_view name);
  explicit KeptNames(uint64_t bits) : bits_(bits) {}
  uint64_t bits_;
};

// `header` is the message's whole header with its empty line. If it is larger than `max_header`,
// nothing is kept.
[[nodiscard]] std::string keep_fields(std::string_view header, uint32_t message_size,
                                      const std::optional<DateTime>& date, uint32_t max_header);

// The same with this preview of at most kMaxPreview characters; `fields` has none.
[[nodiscard]] std::string with_preview(std::string fields, std::string_view preview);

class KeptFields {
 public:
  // Error (Fault::storage) when it is not complete and consistent.
  [[nodiscard]] static Result<KeptFields> open(std::string_view bytes);

  [[nodiscard]] uint32_t message_size() const { return message_size_; }
  // As StructureView::sent_day() and sent_time().
  [[nodiscard]] std::optional<int32_t> sent_day() const;
  [[nodiscard]] std::optional<int64_t> sent_time() const;
  // True when all fields of the message with these names are kept here.
  [[nodiscard]] bool has(KeptNames names) const { return (names.bits_ & missing_) == 0; }
  // The kept fields, and the empty line if the message's header has one.
  [[nodiscard]] std::string_view header() const { return header_; }
  // What with_preview() has put there, perhaps ""; nullopt: an earlier program has made this.
  [[nodiscard]] std::optional<std::string_view> preview() const { return preview_; }
  // The same result as header_contains() for the message's header, for a name with has().
  [[nodiscard]] bool contains(std::string_view name, const Needle& needle) const;

 private:
  KeptFields() = default;
  std::string_view header_, texts_;
  std::optional<std::string_view> preview_;
  uint64_t missing_ = 0;
  uint32_t message_size_ = 0;
  uint8_t flags_ = 0;
  int32_t sent_day_ = 0;
  int64_t sent_time_ = 0;
};

}  // namespace rims::message
