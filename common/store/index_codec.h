// common/store/index_codec.h - the values in the index files: encoding and decoding, pure
//
// See doc/storage-format.md, "Index". Values that change keep their size. Decoders take damaged
// bytes: nullopt or false means that the index is to be rebuilt.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/store/locations.h"
#include "common/store/state.h"

namespace rims::store {

inline constexpr uint32_t kIndexVersion = 2;
inline constexpr size_t kSlotsPerChunk = 256;
inline constexpr size_t kEntrySlot = 48;
inline constexpr size_t kLocationSlot = 32;
inline constexpr size_t kListChunk = 4096;
inline constexpr size_t kKeywordTable = 8192;
inline constexpr size_t kIndexHead = 72;
inline constexpr size_t kDeliverySlot = 32;
inline constexpr size_t kDeliveriesPerChunk = 128;

// meta.gdbm, "meta"
struct IndexHead {
  bool dirty = true;
  uint64_t seq = 0;
  std::string checkpoint = std::string(16, '\0');
  uint32_t list_bytes = 0;
  uint64_t locations_generation = 0;
  MailboxId next_mailbox;
  MessageId next_message;
  UidValidity last_uidvalidity;
  uint64_t deliveries_taken = 0;
  uint32_t deliveries_kept = 0;
};

class IndexCodec {
 public:
  static std::string encode(const IndexHead& head);
  static std::optional<IndexHead> decode_head(std::string_view value);

  // All mailboxes and subscriptions; cut into chunks by the caller.
  static std::string encode_list(const AccountState& state);
  // Fills an empty state; its mailboxes are not loaded.
  static bool decode_list(std::string_view list, AccountState& state);
  static void restore(const IndexHead& head, uint64_t seq, AccountState& state);

  // meta.gdbm, "D" chunk: a ring of the latest deliveries, each in the slot of its number
  static size_t delivery_chunk(uint64_t number) {
    return number % Deliveries::kKept / kDeliveriesPerChunk;
  }
  static std::string encode_deliveries(const Deliveries& deliveries, size_t chunk);
  // `get` gives a chunk's value. Fills an empty state.
  static bool decode_deliveries(const IndexHead& head,
                                const std::function<std::string(size_t chunk)>& get,
                                AccountState& state);

  // meta.gdbm, "c" id
  static std::string encode_counters(const Mailbox& mailbox, uint64_t generation);
  static std::optional<uint64_t> decode_counters(std::string_view value, Mailbox& mailbox);

  // mailbox_N.gdbm: "head"
  static std::string encode_mailbox_head(const Mailbox& mailbox, uint64_t generation);
  static std::optional<uint64_t> decode_mailbox_head(std::string_view value,
                                                     const Mailbox& mailbox);
  // "keywords"
  static std::string encode_keywords(const Mailbox& mailbox);
  // "e" chunk; empty when the chunk has no message
  static std::string encode_entries(const Mailbox& mailbox, uint32_t chunk);

  // A mailbox that is being loaded.
  struct Loading {
    std::vector<MessageEntry> messages;
    std::vector<std::string> keywords;
  };
  static bool decode_keywords(std::string_view value, Loading& to);
  static bool decode_entries(std::string_view value, uint32_t chunk, Loading& to);
  // False when what was loaded does not agree with the counters.
  static bool finish(Loading from, Mailbox& mailbox);

  // message.gdbm: "head", "m" chunk
  static std::string encode_locations_head(uint64_t generation);
  static std::optional<uint64_t> decode_locations_head(std::string_view value);
  static std::string encode_locations(const Locations::Chunk& chunk);
  static bool decode_locations(std::string_view value, Locations::Chunk& chunk);
};

// Keys.
[[nodiscard]] std::string numbered_key(char kind, uint64_t number);

}  // namespace rims::store
