// controller/places.h - the directories, ports and sockets that the suite needs
//
// A start makes what is missing. `rims-ctl check` asks the same functions what a start by the same
// user would find, and changes nothing.
#pragma once

#include <optional>
#include <set>
#include <string>
#include <sys/types.h>
#include <vector>

#include "common/base/result.h"
#include "common/config/config.h"
#include "common/privdrop/privdrop.h"
#include "controller/identity.h"

namespace rims::controller {

enum class Missing : unsigned char { make, could_be_made };

// The directory that `key` names, of mail or of the log: made for this user when it is missing, and
// looked at as this user: files can be made in it, and `file`, if it is there, can be written. The
// error says what to do, also where a service manager has made the file system read-only.
[[nodiscard]] Status data_directory(const config::Config& config, std::string_view key,
                                    const std::string& path, const std::string& file,
                                    const privdrop::Identity& who, Missing missing);
// The same for base_dir, for the directory of the users, and for that of log_file with that file.
[[nodiscard]] Status data_directories(const config::Config& config, const Identities& who,
                                      Missing missing);

// Makes `path` when it is missing; whatever the umask, its mode is then `mode`.
[[nodiscard]] Status make_directory(const std::string& path, mode_t mode);

// A directory for files that root makes. When started as root, only root may be able to change it
// and all directories above it (sticky ones like /tmp are allowed), so that nobody can put a link
// there. Its parent must exist.
[[nodiscard]] Status run_directory(const std::string& path, bool privileged, Missing missing);

// Everything that a start with this configuration would find wrong, a line for each. Changes
// nothing. `running`: this suite runs, so its own ports and its socket are no obstacle. `remarks`:
// what is no obstacle either, but worth knowing.
[[nodiscard]] Status foresee(const config::Config& config, bool running,
                             std::set<std::string>& remarks);

}  // namespace rims::controller
