// common/index/index_file.h - what all files of the index have in common
#pragma once

#include <string>

#include "common/base/result.h"
#include "common/journal/account_dir.h"

namespace rims::store {

// Removes the file from the account's directory; no error when it is missing. A directory of that
// name was not made by RIMS and may be needed by somebody, so it is moved to quarantine/. Blocks.
Status remove_index_file(const AccountDir& dir, const std::string& file);

}  // namespace rims::store
