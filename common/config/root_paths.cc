// common/config/root_paths.cc - looks at each directory on the way

#include "common/config/root_paths.h"

#include <cerrno>
#include <limits.h>
#include <sys/stat.h>
#include <unistd.h>
#include <vector>

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

// Where a walk ends: at a directory that is root's itself, or at the place of something.
enum class End : unsigned char { directory, place };

Status walk(const std::string& path, End end) {
  std::string at = "/", rest = path;
  int links = 0;
  const auto follow = [&](const std::string& link, const std::string& from) -> Status {
    char target[PATH_MAX];
    const ssize_t size = readlink(link.c_str(), target, sizeof target);
    if (size <= 0 || ++links > kMaxLinks) return refused(path, link, "is a broken link");
    rest = std::string(target, static_cast<size_t>(size)) + (rest.empty() ? "" : "/" + rest);
    at = rest.front() == '/' ? "/" : from;
    return {};
  };
  for (;;) {
    struct stat st{};
    if (lstat(at.c_str(), &st) != 0) return refused(path, at, errno_text(errno));
    if (st.st_uid != 0)
      return refused(path, at, fmt::format("belongs to user {}, who may change it", st.st_uid));
    if (S_ISLNK(st.st_mode)) {
      TRY_STATUS(follow(at, above(at)));
      continue;
    }
    if (!S_ISDIR(st.st_mode)) return refused(path, at, "is not a directory");
    // The next part of the path.
    std::string name;
    while (name.empty() && !rest.empty()) {
      const size_t slash = rest.find('/');
      name = rest.substr(0, slash);
      rest.erase(0, slash == std::string::npos ? slash : slash + 1);
      if (name == ".") name.clear();
    }
    const bool shared = (st.st_mode & 022) != 0;
    if (name.empty()) {
      if (shared) return refused(path, at, "may be changed by others");
      return {};
    }
    const std::string next = name == ".." ? above(at) : at == "/" ? "/" + name : at + "/" + name;
    // What is in a sticky directory stays what it is; but anybody may put there what is missing.
    struct stat following{};
    const bool there = lstat(next.c_str(), &following) == 0;
    if (shared && ((st.st_mode & S_ISVTX) == 0 || !there))
      return refused(path, at, "may be changed by others");
    if (!there) return {};
    if (end == End::directory || rest.find_first_not_of('/') != std::string::npos) {
      at = next;
      continue;
    }
    // Its owner may take it out of a sticky directory. A link of others leads where they want.
    const bool link = S_ISLNK(following.st_mode);
    if (following.st_uid != 0 && (shared || link))
      return refused(path, next,
                     fmt::format("belongs to user {}, who may {} it", following.st_uid,
                                 link ? "change" : "replace"));
    if (!link) return {};
    rest.clear();
    TRY_STATUS(follow(next, at));
  }
}

}  // namespace

Status only_root_may_change(const std::string& directory) {
  return walk(directory, End::directory);
}

Status only_root_may_replace(const std::string& path) { return walk(path, End::place); }

Status check_configuration_of_root(const std::string& file) {
  if (const Status safe = only_root_may_replace(file); !safe)
    return fail(Fault::refused, safe.error().detail() +
                                    "; let the configuration be a file like "
                                    "/etc/rims/config.yml, or start the suite as another user");
  struct stat st{};
  if (stat(file.c_str(), &st) != 0) return {};  // whoever opens it says why
  if (st.st_uid == 0 && (st.st_mode & 022) == 0) return {};
  return fail(
      Fault::refused,
      fmt::format("{}: {} may change what root does; let it belong to root, and let "
                  "nobody else write it: \"chown root {} && chmod go-w {}\"",
                  file, st.st_uid != 0 ? fmt::format("user {}", st.st_uid) : "others than root",
                  file, file));
}

Status check_paths_of_root(const Config& config) {
  enum Is : unsigned char { directory, in_directory, place };
  constexpr const char* kLikeEtc = "let it be a file in a directory like /etc/rims";
  struct Use {
    const char* key;
    std::string path;
    Is is;
    const char* remedy;
  };
  // A log in base_dir has a directory there, which root makes, but never uses by its name.
  const bool in_base = above(above(config.log_file)) == config.base_dir;
  const bool users_in_base = above(config.auth_user_directory) == config.base_dir;
  std::vector<Use> uses = {
      {"paths.run_dir", config.paths_run_dir, directory, "let it be a directory like /run/rims"},
      {"paths.pid_file", config.paths_pid_file, in_directory, "let it be a file in paths.run_dir"},
      {"listen.deliver_socket", config.listen_deliver_socket, in_directory,
       "let it be a file in paths.run_dir"},
      // These may belong to the users of their programs, but stand where only root puts something.
      {"base_dir", config.base_dir, place, "let it be a directory like /var/lib/rims/mail"},
      {"log_file", in_base ? config.base_dir : above(config.log_file), place,
       "let it be a file like /var/log/rims/imap.log"},
      {"auth.user_directory", users_in_base ? config.base_dir : config.auth_user_directory, place,
       "let it be a directory like /var/lib/rims/users"},
      {"tls.certificate", config.tls_certificate, place, kLikeEtc},
      {"tls.key", config.tls_key, place, kLikeEtc},
      {"tls.ocsp", config.tls_ocsp, place, kLikeEtc},
  };
  for (const CertificatePaths& more : config.tls_more)
    for (const std::string& path : {more.certificate, more.key, more.ocsp})
      uses.push_back({"tls.more", path, place, kLikeEtc});
  for (const ListenPlace& place : config.lmtp_listen)
    uses.push_back({"lmtp.listen", place.path, in_directory, "let it be unix:lmtp"});
  if (!config.file.empty()) {
    TRY_STATUS(check_configuration_of_root(config.file));
  }
  for (const Use& use : uses) {
    if (use.path.empty()) continue;
    const Status safe =
        use.is == place ? only_root_may_replace(use.path)
                        : only_root_may_change(use.is == directory ? use.path : above(use.path));
    if (!safe)
      return fail(Fault::refused,
                  fmt::format("{}{}: {}; {}, or start the suite as another user",
                              where(config, use.key), use.key, safe.error().detail(), use.remedy));
  }
  return {};
}

}  // namespace rims::config
