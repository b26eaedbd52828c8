// common/journal/open_files.cc - one list, oldest first

#include "common/journal/open_files.h"

#include <algorithm>
#include <sys/resource.h>

namespace rims::store {

OpenFiles& OpenFiles::of_process() {
  // The rest is for connections and for the directories of accounts, which hold their locks.
  static OpenFiles files([] {
    constexpr rlim_t kLeast = 64, kMost = 4096;  // each costs some KiB of memory
    rlimit limit{};
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return static_cast<size_t>(kLeast);
    return static_cast<size_t>(std::clamp(limit.rlim_cur / 8, kLeast, kMost));
  }());
  return files;
}

void OpenFiles::take(OpenFile& file) {
  if (file.users_++ == 0) unused_.erase(file.place_);
}

// Closing may take a while: a file of the index is flushed before it.
void OpenFiles::make_room(std::unique_lock<std::mutex>& lock) {
  while (open_ > most_ && !unused_.empty()) {
    OpenFile& oldest = *unused_.front();
    unused_.pop_front();
    oldest.state_ = OpenFile::State::changing;
    lock.unlock();
    oldest.close_file();
    lock.lock();
    oldest.state_ = OpenFile::State::closed;
    open_--;
    changed_.notify_all();
  }
}

Result<OpenFiles::Use> OpenFiles::use(OpenFile& file) {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] { return file.state_ != OpenFile::State::changing; });
  if (file.state_ == OpenFile::State::open) {
    take(file);
    return Use(*this, file);
  }
  file.state_ = OpenFile::State::changing;
  open_++;
  make_room(lock);
  lock.unlock();
  auto opened = file.open_file();
  lock.lock();
  changed_.notify_all();
  if (!opened) {
    file.state_ = OpenFile::State::closed;
    open_--;
    return std::unexpected(opened.error());
  }
  file.state_ = OpenFile::State::open;
  file.users_ = 1;
  return Use(*this, file);
}

std::optional<OpenFiles::Use> OpenFiles::try_use(OpenFile& file) {
  const std::lock_guard lock(mutex_);
  if (file.state_ != OpenFile::State::open) return std::nullopt;
  take(file);
  return Use(*this, file);
}

void OpenFiles::end_use(OpenFile& file) {
  const std::lock_guard lock(mutex_);
  if (--file.users_ == 0) file.place_ = unused_.insert(unused_.end(), &file);
}

void OpenFiles::forget(OpenFile& file) {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] { return file.state_ != OpenFile::State::changing; });
  if (file.state_ == OpenFile::State::closed) return;
  if (file.users_ > 0) fatal("a file was forgotten while it was in use");
  unused_.erase(file.place_);
  file.state_ = OpenFile::State::closed;
  open_--;
  lock.unlock();
  file.close_file();
}

size_t OpenFiles::open() const {
  const std::lock_guard lock(mutex_);
  return open_;
}

}  // namespace rims::store
