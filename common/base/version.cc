// common/base/version.cc - the one place that is compiled anew when the version changes

#include "common/base/version.h"

namespace rims {

std::string_view program_version() { return RIMS_VERSION; }

}  // namespace rims
