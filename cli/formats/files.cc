// cli/formats/files.cc - files of other programs

#include "cli/formats/files.h"

#include <algorithm>
#include <cerrno>
#include <dirent.h>
#include <fcntl.h>
#include <filesystem>
#include <memory>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/errno_text.h"
#include "deliver/intake.h"

namespace rims::cli {
namespace {

std::unexpected<Error> failed(const std::string& path, int error) {
  return fail(error == ENOENT ? Fault::not_found : Fault::storage,
              path + ": " + std::string(errno_text(error)));
}

struct CloseDirectory {
  void operator()(DIR* d) const { closedir(d); }
};

}  // namespace

Result<Fd> open_file(const std::string& path) {
  Fd fd(open(path.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
  if (!fd) return failed(path, errno);
  struct stat st{};
  if (fstat(fd.get(), &st) != 0) return failed(path, errno);
  if (!S_ISREG(st.st_mode)) return fail(Fault::storage, path + ": not a regular file");
  return fd;
}

Result<std::string> read_file(const std::string& path, uint64_t max) {
  TRY(const Fd fd, open_file(path));
  auto bytes = deliver::read_to_end(fd.get(), max);
  if (!bytes) return fail(bytes.error().fault(), path + ": " + bytes.error().detail());
  return bytes;
}

Result<std::vector<std::string>> list_directory(const std::string& path) {
  const std::unique_ptr<DIR, CloseDirectory> dir(opendir(path.c_str()));
  if (!dir) return failed(path, errno);
  std::vector<std::string> names;
  errno = 0;
  while (const dirent* entry = readdir(dir.get())) {
    const std::string_view name = entry->d_name;
    if (name != "." && name != "..") names.emplace_back(name);
    errno = 0;
  }
  if (errno != 0) return failed(path, errno);
  std::ranges::sort(names);
  return names;
}

bool is_directory(const std::string& path) {
  struct stat st{};
  return lstat(path.c_str(), &st) == 0 && S_ISDIR(st.st_mode);
}

namespace {

Status write_whole(const std::string& path, const std::string& temporary, std::string_view bytes,
                   int64_t mtime, bool durably) {
  const Fd fd(open(temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600));
  if (!fd) return failed(temporary, errno);
  while (!bytes.empty()) {
    const ssize_t n = write(fd.get(), bytes.data(), bytes.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return failed(temporary, errno);
    bytes.remove_prefix(static_cast<size_t>(n));
  }
  if (mtime >= 0) {
    const timespec times[2] = {{.tv_sec = mtime, .tv_nsec = 0}, {.tv_sec = mtime, .tv_nsec = 0}};
    if (futimens(fd.get(), times) != 0) return failed(temporary, errno);
  }
  if (durably && fdatasync(fd.get()) != 0) return failed(temporary, errno);
  if (rename(temporary.c_str(), path.c_str()) != 0) return failed(path, errno);
  return {};
}

}  // namespace

Status write_file(const std::string& path, const std::string& temporary, std::string_view bytes,
                  int64_t mtime) {
  return write_whole(path, temporary, bytes, mtime, false);
}

Status write_file_durably(const std::string& path, const std::string& temporary,
                          std::string_view bytes) {
  return write_whole(path, temporary, bytes, -1, true);
}

Status sync_files(const std::string& directory) {
  const Fd fd(open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd || syncfs(fd.get()) != 0) return failed(directory, errno);
  return {};
}

Status make_directories(const std::string& path) {
  for (size_t at = path.find('/', 1);; at = path.find('/', at + 1)) {
    const std::string part = path.substr(0, at);
    if (mkdir(part.c_str(), 0700) != 0 && errno != EEXIST) return failed(part, errno);
    if (at == std::string::npos) break;
  }
  if (!std::filesystem::is_directory(path)) return failed(path, ENOTDIR);
  return {};
}

std::string local_lines(std::string bytes) {
  std::string local;
  local.reserve(bytes.size());
  for (size_t i = 0; i < bytes.size(); i++) {
    if (bytes[i] == '\r' && i + 1 < bytes.size() && bytes[i + 1] == '\n') continue;
    local += bytes[i];
  }
  return deliver::wire_lines(local) == bytes ? local : bytes;
}

}  // namespace rims::cli
