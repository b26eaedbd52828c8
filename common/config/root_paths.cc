// common/config/root_paths.cc - looks at each directory on the way

#include "common/config/root_paths.h"

#include <cerrno>
#include <limits.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fmt/core.h>

#include "common/base/errno_text.h"

namespace rims::config {
namespace {

constexpr int kMaxLinks = 40;

std::string above(const std::string& path) {
  const size_t slash = path.rfind('/');
  return slash == 0 || slash == std::string::npos ? "/" : path.substr(0, slash);
}

std::unexpected<Error> refused(const std::string& path, const std::string& at,
                               std::string_view why) {
  return fail(Fault::refused,
              at == path ? fmt::format("{} is not safe for root's files: it {}", path, why)
                         : fmt::format("{} is not safe for root's files: {} {}", path, at, why));
}

}  // namespace

Status only_root_may_change(const std::string& directory, const std::string& holds) {
  std::string at = "/", rest = directory;
  int links = 0;
  for (;;) {
    struct stat st{};
    if (lstat(at.c_str(), &st) != 0) return refused(directory, at, errno_text(errno));
    if (st.st_uid != 0)
      return refused(directory, at,
                     fmt::format("belongs to user {}, who may change it", st.st_uid));
    if (S_ISLNK(st.st_mode)) {
      char target[PATH_MAX];
      const ssize_t size = readlink(at.c_str(), target, sizeof target);
      if (size <= 0 || ++links > kMaxLinks) return refused(directory, at, "is a broken link");
      rest = std::string(target, static_cast<size_t>(size)) + "/" + rest;
      at = rest.front() == '/' ? "/" : above(at);
      continue;
    }
    if (!S_ISDIR(st.st_mode)) return refused(directory, at, "is not a directory");
    // The next part of the path.
    std::string name;
    while (name.empty() && !rest.empty()) {
      const size_t slash = rest.find('/');
      name = rest.substr(0, slash);
      rest.erase(0, slash == std::string::npos ? slash : slash + 1);
      if (name == ".") name.clear();
    }
    const bool last = name.empty();
    if (last) name = holds;
    const std::string next = name.empty()   ? ""
                             : name == ".." ? above(at)
                             : at == "/"    ? "/" + name
                                            : at + "/" + name;
    // What is in a sticky directory stays what it is; but anybody may put there what is missing.
    const bool shared = (st.st_mode & 022) != 0;
    struct stat following{};
    const bool there = !next.empty() && lstat(next.c_str(), &following) == 0;
    if (shared && ((st.st_mode & S_ISVTX) == 0 || !there))
      return refused(directory, at, "may be changed by others");
    if (!there || last) return {};
    at = next;
  }
}

Status check_paths_of_root(const Config& config) {
  struct Use {
    const char* key;
    std::string directory;
    const char* remedy;
    std::string holds = {};  // see only_root_may_change()
  };
  const std::string base = config.base_dir.substr(config.base_dir.rfind('/') + 1);
  const bool in_base = above(above(config.log_file)) == config.base_dir;
  const Use uses[] = {
      {"paths.run_dir", config.paths_run_dir, "let it be a directory like /run/rims"},
      {"paths.pid_file", above(config.paths_pid_file), "let it be a file in paths.run_dir"},
      {"listen.deliver_socket", above(config.listen_deliver_socket),
       "let it be a file in paths.run_dir"},
      // These may belong to the users of their programs, but stand where only root puts something.
      {"base_dir", above(config.base_dir), "let it be a directory like /var/lib/rims/mail", base},
      // A log in base_dir has a directory there, which root makes, but never uses by its name.
      {"log_file", in_base ? above(config.base_dir) : above(above(config.log_file)),
       "let it be a file like /var/log/rims/imap.log", in_base ? base : std::string()},
  };
  for (const Use& use : uses)
    if (const Status safe = only_root_may_change(use.directory, use.holds); !safe)
      return fail(Fault::refused,
                  fmt::format("{}{}: {}; {}, or start the suite as another user",
                              where(config, use.key), use.key, safe.error().detail(), use.remedy));
  return {};
}

}  // namespace rims::config
