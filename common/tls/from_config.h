// common/tls/from_config.h - the TLS that a configuration asks for
#pragma once

#include <cstddef>

#include "common/config/parts.h"
#include "common/tls/tls.h"

namespace rims::tls {

// Of a part with certificates. `wrong`: as Context::server() has it.
[[nodiscard]] Result<Context> context_of(const config::LoginPart& part, size_t* wrong = nullptr);

}  // namespace rims::tls
