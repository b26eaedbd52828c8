// common/config/root_paths.h - paths that root may use
//
// Root makes, removes and opens files by the names of the configuration. Whoever may change a
// directory on the way to one could put a link there, and so choose which file of the system that
// is. So root starts only when nobody else may.
#pragma once

#include <string>

#include "common/base/result.h"
#include "common/config/config.h"

namespace rims::config {

// Checks that only root can change what this path of a directory leads to: it and every directory
// above it are root's, and others may not write there (a sticky directory like /tmp may stand above
// it). Links of root are followed. What is missing is checked up to the directory where it would be
// made. refused: names the directory in the way.
[[nodiscard]] Status only_root_may_change(const std::string& directory);

// Checks that only root can put something else where this path leads to. What is there may belong
// to somebody else, if it does not stand in a sticky directory.
[[nodiscard]] Status only_root_may_replace(const std::string& path);

// Before root opens a configuration, an absolute path: only root may replace it, and write it.
[[nodiscard]] Status check_configuration_of_root(const std::string& file);

// The same for all that root uses of a configuration, and for its file; the text names the setting.
[[nodiscard]] Status check_paths_of_root(const Config& config);

}  // namespace rims::config
