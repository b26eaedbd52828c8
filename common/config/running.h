// common/config/running.h - which configuration the suite in a run directory runs with
//
// Two configurations may have one run directory by mistake, above all /run/rims, the default where
// root starts the suite. The controller writes the path of its file to RUN_DIR/configuration, which
// everybody may read, and the commands compare it with theirs before they deal with that suite.
#pragma once

#include <optional>
#include <string>

#include "common/base/result.h"

namespace rims::config {

// `file`: absolute; "" when there is none, then nothing is written.
Status write_running(const std::string& run_dir, const std::string& file);
void remove_running(const std::string& run_dir);

// nullopt when it is not known: nothing runs there, or an earlier version.
[[nodiscard]] std::optional<std::string> running_with(const std::string& run_dir);

// Do both paths name one file? By what they lead to, or by their letters where one can not be
// looked at.
[[nodiscard]] bool is_same_file(const std::string& one, const std::string& other);

}  // namespace rims::config
