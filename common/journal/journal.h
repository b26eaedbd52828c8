// common/journal/journal.h - the journal of one account: the mail itself
//
// A sequence of records, numbered from 1. An append names the number it expects to follow and
// is durable as a whole when it returns `committed`; when somebody else was faster it applies
// nothing. Implementations: files (file_journal.h), memory (memory_journal.h).
//
// One append at a time, by its owner; reads may run beside it.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "common/async/task.h"
#include "common/base/result.h"
#include "common/mail/records.h"

namespace rims::store {

// A record to be written. The views must stay until the append returns.
struct Draft {
  Record record;
  RecordType type = RecordType::gap;
  uint8_t version = 1;
  std::string meta;
  std::string_view aux, body;
  uint32_t time = 0;  // seconds since 1970 (UTC)
};
template <class R>
[[nodiscard]] Draft draft(R record, uint32_t time, std::string_view aux = {},
                          std::string_view body = {}) {
  std::string meta = record.encode();
  const uint8_t version = version_of(record);
  return {.record = std::move(record),
          .type = R::kType,
          .version = version,
          .meta = std::move(meta),
          .aux = aux,
          .body = body,
          .time = time};
}

// The part of an append record that is wanted.
enum class Part : uint8_t { structure, message };

class Journal {
 public:
  Journal() = default;
  Journal(const Journal&) = delete;
  Journal& operator=(const Journal&) = delete;
  virtual ~Journal() = default;

  // Random, the same as long as the account lives; empty when the journal has no such id.
  [[nodiscard]] virtual std::string account() const { return {}; }
  [[nodiscard]] virtual uint64_t last_seq() const = 0;
  // Set while the last record is CLEAN.
  [[nodiscard]] virtual std::optional<Clean> clean() const = 0;
  // An upper bound of the uids and ids in the damaged records that were found so far. Damage stays
  // in the journal, so each opening counts it again.
  [[nodiscard]] virtual uint32_t lost() const = 0;
  // The same for what was cut off the end by this opening.
  [[nodiscard]] virtual uint32_t cut() const = 0;

  // Which segments it is made of that begin at or before record `seq`, in a few bytes: different
  // when one is missing or is there again, the same when one is compacted. Empty: there are none.
  [[nodiscard]] virtual std::string made_of(uint64_t /*seq*/) const { return {}; }
  // A part of the journal exists, but can not be used now; perhaps it can at the next opening. So
  // what is built from the rest is not complete.
  [[nodiscard]] virtual bool incomplete() const { return false; }
  // Record numbers up to this one were used before: the next record gets a higher one. Call it
  // before any append.
  virtual void pass_over(uint64_t /*seq*/) {}
  // Why the journal is read-only; nullopt: it can be written. While it is read-only, appends return
  // `no_room`.
  [[nodiscard]] virtual std::optional<Error> only_read() const { return std::nullopt; }
  // Notes that something could not be written because the journal is read-only. When it can be
  // written again, the first append fails, so that the journal is opened again.
  virtual void owe() {}

  struct Appended {
    bool lost_race = false;
    // No room for it: nothing was written, the journal is as before and goes on.
    std::optional<Error> no_room;
    std::vector<Location> locations;  // one per draft
  };
  // The drafts get expected+1, expected+2 ... An error means: the outcome is unknown, the
  // journal must be closed and opened again.
  virtual Task<Result<Appended>> append(uint64_t expected, std::span<const Draft> drafts) = 0;
  // Would an append of these begin a new segment? Then its first record should be a Snapshot. Ask
  // while no append and no seal() is under way.
  [[nodiscard]] virtual bool begins_segment(std::span<const Draft> drafts) const = 0;
  // The same in all segments, random (segment.h); 16 bytes.
  [[nodiscard]] virtual std::string account_id() const = 0;
  // Some records from number `seq` on, as many as one read gives; none at the end. Damaged ones are
  // left out (and were logged). storage: one that this program does not understand (decode()).
  virtual Task<Result<std::vector<JournalEvent>>> read_from(uint64_t seq) = 0;
  // At most `length` bytes of one part of the append record of `message`. `verified` says that
  // the record's checksums were seen to be right, and is set when they are; it is a local of
  // the awaiting coroutine.
  virtual Task<Result<std::string>> read(Location at, MessageId message, Part part, uint64_t offset,
                                         uint64_t length, bool* verified) = 0;
  // No record follows in the segment that is being written; the next append starts a new one.
  virtual Task<Status> seal() = 0;

  // --- compaction: freeing the space of messages that no mailbox has any more ---
  struct Segment {
    uint32_t number = 0;
    uint64_t bytes = 0;  // of all its records
    bool sealed = false;
  };
  virtual Task<Result<std::vector<Segment>>> segments() = 0;
  // Asked between two pieces of work with the bytes of the last one; may wait. False: stop.
  using Pace = std::function<Task<bool>(uint64_t bytes)>;
  struct Rewritten {
    uint32_t segment = 0;
    bool whole = true;               // false: `pace` said stop, and nothing was made
    uint64_t before = 0, after = 0;  // bytes of the file
    struct Place {
      MessageId message;
      Location at;           // from replace() on
      bool dropped = false;  // now or before
    };
    std::vector<Place> places;  // of all its append records
  };
  // Writes a sealed segment again, as a new file beside the old one: with the same records, but
  // those of the messages `drop` (ascending) without aux and body. Appends and reads go on
  // meanwhile. storage: it is damaged (and left as it is), or there is no room.
  virtual Task<Result<Rewritten>> rewrite(uint32_t segment, std::vector<MessageId> drop,
                                          Pace pace) = 0;
  // Replaces the old segment by the new one, durably. A Compacted record must be durable already.
  // After an error either of the two is there; the journal must be closed and opened again.
  virtual Task<Status> replace() = 0;
  // Forgets what rewrite() has made.
  virtual Task<void> discard() = 0;

  virtual Task<void> close() = 0;
};

class AccountDir;

class JournalFactory {
 public:
  virtual ~JournalFactory() = default;
  // `dir` is empty when the store has no base directory.
  virtual Task<Result<std::unique_ptr<Journal>>> open(std::string user,
                                                      std::shared_ptr<AccountDir> dir) = 0;
};

}  // namespace rims::store
