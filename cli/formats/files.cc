// cli/formats/files.cc - files of other programs

#include "cli/formats/files.h"

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <dirent.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <memory>
#include <sys/syscall.h>
#include <unistd.h>

#include "common/base/errno_text.h"
#include "deliver/intake.h"

namespace rims::cli {
namespace {

std::unexpected<Error> failed(const std::string& path, int error) {
  if (error == ELOOP)
    return fail(Fault::refused,
                path + ": there is a symbolic link in this path, which is not followed");
  return std::unexpected(Error(error == ENOENT ? Fault::not_found : Fault::storage,
                               path + ": " + std::string(errno_text(error)), {}, {}, error));
}

Fd open_plainly(const std::string& path, int flags, unsigned mode = 0) {
  open_how how{};
  how.flags = static_cast<uint64_t>(flags) | O_CLOEXEC;
  how.mode = mode;
  how.resolve = RESOLVE_NO_SYMLINKS;
  return Fd(static_cast<int>(syscall(SYS_openat2, AT_FDCWD, path.c_str(), &how, sizeof how)));
}

// A name, and the directory in which it stands.
struct Place {
  explicit Place(const std::string& path) {
    const size_t slash = path.rfind('/');
    name = slash == path.npos ? path : path.substr(slash + 1);
    const std::string parent = slash == path.npos ? "." : slash == 0 ? "/" : path.substr(0, slash);
    directory = open_plainly(parent, O_PATH | O_DIRECTORY);
  }
  Fd directory;  // none: errno says why
  std::string name;
};

struct CloseDirectory {
  void operator()(DIR* d) const { closedir(d); }
};

struct Free {
  void operator()(char* p) const { std::free(p); }  // NOLINT: the library's memory
};

}  // namespace

std::string real_path(const std::string& path) {
  std::string there = path.empty() ? "." : path, missing;
  for (;;) {
    const std::unique_ptr<char, Free> real(realpath(there.c_str(), nullptr));
    if (real) {
      std::string whole(real.get());
      if (!missing.empty() && whole.ends_with('/')) whole.pop_back();
      return whole + missing;
    }
    while (there.size() > 1 && there.ends_with('/')) there.pop_back();
    const size_t slash = there.rfind('/');
    if (slash == there.npos && there == ".") return path;
    missing.insert(0, slash == there.npos ? there : there.substr(slash + 1)).insert(0, 1, '/');
    there = slash == there.npos ? "." : slash == 0 ? "/" : there.substr(0, slash);
  }
}

Result<Fd> open_file(const std::string& path) {
  Fd fd = open_plainly(path, O_RDONLY | O_NONBLOCK);
  if (!fd) return failed(path, errno);
  struct stat st{};
  if (fstat(fd.get(), &st) != 0) return failed(path, errno);
  if (!S_ISREG(st.st_mode)) return fail(Fault::storage, path + ": not a regular file");
  return fd;
}

Result<Fd> create_file(const std::string& path) {
  Fd fd = open_plainly(path, O_WRONLY | O_CREAT | O_EXCL, 0600);
  if (!fd) return failed(path, errno);
  return fd;
}

Result<std::string> read_file(const std::string& path, uint64_t max) {
  TRY(const Fd fd, open_file(path));
  auto bytes = deliver::read_to_end(fd.get(), max);
  if (!bytes) return fail(bytes.error().fault(), path + ": " + bytes.error().detail());
  return bytes;
}

Result<std::vector<std::string>> list_directory(const std::string& path) {
  Fd fd = open_plainly(path, O_RDONLY | O_DIRECTORY);
  if (!fd) return failed(path, errno);
  const std::unique_ptr<DIR, CloseDirectory> dir(fdopendir(fd.get()));
  if (!dir) return failed(path, errno);
  (void)fd.release();
  std::vector<std::string> names;
  errno = 0;
  while (const dirent* entry = readdir(dir.get())) {  // NOLINT(concurrency-mt-unsafe): our own
    const std::string_view name = entry->d_name;
    if (name != "." && name != "..") names.emplace_back(name);
    errno = 0;
  }
  if (errno != 0) return failed(path, errno);
  std::ranges::sort(names);
  return names;
}

std::optional<struct stat> look_at(const std::string& path) {
  const Fd fd = open_plainly(path, O_PATH | O_NOFOLLOW);
  struct stat st{};
  if (!fd || fstat(fd.get(), &st) != 0) return std::nullopt;
  return st;
}

bool is_directory(const std::string& path) {
  const auto st = look_at(path);
  return st && S_ISDIR(st->st_mode);
}

bool is_link(const std::string& path) {
  const auto st = look_at(path);
  return st && S_ISLNK(st->st_mode);
}

Status rename_file(const std::string& from, const std::string& to) {
  const Place old(from), now(to);
  if (!old.directory || !now.directory ||
      renameat(old.directory.get(), old.name.c_str(), now.directory.get(), now.name.c_str()) != 0)
    return failed(to, errno);
  return {};
}

void remove_file(const std::string& path) {
  const Place place(path);
  if (place.directory) (void)unlinkat(place.directory.get(), place.name.c_str(), 0);
}

namespace {

Status write_whole(const std::string& path, const std::string& temporary, std::string_view bytes,
                   std::optional<int64_t> mtime, bool durably) {
  const Fd fd = open_plainly(temporary, O_WRONLY | O_CREAT | O_TRUNC, 0600);
  if (!fd) return failed(temporary, errno);
  while (!bytes.empty()) {
    const ssize_t n = write(fd.get(), bytes.data(), bytes.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return failed(temporary, errno);
    bytes.remove_prefix(static_cast<size_t>(n));
  }
  if (mtime) {
    const timespec times[2] = {{.tv_sec = *mtime, .tv_nsec = 0}, {.tv_sec = *mtime, .tv_nsec = 0}};
    if (futimens(fd.get(), times) != 0) return failed(temporary, errno);
  }
  if (durably && fdatasync(fd.get()) != 0) return failed(temporary, errno);
  return rename_file(temporary, path);
}

}  // namespace

Status write_file(const std::string& path, const std::string& temporary, std::string_view bytes,
                  std::optional<int64_t> mtime) {
  return write_whole(path, temporary, bytes, mtime, false);
}

Status write_file_durably(const std::string& path, const std::string& temporary,
                          std::string_view bytes) {
  return write_whole(path, temporary, bytes, std::nullopt, true);
}

Status sync_files(const std::string& directory) {
  const Fd fd = open_plainly(directory, O_RDONLY | O_DIRECTORY);
  if (!fd || syncfs(fd.get()) != 0) return failed(directory, errno);
  return {};
}

Status make_directories(const std::string& path) {
  for (size_t at = path.find('/', 1);; at = path.find('/', at + 1)) {
    const std::string part = path.substr(0, at);
    const Place place(part);
    if (!place.directory) return failed(part, errno);
    if (mkdirat(place.directory.get(), place.name.c_str(), 0700) != 0 && errno != EEXIST)
      return failed(part, errno);
    if (at == std::string::npos) break;
  }
  if (!open_plainly(path, O_PATH | O_DIRECTORY)) return failed(path, errno);
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
