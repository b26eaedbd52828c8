// log/rotating_file.h - an append-only file that makes room for the next one by age or size
//
// Names   by count: FILE.0 is the newest old file, FILE.(count-1) the oldest, which goes when room
//         is needed. By day, week (ends on Saturday) or month: FILE.YYYYMMDD with the last day of
//         the period, and .1, .2 … behind it should that name be taken; these are never removed.
// Place   one directory, by a held descriptor: its path need not be in reach.
// Trust   the directory may be written by the user of rims-log and by nobody it does not trust;
//         links are not followed all the same, and what is opened must be a regular file.
// Full    a disk without room loses lines, not the process: they are counted, and the number is
//         written as soon as there is room again.
#pragma once

#include <cstdint>
#include <ctime>
#include <functional>
#include <string>
#include <string_view>

#include "common/base/fd.h"
#include "common/base/result.h"
#include "common/config/parts.h"

namespace rims::logger {

struct Rotation {
  config::ShiftAge age = config::ShiftAge::count;
  uint32_t count = 0;  // old files kept; with ShiftAge::count
  uint64_t size = 0;   // bytes; with ShiftAge::count. 0: never
};

// The first second after the period that `moment` is in, in local time. For daily, weekly, monthly.
[[nodiscard]] time_t end_of_period(time_t moment, config::ShiftAge age);

class RotatingFile {
 public:
  using Clock = std::function<time_t()>;
  // `path`, of the directory, ends in a slash.
  RotatingFile(
      Fd directory, std::string path, Clock clock = [] { return time(nullptr); })
      : clock_(std::move(clock)), directory_(std::move(directory)), above_(std::move(path)) {}

  // Opens `path`, which must be in the directory, anew, also when it is open: somebody may have
  // moved the file away. On an error the former file stays in use.
  Status open(const std::string& path, const Rotation& rotation);
  // Appends whole lines, each with its '\n'. What cannot be written is counted, and the file tells
  // it as soon as it can be written again.
  Status append(std::string_view lines);

  [[nodiscard]] uint64_t lost() const { return lost_; }
  [[nodiscard]] bool is_open() const { return fd_.valid(); }

 private:
  void rotate_if_due(size_t coming);
  void rotate_by_count();
  void rotate_by_period();
  Status write_all(std::string_view bytes);

  [[nodiscard]] Result<Fd> open_log(const std::string& path) const;
  [[nodiscard]] bool exists(const std::string& name) const;
  void rename(const std::string& from, const std::string& to);

  Clock clock_;
  Fd directory_;
  std::string above_, path_, name_;
  Rotation rotation_;
  Fd fd_;
  uint64_t size_ = 0;
  time_t period_end_ = 0;
  time_t retry_after_ = 0;  // a rotation that failed is not tried for every line
  uint64_t lost_ = 0;
  bool torn_ = false;  // the last bytes of the file are half a line
};

}  // namespace rims::logger
