// common/tls/reason.h - why OpenSSL refused something
#pragma once

#include <string>

namespace rims::tls {

// The newest reason of this thread, without the file names and numbers that OpenSSL adds; forgets
// all of them.
[[nodiscard]] std::string reason();

}  // namespace rims::tls
