// common/config/tls_files.h - reading the certificate and the key, and reporting what is wrong with
// them
#pragma once

#include <string>

#include "common/base/result.h"
#include "common/base/secret.h"
#include "common/config/config.h"

namespace rims::config {

struct TlsFiles {
  std::string certificate_pem;  // the chain
  Secret key_pem;
};

// The error's reply names the setting's place, the file and the reason: it can not be read, the
// mode lets others read the key, it is not PEM or is encrypted, the key is not the certificate's.
[[nodiscard]] Result<TlsFiles> read_tls_files(const Config& config);

}  // namespace rims::config
