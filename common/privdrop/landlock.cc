// common/privdrop/landlock.cc - files, ports, signals: what the kernel refuses by object

#include <array>
#include <cerrno>
#include <fcntl.h>
#include <linux/landlock.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "common/base/fd.h"
#include "common/base/log.h"
#include "common/privdrop/steps.h"

namespace rims::privdrop {
namespace {

// The headers of Debian 12 end with the second version.
struct Ruleset {
  uint64_t files = 0, ports = 0, scopes = 0;
};
constexpr uint64_t kFirstVersion = 0x1fff;  // its thirteen rights
constexpr uint64_t kRefer = 1ull << 13, kTruncate = 1ull << 14, kIoctlDevice = 1ull << 15;
constexpr uint64_t kBindTcp = 1, kConnectTcp = 2;
constexpr uint64_t kAbstractSockets = 1, kSignals = 2;

// What this kernel can refuse. Everything that it can is refused, unless it is allowed below.
Ruleset known(long version) {
  Ruleset all{.files = kFirstVersion};
  if (version >= 2) all.files |= kRefer;
  if (version >= 3) all.files |= kTruncate;
  if (version >= 4) all.ports = kBindTcp | kConnectTcp;
  if (version >= 5) all.files |= kIoctlDevice;
  if (version >= 6) all.scopes = kAbstractSockets | kSignals;
  return all;
}

uint64_t bits(FileRights rights) {
  constexpr uint64_t kLog =
      LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_MAKE_REG | LANDLOCK_ACCESS_FS_REMOVE_FILE;
  switch (rights) {
    case FileRights::none:
      break;
    case FileRights::append_and_rotate:
      return kLog;
    case FileRights::keep:
      return kLog | LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR |
             LANDLOCK_ACCESS_FS_MAKE_DIR | kRefer | kTruncate;
  }
  return 0;
}

}  // namespace

void confine(FileRights rights, const std::string& directory) {
  const long version =
      syscall(SYS_landlock_create_ruleset, nullptr, 0, LANDLOCK_CREATE_RULESET_VERSION);
  if (version < 0 && (errno == ENOSYS || errno == EOPNOTSUPP)) {
    log::info({}, "this kernel has no Landlock: files are kept apart by their permissions only");
    return;
  }
  if (version < 1) failed("landlock_create_ruleset");
  const Ruleset all = known(version);
  const Fd rules(static_cast<int>(syscall(SYS_landlock_create_ruleset, &all, sizeof all, 0)));
  if (!rules) failed("landlock_create_ruleset");
  if (!directory.empty()) {
    const Fd fd(open(directory.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
    if (!fd) failed("open " + directory);
    const landlock_path_beneath_attr beneath{.allowed_access = bits(rights) & all.files,
                                             .parent_fd = fd.get()};
    if (syscall(SYS_landlock_add_rule, rules.get(), LANDLOCK_RULE_PATH_BENEATH, &beneath, 0) != 0)
      failed("landlock_add_rule");
  }
  if (syscall(SYS_landlock_restrict_self, rules.get(), 0) != 0) failed("landlock_restrict_self");
}

}  // namespace rims::privdrop
