// common/journal/takeover.cc - asking for an account, and noticing that somebody asks

#include "common/journal/takeover.h"

#include <cerrno>
#include <cstdlib>
#include <ctime>
#include <fcntl.h>
#include <sys/stat.h>
#include <thread>

#include <fmt/format.h>

#include "common/journal/account_dir.h"

namespace rims::store {

namespace {

// CLOCK_BOOTTIME counts while the machine sleeps, too, and can not be set.
int64_t uptime() {
  timespec t{};
  clock_gettime(CLOCK_BOOTTIME, &t);
  return t.tv_sec;
}

}  // namespace

Release release_state(Disk& disk, int dir, const std::string& path) {
  const std::string file = path + "/" + kRelease;
  const Fd fd(disk.open(dir, file.c_str(), O_PATH, 0));
  struct stat st{};
  if (!fd || fstat(fd.get(), &st) != 0) return Release::none;
  return std::llabs(uptime() - st.st_mtim.tv_sec) <= kReleaseSeconds ? Release::wanted
                                                                     : Release::stale;
}

bool is_importing(const AccountDir& dir) {
  const auto fd = dir.open_file(kImporting, O_PATH);
  struct stat st{};
  return fd && fstat(fd->get(), &st) == 0 && S_ISREG(st.st_mode);
}

Status mark_importing(const AccountDir& dir, bool importing) {
  if (is_importing(dir) == importing) return {};
  if (importing) {
    TRY([[maybe_unused]] const Fd made, dir.open_file(kImporting, O_WRONLY | O_CREAT));
  } else if (dir.disk().unlink(dir.fd(), kImporting) != 0 && errno != ENOENT) {
    if (errno == EROFS) return {};  // nothing can be written until the account is opened again
    return fail_errno("unlink " + dir.path() + "/" + kImporting, errno);
  }
  return dir.sync_directory(".");
}

Result<AccountDir> take_account(const Fd& base, const std::string& user, Milliseconds timeout,
                                bool create, Disk& disk) {
  const std::string file = account_path(user) + "/" + kRelease;
  const auto begin = Loop::now();
  auto renewed = begin - std::chrono::hours(1);
  while (true) {
    auto taken = AccountDir::open(disk, base.get(), user, create);
    const bool in_use = !taken && taken.error().code() == "INUSE";
    if (!in_use) {
      // After another error the file is left: it keeps the account closed for some seconds only.
      if (!taken) return taken;
      (void)disk.unlink(base.get(), file.c_str());
      // A restore that was killed may have given the account its name just now.
      TRY_STATUS(AccountDir::sync_above(disk, base.get(), user));
      return taken;
    }
    const auto now = Loop::now();
    if (now - begin >= timeout) {
      (void)disk.unlink(base.get(), file.c_str());
      return fail(Fault::storage, "the account is in use",
                  fmt::format("{} is locked by another process, which did not release it within "
                              "{} ms; stop the server, or end the other tool, and try again",
                              account_path(user), timeout.count()),
                  "INUSE");
    }
    if (now - renewed >= std::chrono::seconds(1)) {
      const Fd fd(disk.open(base.get(), file.c_str(), O_WRONLY | O_CREAT, 0600));
      const timespec moment{.tv_sec = uptime(), .tv_nsec = 0};
      const timespec times[2] = {moment, moment};
      if (!fd || futimens(fd.get(), times) != 0) return fail_errno("open " + file, errno);
      renewed = now;
    }
    std::this_thread::sleep_for(Milliseconds(20));
  }
}

}  // namespace rims::store
