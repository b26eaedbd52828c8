// common/account/free_space.cc - the floor, and what is told about it

#include "common/account/free_space.h"

#include <algorithm>
#include <cerrno>

#include <fmt/format.h>

#include "common/base/errno_text.h"
#include "common/base/log.h"

namespace rims::store {
namespace {

constexpr std::chrono::seconds kLookAgain{1};

uint64_t part_of(uint64_t all, uint32_t percent) { return all / 100 * percent; }

}  // namespace

FreeSpace::FreeSpace(Loop& loop, IoPool& pool, Disk& disk, int directory,
                     std::function<std::chrono::steady_clock::time_point()> now)
    : pool_(pool), disk_(disk), directory_(directory), now_(std::move(now)), looking_(loop) {}

Task<void> FreeSpace::look() {
  const auto lock = co_await looking_.lock();
  const auto now = now_();
  if (looked_ && now - *looked_ < kLookAgain) co_return;
  FileSystem found;
  int error = 0;
  co_await pool_.run([&] {
    if (disk_.file_system(directory_, found) != 0) error = errno;
  });
  looked_ = now;
  let_through_ = 0;
  seen_.reset();
  if (error == 0)
    seen_ = found;
  else  // no reason to refuse mail: a write that fails will tell
    log::warn("", "statvfs of the mail store: {}; its free space is not known", errno_text(error));
}

Task<Status> FreeSpace::room_for(uint64_t bytes, Floor floor) {
  if (floor.percent == 0) co_return Status();
  if (!looked_ || now_() - *looked_ >= kLookAgain) co_await look();
  if (!seen_) co_return Status();
  const uint64_t least = std::min(part_of(seen_->bytes, floor.percent), floor.most);
  const uint64_t least_inodes = std::min(part_of(seen_->inodes, floor.percent), kMostInodes);
  const bool no_bytes = seen_->free_bytes < least + let_through_ + bytes;
  const bool no_inodes = seen_->inodes != 0 && seen_->free_inodes < least_inodes;
  if (!no_bytes && !no_inodes) {
    let_through_ += bytes;
    if (std::exchange(refusing_, false))
      log::info("", "the file system of the mail store has {} bytes free: new mail is taken again",
                seen_->free_bytes);
    co_return Status();
  }
  std::string why = no_bytes ? fmt::format("{} bytes free of {}, and the floor is {} bytes",
                                           seen_->free_bytes, seen_->bytes, least)
                             : fmt::format("{} inodes free of {}, and the floor is {}",
                                           seen_->free_inodes, seen_->inodes, least_inodes);
  why = "the file system of the mail store has " + why +
        " (storage.free_space_floor): new mail is refused until room is made";
  if (!std::exchange(refusing_, true)) log::error("", "{}", why);
  co_return fail(Fault::storage, "no room for new mail now", std::move(why), "UNAVAILABLE");
}

}  // namespace rims::store
