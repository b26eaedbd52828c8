// auth/directory.h - the users that come and go without a reload: their journal, and what it comes
// to
//
//   Journal   segments as those of mail (common/journal), in auth.user_directory: checksums, torn
//             tails, flush before anything is acknowledged. The state in memory is its index
//   Change    planned on the state that is durable, written, flushed, and only then seen by
//             anybody. What waits together, and does not touch the same names, is one write and
//             one flush
//   Damage    costs the records that are damaged: the others are served, and the log says where
//   Failure   after a failed write the journal is read again from what is on the disk, before the
//             next change; logins go on meanwhile with what was known
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "common/async/event.h"
#include "common/async/io_pool.h"
#include "common/async/scope.h"
#include "common/base/fd.h"
#include "common/base/result.h"
#include "common/journal/journal.h"
#include "common/users/state.h"

namespace rims::auth {

class Directory {
 public:
  static constexpr uint64_t kSegmentBytes = uint64_t{64} << 20;
  static constexpr size_t kMostTogether = 1024;  // changes of one write
  static constexpr size_t kMostWaiting = 4096;

  // `base`: the directory, which is this user's alone; `path` is for messages. `wall`: seconds
  // since 1970, for records.
  Directory(Loop& loop, Fd base, std::string path, std::function<uint64_t()> wall,
            uint64_t segment_bytes = kSegmentBytes);
  Directory(const Directory&) = delete;
  Directory& operator=(const Directory&) = delete;
  ~Directory();

  // Reads the journal. An error leaves it without users; the next change tries again.
  Task<Status> open();
  // The whole of it is known: who is not in state() does not exist.
  [[nodiscard]] bool known() const { return known_; }
  // Only what is durable.
  [[nodiscard]] const users::State& state() const { return state_; }
  [[nodiscard]] uint64_t now() const { return wall_(); }

  // What is to be written, and the names that it depends on or takes.
  struct Planned {
    std::vector<std::string> keys;
    std::vector<std::string> records;  // encoded (users/records.h)
  };
  // May be called more than once. `id` is free for a new user. Its error is the answer, and nothing
  // is changed.
  using Plan = std::function<Result<Planned>(const users::State& state, uint64_t id)>;
  // Returns when the change is durable and in state(). storage: it may be, or not; `limit`: too
  // many wait.
  Task<Status> change(Plan plan);

 private:
  struct Waiting {
    Waiting(Loop& loop, Plan p) : plan(std::move(p)), over(loop) {}
    Plan plan;
    Event over;
    Status outcome;
  };
  // Owned by its change() and by what is written for it.
  using WaitingPtr = std::shared_ptr<Waiting>;

  Task<void> write_changes();
  Task<void> write_together(std::vector<WaitingPtr> group, std::vector<std::string> records);
  Task<Status> read_journal();
  static void answer(const std::vector<WaitingPtr>& group, const Status& outcome);

  Loop& loop_;
  const Fd base_;
  const std::string path_;
  const std::function<uint64_t()> wall_;
  const uint64_t segment_bytes_;
  users::State state_;
  bool known_ = false;
  uint64_t last_given_ = 0;  // of the numbers for new users
  std::deque<WaitingPtr> waiting_;
  Event arrived_;
  std::unique_ptr<store::Journal> journal_;  // empty after a failure
  IoPool pool_;
  Scope scope_;  // last: its tasks use the others
};

}  // namespace rims::auth
