// common/mail/types.h - what the store tells about messages and mailboxes
//
// Plain data, no I/O. Everything here describes durable state: a change is never seen before
// it is in the journal and on the disk.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "common/base/fd.h"
#include "common/base/result.h"
#include "common/base/strong.h"
#include "common/mail/keywords.h"

namespace rims::store {

// System flags (RFC 3501 §2.3.2). \Recent is not stored with a message, it belongs to a session:
// see MailboxInfo::first_recent.
inline constexpr uint8_t kSeen = 1;
inline constexpr uint8_t kAnswered = 2;
inline constexpr uint8_t kFlagged = 4;
inline constexpr uint8_t kDeleted = 8;
inline constexpr uint8_t kDraft = 16;
inline constexpr uint8_t kAllSystemFlags = 31;

inline constexpr char kHierarchySeparator = '/';

// RFC 6154 §2, and those of the registry that came later: RFC 8457, RFC 9979.
enum class SpecialUse : uint8_t {
  none,
  drafts,
  sent,
  junk,
  trash,
  archive,
  important,
  memos,
  scheduled,
  snoozed,
  last = snoozed,
};
// The attribute of LIST, "\\Drafts"; "" for none.
[[nodiscard]] std::string_view name(SpecialUse use);

// One message of one mailbox. 48 bytes, because a mailbox is an array of them.
struct MessageEntry {
  MessageId message;  // names the bytes; shared with the copies in other mailboxes
  ModSeq modseq;      // of the last change of this entry
  int64_t date = 0;   // INTERNALDATE, seconds since 1970 (UTC)
  Uid uid;
  uint32_t size = 0;    // RFC822.SIZE
  KeywordSet keywords;  // in Mailbox::keywords()
  uint32_t saved = 0;   // SAVEDATE (RFC 8514): seconds since 1970 (UTC); 0: not known
  int16_t zone = 0;     // INTERNALDATE's zone, minutes east of UTC
  uint8_t flags = 0;    // kSeen | ...
  bool operator==(const MessageEntry&) const = default;
};
static_assert(sizeof(MessageEntry) == 48);

struct MailboxInfo {
  MailboxId id;
  std::string name;  // UTF-8, hierarchy by '/'; INBOX in capitals
  UidValidity uidvalidity;
  Uid uidnext{1};
  uint32_t messages = 0;
  uint32_t unseen = 0;
  uint32_t recent = 0;    // messages with uid >= first_recent
  Uid first_recent{1};    // messages from here on were claimed by no session yet
  uint64_t bytes = 0;     // sum of the sizes
  ModSeq highest_modseq;  // of the last change of a message
  ModSeq changed;         // of the last change at all: of a message, its name, use, subscription
  SpecialUse special_use = SpecialUse::none;
  bool noselect = false;  // a name without a mailbox, with others below it (RFC 3501 §6.3.4)
  bool operator==(const MailboxInfo&) const = default;
};

// A mailbox with its messages. Shared by all sessions that have it open; it changes between
// any two awaits of the holder, so keep UIDs, not pointers or positions, across an await.
class Mailbox {
 public:
  [[nodiscard]] const MailboxInfo& info() const { return info_; }
  // Sorted by uid.
  [[nodiscard]] std::span<const MessageEntry> messages() const { return messages_; }
  // nullptr when there is no such message (any more).
  [[nodiscard]] const MessageEntry* find(Uid uid) const;
  [[nodiscard]] const Keywords& keywords() const { return keywords_; }
  // The names of those that a message of this mailbox has.
  [[nodiscard]] std::vector<std::string> keywords_of(const MessageEntry& entry) const;
  // True after DELETE: sessions that have it open can still read it, but nothing can change it.
  [[nodiscard]] bool deleted() const { return deleted_; }
  // Numbers of keyword sets are not compared.
  bool operator==(const Mailbox& other) const;

 private:
  friend class AccountState;
  friend class IndexCodec;
  MailboxInfo info_;
  std::vector<MessageEntry> messages_;
  Keywords keywords_;
  bool loaded_ = true;  // false: only info_ is filled
  bool deleted_ = false;
};

// The bytes of a new message: a string, or a mapping of a file (a sealed memfd).
class MessageBytes {
 public:
  MessageBytes() = default;
  explicit MessageBytes(std::string bytes) : text_(std::move(bytes)) {}
  // Maps the whole file, with a copy of `front` before it; `fd` may be closed afterwards. The file
  // must not shrink: require the seals of a memfd first.
  static Result<MessageBytes> map(const Fd& fd, std::string_view front = {});
  MessageBytes(MessageBytes&& other) noexcept;
  MessageBytes& operator=(MessageBytes&& other) noexcept;
  MessageBytes(const MessageBytes&) = delete;
  MessageBytes& operator=(const MessageBytes&) = delete;
  ~MessageBytes();
  [[nodiscard]] std::string_view view() const {
    return map_ ? std::string_view(map_ + begin_, map_size_ - begin_) : std::string_view(text_);
  }

 private:
  void reset();
  std::string text_;
  const char* map_ = nullptr;
  size_t map_size_ = 0;  // with what is before the message
  size_t begin_ = 0;     // where the message begins
};

// Identifies a delivery: equal keys mean the same message for the same recipient, submitted again.
// All zeros: none.
using DeliveryKey = std::array<uint8_t, 16>;

inline constexpr size_t kMaxDeliveryId = 256;  // bytes

struct NewMessage {
  MessageBytes bytes;
  std::string structure;  // opaque to the store; given back by read_structure()
  uint8_t flags = 0;
  std::vector<std::string> keywords;
  int64_t date = 0;
  int16_t zone = 0;
  std::string delivery_id;  // kept in the record; at most kMaxDeliveryId bytes
  // Not zero: the message must get this uid, because it had it elsewhere. It must not be below
  // UIDNEXT.
  Uid uid;
  // See deliveries.h. With a key: when a message with the same one was stored at most
  // `duplicate_window` seconds ago, no second copy is. The key is kept in the record.
  DeliveryKey delivery_key{};
  uint32_t duplicate_window = 0;  // 0: each is stored
};

struct Appended {
  UidValidity uidvalidity;
  std::vector<Uid> uids;  // in the order given
  size_t repeated = 0;  // how many were repeated deliveries; they have the uids of the first copies
};

struct Copied {
  UidValidity uidvalidity;                // of the destination
  std::vector<std::pair<Uid, Uid>> uids;  // source, destination; both ascending
};

// An expunged message as it was, to be brought back.
struct Revival {
  MessageId message;
  MailboxId from;  // where it was, and as what
  Uid uid;
  uint8_t flags = 0;
  std::vector<std::string> keywords;
  int64_t date = 0;
  int16_t zone = 0;
  uint32_t size = 0;
};

// What clients keep with a mailbox, or with the account itself (RFC 5464 §3): the names of entries,
// in lower case because they are compared without, and values, which may be any bytes.
using Annotations = std::map<std::string, std::string, std::less<>>;
struct AnnotationChange {
  std::string name;                  // in any case
  std::optional<std::string> value;  // nullopt: it is removed
};
inline constexpr size_t kLongestEntryName = 255;  // bytes

struct Revived {
  UidValidity uidvalidity;
  std::vector<Uid> uids;              // in the order given; 0: its bytes are gone or damaged
  std::vector<std::string> problems;  // why, or empty
};

enum class FlagOp : uint8_t { replace, add, remove, last = remove };

struct FlagChange {
  std::vector<Uid> uids;  // any order
  FlagOp op = FlagOp::add;
  uint8_t flags = 0;
  std::vector<std::string> keywords;
  std::optional<ModSeq> unchanged_since;  // RFC 7162 §3.1.3
};

struct FlagOutcome {
  enum class Verdict : uint8_t {
    changed,
    unchanged,  // it already was as asked
    gone,       // no such message (any more)
    too_new,    // changed since unchanged_since
  };
  Uid uid;
  Verdict verdict = Verdict::gone;
  // What the entry is after the change; nothing for `gone`.
  uint8_t flags = 0;
  KeywordSet keywords;
  ModSeq modseq;
};

// What an account holds in all its mailboxes together, or may hold (RFC 9208 §5). A copy counts
// like another message; a message that no mailbox has any more does not count.
struct Usage {
  uint64_t bytes = 0;  // of the messages, as RFC822.SIZE
  uint64_t messages = 0;
  uint64_t mailboxes = 0;  // without \Noselect names
  bool operator==(const Usage&) const = default;
};

// What an account may have given out that nobody knows of any more. The default: a little.
struct Unseen {
  uint32_t numbers = 10'000;     // UIDs of each mailbox, ids of messages and of mailboxes
  uint64_t records = 1'000'000;  // MODSEQs
};

// Limits that the store itself enforces (Fault::limit).
struct Limits {
  size_t mailboxes = 10'000;            // per account
  size_t mailbox_messages = 1'000'000;  // of one mailbox; those that are there already stay
  size_t account_messages = 4'000'000;  // of all its mailboxes; a copy counts as one more
  size_t name_bytes = 1000;             // a whole mailbox name, UTF-8
  size_t name_depth = 32;               // levels of hierarchy
  size_t subscriptions = 10'000;        // names, existing or not
  size_t keywords = 1000;               // names that a mailbox knows; at most kMaxKeywords
  size_t keyword_bytes = 100;           // one keyword's name; at most kLongestKeyword
  size_t message_bytes = size_t{1} << 30;
  size_t annotation_bytes = 65'536;            // the value of one
  size_t annotations = 100;                    // of a mailbox, or of the account itself
  size_t annotations_bytes = size_t{1} << 20;  // all names and values of an account
  Usage quota{};  // 0: no limit. More is refused with OVERQUOTA; what is there already stays
};

}  // namespace rims::store
