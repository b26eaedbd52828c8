// common/config/tls_files.h - reading the certificates and keys, and reporting what is wrong with
// them
#pragma once

#include <string>
#include <vector>

#include "common/base/result.h"
#include "common/base/secret.h"
#include "common/config/config.h"

namespace rims::config {

struct TlsFiles {
  std::string certificate_pem;  // the chain
  Secret key_pem;
  std::string ocsp;  // DER, "" when there is none
};

// tls.certificate and what goes with it.
[[nodiscard]] CertificatePaths first_certificate(const Config& config);

// The error's reply names the setting's place, the file and the reason: it can not be read, the
// mode lets others read the key, it is not PEM or is encrypted, the key is not the certificate's.
// What the issuer said that is no longer valid is left out, with a warning.
[[nodiscard]] Result<std::vector<TlsFiles>> read_tls_files(const Config& config);
// The same for one of them.
[[nodiscard]] Result<TlsFiles> read_tls_files(const Config& config, const CertificatePaths& files);

}  // namespace rims::config
