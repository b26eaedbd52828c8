// common/imap/command.h - what a client asked for, one struct per command
//
//   RFC   3501 §6 and §9; 2177 IDLE, 2342 NAMESPACE, 2971 ID, 3502 MULTIAPPEND, 3516 BINARY,
//         3691 UNSELECT,
//         4315 UIDPLUS, 4731 ESEARCH, 4959 SASL-IR, 4978 COMPRESS, 5032 WITHIN, 5161 ENABLE,
//         5182 SEARCHRES,
//         5258 LIST-EXTENDED, 5464 METADATA, 5465 NOTIFY, 5819 LIST-STATUS, 6154 SPECIAL-USE, 6851
//         MOVE, 7162 CONDSTORE and QRESYNC, 8438 STATUS=SIZE, 8474 OBJECTID, 8514 SAVEDATE, 8437
//         UNAUTHENTICATE, 8970 PREVIEW,
//         8508 REPLACE, 9208 QUOTA, 9394 PARTIAL, 9590 LIST-METADATA, 9738 (UIDAFTER, UIDBEFORE),
//         10022 UIDBATCHES; XLIST as Gmail had it
//   Made by  common/imap/parser.h; printed again by common/imap/printer.h
//
// Mailbox names are UTF-8 here (the wire has modified UTF-7) and INBOX is in upper case, also as
// the first level of a longer name. Other strings are the client's bytes, without NUL.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "common/base/secret.h"
#include "common/imap/date.h"
#include "common/imap/flags.h"
#include "common/imap/numbers.h"

namespace rims::imap {

// RFC 6154 §2, RFC 8457 §3, RFC 9979. \All and \Flagged are views that a server may offer; they
// parse like the rest.
enum class SpecialUse : uint16_t {
  all = 1 << 0,
  archive = 1 << 1,
  drafts = 1 << 2,
  flagged = 1 << 3,
  important = 1 << 4,
  junk = 1 << 5,
  memos = 1 << 6,
  scheduled = 1 << 7,
  sent = 1 << 8,
  snoozed = 1 << 9,
  trash = 1 << 10,
  other = 1 << 11,  // use-attr-ext: none that we know
};
// In the order of their bits, without the backslash.
inline constexpr std::string_view kSpecialUses[] = {"All",       "Archive", "Drafts", "Flagged",
                                                    "Important", "Junk",    "Memos",  "Scheduled",
                                                    "Sent",      "Snoozed", "Trash",  "Other"};

// --- any state (RFC 3501 §6.1)
struct Capability {
  bool operator==(const Capability&) const = default;
};
struct Noop {
  bool operator==(const Noop&) const = default;
};
struct Logout {
  bool operator==(const Logout&) const = default;
};
struct Id {  // RFC 2971 §3.1; empty for ID NIL
  std::vector<std::pair<std::string, std::optional<std::string>>> fields;
  bool operator==(const Id&) const = default;
};
// "Mail 1.2": the values of "name" and "version"; "" when there are none.
[[nodiscard]] std::string client_name(const Id& id);

// --- not authenticated (RFC 3501 §6.2)
struct Starttls {
  bool operator==(const Starttls&) const = default;
};
struct Authenticate {
  std::string mechanism;           // upper case
  std::optional<Secret> response;  // base64 as it came, "" for "=" (RFC 4959 §3)
  bool operator==(const Authenticate& other) const;
};
struct Login {
  std::string user;
  Secret password;
  bool operator==(const Login& other) const;
};

// --- authenticated (RFC 3501 §6.3)
struct Enable {                           // RFC 5161 §3.1
  std::vector<std::string> capabilities;  // upper case
  bool operator==(const Enable&) const = default;
};
struct Resync {  // QRESYNC (RFC 7162 §3.2.5); no set has a `*`
  uint32_t uidvalidity = 0;
  uint64_t modseq = 0;
  std::optional<SequenceSet> known;  // UIDs
  // Message numbers and their UIDs: both ascending, as many of the one as of the other.
  std::optional<std::pair<SequenceSet, SequenceSet>> match;
  bool operator==(const Resync&) const = default;
};
struct SelectParameters {  // RFC 4466 §2.1
  bool condstore = false;
  std::optional<Resync> resync;
  bool operator==(const SelectParameters&) const = default;
};
struct Select {
  std::string mailbox;
  SelectParameters parameters;
  bool operator==(const Select&) const = default;
};
struct Examine {
  std::string mailbox;
  SelectParameters parameters;
  bool operator==(const Examine&) const = default;
};
struct Create {
  std::string mailbox;       // a trailing '/' (RFC 3501 §6.3.3) is gone
  uint16_t special_use = 0;  // SpecialUse bits (RFC 6154 §3)
  bool operator==(const Create&) const = default;
};
struct Delete {
  std::string mailbox;
  bool operator==(const Delete&) const = default;
};
struct Rename {
  std::string from, to;
  bool operator==(const Rename&) const = default;
};
struct Subscribe {
  std::string mailbox;
  bool operator==(const Subscribe&) const = default;
};
struct Unsubscribe {
  std::string mailbox;
  bool operator==(const Unsubscribe&) const = default;
};

struct List {  // RFC 3501 §6.3.8, RFC 5258 §3
  enum Selection : uint8_t { subscribed = 1, remote = 2, recursive_match = 4, special_use = 8 };
  enum Returns : uint8_t {
    return_subscribed = 1,
    return_children = 2,
    return_special_use = 4,
    return_status = 8,     // RFC 5819: `status`, StatusQuery::Item bits
    return_metadata = 16,  // RFC 9590: `metadata`, entries as in GetMetadata
  };
  std::string reference;
  // UTF-8 where they are good modified UTF-7, else as written. One pattern "" asks for the
  // hierarchy delimiter.
  std::vector<std::string> patterns;
  uint8_t select = 0, returns = 0;
  uint16_t status = 0;
  std::vector<std::string> metadata;
  bool extended = false;  // any of RFC 5258's syntax was used, even if empty
  bool operator==(const List&) const = default;
};
struct Lsub {
  std::string reference, pattern;
  bool operator==(const Lsub&) const = default;
};
struct Xlist {  // what Gmail had before RFC 6154: LIST that names special uses
  std::string reference, pattern;
  bool operator==(const Xlist&) const = default;
};
struct StatusQuery {  // STATUS
  enum Item : uint16_t {
    messages = 1,
    recent = 2,
    uidnext = 4,
    uidvalidity = 8,
    unseen = 16,
    highestmodseq = 32,
    size = 64,           // RFC 8438
    mailbox_id = 128,    // RFC 8474
    append_limit = 256,  // RFC 7889
    deleted = 512,       // RFC 9208 §4.1.4
    deleted_storage = 1024,
  };
  std::string mailbox;
  uint16_t items = 0;
  bool operator==(const StatusQuery&) const = default;
};
struct StatusItem {
  std::string_view name;
  StatusQuery::Item bit;
};
inline constexpr StatusItem kStatusItems[] = {
    {"MESSAGES", StatusQuery::messages},
    {"RECENT", StatusQuery::recent},
    {"UIDNEXT", StatusQuery::uidnext},
    {"UIDVALIDITY", StatusQuery::uidvalidity},
    {"UNSEEN", StatusQuery::unseen},
    {"HIGHESTMODSEQ", StatusQuery::highestmodseq},
    {"SIZE", StatusQuery::size},
    {"MAILBOXID", StatusQuery::mailbox_id},
    {"APPENDLIMIT", StatusQuery::append_limit},
    {"DELETED", StatusQuery::deleted},
    {"DELETED-STORAGE", StatusQuery::deleted_storage},
};
struct AppendMessage {
  FlagList flags;
  std::optional<DateTime> date;
  std::string bytes;      // exact; moved here from the reader, may hold NUL
  bool literal8 = false;  // it came as one (RFC 3516 §4.4)
  bool operator==(const AppendMessage&) const = default;
};
struct Append {  // RFC 3501 §6.3.11, RFC 3502
  std::string mailbox;
  std::vector<AppendMessage> messages;  // one or more
  bool operator==(const Append&) const = default;
};
struct Namespace {
  bool operator==(const Namespace&) const = default;
};
struct Compress {  // RFC 4978 §3; DEFLATE is the only algorithm
  bool operator==(const Compress&) const = default;
};
// The reader is to be told expect_line() for the DONE that ends it (RFC 2177 §3).
struct Idle {
  bool operator==(const Idle&) const = default;
};

// --- selected (RFC 3501 §6.4)
struct Check {
  bool operator==(const Check&) const = default;
};
struct Close {
  bool operator==(const Close&) const = default;
};
struct Unselect {
  bool operator==(const Unselect&) const = default;
};
struct UidBatches {   // RFC 10022 §3.1
  uint32_t size = 1;  // messages
  // Which batches, as written; 1 is the one with the newest messages.
  std::optional<std::pair<uint32_t, uint32_t>> batches;
  bool operator==(const UidBatches&) const = default;
};
struct Expunge {
  std::optional<SequenceSet> uids;  // UID EXPUNGE (RFC 4315 §2.1)
  bool operator==(const Expunge&) const = default;
};

struct SearchKey {
  enum class Kind : uint8_t {
    all,         // ALL
    flag_set,    // ANSWERED DELETED DRAFT FLAGGED RECENT SEEN: `flag`
    flag_clear,  // UNANSWERED ... UNSEEN, OLD: `flag`
    keyword,     // KEYWORD: `text`
    unkeyword,   // UNKEYWORD: `text`
    sequence,    // sequence-set: `set`
    uid,         // UID: `set`
    before,      // BEFORE ON SINCE, SENTBEFORE SENTON SENTSINCE: `date`
    on,
    since,
    sent_before,
    sent_on,
    sent_since,
    saved_before,  // SAVEDBEFORE SAVEDON SAVEDSINCE: `date` (RFC 8514 §4.3)
    saved_on,
    saved_since,
    save_date_supported,
    email_id,  // EMAILID THREADID: `text` (RFC 8474 §6)
    thread_id,
    larger,  // LARGER SMALLER: `size`
    smaller,
    older,  // OLDER YOUNGER: `size`, in seconds (RFC 5032)
    younger,
    uid_after,  // UIDAFTER UIDBEFORE: `size`, a UID (RFC 9738 §3.2)
    uid_before,
    modseq,  // MODSEQ: `modseq`; `text` and `field` are the entry and its type, or "" (RFC 7162
             // §3.1.5)
    header,  // HEADER, BCC CC FROM SUBJECT TO: `field` in lower case, `text` (may be "")
    body,    // BODY TEXT: `text`
    text,
    both,      // ( ... ) and the top level: all of `keys`; NEW is RECENT and UNSEEN
    either,    // OR: one of `keys`, two or more; none of them is itself an `either`
    negation,  // NOT: not the one in `keys`
  };
  Kind kind = Kind::all;
  SystemFlag flag = SystemFlag::seen;
  Date date;
  uint32_t size = 0;
  uint64_t modseq = 0;
  SequenceSet set;
  std::string field, text;
  std::vector<SearchKey> keys;
  bool operator==(const SearchKey&) const = default;
};
struct Search {
  enum Return : uint8_t { min = 1, max = 2, all = 4, count = 8, save = 16, partial = 32 };
  // RFC 4731 §3.1, RFC 5182 §2, RFC 9394 §3.1; 0: no RETURN, so SEARCH and not ESEARCH
  uint8_t returns = 0;
  Page page;            // with `partial`
  std::string charset;  // as written, "" when none was given: then US-ASCII
  SearchKey key;        // `both` when there were several
  bool operator==(const Search&) const = default;
};

struct SortKey {
  enum class Kind : uint8_t {
    arrival,  // RFC 5256 §3
    cc,
    date,
    from,
    size,
    subject,
    to,
    display_from,  // RFC 5957
    display_to,
  };
  Kind kind = Kind::arrival;
  bool reverse = false;
  bool operator==(const SortKey&) const = default;
};
struct Sort {                 // RFC 5256 §3; RETURN: RFC 5267 §3.1, RFC 9394 §3.1
  std::vector<SortKey> keys;  // each kind once: a second one would decide nothing
  Search search;              // without `save`
  bool operator==(const Sort&) const = default;
};
struct Thread {  // RFC 5256 §3
  enum class Algorithm : uint8_t { ordered_subject, references, refs };
  Algorithm algorithm = Algorithm::ordered_subject;
  Search search;
  bool operator==(const Thread&) const = default;
};

struct Partial {  // <offset.length>
  uint32_t offset = 0, length = 0;
  bool operator==(const Partial&) const = default;
};
struct FetchSection {
  // How it was asked for decides how the answer is called.
  enum class Form : uint8_t { body, rfc822, rfc822_header, rfc822_text, binary, binary_size };
  enum class Text : uint8_t { whole, header, header_fields, header_fields_not, text, mime };
  Form form = Form::body;
  bool peek = false;           // does not set \Seen: BODY.PEEK, RFC822.HEADER, BINARY.PEEK
  std::vector<uint32_t> part;  // section-part: 1.2.3
  // For the RFC822 forms: whole, header, text. For BINARY (RFC 3516): whole.
  Text text = Text::whole;
  std::vector<std::string> fields;  // header-list, as written
  std::optional<Partial> partial;
  bool operator==(const FetchSection&) const = default;
};
struct Fetch {
  enum Item : uint16_t {
    flags = 1,
    internal_date = 2,
    rfc822_size = 4,
    envelope = 8,
    body = 16,  // BODY without section
    body_structure = 32,
    uid = 64,  // asked by name; UID FETCH answers with it in any case
    modseq = 128,
    save_date = 256,  // RFC 8514 §4.2
    email_id = 512,   // RFC 8474 §5.3
    thread_id = 1024,
    preview = 2048,       // RFC 8970 §3.1
    lazy_preview = 4096,  // PREVIEW (LAZY); beside `preview` it says nothing
  };
  SequenceSet messages;
  uint16_t items = 0;  // macros are spelled out
  std::vector<FetchSection> sections;
  std::optional<uint64_t> changed_since;  // RFC 7162 §3.1.4.1
  bool vanished = false;                  // only of UID FETCH, with changed_since (RFC 7162 §3.2.6)
  std::optional<Page> page;               // only of UID FETCH (RFC 9394 §3.3)
  bool operator==(const Fetch&) const = default;
};
struct Store {
  enum class How : uint8_t { replace, add, remove };
  SequenceSet messages;
  std::optional<uint64_t> unchanged_since;  // RFC 7162 §3.1.3
  How how = How::replace;
  bool silent = false;
  FlagList flags;
  bool operator==(const Store&) const = default;
};
struct Copy {
  SequenceSet messages;
  std::string mailbox;
  bool operator==(const Copy&) const = default;
};
struct Replace {             // RFC 8508 §3
  uint32_t message = kStar;  // a number, or in UID REPLACE a UID; kStar is the last message
  std::string mailbox;       // that gets the new message
  AppendMessage with;
  bool operator==(const Replace&) const = default;
};
struct Move {  // RFC 6851 §3
  SequenceSet messages;
  std::string mailbox;
  bool operator==(const Move&) const = default;
};

struct GetQuota {  // RFC 9208 §4.1
  std::string root;
  bool operator==(const GetQuota&) const = default;
};
struct GetQuotaRoot {
  std::string mailbox;
  bool operator==(const GetQuotaRoot&) const = default;
};
struct SetQuota {
  std::string root;
  std::vector<std::pair<std::string, uint64_t>> limits;  // a resource in upper case, its limit
  bool operator==(const SetQuota&) const = default;
};

// Entries have the syntax of RFC 5464 §3.2, in the case in which they were written.
struct GetMetadata {  // RFC 5464 §4.2
  enum class Depth : uint8_t { zero, one, infinity };
  std::string mailbox;               // "": the server
  std::vector<std::string> entries;  // one or more
  std::optional<uint32_t> max_size;  // bytes of a value
  Depth depth = Depth::zero;
  bool operator==(const GetMetadata&) const = default;
};
struct SetMetadata {  // RFC 5464 §4.3
  std::string mailbox;
  // One or more; nullopt for NIL. A value may hold NUL.
  std::vector<std::pair<std::string, std::optional<std::string>>> entries;
  bool operator==(const SetMetadata&) const = default;
};
struct Notify {  // RFC 5465 §3.1
  enum class Filter : uint8_t {
    selected,
    selected_delayed,
    inboxes,
    personal,
    subscribed,
    subtree,    // `mailboxes`, and all that is below them
    mailboxes,  // `mailboxes`
  };
  enum Event : uint16_t {
    message_new = 1,
    message_expunge = 2,
    flag_change = 4,
    annotation_change = 8,
    mailbox_name = 16,
    subscription_change = 32,
    mailbox_metadata_change = 64,
    server_metadata_change = 128,
    other = 256,  // event-ext: none that we know
  };
  struct Group {
    Filter filter = Filter::selected;
    std::vector<std::string> mailboxes;
    uint16_t events = 0;  // Event bits; 0: NONE
    Fetch fetch;          // what to send of a new message, of the selected mailbox only
    bool operator==(const Group&) const = default;
  };
  bool status = false;        // SET STATUS
  std::vector<Group> groups;  // empty: NOTIFY NONE
  bool operator==(const Notify&) const = default;
};
struct NotifyEvent {
  std::string_view name;
  Notify::Event bit;
};
inline constexpr NotifyEvent kNotifyEvents[] = {
    {"MessageNew", Notify::message_new},
    {"MessageExpunge", Notify::message_expunge},
    {"FlagChange", Notify::flag_change},
    {"AnnotationChange", Notify::annotation_change},
    {"MailboxName", Notify::mailbox_name},
    {"SubscriptionChange", Notify::subscription_change},
    {"MailboxMetadataChange", Notify::mailbox_metadata_change},
    {"ServerMetadataChange", Notify::server_metadata_change},
};

struct Unauthenticate {  // RFC 8437 §2
  bool operator==(const Unauthenticate&) const = default;
};

using Arguments =
    std::variant<Noop, Capability, Logout, Id, Starttls, Authenticate, Login, Enable, Select,
                 Examine, Create, Delete, Rename, Subscribe, Unsubscribe, List, Lsub, StatusQuery,
                 Append, Namespace, Idle, Check, Close, Unselect, Expunge, Search, Sort, Thread,
                 Fetch, Store, Copy, Move, GetQuota, GetQuotaRoot, SetQuota, Compress,
                 Unauthenticate, GetMetadata, SetMetadata, Replace, UidBatches, Notify, Xlist>;

struct Command {
  std::string tag;
  bool by_uid = false;  // UID FETCH, SEARCH, SORT, STORE ...: sets and answers hold UIDs
  Arguments args;
  bool operator==(const Command&) const = default;
};

// What SEARCH, SORT or THREAD looks for; nullptr for other commands.
[[nodiscard]] const Search* criteria(const Command& command);

// "FETCH", "UID FETCH" ... for logs and tagged replies. Static storage.
[[nodiscard]] std::string_view name(const Command& command);

}  // namespace rims::imap
