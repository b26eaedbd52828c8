// cli/earlier_options.h - options of the original's server, versions 0.2 and 0.3
//
// They were one for each key of its configuration (common/config/earlier_keys.h), and mean the same
// here: a setting of today, nothing any more, which a warning says, or an error that names what
// takes their place. --help does not list them, and they can not be shortened.
#pragma once

#include "cli/options.h"
#include "cli/server_options.h"

namespace rims::cli {

// `options` must outlive the parser.
void add_earlier_options(OptionParser& parser, ServerOptions& options);

}  // namespace rims::cli
