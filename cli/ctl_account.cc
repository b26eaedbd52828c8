// cli/ctl_account.cc - accounts by name or all of them

#include "cli/ctl_account.h"

#include <cerrno>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <map>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "common/base/encoding.h"
#include "common/store/backup.h"

namespace rims::ctl {

int find_accounts(const Invocation& how, const std::string& user, bool all, Accounts& found) {
  found.loaded = load(how, false);
  if (!found.loaded.config) return found.loaded.status;
  auto base = store::open_base(found.loaded.config->base_dir);
  if (!base) return complain(base.error());
  found.base = *std::move(base);
  if (!all) {
    found.list.push_back({unique_user_id(user), user});
    return kDone;
  }
  std::map<std::string, std::string> names;
  for (const auto& known : found.loaded.config->users)
    names[unique_user_id(known.name)] = known.name;
  const auto ids = store::list_accounts(found.base);
  if (!ids) return complain(ids.error());
  for (const auto& id : *ids) found.list.push_back({id, names.contains(id) ? names[id] : ""});
  return kDone;
}

store::Options store_options(const config::Config& config, Fd base) {
  store::Options options;
  options.base = std::move(base);
  options.key_value_checksum = config.use_key_value_store_checksum;
  options.segment_bytes = config.storage_segment_size;
  options.limits.mailboxes = config.limits_mailboxes;
  return options;
}

store::Options store_options(const Accounts& accounts) {
  return store_options(*accounts.loaded.config, Fd(fcntl(accounts.base.get(), F_DUPFD_CLOEXEC, 0)));
}

Status become_owner(const Fd& base, bool read_all) {
  if (geteuid() != 0) return {};
  struct stat st{};
  if (fstat(base.get(), &st) != 0) return fail_errno("fstat base_dir", errno);
  if (st.st_uid == 0) return {};
  if (read_all && prctl(PR_SET_KEEPCAPS, 1) != 0) return fail_errno("prctl", errno);
  if (setgroups(0, nullptr) != 0) return fail_errno("setgroups", errno);
  if (setresgid(st.st_gid, st.st_gid, st.st_gid) != 0) return fail_errno("setresgid", errno);
  if (setresuid(st.st_uid, st.st_uid, st.st_uid) != 0) return fail_errno("setresuid", errno);
  if (!read_all) return {};
  __user_cap_header_struct header{.version = _LINUX_CAPABILITY_VERSION_3, .pid = 0};
  __user_cap_data_struct data[2] = {};
  data[0].effective = data[0].permitted = 1U << CAP_DAC_READ_SEARCH;
  if (syscall(SYS_capset, &header, data) != 0) return fail_errno("capset", errno);
  return {};
}

}  // namespace rims::ctl
