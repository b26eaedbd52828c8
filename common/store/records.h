// common/store/records.h - what a record of the journal says: encoding and decoding, pure
//
// See doc/storage-format.md, "Records". A record has up to three parts: `meta` (what the fold
// reads; copied into the footer), `aux` (a message's structure) and `body` (a message's bytes).
// Readers take bytes of a damaged or foreign disk: they check everything they use.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "common/store/types.h"

namespace rims::store {

enum class RecordType : uint16_t {
  mailbox_created = 1,
  mailbox_removed = 2,
  mailbox_renamed = 3,
  subscription = 4,
  keyword = 5,
  append = 6,
  copy = 7,
  flags = 8,
  expunge = 9,
  recent = 10,
  clean = 11,
  gap = 12,
  footer = 13,
  compacted = 14,
  uidnext = 15,
  special_use = 16,
  last = special_use,
};
[[nodiscard]] const char* name(RecordType type);

// Where a record lies. Opaque to all but the journal that made it.
struct Location {
  uint32_t segment = 0;
  uint64_t offset = 0;  // of the record's header
  uint32_t meta = 0;    // lengths of its parts
  uint32_t aux = 0;
  uint64_t body = 0;
  bool operator==(const Location&) const = default;
};

struct UidRange {
  uint32_t first = 0, last = 0;  // both included
  bool operator==(const UidRange&) const = default;
};

struct MailboxCreated {
  static constexpr RecordType kType = RecordType::mailbox_created;
  MailboxId id;
  UidValidity uidvalidity;
  SpecialUse special_use = SpecialUse::none;
  bool noselect = false;
  std::string name;
  [[nodiscard]] std::string encode() const;
  static std::optional<MailboxCreated> decode(std::string_view meta);
};

struct MailboxRemoved {
  static constexpr RecordType kType = RecordType::mailbox_removed;
  MailboxId id;
  [[nodiscard]] std::string encode() const;
  static std::optional<MailboxRemoved> decode(std::string_view meta);
};

struct MailboxRenamed {
  static constexpr RecordType kType = RecordType::mailbox_renamed;
  MailboxId id;
  std::string name;
  [[nodiscard]] std::string encode() const;
  static std::optional<MailboxRenamed> decode(std::string_view meta);
};

struct Subscription {
  static constexpr RecordType kType = RecordType::subscription;
  bool on = true;
  std::string name;
  [[nodiscard]] std::string encode() const;
  static std::optional<Subscription> decode(std::string_view meta);
};

// The meaning of bit `index` of a mailbox's keywords.
struct Keyword {
  static constexpr RecordType kType = RecordType::keyword;
  MailboxId mailbox;
  uint8_t index = 0;
  std::string name;
  [[nodiscard]] std::string encode() const;
  static std::optional<Keyword> decode(std::string_view meta);
};

struct Append {
  static constexpr RecordType kType = RecordType::append;
  MailboxId mailbox;
  MessageEntry entry;  // modseq is the record's number and not stored
  std::string delivery_id;
  DeliveryKey delivery_key{};  // stored only when there is one
  [[nodiscard]] std::string encode() const;
  static std::optional<Append> decode(std::string_view meta);
};

struct Copy {
  static constexpr RecordType kType = RecordType::copy;
  MailboxId from, to;
  struct Item {
    Uid source;
    MessageEntry entry;  // as in the destination, with its keyword bits
  };
  std::vector<Item> items;  // ascending by destination uid
  [[nodiscard]] std::string encode() const;
  static std::optional<Copy> decode(std::string_view meta);
};

// Every existing message in `ranges` is changed; a writer names only those that really change.
struct Flags {
  static constexpr RecordType kType = RecordType::flags;
  MailboxId mailbox;
  FlagOp op = FlagOp::add;
  uint8_t flags = 0;
  uint64_t keywords = 0;
  std::vector<UidRange> ranges;  // ascending, not overlapping
  [[nodiscard]] std::string encode() const;
  static std::optional<Flags> decode(std::string_view meta);
};

struct Expunge {
  static constexpr RecordType kType = RecordType::expunge;
  MailboxId mailbox;
  std::vector<UidRange> ranges;
  [[nodiscard]] std::string encode() const;
  static std::optional<Expunge> decode(std::string_view meta);
};

struct Recent {
  static constexpr RecordType kType = RecordType::recent;
  MailboxId mailbox;
  Uid first;
  [[nodiscard]] std::string encode() const;
  static std::optional<Recent> decode(std::string_view meta);
};

// The index files hold everything up to `seq` and were synced; `checkpoint` is written in them.
struct Clean {
  static constexpr RecordType kType = RecordType::clean;
  uint64_t seq = 0;
  std::string checkpoint;  // 16 random bytes
  [[nodiscard]] std::string encode() const;
  static std::optional<Clean> decode(std::string_view meta);
};

// Written when records were lost: numbers that they may have used are skipped.
struct Gap {
  static constexpr RecordType kType = RecordType::gap;
  uint32_t skip = 0;    // added to each UIDNEXT, and to the next mailbox and message id
  uint32_t damage = 0;  // how much of it answers for damage that stays in the journal
  [[nodiscard]] std::string encode() const;
  static std::optional<Gap> decode(std::string_view meta);
};

// A segment is about to be replaced by one without the bytes of dead messages. Says nothing to the
// fold; stands there so that no CLEAN is the last record, whose index knows the old places.
struct Compacted {
  static constexpr RecordType kType = RecordType::compacted;
  uint32_t segment = 0;
  uint64_t freed = 0;  // bytes
  [[nodiscard]] std::string encode() const;
  static std::optional<Compacted> decode(std::string_view meta);
};

// Lower uids are not given out any more: they had been elsewhere, before the mailbox came here.
struct UidNext {
  static constexpr RecordType kType = RecordType::uidnext;
  MailboxId mailbox;
  Uid uid;
  [[nodiscard]] std::string encode() const;
  static std::optional<UidNext> decode(std::string_view meta);
};

// A mailbox has this use from now on, also none; no other has it then.
struct SpecialUseSet {
  static constexpr RecordType kType = RecordType::special_use;
  MailboxId mailbox;
  SpecialUse special_use = SpecialUse::none;
  [[nodiscard]] std::string encode() const;
  static std::optional<SpecialUseSet> decode(std::string_view meta);
};

// The mailboxes whose messages the fold must see to apply a record (none, one or two).
[[nodiscard]] std::vector<MailboxId> mailboxes_needed(RecordType type, std::string_view meta);

// Ascending uids as ranges; each range is as long as consecutive numbers allow.
[[nodiscard]] std::vector<UidRange> to_ranges(std::span<const Uid> ascending);
[[nodiscard]] bool overlap(std::span<const UidRange> a, std::span<const UidRange> b);

}  // namespace rims::store
