// common/base/version.h - which version of rims this is
#pragma once

#include <string_view>

namespace rims {

[[nodiscard]] std::string_view program_version();  // "0.3.0"

}  // namespace rims
