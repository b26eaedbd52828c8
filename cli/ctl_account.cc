// cli/ctl_account.cc - accounts by name or all of them

#include "cli/ctl_account.h"

#include <cerrno>
#include <fcntl.h>
#include <map>
#include <pwd.h>
#include <set>
#include <sys/stat.h>
#include <unistd.h>

#include <fmt/core.h>
#include <fmt/format.h>

#include "cli/daemon.h"
#include "cli/users_client.h"
#include "common/base/encoding.h"
#include "common/base/log.h"
#include "common/journal/account_dir.h"
#include "common/maintenance/account_names.h"
#include "common/maintenance/backup.h"
#include "common/maintenance/restore_account.h"
#include "common/names/names.h"

namespace rims::ctl {

int find_accounts(const Invocation& how, const std::string& user, bool all, Accounts& found) {
  found.loaded = load(how, false);
  if (!found.loaded.config) return found.loaded.status;
  auto base = store::open_base(found.loaded.config->base_dir);
  if (!base) return complain(base.error());
  found.base = *std::move(base);
  if (!all) {
    const auto name = account_name(*found.loaded.config, found.base, user);
    if (!name) return complain(name.error());
    found.list.push_back({unique_user_id(*name), *name});
    return kDone;
  }
  std::map<std::string, std::string> names;
  for (const auto& known : found.loaded.config->users)
    if (const auto name = names::account_name(known.name)) names[unique_user_id(*name)] = *name;
  const auto ids = store::list_accounts(found.base);
  if (!ids) return complain(ids.error());
  for (const auto& id : *ids) {
    if (names.contains(id)) {
      found.list.push_back({id, names[id]});
      continue;
    }
    const auto named = store::name_account(found.base, id);
    found.list.push_back({id, named.misplaced() ? std::string() : named.user});
  }
  if (found.list.empty())
    complain(fmt::format("note: {} has no account; if it should have, see that it is the right "
                         "directory, and mounted",
                         found.loaded.config->base_dir),
             kDone);
  return kDone;
}

Result<std::string> account_name(const config::Config& config, const Fd& base,
                                 const std::string& user) {
  TRY(const bool exact, store::account_exists(base, unique_user_id(user)));
  if (exact) return user;
  return account_of_user(config, user).value_or(user);
}

namespace {

bool has_directory_to_ask(const config::Config& config) {
  return !config.auth_user_directory.empty() &&
         cli::look_for_daemon(config).is == cli::DaemonState::running;
}

}  // namespace

std::optional<std::string> account_of_user(const config::Config& config, const std::string& user) {
  if (auto own = names::account_of(config, user)) return own;
  if (user.size() > ipc::kMaxUserName || !has_directory_to_ask(config)) return std::nullopt;
  const auto told = cli::told_users(config.paths_run_dir, user, false);
  if (!told || told->empty()) return std::nullopt;
  return told->front().user.value;
}

std::set<std::string> ids_of_directory(const config::Config& config) {
  std::set<std::string> ids;
  if (!has_directory_to_ask(config)) return ids;
  const auto told = cli::told_users(config.paths_run_dir, "", false);
  if (!told) return ids;
  for (const ipc::UserTold& user : *told) ids.insert(unique_user_id(user.user.value));
  return ids;
}

Result<std::vector<std::string>> old_spellings(const config::Config& config, const Fd& base) {
  struct Known {
    const config::UserEntry* user;
    bool has_account;
  };
  std::map<std::string, Known> known;  // by the folded name
  TRY(auto ids, store::list_accounts(base));
  std::set<std::string> unknown(ids.begin(), ids.end());
  for (const auto& user : config.users) {
    const auto name = names::account_name(user.name);
    const auto key = names::folded(user.name);
    if (name && key) known.emplace(*key, Known{&user, unknown.erase(unique_user_id(*name)) != 0});
  }
  std::vector<std::string> lines;
  for (const auto& id : unknown) {
    auto reader = store::JournalReader::beneath(base, store::account_path_of(id));
    const auto owner = reader ? reader->owner() : Result<std::string>(std::string());
    const auto key = owner ? names::folded(*owner) : std::nullopt;
    if (!key || !known.contains(*key)) continue;
    const auto& [user, has_account] = known.at(*key);
    lines.push_back(fmt::format(
        "{}:{}:{}: the user {} has {} account, {} there is one of {}: {}", config.file,
        user->at.line, user->at.column, log::quoted(user->name), has_account ? "an" : "no",
        has_account ? "and" : "but", log::quoted(*owner),
        has_account ? "its mail is not served. Write the name so to have that mail back, and see "
                      "\"rims-ctl account list\""
                    : "write the name so, or the server begins with an empty account"));
  }
  return lines;
}

Result<store::JournalReader> open_journal(const Fd& base, const std::string& user,
                                          store::Owner wanted) {
  auto reader = store::JournalReader::open(base, user, store::Disk::real(), wanted);
  if (!reader && reader.error().fault() == Fault::not_found)
    return fail(Fault::not_found, user + " has no account: " + reader.error().detail());
  return reader;
}

store::Options store_options(const config::Config& config, Fd base) {
  store::Options options;
  options.base = std::move(base);
  options.key_value_checksum = config.use_key_value_store_checksum;
  options.segment_bytes = config.storage_segment_size;
  options.limits.mailboxes = config.limits_mailboxes;
  options.limits.mailbox_messages = config.limits_mailbox_messages;
  options.limits.account_messages = config.limits_account_messages;
  options.limits.keywords = config.limits_keywords;
  return options;
}

store::Options store_options(const Accounts& accounts) {
  return store_options(*accounts.loaded.config, Fd(fcntl(accounts.base.get(), F_DUPFD_CLOEXEC, 0)));
}

Status become_owner(const Fd& base, privdrop::Keep keep) {
  if (geteuid() != 0) return {};
  struct stat st{};
  if (fstat(base.get(), &st) != 0) return fail_errno("fstat base_dir", errno);
  if (st.st_uid == 0) return {};
  gid_t group = st.st_gid;
  if (group == 0) {                             // chown was called without a group
    const passwd* owner = getpwuid(st.st_uid);  // NOLINT(concurrency-mt-unsafe): no thread yet
    if (!owner || owner->pw_gid == 0)
      return fail(Fault::refused,
                  fmt::format("base_dir belongs to user {} and the group of root; give it a group "
                              "of the mail user",
                              st.st_uid));
    group = owner->pw_gid;
  }
  privdrop::become(st.st_uid, group, keep);
  return {};
}

}  // namespace rims::ctl
