// common/message/kept_fields.cc - see kept_fields.h

#include "common/message/kept_fields.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <limits>
#include <vector>

#include "common/base/ascii.h"
#include "common/message/blob.h"
#include "common/message/field_text.h"
#include "common/message/header.h"
#include "common/message/preview.h"

namespace rims::message {
namespace {

// In the order in which they get space. One that ends in "-" means all names that begin with it.
// The position of a name is its bit number, so the list is part of the format.
constexpr std::array<std::string_view, 44> kNames = {
    "from",
    "subject",
    "date",
    "to",
    "cc",
    "message-id",
    "reply-to",
    "sender",
    "in-reply-to",
    "content-type",
    "bcc",
    "references",
    "mime-version",
    "content-transfer-encoding",
    "content-disposition",
    "content-description",
    "content-language",
    "newsgroups",
    "followup-to",
    "priority",
    "x-priority",
    "importance",
    "x-msmail-priority",
    "sensitivity",
    "list-",
    "resent-",
    "return-path",
    "delivered-to",
    "x-original-to",
    "mail-followup-to",
    "mail-reply-to",
    "disposition-notification-to",
    "precedence",
    "auto-submitted",
    "organization",
    "lines",
    "x-label",
    "x-tuid",
    "x-spam-flag",
    "chat-version",
    "autocrypt-setup-message",
    "x-uniform-type-identifier",
    "x-universally-unique-identifier",
    "x-mozilla-draft-info",
};
static_assert(kNames.size() <= 64);
// A preview finds room behind the texts, and no field has its number.
static_assert(kMaxTexts + 4 * kMaxPreview + sizeof(blob::TextHead) <=
              std::numeric_limits<uint16_t>::max());
static_assert(kMaxKept < blob::kPreviewText);

std::optional<size_t> index_of(std::string_view name) {
  for (size_t i = 0; i < kNames.size(); i++) {
    const std::string_view own = kNames[i];
    const std::string_view same = own.ends_with('-') ? name.substr(0, own.size()) : name;
    if (ascii::equal(same, own)) return i;
  }
  return std::nullopt;
}

struct FieldPlace {
  std::string_view raw;
  size_t name;
};

bool is_plain(std::string_view value) {
  return !value.contains("=?") &&
         std::ranges::all_of(value, [](char c) { return (c & 0x80) == 0; });
}

// The decoded text of each field of `header`, where it differs from the field's bytes.
std::string texts_of(std::string_view header) {
  std::string texts;
  FieldReader reader(header);
  uint16_t number = 0;
  for (Field field; reader.next(field); number++) {
    const auto addresses = address_text(field);
    if (!addresses && is_plain(field.value)) continue;
    std::string own;
    const auto add = [&](std::string_view text) {
      blob::append(own, blob::TextHead{number, static_cast<uint16_t>(text.size())});
      own += text;
    };
    // + 4, so that a text that is cut, at the end of a character, is still larger than the space.
    const std::string decoded = decode_header(field.value, kMaxTexts + 4);
    if (decoded.size() > kMaxTexts || (addresses && addresses->size() > kMaxTexts)) continue;
    add(decoded);
    if (addresses) add(*addresses);
    if (own.size() <= kMaxTexts - texts.size()) texts += own;
  }
  return texts;
}

std::unexpected<Error> broken(std::string_view why) {
  return fail(Fault::storage, "temporary failure", "kept fields: " + std::string(why));
}

}  // namespace

std::optional<KeptNames> KeptNames::find(std::string_view name) {
  const auto index = index_of(name);
  if (!index) return std::nullopt;
  return KeptNames(uint64_t{1} << *index);
}

std::optional<KeptNames> KeptNames::of(std::span<const std::string> names) {
  uint64_t bits = 0;
  for (const std::string& name : names) {
    const auto one = find(name);
    if (!one) return std::nullopt;
    bits |= one->bits_;
  }
  return KeptNames(bits);
}

std::string keep_fields(std::string_view header, uint32_t message_size,
                        const std::optional<DateTime>& date, uint32_t max_header) {
  std::string kept;
  uint64_t missing = ~uint64_t{0};
  if (header.size() <= max_header) {
    std::vector<FieldPlace> fields;
    std::array<size_t, kNames.size()> sizes{};
    FieldReader reader(header);
    for (Field field; reader.next(field);) {
      const auto index = index_of(field.name);
      if (!index) continue;
      sizes[*index] += field.raw.size();
      // Fields that are larger than the space can not be kept, so do not even collect them.
      if (sizes[*index] <= kMaxKept) fields.push_back({field.raw, *index});
    }
    missing = 0;
    size_t room = kMaxKept - reader.empty_line().size();
    for (size_t i = 0; i < kNames.size(); i++) {
      if (sizes[i] > room)
        missing |= uint64_t{1} << i;
      else
        room -= sizes[i];
    }
    for (const FieldPlace& field : fields)
      if ((missing >> field.name & 1) == 0) kept += field.raw;
    kept += reader.empty_line();
  }
  const std::string texts = texts_of(kept);

  std::string out;
  out.reserve(sizeof(blob::FieldsHead) + kept.size() + texts.size());
  blob::append(out, blob::FieldsHead{.magic = {blob::kFieldsMagic[0], blob::kFieldsMagic[1]},
                                     .version = blob::kFieldsVersion,
                                     .flags = date ? blob::kHasDate : uint8_t{0},
                                     .message_size = message_size,
                                     .header_size = static_cast<uint16_t>(kept.size()),
                                     .texts_size = static_cast<uint16_t>(texts.size()),
                                     .sent_day = date ? date->day_number() : 0,
                                     .sent_time = date ? date->utc_seconds() : 0,
                                     .missing = missing});
  out += kept;
  out += texts;
  return out;
}

std::string with_preview(std::string fields, std::string_view preview) {
  auto head = blob::read<blob::FieldsHead>(fields, 0);
  head.texts_size =
      static_cast<uint16_t>(head.texts_size + sizeof(blob::TextHead) + preview.size());
  std::memcpy(fields.data(), &head, sizeof head);
  blob::append(fields, blob::TextHead{blob::kPreviewText, static_cast<uint16_t>(preview.size())});
  return fields += preview;
}

Result<KeptFields> KeptFields::open(std::string_view bytes) {
  if (bytes.size() < sizeof(blob::FieldsHead)) return broken("too short");
  const auto head = blob::read<blob::FieldsHead>(bytes, 0);
  if (head.magic[0] != blob::kFieldsMagic[0] || head.magic[1] != blob::kFieldsMagic[1])
    return broken("bad magic");
  if (head.version != blob::kFieldsVersion) return broken("unknown version");
  if ((head.flags & ~blob::kKnownFlags) != 0) return broken("unknown flags");
  const std::string_view rest = bytes.substr(sizeof(blob::FieldsHead));
  if (size_t{head.header_size} + head.texts_size != rest.size())
    return broken("sizes do not add up");
  KeptFields kept;
  kept.message_size_ = head.message_size;
  kept.missing_ = head.missing;
  kept.flags_ = head.flags;
  kept.sent_day_ = head.sent_day;
  kept.sent_time_ = head.sent_time;
  kept.header_ = rest.substr(0, head.header_size);
  kept.texts_ = rest.substr(head.header_size);
  uint16_t before = 0;
  for (std::string_view texts = kept.texts_; !texts.empty();) {
    if (texts.size() < sizeof(blob::TextHead)) return broken("half a text");
    const auto text = blob::read<blob::TextHead>(texts, 0);
    texts.remove_prefix(sizeof(blob::TextHead));
    if (text.field < before || text.length > texts.size()) return broken("bad text");
    before = text.field;
    if (text.field == blob::kPreviewText) kept.preview_ = texts.substr(0, text.length);
    texts.remove_prefix(text.length);
  }
  return kept;
}

std::optional<int32_t> KeptFields::sent_day() const {
  if ((flags_ & blob::kHasDate) == 0) return std::nullopt;
  return sent_day_;
}

std::optional<int64_t> KeptFields::sent_time() const {
  if ((flags_ & blob::kHasDate) == 0) return std::nullopt;
  return sent_time_;
}

bool KeptFields::contains(std::string_view name, const Needle& needle) const {
  FieldReader reader(header_);
  std::string_view texts = texts_;
  uint16_t number = 0;
  for (Field field; reader.next(field); number++) {
    const bool wanted = ascii::equal(field.name, name);
    if (wanted && needle.empty()) return true;
    bool has_text = false;
    while (!texts.empty()) {
      const auto text = blob::read<blob::TextHead>(texts, 0);
      if (text.field != number) break;
      has_text = true;
      if (wanted && message::contains(texts.substr(sizeof(blob::TextHead), text.length), needle))
        return true;
      texts.remove_prefix(sizeof(blob::TextHead) + text.length);
    }
    if (wanted && !has_text && field_contains(field, {}, needle)) return true;
  }
  return false;
}

}  // namespace rims::message
