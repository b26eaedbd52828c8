// tests/tls/ocsp.h - what the issuer of a certificate says of it: "good", for so many seconds
#pragma once

#include <memory>
#include <string>

#include <openssl/ocsp.h>
#include <openssl/pem.h>

#include "tests/tls/certificate.h"

namespace rims::test {

// In DER. `seconds` may be negative: it was valid until then.
inline std::string ocsp_of(const Certificate& certificate, long seconds) {
  BIO* chain = BIO_new_mem_buf(certificate.chain.data(), -1);
  X509* leaf = PEM_read_bio_X509(chain, nullptr, nullptr, nullptr);
  BIO* key_bio = BIO_new_mem_buf(certificate.key.data(), -1);
  EVP_PKEY* key = PEM_read_bio_PrivateKey(key_bio, nullptr, nullptr, nullptr);
  OCSP_BASICRESP* basic = OCSP_BASICRESP_new();
  OCSP_CERTID* id = OCSP_cert_to_id(EVP_sha1(), leaf, leaf);
  ASN1_TIME* from = X509_gmtime_adj(nullptr, seconds - 3600);
  ASN1_TIME* until = X509_gmtime_adj(nullptr, seconds);
  OCSP_basic_add1_status(basic, id, V_OCSP_CERTSTATUS_GOOD, 0, nullptr, from, until);
  OCSP_basic_sign(basic, leaf, key, EVP_sha256(), nullptr, 0);
  OCSP_RESPONSE* response = OCSP_response_create(OCSP_RESPONSE_STATUS_SUCCESSFUL, basic);
  unsigned char* bytes = nullptr;
  const int size = i2d_OCSP_RESPONSE(response, &bytes);
  std::string der(reinterpret_cast<char*>(bytes), static_cast<size_t>(size));
  OPENSSL_free(bytes);
  OCSP_RESPONSE_free(response);
  ASN1_TIME_free(from);
  ASN1_TIME_free(until);
  OCSP_CERTID_free(id);
  OCSP_BASICRESP_free(basic);
  EVP_PKEY_free(key);
  BIO_free(key_bio);
  X509_free(leaf);
  BIO_free(chain);
  return der;
}

}  // namespace rims::test
