// common/index/index_codec.h - the values in the index files: encoding and decoding, pure
//
// See doc/storage-format.md, "Index". Values that change keep their size. Decoders take damaged
// bytes: nullopt or false means that the index is to be rebuilt.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "common/mail/expunge_history.h"
#include "common/mail/locations.h"
#include "common/mail/state.h"

namespace rims::store {

inline constexpr uint32_t kIndexVersion = 6;
inline constexpr size_t kSlotsPerChunk = 256;
inline constexpr size_t kEntrySlot = 48;
inline constexpr size_t kLocationSlot = 32;
inline constexpr size_t kListChunk = 4096;
inline constexpr size_t kIndexHead = 96;
inline constexpr size_t kDeliverySlot = 32;
inline constexpr size_t kDeliveriesPerChunk = 128;
inline constexpr size_t kExpungedSlot = 20;
inline constexpr size_t kExpungedPerChunk = kListChunk / kExpungedSlot;

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
  uint32_t annotation_bytes = 0;  // of the record of all annotations
};

struct IndexEvidence;

// Cuts a table that grows into values that keep their size.
[[nodiscard]] std::vector<std::string> in_pieces(std::string table);
// Puts it together again; nullopt: a piece is missing.
[[nodiscard]] std::optional<std::string> from_pieces(
    char kind, uint32_t bytes, const std::function<std::string(const std::string& key)>& get);

class IndexCodec {
 public:
  // From the values of meta.gdbm; nullopt: they can not be used.
  static std::optional<IndexEvidence> decode_evidence(
      const std::function<std::string(const std::string& key)>& get);

  static std::string encode(const IndexHead& head);
  static std::optional<IndexHead> decode_head(std::string_view value);

  // Everything but messages: lost numbers, the account record and a snapshot record, in pieces.
  static std::string encode_list(const AccountState& state);
  // Fills an empty state; its mailboxes are not loaded.
  static bool decode_list(std::string_view list, AccountState& state);
  // All annotations as a record, in pieces; empty: none was ever set.
  static std::string encode_annotations(const AccountState& state);
  // After decode_list().
  static bool decode_annotations(std::string_view table, AccountState& state);
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
  struct MailboxHead {
    uint64_t generation = 0;
    uint32_t set_bytes = 0;  // of the sets of keywords
    uint64_t expunged = 0;   // how many ranges of uids
  };
  static std::string encode_mailbox_head(const Mailbox& mailbox, const MailboxHead& head);
  static std::optional<MailboxHead> decode_mailbox_head(std::string_view value,
                                                        const Mailbox& mailbox);
  // "s" piece
  static std::string encode_sets(const Mailbox& mailbox);
  // "e" chunk; empty when the chunk has no message
  static std::string encode_entries(const Mailbox& mailbox, uint32_t chunk);

  // "x" chunk: ranges of expunged uids, each in the slot of its number. `before` is what the chunk
  // had (empty: nothing); `from` is the number of the first of `more`, which all find room in it.
  // False: it is not what it should be.
  static bool add_expunged(std::string& before, uint64_t from, std::span<const ExpungedRange> more);
  // The first `count` of a chunk.
  static bool decode_expunged(std::string_view value, size_t count, std::vector<ExpungedRange>& to);

  // A mailbox that is being loaded.
  struct Loading {
    std::vector<MessageEntry> messages;
    std::vector<KeywordList> sets;
  };
  static bool decode_sets(std::string_view table, Loading& to);
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
