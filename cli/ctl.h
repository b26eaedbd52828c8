// cli/ctl.h - what the commands of rims-ctl share
//
// Exit statuses are those of init scripts (LSB): 0 done, 1 failed (status: not running, but the pid
// file is there; the account tools: a problem was found), 2 usage, 3 (status) not running, 4 no
// permission, 6 the configuration is missing or wrong.
#pragma once

#include <optional>
#include <span>
#include <string>

#include "cli/options.h"
#include "common/base/fd.h"
#include "common/base/result.h"
#include "common/config/config.h"

namespace rims::ctl {

enum Exit { kDone = 0, kFailed = 1, kUsage = 2, kNotRunning = 3, kNoPermission = 4, kConfig = 6 };

// Writes each line of `text` to standard error, after "rims-ctl: "; returns `status`.
int complain(const std::string& text, Exit status);
// The same for an error of the store. If a permission is missing, it says as which user to run
// rims-ctl.
int complain(const Error& error);

struct Invocation {
  std::string config, pid_file;
};

// The configuration, or an exit status after a message.
struct Loaded {
  std::string file;
  std::optional<config::Config> config;
  int status = kDone;
};
Loaded load(const Invocation& how, bool need_users);

// The exit status, after a message, where a suite runs in the run directory of `config`, but with
// another configuration: nothing may be asked of it.
[[nodiscard]] std::optional<int> of_another(const config::Config& config);

// What every command knows: -c, -f and -p. `how` must outlive the parser.
void add_common(cli::OptionParser& parser, Invocation& how);

// Commands on accounts, one file each. `how`: what the options before the command's name say;
// `args`: what follows it.
int account(const Invocation& how, std::span<char*> args);         // ctl_account_names.cc
int backup(const Invocation& how, std::span<char*> args);          // ctl_backup.cc
int export_account(const Invocation& how, std::span<char*> args);  // ctl_export.cc
int import_account(const Invocation& how, std::span<char*> args);  // ctl_import.cc
int restore(const Invocation& how, std::span<char*> args);         // ctl_restore.cc
int cert(const Invocation& how, std::span<char*> args);            // ctl_cert.cc
int check(const Invocation& how, std::span<char*> args);           // ctl_check.cc
int dump(const Invocation& how, std::span<char*> args);            // ctl_dump.cc
int mailbox(const Invocation& how, std::span<char*> args);         // ctl_mailbox.cc
int domain(const Invocation& how, std::span<char*> args);          // ctl_domain.cc
int user(const Invocation& how, std::span<char*> args);            // ctl_user.cc
int undelete(const Invocation& how, std::span<char*> args);        // ctl_undelete.cc
int who(const Invocation& how, std::span<char*> args);             // ctl_sessions.cc
int kick(const Invocation& how, std::span<char*> args);            // ctl_sessions.cc

// Finds everything that would make a start fail and that can be checked beforehand. rims_ctl.cc
int check_configuration(const Invocation& how, bool quiet);

}  // namespace rims::ctl
