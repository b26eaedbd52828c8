// log/rotating_file.cc - opening without following links, rotating, surviving a full disk

#include "log/rotating_file.h"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fmt/core.h>

namespace rims::logger {
namespace {

constexpr time_t kRetrySeconds = 10;

std::string name_in(const std::string& path) { return path.substr(path.rfind('/') + 1); }

}  // namespace

time_t end_of_period(time_t moment, config::ShiftAge age) {
  tm day{};
  localtime_r(&moment, &day);
  day.tm_hour = day.tm_min = day.tm_sec = 0;
  day.tm_isdst = -1;  // the offset of that day, not of today
  switch (age) {
    case config::ShiftAge::weekly:
      day.tm_mday += 7 - day.tm_wday;
      break;
    case config::ShiftAge::monthly:
      day.tm_mday = 1;
      day.tm_mon += 1;
      break;
    case config::ShiftAge::daily:
    case config::ShiftAge::count:
      day.tm_mday += 1;
      break;
  }
  return mktime(&day);
}

Result<Fd> RotatingFile::open_log(const std::string& path) const {
  if (path != above_ + name_in(path))
    return fail(Fault::refused, "temporary failure",
                path + " is not in " + above_ + ", the only directory in reach");
  Fd fd(openat(directory_.get(), name_in(path).c_str(),
               O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW | O_CLOEXEC | O_NOCTTY | O_NONBLOCK,
               0640));
  if (!fd) return fail_errno("open " + path, errno);
  struct stat st{};
  if (fstat(fd.get(), &st) != 0) return fail_errno("stat " + path, errno);
  if (!S_ISREG(st.st_mode))
    return fail(Fault::refused, "temporary failure", path + " is not a regular file");
  if (st.st_nlink > 1)
    return fail(Fault::refused, "temporary failure", path + " has a second name (hard link)");
  return fd;
}

bool RotatingFile::exists(const std::string& name) const {
  return bool(Fd(openat(directory_.get(), name.c_str(), O_PATH | O_NOFOLLOW | O_CLOEXEC)));
}

void RotatingFile::rename(const std::string& from, const std::string& to) {
  (void)renameat(directory_.get(), from.c_str(), directory_.get(), to.c_str());
}

Status RotatingFile::open(const std::string& path, const Rotation& rotation) {
  TRY(Fd fresh, open_log(path));
  struct stat st{};
  if (fstat(fresh.get(), &st) != 0) return fail_errno("stat " + path, errno);
  fd_ = std::move(fresh);
  path_ = path;
  name_ = name_in(path);
  rotation_ = rotation;
  size_ = static_cast<uint64_t>(st.st_size);
  torn_ = false;
  retry_after_ = 0;
  // A file from before the last period's end is due at the first line, also after a restart.
  period_end_ = end_of_period(st.st_size > 0 ? st.st_mtime : clock_(), rotation.age);
  return {};
}

void RotatingFile::rotate_by_count() {
  const auto old = [this](uint32_t n) { return fmt::format("{}.{}", name_, n); };
  for (uint32_t n = rotation_.count - 1; n-- > 0;)
    if (exists(old(n))) rename(old(n), old(n + 1));
  rename(name_, old(0));
}

void RotatingFile::rotate_by_period() {
  const time_t last = period_end_ - 1;
  tm day{};
  localtime_r(&last, &day);
  const std::string dated =
      fmt::format("{}.{:04}{:02}{:02}", name_, day.tm_year + 1900, day.tm_mon + 1, day.tm_mday);
  std::string name = dated;
  for (unsigned n = 1; exists(name); n++) name = fmt::format("{}.{}", dated, n);
  rename(name_, name);
}

void RotatingFile::rotate_if_due(size_t coming) {
  const time_t now = clock_();
  if (now < retry_after_) return;
  if (rotation_.age == config::ShiftAge::count) {
    const bool full =
        rotation_.size > 0 && rotation_.count > 0 && size_ > 0 && size_ + coming > rotation_.size;
    if (!full) return;
    rotate_by_count();
  } else {
    if (now < period_end_) return;
    if (size_ > 0) rotate_by_period();
  }
  // A directory that does not let us rename or create leaves the old descriptor in use.
  auto fresh = open_log(path_);
  if (!fresh) {
    retry_after_ = now + kRetrySeconds;
    return;
  }
  struct stat st{};
  fd_ = std::move(*fresh);
  size_ = fstat(fd_.get(), &st) == 0 ? static_cast<uint64_t>(st.st_size) : 0;
  torn_ = false;
  period_end_ = end_of_period(now, rotation_.age);
  if (size_ > 0) retry_after_ = now + kRetrySeconds;  // it did not get out of the way
}

Status RotatingFile::write_all(std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t done = ::write(fd_.get(), bytes.data(), bytes.size());
    if (done < 0 && errno == EINTR) continue;
    if (done <= 0) return fail_errno("write " + path_, done < 0 ? errno : ENOSPC);
    size_ += static_cast<uint64_t>(done);
    torn_ = bytes[static_cast<size_t>(done) - 1] != '\n';
    bytes.remove_prefix(static_cast<size_t>(done));
  }
  return {};
}

Status RotatingFile::append(std::string_view lines) {
  const auto count = static_cast<uint64_t>(std::ranges::count(lines, '\n'));
  const auto lose = [&](Status why) {
    lost_ += count;
    return why;
  };
  if (!fd_) return lose(fail(Fault::storage, "temporary failure", path_ + " is not open"));
  rotate_if_due(lines.size());
  if (torn_)
    if (Status ended = write_all("\n"); !ended) return lose(std::move(ended));
  if (lost_ > 0) {
    Status told =
        write_all(fmt::format("{} lines were lost here: the file could not be written\n", lost_));
    if (!told) return lose(std::move(told));
    lost_ = 0;
  }
  const uint64_t before = size_;
  Status done = write_all(lines);
  if (done) return done;
  // Whole lines that got through are not lost.
  const uint64_t written = size_ - before;
  const auto whole = static_cast<uint64_t>(std::ranges::count(lines.substr(0, written), '\n'));
  lost_ += count - std::min(count, whole);
  return done;
}

}  // namespace rims::logger
