// common/config/locate.h - where a command of the suite finds its configuration
//
// The first of: the file named by -c (or -f), $RIMS_CONFIG, <prefix>/etc/rims/config.yml where
// <prefix> is the directory above the one the program stands in (bin, sbin, libexec/rims), and
// the sysconfdir that was compiled in.
#pragma once

#include <string>

#include "common/base/result.h"

namespace rims::config {

// `option` is what -c or -f named, "" when neither was given. A file that is named and missing is
// an error, never a reason to look further.
[[nodiscard]] Result<std::string> locate(const std::string& option);

}  // namespace rims::config
