// controller/parts.h - the configuration divided into parts, one per role, as they are sent
#pragma once

#include <array>
#include <string>
#include <vector>

#include "common/base/result.h"
#include "common/config/config.h"
#include "controller/identity.h"

namespace rims::controller {

// Encoded parts by role, wiped when they die: some hold passwords or a key.
struct Parts {
  std::array<std::string, kRoles> of;
  Parts() = default;
  Parts(Parts&&) noexcept;
  Parts& operator=(Parts&&) noexcept;
  Parts(const Parts&) = delete;
  Parts& operator=(const Parts&) = delete;
  ~Parts();
};

// Reads the TLS files, too: their errors are reported like those of config.yml.
[[nodiscard]] Result<Parts> make_parts(const config::Config& config);

// The keys that differ in the two configurations and take effect only at the next start.
[[nodiscard]] std::vector<std::string> needs_restart(const config::Config& old,
                                                     const config::Config& fresh);

}  // namespace rims::controller
