// common/base/beneath.cc - one openat(2) for each part of a path

#include "common/base/beneath.h"

#include <cerrno>
#include <fcntl.h>
#include <string>
#include <string_view>
#include <sys/stat.h>

namespace rims {
namespace {

// The kernel's word for a link in the place of a directory is "not a directory".
bool is_link(int dir, const char* name) {
  const Fd fd(openat(dir, name, O_PATH | O_NOFOLLOW | O_CLOEXEC));
  struct stat st{};
  return fd && fstat(fd.get(), &st) == 0 && S_ISLNK(st.st_mode);
}

}  // namespace

Fd open_beneath(int dir, const char* path, int flags, unsigned mode) {
  std::string_view rest = path;
  if (rest.empty() || rest.front() == '/') {
    errno = rest.empty() ? ENOENT : EXDEV;
    return {};
  }
  Fd above;
  for (;;) {
    const size_t slash = rest.find('/');
    const std::string name(rest.substr(0, slash));
    const size_t next =
        slash == std::string_view::npos ? slash : rest.find_first_not_of('/', slash);
    const bool last = next == std::string_view::npos;
    if (name == "..") {
      errno = EXDEV;
      return {};
    }
    // A name that ends in a slash is a directory's.
    const int wanted =
        last ? flags | (slash == std::string_view::npos ? 0 : O_DIRECTORY) : O_PATH | O_DIRECTORY;
    const int in = above ? above.get() : dir;
    Fd fd(openat(in, name.c_str(), wanted | O_NOFOLLOW | O_CLOEXEC,
                 last && (flags & O_CREAT) != 0 ? mode : 0));
    if (!fd) {
      const int error = errno;
      errno = error == ENOTDIR && is_link(in, name.c_str()) ? ELOOP : error;
      return {};
    }
    if (last) return fd;
    above = std::move(fd);
    rest.remove_prefix(next);
  }
}

}  // namespace rims
