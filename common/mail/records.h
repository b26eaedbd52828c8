// common/mail/records.h - what a record of the journal says: encoding and decoding, pure
//
// See doc/storage-format.md, "Records". A record has up to three parts: `meta` (what the fold
// reads; copied into the footer), `aux` (a message's structure) and `body` (a message's bytes).
// Decoders take bytes of a damaged or foreign disk: they check everything they use.
//
// A record is decoded once, by decode(), and then given to the projections (projection.h) as a
// JournalEvent. encode() writes version kVersion of the type, or the lower one that a record names
// by version(): the first that can say it. decode() reads that and all before it. A program that
// does not know a type with kIgnorable in its number ignores the record; any other unknown type or
// version makes the program refuse the account.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "common/mail/types.h"

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
  snapshot = 17,
  account = 18,
  last = account,
  user_directory = 0x0100,  // of no account
  piece_sums = 0x8001,
  annotations = 0x8002,
  restored = 0x8003,
};
inline constexpr uint16_t kIgnorable = 0x8000;
[[nodiscard]] constexpr bool ignorable(RecordType type) {
  return (static_cast<uint16_t>(type) & kIgnorable) != 0;
}
[[nodiscard]] const char* name(RecordType type);

// Where a record is. Only the journal that made it can interpret this.
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
  static constexpr uint8_t kVersion = 2;
  MailboxId id;
  UidValidity uidvalidity;
  SpecialUse special_use = SpecialUse::none;
  bool noselect = false;
  std::string name;
  [[nodiscard]] uint8_t version() const;  // 1 without a use that version 1 does not know
  [[nodiscard]] std::string encode() const;
  static std::optional<MailboxCreated> decode(std::string_view meta, uint8_t version = kVersion);
};

struct MailboxRemoved {
  static constexpr RecordType kType = RecordType::mailbox_removed;
  static constexpr uint8_t kVersion = 1;
  MailboxId id;
  [[nodiscard]] std::string encode() const;
  static std::optional<MailboxRemoved> decode(std::string_view meta, uint8_t version = kVersion);
};

struct MailboxRenamed {
  static constexpr RecordType kType = RecordType::mailbox_renamed;
  static constexpr uint8_t kVersion = 1;
  MailboxId id;
  std::string name;
  [[nodiscard]] std::string encode() const;
  static std::optional<MailboxRenamed> decode(std::string_view meta, uint8_t version = kVersion);
};

struct Subscription {
  static constexpr RecordType kType = RecordType::subscription;
  static constexpr uint8_t kVersion = 1;
  bool on = true;
  std::string name;
  [[nodiscard]] std::string encode() const;
  static std::optional<Subscription> decode(std::string_view meta, uint8_t version = kVersion);
};

// The meaning of an index of a mailbox's keywords.
struct Keyword {
  static constexpr RecordType kType = RecordType::keyword;
  static constexpr uint8_t kVersion = 2;
  MailboxId mailbox;
  KeywordIndex index = 0;
  std::string name;
  [[nodiscard]] std::string encode() const;
  static std::optional<Keyword> decode(std::string_view meta, uint8_t version = kVersion);
};

struct Append {
  static constexpr RecordType kType = RecordType::append;
  static constexpr uint8_t kVersion = 2;
  MailboxId mailbox;
  MessageEntry entry;  // without modseq, saved (number and time of the record) and keywords
  KeywordList keywords;
  std::string delivery_id;
  DeliveryKey delivery_key{};  // stored only when there is one
  [[nodiscard]] std::string encode() const;
  static std::optional<Append> decode(std::string_view meta, uint8_t version = kVersion);
};

struct Copy {
  static constexpr RecordType kType = RecordType::copy;
  static constexpr uint8_t kVersion = 2;
  MailboxId from, to;
  struct Item {
    Uid source;
    MessageEntry entry;    // as in the destination
    KeywordList keywords;  // those of the destination
  };
  std::vector<Item> items;  // ascending by destination uid
  [[nodiscard]] std::string encode() const;
  static std::optional<Copy> decode(std::string_view meta, uint8_t version = kVersion);
};

// Every existing message in `ranges` is changed; a writer names only those that really change.
struct Flags {
  static constexpr RecordType kType = RecordType::flags;
  static constexpr uint8_t kVersion = 2;
  MailboxId mailbox;
  FlagOp op = FlagOp::add;
  uint8_t flags = 0;
  KeywordList keywords;
  std::vector<UidRange> ranges;  // ascending, not overlapping
  [[nodiscard]] std::string encode() const;
  static std::optional<Flags> decode(std::string_view meta, uint8_t version = kVersion);
};

// Changes no message: HIGHESTMODSEQ of the mailbox becomes the number of the record.
[[nodiscard]] inline Flags only_modseq(MailboxId mailbox) {
  return {.mailbox = mailbox, .op = FlagOp::add, .flags = 0, .keywords = {}, .ranges = {}};
}

struct Expunge {
  static constexpr RecordType kType = RecordType::expunge;
  static constexpr uint8_t kVersion = 1;
  MailboxId mailbox;
  std::vector<UidRange> ranges;
  [[nodiscard]] std::string encode() const;
  static std::optional<Expunge> decode(std::string_view meta, uint8_t version = kVersion);
};

struct Recent {
  static constexpr RecordType kType = RecordType::recent;
  static constexpr uint8_t kVersion = 1;
  MailboxId mailbox;
  Uid first;
  [[nodiscard]] std::string encode() const;
  static std::optional<Recent> decode(std::string_view meta, uint8_t version = kVersion);
};

// The index files hold everything up to `seq` and were synced; `checkpoint` is written in them.
struct Clean {
  static constexpr RecordType kType = RecordType::clean;
  static constexpr uint8_t kVersion = 1;
  uint64_t seq = 0;
  std::string checkpoint;  // 16 random bytes
  [[nodiscard]] std::string encode() const;
  static std::optional<Clean> decode(std::string_view meta, uint8_t version = kVersion);
};

// Written when records were lost: numbers that they may have used are skipped.
struct Gap {
  static constexpr RecordType kType = RecordType::gap;
  static constexpr uint8_t kVersion = 1;
  uint32_t skip = 0;    // added to each UIDNEXT, and to the next mailbox and message id
  uint32_t damage = 0;  // the part of `skip` for damage that stays in the journal
  [[nodiscard]] std::string encode() const;
  static std::optional<Gap> decode(std::string_view meta, uint8_t version = kVersion);
};

// A segment is about to be replaced by one without the bytes of expunged messages. It changes no
// state. It is written so that the last record is not CLEAN, as the index of that CLEAN has the old
// places.
struct Compacted {
  static constexpr RecordType kType = RecordType::compacted;
  static constexpr uint8_t kVersion = 1;
  uint32_t segment = 0;
  uint64_t freed = 0;  // bytes
  [[nodiscard]] std::string encode() const;
  static std::optional<Compacted> decode(std::string_view meta, uint8_t version = kVersion);
};

// Lower uids are not given out any more: messages had them where the mailbox was imported from.
struct UidNext {
  static constexpr RecordType kType = RecordType::uidnext;
  static constexpr uint8_t kVersion = 1;
  MailboxId mailbox;
  Uid uid;
  [[nodiscard]] std::string encode() const;
  static std::optional<UidNext> decode(std::string_view meta, uint8_t version = kVersion);
};

// Sets the special use of a mailbox (or none); another mailbox that had it loses it.
struct SpecialUseSet {
  static constexpr RecordType kType = RecordType::special_use;
  static constexpr uint8_t kVersion = 2;
  MailboxId mailbox;
  SpecialUse special_use = SpecialUse::none;
  [[nodiscard]] uint8_t version() const;  // 1 without a use that version 1 does not know
  [[nodiscard]] std::string encode() const;
  static std::optional<SpecialUseSet> decode(std::string_view meta, uint8_t version = kVersion);
};

// Repeats everything but messages: for the whole account at the beginning of each segment, and in
// each batch for what the batch changes. So with a lost record only its own messages are lost. If
// no record is lost, it changes nothing.
struct Snapshot {
  static constexpr RecordType kType = RecordType::snapshot;
  static constexpr uint8_t kVersion = 2;
  struct OfMailbox {
    MailboxId id;
    UidValidity uidvalidity;
    Uid uidnext{1};
    Uid first_recent{1};
    ModSeq highest_modseq, changed;
    SpecialUse special_use = SpecialUse::none;
    bool noselect = false;
    std::string name;
    std::vector<std::pair<KeywordIndex, std::string>> keywords;  // ascending
    bool operator==(const OfMailbox&) const = default;
  };
  bool whole = false;  // it lists everything that exists; false: only a part
  MailboxId next_mailbox{1};
  MessageId next_message{1};
  UidValidity last_uidvalidity;
  std::vector<OfMailbox> mailboxes;       // ascending by id
  std::vector<UidRange> removed;          // ids of mailboxes that were removed
  std::vector<std::string> subscribed;    // names
  [[nodiscard]] uint8_t version() const;  // 1 without a use that version 1 does not know
  [[nodiscard]] std::string encode() const;
  static std::optional<Snapshot> decode(std::string_view meta, uint8_t version = kVersion);
};

// The account's user, and its permanent id, on which the ids of RFC 8474 are built.
struct AccountNamed {
  static constexpr RecordType kType = RecordType::account;
  static constexpr uint8_t kVersion = 1;
  std::string user;  // as rims-auth spells it
  std::string id;    // 16 random bytes
  [[nodiscard]] std::string encode() const;
  static std::optional<AccountNamed> decode(std::string_view meta, uint8_t version = kVersion);
};

// The parts of a record.
enum class RecordPart : uint8_t { meta = 1, aux, body };

// Checksums of the pieces of a large part of a record in the same batch. If that is damaged, they
// tell where, and whether its write was interrupted. No byte of it is zero: see torn.h. Ignorable.
struct PieceSums {
  static constexpr RecordType kType = RecordType::piece_sums;
  static constexpr uint8_t kVersion = 1;
  RecordPart part = RecordPart::meta;
  uint32_t from_last = 0;  // of which record, counted back from the last one of the batch
  std::string key;         // 16 random bytes
  std::string sums;        // 8 bytes for each piece
  [[nodiscard]] std::string encode() const;
  static std::optional<PieceSums> decode(std::string_view meta, uint8_t version = kVersion);
};
inline constexpr size_t kSummedPiece = 512;  // bytes; the last one may be smaller

// Sets annotations, all at once. Ignorable: mail, names and numbers are right without them.
struct Annotated {
  static constexpr RecordType kType = RecordType::annotations;
  static constexpr uint8_t kVersion = 1;
  struct Item {
    MailboxId mailbox;  // 0: the account itself
    std::string name;
    std::optional<std::string> value;  // nullopt: it is removed
    bool operator==(const Item&) const = default;
  };
  bool whole = false;       // these are all that there are, of all mailboxes: others are gone
  std::vector<Item> items;  // ascending by mailbox and name, each once
  [[nodiscard]] std::string encode() const;
  static std::optional<Annotated> decode(std::string_view meta, uint8_t version = kVersion);
};

// A record of the user directory, whose journal is kept in segments like those of an account. What
// it says is in common/users/records.h; no account has one, and the fold of mail leaves it alone.
struct OfUserDirectory {
  static constexpr RecordType kType = RecordType::user_directory;
  static constexpr uint8_t kVersion = 1;
  std::string bytes;
  [[nodiscard]] std::string encode() const { return bytes; }
  static std::optional<OfUserDirectory> decode(std::string_view meta,
                                               uint8_t /*version*/ = kVersion) {
    return OfUserDirectory{std::string(meta)};
  }
};

// A restore has brought back all that these lost records had said by the end of a backup: see
// check.h. Ignorable: it changes no state.
struct Restored {
  static constexpr RecordType kType = RecordType::restored;
  static constexpr uint8_t kVersion = 1;
  struct Range {
    uint64_t first = 0, last = 0;
    bool operator==(const Range&) const = default;
  };
  std::vector<Range> lost;  // numbers of records; ascending, not overlapping
  [[nodiscard]] std::string encode() const;
  static std::optional<Restored> decode(std::string_view meta, uint8_t version = kVersion);
};

// A footer among the records, or a type that may be left out and is not known.
struct Ignored {
  bool operator==(const Ignored&) const = default;
};

using Record = std::variant<Ignored, MailboxCreated, MailboxRemoved, MailboxRenamed, Subscription,
                            Keyword, Append, Copy, Flags, Expunge, Recent, Clean, Gap, Compacted,
                            UidNext, SpecialUseSet, Snapshot, AccountNamed, PieceSums, Annotated,
                            OfUserDirectory, Restored>;

// storage: nothing that this program understands; the detail says whether it is too old. `program`
// is the version of rims that wrote it, or empty.
[[nodiscard]] Result<Record> decode(RecordType type, uint8_t version, uint64_t seq,
                                    std::string_view meta, std::string_view program);

// The version in which a record is written.
template <class R>
[[nodiscard]] uint8_t version_of(const R& record) {
  if constexpr (requires { record.version(); })
    return record.version();
  else
    return R::kVersion;
}

// A record as projections get it.
struct JournalEvent {
  uint64_t seq = 0;   // MODSEQ
  uint32_t time = 0;  // when it was written, seconds since 1970 (UTC); 0: not known
  Location location;
  bool dropped = false;  // an append record without its bytes
  Record record;
};

// The mailboxes whose messages the fold must see to apply a record (none, one or two).
[[nodiscard]] std::vector<MailboxId> mailboxes_needed(const Record& record);

// Ascending uids as ranges; each range is as long as consecutive numbers allow.
[[nodiscard]] std::vector<UidRange> to_ranges(std::span<const Uid> ascending);
[[nodiscard]] bool overlap(std::span<const UidRange> a, std::span<const UidRange> b);

}  // namespace rims::store
