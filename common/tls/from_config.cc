// common/tls/from_config.cc - from the configuration's words to those of tls.h

#include "common/tls/from_config.h"

#include <vector>

namespace rims::tls {

Result<Context> context_of(const config::LoginPart& part, size_t* wrong) {
  std::vector<Certificate> certificates;
  certificates.reserve(part.certificates.value.size());
  for (const config::Certificate& one : part.certificates.value)
    certificates.push_back({.chain_pem = one.chain_pem.value,
                            .key_pem = one.key_pem.value.reveal(),
                            .ocsp = one.ocsp.value});
  const bool newest = part.tls_min_version == config::TlsVersion::v1_3;
  return Context::server(certificates, newest ? Version::v1_3 : Version::v1_2, wrong);
}

}  // namespace rims::tls
