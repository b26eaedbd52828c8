// common/config/running.cc - RUN_DIR/configuration

#include "common/config/running.h"

#include <cerrno>
#include <cstdio>
#include <fcntl.h>
#include <filesystem>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/errno_text.h"
#include "common/base/fd.h"
#include "common/ipc/control_link.h"

namespace rims::config {
namespace {

namespace fs = std::filesystem;

std::string path_in(const std::string& run_dir) { return run_dir + "/configuration"; }

std::string absolute(const std::string& path) {
  std::error_code ignored;
  return fs::absolute(path, ignored).lexically_normal().string();
}

}  // namespace

Status write_running(const std::string& run_dir, const std::string& file) {
  if (file.empty()) {
    remove_running(run_dir);
    return {};
  }
  const std::string path = path_in(run_dir), fresh = path + ".new", text = file + "\n";
  unlink(fresh.c_str());
  const Fd fd(open(fresh.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644));
  // Whatever the umask is.
  if (!fd || fchmod(fd.get(), 0644) != 0 ||
      ::write(fd.get(), text.data(), text.size()) != static_cast<ssize_t>(text.size()) ||
      std::rename(fresh.c_str(), path.c_str()) != 0)
    return fail(Fault::refused, "cannot write " + path + ": " + errno_text(errno));
  return {};
}

void remove_running(const std::string& run_dir) { unlink(path_in(run_dir).c_str()); }

std::optional<std::string> running_with(const std::string& run_dir) {
  const Fd fd(open(path_in(run_dir).c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
  if (!fd) return std::nullopt;
  std::string text(ipc::kMaxPath + 1, '\0');
  const ssize_t got = ::read(fd.get(), text.data(), text.size());
  if (got <= 1) return std::nullopt;
  text.resize(static_cast<size_t>(got));
  if (text.back() != '\n') return std::nullopt;
  text.pop_back();
  return text;
}

bool is_same_file(const std::string& one, const std::string& other) {
  struct stat first{}, second{};
  if (stat(one.c_str(), &first) == 0 && stat(other.c_str(), &second) == 0)
    return first.st_dev == second.st_dev && first.st_ino == second.st_ino;
  return absolute(one) == absolute(other);
}

}  // namespace rims::config
