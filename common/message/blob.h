// common/message/blob.h - the bytes of a structure blob; doc/message-structure.md has the table
//
// Inside this library only. All numbers are little-endian.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

namespace rims::message::blob {

static_assert(std::endian::native == std::endian::little, "the blob is written as it is in memory");

inline constexpr char kMagic[] = {'R', 'S'};
inline constexpr uint8_t kFirstVersion = 1;  // without kept fields
inline constexpr uint8_t kVersion = 2;
inline constexpr uint8_t kHasDate = 1;  // flag: the two dates are valid
inline constexpr uint8_t kKnownFlags = kHasDate;

struct Head {
  char magic[2];
  uint8_t version;
  uint8_t flags;
  uint32_t message_size;
  uint32_t part_count;  // > 0
  uint32_t envelope_size;
  uint32_t body_size;
  uint32_t bodystructure_size;
  int64_t sent_time;
  int32_t sent_day;
  uint32_t fields_size;  // 0: no kept fields; always so in kFirstVersion
};
static_assert(sizeof(Head) == 40);

// Parts follow the head, then the three texts in the order of their sizes, then the kept fields.
struct Row {
  uint32_t header_offset, header_length;
  uint32_t body_offset, body_length;
  uint32_t lines;
  uint32_t first_child, child_count;
  uint8_t kind, encoding;
  uint16_t reserved;  // 0
};
static_assert(sizeof(Row) == 32);

// Kept fields: this, then the fields' bytes, then the texts.
inline constexpr char kFieldsMagic[] = {'R', 'F'};
inline constexpr uint8_t kFieldsVersion = 1;

struct FieldsHead {
  char magic[2];
  uint8_t version;
  uint8_t flags;  // as in Head
  uint32_t message_size;
  uint16_t header_size, texts_size;
  int32_t sent_day;
  int64_t sent_time;
  uint64_t missing;  // a bit per name whose fields are not here
};
static_assert(sizeof(FieldsHead) == 32);

// The decoded text of the field with that number, counted from 0; one or two per field, ascending.
struct TextHead {
  uint16_t field, length;
};
// In place of the number: the preview of the message. No field has it, as they do not fit then, so
// a program that does not know it takes no notice.
inline constexpr uint16_t kPreviewText = 0xffff;
static_assert(sizeof(TextHead) == 4);

template <class T>
void append(std::string& out, const T& value) {
  char bytes[sizeof(T)];
  std::memcpy(bytes, &value, sizeof(T));
  out.append(bytes, sizeof(T));
}

// `bytes` has at least sizeof(T) bytes behind `offset`.
template <class T>
T read(std::string_view bytes, size_t offset) {
  T value;
  std::memcpy(&value, bytes.data() + offset, sizeof(T));
  return value;
}

}  // namespace rims::message::blob
