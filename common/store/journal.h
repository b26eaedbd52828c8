// common/store/journal.h - the journal of one account: the mail itself
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
#include "common/store/records.h"

namespace rims::store {

// A record to be written. The views must stay until the append returns.
struct Draft {
  RecordType type = RecordType::gap;
  std::string meta;
  std::string_view aux, body;
  uint32_t time = 0;  // seconds since 1970 (UTC)
};

// A record that was read, without its aux and body.
struct Stored {
  RecordType type = RecordType::gap;
  uint64_t seq = 0;
  uint32_t time = 0;      // when it was written; 0: not known
  std::string_view meta;  // lives in Records::bytes
  Location location;
  bool dropped = false;  // an append record without its bytes: see rewrite()
};

struct Records {
  std::vector<Stored> list;
  std::vector<std::unique_ptr<std::string>> bytes;
};

// The part of an append record that is wanted.
enum class Part : uint8_t { structure, message };

class Journal {
 public:
  Journal() = default;
  Journal(const Journal&) = delete;
  Journal& operator=(const Journal&) = delete;
  virtual ~Journal() = default;

  [[nodiscard]] virtual uint64_t last_seq() const = 0;
  // Set while the last record is CLEAN.
  [[nodiscard]] virtual std::optional<Clean> clean() const = 0;
  // An upper bound of the uids and ids in records that are damaged, as far as they were met by
  // now. The damage stays, and so does this count at each opening.
  [[nodiscard]] virtual uint32_t lost() const = 0;
  // The same for what was cut off the end by this opening.
  [[nodiscard]] virtual uint32_t cut() const = 0;

  struct Appended {
    bool lost_race = false;
    // No room for it: nothing was written, the journal is as before and goes on.
    std::optional<Error> no_room;
    std::vector<Location> locations;  // one per draft
  };
  // The drafts get expected+1, expected+2 ... An error means: the outcome is unknown, the
  // journal must be closed and opened again.
  virtual Task<Result<Appended>> append(uint64_t expected, std::span<const Draft> drafts) = 0;
  // Records from number `seq` on, as many as are handy; none at the end. Damaged ones are
  // left out (and were logged).
  virtual Task<Result<Records>> read_from(uint64_t seq) = 0;
  // At most `length` bytes of one part of the append record of `message`. `verified` says that
  // the record's checksums were seen to be right, and is set when they are; it is a local of
  // the awaiting coroutine.
  virtual Task<Result<std::string>> read(Location at, MessageId message, Part part, uint64_t offset,
                                         uint64_t length, bool* verified) = 0;
  // No record follows in the segment that is being written; the next append starts a new one.
  virtual Task<Status> seal() = 0;

  // --- giving back the room of dead messages ---
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
  // Makes a sealed segment once more, beside the old one: the same records, but those of the
  // messages `drop` (ascending) without aux and body. Appends and reads go on meanwhile.
  // storage: it is damaged (and left as it is), or there is no room.
  virtual Task<Result<Rewritten>> rewrite(uint32_t segment, std::vector<MessageId> drop,
                                          Pace pace) = 0;
  // Puts it in the place of the old one, durably. A Compacted record must be durable already.
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
