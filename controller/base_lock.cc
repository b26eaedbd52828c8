// controller/base_lock.cc - flock, and /proc/locks

#include "controller/base_lock.h"

#include <cerrno>
#include <cstdio>
#include <fcntl.h>
#include <fstream>
#include <iterator>
#include <sstream>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <fmt/core.h>

namespace rims::controller {

Result<Fd> lock_base(const std::string& base_dir) {
  Fd fd(open(base_dir.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd) return Fd();
  if (flock(fd.get(), LOCK_EX | LOCK_NB) == 0) return fd;
  if (errno != EWOULDBLOCK) return Fd();
  const auto holder = holder_of_base(base_dir);
  return fail(Fault::refused,
              fmt::format("base_dir: another suite runs on {}{}; one at a time can have the mail",
                          base_dir, holder ? fmt::format(", with process {}", *holder) : ""));
}

std::optional<pid_t> holder_of_base(const std::string& base_dir) {
  struct stat st{};
  if (stat(base_dir.c_str(), &st) != 0) return std::nullopt;
  std::ifstream in("/proc/locks");
  const std::string text{std::istreambuf_iterator<char>(in), {}};
  return holder_in(text, st.st_dev, st.st_ino);
}

// "1: FLOCK  ADVISORY  WRITE 4712 fe:00:131 0 EOF"; "->" stands before FLOCK of one that waits.
std::optional<pid_t> holder_in(const std::string& locks, dev_t device, ino_t inode) {
  std::istringstream lines(locks);
  for (std::string line; std::getline(lines, line);) {
    int pid = 0;
    unsigned major_number = 0, minor_number = 0;
    unsigned long long number = 0;
    if (std::sscanf(line.c_str(), "%*d: FLOCK ADVISORY WRITE %d %x:%x:%llu", &pid, &major_number,
                    &minor_number, &number) == 4 &&
        pid > 0 && number == inode && major_number == major(device) &&
        minor_number == minor(device))
      return pid;
  }
  return std::nullopt;
}

}  // namespace rims::controller
