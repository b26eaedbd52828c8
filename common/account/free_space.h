// common/account/free_space.h - new mail is refused before the disk is full
//
// Flags, copies, expunging and the journal's own upkeep need room too: what is left below the
// floor is theirs. Asked before a message is taken; nothing else is refused.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>

#include "common/async/event.h"
#include "common/async/io_pool.h"
#include "common/async/task.h"
#include "common/base/result.h"
#include "common/journal/disk.h"

namespace rims::store {

struct Floor {
  uint32_t percent = 0;  // of the file system's bytes and of its inodes; 0: no floor
  uint64_t most = 0;     // bytes: the floor is never higher
};

class FreeSpace {
 public:
  // A floor in inodes is never higher than this: an account has a few dozen files.
  static constexpr uint64_t kMostInodes = 10'000;

  // `directory` is in the file system that is looked at; `now` is a clock that only grows.
  FreeSpace(Loop& loop, IoPool& pool, Disk& disk, int directory,
            std::function<std::chrono::steady_clock::time_point()> now);

  // storage UNAVAILABLE when `bytes` more would leave less than the floor. The file system is
  // asked at most once a second; what was let through since then is counted.
  Task<Status> room_for(uint64_t bytes, Floor floor);

 private:
  Task<void> look();

  IoPool& pool_;
  Disk& disk_;
  int directory_;
  std::function<std::chrono::steady_clock::time_point()> now_;
  Mutex looking_;
  std::optional<std::chrono::steady_clock::time_point> looked_;
  std::optional<FileSystem> seen_;
  uint64_t let_through_ = 0;
  bool refusing_ = false;
};

}  // namespace rims::store
