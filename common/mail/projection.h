// common/mail/projection.h - objects that follow the journal
//
// Each record is decoded once and applied to the account's state; then every projection is given
// it, with what it has changed. A projection can be thrown away and made again from the first
// record on; it knows the number of the last record that it has seen, and it never writes a record.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "common/mail/records.h"
#include "common/mail/types.h"

namespace rims::store {

class AccountState;

// What a record has changed.
struct Change {
  enum class Kind : uint8_t {
    // of messages: `mailbox`, `uids` ascending
    appended,
    flags,
    expunged,
    // of mailboxes; `name` is the mailbox's (of a removed one, the last it had)
    created,
    removed,
    renamed,      // `old_name`
    special_use,  // also of the one that has lost it
    subscribed,   // `name` need not exist: then `mailbox` is 0
    unsubscribed,
    mended,     // a snapshot had what a lost record said: anything may be different
    annotated,  // `entries`; of the account itself, if `mailbox` is 0
    // of the numbers that name keyword sets in `mailbox`: nothing that a client sees
    renumbered,
  };
  Kind kind = Kind::mended;
  MailboxId mailbox;
  std::vector<Uid> uids;
  std::string name, old_name;
  std::vector<std::string> entries;  // the names of annotations that have another value, or none
};
[[nodiscard]] constexpr bool of_messages(Change::Kind kind) {
  return kind == Change::Kind::appended || kind == Change::Kind::flags ||
         kind == Change::Kind::expunged;
}

class Projection {
 public:
  Projection() = default;
  Projection(const Projection&) = default;
  Projection& operator=(const Projection&) = default;
  virtual ~Projection() = default;

  // `state` is the account after the event. Events come in the order of their numbers; one that was
  // seen already is left out.
  void follow(const JournalEvent& event, std::span<const Change> changes,
              const AccountState& state) {
    if (event.seq <= reached_) return;
    apply(event, changes, state);
    reached_ = event.seq;
  }
  // The number of the last record that it knows. Numbers may be missing: see Gap.
  [[nodiscard]] uint64_t reached() const { return reached_; }
  // For one that was made from a checkpoint of everything up to `seq`.
  void begin_after(uint64_t seq) { reached_ = seq; }

 private:
  virtual void apply(const JournalEvent& event, std::span<const Change> changes,
                     const AccountState& state) = 0;
  uint64_t reached_ = 0;
};

}  // namespace rims::store
