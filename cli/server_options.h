// cli/server_options.h - the options that `rims server` and `rims daemon` share: a configuration
// file and settings that override it
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "cli/options.h"
#include "common/base/fd.h"
#include "common/base/result.h"
#include "common/base/secret.h"
#include "common/config/config.h"

namespace rims::cli {

struct ServerOptions {
  std::string config_file;  // -f or -c, "" when not given
  // Keys of the configuration with their values, in the order of the command line. Without the
  // password, which has its own place. base_dir is absolute.
  std::vector<std::pair<std::string, std::string>> overrides;
  Secret password;
};

// Adds the options to `parser`. `options` must outlive its use. `log_stdout`: the letter of
// --log-stdout, or 0 where a command uses -v for something else.
void add_server_options(OptionParser& parser, ServerOptions& options, char log_stdout);

// What the controller is to read.
struct ServerConfig {
  std::string file;  // "" for none
  // A memfd with what the command line says: KEY NUL VALUE NUL ... It is inherited by the
  // controller, so that a password is neither in an argument nor in a file that must be removed
  // later. Empty when the command line says nothing.
  Fd overrides;
  [[nodiscard]] std::vector<std::string> controller_arguments() const;
};

// Where the file is: common/config/locate.h. With -u and without -f there is none, and base_dir is
// the current directory, as the original's.
[[nodiscard]] Result<ServerConfig> make_server_config(const ServerOptions& options);

// The same, as the controller will read it; says where the pid file is.
[[nodiscard]] Result<config::Config> load_server_config(const ServerOptions& options,
                                                        bool need_users);

// A program of the suite, from where this one stands: <prefix>/libexec/rims/NAME.
[[nodiscard]] Result<std::string> program_path(const std::string& name);

}  // namespace rims::cli
