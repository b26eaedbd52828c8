// common/journal/open_files.h - the files that a process has open: the least used ones are closed
//
//   class Mine final : public OpenFile { ... open_file(), close_file() ... };
//   TRY(const auto use, files.use(mine));   // open from here on, and until `use` ends
//
// An account has a segment and an index file open for each that it ever touched, and a process has
// thousands of accounts: so all of them register here, and only as many stay open as the process
// can afford. The others are closed without asking their owner, and opened again when they are
// used. Descriptors that must stay open (the lock on an account, a segment that a backup reads) are
// not registered.
//
// For threads that may block; try_use() is for any thread.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <list>
#include <mutex>
#include <optional>
#include <utility>

#include "common/base/result.h"

namespace rims::store {

class OpenFile {
 public:
  OpenFile() = default;
  OpenFile(const OpenFile&) = delete;
  OpenFile& operator=(const OpenFile&) = delete;
  // By then OpenFiles::forget() was called.
  virtual ~OpenFile() = default;

 protected:
  // Each is called while nobody uses it, and never two at a time. They may block.
  virtual Status open_file() = 0;
  // Must not lose what was written; an error is reported by the next use.
  virtual void close_file() = 0;

 private:
  friend class OpenFiles;
  enum class State : unsigned char { closed, changing, open };
  State state_ = State::closed;
  size_t users_ = 0;
  std::list<OpenFile*>::iterator place_;  // in unused_, when it is open and nobody uses it
};

class OpenFiles {
 public:
  explicit OpenFiles(size_t most) : most_(most) {}
  OpenFiles(const OpenFiles&) = delete;
  OpenFiles& operator=(const OpenFiles&) = delete;
  // That of this process: an eighth of the descriptors that it may have, when it is first asked.
  static OpenFiles& of_process();

  // Keeps a file open.
  class Use {
   public:
    Use(Use&& other) noexcept : files_(std::exchange(other.files_, nullptr)), file_(other.file_) {}
    Use& operator=(Use&&) = delete;
    Use(const Use&) = delete;
    Use& operator=(const Use&) = delete;
    ~Use() {
      if (files_) files_->end_use(*file_);
    }

   private:
    friend class OpenFiles;
    Use(OpenFiles& files, OpenFile& file) : files_(&files), file_(&file) {}
    OpenFiles* files_;
    OpenFile* file_;
  };
  // Opens it when it is not; before that, closes those that were not used for the longest time.
  Result<Use> use(OpenFile& file);
  // Only when it is open: never waits.
  std::optional<Use> try_use(OpenFile& file);
  // Closes it for good. Nobody may be using it, or use it later.
  void forget(OpenFile& file);

  [[nodiscard]] size_t open() const;
  [[nodiscard]] size_t most() const { return most_; }

 private:
  void end_use(OpenFile& file);
  void make_room(std::unique_lock<std::mutex>& lock);
  void take(OpenFile& file);

  const size_t most_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::list<OpenFile*> unused_;  // open; the one that was used last is the last one
  size_t open_ = 0;
};

}  // namespace rims::store
